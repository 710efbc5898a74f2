"""Reading a request's head: strict, because two servers that read one head differently can be played off.

The request line is ours, one regular expression; the header section is llhttp's, in its strict mode, which refuses
obs-fold, NUL and other controls, bare CR and LF, a space before the colon and names that are no tokens. What llhttp
leaves to its caller (Host, repeated fields, HTTP/1.0) is checked after it. Every refusal is a 400 and ends the
connection. Upgrades are not offered: the field is ignored, as RFC 9110 section 7.8 allows.

A path is ``/`` or segments of the characters that RFC 3986 allows there. Empty and dot segments, ``%2F``, ``%5C``
and ``%00`` are refused here: what follows never sees a path that some intermediary could have read otherwise.
"""

from __future__ import annotations

import re
from functools import lru_cache

import httptools
import msgspec

from simple_log_service.api.errors import Refused
from simple_log_service.api.messages import RequestHead

# Possessive quantifiers: a line that fails must not be tried again in other ways.
_REQUEST_LINE = re.compile(
    rb"([A-Z]{3,16}) "
    rb"(?=/)((?:/(?!\.{1,2}[/? ])(?:[A-Za-z0-9._~!$&'()*+,;=:@-]++|%(?!2[Ff]|5[Cc]|00)[0-9A-Fa-f]{2})++)*+/?+)"
    rb"(?:\?([\x21\x22\x24-\x7e]*+))? "
    rb"HTTP/1\.([01])"
)
_AT_MOST_ONCE = (b"host", b"content-length", b"transfer-encoding", b"expect")


class Framing(msgspec.Struct, frozen=True):
    """How the body is delimited and what happens around it. ``body_bytes`` is ``None`` where it is chunked."""

    body_bytes: int | None
    keep_alive: bool
    expects_continue: bool


def bad_request(message: str) -> Refused:
    """The refusal of a request that is not HTTP as this server reads it."""
    return Refused(400, "BadRequestException", message)


def head_bytes(received: bytes, head_bytes_max: int) -> int:
    """The length of the head at the start of ``received``, its blank line included; 0 while it is incomplete.

    Raises ``Refused``: 431 past the bound, 400 as soon as the request line or a bare LF shows that nothing good
    will come. The verdict depends on the bytes alone, never on how they were cut into reads.
    """
    end = received.find(b"\r\n\r\n") + 4
    if 4 <= end <= head_bytes_max:
        return end
    known = received[:head_bytes_max]
    if known.count(b"\n") != known.count(b"\r\n"):
        raise bad_request("A line of the head ends without CR LF")
    line_end = known.find(b"\r\n")
    if line_end >= 0:
        _request_line(known[:line_end])
    if len(received) > head_bytes_max:
        raise Refused(
            431,
            "RequestHeaderFieldsTooLargeException",
            f"The request line and headers pass {head_bytes_max} bytes",
        )
    return 0


def read_head(
    raw: bytes, source_ip: str, secure: bool, request_id: str, received_ns: int
) -> tuple[RequestHead, Framing]:
    """Read one complete head, its blank line included; raises ``Refused`` (400, or 417 for an unknown Expect)."""
    method, path, query, is_http_1_1 = _request_line(raw[: raw.find(b"\r\n")])
    headers = _headers(raw)
    fields = dict(headers)
    if len(fields) != len(headers):
        _refuse_repeated(headers)
    # RFC 9112 section 3.2: a request without Host, or with two, is answered 400.
    if b"host" not in fields:
        raise bad_request("The Host header is missing")
    head = RequestHead(method, path, query, headers, fields, source_ip, secure, request_id, received_ns)
    keep_alive = is_http_1_1 and (b"connection" not in fields or not _asks_to_close(headers))
    expects_continue = b"expect" in fields and _expects_continue(fields[b"expect"], is_http_1_1)
    return head, Framing(_body_bytes(fields, is_http_1_1), keep_alive, expects_continue)


@lru_cache(maxsize=1024)
def _request_line(line: bytes) -> tuple[str, str, str, bool]:
    """Method, path, query and whether it is HTTP/1.1. Remembered: a client repeats its few lines endlessly."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise bad_request("The request line is malformed")
    method, path, query, minor = match.groups(b"")
    return method.decode("ascii"), path.decode("ascii"), query.decode("ascii"), minor == b"1"


class _Headers(list[tuple[bytes, bytes]]):
    """Collects what llhttp finds."""

    __slots__ = ()

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves white space behind a value.
        self.append((name.lower(), value.rstrip()))


def _headers(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The header section as (lower-case name, value). A parser lives for one head, so no state can leak."""
    headers = _Headers()
    try:
        httptools.HttpRequestParser(headers).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # An Upgrade field or CONNECT; the head was read whole all the same.
    except httptools.HttpParserError as error:
        raise bad_request("The request's head is malformed") from error
    return headers


def _refuse_repeated(headers: list[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in headers]
    for name in _AT_MOST_ONCE:
        if names.count(name) > 1:
            raise bad_request(f"The {name.decode('ascii').title()} header is repeated")


def _body_bytes(fields: dict[bytes, bytes], is_http_1_1: bool) -> int | None:
    """The body's length (RFC 9112 section 6.3), stricter: both framings, or a coding but ``chunked``, are refused."""
    length = fields.get(b"content-length")
    if b"transfer-encoding" not in fields:
        if length is None:
            return 0
        if not length.isdigit() or len(length) > 19:
            raise bad_request("The Content-Length header is not a number")
        return int(length)
    if length is not None:
        raise bad_request("Content-Length and Transfer-Encoding exclude each other")
    if fields[b"transfer-encoding"] != b"chunked" or not is_http_1_1:
        raise bad_request("The Transfer-Encoding is not 'chunked' in HTTP/1.1")
    return None


def _asks_to_close(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether any Connection field says so: it is a list, and may be repeated (RFC 9110 section 5.3)."""
    return any(name == b"connection" and b"close" in value.lower() for name, value in headers)


def _expects_continue(expectation: bytes, is_http_1_1: bool) -> bool:
    """Whether 100 Continue is awaited; HTTP/1.0 knows no such thing (RFC 9110 section 10.1.1)."""
    if expectation.lower() != b"100-continue":
        raise Refused(417, "ExpectationFailedException", "The Expect header is not '100-continue'")
    return is_http_1_1
