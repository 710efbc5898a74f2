"""A request's records, validated, as columns: what the decoder hands to a store.

Columns, since all Python that must run once a record then runs in a handful of comprehensions, and the rest (joining
requests into one group, compressing, sealing) works on whole columns.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import msgspec

from simple_log_service.core.receipts import Rejection

METADATA_EMPTY = b"{}"


class RetryKey(msgspec.Struct, frozen=True):
    """An Idempotency-Key with what it is bound to.

    ``owner`` is the caller, sessions left out; ``fingerprint`` covers the body on the wire and how it was to be read.
    """

    owner: str
    key: str
    fingerprint: bytes

    @classmethod
    def of(cls, owner: str, key: str, *meaning: str) -> RetryKey:
        """Bind a key to everything that decides what the request means: body hash, format, service of the path."""
        digest = blake2b("\0".join(meaning).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return cls(owner, key, digest)


class Batch(msgspec.Struct):
    """The good records of one request, column by column, and what was wrong with the others.

    ``levels`` are canonical names; ``timestamps`` nanoseconds since the epoch; ``metadata`` one compact JSON object a
    record, without newlines; ``log_ids`` the caller's own ids, ``None`` where one is to be generated, or no list at
    all where all are. ``indexes`` are the records' places in the request.

    ``received_ns`` is the time of receipt that the records were read as of. ``as_of`` reads the request again as of
    another one: a store that keeps no receipts makes a repeated request's batch what it was at the first time.
    """

    service_names: list[str]
    log_types: list[str]
    levels: list[str]
    timestamps: list[int]
    messages: list[str]
    metadata: list[bytes]
    log_ids: list[str | None] | None
    indexes: range | list[int]
    rejected: list[Rejection]
    single: bool = False
    retry: RetryKey | None = None
    received_ns: int = 0
    as_of: Callable[[int], Batch] | None = None

    def __len__(self) -> int:
        return len(self.messages)

    def let_go(self) -> None:
        """Forget the records, where they are about to be read again; it then counts as empty."""
        for column in (self.service_names, self.log_types, self.levels, self.timestamps, self.messages, self.metadata):
            column.clear()

    @property
    def text_size(self) -> int:
        """About how large its texts are: characters of messages, bytes of metadata."""
        return sum(map(len, self.messages)) + sum(map(len, self.metadata))
