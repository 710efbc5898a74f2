"""What every store does with a batch: it comes back as it was given, with the ids that its receipt named."""

from __future__ import annotations

import asyncio
import sys
import unicodedata

import pytest

from simple_log_service.core.ids import arrival_of
from simple_log_service.core.levels import canonical_level
from simple_log_service.core.limits import RECORD_BYTES_MAX
from simple_log_service.core.ports import LogStore
from simple_log_service.core.receipts import Receipt, Rejection
from simple_log_service.core.timestamps import TIMESTAMP_NS_MAX, format_timestamp, parse_rfc3339
from support.stores import NOON, Given, SetClock, batch_of, decoded, everything, generated_ids, messages, read_all

pytestmark = pytest.mark.asyncio

FIELDS = {"service_name", "log_type", "timestamp", "level", "message", "metadata", "log_id"}


async def test_a_record_comes_back_with_every_field(store: LogStore) -> None:
    given = Given("hello", NOON + 1, "shop", "audit", "ERROR", '{"a":[1,{"b":null}]}', "my-id")
    await store.append(batch_of(given))
    assert await read_all(store) == [
        {
            "service_name": "shop",
            "log_type": "audit",
            "timestamp": "2025-06-15T12:00:00.000000001Z",
            "level": "ERROR",
            "message": "hello",
            "metadata": {"a": [1, {"b": None}]},
            "log_id": "my-id",
        }
    ]


async def test_an_empty_store_answers_an_empty_complete_page(store: LogStore) -> None:
    page = await store.recent(everything())
    assert (page.logs, page.below, page.complete) == ([], None, True)


async def test_a_record_is_in_the_next_read_after_its_receipt(store: LogStore) -> None:
    for place in range(20):
        await store.append(batch_of(Given(str(place), NOON + place)))
        assert await messages(store) == [str(n) for n in range(place, -1, -1)]


async def test_generated_ids_are_those_of_the_receipt_and_differ(store: LogStore) -> None:
    receipts = [await store.append(batch_of(*(Given(f"{n}-{m}") for m in range(50)))) for n in range(5)]
    named = {f"{n}-{m}": log_id for n, receipt in enumerate(receipts) for m, log_id in generated_ids(receipt).items()}
    assert {record["message"]: record["log_id"] for record in await read_all(store)} == named
    assert len(set(named.values())) == 250


async def test_a_receipt_names_generated_ids_by_their_place_in_the_request(store: LogStore) -> None:
    rejected = [Rejection(1, "InvalidField", "why"), Rejection(4, "TooLarge", "because")]
    batch = batch_of("zero", Given("two", log_id="mine"), "three", "five", rejected=rejected)
    receipt = await store.append(batch)
    ids = {record["message"]: record["log_id"] for record in await read_all(store)}
    assert generated_ids(receipt) == {0: ids["zero"], 3: ids["three"], 5: ids["five"]}
    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (4, 0, rejected)
    assert ids["two"] == "mine"


async def test_a_batch_without_a_good_record_stores_nothing(store: LogStore) -> None:
    rejected = [Rejection(0, "InvalidField", "why")]
    assert await store.append(batch_of(rejected=rejected)) == Receipt(0, rejected=rejected)
    assert await read_all(store) == []


async def test_generated_ids_rise_with_arrival_whatever_the_clock_does(store: LogStore, clock: SetClock) -> None:
    log_ids: list[str] = []
    for step_ns in (0, 10**9, -(10**12), 0, 3600 * 10**9, -1, 86_400 * 10**9, -86_400 * 10**9, 0):
        clock.advance(step_ns)
        receipt = await store.append(batch_of(*(Given(str(n)) for n in range(3))))
        log_ids += generated_ids(receipt).values()
    arrivals = [parts[0] for parts in map(arrival_of, log_ids) if parts is not None]
    assert len(arrivals) == 27
    assert arrivals == sorted(set(arrivals))


async def test_concurrent_batches_are_each_stored_once_and_keep_their_order(store: LogStore) -> None:
    batches = [batch_of(*(Given(f"{n}-{m}") for m in range(7))) for n in range(200)]
    receipts = await asyncio.gather(*map(store.append, batches))
    assert [receipt.accepted for receipt in receipts] == [7] * 200
    found = [text.split("-") for text in await messages(store)]
    assert sorted((int(n), int(m)) for n, m in found) == [(n, m) for n in range(200) for m in range(7)]
    for batch in range(200):
        assert [int(m) for n, m in found if int(n) == batch] == [6, 5, 4, 3, 2, 1, 0]


UNUSUAL = {
    "empty": "",
    "nul": "\0",
    "nul-inside": "a\0b\0",
    "newlines": "\n\r\n\r\u2028\u2029\x85\n\n",
    "controls": "".join(map(chr, range(32))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))),
    "escapes": '"\\/\b\f\t\\u0041\\n\x1b[31m',
    "json": '{"message":"\\ud800","metadata":{}}',
    "beside-the-surrogates": "\ud7ff\ue000",
    "last-of-each-plane": "".join(chr(plane << 16 | 0xFFFF) for plane in range(17)),
    "noncharacters": "\ufffe\uffff\ufdd0\ufdef",
    "bidirectional": "\u202eevil\u202c\u2066x\u2069\u200f",
    "combining": "e\u0301 \u00e9 \u1e9b\u0323 \ufb01",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪",
    "byte-order-mark": "\ufeff text",
    "white-space": " \t \u3000\xa0",
}


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
async def test_unusual_text_comes_back_exactly_in_every_place(store: LogStore, text: str) -> None:
    metadata = '{"text":' + _json_string(text) + "," + _json_string(text + "!") + ":1}"
    # What separates units is the one character that a store may count on: no name gets past validation with it.
    name = text.replace("\x1f", "")
    given = Given(text, service_name=f"s{name}s", log_type=f"t{name}t", metadata=metadata, log_id=f"{text[:63]}i")
    await store.append(batch_of(given, Given("neighbour")))
    record = next(each for each in await read_all(store) if each["message"] != "neighbour" or text == "neighbour")
    assert record["message"] == text
    assert record["metadata"] == {"text": text, text + "!": 1}
    assert (record["service_name"], record["log_type"], record["log_id"]) == (f"s{name}s", f"t{name}t", f"{text[:63]}i")


async def test_every_script_comes_back_exactly(store: LogStore) -> None:
    """All that Unicode has, surrogates left out, in messages of a thousand characters."""
    points = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point <= 0xDFFF]
    assigned = [point for point in points if unicodedata.category(point) not in {"Cn", "Co"}]
    texts = ["".join(assigned[start : start + 1000]) for start in range(0, len(assigned), 1000)]
    await store.append(batch_of(*(Given(text, NOON + place) for place, text in enumerate(texts))))
    assert await messages(store) == texts[::-1]


@pytest.mark.parametrize(
    "metadata",
    [
        '{"a":1.0,"b":1e2,"c":-0,"d":0.10000000000000000000000000000000000001}',
        '{"a":' + "9" * 38 + ',"b":-' + "9" * 38 + "}",
        '{"a": 1 ,\t"b" :[ ]}',
        '{"a":1,"a":2}',
        '{"":"","\\u0000":"\\ud83d\\ude00","\\/":"\\u2028"}',
        '{"a":' * 31 + "1" + "}" * 31,
    ],
)
async def test_the_text_of_metadata_comes_back_as_it_was_handed_over(store: LogStore, metadata: str) -> None:
    await store.append(batch_of(Given("a"), Given("b", metadata=metadata), Given("c")))
    page = await store.recent(everything())
    assert sum(b'"metadata":' + metadata.encode() + b',"log_id"' in text for text in page.logs) == 1


@pytest.mark.parametrize(
    "timestamp", [0, 1, 999, 10**9 - 1, 10**9, NOON + 123_456_789, 2**53 + 1, TIMESTAMP_NS_MAX - 1, TIMESTAMP_NS_MAX]
)
async def test_timestamps_are_exact_to_the_nanosecond(store: LogStore, timestamp: int) -> None:
    await store.append(batch_of(Given("first", 0), Given("this", timestamp), Given("last", 5)))
    (record,) = [each for each in await read_all(store) if each["message"] == "this"]
    assert parse_rfc3339(record["timestamp"]) == timestamp
    assert record["timestamp"] == format_timestamp(timestamp)


async def test_the_largest_records_fit(store: LogStore) -> None:
    large = "\0" * (RECORD_BYTES_MAX - 1024)
    await store.append(batch_of(*(Given(large, NOON + n) for n in range(40))))
    assert await messages(store) == [large] * 40


@pytest.mark.parametrize("level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"])
async def test_each_level_comes_back(store: LogStore, level: str) -> None:
    assert canonical_level(level) == level
    await store.append(batch_of(Given(level=level)))
    (record,) = decoded(await store.recent(everything()))
    assert record["level"] == level
    assert set(record) == FIELDS


def _json_string(text: str) -> str:
    """JSON with everything but the obligatory left unescaped."""
    escaped = "".join(f"\\u{ord(char):04x}" if char < " " or char in '"\\' else char for char in text)
    return f'"{escaped}"'
