"""Stubs of VictoriaLogs and Loki that take exactly the requests which their documentation describes, and answer them.

Anything else is a 400. They keep records in memory and understand no more of LogsQL and LogQL than the benchmark says.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_STRING = r'("(?:[^"\\]|\\.)*")'
_LOGSQL = re.compile(
    rf"_time:(?P<hours>\d+)h(?: \{{(?P<stream>[^}}]*)\}})?(?: (?P<field>{_STRING}):=(?P<value>{_STRING}))?"
    rf"(?: ~(?P<pattern>{_STRING}))?(?: (?P<word>{_STRING}))?"
    r" \| (?:sort by \(_time desc\) limit (?P<limit>\d+)"
    r"|stats by \((?:_time:\d+s, )?(?P<by>\w+)\) count\(\) as counted)"
)
_LOGQL = re.compile(
    rf"\{{(?P<stream>[^}}]*)\}}(?: \|= (?P<word>{_STRING}))?(?: \|~ (?P<pattern>{_STRING}))?"
    rf"(?: \| json \| metadata_(?P<field>\w+)=(?P<value>{_STRING}))?"
)
_COUNTED = re.compile(r"sum by \((?P<by>\w+)\) \(count_over_time\((?P<query>.*)\[(?P<over>\d+)s\]\)\)")
_LABEL = re.compile(rf"(\w+)(=~?){_STRING}")

Record = dict[str, Any]
Reply = tuple[int, bytes]


class StubPeer:
    """One server's records."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.flushes = 0
        self.host = ""

    def reply(self, method: str, path: str, query: dict[str, str], body: bytes, content_type: str) -> Reply:
        raise NotImplementedError

    def newest(self, found: re.Match[str], limit: int) -> list[Record]:
        return sorted(self.matching(found), key=lambda record: record["timestamp"], reverse=True)[:limit]

    def matching(self, found: re.Match[str]) -> list[Record]:
        labels = {name: json.loads(value) for name, sign, value in _LABEL.findall(found["stream"] or "") if sign == "="}
        word, pattern = (None if found[each] is None else json.loads(found[each]) for each in ("word", "pattern"))
        matching = [
            record
            for record in self.records
            if all(record[name] == value for name, value in labels.items())
            and (word is None or re.search(rf"\b{word}\b", record["message"]))
            and (pattern is None or re.search(pattern, record["message"]))
        ]
        if found["field"] is None:
            return matching
        name = found["field"].strip('"').removeprefix("metadata.")
        return [record for record in matching if record["metadata"][name] == json.loads(found["value"])]


class StubVictoriaLogs(StubPeer):
    def reply(self, method: str, path: str, query: dict[str, str], body: bytes, content_type: str) -> Reply:
        if (method, path) == ("POST", "/insert/jsonline") and content_type == "application/stream+json":
            assert query == {
                "_stream_fields": "service_name,log_type",
                "_time_field": "timestamp",
                "_msg_field": "message",
            }
            self.records += map(json.loads, body.splitlines())
            return 200, b""
        if (method, path) == ("GET", "/internal/force_flush"):
            self.flushes += 1
            return 200, b""
        assert (method, path, list(query)) == ("GET", "/select/logsql/query", ["query"])
        found = _LOGSQL.fullmatch(query["query"])
        assert found is not None, query["query"]
        if found["by"] is None:
            answer = self.newest(found, int(found["limit"]))
        else:
            counts = Counter(record[found["by"]] for record in self.matching(found))
            answer = [{found["by"]: name, "counted": str(count)} for name, count in counts.items()]
        return 200, "".join(f"{json.dumps(each)}\n" for each in answer).encode()


class StubLoki(StubPeer):
    def reply(self, method: str, path: str, query: dict[str, str], body: bytes, content_type: str) -> Reply:
        if (method, path) == ("POST", "/loki/api/v1/push") and content_type == "application/json":
            for stream in json.loads(body)["streams"]:
                assert set(stream) == {"stream", "values"}
                for at_ns, line in stream["values"]:
                    assert len(at_ns) == 19
                    record = json.loads(line)
                    assert stream["stream"] == {name: record[name] for name in ("service_name", "log_type")}
                    self.records.append(record)
            return 204, b""
        assert method == "GET"
        counted = _COUNTED.fullmatch(query["query"])
        found = _LOGQL.fullmatch(query["query"] if counted is None else counted["query"])
        assert found is not None, query["query"]
        assert found["stream"], "a selector needs a label"
        if counted is None:
            assert path == "/loki/api/v1/query_range"
            assert query["direction"] == "backward"
            assert int(query["start"]) < int(query["end"])
            lines = [[record["timestamp"], json.dumps(record)] for record in self.newest(found, int(query["limit"]))]
            result: list[Any] = [{"stream": {}, "values": lines}] if lines else []
        else:
            counts = Counter(record[counted["by"]] for record in self.matching(found))
            is_range = path == "/loki/api/v1/query_range"
            assert is_range == ("step" in query)
            name = "values" if is_range else "value"
            result = [
                {"metric": {counted["by"]: each}, name: [[1, str(count)]] if is_range else [1, str(count)]}
                for each, count in counts.items()
            ]
        return 200, json.dumps({"status": "success", "data": {"result": result}}).encode()


@contextmanager
def serving(peer: StubPeer) -> Iterator[StubPeer]:
    """The peer on a free port; its answers to reads come in chunks, as Go's servers send them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = urlsplit(self.path)
            given = parse_qs(parts.query, strict_parsing=bool(parts.query))
            query = {name: value for name, (value,) in given.items()}
            try:
                status, answer = peer.reply(method, parts.path, query, body, self.headers.get("Content-Type", ""))
            except (AssertionError, LookupError, ValueError) as error:
                status, answer = 400, repr(error).encode()
            self.send_response(status)
            if status == 204:
                self.end_headers()
                return
            if not answer:
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            halves = answer[: len(answer) // 2], answer[len(answer) // 2 :]
            for half in filter(None, halves):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(half), half))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        peer.host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()
