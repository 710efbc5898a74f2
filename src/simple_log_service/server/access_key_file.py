"""What ``access-keys.json`` holds: bytes in, entries out, and back; no I/O.

The rules: a secret is in the file only wrapped, bound to all that gives its key meaning, so that an entry
whose id, name, policy, creation or expiry was edited cannot be unsealed. The status alone is free to edit,
and nothing here stops whoever may write the file from taking an entry out or putting an older one back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.identity import Principal
from simple_log_service.api.policy import Policy
from simple_log_service.core.ports import KeyProvider
from simple_log_service.server.files import OperatorError

ACCOUNT_ID = "000000000000"
"""A server of one's own has no account; an ARN needs twelve digits."""

_VERSION = 1
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry; ``wrapped_secret`` holds the secret and, for a temporary key, the session token."""

    access_key_id: str
    name: str
    status: Literal["active", "disabled"]
    policy: dict[str, Any]
    created: _Time
    expires: _Time | None
    kek_id: str = ""
    wrapped_secret: bytes = b""


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    keys: list[StoredKey]


class _Versioned(msgspec.Struct):
    version: int


def encode(entries: Iterable[StoredKey]) -> bytes:
    """The file's bytes, indented for people."""
    return msgspec.json.format(msgspec.json.encode(_Document(_VERSION, list(entries)))) + b"\n"


def decode(data: bytes, file_name: str) -> dict[str, StoredKey]:
    """The entries by access key id, in the file's order; raises ``OperatorError`` for anything else."""
    try:
        version = msgspec.json.decode(data, type=_Versioned).version
        if version != _VERSION:
            raise OperatorError(
                f"The file {file_name} has the format version {version}, and this program knows version "
                f"{_VERSION}. Run the program that wrote it, or a newer one."
            )
        keys = msgspec.json.decode(data, type=_Document).keys
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise OperatorError(
            f"The file {file_name} is damaged: {error}. Restore it from a backup, "
            "or move it away to begin with no access keys."
        ) from error
    entries = {entry.access_key_id: entry for entry in keys}
    if len(entries) < len(keys):
        raise OperatorError(f"The file {file_name} names an access key twice. Remove one of the two entries.")
    return entries


def seal(entry: StoredKey, secret_access_key: str, session_token: str | None, key_provider: KeyProvider) -> StoredKey:
    """The entry with its secrets wrapped and bound to it."""
    secret = msgspec.json.encode((secret_access_key, session_token))
    wrapped = key_provider.wrap(secret, _context(entry))
    return msgspec.structs.replace(entry, kek_id=key_provider.kek_id, wrapped_secret=wrapped)


def unseal(entry: StoredKey, key_provider: KeyProvider) -> AccessKey:
    """The key in the clear.

    Raises ``KeyUnavailable`` for an entry that was edited or whose KEK is gone, and ``PolicyError`` for a
    policy that this program does not understand.
    """
    secret = key_provider.unwrap(entry.kek_id, entry.wrapped_secret, _context(entry))
    secret_access_key, session_token = msgspec.json.decode(secret, type=tuple[str, str | None])
    return AccessKey(
        access_key_id=entry.access_key_id,
        secret_access_key=secret_access_key,
        principal=_principal(entry),
        policy=Policy.parse(entry.policy),
        session_token=session_token,
        expires_at=None if entry.expires is None else entry.expires.timestamp(),
    )


def _context(entry: StoredKey) -> bytes:
    """What the secret is bound to; sorted, so that white space and order in the file do not matter."""
    meaning = ("access key 1", entry.access_key_id, entry.name, entry.created, entry.expires, entry.policy)
    return msgspec.json.encode(meaning, order="sorted")


def _principal(entry: StoredKey) -> Principal:
    if entry.expires is None:
        arn = f"arn:aws:iam::{ACCOUNT_ID}:user/{entry.name}"
        return Principal(entry.access_key_id, arn, arn)
    owner = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{entry.name}"
    return Principal(entry.access_key_id, f"{owner}/{entry.access_key_id}", owner)
