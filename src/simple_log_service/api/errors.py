"""From errors to answers: the one table of statuses and ``x-amzn-ErrorType`` names.

The authentication texts are API Gateway's own, which SDKs and people already know how to read.
"""

from __future__ import annotations

import msgspec

from simple_log_service.api.messages import Response
from simple_log_service.core import errors

THROTTLED_ERROR_TYPE = "TooManyRequestsException"
THROTTLED_RETRY_SECONDS = 5
"""What a caller is asked to wait where a store had no capacity."""

_STATUS: dict[type[errors.LogServiceError], tuple[int, str]] = {
    errors.InvalidRequest: (400, "BadRequestException"),
    errors.BodyTooLarge: (413, "RequestTooLargeException"),
    errors.UnsupportedEncoding: (415, "UnsupportedMediaTypeException"),
    errors.IdempotencyMismatch: (422, "IdempotentParameterMismatchException"),
    errors.StoreThrottled: (429, THROTTLED_ERROR_TYPE),
    errors.StoreUnavailable: (503, "ServiceUnavailableException"),
    errors.StoreFull: (507, "InsufficientStorageException"),
}

_RETRY_AFTER_SECONDS = {429: THROTTLED_RETRY_SECONDS, 503: 5, 507: 30}


class Refused(errors.LogServiceError):
    """A request that is turned away before its meaning is looked at: identity, policy, rate or framing.

    ``message_key`` is the JSON member that carries the text: API Gateway writes ``Message`` for a denial
    by policy and ``message`` for everything else.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        message_key: str = "message",
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.message_key = message_key
        self.retry_after_seconds = retry_after_seconds


def missing_authentication_token() -> Refused:
    """No credentials, or a route that does not exist: API Gateway does not tell the two apart."""
    return Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def unrecognized_client() -> Refused:
    """A key that is not known, does not fit its token, or is long-lived where only temporary ones are taken."""
    return Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")


def body_too_large() -> errors.BodyTooLarge:
    """A body past its bound, on the wire or unpacked, in API Gateway's words."""
    return errors.BodyTooLarge("Request Too Long")


def too_many_requests(retry_after_seconds: int) -> Refused:
    """The caller or the server as a whole is over its rate."""
    return Refused(429, THROTTLED_ERROR_TYPE, "Too Many Requests", retry_after_seconds=retry_after_seconds)


def error_response(error: errors.LogServiceError) -> Response:
    """The answer to a request that ended in ``error``; an unknown kind of it counts as unavailable."""
    if isinstance(error, Refused):
        return _response(error.status, error.error_type, str(error), error.message_key, error.retry_after_seconds)
    kind = next((kind for kind in type(error).__mro__ if kind in _STATUS), errors.StoreUnavailable)
    status, error_type = _STATUS[kind]
    return _response(status, error_type, str(error), "message", _RETRY_AFTER_SECONDS.get(status))


def internal_error_response() -> Response:
    """The neutral answer to a defect of ours; what it was is for the home's own log."""
    return error_response(errors.StoreUnavailable("The request failed inside the server; it may be repeated"))


def _response(
    status: int, error_type: str, message: str, message_key: str, retry_after_seconds: int | None
) -> Response:
    headers: tuple[tuple[str, str], ...] = (("x-amzn-ErrorType", error_type),)
    if retry_after_seconds is not None:
        headers += (("Retry-After", str(retry_after_seconds)),)
    return Response(status, msgspec.json.encode({message_key: message}), headers)
