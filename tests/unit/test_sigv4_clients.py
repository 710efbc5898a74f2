"""What real clients sign, the verifier accepts: botocore and requests-aws4auth live, curl and aws4 as recorded."""

from __future__ import annotations

import hashlib
import time
from calendar import timegm
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pytest
import requests
from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import example, given
from hypothesis import strategies as st
from requests_aws4auth import AWS4Auth

from simple_log_service.api.canonical import OTHER_QUERY_FORMS, canonical_query
from simple_log_service.api.signer import Credentials, sign_headers
from simple_log_service.api.sigv4 import Verifier
from support.signing import LASTING, REGION, TEMPORARY, Request, accepted, key_of, verifier_of, verify

HOST = "logs.example.com:8080"
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)
TOKEN_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
SET_BY_CLIENTS = {"authorization", "host", "date", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}


def in_url(text: st.SearchStrategy[str], raw: str) -> st.SearchStrategy[str]:
    """Percent-encoded text in which any of the ``raw`` characters may stand for itself."""
    return st.builds(lambda each, safe: quote(each, safe=safe), text, st.text(st.sampled_from(raw), max_size=4))


methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
segments = st.text(min_size=1, max_size=8).filter(lambda text: text not in {".", ".."})
paths = st.lists(in_url(segments, ":@!$&'()*+,;="), max_size=4).map(lambda parts: "/" + "/".join(parts))
queries = st.lists(
    st.tuples(in_url(st.text(max_size=6), ":@!$'()*+,;/?"), st.none() | in_url(st.text(max_size=6), ":@!$'()*+,;/?=")),
    max_size=5,
).map(lambda pairs: "&".join(name if value is None else f"{name}={value}" for name, value in pairs))
encoded_queries = st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
)
header_names = st.text(st.sampled_from(TOKEN_CHARACTERS), min_size=1, max_size=12).filter(
    lambda name: name.lower() not in {*SET_BY_CLIENTS, *SIGNED_HEADERS_BLACKLIST, "content-length", "user-agent"}
)
header_values = st.lists(st.text(VISIBLE, min_size=1, max_size=6), max_size=4).map("  ".join)
headers = st.lists(st.tuples(header_names, header_values), max_size=5, unique_by=lambda header: header[0].lower())
bodies = st.binary(max_size=40)
credentials = st.sampled_from([LASTING, TEMPORARY])


def verifier_now() -> Verifier:
    """Clients take the time from the machine, so this verifier does too."""
    return Verifier(
        {each.access_key_id: key_of(each) for each in (LASTING, TEMPORARY)}.get, region=REGION, clock=time.time
    )


def signed_by_botocore(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, credentials: Credentials
) -> Request:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, headers=dict([("Host", HOST), *headers]), data=body)
    keys = BotocoreCredentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
    SigV4Auth(keys, "execute-api", REGION).add_auth(request)
    wire = [(name.encode(), value.encode()) for name, value in request.headers.items()]
    return Request(method, path, query, wire, body)


@given(methods, paths, queries, headers, bodies, credentials)
@example("GET", "/", "b=+:&a=+:&a", [], b"", LASTING)
@example("GET", "/a%2Fb//", "&&=&a", [], b"", LASTING)
def test_what_botocore_signs_is_accepted(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, credentials: Credentials
) -> None:
    if "//" in path:
        # botocore signs another path than it sends, and no route has such a one.
        path = path.replace("//", "/")
    request = signed_by_botocore(method, path, query, headers, body, credentials)
    assert verify(request, verifier_now()) == key_of(credentials).principal


def test_botocore_signs_a_date_header_that_its_caller_has_set() -> None:
    request = signed_by_botocore("GET", "/logs/recent", "", [("Date", "now")], b"", LASTING)
    assert b"X-Amz-Date" not in dict(request.headers)
    assert accepted(request, verifier_now())


@given(methods, paths, encoded_queries, headers, bodies, credentials)
def test_our_client_signs_what_botocore_signs(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, credentials: Credentials
) -> None:
    digest = hashlib.sha256(body).hexdigest()
    theirs = signed_by_botocore(method, path, query, [*headers, ("X-Amz-Content-SHA256", digest)], body, credentials)
    moment = timegm(time.strptime(theirs.header(b"x-amz-date").decode(), "%Y%m%dT%H%M%SZ"))
    ours = sign_headers(method, path, query, [("Host", HOST), *headers], digest, credentials, REGION, moment)
    for name, value in ours:
        assert value.encode() == theirs.header(name.lower().encode())


def test_our_client_refuses_to_sign_without_a_host() -> None:
    with pytest.raises(ValueError, match="Host"):
        sign_headers("GET", "/", "", [], hashlib.sha256(b"").hexdigest(), LASTING, REGION, 0)


def test_our_client_sends_no_empty_token() -> None:
    """An empty environment variable means that there is none."""
    empty = Credentials(LASTING.access_key_id, LASTING.secret_access_key, "")
    assert "X-Amz-Security-Token" not in dict(
        sign_headers("GET", "/", "", [("Host", HOST)], "0" * 64, empty, REGION, 0)
    )


def test_our_client_leaves_alone_what_proxies_change() -> None:
    plain = [("Host", HOST), ("User-Agent", "a"), ("Connection", "close"), ("X-Amzn-Trace-Id", "1")]
    *_, (_, authorization) = sign_headers("GET", "/", "", plain, "0" * 64, LASTING, REGION, 0)
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in authorization


def signed_by_requests_aws4auth(
    method: str, url: str, headers: dict[str, str], body: bytes, credentials: Credentials
) -> Request:
    prepared = requests.Request(method, url, headers=headers, data=body).prepare()
    signer = AWS4Auth(
        credentials.access_key_id,
        credentials.secret_access_key,
        REGION,
        "execute-api",
        session_token=credentials.session_token,
    )
    signer(prepared)
    assert prepared.url is not None
    parts = urlsplit(prepared.url)
    wire = [(name.encode(), value.encode()) for name, value in prepared.headers.items()]
    return Request(method, parts.path, parts.query, [(b"Host", parts.netloc.encode()), *wire], body)


requests_queries = st.lists(st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=6)), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name, safe=':/@!')}={quote(value, safe=':/@!')}" for name, value in pairs)
)


@given(methods, paths, requests_queries, bodies, credentials)
def test_what_requests_aws4auth_signs_is_accepted(
    method: str, path: str, query: str, body: bytes, credentials: Credentials
) -> None:
    headers = {"Content-Type": "application/json", "X-Amz-Meta": "a  b"}
    request = signed_by_requests_aws4auth(method, f"http://{HOST}{path}?{query}", headers, body, credentials)
    assert verify(request, verifier_now()) == key_of(credentials).principal


def test_a_plus_that_was_signed_as_a_space_is_refused() -> None:
    """requests-aws4auth signs ``%20`` for a ``+`` that goes over the wire, where it means a plus."""
    request = signed_by_requests_aws4auth("GET", f"http://{HOST}/logs/recent?q=two+words", {}, b"", LASTING)
    assert not accepted(request, verifier_now())


# --- Recorded requests. Their key is AKIDEXAMPLE with the secret SECRET, their region us-east-1. ---


def recorded(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Request:
    path, _, query = target.partition("?")
    return Request(method, path, query, [(name.encode(), value.encode()) for name, value in headers.items()], body)


def authorization(date: str, names: str, signature: str) -> str:
    credential = f"AKIDEXAMPLE/{date}/us-east-1/execute-api/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"


AWS4_1_13 = [
    recorded(
        "POST",
        "/services/caf%C3%A9%20(1)/logs?b=2&a=x%252by&a=A%21%27%28%29%2A&q=two%20words&empty=",
        {
            "Content-Type": "application/json",
            "X-Amz-Date": "20210309T163858Z",
            "X-Note": "a   b",
            "Host": "logs.example.com",
            "Content-Length": "7",
            "X-Amz-Security-Token": "tok/+==",
            "Authorization": authorization(
                "20210309",
                "content-length;content-type;host;x-amz-date;x-amz-security-token;x-note",
                "4189ecd2001196e46cc76328415085ff9568e1d1b8c73e2d56e0c6720029e124",
            ),
        },
        b'{"a":1}',
    ),
    recorded(
        "GET",
        "/logs/recent?limit=5&service_name=a%20b",
        {
            "X-Amz-Date": "20210309T163858Z",
            "Host": "logs.example.com",
            "Authorization": authorization(
                "20210309",
                "host;x-amz-date",
                "b9fc1ce3b650cf49dba9c5090bce25f4a6b6b067f8f21ce396ef4884472ad048",
            ),
        },
    ),
]

CURL_7_88 = [
    recorded(
        "GET",
        # Neither sorted nor encoded, and without the "=" of an empty value: the text itself is what is signed.
        "/logs/recent?service_name=x&q=a+b%2fc&since=2021-03-09T00:00:00Z&limit",
        {
            "Host": "logs.example.com",
            "Authorization": authorization(
                "20261122",
                "host;x-amz-date",
                "3d374ca4b831fbe93fcb873afdfc23733c92d0d182246fd75796820296e69e2d",
            ),
            "X-Amz-Date": "20261122T154648Z",
            "User-Agent": "curl/7.88.1",
            "Accept": "*/*",
        },
    ),
    recorded(
        "POST",
        "/logs",
        {
            "Host": "logs.example.com",
            "Authorization": authorization(
                "20261122",
                "content-type;host;idempotency-key;x-amz-date",
                "ed69194e69829e277ce62d4502e42c968fe74059bd896cd2ccd7203910ed3b45",
            ),
            "X-Amz-Date": "20261122T154648Z",
            "User-Agent": "curl/7.88.1",
            "Accept": "*/*",
            "Content-Type": "application/x-ndjson",
            "Idempotency-Key": "a  b",
            "Content-Length": "7",
        },
        b'{"a":1}',
    ),
]


@pytest.mark.parametrize("request_", [*AWS4_1_13, *CURL_7_88])
def test_what_aws4_and_curl_sign_is_accepted(request_: Request) -> None:
    has_token = any(name == b"X-Amz-Security-Token" for name, _ in request_.headers)
    key = key_of(Credentials("AKIDEXAMPLE", "SECRET", "tok/+==" if has_token else None))
    now = timegm(time.strptime(request_.header(b"x-amz-date").decode(), "%Y%m%dT%H%M%SZ"))
    verifier = verifier_of(key, region="us-east-1", now=now)
    assert verify(request_, verifier) == key.principal
    assert not accepted(request_._replace(body=request_.body + b" "), verifier)


# --- Why accepting more than one form of a query is safe. ---


def meaning(query: bytes) -> list[tuple[bytes, bytes]]:
    """The decoded parameters, in an order of their own."""
    pairs = [pair.partition(b"=") for pair in query.split(b"&")] if query else []
    return sorted((unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs)


@given(queries.map(str.encode) | st.text(st.sampled_from("ab+%2Bf&=;~\xe9")).map(lambda text: text.encode("latin-1")))
def test_each_form_of_a_query_keeps_its_meaning(query: bytes) -> None:
    """So two queries that share the text of any form mean the same, and one's signature is no use for another."""
    for form in (canonical_query, *OTHER_QUERY_FORMS):
        assert meaning(form(query)) == meaning(query)
