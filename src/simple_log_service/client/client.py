"""The Python client of a Simple Log Service, in either home.

    with Client() as client:
        client.send([{"service_name": "shop", "log_type": "application", "message": "hello"}])
        for record in client.iter_recent(service_name="shop", since="10m"):
            print(record.timestamp, record.message)

Every request is signed afresh at every attempt, and each writing request has an Idempotency-Key that its repetitions
share: nothing is stored twice by a retry.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Generic, Self, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import msgspec

from simple_log_service.api.routes import HEALTH, INGEST, INGEST_SERVICE, RECENT, STATS, find_route
from simple_log_service.api.signer import Credentials
from simple_log_service.client.answers import Walk, adds_up, read_json
from simple_log_service.client.batching import BATCH_RECORDS_DEFAULT, Batch, Sendable, batches, body_of
from simple_log_service.client.configuration import resolve
from simple_log_service.client.credentials import CredentialsProvider
from simple_log_service.client.errors import RequestRefused, UnexpectedAnswer
from simple_log_service.client.records import LogRecord, Page
from simple_log_service.client.retries import OnRetry
from simple_log_service.client.stats import Stats, StatsPage, Sum
from simple_log_service.client.transport import Transport
from simple_log_service.core.limits import PAGE_RECORDS_MAX, REQUEST_RECORDS_MAX
from simple_log_service.core.receipts import Receipt
from simple_log_service.core.stats import By

T = TypeVar("T")
V = TypeVar("V")


class Filters(TypedDict, total=False):
    """What records are read and counted can be narrowed by.

    ``since`` and ``until`` are RFC 3339, a number since the epoch, ``10m`` or ``2h`` or ``3d`` ago, or an aware
    ``datetime``; ``hours`` is instead of ``since``. ``q`` is words to be found (``word``, ``word*``, ``"a phrase"``,
    ``-word``), ``pattern`` an RE2 regular expression over the message, ``metadata`` fields by key and value.
    """

    service_name: str | None
    log_type: str | None
    level: str | None
    hours: int | None
    since: str | datetime | None
    until: str | datetime | None
    q: str | None
    pattern: str | None
    metadata: Mapping[str, str] | None


class SentBatch(msgspec.Struct, Generic[T], frozen=True):
    """What became of one batch of many: its receipt calls ``i`` what the caller knows as ``origins[i]``."""

    origins: list[T]
    receipt: Receipt


class Client:
    """A connection to one service. Threads may share it; ``close`` it, or use it in a ``with`` statement.

    ``endpoint`` is the base URL, on AWS with the stage; where it, ``region`` and credentials come from otherwise is
    told in ``client.configuration.resolve``. ``credentials`` may be a function, which is asked before each attempt.
    ``timeout_seconds`` bounds one answer, from the end of the request to the answer's last byte. ``on_retry`` is told
    of each failed attempt that will be repeated, and in how many seconds.

    Methods raise ``ClientError``: ``RequestRefused``, ``Unreachable``, ``UnexpectedAnswer`` or ``NotConfigured``.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        region: str | None = None,
        profile: str | None = None,
        credentials: Credentials | CredentialsProvider | None = None,
        timeout_seconds: float = 30.0,
        attempts_max: int = 5,
        on_retry: OnRetry | None = None,
    ) -> None:
        provider = (lambda: credentials) if isinstance(credentials, Credentials) else credentials
        target = resolve(endpoint, region, profile, provider, os.environ)
        self._url = target.endpoint.url
        self._transport = Transport(
            target, timeout_seconds=timeout_seconds, attempts_max=attempts_max, on_retry=on_retry
        )

    def __repr__(self) -> str:
        return f"Client({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._transport.close()

    def send(self, records: Iterable[Sendable], *, service_name: str | None = None) -> Receipt:
        """Send records in one request; ``ValueError`` where they do not fit into one (``send_all`` takes any number).

        What is rejected is in the receipt and raises nothing. With ``service_name`` they go to that service's own
        address, which a policy can name: records without a service get it, those of another are rejected.
        """
        gathered = list(batches(enumerate(records), records_max=REQUEST_RECORDS_MAX))
        if len(gathered) > 1:
            raise ValueError("These records do not fit into one request: use send_all.")
        return self.send_batch(gathered[0], service_name=service_name) if gathered else Receipt(0)

    def send_all(
        self,
        records: Iterable[Sendable | None],
        *,
        service_name: str | None = None,
        batch_records_max: int = BATCH_RECORDS_DEFAULT,
    ) -> Iterator[SentBatch[int]]:
        """Send any number of records in order, batch by batch, and yield each receipt once its batch is stored.

        Origins are the places among the records. A ``None`` among those, for a source that pauses, sends what has
        gathered.
        """
        entries = (record if record is None else (place, record) for place, record in enumerate(records))
        for batch in batches(entries, records_max=batch_records_max):
            yield SentBatch(batch.origins, self.send_batch(batch, service_name=service_name))

    def send_batch(self, batch: Batch[T], *, service_name: str | None = None) -> Receipt:
        """Send what ``client.batching.batches`` has put together, in one request."""
        path = _ingest_path(service_name)
        return batch.receipt(self._post(path, batch.lines) if batch.lines else Receipt(0))

    def recent(self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[Filters]) -> Page:
        """One page of the newest records, at most ``limit`` of them (the service's default is 100)."""
        query = _query_string({**_parameters(filters), "limit": limit, "cursor": cursor})
        body = self._transport.request(RECENT.method, RECENT.path, query)
        return self._decode(body, Page)

    def iter_pages(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Page]:
        """Pages, newest first, until ``limit`` records in all have come, or every one that matches."""
        left, cursor, walk = limit, None, Walk(self._url)
        while True:
            page_limit = PAGE_RECORDS_MAX if left is None else min(left, PAGE_RECORDS_MAX)
            page = self.recent(limit=page_limit, cursor=cursor, **filters)
            if len(page.raw_logs) > page_limit:
                raise UnexpectedAnswer(f"{self._url} answered with more records than it was asked for.")
            yield page
            if left is not None:
                left -= len(page.raw_logs)
            if left == 0:
                return
            cursor = walk.after(page)
            if cursor is None:
                return

    def iter_recent(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[LogRecord]:
        """Records, newest first, ``limit`` of them or every one that matches, however many pages that takes."""
        for page in self.iter_pages(limit=limit, **filters):
            yield from page.logs

    def stats(self, *, by: By | None = None, interval: str | None = None, **filters: Unpack[Filters]) -> Stats:
        """How many records match: by service, type or level, and in buckets as long as ``interval`` (``10s``, ``1h``).

        However many answers that takes; ``iter_stats`` gives them one by one.
        """
        total = Sum()
        for page in self.iter_stats(by=by, interval=interval, **filters):
            total.add(page)
        return total.stats()

    def iter_stats(
        self, *, by: By | None = None, interval: str | None = None, **filters: Unpack[Filters]
    ) -> Iterator[StatsPage]:
        """The service's answers, the newest records first, until everything is counted: each counts other records."""
        cursor, walk = None, Walk(self._url)
        while True:
            query = _query_string({**_parameters(filters), "by": by, "interval": interval, "cursor": cursor})
            page = self._decode(self._transport.request(STATS.method, STATS.path, query), StatsPage)
            yield page
            cursor = walk.after(page)
            if cursor is None:
                return

    def health(self) -> str:
        """What the service says of itself, unsigned: ``ok`` where all is well."""
        return self._decode(self._transport.request(HEALTH.method, HEALTH.path, signed=False), _Health).status

    def _post(self, path: str, lines: list[bytes]) -> Receipt:
        body, headers = body_of(lines)
        headers.append(("Idempotency-Key", str(uuid.uuid4())))
        try:
            answer = self._transport.request(INGEST.method, path, headers=headers, body=body)
            receipt = self._decode(answer, Receipt)
        except RequestRefused as error:
            refused = _receipt_of(error)
            if refused is None:
                raise
            receipt = refused
        if not adds_up(receipt, len(lines)):
            raise UnexpectedAnswer(f"{self._url} answered with a receipt that is not for the records that were sent.")
        return receipt

    def _decode(self, body: bytes, kind: type[V]) -> V:
        decoded = read_json(body, kind)
        if decoded is None:
            raise UnexpectedAnswer(f"{self._url} does not answer as a Simple Log Service: is the endpoint right?")
        return decoded


class _Health(msgspec.Struct):
    status: str


def _ingest_path(service_name: str | None) -> str:
    if service_name is None:
        return INGEST.path
    path = INGEST_SERVICE.path.format(service_name=service_name)
    if find_route(INGEST_SERVICE.method, path) is None:
        raise ValueError(f"{service_name!r} cannot stand in an address: name the service in each record instead.")
    return path


def _receipt_of(error: RequestRefused) -> Receipt | None:
    """The receipt in an answer that is an error: of 400, where all was rejected, and of 429, where some was."""
    return read_json(error.body, Receipt) if error.status in {400, 429} else None


def _parameters(filters: Filters) -> dict[str, object]:
    fields = filters.get("metadata") or {}
    plain = {name: value for name, value in filters.items() if name != "metadata"}
    return {**plain, **{f"metadata.{key}": value for key, value in fields.items()}}


def _query_string(parameters: Mapping[str, object]) -> str:
    """Percent-encoded throughout, since in what is signed a plus sign is no space."""
    given = {name: _text(value) for name, value in parameters.items() if value is not None}
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in given.items())


def _text(value: object) -> str:
    if not isinstance(value, datetime):
        return str(value)
    if value.tzinfo is None:
        raise ValueError("A datetime without a time zone could mean any moment: give it one.")
    return value.astimezone(UTC).isoformat()
