"""A key of a home that verifies signatures itself; where API Gateway does, nobody here ever sees one."""

from __future__ import annotations

from typing import Any

import msgspec

from simple_log_service.api.identity import Principal
from simple_log_service.api.policy import Policy


class AccessKey(msgspec.Struct, frozen=True):
    """One key as the verifier needs it: secret in the clear, never printed, never stored like this.

    ``session_token`` is set for temporary credentials, ``expires_at`` (seconds since the epoch) with it.
    """

    access_key_id: str
    secret_access_key: str
    principal: Principal
    policy: Policy
    session_token: str | None = None
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich prints in a traceback: without this, every field."""
        return [("access_key_id", self.access_key_id)]
