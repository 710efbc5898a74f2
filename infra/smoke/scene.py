"""Whom a run asks as, and about what: the one thing that every check gets."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from infra.assumptions import Signer
from infra.smoke.asking import Asker, Budget
from infra.smoke.findings import NotTested
from simple_log_service.api.signer import Credentials
from simple_log_service.client.endpoint import Endpoint

if TYPE_CHECKING:
    from infra.smoke.stack import Stack

SERVICE_PREFIX = "smoke-test-"
_HOW: Mapping[Signer, str] = {
    "ingest_only": "give --role, a role that the stack's ingest policy can be laid upon",
    "read_only": "give --role, a role that the stack's read policy can be laid upon",
    "expired": "give --expired-profile, a profile whose session is over",
    "long_lived": "give --long-lived-profile, a profile with the key of an IAM user",
}


class Scene:
    """The endpoint, who may be asked as, and the stack behind it where there is one.

    ``credentials`` holds ``caller``, who may do everything, and whatever other keys were given. ``settle_seconds`` is
    how long to wait for what follows later, as metrics do.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        region: str,
        credentials: Mapping[Signer, Credentials],
        *,
        stack: Stack | None = None,
        may_throttle: bool = False,
        may_restore: bool = False,
        settle_seconds: float = 180.0,
    ) -> None:
        self.endpoint = endpoint
        self.region = region
        self.may_throttle = may_throttle
        self.may_restore = may_restore
        self.settle_seconds = settle_seconds
        self.budget = Budget()
        self.began = datetime.now(UTC)
        self._credentials = dict(credentials)
        self._stack = stack
        self._run = f"{SERVICE_PREFIX}{self.began:%Y%m%dt%H%M%S}-{uuid4().hex[:8]}"

    @property
    def caller(self) -> Asker:
        """Somebody who may do everything."""
        return self.asker("caller")

    @property
    def stack(self) -> Stack:
        """The deployed stack; ``NotTested`` where the run is about an endpoint alone."""
        if self._stack is None:
            raise NotTested("there is an endpoint and no stack: give --env")
        return self._stack

    def service(self, name: str = "") -> str:
        """A service name that is this run's own, and one check's where it is named."""
        return f"{self._run}-{name}" if name else self._run

    def asker(self, signer: Signer) -> Asker:
        """Somebody who signs so; ``NotTested`` where nobody gave such a key."""
        return Asker(self.endpoint, self.region, self._key(signer), self.budget)

    def redact(self, text: str) -> str:
        """The text without any secret or token: API Gateway quotes the request that it could not verify."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    @cached_property
    def _secrets(self) -> list[str]:
        given = self._credentials.values()
        return [each for key in given for each in (key.secret_access_key, key.session_token) if each]

    def _key(self, signer: Signer) -> Credentials | None:
        if signer == "nobody":
            return None
        given = self._credentials.get(signer)
        if given is not None:
            return given
        caller = self._credentials["caller"]
        match signer:
            case "unknown_key":
                return Credentials("ASIAIOSFODNN7EXAMPLE", secrets.token_urlsafe(30))
            case "wrong_secret":
                return msgspec.structs.replace(caller, secret_access_key=secrets.token_urlsafe(30))
            case "wrong_token":
                return msgspec.structs.replace(caller, session_token=(caller.session_token or "x")[:-8] + "AAAAAAA=")
        raise NotTested(f"there is no such key here: {_HOW[signer]}")


def record(service_name: str, **fields: Any) -> dict[str, Any]:
    """A good record."""
    return {"service_name": service_name, "log_type": "smoke", "message": "hello", **fields}


def ago(seconds: float) -> str:
    """A moment of the past, to the millisecond, as records and answers write it."""
    moment = datetime.fromtimestamp(time.time() - seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000 or 1:03d}Z"
