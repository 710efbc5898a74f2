"""The service itself: every request signed with AWS Signature Version 4, whose signatures live for five minutes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from bench.requests import Request, json_body, request
from bench.targets.base import Ask, Found
from simple_log_service.api.signer import Credentials, sign_headers

REGION = "us-east-1"


class _Page(msgspec.Struct):
    count: int
    next_cursor: str | None
    complete: bool = True


class Own:
    """Speaks the contract."""

    name = "simple-log-service"
    ingest_status = 201
    is_ours = True

    def __init__(self, host: str, credentials: Credentials) -> None:
        self._host, self.credentials = host, credentials

    def ingest(self, records: Sequence[str]) -> Request:
        """``POST /logs``: an object for one, else an array."""
        return self._signed("POST", "/logs", "", json_body(records))

    def accepted(self, body: bytes, records: int) -> bool:
        """One record's receipt has no count."""
        return records == 1 or body.startswith(b'{"accepted":%d,' % records)

    def read(self, ask: Ask) -> Request:
        """``GET /logs/recent`` or ``GET /logs/stats``."""
        given = {
            "service_name": ask.service,
            "log_type": ask.log_type,
            "hours": None if ask.hours == 24 else ask.hours,
            "q": ask.word,
            "pattern": ask.pattern,
            "cursor": ask.cursor,
        }
        if ask.field is not None:
            given[f"metadata.{ask.field[0]}"] = ask.field[1]
        if ask.count_by is not None:
            given |= {"by": ask.count_by, "interval": None if ask.interval is None else f"{ask.interval}s"}
        elif ask.limit != 100:
            given["limit"] = ask.limit
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in given.items() if value is not None)
        return self._signed("GET", "/logs/recent" if ask.count_by is None else "/logs/stats", query)

    def found(self, ask: Ask, body: bytes) -> Found:
        """A page says how many it holds; counts are added up."""
        if ask.count_by is None:
            page = msgspec.json.decode(body, type=_Page)
            return Found(page.count, page.next_cursor, page.complete)
        answer = msgspec.json.decode(body)
        cursor = answer["next_cursor"]
        return Found(_counted(answer), cursor, answer["complete"] and cursor is None)

    def flush(self) -> None:
        """What is acknowledged is in the next read."""

    def metrics(self) -> Request:
        """Prometheus text."""
        return self._signed("GET", "/metrics", "")

    def _signed(self, method: str, path: str, query: str, body: bytes = b"") -> Request:
        headers = [("Host", self._host)]
        if body:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        digest = hashlib.sha256(body).hexdigest()
        headers += sign_headers(method, path, query, headers, digest, self.credentials, REGION, time.time())
        return request(method, f"{path}?{query}" if query else path, headers, body)


def health(host: str) -> Request:
    """The one request that needs no signature."""
    return request("GET", "/health", [("Host", host)], b"")


def _counted(answer: object) -> int:
    """The sum of every ``count`` in it, wherever the counts stand."""
    if isinstance(answer, dict):
        own = answer.get("count")
        return own if isinstance(own, int) else sum(map(_counted, answer.values()))
    return sum(map(_counted, answer)) if isinstance(answer, list) else 0
