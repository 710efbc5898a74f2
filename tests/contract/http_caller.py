"""Somebody who holds a key: signs requests, sends them byte for byte as they are, and reads answers strictly.

What every answer must carry, and that it is one which ``openapi.yaml`` knows, is checked on the way: in each test.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from uuid import UUID

from contract.http_document import assert_documented
from simple_log_service.api.signer import Credentials
from support.raw_http import Answer, RawClient, connected
from support.signing import Request, signed

JSON = ("Content-Type", "application/json")
NDJSON = ("Content-Type", "application/x-ndjson")
EXPOSED = {"x-amzn-requestid", "x-amzn-errortype", "retry-after"}
"""The headers that a page of another origin may read."""


class Caller:
    """One caller of one home. ``address`` is where it listens, ``credentials`` may be ``None`` for a stranger."""

    def __init__(
        self,
        address: tuple[str, int],
        credentials: Credentials | None,
        region: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.region = region
        self.tls = tls

    def signed(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        now: float | None = None,
    ) -> Request:
        """A request, signed now or at another moment; ``path`` and ``query`` are percent-encoded."""
        if self.credentials is None:
            plain = [(b"Host", b"stranger"), *((name.encode(), value.encode("latin-1")) for name, value in headers)]
            return Request(method, path, query, plain, body)
        moment = time.time() if now is None else now
        return signed(method, path, query, headers, body, self.credentials, region=self.region, now=int(moment))

    def send(self, request: Request) -> Answer:
        """Send whatever has become of a request, on a connection of its own."""
        with connected(self.address, self.tls) as client:
            return send_on(client, request)

    def ask(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        now: float | None = None,
    ) -> Answer:
        """Sign and send."""
        return self.send(self.signed(method, path, query, headers, body, now=now))

    def post(self, records: Any, *headers: tuple[str, str], path: str = "/logs") -> Answer:
        """Post bytes as they are, anything else as JSON."""
        body = records if isinstance(records, bytes) else json.dumps(records).encode()
        given = headers if any(name.lower() == "content-type" for name, _ in headers) else (JSON, *headers)
        return self.ask("POST", path, "", given, body)

    def get(self, path: str = "/logs/recent", **parameters: object) -> Answer:
        """Read with parameters in plain text."""
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
        return self.ask("GET", path, query)

    def page(self, path: str = "/logs/recent", **parameters: object) -> dict[str, Any]:
        """One page, which must be one."""
        answer = self.get(path, **parameters)
        assert answer.status == 200, answer
        page: dict[str, Any] = said(answer)
        assert page.keys() == {"count", "logs", "next_cursor", "complete"}
        assert page["count"] == len(page["logs"])
        return page

    def logs(self, path: str = "/logs/recent", **parameters: object) -> list[dict[str, Any]]:
        """All that matches, page after page until no cursor is left."""
        page = self.page(path, **parameters)
        logs: list[dict[str, Any]] = page["logs"]
        while page["next_cursor"] is not None:
            page = self.page(path, **{**parameters, "cursor": page["next_cursor"]})
            logs += page["logs"]
        return logs


def wire(request: Request) -> bytes:
    """The request's bytes; Content-Length comes by itself where nothing delimits the body."""
    target = f"{request.path}?{request.query}" if request.query else request.path
    lines = [f"{request.method} {target} HTTP/1.1".encode("latin-1")]
    lines += [name + b": " + value for name, value in request.headers]
    delimited = {b"content-length", b"transfer-encoding"} & {name.lower() for name, _ in request.headers}
    if not delimited and (request.body or request.method == "POST"):
        lines.append(b"Content-Length: %d" % len(request.body))
    return b"\r\n".join([*lines, b"", b""]) + request.body


def send_on(client: RawClient, request: Request) -> Answer:
    """Send on an open connection and read the answer, which has to be a documented one."""
    client.send(wire(request))
    answer = client.answer(has_body=request.method != "HEAD")
    checked(answer)
    assert_documented(request, answer)
    return answer


def said(answer: Answer) -> Any:
    """The answer's body, which must be the JSON that it claims to be."""
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.body)


def checked(answer: Answer) -> Answer:
    """The same answer, with all that every answer carries."""
    UUID(answer.headers["x-amzn-requestid"])
    assert answer.headers["access-control-allow-origin"] == "*"
    exposed = answer.headers["access-control-expose-headers"]
    assert {name.strip().lower() for name in exposed.split(",")} >= EXPOSED
    assert answer.status < 500, answer
    return answer


def refusal(answer: Answer) -> tuple[int, str, Any]:
    """Status, error type and body of an answer that says no."""
    return answer.status, answer.headers["x-amzn-errortype"], said(answer)


def expanded_ids(receipt: dict[str, Any]) -> dict[int, str]:
    """The generated ids by index, as the document says to expand them."""
    ids = {}
    for run in receipt["log_ids"]:
        for place in range(run["count"]):
            digits = run["first"].replace("-", "")
            arrival = int(digits[:12], 16) * 1000 + int(digits[13:16], 16) + place
            text = f"{arrival // 1000:012x}7{arrival % 1000:03x}{digits[16:]}"
            ids[run["index"] + place] = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return ids
