"""What the service tells about itself: the name, unit and meaning of every metric.

Both homes publish these: the embedded server as Prometheus text at ``GET /metrics``, the AWS home as embedded
metrics in its log lines. Dimensions stay low in cardinality; a service's name is never one.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Signal(NamedTuple):
    """One metric: its name (Prometheus style, unit last), kind, meaning and dimensions."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    dimensions: tuple[str, ...] = ()


REQUESTS = Signal("slog_requests_total", "counter", "Requests answered.", ("route", "status"))
REQUEST_SECONDS = Signal("slog_request_seconds", "histogram", "From the head of a request to its answer.", ("route",))
REFUSALS = Signal("slog_refusals_total", "counter", "Requests turned away, by error type.", ("error_type",))
RECORDS_ACCEPTED = Signal("slog_records_accepted_total", "counter", "Records acknowledged.")
RECORDS_DUPLICATE = Signal(
    "slog_records_duplicate_total", "counter", "Records that were stored already, by their log_id."
)
RECORDS_REJECTED = Signal("slog_records_rejected_total", "counter", "Records rejected.", ("code",))
RECORDS_RETURNED = Signal("slog_records_returned_total", "counter", "Records sent to readers.")
BODY_BYTES = Signal("slog_body_bytes_total", "counter", "Bytes of request bodies on the wire.")
COMMITS = Signal("slog_commits_total", "counter", "Group commits.", ("outcome",))
COMMIT_SECONDS = Signal("slog_commit_seconds", "histogram", "Seal, write and fsync of one group.")
COMMIT_RECORDS = Signal("slog_commit_records_total", "counter", "Records in group commits.")
QUEUE_REQUESTS = Signal("slog_queue_requests", "gauge", "Requests waiting for their group commit.")
BUFFERED_BYTES = Signal("slog_buffered_bytes", "gauge", "Bytes of request bodies held in memory.")
CONNECTIONS = Signal("slog_connections", "gauge", "Open connections.")
STORE_READ_ONLY = Signal(
    "slog_store_read_only", "gauge", "1 after an I/O error made the store read-only until restart."
)
STORE_BYTES = Signal("slog_store_bytes", "gauge", "Bytes of the store's files.")
TAIL_RECORDS = Signal("slog_tail_records", "gauge", "Records in the memory tail.")
UNMERGED_RECORDS = Signal("slog_unmerged_records", "gauge", "Records in chunks that are not merged into blocks yet.")
MERGING = Signal("slog_merging", "gauge", "1 while blocks are being merged.")
MERGES = Signal("slog_merges_total", "counter", "Merges of chunks and blocks.", ("outcome",))
MERGED_RECORDS = Signal("slog_merged_records_total", "counter", "Records written by merges, each as often as it was.")
RECORDS_REMOVED = Signal(
    "slog_records_removed_total",
    "counter",
    "Records removed: expired, erased, or for the limit of the store's size.",
    ("reason",),
)
DYNAMODB_UNITS = Signal(
    "slog_dynamodb_units_total", "counter", "Capacity units that calls to DynamoDB cost.", ("target", "kind")
)
DYNAMODB_SECONDS = Signal("slog_dynamodb_seconds", "histogram", "One call to DynamoDB.", ("operation",))
DYNAMODB_ERRORS = Signal(
    "slog_dynamodb_errors_total", "counter", "Calls or items that DynamoDB did not carry out.", ("code",)
)
ACCESS_LOG_DROPPED = Signal(
    "slog_access_log_dropped_total", "counter", "Access log lines dropped as their reader was too slow."
)
INTERNAL_ERRORS = Signal("slog_internal_errors_total", "counter", "Unexpected errors; each is a defect.")

SIGNALS: tuple[Signal, ...] = tuple(value for value in globals().values() if isinstance(value, Signal))
