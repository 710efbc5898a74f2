"""The quick decoder, the careful one, and an oracle on the standard library's json never decide differently."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from simple_log_service.core import decode
from simple_log_service.core.batch import Batch
from simple_log_service.core.decode import decode_batch
from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.levels import canonical_level
from simple_log_service.core.limits import DAY_NS
from simple_log_service.core.retention import Kept, Retention
from simple_log_service.core.timestamps import parse_timestamp
from simple_log_service.core.validation import FIELDS, JSON_ERRORS, Rules, name_error, validate_each
from unit.strategies import RULES, SERVICE_OF_PATH, array_texts, body_texts, damaged, line_texts

_OF_SERVICE = msgspec.structs.replace(RULES, service_name=SERVICE_OF_PATH)

_BY_KIND = Kept(Retention(30, {SERVICE_OF_PATH: 3}, {"longer": 40, "shorter": 10}), RULES.now_ns)
_OF_KINDS = msgspec.structs.replace(RULES, oldest_ns=RULES.now_ns - _BY_KIND.retention.shortest_ns, kept=_BY_KIND)
"""As the service makes them where rules differ."""
_OF_KINDS_AND_SERVICE = msgspec.structs.replace(_OF_KINDS, service_name=SERVICE_OF_PATH)

rules_of_a_request = st.sampled_from([RULES, RULES, _OF_SERVICE, _OF_KINDS, _OF_KINDS, _OF_KINDS_AND_SERVICE])
some_more = settings(max_examples=2 * settings().max_examples)


def content_of(batch: Batch) -> dict[str, Any]:
    content = msgspec.structs.asdict(batch)
    content["indexes"] = list(batch.indexes)
    return content


def quick_batch(array: bytes, rules: Rules) -> Batch | None:
    try:
        return decode._columns(decode._MANY.decode(array), rules)
    except (*JSON_ERRORS, InvalidRequest):
        return None


def careful_batch(array: bytes, rules: Rules) -> Batch:
    return validate_each(list(msgspec.json.decode(array, type=list[msgspec.Raw])), rules, single=False)


def is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


@some_more
@given(array_texts().map(str.encode) | damaged(array_texts()), rules_of_a_request)
def test_where_the_quick_way_answers_the_careful_way_answers_the_same(array: bytes, rules: Rules) -> None:
    assume(is_utf8(array))
    quick = quick_batch(array, rules)
    event(f"answered quickly: {quick is not None}")
    if quick is not None:
        assert content_of(quick) == content_of(careful_batch(array, rules))


@pytest.mark.parametrize(
    ("kind", "days"),
    [(("a", "t"), 30), (("a", "longer"), 40), (("a", "shorter"), 10), ((SERVICE_OF_PATH, "longer"), 3)],
)
def test_old_records_take_the_quick_way_up_to_their_own_retention(kind: tuple[str, str], days: int) -> None:
    def array(*timestamps: int) -> bytes:
        names = {"service_name": kind[0], "log_type": kind[1], "message": ""}
        others = {"service_name": "a", "log_type": "longer", "message": "", "timestamp": oldest_ns}
        return json.dumps([others, *(names | {"timestamp": timestamp} for timestamp in timestamps)]).encode()

    oldest_ns = RULES.now_ns - days * DAY_NS
    quick = quick_batch(array(oldest_ns, RULES.now_ns), _OF_KINDS)
    assert quick is not None
    assert quick.timestamps == [oldest_ns, oldest_ns, RULES.now_ns]
    assert quick_batch(array(oldest_ns - 1, RULES.now_ns), _OF_KINDS) is None


near_a_border = st.builds(
    lambda days, offset_ns: RULES.now_ns - days * DAY_NS + offset_ns,
    st.sampled_from([1, 3, 10, 30, 40]),
    st.integers(-1, 1),
)
dated = st.tuples(st.sampled_from(["a", SERVICE_OF_PATH]), st.sampled_from(["t", "longer", "shorter"]), near_a_border)


@given(st.lists(dated, min_size=1, max_size=4))
def test_both_ways_hold_a_record_to_the_retention_of_its_kind(records: list[tuple[str, str, int]]) -> None:
    names = ("service_name", "log_type", "timestamp")
    array = json.dumps([dict(zip(names, each, strict=True), message="") for each in records]).encode()
    careful = content_of(careful_batch(array, _OF_KINDS))
    quick = quick_batch(array, _OF_KINDS)
    assert (quick is None) == bool(careful["rejected"])
    assert content_of(decode_batch(array, _OF_KINDS)) == careful


@some_more
@given(line_texts().map(str.encode) | damaged(line_texts()), rules_of_a_request)
def test_lines_are_decoded_as_each_line_alone_would_be(body: bytes, rules: Rules) -> None:
    assume(is_utf8(body))
    lines: list[bytes | msgspec.Raw] = list(filter(None, (line.strip(b" \t\r") for line in body.split(b"\n"))))
    if not lines:
        with pytest.raises(InvalidRequest, match="no records"):
            decode_batch(body, rules, ndjson=True)
        return
    batch = decode_batch(body, rules, ndjson=True)
    assert content_of(batch) == content_of(validate_each(lines, rules, single=False))


class Fields(NamedTuple):
    """A good record, as the oracle reads it."""

    service_name: str
    log_type: str
    level: str
    timestamp: int
    message: str
    metadata: dict[str, Any]
    log_id: str | None


class NoOpinionError(Exception):
    """The oracle cannot tell."""


class Refused(Exception):
    """The body or the record is to be refused."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) and not all(_in_range(value) and _is_text(value) for _, value in pairs):
        raise NoOpinionError("a doubled key, whose value that is dropped may be bad")
    return found


def _in_range(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_in_range, value.values() if isinstance(value, dict) else value))
    if isinstance(value, int):
        return abs(value) < 10**38
    return not isinstance(value, Decimal) or math.isfinite(float(value))


def _is_text(value: Any) -> bool:
    """Whether a value is free of lone surrogates, which are grammatical JSON but no text."""
    return is_utf8(json.dumps(value, ensure_ascii=False, default=str).encode(errors="surrogatepass"))


def _constant(name: str) -> None:
    raise Refused(name)


def _depth(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


def _parsed(text: str) -> Any:
    try:
        parsed = json.loads(text, parse_float=Decimal, object_pairs_hook=_pairs, parse_constant=_constant)
    except ValueError as error:
        raise Refused(str(error)) from None
    if not _is_text(parsed):
        raise Refused("lone surrogates")
    return parsed


def expected_record(value: Any, rules: Rules, index: int, timestamp: int | None) -> Fields:
    """What a record comes to, given its timestamp; raises ``Refused``."""
    if not isinstance(value, dict):
        raise Refused("no object")
    service_name = _text(value, "service_name", rules.service_name)
    log_type = _text(value, "log_type")
    message = _text(value, "message")
    level = canonical_level(_text(value, "level", "INFO"))
    log_id = _text(value, "log_id") if "log_id" in value else None
    if name_error(service_name, 256) or name_error(log_type, 128) or rules.service_name not in (None, service_name):
        raise Refused("a name")
    if level is None or (log_id is not None and not 1 <= len(log_id) <= 64):
        raise Refused("level or log_id")
    metadata = value.get("metadata", {})
    if not isinstance(metadata, dict):
        raise Refused("metadata")
    metadata = {name: member for name, member in value.items() if name not in FIELDS} | metadata
    if _depth(metadata) > 31 or not _in_range(metadata):
        raise Refused("metadata")
    timestamp = rules.now_ns + index if timestamp is None else timestamp
    oldest_ns = rules.oldest_ns
    if rules.kept is not None:
        days = {"longer": 40, "shorter": 10}.get(log_type, 30)
        oldest_ns = rules.now_ns - (3 if service_name == SERVICE_OF_PATH else days) * DAY_NS
    if not oldest_ns <= timestamp <= rules.newest_ns:
        raise Refused("timestamp")
    return Fields(service_name, log_type, level, timestamp, message, metadata, log_id)


def _text(value: dict[str, Any], name: str, default: str | None = None) -> str:
    text = value.get(name, default)
    if not isinstance(text, str):
        raise Refused(name)
    return text


def _timestamp(value: Any) -> int | None:
    if not isinstance(value, dict) or "timestamp" not in value:
        return None
    given_as = value["timestamp"]
    try:
        if isinstance(given_as, str):
            return parse_timestamp(json.dumps(given_as))
        if isinstance(given_as, int | Decimal) and not isinstance(given_as, bool):
            return parse_timestamp(str(given_as))
    except ValueError as error:
        raise Refused(str(error)) from None
    raise Refused("neither text nor number")


def expected(body: bytes, rules: Rules) -> list[Fields | None]:
    """What each record of a JSON body comes to, ``None`` where it is rejected; raises ``Refused`` for the body."""
    try:
        parsed = _parsed(body.decode())
    except UnicodeDecodeError:
        raise Refused("not UTF-8") from None
    if isinstance(parsed, dict) and "logs" in parsed and "message" not in parsed:
        if len(parsed) > 1 or not isinstance(parsed["logs"], list):
            raise Refused("the envelope")
        parsed = parsed["logs"]
    values = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(values, list) or not values:
        raise Refused("no records")
    outcome: list[Fields | None] = []
    for index, value in enumerate(values):
        try:
            outcome.append(expected_record(value, rules, index, _timestamp(value)))
        except Refused:
            outcome.append(None)
    return outcome


def outcome_of(batch: Batch) -> list[Fields | None]:
    outcome: dict[int, Fields | None] = {rejection.index: None for rejection in batch.rejected}
    log_ids = batch.log_ids or [None] * len(batch)
    for place, index in enumerate(batch.indexes):
        metadata = json.loads(batch.metadata[place], parse_float=Decimal)
        outcome[index] = Fields(
            batch.service_names[place],
            batch.log_types[place],
            batch.levels[place],
            batch.timestamps[place],
            batch.messages[place],
            metadata,
            log_ids[place],
        )
    return [outcome[index] for index in range(len(outcome))]


@some_more
@given(body_texts().map(str.encode) | damaged(body_texts()), rules_of_a_request)
def test_the_outcome_is_what_the_standard_library_reads(body: bytes, rules: Rules) -> None:
    try:
        wanted = expected(body, rules)
    except NoOpinionError:
        assume(False)
    except Refused as refused:
        event(f"refused: {type(refused).__name__}")
        with pytest.raises(InvalidRequest):
            decode_batch(body, rules)
        return
    assert outcome_of(decode_batch(body, rules)) == wanted


@given(st.binary() | damaged(body_texts()) | damaged(line_texts()), st.booleans(), rules_of_a_request)
def test_no_body_at_all_is_an_unexpected_error(body: bytes, ndjson: bool, rules: Rules) -> None:
    try:
        batch = decode_batch(body, rules, ndjson=ndjson)
    except InvalidRequest:
        return
    assert sorted([*batch.indexes, *(rejection.index for rejection in batch.rejected)]) == list(
        range(len(batch) + len(batch.rejected))
    )
    for text in (*batch.service_names, *batch.log_types, *batch.messages, *(batch.log_ids or ())):
        assert text is None or text.encode().decode() == text
    assert all(b"\n" not in line and isinstance(json.loads(line), dict) for line in batch.metadata)
