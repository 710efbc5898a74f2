"""The home that the contract's tests ask: a real server process with its keys, empty at first.

Nothing but this file knows which home it is. Tests see a ``Home``: somebody to ask, and a way to make keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from contract.http_caller import Caller
from e2e.server_process import REGION, ServerProcess
from simple_log_service.api.signer import Credentials
from simple_log_service.server.access_keys import policy_document
from simple_log_service.server.data_dir import DataDir
from support.raw_http import connected

ACCOUNT = "000000000000"
API = "embedded/default"
"""Account, API and stage, as they stand in the ARNs of resources."""


class Home:
    """A running home; ``key`` makes keys for it, which work at once."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.region = REGION
        self._keys = DataDir(server.data_dir, None).access_keys

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; elsewhere after a restart."""
        endpoint = urlsplit(self.server.endpoint)
        assert endpoint.hostname is not None
        assert endpoint.port is not None
        return endpoint.hostname, endpoint.port

    @property
    def admin(self) -> Caller:
        """Somebody who may do everything."""
        return self.caller(self.server.credentials)

    @property
    def stranger(self) -> Caller:
        """Somebody without credentials."""
        return Caller(self.address, None, self.region)

    def restart(self) -> None:
        """Stop it gracefully, and start it again with all that it holds."""
        assert self.server.stop() == 0
        self.server.start()

    def caller(self, credentials: Credentials) -> Caller:
        """Somebody with these credentials."""
        return Caller(self.address, credentials, self.region)

    def key(
        self, policy: str | Mapping[str, Any] = "admin", *, expires_in_seconds: int | None = None, name: str = "tests"
    ) -> Credentials:
        """A new key: long-lived, or temporary where it expires."""
        document = policy_document(policy) if isinstance(policy, str) else policy
        created = self._keys.create(name, document, expires_in_seconds=expires_in_seconds)
        return Credentials(created.access_key_id, created.secret_access_key, created.session_token)

    def disable(self, credentials: Credentials) -> None:
        """Have a key refused from now on."""
        self._keys.disable(credentials.access_key_id)

    def arn(self, method: str, path: str) -> str:
        """The resource that a request invokes."""
        return f"arn:aws:execute-api:{self.region}:{ACCOUNT}:{API}/{method}{path}"

    def assert_lives_and_holds_nothing(self) -> None:
        """Healthy, and without a single record of the last hour or the next."""
        with connected(self.address) as client:
            assert client.ask(b"GET /health HTTP/1.1\r\nHost: any\r\n\r\n").body == b'{"status":"ok"}'
        assert self.admin.page(limit=1)["logs"] == []


@contextmanager
def running_home(*flags: str) -> Iterator[Home]:
    """An empty home, gone with all that it holds afterwards. Its throttle is off unless ``flags`` say otherwise."""
    with (
        TemporaryDirectory(prefix="slog-home-") as folder,
        ServerProcess(Path(folder) / "data", "--throttle-rate", "0", *flags) as server,
    ):
        yield Home(server)


def fresh_name(stem: str = "service") -> str:
    """A service that nobody else in this run speaks of."""
    return f"{stem}-{uuid4().hex[:12]}"


def record(service_name: str, **fields: Any) -> dict[str, Any]:
    """A good record."""
    return {"service_name": service_name, "log_type": "application", "message": "hello", **fields}
