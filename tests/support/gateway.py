"""A local API Gateway: the routes, authentication and throttling of a synthesized template, in front of its functions.

What it answers by itself is what we believe that API Gateway answers: ``infra/assumptions.py`` says each belief, a test
holds this gateway to them, and a smoke test asks a real account. It answers under its URL as under a custom domain's,
and under ``/STAGE`` below that as the API's own endpoint does, whose signatures cover the stage.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from simple_log_service.api.errors import Refused, error_response, missing_authentication_token
from simple_log_service.api.policy import invoke_arn
from simple_log_service.api.signer import Credentials
from simple_log_service.server.throttle import TokenBucket
from support.api_template import ACCOUNT, REGION, Deployment, MockAnswer
from support.lambda_function import LambdaFunction, PayloadTooLarge, lambda_function
from support.local_iam import LocalIam
from support.loopback import Received, Reply, answering
from support.proxy_events import NOBODY, event_of
from support.runtime_api import FunctionFailed, OutOfTime, source_folder

BODY_BYTES_MAX = 10 * 1024 * 1024
HEADERS_BYTES_MAX = 10_240
INTEGRATION_SECONDS_MAX = 29.0
"""API Gateway's quotas of a REST API ("Amazon API Gateway quotas")."""

_LOG_CHARS_MAX = 4000

_RESPONSE_TYPES = {
    "MissingAuthenticationTokenException": "MISSING_AUTHENTICATION_TOKEN",
    "InvalidSignatureException": "INVALID_SIGNATURE",
    "ExpiredTokenException": "EXPIRED_TOKEN",
    "AccessDeniedException": "ACCESS_DENIED",
    "TooManyRequestsException": "THROTTLED",
    "RequestTooLargeException": "REQUEST_TOO_LARGE",
}
"""Gateway response types by error type; any other is a default one."""

_REMAPPED = frozenset({"connection", "content-length", "date", "server", "transfer-encoding", "x-amzn-requestid"})
"""Headers of a function that come out under another name ("Amazon API Gateway important notes")."""


class _Broken(Exception):
    """Answered in the gateway's own neutral words."""

    def __init__(self, status: int, message: str = "Internal server error") -> None:
        super().__init__(message)
        self.status = status


class Gateway:
    """The gateway before running functions. ``url`` is where it listens, without a stage; ``key`` makes callers."""

    def __init__(
        self,
        deployment: Deployment,
        functions: Mapping[str, LambdaFunction],
        *,
        integration_seconds_max: float = INTEGRATION_SECONDS_MAX,
    ) -> None:
        self.url = ""
        self.region = REGION
        self._iam = LocalIam()
        self.deployment = deployment
        self.functions = functions
        self._integration_seconds_max = integration_seconds_max
        self._bucket = TokenBucket(deployment.throttle_rate, deployment.throttle_burst, time.monotonic())
        self._bucket_lock = threading.Lock()

    @property
    def stage_url(self) -> str:
        """The URL with its stage, as API Gateway's own endpoints have it."""
        return f"{self.url}/{self.deployment.stage}"

    def key(
        self, policy: Mapping[str, Any], *, name: str = "tests", expires_in_seconds: int | None = 3600
    ) -> Credentials:
        """Credentials of a new session of the role ``name``, or a user's long-lived ones where they never expire."""
        if expires_in_seconds is None:
            return self._iam.user(name, policy)
        return self._iam.session(name, policy, expires_in_seconds)

    def arn(self, method: str, path: str) -> str:
        """The resource that a request invokes."""
        return invoke_arn(REGION, ACCOUNT, self.deployment.api_id, self.deployment.stage, method, path)

    def answer(self, received: Received) -> Reply:
        """What a request gets."""
        request_id = str(uuid.uuid4())
        try:
            reply = self._answer(received, request_id)
        except Refused as refused:
            reply = self._refusal(refused)
        except PayloadTooLarge:
            reply = self._refusal(_too_large())
        except OutOfTime:
            reply = self._apology(_Broken(504, "Endpoint request timed out"))
        except FunctionFailed as failed:
            # Callers are told no more than that it failed.
            print(str(failed)[-_LOG_CHARS_MAX:], file=sys.stderr)
            reply = self._apology(_Broken(502))
        except _Broken as broken:
            reply = self._apology(broken)
        return reply._replace(headers=[*reply.headers, ("x-amzn-RequestId", request_id)])

    def _answer(self, received: Received, request_id: str) -> Reply:
        """In the order of the contract: route, signature, rate, policy."""
        if sum(len(name) + len(value) for name, value in received.headers) > HEADERS_BYTES_MAX:
            raise Refused(431, "BadRequestException", "Request Header Fields Too Large")
        path = self._without_stage(received.target.partition("?")[0])
        found = self.deployment.find(received.method, path)
        if found is None:
            raise missing_authentication_token()
        if len(received.body) > BODY_BYTES_MAX:
            raise _too_large()
        method, parameters = found
        identity: Mapping[str, str | None] = NOBODY
        if method.needs_iam:
            caller = self._iam.authenticated(received)
            self._count()
            self._iam.authorize(caller, self.arn(received.method, path), received.source_ip)
            identity = caller.identity
        if method.mock is not None:
            return self._mocked(method.mock)
        assert method.function is not None
        event = event_of(received, self.deployment, method, path, parameters, identity, request_id)
        return self._proxied(self.functions[method.function].invoke(event, self._integration_seconds_max))

    def _without_stage(self, path: str) -> str:
        stage = f"/{self.deployment.stage}"
        return path.removeprefix(stage) if path.startswith(f"{stage}/") else path

    def _count(self) -> None:
        with self._bucket_lock:
            if self._bucket.seconds_to_wait(time.monotonic()):
                # When to come back is for a gateway response's header to say.
                raise Refused(429, "TooManyRequestsException", "Too Many Requests")
            self._bucket.take()

    def _mocked(self, mock: MockAnswer) -> Reply:
        if self.deployment.takes_binary and not mock.reads_text:
            # Its request template cannot be applied to what counts as binary.
            raise _Broken(500)
        return Reply(mock.status, list(mock.headers), mock.body)

    def _proxied(self, answer: Any) -> Reply:
        """The function's answer on the wire; what is not of the form becomes 502."""
        try:
            headers = [(name, str(value)) for name, value in (answer.get("headers") or {}).items()]
            for name, values in (answer.get("multiValueHeaders") or {}).items():
                headers += [(name, str(value)) for value in values]
            body, is_base64 = answer.get("body") or "", answer.get("isBase64Encoded", False)
            content = base64.b64decode(body) if is_base64 and self.deployment.takes_binary else body.encode()
            status = int(answer["statusCode"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _Broken(502) from None
        renamed = [(f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name, value) for name, value in headers]
        return Reply(status, renamed, content)

    def _refusal(self, refused: Refused) -> Reply:
        response = error_response(refused)
        return self._made_here(response.status, refused.error_type, response.body)

    def _apology(self, broken: _Broken) -> Reply:
        return self._made_here(
            broken.status, "InternalServerErrorException", json.dumps({"message": str(broken)}).encode()
        )

    def _made_here(self, status: int, error_type: str, body: bytes) -> Reply:
        """With the headers of its gateway response: of its own type, or else of all 4xx or 5xx."""
        default = f"DEFAULT_{status // 100}XX"
        own = self.deployment.gateway_headers
        headers = own.get(_RESPONSE_TYPES.get(error_type, default)) or own.get(default) or []
        return Reply(status, [("Content-Type", "application/json"), *headers, ("x-amzn-ErrorType", error_type)], body)


def _too_large() -> Refused:
    return Refused(413, "RequestTooLargeException", "Request Too Long")


@contextmanager
def local_gateway(
    deployment: Deployment, environ: Mapping[str, str], *, code: Path | None = None, **bounds: float
) -> Iterator[Gateway]:
    """A gateway before the deployment's functions; ``environ`` is what these see beside the template's own.

    ``code`` is the folder with their code, the service's own unless given.
    """
    with ExitStack() as stack:
        folder = code or stack.enter_context(source_folder())
        functions = {
            logical_id: stack.enter_context(lambda_function(plan, folder, environ))
            for logical_id, plan in deployment.functions.items()
        }
        gateway = Gateway(deployment, functions, **bounds)
        gateway.url = stack.enter_context(answering(gateway.answer))
        yield gateway
