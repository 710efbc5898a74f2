"""What DynamoDB's errors mean to a caller, in one table, each with what an operator can do about it."""

from __future__ import annotations

from typing import Any

from simple_log_service.core.errors import LogServiceError, StoreThrottled, StoreUnavailable


class ItemRefused(LogServiceError):
    """DynamoDB calls the request itself invalid: one of its items is, and repeating cannot help."""


class ConditionFailed(LogServiceError):
    """The condition of a write did not hold: somebody else was there first."""


class Unanswered(StoreUnavailable):
    """No answer, or one that says nothing about what was done: writes are repeated, since each is idempotent."""


THROTTLES = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "LimitExceededException",
    )
)
_CREDENTIALS = frozenset(
    (
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "MissingAuthenticationTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
    )
)
_TRANSIENT = frozenset(
    ("InternalServerError", "ServiceUnavailable", "InternalFailure", "TransactionInProgressException")
)


def code_of(error: Any) -> str:
    """The error code in botocore's ``ClientError``."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def translated(error: Any, table_name: str) -> LogServiceError:
    """What a ``ClientError`` means. Texts name no secrets: a caller may see them."""
    code = code_of(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code in THROTTLES:
        return StoreThrottled("The table has no capacity left for this request; it may be sent again.")
    if code == "ConditionalCheckFailedException":
        return ConditionFailed("A condition did not hold.")
    if code in {"ValidationException", "ItemCollectionSizeLimitExceededException"}:
        return ItemRefused("DynamoDB does not take this item.")
    if code == "ResourceNotFoundException":
        return StoreUnavailable(f"The table {table_name} or its index does not exist in this region.")
    if code in _CREDENTIALS:
        return StoreUnavailable(
            f"DynamoDB does not accept the service's credentials ({code}): they may have expired, "
            "or the service's clock is off."
        )
    if code == "AccessDeniedException":
        return StoreUnavailable("The service's role does not allow what it has to do with its table or key.")
    if code in _TRANSIENT or status >= 500:
        return Unanswered("DynamoDB failed to answer; whether the request was stored is unknown.")
    return StoreUnavailable(f"DynamoDB refused a request ({code}).")
