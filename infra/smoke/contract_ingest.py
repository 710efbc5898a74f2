"""What the contract promises to who sends: every form of body, receipts, retries, ids, timestamps, and the bounds."""

from __future__ import annotations

import gzip
import time
from typing import Any
from uuid import uuid4

import msgspec
import zstandard

from infra.smoke.asking import Answer
from infra.smoke.findings import Check, NotTested, checks_of, expect
from infra.smoke.scene import Scene, ago, record
from simple_log_service.core.limits import MIB, RECORD_BYTES_MAX, REQUEST_RECORDS_MAX, SECOND_NS
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.timestamps import parse_rfc3339

NDJSON = ("Content-Type", "application/x-ndjson")


class Stored(msgspec.Struct, forbid_unknown_fields=True):
    """The receipt of a single record."""

    message: str
    log_id: str


class Error(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an error."""

    message: str


def receipt(answer: Answer, *statuses: int) -> Receipt:
    """The receipt in an answer; a batch that the table's capacity cuts short is no finding about the contract."""
    if answer.status == 429:
        raise NotTested(f"the table had no capacity left: {answer}")
    return answer.read(Receipt, *(statuses or (201,)))


def messages(logs: list[dict[str, Any]]) -> list[str]:
    """The messages of records, in their order."""
    return [str(each.get("message")) for each in logs]


def one_record(scene: Scene) -> str:
    """One record gets its receipt and is in the next read, with every field."""
    service = scene.service("one")
    sent_ns = time.time_ns()
    stored = scene.caller.post(record(service)).read(Stored, 201)
    expect(stored.message == "Log ingested successfully", stored.message)
    logs = scene.caller.logs(service_name=service)
    expect(len(logs) == 1, f"{len(logs)} records came back")
    lag_seconds = abs(parse_rfc3339(logs[0].pop("timestamp")) - sent_ns) / SECOND_NS
    expect(lag_seconds < 60, f"the time of receipt is {lag_seconds:.0f} s from this machine's clock")
    wanted = record(service, level="INFO", metadata={}, log_id=stored.log_id)
    expect(logs[0] == wanted, logs[0])
    return f"stored and read back as {stored.log_id}"


def every_field(scene: Scene) -> str:
    """Every field comes back with the same meaning."""
    service = scene.service("fields")
    sent = record(
        service,
        log_type="audit",
        level="warning",
        timestamp=ago(90).partition(".")[0] + ".123456789Z",
        message="Preis geändert ↔ 価格変更\n\x00 and a NUL",
        metadata={"article": {"number": 4711, "price": 19.9}, "tags": ["sale", None, True]},
        log_id="price-change-4711",
    )
    scene.caller.post(sent).read(Stored, 201)
    logs = scene.caller.logs(service_name=service)
    expect(logs == [{**sent, "level": "WARN"}], logs)
    return "every field came back with the same meaning"


def unknown_fields(scene: Scene) -> str:
    """Unknown fields are kept under metadata."""
    service = scene.service("unknown")
    scene.caller.post(record(service, status=200, metadata={"path": "/"})).read(Stored, 201)
    logs = scene.caller.logs(service_name=service)
    expect([each["metadata"] for each in logs] == [{"path": "/", "status": 200}], logs)
    return "kept under metadata"


def every_form(scene: Scene) -> str:
    """An array, {"logs": …}, NDJSON, gzip and zstd all mean the same."""
    service = scene.service("forms")
    batch = [record(service, message=str(number)) for number in range(3)]
    text = msgspec.json.encode(batch)
    lines = b"\n".join(map(msgspec.json.encode, batch))
    caller = scene.caller
    answers = {
        "array": caller.post(batch),
        "wrapped": caller.post({"logs": batch}),
        "NDJSON": caller.post(lines, NDJSON),
        "gzip": caller.post(gzip.compress(text), ("Content-Encoding", "gzip")),
        "zstd": caller.post(zstandard.compress(text), ("Content-Encoding", "zstd")),
        "NDJSON, zstd": caller.post(zstandard.compress(lines), NDJSON, ("Content-Encoding", "zstd")),
    }
    for form, answer in answers.items():
        expect(receipt(answer).accepted == 3, f"{form}: {answer}")
    found = messages(caller.logs(service_name=service))
    expect(found == ["2", "1", "0"] * len(answers), f"came back as {found}")
    return ", ".join(answers)


def generated_ids(scene: Scene) -> str:
    """The receipt names the ids of the records."""
    service = scene.service("ids")
    got = receipt(scene.caller.post([record(service, message=str(number)) for number in range(5)]))
    told = {index: log_id for run in got.log_ids for index, log_id in run}
    read = {int(each["message"]): each["log_id"] for each in scene.caller.logs(service_name=service)}
    expect(told == read, f"the receipt's ids are {told}, the records' {read}")
    return "the receipt's ids are those of the records"


def bad_beside_good(scene: Scene) -> str:
    """A bad record does not stop the good ones beside it."""
    service = scene.service("partly")
    bad = record(service, level="loud")
    answer = scene.caller.post([record(service, message="a"), bad, record(service, message="b")])
    got = receipt(answer)
    expect(
        (got.accepted, [(each.index, bool(each.code and each.reason)) for each in got.rejected]) == (2, [(1, True)]),
        answer,
    )
    found = messages(scene.caller.logs(service_name=service))
    expect(found == ["b", "a"], found)
    return f"rejected[1]: {got.rejected[0].code}"


def all_bad(scene: Scene) -> str:
    """Where every record is rejected, the answer is 400 with the receipt."""
    answer = scene.caller.post([{"message": "no name"}, {}])
    got = receipt(answer, 400)
    expect((got.accepted, len(got.rejected)) == (0, 2), answer)
    return "400 with the receipt"


def bad_bodies(scene: Scene) -> str:
    """Bad bodies are refused whole, and none is an error of the server."""
    packed = gzip.compress(msgspec.json.encode([record(scene.service("bad"))]))
    bomb = zstandard.compress(bytes(33 * MIB))
    caller = scene.caller
    for name, status, answer in (
        ("not JSON", 400, caller.post(b"{nonsense")),
        ("empty", 400, caller.post(b"")),
        ("bad UTF-8", 400, caller.post(b'{"service_name":"\xff","log_type":"a","message":"b"}')),
        ("deeply nested", 400, caller.post(b"[" * 100_000)),
        ("truncated gzip", 400, caller.post(packed[:-4], ("Content-Encoding", "gzip"))),
        ("trailing bytes", 400, caller.post(packed + b"x", ("Content-Encoding", "gzip"))),
        ("unknown encoding", 415, caller.post(packed, ("Content-Encoding", "br"))),
        ("a bomb", 413, caller.post(bomb, ("Content-Encoding", "zstd"))),
    ):
        expect(answer.status == status, f"{name}: {answer}")
    expect(not caller.logs(service_name=scene.service("bad")), "something of it was stored")
    return "400, 413 and 415, and nothing stored"


def timestamps(scene: Scene) -> str:
    """Timestamps are read in every unit and given back in UTC."""
    service = scene.service("times")
    second = int(time.time()) - 100
    written = {
        "seconds": second,
        "milliseconds": second * 1000 + 7,
        "microseconds": second * 10**6 + 7_001,
        "nanoseconds": second * SECOND_NS + 7_001_001,
        "with an offset": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second + 3600)) + ".008+01:00",
    }
    got = receipt(scene.caller.post([record(service, message=name, timestamp=at) for name, at in written.items()]))
    expect(got.accepted == len(written), got)
    base = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    wanted = dict(zip(written, ("Z", ".007Z", ".007001Z", ".007001001Z", ".008Z"), strict=True))
    found = {each["message"]: each["timestamp"] for each in scene.caller.logs(service_name=service)}
    expect(found == {name: base + rest for name, rest in wanted.items()}, found)
    return "RFC 3339 and every unit, to the nanosecond"


def times_out_of_range(scene: Scene) -> str:
    """Times out of range are rejected by record."""
    service = scene.service("range")
    got = receipt(
        scene.caller.post([record(service, timestamp=each) for each in (0, time.time() + 400, 0.1234567891)]), 400
    )
    expect((got.accepted, len(got.rejected)) == (0, 3), got)
    return ", ".join(each.code for each in got.rejected)


def service_in_the_path(scene: Scene) -> str:
    """A path names one service."""
    service = scene.service("path")
    path = f"/services/{service}/logs"
    scene.caller.post({"log_type": "smoke", "message": "mine"}, path=path).read(Stored, 201)
    got = receipt(scene.caller.post([record(service, message="named"), record("other")], path=path))
    expect([each.code for each in got.rejected] == ["WrongService"], got)
    found = messages(scene.caller.logs(path))
    expect(found == ["named", "mine"], found)
    return "an absent name is filled in, another one rejected"


def retry_key(scene: Scene) -> str:
    """A retry under its Idempotency-Key stores nothing twice."""
    service = scene.service("retry")
    key = ("Idempotency-Key", str(uuid4()))
    batch = [record(service, message=str(number)) for number in range(3)]
    first, again = (receipt(scene.caller.post(batch, key)) for _ in range(2))
    expect((first.accepted, first.log_ids) == (again.accepted, again.log_ids), f"{first} and then {again}")
    other = scene.caller.post([record(service, message="other")], key)
    expect(other.status == 422, f"another body under the same key: {other}")
    found = messages(scene.caller.logs(service_name=service))
    expect(found == ["2", "1", "0"], f"came back as {found}")
    return "the same receipt, nothing stored twice, another body 422"


def own_id(scene: Scene) -> str:
    """A caller's own log_id is stored once."""
    service = scene.service("own-id")
    at = ago(60)
    for message in ("first", "second"):
        scene.caller.post(record(service, message=message, timestamp=at, log_id="mine")).read(Stored, 201)
    found = messages(scene.caller.logs(service_name=service))
    expect(found == ["first"], found)
    return "stored once, the first write wins"


def ten_thousand(scene: Scene) -> str:
    """10,000 records are taken in one request, and none is lost."""
    service = scene.service("many")
    lines = b"\n".join(
        msgspec.json.encode(record(service, message=f"line {number}")) for number in range(REQUEST_RECORDS_MAX)
    )
    began = time.monotonic()
    got = receipt(scene.caller.post(zstandard.compress(lines), NDJSON, ("Content-Encoding", "zstd")))
    took_seconds = time.monotonic() - began
    expect(got.accepted == REQUEST_RECORDS_MAX, f"accepted {got.accepted}, rejected {got.rejected[:3]}")
    found = messages(scene.caller.logs(service_name=service, limit=REQUEST_RECORDS_MAX))
    expect(len(set(found)) == REQUEST_RECORDS_MAX, f"{len(set(found))} came back")
    return f"accepted in {took_seconds:.1f} s, and all came back"


def one_too_many(scene: Scene) -> str:
    """10,001 are refused."""
    body = b"\n".join([msgspec.json.encode(record(scene.service("over")))] * (REQUEST_RECORDS_MAX + 1))
    answer = scene.caller.post(zstandard.compress(body), NDJSON, ("Content-Encoding", "zstd"))
    answer.read(Error, 400)
    return str(answer)


def largest_record(scene: Scene) -> str:
    """A record of 256 KiB is kept, a larger one rejected."""
    service = scene.service("large")
    room = RECORD_BYTES_MAX - len(service) - len("smoke") - len("{}")
    texts = {"fits": "x" * (room - 64), "over": "x" * (RECORD_BYTES_MAX + 1)}
    answer = scene.caller.post([record(service, message=text) for text in texts.values()])
    got = receipt(answer)
    expect((got.accepted, [each.index for each in got.rejected]) == (1, [1]), answer)
    found = [len(each) for each in messages(scene.caller.logs(service_name=service))]
    expect(found == [len(texts["fits"])], found)
    return f"256 KiB kept, more rejected as {got.rejected[0].code}"


INGEST_CHECKS: tuple[Check[Scene], ...] = checks_of(
    "ingest",
    one_record,
    every_field,
    unknown_fields,
    every_form,
    generated_ids,
    bad_beside_good,
    all_bad,
    bad_bodies,
    timestamps,
    times_out_of_range,
    service_in_the_path,
    retry_key,
    own_id,
    ten_thousand,
    one_too_many,
    largest_record,
)
