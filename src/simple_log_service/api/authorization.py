"""Reading what a client says of its signature: the Authorization header and the date that go with it.

Both are the same over many requests, so what was read is remembered. Nothing here knows a key or a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter

import msgspec

from simple_log_service.api.canonical import ALGORITHM, SERVICE, TERMINATOR, fold_spaces
from simple_log_service.api.errors import Refused

_AUTHORIZATION_START = re.compile(
    rb"%b Credential=([^ ,]+), *SignedHeaders=([^ ,]+), *Signature=" % re.escape(ALGORITHM)
)
"""In the order in which AWS's examples and every client write it; some put no space after the comma."""

_AMZ_DATE = re.compile(rb"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")
_HTTP_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) (?:GMT|[+-]0000)"
)
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_REMEMBERED_MAX = 256
"""Authorization headers that are kept ready, the last used ones. Strangers can fill it, so it is small."""


class Authorization(msgspec.Struct, frozen=True):
    """An Authorization header but for its signature: a client sends the same one all day, so it is read once.

    The faults are texts of what is wrong with the signed headers and the scope, empty where nothing is.
    """

    access_key_id: str
    date: str
    scope: bytes
    signed_headers: bytes
    names: frozenset[bytes]
    signed_headers_fault: str
    scope_fault: str
    values: itemgetter[bytes]
    template: bytes

    def header_lines(self, fields: Mapping[bytes, bytes]) -> bytes:
        """The CanonicalHeaders of a request with these fields."""
        try:
            values: tuple[bytes, ...] = self.values(fields)
        except KeyError:
            raise signature_differs() from None
        lines = self.template % values
        if b"  " in lines:
            return self.template % tuple(map(fold_spaces, values))
        return lines


class Moment(msgspec.Struct, frozen=True):
    """When the request says that it was signed: as ``YYYYMMDDTHHMMSSZ``, in seconds since the epoch, and where."""

    timestamp: str
    epoch_seconds: int
    header: bytes


@lru_cache(_REMEMBERED_MAX)
def read_authorization(start: bytes, region: str) -> Authorization | None:
    """The header up to and with ``Signature=``, or ``None`` where it is not of the form."""
    match = _AUTHORIZATION_START.fullmatch(start)
    if match is None:
        return None
    credential, signed_headers = match.groups()
    access_key_id, *scope = credential.decode("latin-1").split("/")
    if len(scope) != 4:
        return None
    names = signed_headers.split(b";")
    return Authorization(
        access_key_id,
        scope[0],
        credential.partition(b"/")[2],
        signed_headers,
        frozenset(names),
        _signed_headers_fault(names),
        _scope_fault(scope, region),
        itemgetter(*names),
        b"".join(name.replace(b"%", b"%%") + b":%b\n" for name in names),
    )


def _signed_headers_fault(names: list[bytes]) -> str:
    """The guide: an "alphabetically sorted, semicolon-separated list of lowercase request header names"."""
    if b"host" not in names:
        return str(unsigned(b"host"))
    if names != sorted({name.lower() for name in names}):
        return "SignedHeaders must be in lower case, sorted and without repetition."
    return ""


def _scope_fault(scope: list[str], region: str) -> str:
    _, named_region, service, terminator = scope
    fault = ""
    if named_region != region:
        fault += f"Credential should be scoped to a valid region, not '{named_region}'. "
    if service != SERVICE:
        fault += f"Credential should be scoped to correct service: '{SERVICE}'. "
    if terminator != TERMINATOR:
        fault += f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{terminator}'. "
    return fault


def read_moment(fields: Mapping[bytes, bytes]) -> Moment | None:
    """From ``X-Amz-Date``, or from ``Date`` where there is none: botocore signs a ``Date`` that its caller has set."""
    amz_date = fields.get(b"x-amz-date")
    if amz_date is not None:
        return _read_amz_date(amz_date, b"x-amz-date")
    date = fields.get(b"date")
    return None if date is None else _read_http_date(date) or _read_amz_date(date, b"date")


@lru_cache(64)
def _read_amz_date(text: bytes, header: bytes) -> Moment | None:
    match = _AMZ_DATE.fullmatch(text)
    return match and _moment([int(group) for group in match.groups()], header)


@lru_cache(64)
def _read_http_date(text: bytes) -> Moment | None:
    """RFC 9110, section 5.6.7, its preferred form; ``-0000`` for ``GMT`` is how Python's ``formatdate`` puts it."""
    match = _HTTP_DATE.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    day, _, year, *time_of_day = match.groups()
    numbers = [int(year), _MONTHS.index(match[2]) + 1, int(day), *map(int, time_of_day)]
    return _moment(numbers, b"date")


def _moment(numbers: list[int], header: bytes) -> Moment | None:
    year, month, day, hour, minute, second = numbers
    try:
        epoch_seconds = int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        return None
    timestamp = f"{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"
    return Moment(timestamp, epoch_seconds, header)


def incomplete(header: bytes, fields: Mapping[bytes, bytes]) -> Refused:
    """What is missing, in API Gateway's words. It answers so to any other scheme too, ``Bearer`` for one."""
    missing = [
        f"Authorization header requires '{parameter}' parameter."
        for parameter in ("Credential", "Signature", "SignedHeaders")
        if not re.search(rb"\b%b=[^ ,]" % parameter.encode(), header)
    ]
    if b"x-amz-date" not in fields and b"date" not in fields:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    elif read_moment(fields) is None:
        missing.append("Date must be in ISO-8601 'basic format'.")
    if not missing:
        missing.append(
            "Authorization header must be of the form AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/"
            "aws4_request, SignedHeaders=NAME;NAME, Signature=SIGNATURE."
        )
    return Refused(403, "IncompleteSignatureException", " ".join(missing))


def invalid(text: str) -> Refused:
    """The answer to a signature that cannot count, with the reason."""
    return Refused(403, "InvalidSignatureException", text)


def signature_differs() -> Refused:
    """The answer to a signature that is not the key's over this request; it never says what would have been."""
    return invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
        "Access Key and signing method. Consult the service documentation for details."
    )


def unsigned(name: bytes) -> Refused:
    """The answer where a header that has to be signed is not."""
    shown = "Host" if name == b"host" else name.decode("latin-1")
    return invalid(f"'{shown}' must be a 'SignedHeader' in the AWS Authorization.")
