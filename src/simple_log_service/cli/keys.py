"""``keys``: the access keys of a local server, which notices every change by itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from simple_log_service.api.policy import ADMIN, INGEST, READ
from simple_log_service.cli.local_folder import data_dir_option, local_settings
from simple_log_service.cli.terminal import ensure_stdout, inert, say, write_stdout
from simple_log_service.server.access_keys import AccessKeyStore, CreatedKey, KeyInfo, policy_document
from simple_log_service.server.data_dir import DataDir

F = TypeVar("F", bound=Callable[..., Any])

_EPILOG = """\b
Examples:
  slog keys create --name shop --policy ingest
  slog keys create --name ci --policy read --expires 3600 --output json
  eval "$(slog keys create --name me --policy admin --output env)"
  slog keys list
  slog keys disable AKIA...

The server may be running: a new key works at once, a disabled one is refused within a second.
"""


def _output_option(*outputs: str) -> Callable[[F], F]:
    return click.option("--output", "-o", type=click.Choice(outputs), default=outputs[0], show_default=True)


@click.group(epilog=_EPILOG)
def keys() -> None:
    """Make and manage the access keys of a local server."""
    ensure_stdout()


@keys.command()
@data_dir_option
@click.option("--name", required=True, help="Whose key it is: 1 to 64 letters, digits and + = , . @ _ -")
@click.option(
    "--policy",
    required=True,
    metavar="ingest|read|admin|FILE",
    help="What the key may do; FILE is an IAM policy in JSON.",
)
@click.option("--expires", type=int, metavar="SECONDS", help="Make a temporary key, with a session token.")
@_output_option("text", "json", "env")
def create(data_dir: Path | None, name: str, policy: str, expires: int | None, output: str) -> None:
    """Make a key. Its secret is shown now and never again."""
    with _key_store(data_dir, may_make_dir=True) as store:
        created = store.create(name, policy_document(policy), expires_in_seconds=expires)
    write_stdout(_CREATED[output](created))
    until = f" until {created.expires:%Y-%m-%dT%H:%M:%SZ}" if created.expires is not None else ""
    say(inert(f"The key is valid{until}. Its secret cannot be shown again."))


@keys.command("list")
@data_dir_option
@_output_option("text", "json")
def list_keys(data_dir: Path | None, output: str) -> None:
    """List the keys, without secrets."""
    with _key_store(data_dir) as store:
        infos = store.list()
    if output == "json":
        write_stdout(msgspec.json.encode(infos).decode() + "\n")
    else:
        write_stdout("".join(f"{inert(line)}\n" for line in _table(infos)))


@keys.command()
@data_dir_option
@click.argument("access_key_id")
def disable(data_dir: Path | None, access_key_id: str) -> None:
    """Have a key refused from now on; it stays listed."""
    with _key_store(data_dir) as store:
        store.disable(access_key_id)
    say(inert(f"{access_key_id} is disabled."))


@keys.command()
@data_dir_option
@click.argument("access_key_id")
def delete(data_dir: Path | None, access_key_id: str) -> None:
    """Forget a key."""
    with _key_store(data_dir) as store:
        store.delete(access_key_id)
    say(inert(f"{access_key_id} is deleted."))


@contextmanager
def _key_store(data_dir: Path | None, *, may_make_dir: bool = False) -> Iterator[AccessKeyStore]:
    """The keys of a server's folder; what goes wrong with them ends the command."""
    with local_settings(data_dir, may_make_dir=may_make_dir) as settings:
        yield DataDir(settings.data_dir, settings.encryption_key).access_keys


def _created_text(created: CreatedKey) -> str:
    return "".join(f"{name:<18} {value}\n" for name, value in _fields(created).items())


def _created_json(created: CreatedKey) -> str:
    return msgspec.json.encode(_fields(created)).decode() + "\n"


def _created_env(created: CreatedKey) -> str:
    """For ``eval``: a token that is left over from another key would make this one useless."""
    fields = _fields(created)
    lines = [f"export AWS_{name.upper()}={shlex.quote(value)}\n" for name, value in fields.items()]
    return "".join(lines if "session_token" in fields else [*lines, "unset AWS_SESSION_TOKEN\n"])


_CREATED = {"text": _created_text, "json": _created_json, "env": _created_env}


def _fields(created: CreatedKey) -> dict[str, str]:
    fields = {"access_key_id": created.access_key_id, "secret_access_key": created.secret_access_key}
    return fields if created.session_token is None else fields | {"session_token": created.session_token}


def _table(infos: Sequence[KeyInfo]) -> list[str]:
    rows = [("ACCESS KEY ID", "NAME", "STATUS", "POLICY", "CREATED", "EXPIRES")]
    rows += [
        (each.access_key_id, each.name, _status(each), _policy(each.policy), _time(each.created), _time(each.expires))
        for each in infos
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _status(info: KeyInfo) -> str:
    if info.status == "active" and info.refusal is not None:
        return f"refused: {info.refusal}"
    if info.expires is not None and info.expires <= datetime.now(UTC):
        return "expired"
    return info.status


def _policy(document: Mapping[str, Any]) -> str:
    known = {"ingest": INGEST, "read": READ, "admin": ADMIN}
    return next((name for name, each in known.items() if each == document), "custom")


def _time(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
