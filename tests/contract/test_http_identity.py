"""Who is let in, end to end: the contract's table of refusals, and how keys come, change and go."""

from __future__ import annotations

import math
import re
import time
from calendar import timegm
from collections.abc import Callable
from typing import Any

import pytest

from contract.http_caller import Caller, refusal, said, wire
from contract.http_home import AnyHome, Home, fresh_name, record
from simple_log_service.api.signer import Credentials
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX
from support.raw_http import Answer, connected
from support.signing import SIGNATURE_DIFFERS, TOKEN_INVALID, Request, edited

pytestmark = pytest.mark.xdist_group("http identity")

DEADLINE_SECONDS = 20


@pytest.fixture(params=["long-lived", "temporary"])
def caller(home: AnyHome, request: pytest.FixtureRequest) -> Caller:
    return home.caller(home.key(expires_in_seconds=None if request.param == "long-lived" else 600))


def refused(error_type: str, message: str) -> tuple[int, str, dict[str, str]]:
    return 403, error_type, {"message": message}


MISSING = refused("MissingAuthenticationTokenException", "Missing Authentication Token")
UNKNOWN = refused("UnrecognizedClientException", TOKEN_INVALID)
DIFFERS = refused("InvalidSignatureException", SIGNATURE_DIFFERS)
EXPIRED = refused("ExpiredTokenException", "The security token included in the request is expired")


def with_secret(credentials: Credentials | None, **changes: str | None) -> Credentials:
    assert credentials is not None
    fields = {name: getattr(credentials, name) for name in credentials.__struct_fields__}
    return Credentials(**{**fields, **changes})


# --- Credentials. ---


def test_no_credentials(home: AnyHome) -> None:
    for method, path in (("POST", "/logs"), ("GET", "/logs/recent"), ("GET", "/services/a/logs"), ("GET", "/metrics")):
        assert refusal(home.stranger.ask(method, path)) == MISSING


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/logs"), ("POST", "/logs/recent"), ("DELETE", "/logs"), ("PUT", "/services/a/logs"),
     ("GET", "/logs/"), ("GET", "/Logs/recent"), ("GET", "/logs/recent;a=b"), ("GET", "/services/a/logs/"),
     ("GET", "/services/a"), ("GET", "/%6Cogs/recent"), ("OPTIONS", "/nowhere"), ("PATCH", "/health")],
)  # fmt: skip
def test_an_unknown_route_answers_as_missing_credentials_do(home: AnyHome, method: str, path: str) -> None:
    assert refusal(home.admin.ask(method, path)) == refusal(home.stranger.ask(method, path)) == MISSING


def test_a_head_request_to_an_unknown_route_has_the_headers_alone(home: AnyHome) -> None:
    answer = home.admin.ask("HEAD", "/logs/recent")
    assert (answer.status, answer.headers["x-amzn-errortype"], answer.body) == (403, MISSING[1], b"")


def test_an_unknown_key(home: AnyHome) -> None:
    nobody = home.caller(Credentials("AKIAIOSFODNN7EXAMPLE", "secret"))
    assert refusal(nobody.get()) == UNKNOWN


def test_a_token_has_to_be_its_keys_own(home: AnyHome) -> None:
    temporary, other, lasting = home.key(expires_in_seconds=600), home.key(expires_in_seconds=600), home.key()
    wrong = {
        "another key's": with_secret(temporary, session_token=other.session_token),
        "cut short": with_secret(temporary, session_token=str(temporary.session_token)[:-1]),
        "none": with_secret(temporary, session_token=None),
        "one with a long-lived key": with_secret(lasting, session_token=other.session_token),
    }
    answers = {name: refusal(home.caller(credentials).get()) for name, credentials in wrong.items()}
    assert answers == dict.fromkeys(wrong, UNKNOWN)


def test_a_wrong_secret(home: AnyHome, caller: Caller) -> None:
    wrong = home.caller(with_secret(caller.credentials, secret_access_key="wrong"))
    answer = wrong.post(record(fresh_name()))
    assert refusal(answer) == DIFFERS
    assert not re.search(rb"[0-9a-f]{64}", answer.body), "the expected signature is never told"


def test_a_token_may_be_unsigned(home: AnyHome) -> None:
    """Some SDKs add it after signing."""
    temporary = home.key(expires_in_seconds=600)
    assert temporary.session_token is not None
    request = home.caller(with_secret(temporary, session_token=None)).signed("GET", "/logs/recent")
    token = request.with_header(b"X-Amz-Security-Token", temporary.session_token.encode())
    assert home.admin.send(token).status == 200


# --- Age. ---


def stamp(text: str) -> int:
    return timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


@pytest.mark.parametrize("seconds", [-299, -10, 0, 10, 299])
def test_within_five_minutes_either_way_a_date_is_good(caller: Caller, seconds: int) -> None:
    assert caller.ask("GET", "/logs/recent", now=time.time() + seconds).status == 200


def test_a_signature_too_old(caller: Caller) -> None:
    _, error_type, body = refusal(caller.ask("GET", "/logs/recent", now=math.floor(time.time()) - 301))
    match = re.fullmatch(r"Signature expired: (\w+) is now earlier than (\w+) \((\w+) - 5 min\.\)", body["message"])
    assert match is not None, body
    signed, earliest, now = map(stamp, match.groups())
    assert (error_type, now - earliest) == ("InvalidSignatureException", 300)
    assert signed < earliest
    assert abs(now - time.time()) < DEADLINE_SECONDS


def test_a_signature_of_the_future(caller: Caller) -> None:
    _, error_type, body = refusal(caller.ask("GET", "/logs/recent", now=math.ceil(time.time()) + 301))
    pattern = r"Signature not yet current: (\w+) is still later than (\w+) \((\w+) \+ 5 min\.\)"
    match = re.fullmatch(pattern, body["message"])
    assert match is not None, body
    signed, latest, now = map(stamp, match.groups())
    assert (error_type, latest - now) == ("InvalidSignatureException", 300)
    assert signed > latest


# --- Form and scope. ---


def without(request: Request, *names: bytes) -> Request:
    for name in names:
        request = request.with_header(name, None)
    return request


def authorized_by(text: str) -> Callable[[Request], Request]:
    return lambda request: request.with_header(b"authorization", text.encode())


def requires(*parameters: str) -> str:
    return " ".join(f"Authorization header requires '{each}' parameter." for each in parameters)


DATE_REQUIRED = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
MALFORMED: dict[str, tuple[Callable[[Request], Request], str]] = {
    "another scheme": (authorized_by("Bearer abc"), requires("Credential", "Signature", "SignedHeaders")),
    "empty": (authorized_by(""), requires("Credential", "Signature", "SignedHeaders")),
    "no signature": (lambda each: edited(each, "Signature=", "Sign="), requires("Signature")),
    "no signed headers": (lambda each: edited(each, "SignedHeaders=", "Headers="), requires("SignedHeaders")),
    "no credential": (lambda each: edited(each, "Credential=", "Key="), requires("Credential")),
    "no date": (lambda each: without(each, b"x-amz-date"), DATE_REQUIRED),
    "an impossible date": (
        lambda each: each.with_header(b"x-amz-date", b"20211309T000000Z"),
        "Date must be in ISO-8601 'basic format'.",
    ),
    "nothing at all": (
        lambda each: without(authorized_by("AWS4-HMAC-SHA256")(each), b"x-amz-date"),
        f"{requires('Credential', 'Signature', 'SignedHeaders')} {DATE_REQUIRED}",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_authorization_is_told_what_it_lacks(caller: Caller, name: str) -> None:
    spoil, text = MALFORMED[name]
    answer = caller.send(spoil(caller.signed("GET", "/logs/recent")))
    assert refusal(answer) == refused("IncompleteSignatureException", text)


REGION_WRONG = "Credential should be scoped to a valid region, not 'eu-west-9'. "
SERVICE_WRONG = "Credential should be scoped to correct service: 'execute-api'. "


def test_a_scope_of_another_region(home: AnyHome, caller: Caller) -> None:
    elsewhere = Caller(home.address, caller.credentials, "eu-west-9")
    assert refusal(elsewhere.get()) == refused("InvalidSignatureException", REGION_WRONG)


def test_a_scope_of_another_service(caller: Caller) -> None:
    request = edited(caller.signed("GET", "/logs/recent"), "/execute-api/", "/logs/")
    assert refusal(caller.send(request)) == refused("InvalidSignatureException", SERVICE_WRONG)


def test_a_scope_that_is_wrong_in_both_is_told_both(caller: Caller) -> None:
    request = edited(caller.signed("GET", "/logs/recent"), "/us-east-1/execute-api/", "/eu-west-9/s3/")
    assert refusal(caller.send(request)) == refused("InvalidSignatureException", REGION_WRONG + SERVICE_WRONG)


# --- The order of checks. ---


def test_key_date_and_scope_are_checked_before_the_body_is_read(home: AnyHome) -> None:
    good = home.admin.signed("POST", "/logs", body=b"x" * 100_000)
    early = {
        "no credentials": (without(good, b"authorization"), MISSING[1]),
        "an unknown key": (edited(good, "Credential=AKIA", "Credential=AKIX"), UNKNOWN[1]),
        "another region": (edited(good, "/us-east-1/", "/eu-west-1/"), DIFFERS[1]),
        "too old": (home.admin.signed("POST", "/logs", body=good.body, now=time.time() - 400), DIFFERS[1]),
        "no route": (good._replace(path="/nowhere"), MISSING[1]),
    }
    for name, (request, error_type) in early.items():
        head = wire(request).removesuffix(request.body)
        with connected(home.address) as client:
            answer = client.ask(head)
            assert refusal(answer)[:2] == (403, error_type), name


def test_strangers_do_not_learn_that_a_body_is_too_large(home: AnyHome) -> None:
    length = ("Content-Length", str(BODY_WIRE_BYTES_MAX + 1))
    assert refusal(head_only(home.stranger, length)) == MISSING
    assert refusal(head_only(home.admin, length)) == (413, "RequestTooLargeException", {"message": "Request Too Long"})


def head_only(caller: Caller, *headers: tuple[str, str]) -> Answer:
    """Send the head of a request whose body never comes."""
    with connected(caller.address) as client:
        return client.ask(wire(caller.signed("POST", "/logs", "", headers)))


def test_a_wrong_signature_comes_before_the_policy_and_the_meaning(home: AnyHome) -> None:
    reader = home.key("read")
    wrong = home.caller(with_secret(reader, secret_access_key="wrong"))
    assert refusal(wrong.post(b"nonsense")) == DIFFERS
    assert refusal(home.caller(reader).post(b"nonsense"))[1] == "AccessDeniedException"


# --- The life of a key. ---


def test_a_new_key_works_at_once(home: AnyHome) -> None:
    for expires_in_seconds in (None, 60):
        for _ in range(5):
            assert home.caller(home.key(expires_in_seconds=expires_in_seconds)).get().status == 200


def test_an_expired_token(home: AnyHome) -> None:
    created = time.time()
    caller = home.caller(home.key(expires_in_seconds=2))
    seen = []
    while time.time() < created + DEADLINE_SECONDS:
        asked = time.time()
        answer = caller.get()
        seen.append(answer.status)
        if answer.status == 403:
            assert refusal(answer) == EXPIRED
            assert time.time() >= created + 2
            break
        assert asked < created + 3, "the key outlived its expiry"
    assert set(seen) == {200, 403}
    assert refusal(home.caller(with_secret(caller.credentials, session_token="other")).get()) == UNKNOWN


def test_a_disabled_key_is_unknown_within_a_second(home: Home, caller: Caller) -> None:
    assert caller.credentials is not None
    assert caller.get().status == 200
    home.disable(caller.credentials)
    disabled = time.monotonic()
    asked = disabled
    while (answer := caller.get()).status == 200:
        assert asked < disabled + 1, "a request that began a second after was let in"
        asked = time.monotonic()
    assert refusal(answer) == UNKNOWN


# --- Policies. ---


def statement(effect: str, *resources: str, **conditions: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": list(resources)}
    return found | ({"Condition": conditions} if conditions else {})


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def denial(
    home: AnyHome, key: tuple[str, Credentials], method: str, path: str, ending: str = ""
) -> tuple[int, str, dict[str, str]]:
    who, what = home.caller_arn(*key), home.arn(method, path)
    text = f"User: {who} is not authorized to perform: execute-api:Invoke on resource: {what}"
    return 403, "AccessDeniedException", {"Message": text + ending}


ROUTES = {
    "ingest": ("POST", "/logs"),
    "ingest service": ("POST", "/services/shop/logs"),
    "recent": ("GET", "/logs/recent"),
    "recent service": ("GET", "/services/shop/logs"),
}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("ingest", {"ingest", "ingest service"}),
        ("read", {"recent", "recent service"}),
        ("admin", {*ROUTES, "metrics"}),
    ],
)
def test_each_standard_policy_opens_its_routes_alone(home: AnyHome, name: str, allowed: set[str]) -> None:
    key = home.key(name, name="ann")
    caller = home.caller(key)
    for route, (method, path) in {**ROUTES, **home.own_routes}.items():
        answer = caller.ask(method, path, "", (), b"[]" if method == "POST" else b"")
        if route in allowed:
            assert answer.status in {200, 400}, route
        else:
            assert refusal(answer) == denial(home, ("ann", key), method, path), route


def test_the_denial_of_a_temporary_key_names_its_session(home: AnyHome) -> None:
    credentials = home.key("ingest", expires_in_seconds=600, name="role")
    _, _, body = refusal(home.caller(credentials).get())
    session = f"arn:aws:sts::{home.account}:assumed-role/role/{credentials.access_key_id}"
    assert body["Message"].startswith(f"User: {session} is not authorized")


def test_an_explicit_deny_wins_and_is_told(home: AnyHome) -> None:
    rules = policy(statement("Allow", "*"), statement("Deny", home.arn("GET", "/logs/*")))
    key = home.key(rules, name="bob")
    caller = home.caller(key)
    assert refusal(caller.get()) == denial(home, ("bob", key), "GET", "/logs/recent", " with an explicit deny")
    assert caller.get("/services/shop/logs").status == 200


def test_a_policy_can_name_one_service(home: AnyHome) -> None:
    own = fresh_name()
    path = f"/services/{own}/logs"
    key = home.key(policy(statement("Allow", home.arn("POST", path))), name=own)
    caller = home.caller(key)
    assert caller.post({"log_type": "a", "message": "mine"}, path=path).status == 201
    assert said(caller.post([record(own), record("other")], path=path))["rejected"][0]["code"] == "WrongService"
    for method, elsewhere in (("POST", "/logs"), ("POST", "/services/other/logs"), ("GET", path)):
        assert refusal(caller.ask(method, elsewhere)) == denial(home, (own, key), method, elsewhere)
    for spelling in (path.replace("s-", "s%2D"), path + "/", path.replace("/logs", "/x/../logs")):
        assert caller.ask("POST", spelling, "", (), b"{}").status in {400, 403}
    assert {each["service_name"] for each in home.admin.logs(path)} == {own}


@pytest.mark.parametrize(
    ("conditions", "allowed"),
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32"]}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}, False),
    ],
)
def test_a_policy_may_ask_whence_and_how(home: AnyHome, conditions: dict[str, Any], allowed: bool) -> None:
    key = home.key(policy(statement("Allow", "*", **conditions)), name="eve")
    answer = home.caller(key).get()
    if allowed:
        assert answer.status == 200
    else:
        assert refusal(answer) == denial(home, ("eve", key), "GET", "/logs/recent")


def test_a_policy_may_ask_for_a_secure_transport(home: AnyHome) -> None:
    for wanted in (True, False):
        key = home.key(policy(statement("Allow", "*", Bool={"aws:SecureTransport": str(wanted).lower()})), name="eve")
        answer = home.caller(key).get()
        if wanted == home.secure:
            assert answer.status == 200
        else:
            assert refusal(answer) == denial(home, ("eve", key), "GET", "/logs/recent")


def test_health_needs_nobody_and_says_nothing_but_the_status(home: AnyHome) -> None:
    for caller in (home.stranger, home.caller(Credentials("AKIAIOSFODNN7EXAMPLE", "secret"))):
        answer = caller.ask("GET", "/health")
        assert (answer.status, said(answer)) == (200, {"status": "ok"})
