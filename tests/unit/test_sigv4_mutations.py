"""No byte of a signed request can change: every substitution, and many deletions and insertions, everywhere in it.

Only what means the same may differ: the spelling of a query, runs of spaces, and the case of a header's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_to_bytes

import pytest

from support.signing import TEMPORARY, Request, accepted, key_of, signed, verifier_of

POST = signed(
    path="/services/check-out_1/logs",
    headers=[("Content-Type", "application/json; charset=utf-8"), ("Idempotency-Key", "a b")],
    credentials=TEMPORARY,
)
GET = signed(
    "GET", "/logs/recent", "q=caf%C3%A9+%2f&limit=10&since=2021-03-09T00%3a00%3A00Z&level&level=INFO", body=b""
)
UNSIGNED = {b"user-agent", b"accept"}


def substitutions(text: bytes) -> Iterator[bytes]:
    for index in range(len(text)):
        for byte in range(256):
            if byte != text[index]:
                yield text[:index] + bytes([byte]) + text[index + 1 :]


def deletions_and_insertions(text: bytes) -> Iterator[bytes]:
    for index in range(len(text) + 1):
        yield text[:index]
        yield text[index:]
        yield text[:index] + text[index + 1 :]
        yield text[: index + 1] + text[index:]
        for inserted in (
            b"0",
            b"a",
            b"A",
            b"/",
            b",",
            b";",
            b"=",
            b"&",
            b"%",
            b"%2",
            b"+",
            b" ",
            b"\t",
            b"\0",
            b"\xe9",
        ):
            yield text[:index] + inserted + text[index:]


def swaps(text: bytes) -> Iterator[bytes]:
    for index in range(len(text) - 1):
        yield text[:index] + text[index + 1 : index + 2] + text[index : index + 1] + text[index + 2 :]
    yield text.upper()
    yield text.lower()
    yield text + text


def mutants(text: bytes) -> Iterator[bytes]:
    for mutate in (substitutions, deletions_and_insertions, swaps):
        yield from mutate(text)


def as_it_is(text: bytes) -> object:
    return text


def query_meaning(query: bytes) -> object:
    pairs = [pair.partition(b"=") for pair in query.split(b"&")]
    return sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)


def value_meaning(value: bytes) -> object:
    return re.sub(b" +", b" ", value.strip(b" \t"))


def authorization_meaning(value: bytes) -> object:
    return re.sub(b", *", b", ", value.strip(b" \t"))


def assert_no_mutant_is_accepted(
    text: bytes, replaced: Callable[[bytes], Request], meaning: Callable[[bytes], object] = as_it_is
) -> None:
    verifier = verifier_of()
    original = meaning(text)
    assert accepted(replaced(text), verifier)
    tried = 0
    for mutant in mutants(text):
        if meaning(mutant) != original:
            tried += 1
            assert not accepted(replaced(mutant), verifier), mutant
    assert tried >= 255 * len(text) * 0.9


requests = pytest.mark.parametrize("request_", [POST, GET], ids=["POST", "GET"])


@requests
def test_the_method_cannot_change(request_: Request) -> None:
    assert_no_mutant_is_accepted(
        request_.method.encode(), lambda mutant: request_._replace(method=mutant.decode("latin-1"))
    )


@requests
def test_the_path_cannot_change(request_: Request) -> None:
    assert_no_mutant_is_accepted(
        request_.path.encode(), lambda mutant: request_._replace(path=mutant.decode("latin-1"))
    )


def test_the_query_cannot_change_its_meaning() -> None:
    assert_no_mutant_is_accepted(
        GET.query.encode(), lambda mutant: GET._replace(query=mutant.decode("latin-1")), query_meaning
    )


def test_no_parameter_can_be_added_dropped_or_moved_to_another() -> None:
    pairs = GET.query.split("&")
    for changed in (
        [*pairs, "limit=10"],
        [*pairs, "x"],
        pairs[1:],
        pairs[:-1],
        ["&".join(pairs).replace("10&", "1&0")],
    ):
        assert not accepted(GET._replace(query="&".join(changed)))


def test_the_body_cannot_change() -> None:
    assert_no_mutant_is_accepted(POST.body, lambda mutant: POST._replace(body=mutant))


def test_a_body_cannot_be_added() -> None:
    assert not accepted(GET._replace(body=b"0"))


SIGNED_HEADERS = [
    pytest.param(request, name.lower(), id=f"{request.method} {name.decode()}")
    for request in (POST, GET)
    for name, _ in request.headers
    if name.lower() not in UNSIGNED
]


@pytest.mark.parametrize(("request_", "name"), SIGNED_HEADERS)
def test_no_signed_header_can_change(request_: Request, name: bytes) -> None:
    assert_no_mutant_is_accepted(
        request_.header(name),
        lambda mutant: request_.with_header(name, mutant),
        authorization_meaning if name == b"authorization" else value_meaning,
    )


@pytest.mark.parametrize(("request_", "name"), SIGNED_HEADERS)
def test_no_signed_header_can_be_dropped_doubled_or_renamed(request_: Request, name: bytes) -> None:
    verifier = verifier_of()
    value = request_.header(name)
    assert not accepted(request_.with_header(name, None), verifier)
    assert not accepted(request_._replace(headers=[*request_.headers, (name, value)]), verifier)
    assert not accepted(request_._replace(headers=[(name, b"other"), *request_.headers]), verifier)
    without = request_.with_header(name, None)
    for renamed in (name[:-1], name + b"s", name.replace(b"-", b"_") + b"_", b" " + name):
        assert not accepted(without.with_header(renamed, value), verifier)


def test_no_signed_header_can_trade_its_value_with_another() -> None:
    verifier = verifier_of()
    names = [name.lower() for name, _ in POST.headers if name.lower() not in UNSIGNED]
    for one in names:
        for other in names:
            if one < other:
                traded = POST.with_header(one, POST.header(other)).with_header(other, POST.header(one))
                assert not accepted(traded, verifier)


def test_what_is_not_signed_may_change() -> None:
    for name in UNSIGNED:
        assert accepted(POST.with_header(name, b"other"))
        assert accepted(POST.with_header(name, None))


def test_a_signature_is_no_use_for_another_key() -> None:
    other = TEMPORARY.access_key_id + "2"
    moved = POST.with_header(
        b"authorization",
        POST.header(b"authorization").replace(TEMPORARY.access_key_id.encode() + b"/", other.encode() + b"/"),
    )
    same_token = key_of(type(TEMPORARY)(other, "another secret", TEMPORARY.session_token))
    assert not accepted(moved, verifier_of(same_token))
