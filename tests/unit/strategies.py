"""What property tests are fed with: JSON spelled in every way that its grammar allows, records, bodies, batches.

Everything here is text or bytes as a client could send it; times are around ``NOW_NS``, and ``RULES`` are what a
service with a retention of 30 days asks of records received then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from simple_log_service.core.batch import Batch
from simple_log_service.core.levels import LEVELS
from simple_log_service.core.limits import DAY_NS, FUTURE_NS_MAX, SECOND_NS
from simple_log_service.core.validation import Rules

NOW_NS = 1_770_000_000 * SECOND_NS
"""2026-02-02T02:40:00Z."""

RULES = Rules(NOW_NS, NOW_NS - 30 * DAY_NS, NOW_NS + FUTURE_NS_MAX)

SERVICE_OF_PATH = "of.the-path"

_SPACES = st.sampled_from(["", "", "", " ", "\t", "\r", "  ", "\n"])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def texts(max_size: int = 20) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can carry, controls included."""
    return st.text(max_size=max_size)


def names(max_size: int = 12) -> st.SearchStrategy[str]:
    """Good names of services and types."""
    characters = st.characters(codec="utf-8", exclude_categories=["Cc"])
    return st.text(characters, min_size=1, max_size=max_size).filter(lambda name: name == name.strip())


def all_escaped(text: str) -> str:
    """The JSON string of a text with nothing but ``\\uXXXX`` in it."""
    units = text.encode("utf-16-be", "surrogatepass").hex()
    return '"' + "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4)) + '"'


_SPELLINGS: Sequence[Callable[[str], str]] = (
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    all_escaped,
    lambda text: json.dumps(text).replace("/", "\\/"),
)


def strings(content: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON strings of some texts, spelled with few escapes, many, or nothing else."""
    return st.builds(lambda spell, text: spell(text), st.sampled_from(_SPELLINGS), content)


def numbers() -> st.SearchStrategy[str]:
    """JSON numbers of all sizes and forms, those beyond a double's range and of 38 digits and more included."""
    grammar = r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?"
    return st.integers(-1000, 1000).map(str) | st.integers().map(str) | st.from_regex(grammar, fullmatch=True)


def spaced(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON tokens with white space between them, or mostly none."""
    tokens = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.builds(lambda space, drawn: space + space.join(drawn) + space, _SPACES, st.tuples(*tokens))


def objects(members: st.SearchStrategy[list[tuple[str, str]]]) -> st.SearchStrategy[str]:
    """JSON objects of some members, each a key and a value as JSON text; keys may be doubled."""
    return st.builds(
        lambda space, drawn: "{" + f"{space},".join(f"{key}{space}:{space}{value}" for key, value in drawn) + "}",
        _SPACES,
        members,
    )


def members(values: st.SearchStrategy[str], max_size: int = 3) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Some members of an object, whose keys are few enough to be doubled at times."""
    keys = strings(st.sampled_from(["a", "b", "", "é/\x00", "logs", "metadata"]) | texts(4))
    return st.lists(st.tuples(keys, values), max_size=max_size)


def json_texts(max_leaves: int = 6) -> st.SearchStrategy[str]:
    """Valid JSON of any kind."""
    scalars = st.sampled_from(["null", "true", "false"]) | numbers() | strings(texts(12))

    def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        arrays = st.lists(inner, max_size=3).map(lambda drawn: "[" + " ,".join(drawn) + "]")
        return arrays | objects(members(inner))

    return st.recursive(scalars, containers, max_leaves=max_leaves)


def nested(depth: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    """An object with that many levels, itself the first."""
    return st.builds(
        lambda levels, opening, closing: '{"a":' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}",
        depth,
        *(st.just(bracket) for bracket in "[]"),
    )


def metadata_texts() -> st.SearchStrategy[str]:
    """JSON objects, mostly within the bounds."""
    return objects(members(json_texts())) | objects(members(numbers())) | nested(st.integers(29, 33))


def _rfc3339(offset_ns: int, digits: int, minutes: int | None) -> str:
    seconds, fraction = divmod(NOW_NS + offset_ns, SECOND_NS)
    zone = UTC if minutes is None else timezone(timedelta(minutes=minutes))
    moment = (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction:09d}"[: digits + 1] if digits else "")
    return text + ("Z" if minutes is None else moment.isoformat()[-6:])


def timestamps_rfc3339() -> st.SearchStrategy[str]:
    """RFC 3339 around now, within the retention or just outside."""
    borders = st.sampled_from([-40, -30, -10, -3, 0]).map(DAY_NS.__mul__)
    near = st.builds(lambda border, offset_ns: border + offset_ns, borders, st.integers(-SECOND_NS, SECOND_NS))
    offsets = st.integers(-31 * DAY_NS, FUTURE_NS_MAX + SECOND_NS) | near
    minutes = st.none() | st.none() | st.integers(-1439, 1439)
    return st.builds(_rfc3339, offsets, st.integers(0, 9), minutes)


def timestamps_epoch() -> st.SearchStrategy[str]:
    """Numbers since the epoch around now, in each unit."""
    return st.builds(
        lambda unit_ns, offset_ns, tail: str((NOW_NS + offset_ns) // unit_ns) + tail,
        st.sampled_from([1, 10**3, 10**6, 10**9]),
        st.integers(-31 * DAY_NS, FUTURE_NS_MAX),
        st.sampled_from(["", "", "", ".5", ".25", "e0", ".000"]),
    )


def timestamps() -> st.SearchStrategy[str]:
    """Timestamps as they stand in JSON: mostly good ones."""
    return strings(timestamps_rfc3339()) | timestamps_rfc3339().map('"{}"'.format) | timestamps_epoch()


_GOOD_FIELDS: dict[str, st.SearchStrategy[str]] = {
    "service_name": strings(names() | st.just(SERVICE_OF_PATH)),
    "log_type": strings(names() | st.sampled_from(["longer", "shorter"])),
    "message": strings(texts()),
    "level": strings(st.sampled_from([*LEVELS, "warning", "Crit", "emerg"])),
    "timestamp": timestamps(),
    "metadata": metadata_texts(),
    "log_id": strings(st.text(min_size=1, max_size=8)),
}
_REQUIRED = ("service_name", "log_type", "message")


@st.composite
def plain_records(draw: st.DrawFn) -> str:
    """Records of the seven fields alone, all of them good but for a timestamp, integer or nesting out of bounds."""
    optional = draw(st.lists(st.sampled_from(["level", "timestamp", "metadata", "log_id"]), unique=True))
    fields = [(f'"{name}"', draw(_GOOD_FIELDS[name])) for name in (*_REQUIRED, *optional)]
    return draw(objects(st.just(fields)))


@st.composite
def odd_records(draw: st.DrawFn) -> str:
    """Records with something about them: a field missing, doubled, of another kind, or unknown."""
    fields = [(f'"{name}"', draw(_GOOD_FIELDS[name])) for name in draw(st.lists(st.sampled_from([*_GOOD_FIELDS])))]
    fields += [(f'"{name}"', draw(_GOOD_FIELDS[name])) for name in _REQUIRED if draw(st.integers(0, 9))]
    for _ in range(draw(st.integers(0, 2))):
        key = draw(strings(st.sampled_from([*_GOOD_FIELDS, "host", "logs", "é"])))
        fields.insert(draw(st.integers(0, len(fields))), (key, draw(json_texts())))
    return draw(objects(st.just(fields)))


def record_texts() -> st.SearchStrategy[str]:
    """Records as JSON text, some with nothing to remark, some with much."""
    return plain_records() | plain_records() | odd_records()


def array_texts() -> st.SearchStrategy[str]:
    """Arrays of records, all plain or not."""
    elements = st.lists(plain_records(), max_size=4) | st.lists(record_texts() | json_texts(2), max_size=4)
    return elements.map(lambda drawn: "[" + ",".join(drawn) + "]")


def body_texts() -> st.SearchStrategy[str]:
    """Bodies in each of the JSON forms that the service takes, and a few that it does not."""
    wrapped = objects(array_texts().map(lambda array: [('"logs"', array)]))
    return spaced(record_texts()) | spaced(array_texts()) | wrapped | json_texts()


def line_texts() -> st.SearchStrategy[str]:
    """Bodies of NDJSON: lines that are records, blank, ended by CR LF, or broken."""
    lines = plain_records() | record_texts().map(lambda text: text.replace("\n", " "))
    odd = record_texts() | json_texts(2) | st.sampled_from(["", " ", "\r", "{", "}", "x"])
    ends = st.sampled_from(["\n", "\n", "\r\n", "\n\n", " \n", ""])
    return st.lists(st.tuples(lines | lines | lines | odd, ends), max_size=5).map(
        lambda drawn: "".join(line + end for line, end in drawn)
    )


_SHRAPNEL = [b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\\ud800", b"\\", b'"', b"{", b"}", b"[", b"]", b","]
_SHRAPNEL += [b":", b"\n", b"\r", b"1e400", b"NaN", b"-", b"0", b"9" * 39, b".", b"e", b"null", b" ", b"{}", b'{"a":1}']


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[str]) -> bytes:
    """Bytes that were a body: with parts cut out, doubled, or replaced by what parsers trip over."""
    body = draw(whole).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from([0, 0, 1, 1, 5, 30])))
        middle = draw(st.sampled_from([b"", body[start:end] * 2, *_SHRAPNEL]))
        body = body[:start] + middle + body[end:]
    return body


@st.composite
def batches(draw: st.DrawFn, max_size: int = 8) -> Batch:
    """Batches of good records as the decoder hands them to a store; nothing rejected, some ids given."""
    size = draw(st.integers(1, max_size))

    def column(values: st.SearchStrategy[str]) -> list[str]:
        return draw(st.lists(values, min_size=size, max_size=size))

    times = st.integers(NOW_NS - DAY_NS, NOW_NS) | st.integers(NOW_NS - 3, NOW_NS)
    given = st.lists(
        st.none() | st.sampled_from("abcdef") | st.text(min_size=1, max_size=64), min_size=size, max_size=size
    )
    log_ids = draw(st.none() | given)
    return Batch(
        column(st.sampled_from(["api", "worker", "ümlaut"])),
        column(st.sampled_from(["application", "audit"])),
        column(st.sampled_from(LEVELS)),
        draw(st.lists(times, min_size=size, max_size=size)),
        column(texts()),
        [text.encode() for text in column(st.sampled_from(["{}", '{"a":1}', '{"é": [1.50, "x"]}']))],
        None if log_ids is None or set(log_ids) == {None} else log_ids,
        range(size),
        [],
    )
