"""HTTP without sockets: what a request and a response are to the code that gives them meaning.

Header names are lower-case bytes; values are the bytes of the wire, without surrounding white space.
Path and query are the raw text of the request line, still percent-encoded: signatures cover exactly that text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from simple_log_service.core.errors import InvalidRequest


class RequestHead(msgspec.Struct):
    """What is known once the header section has arrived, before the body is read.

    ``headers`` keeps order and repetition; ``fields`` is the same by name, the last of a repeated one.
    ``received_ns`` is the time of receipt, nanoseconds since the epoch.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]
    source_ip: str
    secure: bool
    request_id: str
    received_ns: int

    def text(self, name: bytes) -> str | None:
        """The header's value as text (ISO 8859-1, as HTTP reads bytes), or ``None`` where it is absent.

        Raises ``InvalidRequest`` where it is given more than once: which one counts would be anybody's guess.
        """
        value = self.fields.get(name)
        if value is None:
            return None
        if len(self.fields) < len(self.headers) and sum(given == name for given, _ in self.headers) > 1:
            raise InvalidRequest(f"The header {name.decode()} is given twice.")
        return value.decode("latin-1")

    def __repr__(self) -> str:
        # Headers hold signatures and session tokens.
        return f"RequestHead({self.method} {self.path})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich prints in a traceback: without this, every field."""
        return [("method", self.method), ("path", self.path)]


class Response(msgspec.Struct):
    """An answer: status, body and the headers that are its own (the home adds the common ones)."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"

    @property
    def error_type(self) -> str | None:
        """What kind of error it tells of, as its ``x-amzn-ErrorType`` says."""
        return next((value for name, value in self.headers if name == "x-amzn-ErrorType"), None)
