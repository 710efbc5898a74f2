"""The verifier's answers, one by one: each row of the contract's table with its text to the letter."""

from __future__ import annotations

import pytest

from simple_log_service.api.errors import Refused, error_response
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
    TOKEN_INVALID,
    accepted,
    edited,
    incomplete,
    invalid,
    key_of,
    refusal,
    refusal_at_head,
    resigned,
    signed,
    verifier_of,
    verify,
)

# --- Who is let in. ---


def test_a_signed_request_is_its_keys_principal() -> None:
    assert verify(signed()) == key_of(LASTING).principal


def test_temporary_credentials_with_their_token_are_let_in() -> None:
    assert verify(signed(credentials=TEMPORARY)) == key_of(TEMPORARY).principal


def test_the_claim_names_the_key_before_the_body_is_read() -> None:
    assert verifier_of().check_head(signed().head()).key.principal == key_of(LASTING).principal


def test_a_session_token_may_stay_unsigned() -> None:
    without = signed(credentials=Credentials(TEMPORARY.access_key_id, SECRET))
    assert verify(without.with_header(b"x-amz-security-token", TOKEN.encode())) == key_of(TEMPORARY).principal


def test_a_body_hash_need_not_be_declared() -> None:
    """curl and npm's aws4 send none; the hash that counts is the body's own."""
    request = resigned(signed(), b"content-type;host;x-amz-date").with_header(b"x-amz-content-sha256", None)
    assert verify(request) == key_of(LASTING).principal
    assert refusal(request._replace(body=b"other")) == invalid(SIGNATURE_DIFFERS)


def test_parameters_may_be_separated_without_spaces() -> None:
    assert accepted(edited(signed(), ", ", ","))


def test_header_spaces_may_change_as_proxies_change_them() -> None:
    request = signed(headers=[("X-Note", "two  spaces   inside")])
    assert accepted(request.with_header(b"x-note", b"  two spaces inside "))


def test_doubled_headers_that_do_not_identify_are_signed_joined_by_a_comma() -> None:
    request = signed(headers=[("X-Note", "one,two")])
    twice = [*request.with_header(b"x-note", None).headers, (b"X-Note", b"one"), (b"x-note", b"two")]
    assert accepted(request._replace(headers=twice))


def test_names_with_a_percent_sign_are_signed_like_any_other() -> None:
    assert accepted(signed(headers=[("X-%s", "1"), ("X-%%", "2")]))


# --- The contract's table. ---


def test_no_credentials() -> None:
    request = signed().with_header(b"authorization", None)
    assert refusal_at_head(request) == (403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def test_an_unknown_key() -> None:
    request = signed(credentials=Credentials("AKIDSTRANGER", SECRET))
    assert refusal_at_head(request) == (403, "UnrecognizedClientException", TOKEN_INVALID)


def test_a_disabled_key_is_an_unknown_one() -> None:
    keys = {LASTING.access_key_id: key_of(LASTING)}
    verifier = Verifier(keys.get, region=REGION, clock=lambda: NOW)
    assert accepted(signed(), verifier)
    keys.clear()
    assert refusal_at_head(signed(), verifier) == (403, "UnrecognizedClientException", TOKEN_INVALID)


@pytest.mark.parametrize(
    ("credentials", "token"),
    [
        pytest.param(TEMPORARY, None, id="missing"),
        pytest.param(TEMPORARY, "", id="empty"),
        pytest.param(TEMPORARY, TOKEN[:-1], id="truncated"),
        pytest.param(TEMPORARY, TOKEN.lower(), id="in another case"),
        pytest.param(TEMPORARY, "\xff" + TOKEN, id="not ASCII"),
        pytest.param(LASTING, TOKEN, id="superfluous"),
        pytest.param(LASTING, "", id="superfluous and empty"),
    ],
)
def test_a_wrong_token(credentials: Credentials, token: str | None) -> None:
    request = signed(credentials=Credentials(credentials.access_key_id, SECRET))
    sent = request.with_header(b"x-amz-security-token", None if token is None else token.encode("latin-1"))
    assert refusal_at_head(sent) == (403, "UnrecognizedClientException", TOKEN_INVALID)


def test_a_signature_that_differs() -> None:
    request = signed(credentials=Credentials(LASTING.access_key_id, "another secret"))
    assert refusal(request) == invalid(SIGNATURE_DIFFERS)


def test_a_signature_too_old() -> None:
    assert refusal_at_head(signed(now=NOW - 301), verifier_of(now=NOW)) == invalid(
        "Signature expired: 20210309T163357Z is now earlier than 20210309T163358Z (20210309T163858Z - 5 min.)"
    )


def test_a_signature_too_new() -> None:
    assert refusal_at_head(signed(now=NOW + 301)) == invalid(
        "Signature not yet current: 20210309T164359Z is still later than 20210309T164358Z (20210309T163858Z + 5 min.)"
    )


@pytest.mark.parametrize("skew_seconds", [-299, -300, 0, 299, 300])
def test_five_minutes_of_skew_pass(skew_seconds: int) -> None:
    assert accepted(signed(now=NOW + skew_seconds), verifier_of(key_of(LASTING), now=NOW + 0.9))


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        pytest.param("", ["Credential", "Signature", "SignedHeaders"], id="empty"),
        pytest.param("Bearer eyJhbGciOi", ["Credential", "Signature", "SignedHeaders"], id="another scheme"),
        pytest.param("AWS4-HMAC-SHA256", ["Credential", "Signature", "SignedHeaders"], id="the algorithm alone"),
        pytest.param("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", ["Signature", "SignedHeaders"], id="credential alone"),
        pytest.param("AWS4-HMAC-SHA256 Signature=0, SignedHeaders=host", ["Credential"], id="without credential"),
        pytest.param("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=", ["Signature"], id="empty signature"),
        pytest.param("AWS4-HMAC-SHA256 Credential=a, Signature=0", ["SignedHeaders"], id="without names"),
    ],
)
def test_a_malformed_authorization_is_answered_with_each_missing_part(header: str, missing: list[str]) -> None:
    parts = [f"Authorization header requires '{part}' parameter." for part in missing]
    request = signed().with_header(b"authorization", header.encode())
    assert refusal_at_head(request) == incomplete(" ".join(parts))
    parts.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    assert refusal_at_head(request.with_header(b"x-amz-date", None)) == incomplete(" ".join(parts))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", id="another algorithm"),
        pytest.param("AWS4-HMAC-SHA256 ", "aws4-hmac-sha256 ", id="lower case"),
        pytest.param("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256\t", id="a tab"),
        pytest.param("/aws4_request", "", id="four elements"),
        pytest.param("/aws4_request", "/aws4_request/", id="six elements"),
        pytest.param(", SignedHeaders", "; SignedHeaders", id="another separator"),
        pytest.param(", Signature=", ", Extra=1, Signature=", id="a parameter more"),
        pytest.param(", Signature=", ", Signature=00, Signature=", id="a doubled parameter"),
    ],
)
def test_an_authorization_of_another_form_is_incomplete(old: str, new: str) -> None:
    status, error_type, text = refusal_at_head(edited(signed(), old, new))
    assert (status, error_type) == (403, "IncompleteSignatureException")
    assert "of the form AWS4-HMAC-SHA256 Credential=" in text


@pytest.mark.parametrize(
    "date", ["20210309T163858", "2021-03-09T16:38:58Z", "20210332T163858Z", "20210309T163860Z", ""]
)
def test_a_date_that_is_none_is_incomplete(date: str) -> None:
    request = signed().with_header(b"x-amz-date", date.encode())
    assert refusal_at_head(request) == incomplete("Date must be in ISO-8601 'basic format'.")


def test_a_scope_of_another_region() -> None:
    assert refusal_at_head(signed(region="us-west-2")) == invalid(
        "Credential should be scoped to a valid region, not 'us-west-2'. "
    )


def test_a_scope_of_another_service() -> None:
    assert refusal_at_head(edited(signed(), "execute-api", "dynamodb")) == invalid(
        "Credential should be scoped to correct service: 'execute-api'. "
    )


def test_a_scope_with_another_terminator() -> None:
    assert refusal_at_head(edited(signed(), "aws4_request", "aws5_request")) == invalid(
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. "
    )


def test_a_scope_of_another_day() -> None:
    assert refusal_at_head(edited(signed(), "/20210309/", "/20210308/")) == invalid(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'20210308' != '20210309', from '20210309T163858Z'."
    )


def test_every_fault_of_a_scope_is_named() -> None:
    request = edited(signed(), f"20210309/{REGION}/execute-api/aws4_request", "b/c/d/e")
    assert refusal_at_head(request) == invalid(
        "Credential should be scoped to a valid region, not 'c'. "
        "Credential should be scoped to correct service: 'execute-api'. "
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'e'. "
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        "'b' != '20210309', from '20210309T163858Z'."
    )


def test_an_expired_token() -> None:
    request = signed(credentials=TEMPORARY)
    assert accepted(request, verifier_of(key_of(TEMPORARY, expires_at=NOW + 0.1)))
    for expires_at in (NOW, NOW - 1, NOW - 86400):
        assert refusal_at_head(request, verifier_of(key_of(TEMPORARY, expires_at=expires_at))) == (
            403,
            "ExpiredTokenException",
            "The security token included in the request is expired",
        )


def test_an_expired_key_with_a_wrong_token_does_not_tell_that_it_expired() -> None:
    request = signed(credentials=Credentials(TEMPORARY.access_key_id, SECRET, "guess"))
    verifier = verifier_of(key_of(TEMPORARY, expires_at=NOW - 1))
    assert refusal_at_head(request, verifier) == (403, "UnrecognizedClientException", TOKEN_INVALID)


def test_where_temporary_credentials_are_required_a_lasting_key_is_unknown() -> None:
    verifier = verifier_of(temporary_only=True)
    assert accepted(signed(credentials=TEMPORARY), verifier)
    assert refusal_at_head(signed(), verifier) == (403, "UnrecognizedClientException", TOKEN_INVALID)


def test_the_answer_is_json_with_the_error_type_in_a_header() -> None:
    with pytest.raises(Refused) as caught:
        verify(signed(region="x"))
    response = error_response(caught.value)
    assert response.status == 403
    assert response.headers == (("x-amzn-ErrorType", "InvalidSignatureException"),)
    assert response.body == b'{"message":"Credential should be scoped to a valid region, not \'x\'. "}'
