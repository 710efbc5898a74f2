"""API Gateway's REST proxy events (payload version 1.0) as requests, and responses as what it takes for an answer.

The route is the gateway's ``resource``: ``path`` holds a custom domain's base path, too. Every member that is read has
to be there, as the gateway always sends it: a filter that is missing must not silently become no filter. Whatever a
log line may show is printable ASCII. A bad event is ``InvalidRequest``; nothing else is ever raised, except ``Refused``
for who must not ask.

The gateway has decoded the query (a raw ``+`` is a space by then) and, as ``binaryMediaTypes`` is ``*/*``, encoded the
body in base64. Answers go the same way: as text, a page in some scripts would triple and pass Lambda's 6 MB.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from simple_log_service.api.cors import COMMON_HEADERS
from simple_log_service.api.errors import body_too_large, missing_authentication_token, unrecognized_client
from simple_log_service.api.identity import Principal
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.api.routes import Route, find_route
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.limits import BODY_WIRE_BYTES_MAX

Text = Annotated[str, msgspec.Meta(pattern=r"\A[ -~]*\Z")]

_TEMPORARY_KEY_PREFIX = "ASIA"
"""Of access keys that AWS STS gives out; IAM Reference, "Understanding unique ID prefixes"."""


class Identity(msgspec.Struct, rename="camel"):
    """Who signed the request, as IAM knows it; all ``None`` where nobody did. ``caller`` is the principal's id."""

    source_ip: Text
    account_id: Text | None
    access_key: Text | None
    caller: Text | None
    user_arn: Text | None


class RequestContext(msgspec.Struct, rename="camel"):
    """What the gateway says about the request. ``request_id`` is the one that the caller sees."""

    request_id: Text
    identity: Identity


class Event(msgspec.Struct, rename="camel"):
    """A request as the gateway tells of it."""

    resource: Text
    path: str
    http_method: Text
    path_parameters: dict[str, str] | None
    multi_value_query_string_parameters: dict[str, list[str]] | None
    multi_value_headers: dict[str, list[str]] | None
    request_context: RequestContext
    body: str | None
    is_base64_encoded: bool

    def __repr__(self) -> str:
        # Headers hold signatures and session tokens, and the body is nobody's business.
        return f"Event({self.http_method} {self.resource})"


def read_event(event: object) -> Event:
    """The event, if it is one."""
    try:
        return msgspec.convert(event, Event)
    except (msgspec.ValidationError, UnicodeEncodeError):
        # Their texts may quote the event; the second is what a lone surrogate in a name comes to.
        raise InvalidRequest("The event is not one of a REST API's Lambda proxy integration.") from None


def head_of(event: Event, received_ns: int) -> RequestHead:
    """The request's head, its path and query put together again."""
    try:
        query, headers = _query(event.multi_value_query_string_parameters or {}), _headers(event)
    except UnicodeEncodeError:
        raise InvalidRequest("The request holds a lone surrogate.") from None
    return RequestHead(
        event.http_method,
        _path(event),
        query,
        headers,
        dict(headers),
        event.request_context.identity.source_ip,
        secure=True,
        request_id=event.request_context.request_id,
        received_ns=received_ns,
    )


def route_of(event: Event, head: RequestHead) -> tuple[Route, str | None]:
    """The route and the service that its path names; ``Refused`` (403) where there is no such route."""
    found = find_route(head.method, head.path)
    # A resource of another shape could put any path together from its parameters; and where a parameter was decoded,
    # IAM has judged another path than the one it now makes. Before the path may stand a custom domain's base path.
    if found is None or found[0].path != event.resource or not event.path.endswith(head.path):
        raise missing_authentication_token()
    return found


def principal_of(identity: Identity) -> Principal:
    """The caller, with temporary credentials; ``Refused`` (403) without any, or with long-lived ones."""
    if not (identity.account_id and identity.access_key and identity.caller and identity.user_arn):
        raise missing_authentication_token()
    if not identity.access_key.startswith(_TEMPORARY_KEY_PREFIX):
        raise unrecognized_client()
    return Principal(identity.access_key, identity.user_arn, _owner(identity.account_id, identity.caller))


def body_of(event: Event) -> bytes:
    """The body as it was on the wire; ``BodyTooLarge`` past the bound."""
    text = event.body or ""
    if event.is_base64_encoded and len(text) > _base64_chars(BODY_WIRE_BYTES_MAX):
        raise body_too_large()
    try:
        # msgspec reads base64 strictly, and in a third of the time of the standard library.
        body = msgspec.convert(text, bytes) if event.is_base64_encoded else text.encode()
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise InvalidRequest("The event's body is not what it is said to be.") from None
    if len(body) > BODY_WIRE_BYTES_MAX:
        raise body_too_large()
    return body


def answer_of(response: Response) -> dict[str, Any]:
    """The response as the gateway takes it; it adds ``x-amzn-RequestId`` itself, and would rename ours."""
    return {
        "statusCode": response.status,
        "headers": {"Content-Type": response.content_type, **dict(COMMON_HEADERS), **dict(response.headers)},
        "body": b64encode(response.body).decode("ascii"),
        "isBase64Encoded": True,
    }


def _path(event: Event) -> str:
    path = event.resource
    for name, value in (event.path_parameters or {}).items():
        path = path.replace("{" + name + "}", value)
    # No route's path holds anything else, and the log is not for it.
    return path if path.isascii() and path.isprintable() else event.resource


def _query(parameters: Mapping[str, list[str]]) -> str:
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, values in parameters.items()
        for value in values or [""]
    )


def _headers(event: Event) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode(), value.strip().encode())
        for name, values in (event.multi_value_headers or {}).items()
        for value in values
    ]


def _owner(account_id: str, principal_id: str) -> str:
    """Account and principal, without the session: a retry under renewed credentials is still the same caller's.

    An assumed role's id is ``ROLE-ID:SESSION``. A federated user's is ``ACCOUNT:NAME``, where the name is the user.
    """
    role_id, _, session = principal_id.partition(":")
    return f"{account_id}/{principal_id if role_id == account_id and session else role_id}"


def _base64_chars(size_bytes: int) -> int:
    return (size_bytes + 2) // 3 * 4
