"""A group commit: everything that arrived while the last one was being synced, as one chunk.

Encoding happens on the hope that nothing in the group was stored before. The writer finds out, inside its
transaction; what it finds drops out, and the rest is encoded once more.
"""

from __future__ import annotations

from asyncio import Future
from hashlib import blake2b

import msgspec

from simple_log_service.core.admission import GivenId, given_ids, without_known
from simple_log_service.core.batch import Batch
from simple_log_service.core.columns import Columns
from simple_log_service.core.receipts import Receipt
from simple_log_service.stores.embedded.frames import pack_head
from simple_log_service.stores.packing import pack_body

HashPair = tuple[int, int]
"""A keyed 128-bit hash as two signed 64-bit integers, as SQLite keeps them."""


class Waiting(msgspec.Struct):
    """One request in the queue: what it asks to store and who waits for the receipt."""

    batch: Batch
    future: Future[Receipt]


class Member(msgspec.Struct):
    """One request's share of a group: what is stored of it, from which arrival number on, and its retry key's hash."""

    waiting: Waiting
    stored: Batch
    arrival_first: int
    retry_hash: HashPair | None


class Group(msgspec.Struct):
    """What the writer gets: members, their joined columns, and the two frames, packed but not compressed or sealed."""

    members: list[Member]
    columns: Columns | None
    arrival_first: int
    head: bytes
    body: bytes
    given: dict[HashPair, GivenId]

    @property
    def arrivals(self) -> range:
        """The arrival numbers of its records."""
        return range(self.arrival_first, self.arrival_first + (0 if self.columns is None else len(self.columns)))


def build_group(queue: list[Waiting], known: set[GivenId], arrival_first: int, hash_key: bytes) -> Group:
    """Join requests into a group; records whose ids are in ``known`` or come twice are left out."""
    members: list[Member] = []
    given: dict[HashPair, GivenId] = {}
    seen = set(known)
    arrival = arrival_first
    for waiting in queue:
        stored = waiting.batch
        if stored.log_ids is not None:
            stored = without_known(stored, seen)
            for _, pair in given_ids(stored):
                seen.add(pair)
                given[keyed_hash(hash_key, *pair)] = pair
        retry = waiting.batch.retry
        retry_hash = None if retry is None else keyed_hash(hash_key, retry.owner, retry.key)
        members.append(Member(waiting, stored, arrival, retry_hash))
        arrival += len(stored)
    filled = [member.stored for member in members if len(member.stored)]
    if not filled:
        return Group(members, None, arrival_first, b"", b"", {})
    columns = Columns.of(filled)
    return Group(members, columns, arrival_first, pack_head(columns), pack_body(columns), given)


def keyed_hash(hash_key: bytes, first: str, second: str) -> HashPair:
    """The hash of two texts, the first one's length included so that no two pairs run together."""
    text = first.encode()
    digest = blake2b(len(text).to_bytes(4, "little") + text + second.encode(), key=hash_key, digest_size=16).digest()
    return split_pair(digest)


def split_pair(digest: bytes) -> HashPair:
    """Sixteen bytes as two signed 64-bit integers."""
    return int.from_bytes(digest[:8], "little", signed=True), int.from_bytes(digest[8:], "little", signed=True)
