"""Everything that can go wrong with a request, said once, with what to do about it.

The core raises these; ``api.errors`` is the one place that turns them into HTTP statuses.
A message is written for the caller: it names the rule that was broken and never repeats a secret.
"""


class LogServiceError(Exception):
    """The base of every error that a caller may see."""


class InvalidRequest(LogServiceError):
    """The request breaks a rule of the contract; sending it again unchanged cannot help."""


class BodyTooLarge(LogServiceError):
    """The body passes a bound of ``core.limits``, on the wire or unpacked."""


class UnsupportedEncoding(LogServiceError):
    """The body's Content-Encoding is not one that the service unpacks."""


class IdempotencyMismatch(LogServiceError):
    """The Idempotency-Key was used before, with another request."""


class StoreFull(LogServiceError):
    """The disk is full: nothing of the request was stored; it may be sent again once there is room."""


class StoreUnavailable(LogServiceError):
    """The store cannot write (or read) now, and whether the request was stored is unknown.

    Repeating it with the same Idempotency-Key is safe.
    """


class StoreThrottled(LogServiceError):
    """The store has no capacity for the request now, and did nothing of it: try again later."""


class StoreBusy(StoreUnavailable):
    """The store could not begin, for want of a lock or a file descriptor or of room in its queue: try again later."""
