"""Records and bodies for tests of the decoder, and short ways to ask what became of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simple_log_service.core.batch import Batch
from simple_log_service.core.decode import decode_batch
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.receipts import Rejection
from unit.strategies import RULES

NDJSON_LINE = b'{"service_name":"api","log_type":"application","message":"%d"}'


def record(**fields: Any) -> dict[str, Any]:
    return {"service_name": "api", "log_type": "application", "message": "hello", **fields}


def with_raw(name: str, text: str) -> bytes:
    """A good record whose field stands in the body exactly as given."""
    given = {"service_name": '"api"', "log_type": '"application"', "message": '"hello"', name: text}
    return ("{" + ",".join(f'"{field}":{value}' for field, value in given.items()) + "}").encode()


def decoded(body: bytes | Any, *, ndjson: bool = False) -> Batch:
    return decode_batch(body if isinstance(body, bytes) else json.dumps(body).encode(), RULES, ndjson=ndjson)


def rejection(batch: Batch) -> Rejection:
    assert len(batch) == 0
    assert [rejected.index for rejected in batch.rejected] == [0]
    return batch.rejected[0]


def refusal(body: bytes, *, ndjson: bool = False) -> str:
    with pytest.raises(InvalidRequest) as refused:
        decode_batch(body, RULES, ndjson=ndjson)
    return str(refused.value)
