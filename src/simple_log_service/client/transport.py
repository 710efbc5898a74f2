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
from simple_log_service.client.answers import read_json
from simple_log_service.client.configuration import Target
from simple_log_service.client.connections import Pool, TlsPool
from simple_log_service.client.credentials import checked
from simple_log_service.client.errors import RequestRefused, UnexpectedAnswer, Unreachable
from simple_log_service.client.retries import OnRetry, retrying
from simple_log_service.core.limits import KIB

CONNECT_SECONDS_MAX = 5.0
CONNECTIONS_KEPT_MAX = 10
_MESSAGE_CHARS_MAX = 1000
"""Of a message that is shown: a proxy's error may be a whole page."""
_HEADER_CHARS_MAX = 100
"""Of a header that is shown."""
_SECONDS_DIGITS_MAX = 9
"""Of a Retry-After: more are centuries, and Python refuses to read thousands of them."""
_PIECE_BYTES = 64 * KIB

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
        self._pool = _pool(target, timeout_seconds)

    def request(
        self, method: str, path: str, query: str = "", headers: Headers = (), body: bytes = b"", *, signed: bool = True
    ) -> bytes:
        """The body of a 2xx answer. Raises ``ClientError``.

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
                method,
                f"{path}?{query}" if query else path,
                body or None,
                fields,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            content = _content(answer)
        except urllib3.exceptions.HTTPError as error:
            _raise_unreachable(endpoint.url, error)
        if 200 <= answer.status < 300:
            return content
        raise _refused(answer, content)


def _pool(target: Target, timeout_seconds: float) -> Pool | TlsPool:
    where = urllib3.util.parse_url(target.endpoint.base)
    assert where.host is not None
    timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS_MAX, timeout_seconds), read=timeout_seconds)
    if where.scheme == "https":
        return TlsPool(
            where.host, where.port, timeout, CONNECTIONS_KEPT_MAX, retries=False, ca_certs=target.ca_bundle or None
        )
    return Pool(where.host, where.port, timeout, CONNECTIONS_KEPT_MAX, retries=False)


def _content(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The body as it came: no coding was asked for, and none is undone, since little may unpack to much."""
    try:
        # In pieces, since a length that is only announced would be allocated at once.
        return b"".join(answer.stream(_PIECE_BYTES, decode_content=False))
    except ValueError as error:
        # So urllib3 and http.client meet a chunk of negative length.
        raise UnexpectedAnswer(f"The answer is not HTTP: {error}.") from None


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


def _refused(answer: urllib3.BaseHTTPResponse, content: bytes) -> RequestRefused:
    body = read_json(content, _ErrorBody) or _ErrorBody()
    message = body.message or body.Message
    retry_after = answer.headers.get("Retry-After", "")[:_SECONDS_DIGITS_MAX]
    return RequestRefused(
        answer.status,
        # API Gateway appends a URL to some types, after a colon.
        answer.headers.get("x-amzn-ErrorType", "").partition(":")[0][:_HEADER_CHARS_MAX],
        (message or answer.reason or "").strip()[:_MESSAGE_CHARS_MAX],
        answer.headers.get("x-amzn-RequestId", "")[:_HEADER_CHARS_MAX],
        retry_after_seconds=int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
        body=content,
    )
