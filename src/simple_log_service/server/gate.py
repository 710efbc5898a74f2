"""The gate: the one function that every request passes before anything knows what it asks for.

It finds the route, verifies the signature, counts the request against its rate, asks the caller's policy, and only then
hands it to the API. The principal that it makes is the only identity there is.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from simple_log_service.api.cors import preflight
from simple_log_service.api.errors import Refused, missing_authentication_token, too_many_requests
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.api.policy import Decision, denied, invoke_arn
from simple_log_service.api.routes import Api, Call, Route, find_route, methods_of
from simple_log_service.api.sigv4 import Claim, Verifier
from simple_log_service.server.access_key_file import ACCOUNT_ID
from simple_log_service.server.http import Attribution
from simple_log_service.server.throttle import Throttle

API_ID = "embedded"
STAGE = "default"
"""What stands for API Gateway's ids in the ARNs of resources: a policy may name them or use wildcards."""

_PREFLIGHT = Route("preflight", "OPTIONS", "*", needs_identity=False)


class Ticket(msgspec.Struct):
    """A request whose head was let in. ``claim`` is what its signature must still prove about the body."""

    route: Route
    service_name: str | None
    head: RequestHead
    claim: Claim | None = None
    principal: Principal | None = None


class Gate:
    """The ``Application`` behind the listener."""

    def __init__(self, api: Api, verifier: Verifier, throttle: Throttle, *, region: str) -> None:
        self._api = api
        self._verifier = verifier
        self._throttle = throttle
        self._region = region

    def admit(self, head: RequestHead) -> Ticket:
        """Find the route and check key, date and scope, or on open ones that no body follows; raises ``Refused``."""
        found = find_route(head.method, head.path)
        if found is None:
            if head.method == "OPTIONS" and methods_of(head.path):
                _refuse_body(head)
                return Ticket(_PREFLIGHT, None, head)
            raise missing_authentication_token()
        route, service_name = found
        if not route.needs_identity:
            _refuse_body(head)
            return Ticket(route, service_name, head)
        return Ticket(route, service_name, head, self._verifier.check_head(head))

    async def handle(self, ticket: Ticket, body: bytes) -> Response:
        """Verify the signature over the body, then rate and policy, then answer."""
        if ticket.route is _PREFLIGHT:
            return preflight(methods_of(ticket.head.path))
        body_sha256 = sha256(body).hexdigest()
        if ticket.claim is not None:
            ticket.principal = ticket.claim.verify(body_sha256)
            self._authorize(ticket.claim, ticket.principal, ticket.head)
        return await self._api.answer(
            Call(ticket.route, ticket.service_name, ticket.head, body, body_sha256, ticket.principal)
        )

    def describe(self, ticket: Ticket) -> Attribution:
        """The route, and the caller once it is known."""
        principal = ticket.principal
        if principal is None:
            return Attribution(ticket.route.name)
        return Attribution(ticket.route.name, principal.arn, principal.access_key_id)

    def _authorize(self, claim: Claim, principal: Principal, head: RequestHead) -> None:
        wait_seconds = self._throttle.check(principal.access_key_id)
        if wait_seconds is not None:
            raise too_many_requests(wait_seconds)
        resource = invoke_arn(self._region, ACCOUNT_ID, API_ID, STAGE, head.method, head.path)
        decision = claim.key.policy.decide(resource, head.source_ip, head.secure)
        if decision is not Decision.ALLOWED:
            raise denied(principal.arn, resource, decision)


def _refuse_body(head: RequestHead) -> None:
    """Nobody may fill the server's memory without credentials."""
    if b"transfer-encoding" in head.fields or head.fields.get(b"content-length", b"").strip(b"0"):
        raise Refused(400, "BadRequestException", "This request must not have a body")
