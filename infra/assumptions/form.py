"""The form of a belief about API Gateway: a request, who signs it, and the answer that it is believed to get."""

from __future__ import annotations

from typing import Literal

import msgspec

Signer = Literal[
    "nobody",
    "caller",
    "ingest_only",
    "read_only",
    "unknown_key",
    "wrong_secret",
    "wrong_token",
    "expired",
    "long_lived",
]
"""Who signs: a caller that may do everything, one that may do less, or keys that are no good (any more)."""

Spoiling = Literal[
    "",
    "date_10_minutes_old",
    "date_10_minutes_ahead",
    "other_region",
    "other_service",
    "no_signature",
    "other_body",
    "token_unsigned",
]
"""What is done to a signature: nothing, or one thing; ``other_body`` sends another body than the signed one."""

Probe = Literal["http", "tls_1_0", "tls_1_1", "tls_1_2", "throttle", "none"]
"""How to find out: one request, a handshake, more requests than the rate allows, or not by a command at all."""


class Ask(msgspec.Struct, frozen=True):
    """A request. ``path`` and ``query`` are percent-encoded; ``padding_bytes`` spaces follow the body."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    padding_bytes: int = 0
    packing: Literal["", "gzip", "zstd"] = ""
    signer: Signer = "caller"
    spoiling: Spoiling = ""


class Assumption(msgspec.Struct, frozen=True, kw_only=True):
    """One belief. ``status`` are the statuses that fit it; ``body`` and the headers' values are texts with ``*``.

    ``error_type`` is the value of ``x-amzn-ErrorType``. ``answered_by`` says whose answer it is.
    ``stored_first`` is a record that must be there before. ``source`` is where the belief comes from; ``why_not`` says
    why no command can find out.
    """

    name: str
    belief: str
    source: str
    request: Ask | None = None
    stored_first: str = ""
    status: tuple[int, ...] = ()
    error_type: str = ""
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    text_may_go_on: bool = False
    answered_by: Literal["gateway", "handler", "either"] = "gateway"
    probe: Probe = "http"
    why_not: str = ""
