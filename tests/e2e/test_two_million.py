"""Two million records, real lines and unusual text, go in over HTTP and come back byte for byte.

``LOG_CORPORA`` names a folder of ``*.log`` files to take lines from; without it lines are made up. ``RECORDS`` says how
many records there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from e2e.server_process import ServerProcess
from simple_log_service.client.records import LogRecord

RECORDS = int(os.environ.get("RECORDS", "2000000"))

_UNUSUAL = [
    "",
    "\x00NUL inside\x00",
    "line one\nline two\r\nline three\t",
    "\x1b[31mred\x1b[0m \x9b1m \u202egnol\u202c \u2028\u2029",
    'quotes " and \\ and </script>',
    "Ελληνικά 日本語 한국어 العربية עברית हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0010ffff \ufeff\ufffe",
    "e\u0301 is not é",
    " " * 500,
]


def lines() -> Iterator[str]:
    """Real log lines, again and again, with unusual ones between them."""
    folder = os.environ.get("LOG_CORPORA")
    real = [
        line
        for path in (sorted(Path(folder).glob("*.log")) if folder else [])
        for line in path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        if line.isprintable()
    ] or [f"GET /orders/{number * 7919 % 99991} took {number % 997} ms" for number in range(5000)]
    for number, line in enumerate(cycle(real)):
        yield line if number % 50 else _UNUSUAL[number // 50 % len(_UNUSUAL)]


def records() -> Iterator[dict[str, Any]]:
    """Distinct records: each has its number in its metadata."""
    for number, message in enumerate(islice(lines(), RECORDS)):
        yield {
            "service_name": f"service-{number % 17}",
            "log_type": ("application", "access", "Prüfung")[number % 3],
            "level": ("INFO", "WARN", "ERROR")[number % 5 % 3],
            "message": message,
            "metadata": {"number": number, "text": message[:20]},
        }


def digest(service: str, log_type: str, level: str, message: str, number: int, text: str) -> int:
    """What a record says, as a number; sums of them compare sets of records whatever their order."""
    whole = msgspec.msgpack.encode([service, log_type, level, message, number, text])
    return int.from_bytes(blake2b(whole, digest_size=16).digest(), "little")


def digest_of(record: LogRecord) -> int:
    """The same of a record that was read."""
    metadata = record.metadata
    kind = (record.service_name, record.log_type, record.level)
    return digest(*kind, record.message, metadata["number"], metadata["text"])


@pytest.mark.timeout(600)
def test_two_million_records_come_back_byte_for_byte(tmp_path: Path) -> None:
    sent = accepted = read = read_sum = 0
    sent_sum = sum(
        digest(
            *(record[name] for name in ("service_name", "log_type", "level", "message")), *record["metadata"].values()
        )
        for record in records()
    )
    with ServerProcess(tmp_path / "data", "--throttle-rate", "0") as server:
        with server.client() as client:
            for batch in client.send_all(records(), batch_records_max=5000):
                sent += len(batch.origins)
                accepted += batch.receipt.accepted
        assert (sent, accepted) == (RECORDS, RECORDS)
        server.restart()
        with server.client() as client:
            for record in client.iter_recent(limit=RECORDS + 1):
                read += 1
                read_sum += digest_of(record)
    assert read == RECORDS
    assert read_sum == sent_sum
