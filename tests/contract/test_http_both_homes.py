"""Both homes side by side: the same requests of the same callers, and answers that are equal field by field.

What differs from one moment or home to the next by its nature is put aside first, and nothing else: generated ids,
times of receipt, cursors and the names of callers and resources, each replaced by what it is.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard

from contract.aws_home import running_aws_home
from contract.http_caller import JSON, NDJSON, Caller
from contract.http_differences import DIFFERENCES
from contract.http_home import AnyHome, fresh_name, record, running_home
from infra.assumptions import ASSUMPTIONS
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX, RECORD_BYTES_MAX
from simple_log_service.core.timestamps import format_timestamp
from support.raw_http import Answer
from support.signing import edited

pytestmark = pytest.mark.xdist_group("http both homes")

BINDING = (
    "content-type",
    "x-amzn-errortype",
    "retry-after",
    "cache-control",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
)
"""The headers that callers may rely on, beside the id of the request."""


@pytest.fixture(scope="module")
def homes(dynamodb_url: str) -> Iterator[tuple[AnyHome, AnyHome]]:
    """The embedded home and the AWS home."""
    with running_home() as embedded, running_aws_home(dynamodb_url) as aws:
        yield embedded, aws


# --- What is said, whichever home says it. ---

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ARN = re.compile(r"arn:aws:execute-api:[^:]+:\d{12}:[^/]+/[^/]+/")
_STAMP = re.compile(r"\d{8}T\d{6}Z")


def said_of(answer: Answer) -> tuple[int, dict[str, str], Any]:
    """Status, binding headers and body, with what differs by nature put aside."""
    headers = {name: answer.headers[name] for name in BINDING if name in answer.headers}
    if not answer.body:
        # What an empty answer would be, were it not empty, says nothing.
        headers.pop("content-type", None)
        return answer.status, headers, None
    return answer.status, headers, _plain(json.loads(answer.body))


def _plain(value: Any, member: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, member) for inner in value]
    if not isinstance(value, str):
        return value
    if member == "next_cursor":
        return "a cursor"
    if member == "timestamp" and not value.endswith("00Z"):
        return "the time of receipt"
    text = _ARN.sub("the API's ", _STAMP.sub("a time", _UUID.sub("an id", value)))
    return re.sub(r"arn:aws:(iam|sts)::\d{12}:\S+", "a caller", text)


# --- What is asked. ---


class Scene(NamedTuple):
    """One home in one test. ``service`` is the same name in both; ``moment`` is a good timestamp of this minute."""

    home: AnyHome
    service: str
    moment: str

    @property
    def admin(self) -> Caller:
        return self.home.admin

    def good(self, **fields: Any) -> dict[str, Any]:
        return record(self.service, timestamp=self.moment) | fields

    def temporary(self, policy: str) -> Caller:
        """A caller with temporary credentials, which both homes take."""
        return self.home.caller(self.home.key(policy, expires_in_seconds=600, name="role"))

    def read(self, **parameters: object) -> Answer:
        return self.admin.get("/logs/recent", **{"service_name": self.service, **parameters})


def written_and_read(*records: dict[str, Any]) -> Callable[[Scene], list[Answer]]:
    """Each record by itself, then what is there."""
    return lambda scene: [
        *(scene.admin.post(scene.good() | each) for each in records),
        scene.read(),
    ]


def posted(body: bytes, *headers: tuple[str, str]) -> Callable[[Scene], list[Answer]]:
    return lambda scene: [scene.admin.post(body, *headers), scene.read()]


def asked(method: str, path: str, query: str = "") -> Callable[[Scene], list[Answer]]:
    return lambda scene: [scene.admin.ask(method, path.format(service=scene.service), query)]


def of_a_stranger(method: str, path: str) -> Callable[[Scene], list[Answer]]:
    return lambda scene: [scene.home.stranger.ask(method, path)]


def pages(scene: Scene) -> list[Answer]:
    batch = [scene.good(message=str(number)) for number in range(7)]
    answers = [scene.admin.post(batch), first := scene.read(limit=3)]
    cursor = json.loads(first.body)["next_cursor"]
    return [*answers, scene.read(limit=10, cursor=cursor), scene.read(limit=10, cursor=cursor, level="WARN")]


def retried(scene: Scene) -> list[Answer]:
    key = ("Idempotency-Key", scene.service)
    batch = [scene.good(), scene.good(level="loud"), scene.good(log_id="mine")]
    return [*(scene.admin.post(batch, key) for _ in range(2)), scene.admin.post(batch[:1], key), scene.read()]


def own_ids(scene: Scene) -> list[Answer]:
    sent = [scene.good(log_id="a", message="first"), scene.good(log_id="b"), scene.good(log_id="a", message="second")]
    return [scene.admin.post(sent), scene.admin.post(sent[2]), scene.read()]


def filters(scene: Scene) -> list[Answer]:
    log_type = scene.service[:128]
    scene.admin.post([scene.good(log_type=log_type, level=level, message=level) for level in ("INFO", "WARN", "ERROR")])
    asked: list[dict[str, str]] = [
        {},
        {"level": "warning"},
        {"log_type": log_type},
        {"log_type": "other"},
        {"since": "1h", "until": "59m"},
    ]
    by_type = [scene.admin.get(log_type=log_type), scene.admin.get(log_type=log_type, level="ERROR", limit=1)]
    return [*(scene.read(**parameters) for parameters in asked), *by_type]


def of_one_service(scene: Scene) -> list[Answer]:
    path = f"/services/{scene.service}/logs"
    mixed = [{"log_type": "a", "message": "bare", "timestamp": scene.moment}, scene.good(), record("another")]
    return [scene.admin.post(mixed, path=path), scene.admin.get(path), scene.admin.get(path, service_name="a")]


def denied(scene: Scene) -> list[Answer]:
    writer, reader = scene.temporary("ingest"), scene.temporary("read")
    return [writer.get(), reader.post(scene.good()), writer.post(scene.good()), reader.get(service_name=scene.service)]


def badly_signed(scene: Scene) -> list[Answer]:
    signed = scene.temporary("admin").signed
    good = signed("GET", "/logs/recent")
    spoilt = [
        edited(good, "/execute-api/", "/s3/"),
        edited(good, f"/{scene.home.region}/", "/mars-north-1/"),
        edited(good, "Signature=", "Sign="),
        edited(good, "Credential=ASIA", "Credential=ASIX"),
        edited(good, "Credential=", "Key="),
        good._replace(query="limit=1"),
        good.with_header(b"x-amz-security-token", b"other"),
        good.with_header(b"x-amz-date", None),
        signed("GET", "/logs/recent", now=time.time() - 1000),
        signed("GET", "/logs/recent", now=time.time() + 1000),
        signed("GET", "/logs/recent", "X-Amz-Date=1"),
    ]
    return [scene.home.stranger.send(request) for request in spoilt]


def rejected(scene: Scene) -> list[Answer]:
    bad = [
        scene.good(level="loud"),
        scene.good(timestamp="yesterday"),
        scene.good(timestamp="2100-01-01T00:00:00Z"),
        scene.good(timestamp=1000),
        scene.good(message="x" * RECORD_BYTES_MAX),
        scene.good(metadata=[]),
        scene.good(log_id=""),
        scene.good(service_name=" a"),
        {"message": 1},
        7,
        None,
    ]
    return [scene.admin.post(bad), scene.admin.post([*bad, scene.good()]), scene.read()]


GOOD = b'{"service_name":"a","log_type":"a","message":"m"}'

EXCHANGES: dict[str, Callable[[Scene], list[Answer]]] = {
    "one record": written_and_read({}),
    "every field": written_and_read(
        {
            "level": "notice",
            "message": "Ü\0\n👩",
            "metadata": {"a": [1.10, 1e-7, None]},
            "log_id": "x",
            "extra": {"y": 1},
        }
    ),
    "several records": written_and_read({"message": "1"}, {"message": "2"}, {"message": ""}),
    "pages": pages,
    "a retry": retried,
    "ids of one's own": own_ids,
    "filters": filters,
    "one service's routes": of_one_service,
    "denials": denied,
    "bad signatures": badly_signed,
    "rejections": rejected,
    "lines": lambda scene: [
        scene.admin.post(json.dumps(scene.good()).encode() + b"\nnonsense\n", NDJSON),
        scene.read(),
    ],
    "gzip": lambda scene: [
        scene.admin.post(gzip.compress(json.dumps([scene.good()]).encode()), ("Content-Encoding", "gzip")),
        scene.read(),
    ],
    "zstd": lambda scene: [
        scene.admin.post(zstandard.compress(json.dumps([scene.good()]).encode()), ("Content-Encoding", "zstd")),
        scene.read(),
    ],
    "many records": lambda scene: [
        scene.admin.post([scene.good(message=str(number)) for number in range(2500)]),
        scene.read(limit=2500),
    ],
    "no JSON": posted(b"nonsense"),
    "no records": posted(b"[]"),
    "nothing": posted(b""),
    "a bomb": posted(gzip.compress(b" " * 40_000_000), ("Content-Encoding", "gzip")),
    "half of gzip": posted(gzip.compress(GOOD)[:-4], ("Content-Encoding", "gzip")),
    "an unknown encoding": posted(GOOD, ("Content-Encoding", "br")),
    "a key that is too long": posted(GOOD, ("Idempotency-Key", "k" * 256)),
    "a large body": lambda scene: [
        scene.admin.post(json.dumps(scene.good()).encode().ljust(BODY_WIRE_BYTES_MAX)),
        scene.read(),
    ],
    "too large a body": posted(GOOD.ljust(BODY_WIRE_BYTES_MAX + 1), JSON),
    "a read without a filter": asked("GET", "/logs/recent", "limit=1&since=1s&until=0s"),
    "a read of nothing": asked("GET", "/logs/recent", "service_name=nobody"),
    "a bad limit": asked("GET", "/logs/recent", "limit=0"),
    "a doubled parameter": asked("GET", "/logs/recent", "limit=1&limit=2"),
    "an unknown parameter": asked("GET", "/logs/recent", "query=word"),
    "a search for nothing": asked("GET", "/logs/recent", "q=%2D&limit=1"),
    "a phrase left open": asked("GET", "/logs/recent", "q=%22a"),
    "a bad pattern": asked("GET", "/logs/recent", "pattern=%28"),
    "a field without a name": asked("GET", "/logs/recent", "metadata.=1"),
    "a field of another script": asked("GET", "/logs/recent", "metadata.%E6%97%A5=%00&service_name=nobody"),
    "a parameter of a post": asked("POST", "/logs", "a=b"),
    "a cursor of nobody's": asked("GET", "/logs/recent", "cursor=AAAA"),
    "a moment that is none": asked("GET", "/logs/recent", "since=tomorrow"),
    "text of every kind": asked("GET", "/logs/recent", "service_name=%00"),
    "an unknown route": asked("GET", "/nowhere"),
    "an unknown method": asked("DELETE", "/logs"),
    "another case": asked("GET", "/Logs/Recent"),
    "an encoded letter": asked("GET", "/services/%61/logs"),
    "a name of no service": asked("GET", "/services/a%20b/logs"),
    "a stranger's post": of_a_stranger("POST", "/logs"),
    "a stranger's read": of_a_stranger("GET", "/logs/recent"),
    "a stranger nowhere": of_a_stranger("GET", "/nowhere"),
    "health": of_a_stranger("GET", "/health"),
    "a preflight of posts": of_a_stranger("OPTIONS", "/logs"),
    "a preflight of reads": of_a_stranger("OPTIONS", "/logs/recent"),
    "a preflight of a service": of_a_stranger("OPTIONS", "/services/a/logs"),
    "a preflight of health": of_a_stranger("OPTIONS", "/health"),
    "a preflight nowhere": of_a_stranger("OPTIONS", "/nowhere"),
}


@pytest.mark.parametrize("name", EXCHANGES)
def test_both_homes_answer_alike(homes: tuple[AnyHome, AnyHome], name: str) -> None:
    service = fresh_name()
    moment = format_timestamp(time.time_ns() // 10**9 * 10**9 - 60 * 10**9)[:-1] + ".100Z"
    embedded, aws = ([said_of(each) for each in EXCHANGES[name](Scene(home, service, moment))] for home in homes)
    assert aws == embedded


def test_every_row_of_the_differences_is_about_a_test_that_is_there() -> None:
    folder = Path(__file__).parent
    for difference in DIFFERENCES:
        file, _, test = difference.tests.partition("::")
        text = (folder / file).read_text()
        names = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
        assert any(fnmatchcase(name, test.partition("[")[0].rstrip("*") + "*") for name in names), difference
        assert difference.belief is None or difference.belief in {each.name for each in ASSUMPTIONS}, difference
