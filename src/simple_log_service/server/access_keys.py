"""The access keys of a server of one's own, shared by the running server and the command line.

The rules: writers take turns by a lock and replace the file whole. A reader sees a new key at once and a
disabled one within ``LOOK_AGAIN_NS``. A file that goes bad while the server runs leaves the keys it had in
force; one that is removed takes its keys with it. A key that was tampered with is refused, the others not.
"""

from __future__ import annotations

import base64
import logging
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from simple_log_service.api.access_key import AccessKey
from simple_log_service.api.policy import ADMIN, INGEST, READ, Policy, PolicyError
from simple_log_service.core.limits import (
    ACCESS_KEYS_MAX,
    SECOND_NS,
    TEMPORARY_KEY_SECONDS_MAX,
    TEMPORARY_KEY_SECONDS_MIN,
)
from simple_log_service.core.ports import Clock, KeyProvider
from simple_log_service.server.access_key_file import StoredKey, decode, encode, seal, unseal
from simple_log_service.server.files import OperatorError, exclusive, write_durably
from simple_log_service.server.key_provider import KeyUnavailable

logger = logging.getLogger(__name__)

KEYS_FILE_NAME = "access-keys.json"
LOCK_FILE_NAME = "access-keys.lock"
LOOK_AGAIN_NS = SECOND_NS // 4
"""How long a known key is trusted without a look at the file's status."""
EXPIRED_KEY_KEPT = timedelta(days=1)
"""So long a caller is told that its token has expired; then the next write leaves the key out."""

_POLICIES_BY_NAME = {"ingest": INGEST, "read": READ, "admin": ADMIN}
_KEY_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")  # IAM's rule for the name of a user.


class KeyInfo(msgspec.Struct, frozen=True):
    """What may be shown of a key; ``refusal`` says why the server refuses it although it is active."""

    access_key_id: str
    name: str
    status: str
    policy: dict[str, Any]
    created: datetime
    expires: datetime | None
    refusal: str | None


class CreatedKey(msgspec.Struct, frozen=True):
    """A new key, to be handed to its user: the only time that its secret can be seen."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    expires: datetime | None

    def __repr__(self) -> str:
        return f"CreatedKey({self.access_key_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What rich prints in a traceback: without this, every field."""
        return [("access_key_id", self.access_key_id)]


class AccessKeyStore:
    """The keys of one directory. Several processes may have it open, and one thread in each."""

    def __init__(
        self,
        data_dir: Path,
        key_provider: KeyProvider,
        clock: Clock,
        *,
        monotonic_ns: Clock = time.monotonic_ns,
    ) -> None:
        """Read the file, if there is one; raises ``OperatorError`` where it is damaged."""
        self._path = data_dir / KEYS_FILE_NAME
        self._lock_path = data_dir / LOCK_FILE_NAME
        self._key_provider = key_provider
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        self._keys: dict[str, AccessKey] = {}
        self._unsealed: dict[str, tuple[StoredKey, AccessKey | None]] = {}
        self._last_report = ""
        self._look_again_at_ns = monotonic_ns() + LOOK_AGAIN_NS
        self._signature = self._file_signature()
        self._adopt(self._read())

    def find(self, access_key_id: str) -> AccessKey | None:
        """The active key of that id, expired or not; ``None`` where it is unknown, disabled or refused.

        A known key costs a dict lookup, an unknown one a look at the file's status. Never raises.
        """
        key = self._keys.get(access_key_id)
        if key is None or self._monotonic_ns() >= self._look_again_at_ns:
            self._look()
            return self._keys.get(access_key_id)
        return key

    def create(
        self, name: str, policy_document: Mapping[str, Any], *, expires_in_seconds: int | None = None
    ) -> CreatedKey:
        """Make a key for ``name``, who may have others; one that expires is temporary, with a session token.

        Raises ``PolicyError`` for the policy and ``OperatorError`` for all else; then there is no new key.
        """
        policy = dict(policy_document)
        Policy.parse(policy)
        _check_name(name)
        _check_lifetime(expires_in_seconds)
        now = self._now()
        temporary = expires_in_seconds is not None
        created = CreatedKey(
            access_key_id=_new_key_id("ASIA" if temporary else "AKIA"),
            secret_access_key=_random_base64(30),
            session_token=_random_base64(96) if temporary else None,
            expires=None if expires_in_seconds is None else now + timedelta(seconds=expires_in_seconds),
        )
        entry = seal(
            StoredKey(created.access_key_id, name, "active", policy, now, created.expires),
            created.secret_access_key,
            created.session_token,
            self._key_provider,
        )
        with self._changing() as entries:
            if len(entries) >= ACCESS_KEYS_MAX:
                raise OperatorError(f"There are {ACCESS_KEYS_MAX} access keys, the most there may be. Delete some.")
            entries[entry.access_key_id] = entry
        return created

    def disable(self, access_key_id: str) -> None:
        """Have the key refused, by a running server within ``LOOK_AGAIN_NS``; it stays listed."""
        with self._changing() as entries:
            entry = _existing(entries, access_key_id)
            entries[access_key_id] = msgspec.structs.replace(entry, status="disabled")

    def delete(self, access_key_id: str) -> None:
        """Forget the key, with the same effect as ``disable``; its secret cannot be brought back."""
        with self._changing() as entries:
            _existing(entries, access_key_id)
            del entries[access_key_id]

    def list(self) -> Sequence[KeyInfo]:
        """Every key of the file as it is now, the oldest first. Raises ``OperatorError``."""
        return tuple(self._info(entry) for entry in self._read().values())

    def _info(self, entry: StoredKey) -> KeyInfo:
        key_or_refusal = self._unseal(entry) if entry.status == "active" else None
        return KeyInfo(
            access_key_id=entry.access_key_id,
            name=entry.name,
            status=entry.status,
            policy=entry.policy,
            created=entry.created,
            expires=entry.expires,
            refusal=key_or_refusal if isinstance(key_or_refusal, str) else None,
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock() / SECOND_NS, UTC)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, StoredKey]]:
        """The entries worth keeping, alone among all processes; what the caller makes of them becomes the file."""
        try:
            with exclusive(self._lock_path):
                entries = self._read()
                forget_before = self._now() - EXPIRED_KEY_KEPT
                kept = {i: e for i, e in entries.items() if e.expires is None or e.expires > forget_before}
                yield kept
                write_durably(self._path, encode(kept.values()))
        except OSError as error:
            raise OperatorError(
                f"The file {self._path} could not be written: {error.strerror}. "
                "Check the disk and who owns the directory, and list the keys before you try again."
            ) from error
        self._look()

    def _look(self) -> None:
        """Read the file again if it is another than before."""
        self._look_again_at_ns = self._monotonic_ns() + LOOK_AGAIN_NS
        signature = self._file_signature()
        if signature == self._signature:
            return
        try:
            data = self._data()
        except OSError as error:  # Such as too many open files: it passes, so the next look tries again.
            self._report(f"The file {self._path} cannot be read: {error.strerror}.")
            return
        self._signature = signature
        try:
            self._adopt(decode(data, str(self._path)))
        except OperatorError as error:
            self._report(str(error))

    def _report(self, problem: str) -> None:
        """Log what is wrong with the file, once until the file is good again."""
        if problem != self._last_report:
            self._last_report = problem
            logger.error("%s The access keys that were read before stay in force.", problem)

    def _file_signature(self) -> tuple[int, ...]:
        """What changes whenever the file is replaced; to be missing is a signature, too."""
        try:
            status = self._path.stat()
        except OSError as error:
            return (error.errno or 0,)
        return (status.st_mtime_ns, status.st_ino, status.st_size)

    def _data(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return encode([])

    def _read(self) -> dict[str, StoredKey]:
        try:
            data = self._data()
        except OSError as error:
            raise OperatorError(
                f"The file {self._path} cannot be read: {error.strerror}. "
                "Give it to the user that runs the server (chown)."
            ) from error
        return decode(data, str(self._path))

    def _adopt(self, entries: dict[str, StoredKey]) -> None:
        """Put the active entries in force; each is unsealed once, and again only after it has changed."""
        unsealed: dict[str, tuple[StoredKey, AccessKey | None]] = {}
        for entry in entries.values():
            if entry.status == "active":
                known = self._unsealed.get(entry.access_key_id)
                if known is None or known[0] != entry:
                    known = (entry, self._unseal_or_report(entry))
                unsealed[entry.access_key_id] = known
        self._unsealed = unsealed
        self._keys = {key.access_key_id: key for _, key in unsealed.values() if key is not None}
        self._last_report = ""

    def _unseal_or_report(self, entry: StoredKey) -> AccessKey | None:
        key_or_refusal = self._unseal(entry)
        if isinstance(key_or_refusal, AccessKey):
            return key_or_refusal
        logger.error("The access key %r is refused. %s", entry.access_key_id, key_or_refusal)
        return None

    def _unseal(self, entry: StoredKey) -> AccessKey | str:
        """The key in the clear, or why it cannot be trusted."""
        try:
            return unseal(entry, self._key_provider)
        except (KeyUnavailable, PolicyError, RecursionError) as error:  # RecursionError: a policy nested too deep.
            return str(error)


def policy_document(name_or_path_or_text: str) -> dict[str, Any]:
    """The document that is meant: policy ``ingest``, ``read`` or ``admin``, JSON text, or a JSON file's path.

    Raises ``PolicyError`` where it cannot be honoured and ``OperatorError`` where it cannot be read.
    """
    text = name_or_path_or_text
    if text in _POLICIES_BY_NAME:
        return _POLICIES_BY_NAME[text]
    try:
        if not text.lstrip().startswith("{"):
            text = Path(text).read_text(encoding="utf-8")
        document: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except OSError as error:
        raise OperatorError(
            f"{text!r} is none of the policies {', '.join(_POLICIES_BY_NAME)}, "
            f"and cannot be read as a file: {error.strerror}."
        ) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise OperatorError(f"The policy is not a JSON object: {error}.") from error
    Policy.parse(text)  # The text, since an element that is given twice does not show in what was decoded.
    return document


def _existing(entries: Mapping[str, StoredKey], access_key_id: str) -> StoredKey:
    entry = entries.get(access_key_id)
    if entry is None:
        raise OperatorError(f"There is no access key {access_key_id!r}. List the keys to see which there are.")
    return entry


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise OperatorError(
            f"The name {name!r} does not fit: a name is 1 to 64 letters, digits and any of + = , . @ _ -"
        )


def _check_lifetime(expires_in_seconds: int | None) -> None:
    shortest, longest = TEMPORARY_KEY_SECONDS_MIN, TEMPORARY_KEY_SECONDS_MAX
    if expires_in_seconds is not None and not shortest <= expires_in_seconds <= longest:
        raise OperatorError(
            f"A temporary key lives {shortest} to {longest} seconds, not {expires_in_seconds}. "
            "Choose a time within that; a key without an expiry is not temporary."
        )


def _new_key_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_KEY_ID_ALPHABET) for _ in range(16))


def _random_base64(count: int) -> str:
    """``count`` random bytes, a multiple of three, as base64 without padding."""
    return base64.b64encode(secrets.token_bytes(count)).decode()
