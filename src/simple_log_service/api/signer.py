"""Signing requests with AWS Signature Version 4: what a client adds to a request so that either home lets it in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from simple_log_service.api.canonical import (
    ALGORITHM,
    SERVICE,
    TERMINATOR,
    canonical_headers,
    canonical_path,
    canonical_query,
    canonical_request,
    signature,
    signing_key,
    string_to_sign,
)

_UNSIGNED = frozenset({"connection", "expect", "te", "transfer-encoding", "user-agent", "x-amzn-trace-id"})
"""Headers that proxies change on the way ("do not include hop-by-hop headers", says the guide)."""


class Credentials(msgspec.Struct, frozen=True):
    """A caller's own key; ``session_token`` is set for temporary ones."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich prints in a traceback: without this, every field."""
        return [("access_key_id", self.access_key_id)]


def sign_headers(
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    body_sha256_hex: str,
    credentials: Credentials,
    region: str,
    now: float,
) -> list[tuple[str, str]]:
    """The headers to add: date, body hash, session token where there is one, and Authorization.

    ``path`` and ``query`` (without its ``?``) are the text of the request line, percent-encoded. ``headers`` are those
    that will be sent, each name once, with ``Host`` (``ValueError`` without); all are signed but the ones that
    proxies change. ``body_sha256_hex`` is of the bytes on the wire, ``now`` in seconds since the epoch.
    """
    timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    added = [("X-Amz-Date", timestamp), ("X-Amz-Content-Sha256", body_sha256_hex)]
    if credentials.session_token:
        added.append(("X-Amz-Security-Token", credentials.session_token))
    signed = {name.lower(): value for name, value in (*headers, *added) if name.lower() not in _UNSIGNED}
    if "host" not in signed:
        raise ValueError("a signature covers the Host header, so it has to be given")
    lines, names = canonical_headers((name.encode(), value.encode("latin-1")) for name, value in signed.items())
    request = canonical_request(
        method.encode(),
        canonical_path(path.encode()),
        canonical_query(query.encode()),
        lines,
        names,
        body_sha256_hex.encode(),
    )
    date = timestamp[:8]
    scope = f"{date}/{region}/{SERVICE}/{TERMINATOR}"
    text = string_to_sign(timestamp.encode(), scope.encode(), request)
    signed_by = signature(signing_key(credentials.secret_access_key, date, region), text)
    authorization = (
        f"{ALGORITHM.decode()} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names.decode()}, Signature={signed_by.decode()}"
    )
    return [*added, ("Authorization", authorization)]
