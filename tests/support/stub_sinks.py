"""What the stream's consumer talks to, as one real HTTP server: OpenSearch's ``_bulk``, Firehose and SQS.

It keeps what it takes and refuses what they would refuse: unsigned requests, bodies over a bound, documents with a
metadata value over Lucene's longest term. Beyond that it answers as its script says: ``replies`` are for whole
requests, ``throttled`` says of a document or Firehose record how often it is turned away first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support.loopback import Received, Reply, answering

REGION = "eu-central-1"
ACCESS_KEY_ID, SECRET = "ASIASTREAM", "stream-secret/with+signs"
QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/000000000000/dead-letters"
FIREHOSE_NAME = "parquet"
TERM_BYTES_MAX = 32_766
"""Lucene's longest term, which a leaf of a ``flat_object`` becomes."""


class StubSinks:
    """``documents`` by index and id, ``rows`` as they came, ``letters`` of the queue, ``seen`` are the requests."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Received] = []
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.rows: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.replies: dict[str, list[int | None]] = {"_bulk": [], "PutRecordBatch": [], "SendMessage": [], "PUT": []}
        self.throttled: Callable[[str], int] = lambda text: 0
        self.unfit: Callable[[dict[str, Any]], str | None] = lambda source: None
        self.bulk_bytes_max = 10 * 2**20
        self._turned_away: Counter[str] = Counter()

    @contextmanager
    def running(self) -> Iterator[StubSinks]:
        """Serve on a free port of 127.0.0.1."""
        with answering(self._answer) as self.url:
            yield self

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a function that has all of it."""
        return {
            "AWS_REGION": REGION,
            "SIMPLE_LOG_SERVICE_DEAD_LETTERS_URL": QUEUE_URL,
            "SIMPLE_LOG_SERVICE_SEARCH_URL": self.url,
            "SIMPLE_LOG_SERVICE_FIREHOSE_NAME": FIREHOSE_NAME,
            "SIMPLE_LOG_SERVICE_ENDPOINT_URL": self.url,
        }

    def requests(self, what: str) -> list[Received]:
        """The requests whose target or operation has this in it."""
        return [each for each in self.seen if what in each.target or what in (each.header("x-amz-target") or "")]

    def _answer(self, request: Received) -> Reply | None:
        self.seen.append(request)
        operation = (request.header("x-amz-target") or request.target.partition("?")[0]).rpartition(".")[2].lstrip("/")
        replies = self.replies["PUT" if request.method == "PUT" else operation]
        status = replies.pop(0) if replies else 200
        if status is None:
            return None
        if operation not in {"PutRecordBatch", "SendMessage"} and not is_signed(request, "es"):
            return _reply(403, {"message": "The request signature does not match."})
        if status != 200:
            return _reply(status, {"__type": "ServiceUnavailableException", "message": "scripted"})
        match operation:
            case "_bulk":
                return self._bulk(request)
            case "PutRecordBatch":
                return self._firehose(json.loads(request.body))
            case "SendMessage":
                message = json.loads(request.body)
                assert message["QueueUrl"] == QUEUE_URL
                self.letters.append(json.loads(message["MessageBody"]))
                return _reply(200, {"MessageId": "m"})
            case _:
                return _reply(200, {"acknowledged": True})

    def _bulk(self, request: Received) -> Reply:
        if len(request.body) > self.bulk_bytes_max:
            return _reply(413, {"Message": "Request size exceeded"})
        assert request.header("content-type") == "application/x-ndjson"
        *lines, end = request.body.split(b"\n")
        assert end == b"", "a bulk request ends with a newline"
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            target = json.loads(action)["index"]
            items.append({"index": self._index(target["_index"], target["_id"], json.loads(source))})
        return _reply(200, {"items": items})

    def _index(self, index: str, document_id: str, source: dict[str, Any]) -> dict[str, Any]:
        assert len(document_id) <= 512
        unfit = self.unfit(source)
        if unfit is None and any(len(leaf.encode()) > TERM_BYTES_MAX for leaf in _leaves(source.get("metadata"))):
            unfit = "illegal_argument_exception"
        if unfit is not None:
            return {"status": 400, "error": {"type": unfit}}
        if self._is_turned_away(document_id):
            return {"status": 429, "error": {"type": "es_rejected_execution_exception"}}
        self.documents[index, document_id] = source
        return {"status": 201}

    def _firehose(self, call: dict[str, Any]) -> Reply:
        assert call["DeliveryStreamName"] == FIREHOSE_NAME
        blobs = [base64.b64decode(record["Data"]) for record in call["Records"]]
        assert len(blobs) <= 500
        assert sum(map(len, blobs)) <= 4 * 2**20
        assert max(map(len, blobs)) <= 1000 * 1024
        responses: list[dict[str, str]] = []
        for blob in blobs:
            if self._is_turned_away(hashlib.sha256(blob).hexdigest()):
                responses.append({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."})
                continue
            self.rows += _objects(blob.decode())
            responses.append({"RecordId": "r"})
        failed = sum("ErrorCode" in response for response in responses)
        return _reply(200, {"FailedPutCount": failed, "RequestResponses": responses})

    def _is_turned_away(self, text: str) -> bool:
        if self._turned_away[text] >= self.throttled(text):
            return False
        self._turned_away[text] += 1
        return True


def is_signed(request: Received, service: str) -> bool:
    """Whether a request carries a right signature by Signature Version 4, worked out here by hand."""
    authorization = request.header("authorization") or ""
    if not authorization.startswith("AWS4-HMAC-SHA256 "):
        return False
    fields = dict(part.split("=", 1) for part in authorization.split(" ", 1)[1].split(", "))
    access_key_id, date, region, signed_service, terminator = fields["Credential"].split("/")
    if (access_key_id, region, signed_service, terminator) != (ACCESS_KEY_ID, REGION, service, "aws4_request"):
        return False
    names = fields["SignedHeaders"].split(";")
    if "host" not in names or "x-amz-content-sha256" not in names:
        return False
    path, _, query = request.target.partition("?")
    digest = hashlib.sha256(request.body).hexdigest()
    lines = "".join(f"{name}:{' '.join((request.header(name) or '').split())}\n" for name in names)
    canonical = "\n".join([request.method, path, query, lines, fields["SignedHeaders"], digest])
    scope = f"{date}/{region}/{service}/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", request.header("x-amz-date") or "", scope, hashed])
    key = f"AWS4{SECRET}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), fields["Signature"])


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that stand one after the other, as Firehose's conversion reads them."""
    decoder = json.JSONDecoder()
    at = 0
    while at < len(text):
        row, at = decoder.raw_decode(text, at)
        yield row


def _reply(status: int, body: object) -> Reply:
    return Reply(status, [("Content-Type", "application/json")], json.dumps(body).encode())
