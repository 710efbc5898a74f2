"""The homes that the contract's tests ask, each real and empty at first.

Tests see an ``AnyHome``: somebody to ask, and a way to make keys. Nothing but this file and ``aws_home`` knows which
one it is; where the contract names a difference, ``http_differences`` does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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
"""Account, API and stage of the embedded home, as they stand in the ARNs of resources."""

Route = tuple[str, str]


class AnyHome(ABC):
    """A running home.

    ``secure`` is whether policies see its requests as having come over TLS, ``own_routes`` are those that the other
    home does not have.
    """

    region = REGION
    account: str
    secure: bool
    own_routes: Mapping[str, Route]

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """Its URL; another one after a restart, perhaps."""

    @property
    @abstractmethod
    def admin(self) -> Caller:
        """Somebody who may do everything."""

    @abstractmethod
    def key(
        self, policy: str | Mapping[str, Any] = "admin", *, expires_in_seconds: int | None = None, name: str = "tests"
    ) -> Credentials:
        """A new key, which works at once: temporary where it expires, else as lasting as the home has them."""

    @abstractmethod
    def arn(self, method: str, path: str) -> str:
        """The resource that a request invokes."""

    @abstractmethod
    def restart(self) -> None:
        """Stop it gracefully, and start it again with all that it holds."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        endpoint = urlsplit(self.endpoint)
        assert endpoint.hostname is not None
        assert endpoint.port is not None
        return endpoint.hostname, endpoint.port

    @property
    def stranger(self) -> Caller:
        """Somebody without credentials."""
        return Caller(self.address, None, self.region)

    def caller(self, credentials: Credentials) -> Caller:
        """Somebody with these credentials."""
        return Caller(self.address, credentials, self.region)

    def caller_arn(self, name: str, credentials: Credentials) -> str:
        """Who the holder of a key of that name is: a user, or a session of a role."""
        if credentials.session_token is None:
            return f"arn:aws:iam::{self.account}:user/{name}"
        return f"arn:aws:sts::{self.account}:assumed-role/{name}/{credentials.access_key_id}"

    def assert_lives_and_holds_nothing(self) -> None:
        """Healthy, and without a single record of the last hour or the next."""
        with connected(self.address) as client:
            assert client.ask(b"GET /health HTTP/1.1\r\nHost: any\r\n\r\n").body == b'{"status":"ok"}'
        assert self.admin.page(limit=1)["logs"] == []


class Home(AnyHome):
    """The embedded home: a server process with its keys."""

    account = ACCOUNT
    secure = False
    own_routes = {"metrics": ("GET", "/metrics")}  # noqa: RUF012 - nobody changes it

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self._keys = DataDir(server.data_dir, None).access_keys

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    @property
    def admin(self) -> Caller:
        return self.caller(self.server.credentials)

    def restart(self) -> None:
        assert self.server.stop() == 0
        self.server.start()

    def key(
        self, policy: str | Mapping[str, Any] = "admin", *, expires_in_seconds: int | None = None, name: str = "tests"
    ) -> Credentials:
        document = policy_document(policy) if isinstance(policy, str) else policy
        created = self._keys.create(name, document, expires_in_seconds=expires_in_seconds)
        return Credentials(created.access_key_id, created.secret_access_key, created.session_token)

    def disable(self, credentials: Credentials) -> None:
        """Have a key refused from now on."""
        self._keys.disable(credentials.access_key_id)

    def arn(self, method: str, path: str) -> str:
        return f"arn:aws:execute-api:{self.region}:{ACCOUNT}:{API}/{method}{path}"


@contextmanager
def running_home(*flags: str, environ: Mapping[str, str] | None = None) -> Iterator[Home]:
    """An empty embedded home, gone with all that it holds afterwards; its throttle is off unless ``flags`` say so.

    ``environ`` are variables of the server's beside those of its flags.
    """
    with (
        TemporaryDirectory(prefix="slog-home-") as folder,
        ServerProcess(Path(folder) / "data", "--throttle-rate", "0", *flags, environ=environ) as server,
    ):
        yield Home(server)


def fresh_name(stem: str = "service") -> str:
    """A service that nobody else in this run speaks of."""
    return f"{stem}-{uuid4().hex[:12]}"


def record(service_name: str, **fields: Any) -> dict[str, Any]:
    """A good record."""
    return {"service_name": service_name, "log_type": "application", "message": "hello", **fields}
