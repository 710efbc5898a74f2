"""The consumer of the table's stream: what it takes from which change, and what it does about failures."""

from __future__ import annotations

import base64
import json

import pytest

from simple_log_service.aws.settings import BadSettings, read_settings
from simple_log_service.aws.stream.home import ConsumerSettings
from simple_log_service.core.record import Position
from simple_log_service.stores.dynamodb.items import key_item
from simple_log_service.stores.dynamodb.keys import TYPES_PARTITION, Key, log_id_key, retry_key
from support.consuming import Invocation, bring_until_done, consuming, failed_at, no_repeats
from support.stores import NOON, Given
from support.stream_events import Item, change, encoded, event, items_of, sequence_number
from support.stub_sinks import StubSinks

PLAIN = Given("hello", metadata='{"user":{"id":7}}', level="WARN")
SEVERAL = [Given(f"line {number}", timestamp=NOON + number) for number in range(20)]
MANY = [Given(f"{number:x} " * 40, timestamp=NOON + number, service_name="büro") for number in range(0, 70_000, 100)]


NO_SEARCH = {"SIMPLE_LOG_SERVICE_SEARCH_URL": ""}


def messages(stub: StubSinks) -> list[str]:
    return sorted(source["message"] for source in stub.documents.values())


def rows(stub: StubSinks) -> list[str]:
    return sorted(row["message"] for row in stub.rows)


def changes(*requests: list[Given], event_name: str = "INSERT") -> list[str]:
    """The changes of some requests' items, each request a second after the one before."""
    items: list[Item] = []
    for number, records in enumerate(requests):
        items += items_of(records, arrival=(NOON // 1000) + number * 1_000_000)
    return [change(item, event_name) for item in items]


def test_a_plain_item_becomes_a_document_and_a_row() -> None:
    with consuming() as (stub, consumer):
        assert consumer(event(changes([PLAIN])), Invocation()) == {"batchItemFailures": []}
    ((index, _), source), (row,) = next(iter(stub.documents.items())), stub.rows
    assert index == "simple-log-service-logs-2025-06-15"
    assert source.pop("log_id") == row.pop("log_id")
    assert source == {
        "service_name": "shop",
        "log_type": "application",
        "level": "WARN",
        "timestamp": "2025-06-15T12:00:00Z",
        "message": "hello",
        "metadata": {"user": {"id": 7}},
    }
    assert row == {
        "service_name": "shop",
        "log_type": "application",
        "level": "WARN",
        "timestamp_ns": NOON,
        "message": "hello",
        "metadata": '{"user":{"id":7}}',
    }


def test_an_entry_with_its_frame_gives_all_its_records() -> None:
    (item,) = items_of(SEVERAL)
    assert "frame" in item
    with consuming() as (stub, consumer):
        consumer(event([change(item)]), Invocation())
    assert messages(stub) == rows(stub) == sorted(record.message for record in SEVERAL)


def test_a_body_gives_its_records_and_the_entry_that_points_to_it_gives_none() -> None:
    items = items_of(MANY)
    entries = [item for item in items if "body" in item]
    assert entries
    with consuming() as (stub, consumer):
        consumer(event(change(item) for item in entries), Invocation())
        assert not stub.documents
        assert bring_until_done(consumer, [change(item) for item in items]) == 1
    assert messages(stub) == rows(stub) == sorted(record.message for record in MANY)


def test_removals_are_ignored_expired_or_not() -> None:
    (item,) = items_of([PLAIN])
    with consuming() as (stub, consumer):
        data = [change(item, "REMOVE", ttl=True), change(item, "REMOVE")]
        assert consumer(event(data), Invocation()) == {"batchItemFailures": []}
    assert not stub.seen


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(Key(TYPES_PARTITION, Position(20_000 * 64, 0)), id="type"),
        pytest.param(retry_key("owner", "key"), id="claim"),
        pytest.param(log_id_key("shop", "mine"), id="marker"),
    ],
)
def test_reserved_items_hold_no_records(key: Key) -> None:
    item = {**key_item(key), "name": {"S": "application"}, "first": {"N": "1"}, "fingerprint": {"B": b"\x00\xff"}}
    with consuming() as (stub, consumer):
        data = [change(item), change(item, "MODIFY")]
        assert consumer(event(data), Invocation()) == {"batchItemFailures": []}
    assert not stub.seen


def test_what_comes_twice_is_one_document() -> None:
    with consuming() as (stub, consumer):
        for event_name in ("INSERT", "INSERT", "MODIFY"):
            consumer(event(changes(SEVERAL, event_name=event_name)), Invocation())
    assert len(stub.documents) == len(SEVERAL)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("not base64!", id="no base64"),
        pytest.param(base64.b64encode(b"{").decode(), id="no JSON"),
        pytest.param(base64.b64encode(b"\xff\xfe").decode(), id="no UTF-8"),
        pytest.param(encoded({"eventName": "INSERT"}), id="no change"),
        pytest.param(encoded({"eventName": "INSERT", "dynamodb": {"NewImage": {"frame": "x"}}}), id="no attributes"),
        pytest.param(encoded({"eventName": "INSERT", "dynamodb": {"NewImage": {"message": {"S": "x"}}}}), id="no key"),
        pytest.param(change({**key_item(Key("shop", Position(NOON, 1))), "frame": {"B": b"damaged"}}), id="damaged"),
        pytest.param(
            encoded({"eventName": "INSERT", "dynamodb": {"NewImage": {"frame": {"B": "*"}}}}), id="frame no base64"
        ),
    ],
)
def test_what_cannot_be_read_goes_aside_and_holds_up_nothing(data: str) -> None:
    with consuming() as (stub, consumer):
        before, after = changes([Given("before")], [Given("after")])
        assert consumer(event([before, data, after]), Invocation()) == {"batchItemFailures": []}
    assert messages(stub) == rows(stub) == ["after", "before"]
    (letter,) = stub.letters
    assert letter["sequence_number"] == sequence_number(1)
    assert letter["sink"] == "consumer"


def test_what_cannot_even_be_put_aside_comes_again() -> None:
    with consuming() as (stub, consumer):
        stub.replies["SendMessage"] = [500]
        data = [*changes([Given("before")]), "not base64!", *changes([Given("after")])]
        assert failed_at(consumer(event(data), Invocation())) == [sequence_number(1)]
        assert messages(stub) == rows(stub) == ["before"]
        assert bring_until_done(consumer, data[1:]) == 1
    assert rows(stub) == ["after", "before"]


def test_a_refused_document_goes_aside_as_a_pointer_without_its_words() -> None:
    secret = Given("a secret", log_id="mine", service_name="vault")
    with consuming() as (stub, consumer):
        stub.unfit = lambda source: "mapper_parsing_exception" if source["message"] == "a secret" else None
        data = changes([Given("before")], [secret], [Given("after")])
        assert consumer(event(data), Invocation()) == {"batchItemFailures": []}
    assert messages(stub) == ["after", "before"]
    assert rows(stub) == ["a secret", "after", "before"]
    assert stub.letters == [
        {
            "sink": "search",
            "reason": "mapper_parsing_exception",
            "sequence_number": sequence_number(1),
            "count": 1,
            "records": [{"service_name": "vault", "timestamp": "2025-06-15T12:00:00Z", "log_id": "mine"}],
        }
    ]


def test_nothing_goes_aside_that_will_come_again() -> None:
    with consuming(patience=no_repeats, SIMPLE_LOG_SERVICE_FIREHOSE_NAME="") as (stub, consumer):
        data = changes([Given("bad"), Given("slow")])
        stub.unfit = lambda source: "mapper_parsing_exception" if source["message"] == "bad" else None
        stub.throttled = lambda text: 1
        assert failed_at(consumer(event(data), Invocation())) == [sequence_number(0)]
        assert not stub.letters
        assert bring_until_done(consumer, data) == 1
    assert (messages(stub), len(stub.letters)) == (["slow"], 1)


def test_a_message_aside_is_small_however_many_records_it_is_about() -> None:
    with consuming() as (stub, consumer):
        stub.unfit = lambda source: "mapper_parsing_exception"
        consumer(event(changes(MANY)), Invocation())
    assert sum(letter["count"] for letter in stub.letters) == len(MANY)
    assert all(len(letter["records"]) <= 10 for letter in stub.letters)


def test_nothing_goes_into_files_that_search_will_ask_for_again() -> None:
    with consuming(patience=no_repeats) as (stub, consumer):
        data = changes([Given("one")], [Given("two")], [Given("three")])
        consumer(event(data), Invocation())
        two = next(document_id for (_, document_id), source in stub.documents.items() if source["message"] == "two")
        stub.documents.clear()
        stub.rows.clear()
        stub.throttled = lambda text: 1 if text == two else 0
        assert failed_at(consumer(event(data), Invocation())) == [sequence_number(1)]
        assert rows(stub) == ["one"]
        assert bring_until_done(consumer, data[1:]) == 1
    assert messages(stub) == ["one", "three", "two"]
    assert rows(stub) == ["one", "three", "two"]


def test_files_alone_go_on_without_search_and_search_without_files() -> None:
    with consuming(**NO_SEARCH) as (stub, consumer):
        consumer(event(changes(SEVERAL)), Invocation())
        assert (len(stub.documents), len(stub.rows)) == (0, len(SEVERAL))
    with consuming(SIMPLE_LOG_SERVICE_FIREHOSE_NAME="") as (stub, consumer):
        consumer(event(changes(SEVERAL)), Invocation())
        assert (len(stub.documents), len(stub.rows)) == (len(SEVERAL), 0)


@pytest.mark.parametrize("search", [pytest.param({}, id="search"), pytest.param(NO_SEARCH, id="files")])
def test_nothing_is_begun_that_cannot_be_finished_in_time(search: dict[str, str]) -> None:
    with consuming(**search) as (stub, consumer):
        data = changes([PLAIN])
        assert failed_at(consumer(event(data), Invocation(remaining_ms=100))) == [sequence_number(0)]
        assert not stub.requests("_bulk")
        assert not stub.requests("PutRecordBatch")


def test_each_batch_is_one_line_in_the_log_without_a_word_of_the_records(capsys: pytest.CaptureFixture[str]) -> None:
    with consuming() as (_, consumer):
        consumer(event(changes([PLAIN], SEVERAL)), Invocation())
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"brought": 2, "records": 21, "aside": 0, "done": 2}


def test_no_address_and_no_queue_are_told_by_name() -> None:
    with pytest.raises(BadSettings, match="SIMPLE_LOG_SERVICE_DEAD_LETTERS_URL"):
        read_settings({"AWS_REGION": "eu-central-1"}, ConsumerSettings)
    with pytest.raises(BadSettings, match="SIMPLE_LOG_SERVICE_RETENTION_DAYS"):
        read_settings(
            {
                "AWS_REGION": "eu-central-1",
                "SIMPLE_LOG_SERVICE_DEAD_LETTERS_URL": "https://queue",
                "SIMPLE_LOG_SERVICE_RETENTION_DAYS": "0",
            },
            ConsumerSettings,
        )
