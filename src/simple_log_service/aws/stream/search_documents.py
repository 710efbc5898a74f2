"""Records as OpenSearch documents: their names, their fields, the index template and the expiry of old indexes.

An index is a UTC day of the records' own time. A document's id follows from service, timestamp and log id: a record
that is sent again overwrites itself.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Raw

from simple_log_service.core.batch import METADATA_EMPTY
from simple_log_service.core.record import Record
from simple_log_service.core.timestamps import format_timestamp

INDEX_PREFIX = "simple-log-service-logs-"
_EXPIRY_DAYS_OVER = 2
"""An index may be made before its day begins, by a clock that is ahead, and its day's last record is a day younger."""


class _Document(msgspec.Struct, omit_defaults=True):
    service_name: str
    log_type: str
    level: str
    timestamp: str
    message: str
    log_id: str
    metadata: Raw | None = None
    metadata_text: str | None = None


_ENCODER = msgspec.json.Encoder()


def index_of(record: Record) -> str:
    """The name of the index that the record belongs to."""
    return INDEX_PREFIX + format_timestamp(record.timestamp)[:10]


def document_id_of(record: Record) -> str:
    """Of one length: OpenSearch takes 512 bytes, and names in some scripts have more."""
    name = _ENCODER.encode([record.kind.service_name, record.timestamp, record.log_id])
    return hashlib.sha256(name).hexdigest()


def document(record: Record) -> bytes:
    """The record's two lines in a bulk request."""
    return _lines(record, metadata=None if record.metadata == METADATA_EMPTY else Raw(record.metadata))


def plain_document(record: Record) -> bytes:
    """The same with the metadata as text, for metadata that does not fit the mapping: a value over 32 KiB, say."""
    return _lines(record, metadata_text=record.metadata.decode())


def _lines(record: Record, **metadata: Any) -> bytes:
    kind = record.kind
    action = {"index": {"_index": index_of(record), "_id": document_id_of(record)}}
    fields = _Document(
        kind.service_name,
        kind.log_type,
        kind.level,
        format_timestamp(record.timestamp),
        record.message,
        record.log_id,
        **metadata,
    )
    return b"%b\n%b\n" % (_ENCODER.encode(action), _ENCODER.encode(fields))


def index_template() -> dict[str, Any]:
    """How a day's index is made. Metadata is one field, whose leaves are found by path: no record adds another."""
    keyword = {"type": "keyword"}
    return {
        "index_patterns": [INDEX_PREFIX + "*"],
        "template": {
            # A copy wherever there is a second node to hold it.
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            "mappings": {
                "dynamic": False,
                "properties": {
                    "service_name": keyword,
                    "log_type": keyword,
                    "level": keyword,
                    "timestamp": {"type": "date_nanos"},
                    "message": {"type": "text"},
                    "log_id": keyword,
                    "metadata": {"type": "flat_object"},
                    "metadata_text": {"type": "text"},
                },
            },
        },
    }


def expiry_policy(retention_days: int) -> dict[str, Any]:
    """The Index State Management policy that deletes an index once all its records have expired."""
    age = f"{retention_days + _EXPIRY_DAYS_OVER}d"
    return {
        "policy": {
            "description": "Deletes a day's index once its records have expired.",
            "ism_template": [{"index_patterns": [INDEX_PREFIX + "*"], "priority": 100}],
            "default_state": "kept",
            "states": [
                {
                    "name": "kept",
                    "actions": [],
                    "transitions": [{"state_name": "expired", "conditions": {"min_index_age": age}}],
                },
                {"name": "expired", "actions": [{"delete": {}}], "transitions": []},
            ],
        }
    }
