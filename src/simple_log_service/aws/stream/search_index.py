"""Records into OpenSearch through its ``_bulk`` API, and what is done about every kind of refusal.

The rules: what the cluster is too busy for is sent again while there is patience. What it cannot take in one piece is
halved. A document that does not fit the mapping is sent once more with its metadata as text; only then is it refused.
Anything else is the operator's to mend, and fails until it is. Of an answer only statuses and kinds of errors are read:
its words may quote what a record says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from simple_log_service.aws.stream.search_documents import document, expiry_policy, index_template, plain_document
from simple_log_service.aws.stream.signed_http import Answer, Unreachable
from simple_log_service.aws.stream.sink import Outcome
from simple_log_service.core.limits import MIB
from simple_log_service.core.record import Record
from simple_log_service.stores.dynamodb.patience import Patience

BULK_BYTES_MAX = 4 * MIB
"""One request. The smallest nodes take 10 MiB (OpenSearch Service Developer Guide, "Network quotas")."""
BULK_PATH = "/_bulk"
TEMPLATE_PATH = "/_index_template/simple-log-service-logs"
EXPIRY_PATH = "/_plugins/_ism/policies/simple-log-service-logs"

_BULK_TARGET = f"{BULK_PATH}?filter_path=items.%2A.status,items.%2A.error.type"
_NDJSON = "application/x-ndjson"
_UNFIT = 400
_TOO_LARGE = 413
_CONFLICT = 409
_BUSY = frozenset((429, 500, 502, 503, 504))
_NO_ROOM = "validation_exception"
"""Of a 400 that is not the document's fault: the cluster has as many shards as it may."""


class Http(Protocol):
    """Signs and sends one request."""

    def send(self, method: str, path_and_query: str, body: bytes, content_type: str = "application/json") -> Answer:
        """The answer; raises ``Unreachable``."""


class _Error(msgspec.Struct, frozen=True):
    type: str = "unknown"


class _Result(msgspec.Struct):
    status: int
    error: _Error = _Error()


class _Results(msgspec.Struct):
    items: list[dict[str, _Result]]


_RESULTS = msgspec.json.Decoder(_Results)
_Bulk = Mapping[int, bytes]
"""Documents by the places of their records."""


class SearchIndex:
    """One OpenSearch cluster as a ``Sink``."""

    name = "search"

    def __init__(self, http: Http, retention_days: int) -> None:
        self._http = http
        self._retention_days = retention_days
        self._is_ready = False

    def put(self, records: Sequence[Record], patience: Patience) -> Outcome:
        """Index the records, each under its own document id."""
        if records and not self._prepare():
            return Outcome(frozenset(range(len(records))), {})
        sending = _Sending(self._http, patience)
        sending.send_all(records, range(len(records)), document)
        if sending.refused:
            unfit, sending.refused = sorted(sending.refused), {}
            sending.send_all(records, unfit, plain_document)
        return Outcome(frozenset(sending.failed), sending.refused)

    def _prepare(self) -> bool:
        """Put template and expiry policy, once in a process: an index made without them could not be mended later."""
        self._is_ready = self._is_ready or (
            self._has_taken(TEMPLATE_PATH, index_template(), frozenset((200,)))
            # One that is there already stays: to change it takes its sequence number.
            and self._has_taken(EXPIRY_PATH, expiry_policy(self._retention_days), frozenset((200, 201, _CONFLICT)))
        )
        return self._is_ready

    def _has_taken(self, path: str, body: object, good: frozenset[int]) -> bool:
        try:
            return self._http.send("PUT", path, msgspec.json.encode(body)).status in good
        except Unreachable:
            return False


class _Sending:
    """Sends documents until each is through, refused or out of time; the patience is everybody's together."""

    def __init__(self, http: Http, patience: Patience) -> None:
        self._http = http
        self._patience = patience
        self.failed: set[int] = set()
        self.refused: dict[int, str] = {}

    def send_all(self, records: Sequence[Record], places: Iterable[int], write: Callable[[Record], bytes]) -> None:
        """Send the records at these places in requests of bounded size."""
        for bulk in _bulks(records, places, write):
            self._send(bulk)

    def _send(self, bulk: _Bulk) -> None:
        failures = 0
        while bulk:
            if self._patience.is_over:
                self.failed.update(bulk)
                return
            answer = self._ask(bulk)
            if answer.status in {_UNFIT, _TOO_LARGE}:
                self._halve(bulk, answer.status)
                return
            if answer.status == 200:
                bulk = self._settled(bulk, _results_of(answer, len(bulk)))
            if bulk and not (answer.status in {200, *_BUSY} and self._patience.wait(failures)):
                self.failed.update(bulk)
                return
            failures += 1

    def _ask(self, bulk: _Bulk) -> Answer:
        try:
            return self._http.send("POST", _BULK_TARGET, b"".join(bulk.values()), _NDJSON)
        except Unreachable:
            return Answer(503, b"")

    def _halve(self, bulk: _Bulk, status: int) -> None:
        """Send each half by itself: what cannot be read as a whole may be one document's fault."""
        places = list(bulk)
        if len(places) == 1:
            self.refused[places[0]] = f"status {status}"
            return
        middle = len(places) // 2
        for half in (places[:middle], places[middle:]):
            self._send({place: bulk[place] for place in half})

    def _settled(self, bulk: _Bulk, results: Sequence[_Result] | None) -> _Bulk:
        """Note what was refused, and return what is still to be sent: all of it where the answer does not tell."""
        if results is None:
            return bulk
        left = {}
        for (place, lines), result in zip(bulk.items(), results, strict=True):
            if result.status == _UNFIT and result.error.type != _NO_ROOM:
                self.refused[place] = result.error.type
            elif result.status >= 300:
                left[place] = lines
        return left


def _results_of(answer: Answer, count: int) -> list[_Result] | None:
    """Each document's result, in the order of the request; ``None`` where the answer does not say so much."""
    try:
        results = [item["index"] for item in _RESULTS.decode(answer.body).items]
    except (msgspec.DecodeError, KeyError):
        return None
    return results if len(results) == count else None


def _bulks(records: Sequence[Record], places: Iterable[int], write: Callable[[Record], bytes]) -> Iterator[_Bulk]:
    """Documents in groups of at most ``BULK_BYTES_MAX``; a larger one goes alone."""
    bulk: dict[int, bytes] = {}
    bulk_bytes = 0
    for place in places:
        lines = write(records[place])
        if bulk and bulk_bytes + len(lines) > BULK_BYTES_MAX:
            yield bulk
            bulk, bulk_bytes = {}, 0
        bulk[place] = lines
        bulk_bytes += len(lines)
    if bulk:
        yield bulk
