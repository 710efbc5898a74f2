"""Sealed frames: AES-256-GCM under a file's data key.

A frame's nonce is random, 96 bits (NIST SP 800-38D allows 2^32 of them a key; a data key lives for one process and one
day's file). The authenticated context names format, file, data key, the frame's place, and what stands about it in the
clear: a frame that was moved to another row, file or column, or whose row was changed, does not open.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simple_log_service.stores.packing import FrameDamaged

DATA_KEY_BYTES = 32
_NONCE_BYTES = 12
SEALING_BYTES = _NONCE_BYTES + 16
"""A sealed frame is so much longer than what is in it: its nonce and its tag."""
_CONTEXT = struct.Struct("<B16sqBq")


class Part(IntEnum):
    """What a frame holds; numbers are part of the format."""

    CHUNK_HEAD = 1
    CHUNK_BODY = 2
    RECEIPT = 3
    BLOCK_LEAF = 4
    BLOCK_FILTERS = 5
    BLOCK_INDEX = 6


class Sealer:
    """Seals and opens the frames of one file under one of its data keys."""

    def __init__(self, data_key: bytes, *, version: int, file_id: bytes, key_id: int) -> None:
        self._cipher = AESGCM(data_key)
        self._version = version
        self._file_id = file_id
        self.key_id = key_id

    def seal(self, part: Part, place: int, plain: bytes, *about: int) -> bytes:
        """Encrypt a frame for its place (a row's number, a hash) in the file, bound to integers that say more of it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self._context(part, place, about))

    def open(self, part: Part, place: int, sealed: bytes, *about: int) -> bytes:
        """Decrypt a frame; ``FrameDamaged`` where a byte, its place or what it is bound to was changed."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._context(part, place, about))
        except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce.
            raise FrameDamaged("A stored frame is damaged: it does not open with its key.") from None

    def _context(self, part: Part, place: int, about: tuple[int, ...]) -> bytes:
        context = _CONTEXT.pack(self._version, self._file_id, self.key_id, part, place)
        return context + struct.pack(f"<{len(about)}q", *about)
