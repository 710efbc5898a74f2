"""The benchmark's records: distinct, in the span that reads look at, and as many of each kind as is said."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

import pytest

from bench.records import (
    RARE_NAMES,
    RARE_SERVICE_NAMES,
    RARE_TYPE_NAMES,
    SPAN_SECONDS,
    WORD_HOSTS,
    WORD_RECORDS,
    WORD_TEXTS,
    Records,
    planted,
    rare_service_records,
    rare_type_records,
    stamps_at_random,
    stamps_in_order,
)
from bench.requests import Bodies

TOTAL = 23_456
ENDS_AT = 1_790_000_000.0


def _stored() -> list[dict[str, object]]:
    records = Records(stamps_in_order(TOTAL, ENDS_AT), words=planted(TOTAL), rare=True)
    return [json.loads(text) for text in records.make(TOTAL)]


def test_every_record_is_another_one() -> None:
    for records in (Records(), Records(ids=True), Records(extra=True)):
        assert len(set(records.make(5000))) == 5000


def test_a_planted_word_and_host_is_in_exactly_as_many_records_as_is_said() -> None:
    words = Counter(str(record["message"]).rpartition(" ")[2] for record in _stored())
    hosts = Counter(record["metadata"]["host"] for record in _stored())  # type: ignore[index]
    assert [words[word] for word in WORD_TEXTS] == [WORD_RECORDS] * len(WORD_TEXTS)
    assert [hosts[host] for host in WORD_HOSTS] == [WORD_RECORDS] * len(WORD_HOSTS)


def test_rare_services_and_types_have_exactly_as_many_records_as_is_said() -> None:
    services = Counter(record["service_name"] for record in _stored())
    types = Counter(record["log_type"] for record in _stored())
    names = range(RARE_NAMES)
    assert [services[name] for name in RARE_SERVICE_NAMES] == [rare_service_records(name, TOTAL) for name in names]
    assert [types[name] for name in RARE_TYPE_NAMES] == [rare_type_records(name, TOTAL) for name in names]
    assert {rare_service_records(name, TOTAL) for name in names} == {2, 3}


def _seconds(record: dict[str, object]) -> float:
    return datetime.fromisoformat(str(record["timestamp"])).timestamp()


def test_stored_records_are_of_the_last_day_the_oldest_first() -> None:
    at = [_seconds(record) for record in _stored()]
    assert at == sorted(set(at))
    assert ENDS_AT - SPAN_SECONDS <= at[0] < at[-1] <= ENDS_AT
    assert at[-1] - at[0] == pytest.approx(SPAN_SECONDS, rel=0.01)


def test_records_at_random_fill_the_same_span_in_no_order() -> None:
    at = [_seconds(json.loads(text)) for text in Records(stamps_at_random(ENDS_AT)).make(2000)]
    assert at != sorted(at)
    assert ENDS_AT - SPAN_SECONDS <= min(at) < max(at) <= ENDS_AT
    assert max(at) - min(at) == pytest.approx(SPAN_SECONDS, rel=0.1)


def test_what_somebody_else_made_is_not_made_again() -> None:
    whole, rest = Records(rare=True), Records(rare=True)
    texts = whole.make(2000)
    rest.skip(1000)
    others = [json.loads(text) for text in rest.make(1000)]
    assert [record["service_name"] for record in others] == [json.loads(text)["service_name"] for text in texts[1000:]]
    assert not {record["message"] for record in others} & {json.loads(text)["message"] for text in texts}


def test_ids_and_unknown_fields_stand_beside_the_same_record() -> None:
    (plain,), (with_id,), (with_more,) = (
        [json.loads(text) for text in Records(lambda _: "2026-01-01T00:00:00", **kind).make(1)]  # type: ignore[arg-type]
        for kind in ({}, {"ids": True}, {"extra": True})
    )
    assert len(with_id.pop("log_id")) == 32
    assert with_id == plain
    assert set(with_more) - set(plain) == {"trace_id", "version", "pid", "logger"}
    assert with_more | plain == with_more


def test_a_body_is_an_object_for_one_record_and_an_array_for_more() -> None:
    (one,), (three,) = Bodies().make(1, 1), Bodies().make(3, 1)
    assert isinstance(json.loads(one), dict)
    assert len(json.loads(three)) == 3
