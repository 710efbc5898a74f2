"""Whatever is written, however it comes and whatever fails: each record is one document, and in the files."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from simple_log_service.core.record import Record
from simple_log_service.stores.dynamodb.items import records_in
from support.consuming import bring_until_done, consuming, no_repeats
from support.stores import NOON, Given
from support.stream_events import change, items_of
from support.stub_sinks import StubSinks

texts = st.text(st.characters(codec="utf-8"), max_size=30)
records = st.builds(
    Given,
    message=st.one_of(texts, st.builds(lambda text, times: text * times, texts, st.integers(0, 300))),
    timestamp=st.integers(NOON - 10**15, NOON),
    service_name=st.sampled_from(["shop", "büro", "s" * 256]),
    log_type=st.sampled_from(["application", "access"]),
    level=st.sampled_from(["INFO", "ERROR"]),
    metadata=st.dictionaries(texts, st.one_of(texts, st.integers(), st.none()), max_size=3).map(json.dumps),
)


@settings(max_examples=40)
@given(
    st.lists(st.lists(records, min_size=1, max_size=30), min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 3]),
)
def test_every_record_is_one_document_and_stands_in_the_files(
    requests: list[list[Given]], seed: int, throttled: int
) -> None:
    chance = random.Random(seed)
    data, expected = stream_of(requests, chance)
    with consuming(patience=no_repeats) as (stub, consumer):
        stub.throttled = lambda text: throttled if chance.random() < 0.3 else 0
        stub.replies = {
            name: chance.choices([200, 429, 503, None], [6, 1, 1, 1], k=8) for name in ("_bulk", "PutRecordBatch")
        } | {"SendMessage": chance.choices([200, 500], k=3), "PUT": chance.choices([200, 500], k=2)}
        bring_until_done(consumer, data)
    assert_same(stub, expected)


def stream_of(requests: list[list[Given]], chance: random.Random) -> tuple[list[str], list[Record]]:
    """The changes that requests make, in about their order, some of them twice, with others between them."""
    items = [
        item
        for number, request in enumerate(requests)
        for item in items_of(request, arrival=NOON // 1000 + number * 10**6, nonce=chance.getrandbits(62))
    ]
    expected = [record for item in items for record in records_in(item)]
    data = [change(item, chance.choice(["INSERT", "MODIFY"])) for item in items]
    data += chance.sample(data, k=len(data) // 2)
    data += [change(item, "REMOVE", ttl=True) for item in items[:2]]
    data += ["not base64!"]
    chance.shuffle(data)
    return data, expected


def assert_same(stub: StubSinks, expected: list[Record]) -> None:
    """Every record is there, byte for byte, and nothing else is."""
    meant = sorted((record.log_id, record.message, record.timestamp, record.metadata.decode()) for record in expected)
    assert len(stub.documents) == len(expected)
    assert sorted((source["log_id"], source["message"]) for source in stub.documents.values()) == [
        (log_id, message) for log_id, message, _, _ in meant
    ]
    rows = {(row["log_id"], row["message"], row["timestamp_ns"], row["metadata"]) for row in stub.rows}
    assert sorted(rows) == meant
