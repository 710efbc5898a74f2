"""Asking the endpoint: one signed request on a connection of its own, byte for byte as it is told.

The rules: certificates are verified; nothing is repeated and no redirect followed; a run sends at most so many
requests; no request is shown, since its headers hold a signature and a session token.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from infra.assumptions import Spoiling
from infra.smoke.findings import NotHeld, expect
from simple_log_service.api.signer import Credentials, sign_headers
from simple_log_service.client.endpoint import Endpoint

T = TypeVar("T")
Headers = Sequence[tuple[str, str]]

REQUESTS_MAX = 600
"""A run stops asking there, whatever goes on; the throttle's own check has a bound of its own."""
ANSWER_SECONDS_MAX = 35.0
"""API Gateway gives an integration 29."""
JSON_TYPE = ("Content-Type", "application/json")
_SPOILED_SECONDS = {"date_10_minutes_old": -600, "date_10_minutes_ahead": 600}


class Answer(NamedTuple):
    """What came back; header names in lower case, the values of a repeated one joined by a comma."""

    status: int
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        error_type = self.headers.get("x-amzn-errortype", "")
        return f"{self.status} {error_type} {self.body[:4096].decode('utf-8', 'replace')}".replace("  ", " ")

    def read(self, kind: type[T], *statuses: int) -> T:
        """The body as this; ``NotHeld`` for another status, or a body that is something else."""
        expect(self.status in statuses, self)
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NotHeld(f"the body is no {kind.__name__}: {self}") from None


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """One page of records."""

    count: int
    logs: list[dict[str, Any]]
    next_cursor: str | None
    complete: bool


class Budget:
    """How many requests a run has sent, and may."""

    def __init__(self, requests_max: int = REQUESTS_MAX) -> None:
        self.requests = 0
        self._requests_max = requests_max

    def spend(self) -> None:
        """Count one more; ``NotHeld`` where that is one too many."""
        expect(self.requests < self._requests_max, f"the run has sent its {self._requests_max} requests")
        self.requests += 1


class Asker:
    """Asks one endpoint as one caller, or as a stranger where ``credentials`` is ``None``."""

    def __init__(self, endpoint: Endpoint, region: str, credentials: Credentials | None, budget: Budget) -> None:
        self.endpoint = endpoint
        self.region = region
        self.credentials = credentials
        self._budget = budget

    def ask(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Headers = (),
        body: bytes = b"",
        *,
        spoiling: Spoiling = "",
    ) -> Answer:
        """Sign, send, read. ``path`` and ``query`` are percent-encoded; ``spoiling`` is done to the signature."""
        self._budget.spend()
        path = self.endpoint.path + path
        given = [("Host", self.endpoint.host_header), *headers]
        sent = [*given, *self._signature(method, path, query, given, body, spoiling)]
        if spoiling == "other_body":
            body = body.replace(b"hello", b"hallo")
        return _send(self.endpoint, method, f"{path}?{query}" if query else path, sent, body)

    def post(self, records: object, *headers: tuple[str, str], path: str = "/logs") -> Answer:
        """Post bytes as they are, anything else as JSON."""
        body = records if isinstance(records, bytes) else msgspec.json.encode(records)
        typed = any(name.lower() == "content-type" for name, _ in headers)
        return self.ask("POST", path, "", headers if typed else (JSON_TYPE, *headers), body)

    def get(self, path: str = "/logs/recent", **parameters: object) -> Answer:
        """Read with parameters in plain text."""
        return self.ask("GET", path, "&".join(f"{name}={quote(str(value), '')}" for name, value in parameters.items()))

    def page(self, path: str = "/logs/recent", **parameters: object) -> Page:
        """One page, which must be one."""
        page = self.get(path, **parameters).read(Page, 200)
        expect(page.count == len(page.logs), f"count is {page.count} for {len(page.logs)} records")
        return page

    def pages(self, path: str = "/logs/recent", **parameters: object) -> list[Page]:
        """Every page, from the newest to the end."""
        pages = [self.page(path, **parameters)]
        while (cursor := pages[-1].next_cursor) is not None:
            pages.append(self.page(path, **{**parameters, "cursor": cursor}))
        return pages

    def logs(self, path: str = "/logs/recent", **parameters: object) -> list[dict[str, Any]]:
        """Every record, newest first."""
        return [record for page in self.pages(path, **parameters) for record in page.logs]

    def _signature(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, spoiling: Spoiling
    ) -> list[tuple[str, str]]:
        credentials = self.credentials
        if credentials is None:
            return []
        late_token: list[tuple[str, str]] = []
        if spoiling == "token_unsigned" and credentials.session_token:
            late_token = [("X-Amz-Security-Token", credentials.session_token)]
            credentials = msgspec.structs.replace(credentials, session_token=None)
        region = "antarctica-1" if spoiling == "other_region" else self.region
        now = time.time() + _SPOILED_SECONDS.get(spoiling, 0)
        digest = hashlib.sha256(body).hexdigest()
        signed = sign_headers(method, path, query, _joined(headers), digest, credentials, region, now)
        return [(name, _spoiled(value, spoiling)) for name, value in signed] + late_token


def _spoiled(value: str, spoiling: Spoiling) -> str:
    if spoiling == "no_signature":
        return value.partition(", Signature=")[0]
    return value.replace("/execute-api/", "/logs/") if spoiling == "other_service" else value


def _joined(headers: Headers) -> list[tuple[str, str]]:
    """Each name once, as signatures have it: the values of a repeated header joined by a comma."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name, []).append(value)
    return [(name, ",".join(each)) for name, each in values.items()]


def _send(endpoint: Endpoint, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> Answer:
    connection = _connection(endpoint)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body or method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        # Who refuses a body at its head may close before all of it has been sent: the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send(body)
        response = connection.getresponse()
        values: dict[str, list[str]] = {}
        for name, value in response.getheaders():
            values.setdefault(name.lower(), []).append(value)
        content = response.read()
        return Answer(response.status, {name: ", ".join(each) for name, each in values.items()}, content)
    finally:
        connection.close()


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    scheme, _, authority = endpoint.base.partition("://")
    if scheme == "http":
        return http.client.HTTPConnection(authority, timeout=ANSWER_SECONDS_MAX)
    context = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
    return http.client.HTTPSConnection(authority, timeout=ANSWER_SECONDS_MAX, context=context)
