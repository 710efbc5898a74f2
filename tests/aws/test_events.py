"""API Gateway's events become the requests that were made, and nothing that can stand in one does any harm."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.api.errors import Refused
from simple_log_service.api.messages import Response
from simple_log_service.api.parameters import parse_parameters
from simple_log_service.api.routes import INGEST_SERVICE, RECENT, ROUTES
from simple_log_service.aws.events import answer_of, body_of, head_of, principal_of, read_event, route_of
from simple_log_service.core.errors import BodyTooLarge, InvalidRequest, LogServiceError
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX, PAGE_BYTES_MAX, RECORD_JSON_BYTES_MAX
from support.api_template import ACCOUNT
from support.proxy_events import ACCESS_KEY_ID, ARN, IDENTITY, REQUEST_ID, ROLE_ID, proxy_event, response_of

NOW = 1_749_988_800_000_000_000
LAMBDA_PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
SERVICE_ROUTE = "/services/{service_name}/logs"

texts = st.text(st.characters(exclude_categories=[]), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def test_an_event_gives_the_requests_head() -> None:
    event = read_event(proxy_event("GET", "/logs/recent", parameters={"level": ["ERROR"]}, headers={"Accept": ["*/*"]}))

    head = head_of(event, NOW)

    assert (head.method, head.path, head.query) == ("GET", "/logs/recent", "level=ERROR")
    assert (head.source_ip, head.secure, head.request_id) == ("203.0.113.7", True, REQUEST_ID)
    assert head.received_ns == NOW
    assert head.text(b"accept") == "*/*"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_route_is_found_by_its_resource(route: Any) -> None:
    names = {"service_name": "shop"} if "{" in route.path else None

    found = route_of(*_read(proxy_event(route.method, route.path, path_parameters=names)))

    assert found == (route, names and "shop")


@pytest.mark.parametrize(
    ("method", "resource", "path_parameters"),
    [
        ("PUT", "/logs", None),
        ("GET", "/logs", None),
        ("GET", "/nowhere", None),
        ("GET", "/{proxy+}", {"proxy": "logs/recent"}),
        ("GET", "/{any}", {"any": "logs/recent"}),
        ("GET", SERVICE_ROUTE, None),
        ("GET", SERVICE_ROUTE, {"other": "shop"}),
        ("GET", SERVICE_ROUTE, {"service_name": ""}),
        ("GET", SERVICE_ROUTE, {"service_name": ".."}),
        ("GET", SERVICE_ROUTE, {"service_name": "a/b"}),
        ("GET", SERVICE_ROUTE, {"service_name": "a b"}),
        ("GET", SERVICE_ROUTE, {"service_name": "sh%6Fp"}),
        ("GET", SERVICE_ROUTE, {"service_name": "shöp"}),
        ("GET", SERVICE_ROUTE, {"service_name": "shop\n"}),
        ("GET", SERVICE_ROUTE, {"service_name": "\ud800"}),
        ("GET", SERVICE_ROUTE, {"service_name": "x" * 129}),
    ],
)
def test_what_is_no_route_is_refused_as_one_without_credentials(
    method: str, resource: str, path_parameters: dict[str, str] | None
) -> None:
    with pytest.raises(Refused, match="Missing Authentication Token"):
        route_of(*_read(proxy_event(method, resource, path_parameters=path_parameters)))


def test_a_custom_domains_base_path_does_not_matter() -> None:
    event, head = _read(
        proxy_event("POST", SERVICE_ROUTE, path_parameters={"service_name": "shop"}, path="/v1/services/shop/logs")
    )

    assert route_of(event, head) == (INGEST_SERVICE, "shop")
    assert head.path == "/services/shop/logs"


@given(st.dictionaries(st.text(max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=1), max_size=4))
def test_parameters_are_read_as_they_were_sent(parameters: dict[str, list[str]]) -> None:
    _, head = _read(proxy_event("GET", "/logs/recent", parameters=parameters))

    read = parse_parameters(head.query, frozenset(parameters))

    # A parameter without name and value is no parameter, as in the embedded home.
    assert read == {name: values[0] for name, values in parameters.items() if name or values[0]} | (
        {"": ""} if parameters.get("") == [""] else {}
    )


def test_a_parameter_that_was_sent_twice_is_refused() -> None:
    _, head = _read(proxy_event("GET", "/logs/recent", parameters={"limit": ["1", "2"]}))

    with pytest.raises(InvalidRequest, match="limit is given twice"):
        parse_parameters(head.query, frozenset({"limit"}))


def test_a_header_that_was_sent_twice_counts_twice() -> None:
    _, head = _read(proxy_event("POST", "/logs", headers={"Idempotency-Key": ["a", "b"]}))

    with pytest.raises(InvalidRequest, match="idempotency-key is given twice"):
        head.text(b"idempotency-key")


@pytest.mark.parametrize("name", ["multiValueQueryStringParameters", "multiValueHeaders", "body", "requestContext"])
def test_an_event_without_a_member_is_refused_rather_than_read_without_it(name: str) -> None:
    event = proxy_event("GET", "/logs/recent")
    del event[name]

    with pytest.raises(InvalidRequest):
        read_event(event)


@given(json_values)
def test_whatever_is_no_event_is_an_invalid_request(value: object) -> None:
    with pytest.raises(InvalidRequest):
        read_event(value)


@given(st.data())
def test_an_event_with_anything_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    event = proxy_event("POST", SERVICE_ROUTE, path_parameters={"service_name": "shop"}, body=b"{}")
    place = data.draw(st.sampled_from(["event", "requestContext", "identity"]))
    event["requestContext"]["identity"] = dict(IDENTITY)
    part: dict[str, Any] = {
        "event": event,
        "requestContext": event["requestContext"],
        "identity": event["requestContext"]["identity"],
    }[place]
    name = data.draw(st.sampled_from(sorted(part)))
    part[name] = data.draw(json_values | st.dictionaries(texts, st.lists(texts, max_size=2), max_size=3))

    try:
        read = read_event(event)
        head = head_of(read, NOW)
        route_of(read, head)
        principal = principal_of(read.request_context.identity)
        body_of(read)
    except LogServiceError:
        return

    # What may be logged can be written.
    json.dumps([head.path, head.source_ip, head.request_id, principal.arn]).encode("ascii")


def test_a_body_in_base64_is_what_was_on_the_wire() -> None:
    wire = bytes(range(256))

    assert body_of(read_event(proxy_event("POST", "/logs", body=wire))) == wire


def test_a_body_as_text_is_its_utf_8() -> None:
    assert body_of(read_event(proxy_event("POST", "/logs", body=None) | {"body": "héllo"})) == "héllo".encode()


def test_no_body_is_an_empty_one() -> None:
    assert body_of(read_event(proxy_event("POST", "/logs"))) == b""


@pytest.mark.parametrize("text", ["not base64!", "YQ", "YQ==YQ==", "é", "\ud800"])
def test_a_body_that_is_not_base64_is_refused(text: str) -> None:
    event = read_event(proxy_event("POST", "/logs") | {"body": text, "isBase64Encoded": True})

    with pytest.raises(InvalidRequest):
        body_of(event)


def test_a_lone_surrogate_is_refused_wherever_it_stands() -> None:
    with pytest.raises(InvalidRequest):
        body_of(read_event(proxy_event("POST", "/logs") | {"body": "\ud800"}))
    with pytest.raises(InvalidRequest):
        read_event(proxy_event("POST", "/logs") | {"\ud800": None})
    for name in ("multiValueQueryStringParameters", "multiValueHeaders"):
        with pytest.raises(InvalidRequest):
            head_of(read_event(proxy_event("POST", "/logs") | {name: {"level": ["\ud800"]}}), NOW)


@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_may_have_its_bound_and_no_byte_more(encoded: bool) -> None:
    for size, fits in ((BODY_WIRE_BYTES_MAX, True), (BODY_WIRE_BYTES_MAX + 1, False)):
        body = b"x" * size
        text = b64encode(body).decode() if encoded else body.decode()
        event = read_event(proxy_event("POST", "/logs") | {"body": text, "isBase64Encoded": encoded})
        if fits:
            assert body_of(event) == body
        else:
            with pytest.raises(BodyTooLarge, match="Request Too Long"):
                body_of(event)


def test_the_caller_is_who_signed() -> None:
    principal = principal_of(_identity())

    assert principal.access_key_id == ACCESS_KEY_ID
    assert principal.arn == ARN


def test_a_retry_under_renewed_credentials_is_the_same_owners() -> None:
    renewed = _identity(accessKey="ASIARENEWED000000000", caller=f"{ROLE_ID}:session-2")

    assert principal_of(renewed).owner == principal_of(_identity()).owner


@pytest.mark.parametrize(
    "other",
    [
        {"caller": "AROAANOTHERROLE:session-1"},
        {"accountId": "210987654321"},
        {"caller": f"{ACCOUNT}:ann"},
        {"caller": f"{ACCOUNT}:ben"},
        {"caller": ACCOUNT},
    ],
)
def test_somebody_else_is_another_owner(other: dict[str, str]) -> None:
    owners = {principal_of(_identity(**each)).owner for each in ({}, {"caller": f"{ACCOUNT}:cem"}, other)}

    assert len(owners) == 3


@pytest.mark.parametrize("access_key_id", ["AKIAEXAMPLEKEY000001", "asiaexample", "test-invoke-access-key"])
def test_a_long_lived_key_is_refused_as_an_invalid_token(access_key_id: str) -> None:
    with pytest.raises(Refused, match="The security token included in the request is invalid") as refused:
        principal_of(_identity(accessKey=access_key_id))

    assert (refused.value.status, refused.value.error_type) == (403, "UnrecognizedClientException")


@pytest.mark.parametrize("name", ["accessKey", "accountId", "caller", "userArn"])
@pytest.mark.parametrize("nothing", [None, ""])
def test_nobody_is_refused_for_missing_credentials(name: str, nothing: str | None) -> None:
    with pytest.raises(Refused, match="Missing Authentication Token"):
        principal_of(_identity(**{name: nothing}))


def test_an_answer_says_what_the_response_says_and_carries_the_common_headers() -> None:
    response = Response(429, b'{"message":"Too Many Requests"}', (("Retry-After", "5"),))

    answer = answer_of(response)

    assert response_of(answer).body == response.body
    assert answer["statusCode"] == 429
    assert answer["headers"] == {
        "Content-Type": "application/json",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "x-amzn-RequestId,x-amzn-ErrorType,Retry-After",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Retry-After": "5",
    }


@pytest.mark.parametrize("character", ["x", '"', "\0", "语"])
def test_the_largest_page_fits_into_lambdas_payload_whatever_is_in_it(character: str) -> None:
    # A page ends with the record that passes its bound.
    size = PAGE_BYTES_MAX + RECORD_JSON_BYTES_MAX

    payload = json.dumps(answer_of(Response(200, character.encode() * (size // len(character.encode())))))

    assert len(payload) < LAMBDA_PAYLOAD_BYTES_MAX


def test_a_repr_of_an_event_holds_neither_headers_nor_body() -> None:
    event = read_event(proxy_event("POST", "/logs", headers={"Authorization": ["secret"]}, body=b"secret"))

    assert "secret" not in repr(event)
    assert repr(event) == "Event(POST /logs)"


def test_the_recent_route_is_told_from_the_one_of_a_service() -> None:
    event, head = _read(proxy_event("GET", "/logs/recent", path_parameters={"service_name": "shop"}))

    assert route_of(event, head) == (RECENT, None)


def _read(event: dict[str, Any]) -> Any:
    read = read_event(event)
    return read, head_of(read, NOW)


def _identity(**changed: str | None) -> Any:
    return read_event(proxy_event("GET", "/logs/recent", identity={**IDENTITY, **changed})).request_context.identity


def test_the_refusal_of_an_event_does_not_quote_it() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_event(proxy_event("GET", "/logs/recent") | {"body": {"secret": 1}})

    assert "secret" not in str(refused.value)
    assert not isinstance(refused.value.__cause__, msgspec.ValidationError)
