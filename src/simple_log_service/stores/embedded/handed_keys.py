"""Key providers on both sides of a process boundary: one remembers what it unwrapped, the other knows nothing else.

The helper process is handed data keys, never a key-encryption key.
"""

from __future__ import annotations

from simple_log_service.core.errors import StoreUnavailable
from simple_log_service.core.ports import KeyProvider

Unwrapped = tuple[bytes, bytes]
"""A wrapped key and the key."""


class RememberingKeys:
    """A ``KeyProvider`` over another one. ``unwrapped`` are the keys that it has seen, in order."""

    def __init__(self, keys: KeyProvider) -> None:
        self._keys = keys
        self.unwrapped: list[Unwrapped] = []

    @property
    def kek_id(self) -> str:
        """The KEK that new data keys are wrapped with."""
        return self._keys.kek_id

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Encrypt a data key under the current KEK."""
        wrapped = self._keys.wrap(data_key, context)
        self.unwrapped.append((wrapped, data_key))
        return wrapped

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt a data key."""
        data_key = self._keys.unwrap(kek_id, wrapped, context)
        self.unwrapped.append((wrapped, data_key))
        return data_key


class HandedKeys:
    """A ``KeyProvider`` that knows the keys that it was handed, and makes none."""

    kek_id = ""

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes] = {}

    def hand(self, unwrapped: list[Unwrapped]) -> None:
        """Take in some more."""
        self._keys.update(unwrapped)

    def wrap(self, data_key: bytes, context: bytes) -> bytes:  # noqa: ARG002 - a provider's method
        """Never asked for: who has only data keys makes none."""
        raise StoreUnavailable("No key can be made here.")

    def unwrap(self, kek_id: str, wrapped: bytes, context: bytes) -> bytes:  # noqa: ARG002 - the same
        """The key that was handed over with this wrapped one."""
        try:
            return self._keys[wrapped]
        except KeyError:
            raise StoreUnavailable("A data key was not handed over.") from None
