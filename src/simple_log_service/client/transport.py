"""Signed HTTP requests over a pool of connections: one attempt is one fresh signature.

The rules: TLS certificates are verified, redirects are not followed, and no error quotes a header.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import urllib3

from simple_log_service import __version__
from simple_log_service.api.signer import sign_headers
from simple_log_service.client.configuration import Target
from simple_log_service.client.credentials import checked
from simple_log_service.client.errors import RequestRefused, Unreachable
from simple_log_service.client.retries import OnRetry, retrying

CONNECT_SECONDS_MAX = 5.0
CONNECTIONS_KEPT_MAX = 10
_MESSAGE_CHARS_MAX = 1000
"""Of a message that is shown: a proxy's error may be a whole page."""

Headers = Sequence[tuple[str, str]]


class Transport:
    """Sends requests to one service; threads may share it. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        target: Target,
        *,
        timeout_seconds: float,
        attempts_max: int,
        on_retry: OnRetry | None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._target = target
        self._retrying = retrying(attempts_max, on_retry, sleep)
        self._clock = clock
        trust = {"ca_certs": target.ca_bundle} if target.ca_bundle and target.endpoint.base.startswith("https") else {}
        self._pool = urllib3.connection_from_url(
            target.endpoint.base,
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS_MAX, timeout_seconds), read=timeout_seconds),
            retries=False,
            maxsize=CONNECTIONS_KEPT_MAX,
            **trust,
        )

    def request(
        self, method: str, path: str, query: str = "", headers: Headers = (), body: bytes = b"", *, signed: bool = True
    ) -> bytes:
        """The body of a 2xx answer. Raises ``RequestRefused``, ``Unreachable`` or ``NotConfigured``.

        ``path`` and ``query`` are percent-encoded. What passes by itself is tried again with the same headers and body.
        """
        once = self._once_signed if signed else self._once
        return self._retrying(once, method, self._target.endpoint.path + path, query, headers, body)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    def _once_signed(self, method: str, path: str, query: str, headers: Headers, body: bytes) -> bytes:
        target = self._target
        given = (*headers, ("Host", target.endpoint.host_header))
        body_sha256_hex = hashlib.sha256(body).hexdigest()
        credentials = checked(target.credentials())
        signature = sign_headers(method, path, query, given, body_sha256_hex, credentials, target.region, self._clock())
        return self._once(method, path, query, (*headers, *signature), body)

    def _once(self, method: str, path: str, query: str, headers: Headers, body: bytes) -> bytes:
        endpoint = self._target.endpoint
        fields = {"Host": endpoint.host_header, "User-Agent": f"simple-log-service/{__version__}", **dict(headers)}
        try:
            answer = self._pool.urlopen(
                method, f"{path}?{query}" if query else path, body or None, fields, redirect=False, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            _raise_unreachable(endpoint.url, error)
        if 200 <= answer.status < 300:
            return answer.data
        raise _refused(answer)


def _raise_unreachable(url: str, error: urllib3.exceptions.HTTPError) -> NoReturn:
    if isinstance(error, urllib3.exceptions.SSLError):
        advice = "For a certificate of your own, name its authority's file in AWS_CA_BUNDLE."
        raise Unreachable(f"{url} has no valid TLS: {error}. {advice}", may_pass=False) from None
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        raise Unreachable(f"{url} cannot be reached. Is the server running, and is this its address?") from None
    if isinstance(error, urllib3.exceptions.TimeoutError):
        raise Unreachable(f"{url} did not answer in time.") from None
    raise Unreachable(f"{url} broke the connection before it had answered.") from None


class _ErrorBody(msgspec.Struct):
    """API Gateway writes ``Message`` for a denial by policy and ``message`` for everything else."""

    message: str = ""
    Message: str = ""


def _refused(answer: urllib3.BaseHTTPResponse) -> RequestRefused:
    try:
        body = msgspec.json.decode(answer.data, type=_ErrorBody)
        message = body.message or body.Message
    except (msgspec.DecodeError, UnicodeDecodeError):
        message = ""
    retry_after = answer.headers.get("Retry-After", "")
    return RequestRefused(
        answer.status,
        # API Gateway appends a URL to some types, after a colon.
        answer.headers.get("x-amzn-ErrorType", "").partition(":")[0],
        (message or answer.reason or "").strip()[:_MESSAGE_CHARS_MAX],
        answer.headers.get("x-amzn-RequestId", ""),
        retry_after_seconds=int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
        body=answer.data,
    )
