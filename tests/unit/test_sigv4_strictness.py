"""What the verifier insists on beyond a right signature: form, what is signed, and that nothing is said twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from simple_log_service.api.canonical import signing_key
from simple_log_service.api.errors import Refused, error_response
from simple_log_service.api.messages import RequestHead
from simple_log_service.api.signer import Credentials
from simple_log_service.api.sigv4 import Verifier
from support.signing import (
    LASTING,
    NOW,
    REGION,
    SECRET,
    SIGNATURE_DIFFERS,
    TEMPORARY,
    TOKEN,
    accepted,
    edited,
    invalid,
    key_of,
    refusal,
    refusal_at_head,
    resigned,
    signed,
    verifier_of,
)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text[:-1], id="truncated"),
        pytest.param(lambda text: text[:32], id="halved"),
        pytest.param(str.upper, id="upper case"),
        pytest.param(lambda text: text[:-1] + "\xe9", id="not ASCII"),
        pytest.param(lambda text: text + "0", id="longer"),
        pytest.param(lambda text: "0" * 64, id="zeros"),
    ],
)
def test_a_signature_counts_only_as_64_lower_case_digits(change: Callable[[str], str]) -> None:
    request = signed()
    start, separator, text = request.header(b"authorization").decode().rpartition("Signature=")
    header = start + separator + change(text)
    assert header.encode("latin-1") != request.header(b"authorization")
    assert refusal(request.with_header(b"authorization", header.encode("latin-1"))) == invalid(SIGNATURE_DIFFERS)


@pytest.mark.parametrize(
    "name", [b"Authorization", b"X-Amz-Date", b"X-Amz-Security-Token", b"X-Amz-Content-Sha256", b"Host"]
)
def test_a_doubled_header_that_identifies_is_refused(name: bytes) -> None:
    request = signed(credentials=TEMPORARY)
    doubled = request._replace(headers=[*request.headers, (name.lower(), request.header(name.lower()))])
    assert refusal_at_head(doubled) == invalid(f"'{name.decode().lower()}' must be sent once.")


def test_any_other_doubled_x_amz_header_is_refused() -> None:
    request = signed(headers=[("X-Amz-Meta", "1,1")])
    doubled = [*request.with_header(b"x-amz-meta", b"1").headers, (b"X-AMZ-Meta", b"1")]
    assert refusal_at_head(request._replace(headers=doubled)) == invalid("'x-amz-meta' must be sent once.")


def test_an_x_amz_header_outside_the_signature_is_refused() -> None:
    request = signed().with_header(b"x-amz-meta", b"1")
    assert refusal_at_head(request) == invalid("'x-amz-meta' must be a 'SignedHeader' in the AWS Authorization.")


def test_an_x_amzn_header_is_another_matter() -> None:
    """Load balancers add X-Amzn-Trace-Id on the way."""
    assert accepted(signed().with_header(b"x-amzn-trace-id", b"Root=1-2-3"))


@pytest.mark.parametrize(
    ("signed_headers", "text"),
    [
        (b"x-amz-content-sha256;x-amz-date", "'Host' must be a 'SignedHeader' in the AWS Authorization."),
        (b"host;x-amz-content-sha256", "'x-amz-date' must be a 'SignedHeader' in the AWS Authorization."),
        (b"host;x-amz-date", "'x-amz-content-sha256' must be a 'SignedHeader' in the AWS Authorization."),
        *(
            (names, "SignedHeaders must be in lower case, sorted and without repetition.")
            for names in (
                b"host;x-amz-date;x-amz-content-sha256",
                b"host;X-Amz-Content-Sha256;X-Amz-Date",
                b"host;host;x-amz-content-sha256;x-amz-date",
                b"host;x-amz-content-sha256;x-amz-date;",
            )
        ),
        (b"host;x-absent;x-amz-content-sha256;x-amz-date", SIGNATURE_DIFFERS),
    ],
)
def test_even_a_right_signature_over_a_wrong_list_of_headers_is_refused(signed_headers: bytes, text: str) -> None:
    assert accepted(resigned(signed(), b"host;x-amz-content-sha256;x-amz-date"))
    assert refusal_at_head(resigned(signed(), signed_headers)) == invalid(text)


@pytest.mark.parametrize(
    "declared",
    [
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        hashlib.sha256(b"").hexdigest().upper(),
        "",
    ],
)
def test_a_payload_that_is_not_hashed_is_refused_before_the_body_is_read(declared: str) -> None:
    request = signed().with_header(b"x-amz-content-sha256", declared.encode())
    status, error_type, text = refusal_at_head(request)
    assert (status, error_type) == (403, "InvalidSignatureException")
    assert "unsigned and streaming payloads are not accepted" in text


def test_a_declared_hash_must_be_the_bodys_although_both_are_signed() -> None:
    names = b"host;x-amz-content-sha256;x-amz-date"
    assert accepted(resigned(signed(), names))
    assert refusal(resigned(signed()._replace(body=b"swapped"), names)) == invalid(SIGNATURE_DIFFERS)


def test_no_refusal_repeats_a_signature() -> None:
    request = signed()
    given_signature = request.header(b"authorization").decode().rpartition("=")[2]
    right_signature = signed(body=b"other").header(b"authorization").decode().rpartition("=")[2]
    for refused in (request._replace(body=b"other"), edited(request, "Credential=", "Kredential=")):
        text = refusal(refused)[2]
        assert given_signature not in text
        assert right_signature not in text


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "a=1&X-Amz-Signature=00",
        "x-amz-date=20210309T163858Z",
        "%58-Amz-Credential=a",
        "X-Amz-Security-Token",
        "X-Amz-Meta=1&X-Amz-Meta=1",
    ],
)
def test_header_and_query_authentication_do_not_mix(query: str) -> None:
    assert refusal_at_head(signed(query=query)) == invalid(
        "Only the Authorization header authenticates: no X-Amz-* parameter may be in the query."
    )


def test_query_authentication_alone_is_no_authentication() -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
    assert refusal_at_head(signed(query=query).with_header(b"authorization", None))[1] == (
        "MissingAuthenticationTokenException"
    )


def test_a_value_may_speak_of_x_amz() -> None:
    assert accepted(signed("GET", "/logs/recent", "q=x-amz-date&y=1", body=b""))


def test_a_raw_plus_is_an_encoded_plus_and_never_a_space() -> None:
    request = signed("GET", "/logs/recent", "q=a%2Bb", body=b"")
    assert accepted(request._replace(query="q=a+b"))
    assert refusal(request._replace(query="q=a%20b")) == invalid(SIGNATURE_DIFFERS)
    spaced = signed("GET", "/logs/recent", "q=a%20b", body=b"")
    assert refusal(spaced._replace(query="q=a+b")) == invalid(SIGNATURE_DIFFERS)


def test_parameters_are_sorted_by_encoded_name_and_then_by_encoded_value() -> None:
    request = signed("GET", "/logs/recent", "a=2&a-b=0&a=1&b&a=%C3%A9", body=b"")
    assert accepted(request._replace(query="b=&a=1&a=%c3%a9&a=2&a-b=0"))


def test_a_date_header_counts_where_there_is_no_x_amz_date() -> None:
    dates = (b"Tue, 09 Mar 2021 16:38:58 GMT", b"Tue, 09 Mar 2021 16:38:58 -0000", b"20210309T163858Z")
    for date in dates:
        request = signed().with_header(b"x-amz-date", None).with_header(b"date", date)
        assert accepted(resigned(request, b"date;host;x-amz-content-sha256"))
        assert refusal_at_head(resigned(request, b"host;x-amz-content-sha256")) == invalid(
            "'date' must be a 'SignedHeader' in the AWS Authorization."
        )


@pytest.mark.parametrize("date", [b"Tue, 09 Foo 2021 16:38:58 GMT", b"Tue, 09 Mar 2021 16:38:58 CET", b"yesterday"])
def test_a_date_header_that_is_no_date_in_greenwich_is_incomplete(date: bytes) -> None:
    request = signed().with_header(b"x-amz-date", None).with_header(b"date", date)
    assert refusal_at_head(request)[1] == "IncompleteSignatureException"


def test_beside_x_amz_date_a_date_header_says_nothing() -> None:
    assert accepted(signed().with_header(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"))


def test_a_secret_that_has_changed_counts_at_once() -> None:
    keys = {LASTING.access_key_id: key_of(LASTING)}
    verifier = Verifier(keys.get, region=REGION, clock=lambda: NOW)
    assert accepted(signed(), verifier)
    renewed = Credentials(LASTING.access_key_id, "renewed")
    keys[LASTING.access_key_id] = key_of(renewed)
    assert refusal(signed(), verifier) == invalid(SIGNATURE_DIFFERS)
    assert accepted(signed(credentials=renewed), verifier)


def test_neither_secrets_nor_signatures_nor_tokens_are_ever_shown() -> None:
    request = signed(credentials=TEMPORARY)
    claim = verifier_of().check_head(request.head())
    key_bytes = signing_key(SECRET, "20210309", REGION)
    for value in (claim, claim.key, TEMPORARY):
        for shown in (repr(value), pretty_repr(value)):
            assert TEMPORARY.access_key_id in shown
            assert not [each for each in (SECRET, TOKEN, repr(key_bytes), "Signature=") if each in shown]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"authorization", b"host", b"date", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"]
            )
            | st.binary(max_size=12).map(bytes.lower),
            st.sampled_from([value for _, value in signed(credentials=TEMPORARY).headers])
            | st.binary(max_size=80)
            | st.builds(
                lambda a, b, c: b"AWS4-HMAC-SHA256 Credential=%b, SignedHeaders=%b, Signature=%b" % (a, b, c),
                st.sampled_from([b"AKIDEXAMPLE/20210309/eu-central-1/execute-api/aws4_request", b"a/b/c/d/e", b"a"])
                | st.binary(max_size=20),
                st.sampled_from([b"host", b"host;x-amz-date", b"date;host"]) | st.binary(max_size=20),
                st.binary(max_size=64),
            ),
        ),
        max_size=12,
    ),
    st.text(max_size=20),
    st.text(max_size=40).map(quote) | st.text(max_size=40),
    st.text(max_size=40) | st.sampled_from(["a=1&b", "X-Amz-Date=1", "%", "%zz=%&&=="]),
    st.sampled_from([b"", b"{}"]),
)
def test_whatever_the_headers_are_the_answer_is_a_refusal(
    headers: list[tuple[bytes, bytes]], method: str, path: str, query: str, body: bytes
) -> None:
    head = RequestHead(method, path, query, headers, dict(headers), "", False, "", 0)
    with pytest.raises(Refused) as caught:
        verifier_of().check_head(head).verify(hashlib.sha256(body).hexdigest())
    assert caught.value.status == 403
    assert error_response(caught.value).body
