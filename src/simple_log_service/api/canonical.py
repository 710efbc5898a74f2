"""The arithmetic of AWS Signature Version 4: what is signed, and the signature of it. Pure, on bytes, for both ends.

The rules are those of "Create a signed AWS API request" in the IAM User Guide
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html); its step is named
beside each function. All text is bytes: a signature covers what is on the wire, whatever it means as characters.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from urllib.parse import quote_from_bytes, unquote_to_bytes

ALGORITHM = b"AWS4-HMAC-SHA256"
SERVICE = "execute-api"
TERMINATOR = "aws4_request"

_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_UNRESERVED_AND_SLASH = _UNRESERVED + b"/"


def canonical_path(path: bytes) -> bytes:
    """CanonicalURI: the path of the request line, URI-encoded once more (``%20`` becomes ``%2520``).

    "Each path segment must be URI-encoded twice" for every service but Amazon S3; the first time is the one on
    the wire. Dot segments and doubled slashes are not resolved, since no route has any: what is signed is
    what is routed.
    """
    if not path.translate(None, _UNRESERVED_AND_SLASH):
        return path or b"/"
    return quote_from_bytes(path, safe="/").encode()


def canonical_query(query: bytes) -> bytes:
    """CanonicalQueryString: names and values URI-encoded, sorted by encoded name, then by encoded value.

    A raw ``+`` stands for itself and becomes ``%2B``; a space is ``%20``. "If the request does not include a
    value, the parameter is considered to have an empty value": ``a`` becomes ``a=``.
    """
    return _join(sorted((_encode(name), _encode(value)) for name, value in _pairs(query)))


def sorted_query(query: bytes) -> bytes:
    """What botocore signs for a URL: the parameters as they are encoded on the wire, sorted."""
    return _join(sorted(_pairs(query)))


def query_as_sent(query: bytes) -> bytes:
    """What curl signed before it learned to sort and encode the query (7.88 among others): the wire's own text."""
    return query


OTHER_QUERY_FORMS: tuple[Callable[[bytes], bytes], ...] = (sorted_query, query_as_sent)
"""Forms that real clients sign although they are not the documented one; a verifier may accept them too.

Each form of a query is itself a query with the same names and values, up to their order. So two queries that
share the text of any form also share their meaning, and a signature for one cannot be bent to another.
"""


def fold_spaces(value: bytes) -> bytes:
    """Trimall: no white space around a header's value, and one space instead of several within it."""
    return b" ".join(filter(None, value.strip(b" \t").split(b" ")))


def canonical_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """CanonicalHeaders and SignedHeaders of lower-case names and values, each name once, in any order."""
    ordered = sorted(headers)
    lines = b"".join(b"%b:%b\n" % (name, fold_spaces(value)) for name, value in ordered)
    return lines, b";".join(name for name, _ in ordered)


def canonical_request(
    method: bytes, path: bytes, query: bytes, headers: bytes, signed_headers: bytes, payload_sha256_hex: bytes
) -> bytes:
    """Step 1, of parts that are canonical already; ``headers`` ends with a newline."""
    return b"\n".join((method, path, query, headers, signed_headers, payload_sha256_hex))


def string_to_sign(timestamp: bytes, scope: bytes, request: bytes) -> bytes:
    """Step 3: ``timestamp`` is ``YYYYMMDDTHHMMSSZ``, ``scope`` is ``date/region/service/aws4_request``."""
    return b"\n".join((ALGORITHM, timestamp, scope, hashlib.sha256(request).hexdigest().encode()))


def signing_key(secret_access_key: str, date: str, region: str) -> bytes:
    """Step 4: the key that ``secret_access_key`` gives for one day (``YYYYMMDD``) and region."""
    key = b"AWS4" + secret_access_key.encode()
    for part in (date, region, SERVICE, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, text: bytes) -> bytes:
    """Step 5: the signature of a string to sign, in lower-case hexadecimal."""
    return hmac.digest(key, text, "sha256").hex().encode()


def _pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    if not query:
        return []
    return [(name, value) for name, _, value in (pair.partition(b"=") for pair in query.split(b"&"))]


def _join(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"&".join(b"%b=%b" % pair for pair in pairs)


def _encode(text: bytes) -> bytes:
    """UriEncode: every byte but the unreserved ones of RFC 3986, section 2.3, with upper-case hexadecimal digits."""
    if not text.translate(None, _UNRESERVED):
        return text
    return quote_from_bytes(unquote_to_bytes(text), safe="").encode()
