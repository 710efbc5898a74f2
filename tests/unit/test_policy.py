"""Policies: what is allowed, what is denied, which documents are refused, and that none can be made slow."""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simple_log_service.api.errors import error_response
from simple_log_service.api.policy import ADMIN, INGEST, READ, Decision, Policy, PolicyError, denied, invoke_arn
from simple_log_service.api.routes import ROUTES

ARN = "arn:aws:execute-api:eu-central-1:123456789012:api/prod"
ALLOWED, DENIED, DENIED_EXPLICIT = Decision.ALLOWED, Decision.DENIED, Decision.DENIED_EXPLICIT


def statement(resource: object = "*", effect: str = "Allow", **others: object) -> dict[str, object]:
    return {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource, **others}


def document(*statements: dict[str, object]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def decide(
    *statements: dict[str, object],
    resource: str = f"{ARN}/POST/logs",
    source_ip: str = "192.0.2.1",
    secure: bool = True,
) -> Decision:
    return Policy.parse(document(*statements)).decide(resource, source_ip, secure)


def arn(method: str, path: str) -> str:
    return invoke_arn("eu-central-1", "123456789012", "api", "prod", method, path)


# --- Allow and deny. ---


def test_what_no_statement_speaks_of_is_denied() -> None:
    assert decide(statement(f"{ARN}/GET/logs/recent")) is DENIED


def test_what_a_statement_allows_is_allowed() -> None:
    assert decide(statement(f"{ARN}/POST/logs")) is ALLOWED


@pytest.mark.parametrize("deny_first", [True, False])
def test_an_explicit_deny_outweighs_every_allow(deny_first: bool) -> None:
    statements = [statement(), statement(), statement(f"{ARN}/POST/*", "Deny")]
    assert decide(*(reversed(statements) if deny_first else statements)) is DENIED_EXPLICIT
    assert decide(*statements, resource=f"{ARN}/GET/logs/recent") is ALLOWED


def test_a_statement_may_stand_without_a_list_and_under_a_name() -> None:
    assert Policy.parse({"Version": "2012-10-17", "Statement": statement(Sid="All")}).decide(ARN, "", False) is ALLOWED


@pytest.mark.parametrize(
    "action", ["execute-api:Invoke", "EXECUTE-API:invoke", "execute-api:*", "execute-api:In?oke", "*", "exec*:*k*"]
)
def test_actions_match_with_wildcards_in_any_case(action: str) -> None:
    assert decide({"Effect": "Allow", "Action": action, "Resource": "*"}) is ALLOWED
    assert decide({"Effect": "Allow", "Action": [action, "*"], "Resource": "*"}) is ALLOWED


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("arn:aws:execute-api:*:*:*", True),
        ("arn:aws:execute-api:eu-*-1:*:*/*/POST/logs", True),
        ("arn:aws:execute-api:eu-central-?:12345678901?:ap?/p*d/POST/logs", True),
        ("arn:aws:execute-api:eu-central-1:123456789012:api/prod/POST/*", True),
        ("arn:aws:execute-api:*:*:*logs", True),
        ("arn:aws:execute-api:us-*:*:*", False),
        ("arn:aws:execute-api:*:999999999999:*", False),
        ("arn:aws:execute-api:*:*:api/prod/post/logs", False),
        ("arn:aws:execute-api:*:*:api/prod/POST/log", False),
        ("arn:aws:execute-api:*:*:api/prod/POST/logs?", False),
        ("arn:aws:execute-api:*:*:api/prod/POST/logs/*", False),
        ("arn:aws:execute-api:eu-central-1:*/POST/logs:*", False),
        ("arn:aws:execute-api:?:*:*", False),
    ],
)
def test_resources_match_as_in_iam(pattern: str, matches: bool) -> None:
    assert decide(statement(pattern)) is (ALLOWED if matches else DENIED)
    assert decide(statement(["arn:aws:execute-api:x:y:z", pattern])) is (ALLOWED if matches else DENIED)


@given(
    st.text(st.sampled_from("ab*?/.+[]{}()^$|\\-\n"), min_size=1, max_size=12),
    st.text(st.sampled_from("ab/.+[]{}()^$|\\-\n:*?"), max_size=16),
)
@example("*", "a\nb")
@example("a?b", "a\nb")
def test_patterns_mean_stars_and_question_marks_and_nothing_else(pattern: str, text: str) -> None:
    if "${" in pattern:
        return
    # The standard library's fnmatch is the judge, with its brackets made literal.
    expected = re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None
    resource = f"arn:aws:execute-api:r:a:{text}"
    assert (decide(statement(f"arn:aws:execute-api:r:a:{pattern}"), resource=resource) is ALLOWED) is expected


@pytest.mark.timeout(60)  # Backtracking would take longer than the universe is old.
@pytest.mark.parametrize(
    "pattern", ["a*" * 400 + "b", "*a" * 400 + "*b", "?*" * 300 + "b", "*" * 3000 + "b", "*?a?" * 200 + "b"]
)
def test_many_stars_take_no_exponential_time(pattern: str) -> None:
    policy = Policy.parse(document(statement(f"arn:aws:execute-api:*:*:{pattern}")))
    assert policy.decide(f"arn:aws:execute-api:r:a:{'a' * 2000}c", "192.0.2.1", True) is DENIED


# --- Conditions. ---


@pytest.mark.parametrize(
    ("networks", "source_ip", "inside"),
    [
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.7/24", "192.0.2.1", True),
        (["198.51.100.0/24", "192.0.2.0/24"], "192.0.2.1", True),
        ("192.0.2.0/24", "::ffff:192.0.2.1", True),
        ("2001:db8::/32", "2001:db8:1::5", True),
        ("2001:db8::/32", "2001:db9::5", False),
        ("2001:db8::/32", "192.0.2.1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "2001:db8::1", False),
    ],
)
def test_source_addresses(networks: object, source_ip: str, inside: bool) -> None:
    for key in ("aws:SourceIp", "AWS:sourceip"):
        within = statement(Condition={"IpAddress": {key: networks}})
        without = statement(Condition={"NotIpAddress": {key: networks}})
        assert decide(within, source_ip=source_ip) is (ALLOWED if inside else DENIED)
        assert decide(without, source_ip=source_ip) is (DENIED if inside else ALLOWED)


def test_every_condition_must_hold() -> None:
    condition = {
        "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
        "NotIpAddress": {"aws:SourceIp": "192.0.2.9"},
        "Bool": {"aws:SecureTransport": "true"},
    }
    assert decide(statement(Condition=condition)) is ALLOWED
    assert decide(statement(Condition=condition), secure=False) is DENIED
    assert decide(statement(Condition=condition), source_ip="192.0.2.9") is DENIED
    assert decide(statement(Condition=condition), source_ip="192.0.3.1") is DENIED


@pytest.mark.parametrize("value", ["false", False, ["false"], [False]])
def test_insecure_transport_can_be_denied(value: object) -> None:
    statements = [statement(), statement(effect="Deny", Condition={"Bool": {"aws:SecureTransport": value}})]
    assert decide(*statements, secure=True) is ALLOWED
    assert decide(*statements, secure=False) is DENIED_EXPLICIT


@pytest.mark.parametrize("source_ip", ["", "unix", "192.0.2.999", "192.0.2.1:80"])
def test_an_address_that_cannot_be_read_is_denied_wherever_one_is_asked_for(source_ip: str) -> None:
    for operator in ("IpAddress", "NotIpAddress"):
        condition = {operator: {"aws:SourceIp": "192.0.2.0/24"}}
        assert decide(statement(Condition=condition), source_ip=source_ip) is DENIED
        assert decide(statement(), statement(effect="Deny", Condition=condition), source_ip=source_ip) is DENIED
    assert decide(statement(), source_ip=source_ip) is ALLOWED


def test_a_decision_that_is_remembered_is_still_of_its_own_request() -> None:
    condition = {"IpAddress": {"aws:SourceIp": "192.0.2.1"}, "Bool": {"aws:SecureTransport": "true"}}
    policy = Policy.parse(document(statement(f"{ARN}/GET/*", Condition=condition)))
    for _ in range(2):
        assert policy.decide(f"{ARN}/GET/logs/recent", "192.0.2.1", True) is ALLOWED
        assert policy.decide(f"{ARN}/GET/logs/recent", "192.0.2.2", True) is DENIED
        assert policy.decide(f"{ARN}/GET/logs/recent", "192.0.2.1", False) is DENIED
        assert policy.decide(f"{ARN}/POST/logs", "192.0.2.1", True) is DENIED


# --- The resource of a request. ---


def test_a_request_invokes_its_method_and_path() -> None:
    assert arn("POST", "/logs") == "arn:aws:execute-api:eu-central-1:123456789012:api/prod/POST/logs"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/services/%61%2D%7e/logs", "/services/a-~/logs"),
        ("/services/%c3%a9/logs", "/services/%C3%A9/logs"),
        ("/services/a%2flogs", "/services/a%2Flogs"),
        ("/services/%2561/logs", "/services/%2561/logs"),
        ("/services/%2e%2E/logs", "/services/../logs"),
        ("/services/%zz%4/logs%", "/services/%zz%4/logs%"),
        ("//logs", "//logs"),
    ],
)
def test_a_path_is_named_in_one_spelling(path: str, named: str) -> None:
    assert arn("GET", path) == f"{ARN}/GET{named}"


def test_an_encoded_letter_does_not_slip_past_a_deny() -> None:
    statements = [statement(), statement(f"{ARN}/GET/services/secret/*", "Deny")]
    assert decide(*statements, resource=arn("GET", "/services/s%65cret/logs")) is DENIED_EXPLICIT


def test_a_denial_is_answered_as_api_gateway_does() -> None:
    response = error_response(denied("arn:aws:iam::1:user/a", f"{ARN}/POST/logs", DENIED))
    text = f"User: arn:aws:iam::1:user/a is not authorized to perform: execute-api:Invoke on resource: {ARN}/POST/logs"
    assert response.status == 403
    assert response.headers == (("x-amzn-ErrorType", "AccessDeniedException"),)
    assert json.loads(response.body) == {"Message": text}


def test_an_explicit_denial_says_so() -> None:
    refused = denied("arn:aws:iam::1:user/a", f"{ARN}/POST/logs", DENIED_EXPLICIT)
    assert refused.message.endswith(f" on resource: {ARN}/POST/logs with an explicit deny")


# --- The ready-made policies. ---


@pytest.mark.parametrize("service_name", ["checkout", "POST", "GET", "logs", "services", "recent", "a.b~c_d-e"])
def test_ready_made_policies_go_by_the_method_on_every_route(service_name: str) -> None:
    for route in ROUTES:
        resource = arn(route.method, route.path.format(service_name=service_name))
        is_of_logs = "logs" in route.path
        for policy, methods in ((INGEST, {"POST"}), (READ, {"GET"})):
            allowed = Policy.parse(policy).decide(resource, "192.0.2.1", True) is ALLOWED
            assert allowed is (is_of_logs and route.method in methods)
        assert Policy.parse(ADMIN).decide(resource, "", False) is ALLOWED


def test_ready_made_policies_survive_json() -> None:
    for policy in (INGEST, READ, ADMIN):
        assert json.loads(json.dumps(policy)) == policy


# --- Documents that are refused. ---

CONDITION: dict[str, Any] = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"Version":"2012-10-17"', "not JSON"),
        ("null", "Policy: must be a JSON object"),
        ("[]", "Policy: must be a JSON object"),
        ({}, "Policy: Statement, Version is missing"),
        ({"Version": "2012-10-17"}, "Policy: Statement is missing"),
        ({"Statement": []}, "Policy: Version is missing"),
        ({"Version": "2012-10-17", "Statement": []}, "Policy: Statement must not be empty"),
        ({"Version": "2008-10-17", "Statement": [statement()]}, 'Version must be "2012-10-17"'),
        ({"Version": "2012-10-17", "Statement": [statement()], "Id": "x"}, "Policy: 'Id' is not supported"),
        ({"version": "2012-10-17", "Statement": [statement()]}, "'version' is not supported"),
        ({"Version": "2012-10-17", "Statement": "x"}, "Statement 1: must be a JSON object"),
        ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "given twice"),
        (document(statement(), statement(Principal="*")), "Statement 2: 'Principal' is not supported"),
        (document(statement(NotResource="*")), "Statement 1: 'NotResource' is not supported"),
        (document({"Effect": "Allow", "NotAction": "*", "Resource": "*"}), "'NotAction' is not supported"),
        (document({"Effect": "Allow", "Action": "*"}), "Statement 1: Resource is missing"),
        (document(statement(effect="allow")), 'Effect must be "Allow" or "Deny"'),
        (document(statement(Effect=["Allow"])), 'Effect must be "Allow" or "Deny"'),
        (document(statement(Sid=1)), "Sid must be a string"),
        (document(statement(Action="s3:GetObject")), "Action 's3:GetObject' does not match execute-api:Invoke"),
        (document(statement(Action=["*", "execute-api:Invok"])), "Action 'execute-api:Invok' does not match"),
        (document(statement(Action=[])), "Action: must be a string or a list of strings"),
        (document(statement(Action=None)), "Action: must be a string or a list of strings"),
        (document(statement([1])), "Resource: must be a string or a list of strings"),
        (document(statement("")), "neither * nor of the form"),
        (document(statement("/POST/logs")), "neither * nor of the form"),
        (document(statement("arn:aws:execute-api:*")), "neither * nor of the form"),
        (document(statement("arn:aws:s3:::bucket")), "neither * nor of the form"),
        (document(statement("arn:*:execute-api:*:*:*")), "neither * nor of the form"),
        (document(statement("arn:aws:execute-api:*::api/prod/POST/logs")), "neither * nor of the form"),
        (document(statement("arn:aws:execute-api:*:*:api/prod/POST/${aws:username}")), "policy variables"),
        (document(statement(Condition=[])), "Condition: must be a JSON object"),
        (document(statement(Condition={"Bool": "true"})), "Bool must be a JSON object with a condition key"),
        (document(statement(Condition={"Bool": {}})), "Bool must be a JSON object with a condition key"),
        (document(statement(Condition={"StringLike": {"aws:SourceIp": "*"}})), "StringLike on aws:SourceIp is not"),
        (document(statement(Condition={"IpAddress": {"aws:VpcSourceIp": "10.0.0.1"}})), "aws:VpcSourceIp is not"),
        (document(statement(Condition={"IpAddressIfExists": CONDITION["IpAddress"]})), "IpAddressIfExists on"),
        (document(statement(Condition={"Bool": {"aws:SourceIp": "true"}})), "Bool on aws:SourceIp is not"),
        (document(statement(Condition={"Bool": {"aws:SecureTransport": "yes"}})), 'must be "true" or "false"'),
        (document(statement(Condition={"Bool": {"aws:SecureTransport": []}})), 'must be "true" or "false"'),
        (document(statement(Condition={"Bool": {"aws:SecureTransport": 1}})), 'must be "true" or "false"'),
        *(
            (document(statement(Condition={"IpAddress": {"aws:SourceIp": each}})), "not an IPv4 or IPv6 address")
            for each in (
                "", "*", "192.0.2", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/255.255.255.0", "10.0.0.0/0.0.0.255",
                "host.example.com", "2001:db8::/129", "::ffff:192.0.2.0/120", "192.0.2.0/24 ", "/24",
            )
        ),
        (document(statement(Condition={"IpAddress": {"aws:SourceIp": 1}})), "must be a string or a list"),
        (document(statement(Condition={"IpAddress": {"aws:SourceIp": []}})), "must be a string or a list"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_what_and_where(refused: str | dict[str, Any], says: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(says)):
        Policy.parse(refused)
    if isinstance(refused, dict):
        with pytest.raises(PolicyError, match=re.escape(says)):
            Policy.parse(json.dumps(refused))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Version", "Statement", "Effect", "Action", "Resource", "Condition", "Bool", "IpAddress", "x"]
            ),
            inner | st.sampled_from(["2012-10-17", "Allow", "*", CONDITION]),
            max_size=6,
        )
    ),
)


@given(JSON | st.builds(document, st.dictionaries(st.sampled_from(list(statement(Condition={}))), JSON)))
def test_any_other_document_is_read_or_refused(value: Any) -> None:
    for given_as in (json.dumps(value), value):
        if isinstance(given_as, str | dict):
            try:
                policy = Policy.parse(given_as)
            except PolicyError:
                continue
            assert policy.decide(ARN, "192.0.2.1", True) in Decision
