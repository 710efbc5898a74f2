"""What is stored of a record, end to end: its fields as they come back, callers' own ids, the routes of one service."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from contract.http_caller import expanded_ids, refusal, said
from contract.http_home import AnyHome, fresh_name, record
from simple_log_service.core import limits, validation
from simple_log_service.core.timestamps import format_timestamp, parse_rfc3339

pytestmark = pytest.mark.xdist_group("http records")


@pytest.fixture
def service() -> str:
    return fresh_name()


# --- What comes back. ---


def test_every_field_has_its_default(home: AnyHome, service: str) -> None:
    before = time.time_ns()
    receipt = said(home.admin.post(record(service)))
    after = time.time_ns()
    (stored,) = home.admin.logs(service_name=service)
    assert before <= parse_rfc3339(stored.pop("timestamp")) <= after
    assert stored == {
        "service_name": service,
        "log_type": "application",
        "level": "INFO",
        "message": "hello",
        "metadata": {},
        "log_id": receipt["log_id"],
    }


TEXTS = {
    "empty": "",
    "NUL and controls": "a\0b\x01\x1b[31m\x7f\x85\u202e",
    "newlines": "one\r\ntwo\nthree\u2028four",
    "scripts": "Ünïcödé 価格 عربى 👩‍👩‍👧 \U0010ffff e\u0301",
    "quotes": "\"'\\/ </script>",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_text_comes_back_character_by_character(home: AnyHome, service: str, text: str) -> None:
    metadata = {text: text, "deep": [{"k": [text]}]}
    assert home.admin.post(record(service, message=text, metadata=metadata)).status == 201
    (stored,) = home.admin.logs(service_name=service)
    assert (stored["message"], stored["metadata"]) == (text, metadata)


def test_numbers_in_metadata_come_back_equal_as_decimals(home: AnyHome, service: str) -> None:
    numbers = [
        "0",
        "-0.0",
        "1.10",
        "12345678901234567890123456789012345678",
        "1e-400",
        "0.1234567890123456789",
        "1e300",
    ]
    text = f'{{"service_name":"{service}","log_type":"a","message":"","metadata":{{"n":[{",".join(numbers)}]}}}}'
    assert home.admin.post(text.encode()).status == 201
    answer = home.admin.get(service_name=service)
    (stored,) = json.loads(answer.body, parse_float=Decimal, parse_int=Decimal)["logs"]
    assert stored["metadata"]["n"] == [Decimal(number) for number in numbers]


def test_unknown_fields_are_kept_in_metadata_where_a_field_that_is_there_wins(home: AnyHome, service: str) -> None:
    sent = record(service, status=200, user={"id": 7}, tag="outer", metadata={"tag": "inner", "x": None})
    assert home.admin.post(sent).status == 201
    (stored,) = home.admin.logs(service_name=service)
    assert stored["metadata"] == {"tag": "inner", "x": None, "status": 200, "user": {"id": 7}}


def test_of_a_doubled_member_the_last_one_counts(home: AnyHome, service: str) -> None:
    body = f'{{"service_name":"{service}","log_type":"a","message":"x","message":"y","metadata":{{"k":1,"k":2}}}}'
    assert home.admin.post(body.encode()).status == 201
    (stored,) = home.admin.logs(service_name=service)
    assert (stored["message"], stored["metadata"]) == ("y", {"k": 2})


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ("trace", "TRACE"),
        ("Debug", "DEBUG"),
        ("notice", "INFO"),
        ("WARNING", "WARN"),
        ("err", "ERROR"),
        ("emerg", "FATAL"),
    ],
)
def test_levels_have_aliases_in_any_case(home: AnyHome, service: str, given: str, level: str) -> None:
    assert home.admin.post(record(service, level=given)).status == 201
    (stored,) = home.admin.logs(service_name=service, level=given)
    assert stored["level"] == level


def numbered(moment_ns: int) -> dict[str, tuple[str, int]]:
    """A moment in each way to write it (JSON text), and the nanoseconds that are meant."""
    second, rest_ns = divmod(moment_ns, 10**9)
    utc = datetime.fromtimestamp(second, UTC)
    east = f'"{datetime.fromtimestamp(second + 9000, UTC):%Y-%m-%dT%H:%M:%S}+02:30"'
    return {
        "seconds": (str(second), second * 10**9),
        "fractional seconds": (f"{second}.{rest_ns:09d}", moment_ns),
        "milliseconds": (str(moment_ns // 10**6), moment_ns // 10**6 * 10**6),
        "microseconds": (str(moment_ns // 10**3), moment_ns // 10**3 * 10**3),
        "nanoseconds": (str(moment_ns), moment_ns),
        "RFC 3339": (f'"{utc:%Y-%m-%dT%H:%M:%SZ}"', second * 10**9),
        "RFC 3339 with nanoseconds": (f'"{utc:%Y-%m-%dt%H:%M:%S}.{rest_ns:09d}z"', moment_ns),
        "RFC 3339 with an offset": (east, second * 10**9),
    }


@pytest.mark.parametrize("way", numbered(0))
def test_a_timestamp_may_be_written_in_many_ways(home: AnyHome, service: str, way: str) -> None:
    text, meant_ns = numbered(time.time_ns() // 10**9 * 10**9 - 3600 * 10**9 + 123_456_789)[way]
    body = f'{{"service_name":"{service}","log_type":"a","message":"","timestamp":{text}}}'
    assert home.admin.post(body.encode()).status == 201
    (stored,) = home.admin.logs(service_name=service)
    assert stored["timestamp"] == format_timestamp(meant_ns)


@pytest.mark.parametrize("timestamp", ["2026-01-01T00:00:00", "yesterday", -1, 1.0000000001, True, None, [], "", 1e300])
def test_a_timestamp_that_says_no_moment_is_rejected(home: AnyHome, service: str, timestamp: object) -> None:
    answer = home.admin.post(record(service, timestamp=timestamp))
    assert answer.status == 400
    assert said(answer)["rejected"][0]["code"] in {validation.INVALID_FIELD, validation.TOO_OLD}


def test_the_future_is_open_for_five_minutes(home: AnyHome, service: str) -> None:
    assert home.admin.post(record(service, timestamp=time.time() + 290)).status == 201
    answer = home.admin.post(record(service, timestamp=time.time() + 310))
    assert answer.status == 400
    assert said(answer)["rejected"][0]["code"] == validation.TOO_NEW


@pytest.mark.parametrize("field", ["service_name", "log_type", "message", "level", "timestamp", "metadata", "log_id"])
def test_null_is_no_value_for_any_field(home: AnyHome, service: str, field: str) -> None:
    answer = home.admin.post(record(service) | {field: None})
    assert answer.status == 400
    assert said(answer)["rejected"][0]["code"] == validation.INVALID_FIELD


@pytest.mark.parametrize(
    ("field", "chars_max"),
    [("service_name", limits.SERVICE_NAME_CHARS_MAX), ("log_type", limits.LOG_TYPE_CHARS_MAX)],
)
def test_names_have_their_bounds_in_characters(home: AnyHome, service: str, field: str, chars_max: int) -> None:
    name = (service + "\U0001f600" * chars_max)[:chars_max]
    assert home.admin.post(record(service) | {field: name}).status == 201
    assert home.admin.page(**{field: name})["logs"][0][field] == name
    for bad in (name + "x", "", " a", "a\u3000", "a\nb", "a\x7f", "\x85"):
        answer = home.admin.post(record(service) | {field: bad})
        assert (answer.status, said(answer)["rejected"][0]["code"]) == (400, validation.INVALID_FIELD), repr(bad)


# --- A caller's own log_id. ---


def test_a_given_id_is_stored_once_and_the_first_write_wins(home: AnyHome, service: str) -> None:
    first = home.admin.post(record(service, log_id="mine", message="first"))
    assert (first.status, said(first)["log_id"]) == (201, "mine")
    again = home.admin.post(record(service, log_id="mine", message="second", level="ERROR"))
    assert (again.status, said(again)["log_id"]) == (201, "mine")
    (stored,) = home.admin.logs(service_name=service)
    assert (stored["message"], stored["level"], stored["log_id"]) == ("first", "INFO", "mine")


def test_a_given_id_belongs_to_its_service(home: AnyHome, service: str) -> None:
    other = fresh_name()
    receipt = said(home.admin.post([record(service, log_id="same"), record(other, log_id="same")]))
    assert (receipt["accepted"], receipt["duplicates"]) == (2, 0)
    assert len(home.admin.logs(service_name=service)) == len(home.admin.logs(service_name=other)) == 1


def test_duplicates_are_counted_within_a_request_and_across_requests(home: AnyHome, service: str) -> None:
    home.admin.post(record(service, log_id="a"))
    batch = [record(service, log_id=each) for each in ("a", "b", "b")] + [record(service)]
    receipt = said(home.admin.post(batch))
    assert (receipt["accepted"], receipt["duplicates"]) == (4, 2)
    assert list(expanded_ids(receipt)) == [3], "only generated ids are listed"
    assert len(home.admin.logs(service_name=service)) == 3


@pytest.mark.parametrize("log_id", ["x" * 64, "\U0001f600" * 64, "a b", "\0"])
def test_a_given_id_is_any_text_of_its_length(home: AnyHome, service: str, log_id: str) -> None:
    assert said(home.admin.post(record(service, log_id=log_id)))["log_id"] == log_id
    assert home.admin.logs(service_name=service)[0]["log_id"] == log_id


@pytest.mark.parametrize("log_id", ["", "x" * 65, 7, None])
def test_a_given_id_out_of_bounds_is_rejected(home: AnyHome, service: str, log_id: object) -> None:
    assert home.admin.post(record(service, log_id=log_id)).status == 400


def test_two_records_in_the_same_instant_are_two_records(home: AnyHome, service: str) -> None:
    moment = format_timestamp(time.time_ns())
    receipt = said(home.admin.post([record(service, timestamp=moment)] * 2))
    assert receipt["accepted"] == 2
    home.admin.post(record(service, timestamp=moment, message="third"))
    stored = home.admin.logs(service_name=service)
    assert [each["message"] for each in stored] == ["third", "hello", "hello"], "the last to arrive comes first"
    assert len({each["log_id"] for each in stored}) == 3


# --- The routes of one service. ---


def test_a_service_of_the_path_is_filled_in_where_it_is_missing(home: AnyHome, service: str) -> None:
    path = f"/services/{service}/logs"
    bare = {"log_type": "a", "message": "bare"}
    assert home.admin.post(bare, path=path).status == 201
    assert said(home.admin.post([bare, record(service)], path=path))["accepted"] == 2
    assert {each["service_name"] for each in home.admin.logs(path)} == {service}
    assert len(home.admin.logs(path)) == 3


def test_a_record_of_another_service_is_rejected_there(home: AnyHome, service: str) -> None:
    path = f"/services/{service}/logs"
    answer = home.admin.post([record(service), record(service + "x"), record("\0")], path=path)
    assert answer.status == 201
    assert [(each["index"], each["code"]) for each in said(answer)["rejected"]] == [
        (1, validation.WRONG_SERVICE),
        (2, validation.WRONG_SERVICE),
    ]
    assert home.admin.post(record("other"), path=path).status == 400
    assert len(home.admin.logs(path)) == 1


@pytest.mark.parametrize("name", ["a", "A-b_c.d~9", "x" * 128, "...", ".a"])
def test_a_service_of_the_path_may_have_these_names(home: AnyHome, name: str) -> None:
    path = f"/services/{name}/logs"
    assert home.admin.post(record(name), path=path).status == 201
    assert home.admin.page(path)["count"] == 1


@pytest.mark.parametrize("name", ["x" * 129, "a%20b", "%61", "a:b", "a+b", "%C3%BC"])
def test_a_service_of_the_path_may_have_no_other_name(home: AnyHome, name: str) -> None:
    path = f"/services/{name}/logs"
    for answer in (home.admin.post(record("a"), path=path), home.admin.get(path)):
        assert refusal(answer) == (
            403,
            "MissingAuthenticationTokenException",
            {"message": "Missing Authentication Token"},
        )
