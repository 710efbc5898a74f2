"""One attempt and the next: fresh signatures over the same request, the waits asked for, errors that say what to do."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import pytest

from simple_log_service.api.signer import Credentials
from simple_log_service.client.configuration import Target
from simple_log_service.client.endpoint import Endpoint
from simple_log_service.client.errors import ClientError, NotConfigured, RequestRefused, Unreachable
from simple_log_service.client.transport import Transport
from support.stub_service import CREDENTIALS, REGION, Scripted, StubService


class SteppingClock:
    """A second later at each look, and after each sleep as much later as was slept."""

    def __init__(self) -> None:
        self.now = time.time()
        self.slept: list[float] = []

    def __call__(self) -> float:
        self.now += 1
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def stub() -> Iterator[StubService]:
    with StubService().running() as running:
        yield running


def transport(
    stub: StubService,
    clock: SteppingClock | None = None,
    *,
    region: str = REGION,
    credentials: Credentials = CREDENTIALS,
    attempts_max: int = 4,
    told: list[tuple[ClientError, float]] | None = None,
    timeout_seconds: float = 5.0,
) -> Transport:
    clock = clock or SteppingClock()

    def on_retry(error: ClientError, seconds: float) -> None:
        if told is not None:
            told.append((error, seconds))

    return Transport(
        Target(Endpoint.parse(stub.url), region, lambda: credentials),
        timeout_seconds=timeout_seconds,
        attempts_max=attempts_max,
        on_retry=on_retry,
        clock=clock,
        sleep=clock.sleep,
    )


HEADERS = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", "key-1")]


@pytest.mark.parametrize("failure", [Scripted(status) for status in (None, 408, 429, 500, 502, 503, 504, 507)])
def test_what_passes_is_repeated_with_the_same_key_and_body_and_a_fresh_signature(
    failure: Scripted, stub: StubService
) -> None:
    stub.script = [failure] * 3
    transport(stub).request("POST", "/logs", headers=HEADERS, body=b'{"message":"x"}')
    assert len(stub.seen) == 4
    assert {request.headers["idempotency-key"] for request in stub.seen} == {"key-1"}
    assert {request.body for request in stub.seen} == {b'{"message":"x"}'}
    assert len({request.headers["x-amz-date"] for request in stub.seen}) == 4
    assert len({request.headers["authorization"] for request in stub.seen}) == 4


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 413, 415, 422])
def test_what_stays_is_not_repeated(status: int, stub: StubService) -> None:
    stub.script = [Scripted(status, {"message": "no"})]
    with pytest.raises(RequestRefused) as refusal:
        transport(stub).request("GET", "/logs/recent")
    assert refusal.value.status == status
    assert len(stub.seen) == 1


def test_retry_after_is_waited_for_and_told(stub: StubService) -> None:
    stub.script = [Scripted(503, {"message": "later"}, {"Retry-After": "7"})]
    clock = SteppingClock()
    told: list[tuple[ClientError, float]] = []
    transport(stub, clock, told=told).request("GET", "/logs/recent")
    (slept,) = clock.slept
    assert 7 <= slept <= 8
    ((error, seconds),) = told
    assert seconds == slept
    assert "later" in str(error)


def test_a_service_that_asks_for_an_hour_is_not_waited_for(stub: StubService) -> None:
    stub.script = [Scripted(503, {"message": "later"}, {"Retry-After": "3600"})]
    with pytest.raises(RequestRefused) as refusal:
        transport(stub).request("GET", "/logs/recent")
    assert refusal.value.retry_after_seconds == 3600
    assert len(stub.seen) == 1


@pytest.mark.parametrize("nonsense", ["", "soon", "-1", "1.5", "²", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_leaves_the_usual_wait(nonsense: str, stub: StubService) -> None:
    headers = {"Retry-After": nonsense.encode().decode("latin-1")}
    stub.script = [Scripted(503, {"message": "later"}, headers)]
    clock = SteppingClock()
    transport(stub, clock).request("GET", "/logs/recent")
    (slept,) = clock.slept
    assert 0 < slept < 1


def test_waits_grow_and_attempts_end(stub: StubService) -> None:
    stub.script = [Scripted(500, {"message": "broken"})] * 20
    clock = SteppingClock()
    with pytest.raises(RequestRefused, match="500 broken"):
        transport(stub, clock, attempts_max=12).request("GET", "/logs/recent")
    assert len(stub.seen) == 12
    assert all(0 < slept <= 10 for slept in clock.slept)
    assert max(clock.slept[:2]) < 1 < sum(clock.slept)


def test_nobody_there_is_unreachable_after_the_attempts() -> None:
    with StubService().running() as stub:
        gone = transport(stub, attempts_max=3)
    with pytest.raises(Unreachable, match=r"cannot be reached\. Is the server running"):
        gone.request("GET", "/logs/recent")
    assert stub.seen == []


def test_silence_is_unreachable_after_the_timeout() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        stub = StubService()
        stub.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(Unreachable, match="did not answer in time"):
            transport(stub, attempts_max=2, timeout_seconds=0.1).request("GET", "/logs/recent")


def test_plain_http_behind_an_https_endpoint_fails_once_and_speaks_of_certificates(stub: StubService) -> None:
    stub.url = stub.url.replace("http:", "https:")
    clock = SteppingClock()
    with pytest.raises(Unreachable, match="AWS_CA_BUNDLE"):
        transport(stub, clock).request("GET", "/logs/recent")
    assert clock.slept == []


def test_every_header_that_matters_is_signed(stub: StubService) -> None:
    stub.script = [Scripted(201, {})]
    headers = [*HEADERS, ("Content-Encoding", "zstd")]
    transport(stub).request("POST", "/logs", headers=headers, body=b"{}")
    (request,) = stub.seen
    signed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256", "content-type", "content-encoding"} <= set(signed)
    assert "idempotency-key" in signed
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert request.headers["user-agent"].startswith("simple-log-service/")


def test_the_stage_of_an_endpoint_stands_before_the_route(stub: StubService) -> None:
    stub.url += "/prod"
    transport(stub).request("GET", "/logs/recent", "service_name=a%20b%2B%2Fc&level=ERROR")
    (request,) = stub.seen
    assert request.target == "/prod/logs/recent?service_name=a%20b%2B%2Fc&level=ERROR"


@pytest.mark.parametrize(
    ("region", "credentials", "advice"),
    [
        ("eu-west-9", CREDENTIALS, "--region"),
        (REGION, Credentials("AKIAOTHER", "hunter2"), "does not know this key"),
        (REGION, Credentials(CREDENTIALS.access_key_id, "hunter2"), "not that of the access key id"),
        (REGION, Credentials(CREDENTIALS.access_key_id, CREDENTIALS.secret_access_key, "hunter2"), "does not know"),
    ],
)
def test_a_refused_identity_says_what_to_do_and_never_a_secret(
    region: str, credentials: Credentials, advice: str, stub: StubService
) -> None:
    with pytest.raises(RequestRefused) as refusal:
        transport(stub, region=region, credentials=credentials).request("GET", "/logs/recent")
    assert refusal.value.status == 403
    assert advice in str(refusal.value)
    for text in (str(refusal.value), repr(refusal.value)):
        assert "hunter2" not in text
        assert CREDENTIALS.secret_access_key not in text


@pytest.mark.parametrize(("minutes", "advice"), [(-6, "behind"), (6, "ahead")])
def test_a_clock_that_is_off_is_named_as_the_cause(minutes: int, advice: str, stub: StubService) -> None:
    clock = SteppingClock()
    clock.now += minutes * 60
    with pytest.raises(RequestRefused, match=f"clock is {advice}"):
        transport(stub, clock).request("GET", "/logs/recent")


def test_a_denial_by_policy_is_read_although_its_key_is_written_otherwise(stub: StubService) -> None:
    headers = {"x-amzn-ErrorType": "AccessDeniedException:http://internal.amazon.com/coral/"}
    stub.script = [Scripted(403, {"Message": "User: X is not authorized"}, headers)]
    with pytest.raises(RequestRefused) as refusal:
        transport(stub).request("GET", "/logs/recent")
    assert refusal.value.error_type == "AccessDeniedException"
    assert refusal.value.message == "User: X is not authorized"
    assert refusal.value.request_id == "r-1"
    assert "policy does not allow" in str(refusal.value)


def test_an_error_page_of_something_else_is_not_quoted(stub: StubService) -> None:
    stub.script = [Scripted(404, b"<html>" + b"x" * 100_000)]
    with pytest.raises(RequestRefused, match="right endpoint") as refusal:
        transport(stub).request("GET", "/logs/recent")
    assert len(str(refusal.value)) < 300


def test_redirects_are_not_followed(stub: StubService) -> None:
    stub.script = [Scripted(307, b"", {"Location": f"{stub.url}/elsewhere"})]
    with pytest.raises(RequestRefused, match="Redirects are not followed"):
        transport(stub).request("GET", "/logs/recent")
    assert len(stub.seen) == 1


def test_credentials_are_asked_for_at_each_attempt(stub: StubService) -> None:
    asked: list[int] = []

    def provider() -> Credentials:
        asked.append(1)
        return CREDENTIALS

    stub.script = [Scripted(500)] * 2
    target = Target(Endpoint.parse(stub.url), REGION, provider)
    clock = SteppingClock()
    Transport(target, timeout_seconds=5, attempts_max=4, on_retry=None, sleep=clock.sleep).request(
        "GET", "/logs/recent"
    )
    assert len(asked) == 3


def test_credentials_that_would_break_a_header_never_reach_the_wire(stub: StubService) -> None:
    with pytest.raises(NotConfigured) as refusal:
        transport(stub, credentials=Credentials("AKIA", "s", "hunter2\r\nX: y")).request("GET", "/logs/recent")
    assert "hunter2" not in str(refusal.value)
    assert stub.seen == []


def test_health_is_asked_without_a_signature(stub: StubService) -> None:
    stub.script = [Scripted(200, {"status": "ok"})]
    transport(stub).request("GET", "/health", signed=False)
    assert "authorization" not in stub.seen[0].headers
