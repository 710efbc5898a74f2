"""From files and pipes to records: lines, NDJSON and JSON, with nothing lost and every place known."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.cli.exit_codes import Failed
from simple_log_service.cli.lines import LINE_BYTES_MAX, LINE_TOO_LONG, read_chunks, split_lines
from simple_log_service.cli.log_input import DOCUMENT_BYTES_MAX, Fill, guess_format, read_records
from simple_log_service.client.batching import Unsendable, encode
from simple_log_service.core.limits import MIB

FILL = Fill("svc", "typ")


def records(data: bytes, log_format: str = "auto", fill: Fill = FILL, piece_bytes: int = 7) -> list[tuple[str, Any]]:
    """Each record's place and what would be sent for it: parsed JSON, or bytes that are none, or ``Unsendable``."""
    pieces = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    found = []
    for entry in read_records("f", iter(pieces), log_format, fill):
        assert entry is not None
        (prefix, number), record = entry
        line = record if isinstance(record, Unsendable) else encode(record)
        try:
            value = line if isinstance(line, Unsendable) else json.loads(line)
        except ValueError:
            value = line
        found.append((f"{prefix}{number}", value))
    return found


def message(text: str, **fields: str) -> dict[str, str]:
    return {"service_name": "svc", "log_type": "typ", "message": text, **fields}


# --- Lines ---


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line)), st.integers(1, 9))
def test_lines_come_out_whole_however_they_came_in(lines: list[bytes], piece_bytes: int) -> None:
    data = b"\n".join(lines)
    pieces = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not data.split(b"\n")[-1]:
        expected.pop()
    assert list(split_lines(pieces)) == expected


def test_a_line_beyond_all_bounds_is_marked_not_kept_and_its_neighbours_stay() -> None:
    long = b"x" * (LINE_BYTES_MAX + 1)
    pieces = [b"a\n" + long, long, b"tail\nb\n", long + b"\nc\n", long]
    assert list(split_lines(pieces)) == [b"a", LINE_TOO_LONG, b"b", LINE_TOO_LONG, b"c", LINE_TOO_LONG]


def test_an_input_that_pauses_says_so_and_goes_on() -> None:
    reading, writing = os.pipe()
    heard = threading.Event()
    read: list[int] = []

    def write() -> None:
        os.write(writing, b"one\ntw")
        assert heard.wait(10)
        os.write(writing, b"o\n")
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[object] = []
    for line in split_lines(read_chunks(reading, read.append)):
        seen.append(line)
        if line is None:
            heard.set()
    writer.join()
    os.close(reading)
    assert [each for each in seen if each is not None] == [b"one", b"two"]
    assert seen[1] is None
    assert sum(read) == 8


# --- Plain lines ---


def test_a_plain_line_is_a_message_and_an_empty_one_is_none() -> None:
    assert records(b"one\n\r\n\n  two \r\nthree") == [
        ("f:1", message("one")),
        ("f:4", message("  two ")),
        ("f:5", message("three")),
    ]


def test_bytes_that_are_not_utf8_stay_readable() -> None:
    assert records("café ".encode() + b"\xff\xc3\n\x00\x1b[31m") == [
        ("f:1", message("café \\xff\\xc3")),
        ("f:2", message("\x00\x1b[31m")),
    ]


def test_a_level_for_plain_lines_is_the_one_given() -> None:
    assert records(b"x", fill=Fill("svc", "typ", level="ERROR")) == [("f:1", message("x", level="ERROR"))]


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert records(b"\xef\xbb\xbfone\n", piece_bytes=100) == [("f:1", message("one"))]
    assert records(b'\xef\xbb\xbf{"message":"x"}', piece_bytes=100) == [("f:1", message("x"))]


# --- NDJSON ---


def test_ndjson_records_keep_what_they_have_and_get_what_they_lack() -> None:
    data = b'{"message":"a"}\n\n{"message":"b","service_name":"own","level":"WARN","log_type":null}\n'
    assert records(data, fill=Fill("svc", "typ", level="DEBUG")) == [
        ("f:1", message("a", level="DEBUG")),
        ("f:3", {"service_name": "own", "log_type": None, "level": "WARN", "message": "b"}),
    ]


def test_no_number_of_a_record_loses_a_digit() -> None:
    text = b'{"message":"a","timestamp":1767225600.123456789,"n":12345678901234567890123.4567890}'
    ((_, record),) = [entry for entry in read_records("f", iter([text]), "auto", FILL) if entry is not None]
    assert not isinstance(record, Unsendable)
    line = encode(record)
    assert isinstance(line, bytes)
    assert b'"timestamp":1767225600.123456789,' in line
    assert b'"n":12345678901234567890123.4567890' in line


def test_time_now_drops_given_timestamps() -> None:
    data = b'{"message":"a","timestamp":"2001-01-01T00:00:00Z"}'
    assert records(data, fill=Fill("svc", "typ", time_now=True)) == [("f:1", message("a"))]


def test_lines_that_are_no_records_go_to_the_service_as_they_are_so_that_it_rejects_them_by_number() -> None:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    bad = [b"{nonsense}", b"5", b'"text"', b'{"a":1}{"b":2}', b'{"a":NaN}', b'{"a"', deep]
    data = b"\n".join([b'{"message":"first"}', *bad])
    pieces = iter([data])
    found = [entry for entry in read_records("f", pieces, "auto", FILL) if entry is not None]
    assert [origin for origin, _ in found] == [("f:", number) for number in range(1, 9)]
    for (_, record), line in zip(found[1:], bad, strict=True):
        assert isinstance(record, msgspec.Raw)
        assert encode(record) == line


def test_a_line_that_is_not_utf8_is_rejected_here_since_it_would_spoil_the_others() -> None:
    found = records(b'{"message":"a"}\n{"message":"\xff"}\n{"message":"c"}')
    assert [place for place, _ in found] == ["f:1", "f:2", "f:3"]
    assert isinstance(found[1][1], Unsendable)
    assert found[1][1].code == "Malformed"


# --- JSON ---


@pytest.mark.parametrize(
    "data",
    [
        b'[{"message":"a"},{"message":"b"}]',
        b'[\n  {\n    "message": "a"\n  },\n  {\n    "message": "b"\n  }\n]\n',
        b'{"logs":[{"message":"a"},{"message":"b"}]}',
        b'{\n "logs": [ {"message":"a"},\n {"message":"b"} ]\n}',
        b' \n [ {"message":"a"} , {"message":"b"} ]',
    ],
)
def test_a_json_document_is_recognised_and_its_records_counted_from_one(data: bytes) -> None:
    assert records(data) == [("f, record 1", message("a")), ("f, record 2", message("b"))]


def test_a_document_may_be_one_record() -> None:
    assert records(b'{\n"message": "a"\n}') == [("f, record 1", message("a"))]
    assert records(b"[]") == []


def test_a_bad_record_within_a_document_does_not_stop_the_others() -> None:
    found = records(b'[{"message":"a"}, 5, {"message":"c"}]', "json")
    assert found == [("f, record 1", message("a")), ("f, record 2", 5), ("f, record 3", message("c"))]


@pytest.mark.parametrize("data", [b"", b"[", b"[1,", b"plain text", b'{"logs": 5}', b"[" * 10_000])
def test_a_document_that_is_none_ends_the_command_with_advice(data: bytes) -> None:
    with pytest.raises(Failed, match="--format"):
        records(data, "json", piece_bytes=100_000)


def test_a_document_too_large_for_memory_is_refused_with_a_way_out() -> None:
    def pieces() -> Iterator[bytes | None]:
        yield b"[{"
        for _ in range(DOCUMENT_BYTES_MAX // MIB + 1):
            yield b" " * MIB

    with pytest.raises(Failed, match=r"jq -c"):
        list(read_records("f", pieces(), "auto", FILL))


# --- Which format ---


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", "lines"),
        (b"2026-01-01 INFO started", "lines"),
        (b"[2026-01-01] started", "lines"),
        (b"[INFO] started", "lines"),
        (b"{curly} text", "lines"),
        (b"{}", "ndjson"),
        (b'{"message":"a"}\n', "ndjson"),
        (b'  {"message":"a"}\n{"message', "ndjson"),
        (b'{"message":"cut off\n', "ndjson"),
        (b'{"logs":1, "message":"a"}\n', "json"),
        (b'[{"message":"a"}]', "json"),
        (b"[\n", "json"),
        (b"[]", "json"),
        (b"{\n", "json"),
        (b'{ "logs" : [', "json"),
        (b"\n\n[ {", "json"),
    ],
)
def test_the_format_shows_in_how_the_input_begins(head: bytes, expected: str) -> None:
    assert guess_format(head) == expected


def test_a_format_that_is_named_is_not_guessed() -> None:
    assert records(b'{"message":"a"}', "lines") == [("f:1", message('{"message":"a"}'))]
