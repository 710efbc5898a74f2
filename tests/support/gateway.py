"""A local API Gateway: the routes, authentication and throttling of a synthesized template, in front of its functions.

What it answers by itself is what we believe that API Gateway answers: ``infra/assumptions.py`` says each belief, a test
holds this gateway to them, and a smoke test asks a real account. Signatures are checked by our own verifier, IAM's
decisions made by our own policies; the event that a function gets is a REST API's for its Lambda proxy integration
(https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html, payload 1.0).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote, unquote_plus

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.errors import Refused, error_response, missing_authentication_token
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead
from simple_log_service.api.policy import Decision, Policy, denied, invoke_arn
from simple_log_service.api.signer import Credentials
from simple_log_service.api.sigv4 import Verifier
from simple_log_service.server.throttle import TokenBucket
from support.deployment import ACCOUNT, REGION, Deployment, Method
from support.lambda_function import FunctionFailed, LambdaFunction, OutOfTime, PayloadTooLarge, lambda_function
from support.loopback import Received, Reply, answering

API_ID = "localgate"
BODY_BYTES_MAX = 10 * 1024 * 1024
"""API Gateway's quota of a payload, which cannot be raised."""
INTEGRATION_SECONDS_MAX = 29.0
HEADERS_BYTES_MAX = 10_240

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
"""Headers of a function that come out under another name ("Important notes for API Gateway")."""


class _Defect(Exception):
    """Answered in the gateway's own neutral words."""

    def __init__(self, status: int, message: str = "Internal server error") -> None:
        super().__init__(message)
        self.status = status


class Caller(NamedTuple):
    """An IAM principal that may call; ``identity`` is what events tell of it."""

    key: AccessKey
    identity: Mapping[str, str]


class Gateway:
    """The gateway before running functions. ``key`` makes callers; ``url`` is where it listens."""

    def __init__(
        self,
        deployment: Deployment,
        functions: Mapping[str, LambdaFunction],
        *,
        integration_seconds_max: float = INTEGRATION_SECONDS_MAX,
    ) -> None:
        self.url = ""
        self.region = REGION
        self.deployment = deployment
        self.functions = functions
        self._integration_seconds_max = integration_seconds_max
        self._callers: dict[str, Caller] = {}
        self._verifier = Verifier(self._find_key, region=REGION, clock=time.time)
        self._bucket = TokenBucket(deployment.throttle_rate, deployment.throttle_burst, time.monotonic())
        self._bucket_lock = threading.Lock()

    def key(
        self, policy: str | Mapping[str, Any], *, name: str = "tests", expires_in_seconds: int | None = 3600
    ) -> Credentials:
        """Credentials of a session of the role ``name``, or a user's long-lived ones where they never expire."""
        principal_id = hashlib.sha256(name.encode()).hexdigest()[:17].upper()
        letters = secrets.token_hex(8).upper()
        secret = secrets.token_urlsafe(30)
        if expires_in_seconds is None:
            access_key_id, token, expires_at = f"AKIA{letters}", None, None
            arn, caller = f"arn:aws:iam::{ACCOUNT}:user/{name}", f"AIDA{principal_id}"
        else:
            access_key_id, token = f"ASIA{letters}", secrets.token_urlsafe(90)
            expires_at = time.time() + expires_in_seconds
            arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{access_key_id}"
            caller = f"AROA{principal_id}:{access_key_id}"
        # The owner is the handler's to say, so what the gateway's verifier needs of it is nothing.
        key = AccessKey(
            access_key_id, secret, Principal(access_key_id, arn, ""), Policy.parse(policy), token, expires_at
        )
        identity = {"accessKey": access_key_id, "accountId": ACCOUNT, "caller": caller, "user": caller, "userArn": arn}
        self._callers[access_key_id] = Caller(key, identity)
        return Credentials(access_key_id, secret, token)

    def arn(self, method: str, path: str) -> str:
        """The resource that a request invokes."""
        return invoke_arn(REGION, ACCOUNT, API_ID, self.deployment.stage, method, path)

    def answer(self, received: Received) -> Reply:
        """What a request gets."""
        request_id = str(uuid.uuid4())
        try:
            reply = self._answer(received, request_id)
        except Refused as refused:
            reply = self._made_here(refused)
        except PayloadTooLarge:
            reply = self._made_here(_too_large())
        except OutOfTime:
            reply = self._broken(_Defect(504, "Endpoint request timed out"))
        except FunctionFailed:
            reply = self._broken(_Defect(502))
        except _Defect as defect:
            reply = self._broken(defect)
        return reply._replace(headers=[*reply.headers, ("x-amzn-RequestId", request_id)])

    def _answer(self, received: Received, request_id: str) -> Reply:
        path, _, query = received.target.partition("?")
        if sum(len(name) + len(value) for name, value in received.headers) > HEADERS_BYTES_MAX:
            raise Refused(431, "BadRequestException", "Request Header Fields Too Large")
        found = self.deployment.find(received.method, path)
        if found is None:
            raise missing_authentication_token()
        if len(received.body) > BODY_BYTES_MAX:
            raise _too_large()
        method, parameters = found
        caller = self._authenticated(received, path, query) if method.needs_iam else None
        if method.mock is not None:
            return self._mock(method)
        assert method.function is not None
        event = self._event(received, method, parameters, caller, request_id)
        return self._proxied(self.functions[method.function].invoke(event, self._integration_seconds_max))

    def _authenticated(self, received: Received, path: str, query: str) -> Caller:
        """Signature, then rate, then policy, as the contract has them."""
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in received.headers]
        # Real callers come over TLS, whatever this loopback does.
        head = RequestHead(
            received.method, path, query, headers, dict(headers), received.source_ip, True, "", time.time_ns()
        )
        claim = self._verifier.check_head(head)
        principal = claim.verify(hashlib.sha256(received.body).hexdigest())
        self._count()
        resource = self.arn(received.method, path)
        decision = claim.key.policy.decide(resource, received.source_ip, True)
        if decision is not Decision.ALLOWED:
            raise denied(principal.arn, resource, decision)
        return self._callers[principal.access_key_id]

    def _count(self) -> None:
        with self._bucket_lock:
            now = time.monotonic()
            if self._bucket.seconds_to_wait(now):
                # When to come back is for a gateway response's header to say.
                raise Refused(429, "TooManyRequestsException", "Too Many Requests")
            self._bucket.take()

    def _find_key(self, access_key_id: str) -> AccessKey | None:
        caller = self._callers.get(access_key_id)
        return caller and caller.key

    @property
    def _takes_binary(self) -> bool:
        return "*/*" in self.deployment.binary_media_types

    def _mock(self, method: Method) -> Reply:
        assert method.mock is not None
        if self._takes_binary and not method.mock.reads_text:
            # Its request template cannot be applied to what counts as binary.
            raise _Defect(500)
        return Reply(method.mock.status, list(method.mock.headers), method.mock.body)

    def _event(
        self,
        received: Received,
        method: Method,
        parameters: Mapping[str, str],
        caller: Caller | None,
        request_id: str,
    ) -> dict[str, Any]:
        path, _, query = received.target.partition("?")
        headers = _grouped(received.headers)
        asked = _grouped(_decoded_query(query))
        body = (
            base64.b64encode(received.body).decode() if self._takes_binary else received.body.decode("utf-8", "replace")
        )
        nobody = dict.fromkeys(("accessKey", "accountId", "caller", "user", "userArn"))
        identity = nobody if caller is None else caller.identity
        now = time.time()
        return {
            "resource": method.resource,
            "path": path,
            "httpMethod": received.method,
            "headers": {name: values[-1] for name, values in headers.items()},
            "multiValueHeaders": headers,
            "queryStringParameters": {name: values[-1] for name, values in asked.items()} or None,
            "multiValueQueryStringParameters": asked or None,
            "pathParameters": {name: unquote(value) for name, value in parameters.items()} or None,
            "stageVariables": None,
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": API_ID,
                "domainName": f"{API_ID}.execute-api.{REGION}.amazonaws.com",
                "domainPrefix": API_ID,
                "extendedRequestId": secrets.token_urlsafe(11),
                "httpMethod": received.method,
                "identity": {
                    "apiKey": None,
                    "apiKeyId": None,
                    "cognitoAuthenticationProvider": None,
                    "cognitoAuthenticationType": None,
                    "cognitoIdentityId": None,
                    "cognitoIdentityPoolId": None,
                    "principalOrgId": None,
                    "sourceIp": received.source_ip,
                    "userAgent": received.header("user-agent"),
                    **identity,
                },
                "path": f"/{self.deployment.stage}{path}",
                "protocol": "HTTP/1.1",
                "requestId": request_id,
                "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
                "requestTimeEpoch": int(now * 1000),
                "resourceId": method.resource_id,
                "resourcePath": method.resource,
                "stage": self.deployment.stage,
            },
            "body": body if received.body else None,
            "isBase64Encoded": bool(received.body) and self._takes_binary,
        }

    def _proxied(self, answer: Any) -> Reply:
        """The function's answer on the wire; what is not of the form becomes 502."""
        try:
            headers = [(name, str(value)) for name, value in (answer.get("headers") or {}).items()]
            for name, values in (answer.get("multiValueHeaders") or {}).items():
                headers += [(name, str(value)) for value in values]
            body, is_base64 = answer.get("body") or "", answer.get("isBase64Encoded", False)
            content = base64.b64decode(body) if is_base64 and self._takes_binary else body.encode()
            status = int(answer["statusCode"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise _Defect(502) from None
        renamed = [(f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name, value) for name, value in headers]
        return Reply(status, renamed, content)

    def _made_here(self, refused: Refused) -> Reply:
        response = error_response(refused)
        return self._dressed(Reply(response.status, [("x-amzn-ErrorType", refused.error_type)], response.body))

    def _broken(self, defect: _Defect) -> Reply:
        error_type = "InternalServerErrorException"
        return self._dressed(
            Reply(defect.status, [("x-amzn-ErrorType", error_type)], json.dumps({"message": str(defect)}).encode())
        )

    def _dressed(self, reply: Reply) -> Reply:
        """With the headers of its gateway response: of its own type, or else of all 4xx or 5xx."""
        (_, error_type) = reply.headers[0]
        default = f"DEFAULT_{reply.status // 100}XX"
        own = self.deployment.gateway_headers
        headers = own.get(_RESPONSE_TYPES.get(error_type, default)) or own.get(default) or []
        return reply._replace(headers=[("Content-Type", "application/json"), *headers, *reply.headers])


def _too_large() -> Refused:
    return Refused(413, "RequestTooLargeException", "Request Too Long")


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Values by name, in the spelling that each came in."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _decoded_query(query: str) -> list[tuple[str, str]]:
    """As the gateway decodes it: once, a raw ``+`` being a space, and bytes that are no UTF-8 replaced."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


@contextmanager
def local_gateway(deployment: Deployment, environ: Mapping[str, str], **bounds: float) -> Iterator[Gateway]:
    """A gateway before the deployment's functions; ``environ`` is what these see beside the template's own."""
    with ExitStack() as stack:
        functions = {
            logical_id: stack.enter_context(lambda_function(plan, environ))
            for logical_id, plan in deployment.functions.items()
        }
        gateway = Gateway(deployment, functions, **bounds)
        gateway.url = stack.enter_context(answering(gateway.answer))
        yield gateway
