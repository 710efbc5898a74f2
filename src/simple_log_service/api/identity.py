"""Who is calling: the only identity there is, made by the verifier and trusted by everything behind it."""

from __future__ import annotations

from typing import Any

import msgspec

from simple_log_service.api.policy import Policy


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller.

    ``arn`` names it in answers and audits; ``owner`` is the same without the session's name, so that a retry
    under renewed temporary credentials is still the same caller's.
    """

    access_key_id: str
    arn: str
    owner: str


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
