"""Where this user's own server is: written by the server's command, so that client commands need no flag.

One small file in the XDG configuration folder (https://specifications.freedesktop.org/basedir-spec/latest/), private
to the user and replaced whole. It names the file with the credentials and holds no secret itself.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from simple_log_service.client.errors import NotConfigured


class LocalEndpoint(msgspec.Struct, frozen=True):
    """``credentials_path`` is of a file in the form of ``~/.aws/credentials``, whose profile ``default`` counts."""

    endpoint: str
    region: str
    credentials_path: Path


def record_endpoint(
    endpoint: str, region: str, credentials_path: Path, environ: Mapping[str, str] = os.environ
) -> Path:
    """Note the server for this user's clients, in place of the one noted before; returns the file's path.

    Raises ``OSError``.
    """
    path = record_path(environ)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = LocalEndpoint(endpoint, region, credentials_path.absolute())
    # A temporary file of mkstemp is the user's alone (0600) from its first byte on.
    descriptor, temporary = tempfile.mkstemp(prefix=".endpoint-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(record, enc_hook=str)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def read_endpoint(environ: Mapping[str, str] = os.environ) -> LocalEndpoint | None:
    """What was noted last, ``None`` if nothing was; ``NotConfigured`` where the file cannot be read."""
    path = record_path(environ)
    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalEndpoint, dec_hook=_path)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotConfigured(
            f"The file {path} cannot be read: {error}. Delete it and start the server again, or give --endpoint."
        ) from None


def record_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file's path. As the specification says, a relative ``XDG_CONFIG_HOME`` does not count."""
    configured = Path(environ.get("XDG_CONFIG_HOME", ""))
    folder = configured if configured.is_absolute() else home(environ) / ".config"
    return folder / "simple-log-service" / "endpoint.json"


def home(environ: Mapping[str, str]) -> Path:
    """The user's home directory, as the environment has it, or else the user database; ``/`` for who has none."""
    if environ.get("HOME"):
        return Path(environ["HOME"])
    try:
        return Path("~").expanduser()
    except RuntimeError:
        return Path("/")


def _path(_type: type, value: object) -> Path:
    return Path(str(value))
