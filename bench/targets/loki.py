"""Loki over its push and query API (grafana.com/docs/loki: HTTP API), LogQL; the whole record is the line."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from bench.requests import Request, plain_request
from bench.targets.base import Ask, Found
from simple_log_service.core.limits import SECOND_NS

_EVERYTHING = 'service_name=~".+"'
"""A selector has to name at least one label whose value is not empty."""


class _Record(msgspec.Struct):
    service_name: str
    log_type: str
    timestamp: str


class _Stream(msgspec.Struct):
    values: list[tuple[str, str]]


class _Sample(msgspec.Struct):
    value: tuple[float, str] = (0, "0")
    values: list[tuple[float, str]] = []


class Loki:
    """A server that somebody else started."""

    name = "loki"
    ingest_status = 204
    is_ours = False

    def __init__(self, host: str) -> None:
        self._host = host

    def ingest(self, records: Sequence[str]) -> Request:
        """A stream for each service and type, its values nanoseconds and lines."""
        streams: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for text in records:
            record = msgspec.json.decode(text, type=_Record)
            at = datetime.fromisoformat(record.timestamp)
            at_ns = int(at.timestamp()) * SECOND_NS + at.microsecond * 1000
            streams[record.service_name, record.log_type].append((str(at_ns), text))
        pushed = [
            {"stream": {"service_name": service, "log_type": log_type}, "values": values}
            for (service, log_type), values in streams.items()
        ]
        body = msgspec.json.encode({"streams": pushed})
        return plain_request("POST", "/loki/api/v1/push", self._host, body, "application/json")

    def accepted(self, body: bytes, records: int) -> bool:  # noqa: ARG002 - the status is all it says
        """Its answer says no more than its status."""
        return True

    def read(self, ask: Ask) -> Request | None:
        """The newest by ``query_range`` backward, counts by ``count_over_time``; it has no cursors."""
        if ask.cursor is not None:
            return None
        labels = {"service_name": ask.service, "log_type": ask.log_type}
        named = ",".join(f"{name}={_quoted(value)}" for name, value in labels.items() if value is not None)
        query = f"{{{named or _EVERYTHING}}}"
        if ask.word is not None:
            query += f" |= {_quoted(ask.word)}"
        if ask.pattern is not None:
            query += f" |~ {_quoted(ask.pattern)}"
        if ask.field is not None:
            query += f" | json | metadata_{ask.field[0]}={_quoted(ask.field[1])}"
        end_ns = time.time_ns()
        start_ns = end_ns - ask.hours * 3600 * SECOND_NS
        if ask.count_by is None:
            given = {"query": query, "limit": ask.limit, "direction": "backward", "start": start_ns, "end": end_ns}
            return self._get("query_range", given)
        over = ask.interval or ask.hours * 3600
        counted = f"sum by ({ask.count_by}) (count_over_time({query}[{over}s]))"
        if ask.interval is None:
            return self._get("query", {"query": counted, "time": end_ns})
        return self._get("query_range", {"query": counted, "start": start_ns, "end": end_ns, "step": f"{over}s"})

    def found(self, ask: Ask, body: bytes) -> Found:
        """Streams with their values; of counts the samples' sum."""
        result = msgspec.json.decode(body)["data"]["result"]
        if ask.count_by is None:
            return Found(sum(len(stream.values) for stream in msgspec.convert(result, list[_Stream])))
        samples = msgspec.convert(result, list[_Sample])
        return Found(sum(int(value) for each in samples for _, value in (each.value, *each.values)))

    def flush(self) -> None:
        """What is taken in is found at once."""

    def metrics(self) -> None:
        """It does not say what it has left to merge."""

    def _get(self, what: str, given: dict[str, object]) -> Request:
        return plain_request("GET", f"/loki/api/v1/{what}?{urlencode(given)}", self._host)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
