"""Two million records through a real server, over HTTP, and every one of them read back exactly as it was sent.

``RECORDS`` in the environment asks for another number. ``LOG_CORPORA`` names a folder of ``*.log`` files to send lines
of; without it the lines are made up, beside whatever logs this machine lets itself be read.
"""

from __future__ import annotations

import os
import random
from array import array
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard
from msgspec import Raw

from e2e.server_process import ServerProcess

RECORDS = int(os.environ.get("RECORDS", "2000000"))
BATCH_RECORDS = 5000
SENDERS = 3
LATE_BATCH = 7
"""One batch among all carries records from hours ago."""

SERVICES = [f"service-{n}" for n in range(50)]
LOG_TYPES = ("application", "access", "audit")
LEVELS = ("TRACE", "DEBUG", "INFO", "INFO", "INFO", "WARN", "ERROR", "FATAL")
HOSTS = ('"web-1"', '"db\\u0000\\n"', '"\\ud83d\\ude00 \\u00e9"', '{"rack":[1,2.50,{"unit":null}]}', '"ключ 鍵 🔑"')
UNUSUAL = (
    "",
    "\0",
    "\0\n\r\t\x1b[31mred\x1b[0m\x7f\x85\u2028\u2029",
    '{"message":"not a record","level":null}',
    '\\ \\\\ \\n \\u0041 " \\" \' / \\/',
    "".join(chr(plane << 16 | low) for plane in range(17) for low in (0x21, 0xFFFD, 0xFFFE, 0xFFFF)),
    "\ud7ff\ue000\ufeff\ufffe\u202e\u2066\u200f\u0301",
    "مرحبا שלום नमस्ते สวัสดี 你好 こんにちは 안녕하세요 Γειά Здравствуйте ᚠᛇᚻ 𒀀 𓀀",
    "👩‍👩‍👧‍👦🏳️‍🌈🇩🇪" * 20,
    "long " * 4000,
)


class Line(msgspec.Struct):
    """A record as it is sent, and all of it but its id as it comes back."""

    service_name: str
    log_type: str
    level: str
    timestamp: str
    message: str
    metadata: Raw


class Page(msgspec.Struct):
    logs: list[Line]


class Number(msgspec.Struct):
    n: int


_ENCODER = msgspec.json.Encoder()
_PAGES = msgspec.json.Decoder(Page)
_NUMBERS = msgspec.json.Decoder(Number)


def mark(record: Line) -> int:
    """What tells one record from any other, to the byte, within this process."""
    names = (record.service_name, record.log_type, record.level, record.timestamp, record.message)
    return hash((*names, bytes(record.metadata)))


def corpus() -> list[str]:
    """Lines of real logs, as far as there are any, and made-up ones."""
    chance = random.Random(1)
    folder = os.environ.get("LOG_CORPORA")
    paths = [path for path in sorted(Path(folder or "/var/log").glob("*.log")) if os.access(path, os.R_OK)]
    lines = [line for path in paths for line in path.read_bytes().decode("utf-8", "replace").split("\n")][:50_000]
    assert lines or not folder, f"LOG_CORPORA={folder} holds no lines"
    words = [chance.randbytes(chance.randrange(2, 9)).hex() for _ in range(2000)]
    return lines + [" ".join(chance.choices(words, k=chance.randrange(3, 16))) for _ in range(5000)]


class Load:
    """Makes batches, remembers each record's mark under its number, and ticks off what comes back."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.seen = bytearray(records)
        self._marks = array("q", bytes(8 * records))
        self._corpus = corpus()
        self._start = datetime.now(UTC) - timedelta(minutes=2)

    def batch(self, number: int) -> list[Line]:
        """A batch's records; two batches to a second, each timestamp exact to the nanosecond."""
        chance = random.Random(number)
        first = number * BATCH_RECORDS
        moment = self._start + timedelta(seconds=number // 2 % 120) - timedelta(hours=5 * (number == LATE_BATCH))
        second = moment.strftime("%Y-%m-%dT%H:%M:%S")
        count = min(BATCH_RECORDS, self.records - first)
        picks = zip(chance.choices(SERVICES, k=count), chance.choices(self._corpus, k=count), strict=True)
        return [
            Line(
                service_name,
                LOG_TYPES[place % 3],
                LEVELS[place % 8],
                f"{second}.{(number % 2 * BATCH_RECORDS + place) * 1000:08d}1Z",
                UNUSUAL[place // 20 % len(UNUSUAL)] if place % 20 == 0 else message,
                Raw(f'{{"n":{first + place},"host":{HOSTS[place % 5]}}}'.encode()),
            )
            for place, (service_name, message) in enumerate(picks)
        ]

    def send(self, server: ServerProcess, number: int) -> None:
        """Send a batch, every other one compressed; one in a hundred twice, as after an answer that was missed."""
        lines = self.batch(number)
        first = number * BATCH_RECORDS
        self._marks[first : first + len(lines)] = array("q", map(mark, lines))
        headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", f"batch {number}")]
        body = _ENCODER.encode_lines(lines)
        if number % 2 == 0:
            body = zstandard.ZstdCompressor(level=1).compress(body)
            headers.append(("Content-Encoding", "zstd"))
        answers = [server.request("POST", "/logs", body, headers=headers) for _ in range(2 if number % 100 == 9 else 1)]
        assert {answer.status for answer in answers} == {201}
        assert len({answer.body for answer in answers}) == 1
        assert msgspec.json.decode(answers[0].body)["accepted"] == len(lines)

    def check(self, body: bytes) -> None:
        """Hold a page against what was sent."""
        for record in _PAGES.decode(body).logs:
            number = _NUMBERS.decode(record.metadata).n
            assert self._marks[number] == mark(record), f"record {number} came back as {record}"
            assert not self.seen[number], f"record {number} came twice"
            self.seen[number] = 1


@pytest.mark.timeout(900)
def test_every_record_that_was_sent_comes_back_exactly_once_and_to_the_byte(tmp_path: Path) -> None:
    load = Load(RECORDS)
    with ServerProcess(tmp_path / "data", "--throttle-rate", "0") as server:
        with ThreadPoolExecutor(SENDERS) as pool:
            for _ in pool.map(lambda number: load.send(server, number), range(-(-RECORDS // BATCH_RECORDS))):
                pass
        server.restart()
        for body in server.pages("limit=10000&hours=24"):
            load.check(body)
    assert load.seen.count(0) == 0
