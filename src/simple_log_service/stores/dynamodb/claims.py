"""Requests that came before: what each try of a request has in common with the first.

A claim is one ``UpdateItem`` that sets what nobody has set yet and answers what stands there: the first try wins,
without a race. It gives every later try the first one's identity and time of receipt, so that a repeat writes the same
items under the same keys and earns the same receipt, which therefore is stored nowhere.
"""

from __future__ import annotations

import secrets
import threading

import msgspec

from simple_log_service.core.batch import Batch, RetryKey
from simple_log_service.core.errors import IdempotencyMismatch
from simple_log_service.core.ids import NONCE_BITS
from simple_log_service.core.limits import HOUR_NS, IDEMPOTENCY_NS_MIN, SECOND_NS
from simple_log_service.core.ports import Clock
from simple_log_service.stores.dynamodb.chunking import Identity
from simple_log_service.stores.dynamodb.items import Item
from simple_log_service.stores.dynamodb.keys import EXPIRES, first_unbroken, retry_key
from simple_log_service.stores.dynamodb.patience import Patience
from simple_log_service.stores.dynamodb.table import Table

_CLAIM_KEPT_NS = IDEMPOTENCY_NS_MIN + HOUR_NS


class Identities:
    """Gives requests their arrival numbers, which only grow, and the nonce of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._nonce = secrets.randbits(NONCE_BITS)
        self._next = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> Identity:
        """The identity of a request of so many records."""
        with self._lock:
            arrival = first_unbroken(max(self._next, self._clock() // 1000), count)
            self._next = arrival + count
        return Identity(arrival, self._nonce)


class _Claim(msgspec.Struct, frozen=True):
    """What the first try of a request left under its key."""

    received_ns: int
    identity: Identity
    fingerprint: bytes

    @classmethod
    def read(cls, item: Item) -> _Claim:
        identity = Identity(int(item["arrival"]["N"]), int(item["nonce"]["N"]))
        return cls(int(item["received"]["N"]), identity, bytes(item["fingerprint"]["B"]))

    def attributes(self) -> Item:
        expires = (self.received_ns + _CLAIM_KEPT_NS) // SECOND_NS
        return {
            "received": {"N": str(self.received_ns)},
            "arrival": {"N": str(self.identity.arrival)},
            "nonce": {"N": str(self.identity.nonce)},
            "fingerprint": {"B": self.fingerprint},
            EXPIRES: {"N": str(expires)},
        }


def identified(batch: Batch, table: Table, identities: Identities, patience: Patience) -> tuple[Batch, Identity]:
    """The batch with its identity; for a request that is repeated, both as they were at the first time.

    Raises ``IdempotencyMismatch`` where the key was used with another request.
    """
    own = identities.take(batch.indexes[-1] + 1 if len(batch) else 1)
    retry = batch.retry
    if retry is None:
        return batch, own
    claim = _claim(batch, retry, own, table, patience)
    if claim is None:
        return batch, own
    if claim.fingerprint != retry.fingerprint:
        raise IdempotencyMismatch("This Idempotency-Key was used before, with another request.")
    if claim.received_ns != batch.received_ns and batch.as_of is not None:
        # Both readings of a large body at once would not fit into a Lambda function.
        batch.let_go()
        batch = batch.as_of(claim.received_ns)
    return batch, claim.identity


def _claim(batch: Batch, retry: RetryKey, own: Identity, table: Table, patience: Patience) -> _Claim | None:
    key = retry_key(retry.owner, retry.key)
    if len(batch) == 0:
        # With nothing to store the key stays free; but by now a record may be too old that was stored at the first try.
        item = table.get(key, patience)
    else:
        item = table.claim(key, _Claim(batch.received_ns, own, retry.fingerprint).attributes(), patience)
    return None if item is None else _Claim.read(item)
