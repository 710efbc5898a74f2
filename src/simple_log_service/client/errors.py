"""What can go wrong for a client, each with what to do about it. No message ever holds a secret."""

from __future__ import annotations

from simple_log_service.client.advice import advice_for


class ClientError(Exception):
    """The base of every error that the client raises by itself."""


class NotConfigured(ClientError):
    """No endpoint or no credentials were found, or what was found cannot be used."""


class Unreachable(ClientError):
    """No answer came, at no attempt: what was sent last may or may not have been stored.

    ``may_pass`` is false where trying again is no use, as with a certificate that cannot be trusted.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class UnexpectedAnswer(ClientError):
    """Something answered that does not speak as this service does."""


class RequestRefused(ClientError):
    """The service's answer was an error, at the last attempt if it was one that passes.

    ``retry_after_seconds`` is what the service asked for, if it did; ``body`` the answer as it came.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        request_id: str = "",
        *,
        retry_after_seconds: int | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(status, error_type, message, request_id)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.body = body

    def __str__(self) -> str:
        text = (
            f"{self.status} {self.error_type}: {self.message}" if self.error_type else f"{self.status} {self.message}"
        )
        if self.request_id:
            text = f"{text} (request {self.request_id})"
        advice = advice_for(self.status, self.error_type, self.message)
        return f"{text} {advice}" if advice else text
