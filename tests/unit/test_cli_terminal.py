"""What a terminal is shown: nothing that it would obey, colours only where they are welcome."""

from __future__ import annotations

import io
import json
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.cli.pretty import pretty_line
from simple_log_service.cli.terminal import inert, inert_json, wants_colour

DANGEROUS = [
    *map(chr, [*range(9), *range(10, 32), *range(0x7F, 0xA0)]),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
]


@pytest.mark.parametrize("character", DANGEROUS)
def test_each_control_is_written_out(character: str) -> None:
    shown = inert(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown.isprintable()


def test_the_usual_ones_are_written_as_people_write_them() -> None:
    assert inert("a\nb\r\x1b[31m\x00\x9b\u202e\tz") == "a\\nb\\r\\e[31m\\x00\\x9b\\u202e\tz"


def test_every_script_stays_as_it_is() -> None:
    text = "héllo 世界 שלום سلام 👩‍💻 e\u0301\tend"
    assert inert(text) == text


@given(st.text())
def test_nothing_that_unicode_calls_a_control_or_a_bidirectional_override_gets_through(text: str) -> None:
    for character in inert(text):
        assert character == "\t" or unicodedata.category(character) not in {"Cc", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }


@given(st.dictionaries(st.text(), st.text()))
def test_json_means_the_same_and_commands_no_terminal(value: dict[str, str]) -> None:
    for indent in (None, 1):
        shown = inert_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(shown) == value
        assert not set(shown) & set(DANGEROUS) - {"\n"}


RECORD = {
    "service_name": "shop",
    "log_type": "application",
    "timestamp": "2026-01-01T00:00:00Z",
    "level": "ERROR",
    "message": "it broke",
    "metadata": {},
    "log_id": "i",
}


def _line(*, colour: bool = False, **fields: object) -> str:
    return pretty_line(msgspec.json.encode(RECORD | fields), colour=colour)


def test_a_record_is_one_line_of_time_level_source_message_and_metadata() -> None:
    assert _line() == "2026-01-01T00:00:00Z ERROR shop/application  it broke"
    assert _line(level="INFO", metadata={"n": 1}) == ('2026-01-01T00:00:00Z INFO  shop/application  it broke  {"n":1}')


def test_metadata_is_shown_with_every_digit() -> None:
    raw = msgspec.json.encode(RECORD).replace(b"{}", b'{"n":1.1000000000000000000001}')
    assert pretty_line(raw, colour=False).endswith('{"n":1.1000000000000000000001}')


@given(st.text(), st.text(), st.text(), st.booleans())
def test_no_record_breaks_out_of_its_line(service: str, text: str, key: str, colour: bool) -> None:
    shown = _line(service_name=service, log_type=text, message=text, metadata={key: text}, level=text, colour=colour)
    for sequence in ("\x1b[0m", "\x1b[1m", "\x1b[2m"):
        shown = shown.replace(sequence, "") if colour else shown
    assert not set(shown) & set(DANGEROUS)


@pytest.mark.parametrize("level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"])
def test_each_level_has_a_colour_and_the_same_text(level: str) -> None:
    import click

    coloured = _line(level=level, colour=True)
    assert "\x1b[" in coloured
    assert click.unstyle(coloured) == _line(level=level)


class _Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "variables", "expected"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    terminal: bool, variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(_Stream(terminal=terminal)) is expected
