"""The key-encryption keys (KEKs) of a server of one's own: from a file in its directory or the environment.

The rules: a key's id is computed from the key, so that a damaged line is noticed and a key has the same id
wherever it is kept. The last key wraps, every key unwraps. No key is ever in a message. A new key is made
only where the caller says that nothing is encrypted yet.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from simple_log_service.server.files import OperatorError, write_durably

KEY_FILE_NAME = "encryption-key"
ENVIRONMENT_VARIABLE = "SIMPLE_LOG_SERVICE_ENCRYPTION_KEY"

_KEK_BYTES = 32
_NONCE_BYTES = 12
_OTHERS_MAY_READ_OR_WRITE = 0o077
_FORMAT_LINE = re.compile(r"# simple-log-service encryption keys, version ([0-9]+)")
_FILE_TEXT = """\
# simple-log-service encryption keys, version 1
#
# WHOEVER LOSES THIS FILE LOSES EVERY LOG AND EVERY ACCESS KEY of this server: nothing else can decrypt them.
# Keep a copy in a safe place, apart from the backups of the logs. Whoever has this file can read them all.
#
# One key a line: its id, then its 32 bytes in base64. The last one encrypts; all of them decrypt.
{kek_id} {text}
"""


class KeyUnavailable(OperatorError):
    """What is wrapped cannot be unwrapped: its KEK is not here, or it was changed or moved since."""


class LocalKeyProvider:
    """A ``KeyProvider`` over KEKs in memory: AES-256-GCM, a fresh random nonce before each ciphertext."""

    def __init__(self, keks: Sequence[bytes]) -> None:
        """``keks`` are 32 bytes each, the current one last."""
        self._ciphers = {_kek_id(kek): AESGCM(kek) for kek in keks}
        self._kek_id = _kek_id(keks[-1])

    @property
    def kek_id(self) -> str:
        """The KEK that ``wrap`` uses."""
        return self._kek_id

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Nonce, ciphertext and tag of ``data_key``, bound to the KEK and to ``context``."""
        # Random nonces of 96 bits are safe for 2^32 messages under one key (NIST SP 800-38D, 8.3); a server
        # wraps a few a day.
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[self._kek_id].encrypt(nonce, data_key, _bound(self._kek_id, context))
        return nonce + ciphertext

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:
        """What was wrapped under that KEK and context; raises ``KeyUnavailable``."""
        cipher = self._ciphers.get(kek_id)
        if cipher is None:
            raise KeyUnavailable(
                f"It was encrypted under the key {kek_id!r}, and the server has {', '.join(self._ciphers)}. "
                f"Put the line of that key back into the file {KEY_FILE_NAME}, above the last one, "
                f"or set {ENVIRONMENT_VARIABLE} where the key was kept there; then restart."
            )
        try:
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _bound(kek_id, context))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce.
            raise KeyUnavailable(
                f"What was encrypted under the key {kek_id!r} is damaged, or it was changed or moved since. "
                "Restore it from a backup."
            ) from None


def load_key_provider(data_dir: Path, environment_value: SecretStr | str | None, *, create: bool) -> LocalKeyProvider:
    """The KEKs of the file ``encryption-key`` in ``data_dir`` and, after them, the environment's, if any.

    With neither, ``create`` makes the file. Pass ``False`` where the directory holds anything encrypted: a
    new key could read none of it, so this raises instead. Raises ``OperatorError``, for an unfit key too.
    """
    path = data_dir / KEY_FILE_NAME
    from_environment = [] if environment_value is None else [_environment_kek(environment_value)]
    keks = _read_key_file(path) + from_environment
    if keks:
        return LocalKeyProvider(keks)
    if not create:
        raise OperatorError(
            f"The file {path} is missing, and what this directory holds was encrypted with it: without it "
            "every log and every access key here is lost. Put the file back from your copy, or set "
            f"{ENVIRONMENT_VARIABLE} where the key was kept there. To begin anew, choose an empty directory."
        )
    _create_key_file(path)
    return LocalKeyProvider(_read_key_file(path))


def _kek_id(kek: bytes) -> str:
    # Keyed with the key itself, the digest says nothing about it.
    return hmac.digest(kek, b"simple-log-service key id", hashlib.sha256)[:8].hex()


def _bound(kek_id: str, context: bytes) -> bytes:
    """The associated data: neither the label nor an id contains a NUL, so no two contexts read alike."""
    return b"simple-log-service wrapped key 1\0" + kek_id.encode() + b"\0" + context


def _environment_kek(value: SecretStr | str) -> bytes:
    kek = _decoded(value.get_secret_value() if isinstance(value, SecretStr) else value)
    if kek is None:
        raise OperatorError(
            f"{ENVIRONMENT_VARIABLE} is not the base64 of 32 bytes. "
            "Make a new key with: head -c 32 /dev/urandom | base64"
        )
    return kek


def _decoded(text: str) -> bytes | None:
    try:
        kek = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return kek if len(kek) == _KEK_BYTES else None


def _create_key_file(path: Path) -> None:
    kek = os.urandom(_KEK_BYTES)
    text = _FILE_TEXT.format(kek_id=_kek_id(kek), text=base64.b64encode(kek).decode())
    try:
        write_durably(path, text.encode(), replace=False)
    except FileExistsError:
        return  # Another process was first: its key is the one.
    except OSError as error:
        raise OperatorError(
            f"The file {path} cannot be written: {error.strerror}. Check the disk and who owns the directory."
        ) from error


def _read_key_file(path: Path) -> list[bytes]:
    """The file's KEKs in its order; none where there is no file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OperatorError(
            f"The file {path} cannot be read: {error.strerror}. Give it to the user that runs the server (chown)."
        ) from error
    if mode & _OTHERS_MAY_READ_OR_WRITE:
        raise OperatorError(
            f"Other users may read or write the file {path}, which decrypts everything here. "
            f"Take that away (chmod 600 {path}) and consider who may have read it."
        )
    return _parse_key_file(path, text.splitlines())


def _parse_key_file(path: Path, lines: list[str]) -> list[bytes]:
    restore = f"Restore {path} from your copy; do not make a new one: it could decrypt nothing of what is here."
    version = _FORMAT_LINE.fullmatch(lines[0].rstrip()) if lines else None
    if version is None:
        raise OperatorError(f"The file {path} is not a key file: its first line does not name the format. {restore}")
    if version[1] != "1":
        raise OperatorError(
            f"The file {path} has the format version {version[1]}, and this program knows version 1. "
            "Run the program that wrote it, or a newer one."
        )
    keks = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        kek_id, _, encoded = line.strip().partition(" ")
        kek = _decoded(encoded)
        if kek is None:
            raise OperatorError(
                f"Line {number} of {path} is not a key, which is an id and the base64 of 32 bytes. {restore}"
            )
        if kek_id != _kek_id(kek):
            raise OperatorError(f"Line {number} of {path} is damaged: its key does not fit its id. {restore}")
        keks.append(kek)
    if not keks:
        raise OperatorError(f"The file {path} holds no key. {restore}")
    return keks
