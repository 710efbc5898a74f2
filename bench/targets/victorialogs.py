"""VictoriaLogs over its JSON lines and LogsQL (docs.victoriametrics.com/victorialogs: data ingestion, querying)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from bench.requests import Request, plain_request
from bench.targets.base import Ask, Found

_INSERT = "/insert/jsonline?_stream_fields=service_name,log_type&_time_field=timestamp&_msg_field=message"


class _Count(msgspec.Struct):
    counted: str


class VictoriaLogs:
    """A server that somebody else started."""

    name = "victorialogs"
    ingest_status = 200
    is_ours = False

    def __init__(self, host: str) -> None:
        self._host = host

    def ingest(self, records: Sequence[str]) -> Request:
        """One record a line; service and type make the stream."""
        body = "".join(f"{record}\n" for record in records).encode()
        return plain_request("POST", _INSERT, self._host, body, "application/stream+json")

    def accepted(self, body: bytes, records: int) -> bool:  # noqa: ARG002 - the status is all it says
        """Its answer says no more than its status."""
        return True

    def read(self, ask: Ask) -> Request | None:
        """Its counts of ``stats by``, its newest by sorting; it has no cursors."""
        if ask.cursor is not None:
            return None
        labels = {"service_name": ask.service, "log_type": ask.log_type}
        stream = ",".join(f"{name}={_quoted(value)}" for name, value in labels.items() if value is not None)
        filters = [f"_time:{ask.hours}h", *([f"{{{stream}}}"] if stream else [])]
        if ask.word is not None:
            filters.append(_quoted(ask.word))
        if ask.pattern is not None:
            filters.append(f"~{_quoted(ask.pattern)}")
        if ask.field is not None:
            filters.append(f"{_quoted(f'metadata.{ask.field[0]}')}:={_quoted(ask.field[1])}")
        if ask.count_by is None:
            pipe = f"sort by (_time desc) limit {ask.limit}"
        else:
            bucket = "" if ask.interval is None else f"_time:{ask.interval}s, "
            pipe = f"stats by ({bucket}{ask.count_by}) count() as counted"
        query = quote(f"{' '.join(filters)} | {pipe}", safe="")
        return plain_request("GET", f"/select/logsql/query?query={query}", self._host)

    def found(self, ask: Ask, body: bytes) -> Found:
        """JSON lines: records, or a count for each group."""
        lines = body.splitlines()
        if ask.count_by is None:
            return Found(len(lines))
        return Found(sum(int(msgspec.json.decode(line, type=_Count).counted) for line in lines))

    def flush(self) -> Request:
        """What was taken in within the last second is else not found."""
        return plain_request("GET", "/internal/force_flush", self._host)

    def metrics(self) -> None:
        """It does not say what it has left to merge."""


def _quoted(text: str) -> str:
    """A string of LogsQL; the texts here hold neither quotes nor anything else that JSON and it write differently."""
    return msgspec.json.encode(text).decode()
