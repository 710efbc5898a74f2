"""Batches: in order, within the bounds, nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.client.batching import BATCH_BYTES_MAX, Batch, Sendable, Unsendable, batches, body_of
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX, REQUEST_RECORDS_MAX
from simple_log_service.core.receipts import LogIdRun, Receipt, Rejection

Entries = list[tuple[int, Sendable | Unsendable] | None]


def gather(records: list[Sendable | Unsendable | None], records_max: int = 1000) -> list[Batch[int]]:
    entries: Entries = [None if each is None else (place, each) for place, each in enumerate(records)]
    return list(batches(entries, records_max=records_max))


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.just(Unsendable("Malformed", "not UTF-8")),
            st.builds(lambda text: {"message": text}, st.text()),
            st.builds(
                lambda size: {"message": "x" * size}, st.sampled_from([10, BATCH_BYTES_MAX // 3, BATCH_BYTES_MAX])
            ),
        ),
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_every_record_is_in_one_batch_in_order_and_every_batch_within_its_bounds(
    records: list[Sendable | Unsendable | None], records_max: int
) -> None:
    gathered = gather(records, records_max)
    places = [place for place, each in enumerate(records) if each is not None]
    assert [origin for batch in gathered for origin in batch.origins] == places
    sent = []
    for batch in gathered:
        assert 1 <= len(batch.origins) <= records_max
        assert len(batch.lines) + len(batch.unsendable) == len(batch.origins)
        assert sum(map(len, batch.lines)) + len(batch.lines) <= BATCH_BYTES_MAX + 1
        sent += [json.loads(line) for line in batch.lines]
    fits = [each for each in records if isinstance(each, dict) and len(msgspec.json.encode(each)) <= BATCH_BYTES_MAX]
    assert sent == fits


def test_a_pause_sends_what_has_gathered() -> None:
    one: Sendable = {"message": "x"}
    sizes = [len(batch.origins) for batch in gather([one, one, None, None, one], 1000)]
    assert sizes == [2, 1]


def test_nothing_is_read_ahead_of_a_batch() -> None:
    taken: list[int] = []

    def source() -> Iterator[tuple[int, Sendable]]:
        for place in range(10):
            taken.append(place)
            yield place, {"message": "x"}

    stream = batches(source(), records_max=3)
    next(stream)
    assert taken == [0, 1, 2]


def test_no_batch_holds_more_than_a_request_may() -> None:
    gathered = gather([{"m": 1}] * (REQUEST_RECORDS_MAX + 1), records_max=10**6)
    assert [len(batch.origins) for batch in gathered] == [REQUEST_RECORDS_MAX, 1]


def test_a_record_too_large_for_any_request_is_rejected_here_and_its_neighbours_go() -> None:
    small: Sendable = {"message": "x"}
    (batch,) = gather([small, {"message": "x" * BATCH_BYTES_MAX}, small])
    assert len(batch.lines) == 2
    runs = [LogIdRun(0, 2, "01a20402-05f4-71a1-850d-ce52e0bd9058")]
    receipt = batch.receipt(Receipt(2, 1, [], runs))
    assert (receipt.accepted, receipt.duplicates) == (2, 1)
    assert [(each.index, each.code) for each in receipt.rejected] == [(1, "TooLarge")]
    assert [pair for run in receipt.log_ids for pair in run] == [
        (0, "01a20402-05f4-71a1-850d-ce52e0bd9058"),
        (2, "01a20402-05f4-71a2-850d-ce52e0bd9058"),
    ]


def test_rejections_of_the_service_keep_their_places_beside_those_made_here() -> None:
    bad = Unsendable("Malformed", "not UTF-8")
    (batch,) = gather([bad, {"m": 1}, bad, {"m": 2}])
    receipt = batch.receipt(Receipt(1, rejected=[Rejection(1, "MissingField", "message is missing")]))
    assert [(each.index, each.code) for each in receipt.rejected] == [
        (0, "Malformed"),
        (2, "Malformed"),
        (3, "MissingField"),
    ]


def test_text_that_is_json_already_is_sent_as_it_is() -> None:
    text = b'{"message":"x","n":1.10,"big":12345678901234567890.123456789}'
    (batch,) = gather([msgspec.Raw(text)])
    assert batch.lines == [text]


def test_python_values_are_written_as_the_contract_reads_them() -> None:
    (batch,) = gather([{"timestamp": datetime(2026, 1, 1, tzinfo=UTC), "metadata": {"d": Decimal("1.10"), "s": "é\n"}}])
    assert batch.lines == ['{"timestamp":"2026-01-01T00:00:00Z","metadata":{"d":1.10,"s":"é\\n"}}'.encode()]


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_body_is_ndjson_and_compressed_where_that_pays(count: int) -> None:
    lines = [b'{"message":"hello"}'] * count
    body, headers = body_of(lines)
    named = dict(headers)
    assert named["Content-Type"] == "application/x-ndjson"
    if count > 1:
        assert named["Content-Encoding"] == "zstd"
        assert len(body) < sum(map(len, lines)) / 10
        body = zstandard.ZstdDecompressor().decompress(body)
    else:
        assert "Content-Encoding" not in named
    assert body == b"\n".join(lines)


def test_what_cannot_be_compressed_still_fits_on_the_wire() -> None:
    import random

    noise = random.Random(1).randbytes(BATCH_BYTES_MAX)
    assert len(body_of([noise])[0]) <= BODY_WIRE_BYTES_MAX
