"""What the server is loaded with: distinct records in distinct signed requests, all made before the clock starts."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from simple_log_service.api.signer import Credentials, sign_headers

REGION = "us-east-1"
SERVICES = 50
TYPES = 8

_LEVELS = ("INFO",) * 12 + ("DEBUG", "DEBUG", "WARN", "ERROR")
_RECORD = (
    '{"service_name":"service-%02d","log_type":"type-%d","level":"%s","timestamp":"%s.%06dZ",'
    '"message":"request %016x for /api/v1/orders/%d answered %d after %d ms by worker %d, cache %s",'
    '"metadata":{"request_id":"%016x","user_id":%d,"duration_ms":%d,"region":"eu-central-1","host":"node-%02d"}}'
)
"""339 bytes or so once it is filled in."""


class Request(NamedTuple):
    """One request as it goes over the wire, in its parts."""

    head: bytes
    body: bytes


class Bodies:
    """Makes bodies whose records are like no others of the run: a random part, a number, a rising timestamp."""

    def __init__(self) -> None:
        self._random = random.Random(339)
        self._numbers = count()

    def make(self, records: int, bodies: int) -> Iterator[bytes]:
        """Bodies of so many records: an object for one, else an array."""
        for _ in range(bodies):
            second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 1))
            texts = [self._record(second) for _ in range(records)]
            yield (texts[0] if records == 1 else f"[{','.join(texts)}]").encode()

    def _record(self, second: str) -> str:
        number, bits = next(self._numbers), self._random.getrandbits(160)
        duration_ms = bits % 997
        return _RECORD % (
            number % SERVICES,
            number // SERVICES % TYPES,
            _LEVELS[bits % len(_LEVELS)],
            second,
            number % 1_000_000,
            bits & 0xFFFF_FFFF_FFFF_FFFF,
            bits >> 64 & 0xF_FFFF,
            (200, 200, 200, 201, 404)[bits % 5],
            duration_ms,
            bits % 16,
            ("hit", "miss")[bits % 2],
            bits >> 96,
            bits >> 70 & 0xFFFF,
            duration_ms,
            bits % 37,
        )


def ingest_request(body: bytes, host: str, credentials: Credentials) -> Request:
    """``POST /logs`` with this body. A signature lives for five minutes."""
    return _signed("POST", "/logs", "", body, host, credentials)


def recent_request(query: str, host: str, credentials: Credentials) -> Request:
    """``GET /logs/recent`` with this query."""
    return _signed("GET", "/logs/recent", query, b"", host, credentials)


def _signed(method: str, path: str, query: str, body: bytes, host: str, credentials: Credentials) -> Request:
    headers = [("Host", host)]
    if body:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    digest = hashlib.sha256(body).hexdigest()
    headers += sign_headers(method, path, query, headers, digest, credentials, REGION, time.time())
    target = f"{path}?{query}" if query else path
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return Request(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode(), body)
