"""The contract's list of bad input, row by row: what each gets, that nothing is stored, that the home lives on."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator

import pytest
import zstandard

from contract.http_caller import NDJSON, refusal, said, wire
from contract.http_home import AnyHome, record
from simple_log_service.api.canonical import signature, signing_key, string_to_sign
from simple_log_service.core.limits import (
    BODY_UNPACKED_BYTES_MAX,
    BODY_WIRE_BYTES_MAX,
    INTEGER_DIGITS_MAX,
    METADATA_DEPTH_MAX,
    MIB,
)
from support.raw_http import connected
from support.signing import Request, edited

pytestmark = pytest.mark.xdist_group("http bad input")

GOOD = json.dumps(record("victim")).encode()


@pytest.fixture(autouse=True)
def _home_lives_and_holds_nothing(home: AnyHome) -> Iterator[None]:
    """After each of these tests."""
    yield
    home.assert_lives_and_holds_nothing()


# --- Auth: 403 for every one of them. ---


def post(home: AnyHome) -> Request:
    temporary = home.caller(home.key(expires_in_seconds=600))
    return temporary.signed("POST", "/logs", "", [("Content-Type", "application/json")], GOOD)


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("name", [b"host", b"content-type", b"x-amz-date", b"x-amz-content-sha256",
                                  b"x-amz-security-token", b"authorization"])  # fmt: skip
def test_every_mutation_of_a_signed_header(home: AnyHome, name: bytes) -> None:
    request = post(home)
    value = request.header(name)
    for place in range(len(value)):
        answer = home.stranger.send(request.with_header(name, flipped(value, place)))
        assert answer.status == 403, (place, answer)


def test_every_mutation_of_the_body(home: AnyHome) -> None:
    request = post(home)
    for place in range(len(GOOD)):
        assert home.stranger.send(request._replace(body=flipped(GOOD, place))).status == 403
    for body in (b"", GOOD[:-1], GOOD + b" ", b" " + GOOD):
        assert home.stranger.send(request._replace(body=body)).status == 403


def test_every_mutation_of_the_query(home: AnyHome) -> None:
    query = "limit=5&service_name=a%20b&since=2h"
    request = home.admin.signed("GET", "/logs/recent", query)
    assert home.stranger.send(request).status == 200
    for place in range(len(query)):
        assert home.stranger.send(request._replace(query=flipped(query.encode(), place).decode())).status == 403
    for changed in ("", query + "&hours=1", query.replace("%20", "+"), "limit=5", query + "&limit=5"):
        assert home.stranger.send(request._replace(query=changed)).status == 403, changed


def test_a_signature_for_one_route_is_none_for_another(home: AnyHome) -> None:
    request = post(home)
    assert home.stranger.send(request._replace(path="/services/victim/logs")).status == 403
    for place in range(len("/logs")):
        assert home.stranger.send(request._replace(path=flipped(b"/logs", place).decode())).status in {400, 403}
    read = home.admin.signed("GET", "/services/victim/logs", body=GOOD)
    assert home.stranger.send(read._replace(method="POST")).status == 403


def resigned(home: AnyHome, request: Request, names: bytes) -> Request:
    """The same, with a signature that is right for this list of signed headers."""
    credentials = home.admin.credentials
    assert credentials is not None
    fields = {name.lower(): value for name, value in request.headers}
    date = fields[b"x-amz-date"]
    scope = f"{date[:8].decode()}/{home.region}/execute-api/aws4_request"
    lines = b"".join(name + b":" + fields.get(name.lower(), b"") + b"\n" for name in names.split(b";"))
    payload = hashlib.sha256(request.body).hexdigest().encode()
    text = b"\n".join((request.method.encode(), request.path.encode(), b"", lines, names, payload))
    key = signing_key(credentials.secret_access_key, date[:8].decode(), home.region)
    proof = signature(key, string_to_sign(date, scope.encode(), text))
    value = b"AWS4-HMAC-SHA256 Credential=%b/%b, SignedHeaders=%b, Signature=%b"
    filled = value % (credentials.access_key_id.encode(), scope.encode(), names, proof)
    return request.with_header(b"authorization", filled)


ALL_SIGNED = b"content-type;host;x-amz-content-sha256;x-amz-date"


def lasting(home: AnyHome) -> Request:
    return home.admin.signed("POST", "/logs", "", [("Content-Type", "application/json")], GOOD)


def key_id(home: AnyHome) -> str:
    assert home.admin.credentials is not None
    return home.admin.credentials.access_key_id


def signed_as(request: Request) -> str:
    return request.header(b"authorization").rpartition(b"=")[2].decode()


def doubled(name: bytes, value: bytes | None = None) -> Callable[[AnyHome, Request], Request]:
    def double(home: AnyHome, request: Request) -> Request:
        again = request.header(name) if value is None else value
        return request._replace(headers=[*request.headers, (name.title(), again)])

    return double


def replaced(old: str, new: str) -> Callable[[AnyHome, Request], Request]:
    return lambda home, request: edited(request, old, new)


def only_signed(names: bytes) -> Callable[[AnyHome, Request], Request]:
    return lambda home, request: resigned(home, request, names)


def declared(payload: str) -> Callable[[AnyHome, Request], Request]:
    """The hash that is declared and signed is not a hash of the body."""
    return lambda home, request: resigned(
        home, request.with_header(b"x-amz-content-sha256", payload.encode()), ALL_SIGNED
    )


BAD_AUTH: dict[str, Callable[[AnyHome, Request], Request]] = {
    "a truncated signature": lambda home, each: edited(each, signed_as(each), signed_as(each)[:-1]),
    "an empty signature": lambda home, each: edited(each, signed_as(each), ""),
    "a longer signature": lambda home, each: edited(each, signed_as(each), signed_as(each) + "0"),
    "an upper-case signature": lambda home, each: edited(each, signed_as(each), signed_as(each).upper()),
    "a non-ASCII signature": lambda home, each: each.with_header(
        b"authorization", each.header(b"authorization")[:-2] + b"\xc3\xa9"
    ),
    "a signature in other digits": lambda home, each: edited(each, signed_as(each), "\u0661" * 64),
    "a doubled Authorization": doubled(b"authorization"),
    "another Authorization besides": doubled(b"authorization", b"Basic YTpi"),
    "a doubled date": doubled(b"x-amz-date"),
    "another date besides": doubled(b"x-amz-date", b"20210309T163858Z"),
    "a doubled hash": doubled(b"x-amz-content-sha256"),
    "another hash besides": doubled(b"x-amz-content-sha256", b"0" * 64),
    "an unsigned X-Amz header": lambda home, each: each.with_header(b"X-Amz-Meta", b"a"),
    "a token of nobody's": lambda home, each: each.with_header(b"x-amz-security-token", b"a"),
    "another region in the scope": replaced("/us-east-1/", "/us-east-2/"),
    "another service in the scope": replaced("/execute-api/", "/execute-apis/"),
    "another terminator in the scope": replaced("/aws4_request", "/aws5_request"),
    "another day in the scope": replaced(f"/{time.strftime('%Y')}", "/1999"),
    "a shorter scope": replaced("/aws4_request", ""),
    "a longer scope": replaced("/aws4_request", "/aws4_request/x"),
    "a lower-case key id": lambda home, each: edited(each, key_id(home), key_id(home).lower()),
    "another algorithm": replaced("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"),
    "unsorted SignedHeaders": only_signed(b"host;content-type;x-amz-content-sha256;x-amz-date"),
    "SignedHeaders in capitals": only_signed(b"Content-Type;Host;X-Amz-Content-Sha256;X-Amz-Date"),
    "SignedHeaders with a repetition": only_signed(b"content-type;host;host;x-amz-content-sha256;x-amz-date"),
    "SignedHeaders that are not sent": only_signed(b"content-type;host;x-amz-content-sha256;x-amz-date;x-amz-z"),
    "host unsigned": only_signed(b"content-type;x-amz-content-sha256;x-amz-date"),
    "the date unsigned": only_signed(b"content-type;host;x-amz-content-sha256"),
    "the hash unsigned": only_signed(b"content-type;host;x-amz-date"),
    "UNSIGNED-PAYLOAD": declared("UNSIGNED-PAYLOAD"),
    "a streaming payload": declared("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    "a streaming payload with a trailer": declared("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
    "another body's hash": declared(hashlib.sha256(b"other").hexdigest()),
    "the hash in capitals": declared(hashlib.sha256(GOOD).hexdigest().upper()),
}


def test_the_requests_that_are_spoilt_here_are_good_before(home_of_its_own: AnyHome) -> None:
    home = home_of_its_own
    assert home.stranger.send(lasting(home)).status == 201
    assert home.stranger.send(post(home)).status == 201
    assert home.stranger.send(resigned(home, lasting(home), ALL_SIGNED)).status == 201


@pytest.mark.parametrize("name", BAD_AUTH)
def test_bad_auth(home: AnyHome, name: str) -> None:
    answer = home.stranger.send(BAD_AUTH[name](home, lasting(home)))
    assert answer.status == 403, answer


def test_a_doubled_token(home: AnyHome) -> None:
    assert home.stranger.send(doubled(b"x-amz-security-token")(home, post(home))).status == 403


def test_a_doubled_host(home: AnyHome) -> None:
    assert home.stranger.send(doubled(b"host")(home, post(home))).status == 400


@pytest.mark.parametrize(
    "query",
    ["X-Amz-Signature=0", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "x-amz-security-token=a", "X-Amz-Date=20210309T163858Z",
     "%58-Amz-Credential=a", "limit=5&X-AMZ-EXPIRES=60"],
)  # fmt: skip
def test_header_and_query_auth_together(home: AnyHome, query: str) -> None:
    answer = home.admin.ask("GET", "/logs/recent", query)
    assert refusal(answer)[:2] == (403, "InvalidSignatureException")


def test_query_auth_alone_is_no_authentication(home: AnyHome) -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"
    assert refusal(home.stranger.ask("GET", "/logs/recent", query))[1] == "MissingAuthenticationTokenException"


# --- Encodings. ---


def gzip_bomb(unpacked_bytes: int) -> bytes:
    """A thousand to one, of white space, which is JSON until it ends."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b" " * MIB) for _ in range(unpacked_bytes // MIB)) + packer.flush()


def zstd_bomb(unpacked_bytes: int) -> bytes:
    packer = zstandard.ZstdCompressor(level=1).compressobj()
    return b"".join(packer.compress(b" " * MIB) for _ in range(unpacked_bytes // MIB)) + packer.flush()


def wide(body: bytes) -> bytes:
    """A frame that asks for a window of 64 MiB to unpack a few bytes."""
    parameters = zstandard.ZstdCompressionParameters(window_log=26, compression_level=1)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(body) + packer.flush()


TOO_LONG = (413, "RequestTooLargeException")
BAD = (400, "BadRequestException")
UNKNOWN = (415, "UnsupportedMediaTypeException")

BAD_ENCODINGS: dict[str, tuple[str, Callable[[], bytes], tuple[int, str]]] = {
    "a gzip bomb": ("gzip", lambda: gzip_bomb(BODY_UNPACKED_BYTES_MAX + MIB), TOO_LONG),
    "a larger gzip bomb": ("gzip", lambda: gzip_bomb(128 * MIB), TOO_LONG),
    "a zstd bomb": ("zstd", lambda: zstd_bomb(BODY_UNPACKED_BYTES_MAX + MIB), TOO_LONG),
    "a larger zstd bomb": ("zstd", lambda: zstd_bomb(1024 * MIB), TOO_LONG),
    "truncated gzip": ("gzip", lambda: gzip.compress(GOOD)[:-1], BAD),
    "half of gzip": ("gzip", lambda: gzip.compress(GOOD)[:20], BAD),
    "truncated zstd": ("zstd", lambda: zstandard.compress(GOOD)[:-1], BAD),
    "nothing as gzip": ("gzip", lambda: b"", BAD),
    "nothing as zstd": ("zstd", lambda: b"", BAD),
    "bytes behind gzip": ("gzip", lambda: gzip.compress(GOOD) + b"\n", BAD),
    "bytes behind zstd": ("zstd", lambda: zstandard.compress(GOOD) + b"\n", BAD),
    "gzip behind gzip": ("gzip", lambda: gzip.compress(GOOD) * 2, BAD),
    "zstd behind zstd": ("zstd", lambda: zstandard.compress(GOOD) * 2, BAD),
    "gzip with a wrong checksum": ("gzip", lambda: flipped(gzip.compress(GOOD), -8 + len(gzip.compress(GOOD))), BAD),
    "plain as gzip": ("gzip", lambda: GOOD, BAD),
    "plain as zstd": ("zstd", lambda: GOOD, BAD),
    "zlib as gzip": ("gzip", lambda: zlib.compress(GOOD), BAD),
    "zstd with too wide a window": ("zstd", lambda: wide(GOOD * 300_000), BAD),
    "brotli": ("br", lambda: GOOD, UNKNOWN),
    "deflate": ("deflate", lambda: zlib.compress(GOOD), UNKNOWN),
    "two encodings": ("gzip, zstd", lambda: GOOD, UNKNOWN),
    "gzip twice": ("gzip,gzip", lambda: gzip.compress(gzip.compress(GOOD)), UNKNOWN),
    "nonsense": ("\xe9", lambda: GOOD, UNKNOWN),
}


@pytest.mark.parametrize("name", BAD_ENCODINGS)
def test_a_bad_encoding(home: AnyHome, name: str) -> None:
    encoding, pack, expected = BAD_ENCODINGS[name]
    assert refusal(home.admin.post(pack(), ("Content-Encoding", encoding)))[:2] == expected


def test_the_encoding_is_given_twice(home: AnyHome) -> None:
    request = home.admin.signed("POST", "/logs", body=gzip.compress(GOOD))
    request.headers.extend([(b"Content-Encoding", b"gzip")] * 2)
    assert refusal(home.stranger.send(request))[:2] == BAD


def test_the_hash_is_over_the_bytes_on_the_wire(home: AnyHome) -> None:
    packed = gzip.compress(GOOD)
    over_unpacked = home.admin.signed("POST", "/logs", "", [("Content-Encoding", "gzip")], GOOD)
    answer = home.stranger.send(over_unpacked._replace(body=packed))
    assert refusal(answer)[:2] == (403, "InvalidSignatureException")


def test_a_body_past_its_bound_on_the_wire(home: AnyHome) -> None:
    assert refusal(home.admin.post(b" " * (BODY_WIRE_BYTES_MAX + 1)))[:2] == TOO_LONG


def test_a_chunked_body_past_its_bound_on_the_wire(home: AnyHome) -> None:
    chunked = home.admin.signed("POST", "/logs", "", [("Transfer-Encoding", "chunked")])
    piece = b"100000\r\n" + b" " * MIB + b"\r\n"
    assert home.stranger.send(chunked._replace(body=piece * 4 + b"1\r\n \r\n0\r\n\r\n")).status == 413


# --- JSON: 400, in any field and in any form of a body. ---


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"1" + closing * depth


VALUES: dict[str, bytes] = {
    "arrays 100,000 deep": nested(100_000),
    "objects 100,000 deep": nested(100_000, b'{"a":', b"}"),
    "arrays that never end": b"[" * 100_000,
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "an integer of more digits than there may be": b"1" * (INTEGER_DIGITS_MAX + 1),
    "an integer of a million digits": b"1" * 1_000_000,
    "bad UTF-8": b'"\xff"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "overlong UTF-8": b'"\xc0\x80"',
    "truncated UTF-8": b'"\xe2\x82"',
    "a lone high surrogate": rb'"\ud800"',
    "a lone low surrogate": rb'"\udc00"',
    "surrogates the wrong way round": rb'"\udc00\ud800"',
    "half an escape": rb'"\u12"',
    "an unknown escape": rb'"\x41"',
    "a raw newline in a string": b'"a\nb"',
    "a raw NUL in a string": b'"a\0b"',
    "a string that never ends": b'"a',
    "a leading zero": b"01",
    "a hexadecimal number": b"0x10",
    "a plus sign": b"+1",
    "a comment": b"/**/1",
    "single quotes": b"'a'",
    "a bare word": b"word",
}
PLACES = {
    "service_name": b'{"log_type":"a","message":"m","service_name":%b}',
    "message": b'{"service_name":"victim","log_type":"a","message":%b}',
    "level": b'{"service_name":"victim","log_type":"a","message":"m","level":%b}',
    "timestamp": b'{"service_name":"victim","log_type":"a","message":"m","timestamp":%b}',
    "metadata": b'{"service_name":"victim","log_type":"a","message":"m","metadata":%b}',
    "a member of metadata": b'{"service_name":"victim","log_type":"a","message":"m","metadata":{"a":{"b":[%b]}}}',
    "log_id": b'{"service_name":"victim","log_type":"a","message":"m","log_id":%b}',
    "an unknown field": b'{"service_name":"victim","log_type":"a","message":"m","unknown":%b}',
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", VALUES)
def test_bad_json_in_any_field(home: AnyHome, value: str, place: str) -> None:
    bad = PLACES[place] % VALUES[value]
    for body in (bad, b"[%b]" % bad, b'{"logs":[%b]}' % bad):
        answer = home.admin.post(body)
        assert answer.status == 400, answer
        assert said(answer).keys() in ({"message"}, {"accepted", "duplicates", "rejected", "log_ids"})
    assert home.admin.post(bad, NDJSON).status == 400


@pytest.mark.parametrize("key", [rb"\ud800", b"\xff", rb"\u12", b"a\nb"])
@pytest.mark.parametrize("where", [b'"%b":1', b'"metadata":{"%b":1}', b'"metadata":{"a":[{"%b":{}}]}'])
def test_bad_text_as_a_key(home: AnyHome, key: bytes, where: bytes) -> None:
    body = b'{"service_name":"victim","log_type":"a","message":"m",' + where % key + b"}"
    for headers in ((), (NDJSON,)):
        assert home.admin.post(body, *headers).status == 400


@pytest.mark.parametrize("depth", [METADATA_DEPTH_MAX + 1, 500, 2000])
def test_metadata_nested_too_deep(home: AnyHome, depth: int) -> None:
    for inner in (nested(depth, b'{"a":', b"}"), b'{"a":%b}' % nested(depth - 1)):
        assert home.admin.post(PLACES["metadata"] % inner).status == 400


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_a_body_in_another_encoding(home: AnyHome, encoding: str) -> None:
    body = json.dumps(record("victim", message="größer"), ensure_ascii=False).encode(encoding)
    assert refusal(home.admin.post(body))[:2] == BAD


BAD_BODIES = [
    *(b"", b" ", b"{", b"[", b"{}{}", b"[{},]", b'{"logs"', b"message=hello", b"<log/>", b"\x80\x81"),
    *(b"[" + GOOD, GOOD + GOOD, GOOD[:-1], GOOD + b"]", b"\0" + GOOD, GOOD + b"\0"),
]


@pytest.mark.parametrize("body", BAD_BODIES)
def test_a_body_that_is_not_json(home: AnyHome, body: bytes) -> None:
    assert refusal(home.admin.post(body))[:2] == BAD


# --- Slow, half and gone. ---


@pytest.mark.parametrize("part", [0, 10, 200, -1])
def test_a_client_that_leaves_in_the_middle_of_a_request_stores_nothing(home: AnyHome, part: int) -> None:
    data = wire(lasting(home))
    with connected(home.address) as client:
        client.send(data[:part])
        client.reset()
