"""``q``: words, beginnings of words and phrases, with case ignored, in the message or in one value of the metadata."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.search import Search
from simple_log_service.core.words import Term, parse_terms, words_of
from unit.searching import PIECES, plain_values, plain_words, plainly_in, spelled, texts


def finds(q: str, message: str = "", metadata: str = "{}") -> bool:
    return Search(q).matches(message, metadata.encode())


def refusal(q: str) -> str:
    with pytest.raises(InvalidRequest) as refused:
        Search(q)
    return str(refused.value)


# --- What is found. ---


@pytest.mark.parametrize(
    ("q", "message", "found"),
    [
        ("timeout", "Timeout while reading", True),
        ("TIMEOUT", "a timeout", True),
        ("timeout", "timeouts", False),
        ("out", "timeout", False),
        ("time", "time-out", True),
        ("user_id", "user_id=4", True),
        ("user", "user_id=4", False),
        ("4", "user_id=4", True),
        ("time*", "timeouts", True),
        ("time*", "time", True),
        ("ime*", "timeouts", False),
        ("disk full", "the full disk", True),
        ("disk full", "the disk", False),
        ('"disk full"', "the disk: FULL", True),
        ('"disk full"', "the disk is full", False),
        ('"disk full"', "the full disk", False),
        ('"disk"', "disks", False),
        ("-disk", "the memory", True),
        ("-disk", "the disk", False),
        ("full -disk", "memory full", True),
        ("full -disk", "disk full", False),
        ("-time*", "timeout", False),
        ('-"disk full"', "disk full", False),
        ('-"disk full"', "full disk", True),
        ("foo-bar", "foo bar", True),
        ("foo-bar", "bar foo", False),
        ("/api/v1", "GET /api/v1/users", True),
        ("/api/v1", "GET /api/v11", False),
        ("/api/v1*", "GET /api/v11", True),
        ("10.0.0.1", "from 10.0.0.1:80", True),
        ("10.0.0.1", "from 10.0.1.0", False),
        ("-10.0.0.1", "from 10.0.0.1", False),
        ('"a*"', "a", True),
        ('"a*"', "ab", False),
        ('"-a"', "a", True),
        ("b", "a\0b\nc", True),
        ('"a b c"', "a\0b\nc", True),
        ("straße", "STRASSE", True),
        ("STRASSE", "die Straße", True),
        ("ΟΔΟΣ*", "ΟΔΟΣΑ", True),
        ("οδος", "ΟΔΟΣ'Δ", True),
        ("日志", "日志。", True),
        ("日", "日志", False),
        ("日*", "日志", True),
        ("😀 a", "", None),
    ],
)
def test_a_record_is_found_by_its_message(q: str, message: str, found: bool | None) -> None:
    if found is None:
        assert "without a letter or digit" in refusal(q)
    else:
        assert finds(q, message) is found


@pytest.mark.parametrize(
    ("q", "metadata", "found"),
    [
        ("alice", '{"user":"Alice"}', True),
        ("user", '{"user":"alice"}', False),
        ("user", '{"user":{"user":[{"user":"alice"}]}}', False),
        ("alice", '{"users":[{"name":{"first":"alice"}}]}', True),
        ('"alice bob"', '{"users":["alice","bob"]}', False),
        ("alice bob", '{"users":["alice","bob"]}', True),
        ('"alice bob"', '{"users":"alice, bob"}', True),
        ("500", '{"status":500}', True),
        ("50", '{"status":500}', False),
        ("500", '{"status":500.0}', True),
        ("5e2", '{"status":5E2}', True),
        ("500", '{"status":5e2}', False),
        ("12345678901234567890123456789012345678", '{"n":12345678901234567890123456789012345678}', True),
        ("5", '{"n":-5}', True),
        ("true", '{"ok":true}', True),
        ("null", '{"ok":null}', True),
        ("false", '{"ok":true}', False),
        ("ALICE", '{"user":"\\u0061lic\\u0065"}', True),
        ("alice", '{ "user" :\t"alice" }', True),
        ("nbar", '{"text":"foo\\nbar"}', False),
        ("bar", '{"text":"foo\\nbar"}', True),
        ("u0061", '{"user":"\\u0061"}', False),
        ("kelvin", '{"unit":"\u212aelvin"}', True),
        ("first", '{"a":"first","a":"second"}', False),
        ("second", '{"a":"first","a":"second"}', True),
        ("-alice", '{"user":"alice"}', False),
        ("-user", '{"user":"alice"}', True),
    ],
)
def test_a_record_is_found_by_the_values_of_its_metadata_and_never_by_its_keys(
    q: str, metadata: str, found: bool
) -> None:
    assert finds(q, "", metadata) is found


def test_all_terms_must_be_there_some_in_the_message_and_some_in_the_metadata() -> None:
    assert finds("disk alice", "disk full", '{"user":"alice"}')
    assert not finds("disk bob", "disk full", '{"user":"alice"}')
    assert not finds('"full alice"', "disk full", '{"user":"alice"}')
    assert not finds("disk -alice", "disk full", '{"user":"alice"}')


@st.composite
def terms(draw: st.DrawFn) -> tuple[str, Term]:
    """A term as a caller writes it, and what it means."""
    words = draw(st.lists(st.text(st.sampled_from("".join(PIECES)), min_size=1, max_size=3), min_size=1, max_size=3))
    quoted, excluded, prefix = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    text = draw(st.sampled_from([" ", ". ", "\t"] if quoted else ["-", "/", "="])).join(words)
    folded = text.casefold()
    # Where a mark ends the text, there is no word for a star to stand right after.
    ends_in_word = folded[-1].isalnum() or folded[-1] == "_"
    is_prefix = prefix and not quoted and ends_in_word
    written = f'"{text}"' if quoted else text + "*" * is_prefix
    return "-" * excluded + written, Term(tuple(plain_words(text)), is_prefix, excluded)


@given(st.lists(terms().filter(lambda term: bool(term[1].words)), min_size=1, max_size=3), texts, spelled())
def test_what_is_found_is_what_the_plainest_way_of_looking_finds(
    written: list[tuple[str, Term]], message: str, metadata: tuple[dict[str, Any], bytes]
) -> None:
    value, text = metadata
    search = Search(" ".join(term for term, _ in written))
    places = [message, *plain_values(value)]
    expected = all(
        any(plainly_in(list(term.words), place, is_prefix=term.is_prefix) for place in places) is not term.is_excluded
        for _, term in written
    )
    assert parse_terms(search.q or "") == [term for _, term in written]
    assert search.matches(message, text) is expected
    if expected:
        assert search.required_words <= {word for place in places for word in words_of(place)}


@given(texts | st.text())
def test_words_are_the_runs_of_letters_digits_and_underscores_once_case_is_folded(text: str) -> None:
    assert words_of(text) == plain_words(text)


@given(texts, st.sampled_from(["", " ", "-", "x"]), texts)
def test_a_texts_words_do_not_depend_on_what_stands_before_or_after(before: str, gap: str, text: str) -> None:
    assert (before + gap + text).casefold() == before.casefold() + gap.casefold() + text.casefold()


# --- Words that every match must hold. ---


@pytest.mark.parametrize(
    ("q", "words"),
    [
        ("Disk FULL", {"disk", "full"}),
        ('"disk full" 10.0.0.1', {"disk", "full", "10", "0", "1"}),
        ("time* -memory", set()),
        ("/api/v1*", {"api"}),
        ('-"disk full" -a', set()),
        ("Straße", {"strasse"}),
    ],
)
def test_whole_words_that_are_wanted_are_required(q: str, words: set[str]) -> None:
    assert Search(q).required_words == words


# --- What is refused, and says why. ---


@pytest.mark.parametrize(
    ("q", "reason"),
    [
        ("", "q must have 1 to 1024 characters."),
        ("x" * 1025, "q must have 1 to 1024 characters."),
        ("   ", "q must hold a word."),
        ('"disk full', "q has a quotation mark that is not closed."),
        ('disk" full', "q has a quotation mark that is not closed."),
        ('"a" "', "q has a quotation mark that is not closed."),
        ('a"b"', "quotation marks stand around a phrase"),
        ('"a"b', "quotation marks stand around a phrase"),
        ('"a"*', "quotation marks stand around a phrase"),
        ('"a""b"', "quotation marks stand around a phrase"),
        ("-", "without a letter or digit: -"),
        ("...", "without a letter or digit: ..."),
        ("disk => full", "without a letter or digit: =>"),
        ('""', 'without a letter or digit: ""'),
        ('-"?"', 'without a letter or digit: -"?"'),
        ("*", "without a letter or digit: *"),
        ("-*", "without a letter or digit: -*"),
        ("*disk", "* stands only right after"),
        ("di*sk", "* stands only right after"),
        ("disk**", "* stands only right after"),
        ("disk-*", "* stands only right after"),
        (" ".join("a" * 33), "q must have at most 32 terms."),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(q: str, reason: str) -> None:
    assert reason in refusal(q)


def test_the_longest_q_and_the_most_terms_are_taken() -> None:
    assert finds("x" * 1024, "X" * 1024)
    assert finds(" ".join("a" * 32), "a")
    assert finds("  a\t\n b ", "a b")


def test_a_long_reason_is_cut() -> None:
    assert len(refusal("." * 1000)) < 120
    assert len(refusal("*" + "x" * 1000)) < 160


@given(st.text(st.sampled_from('ab"-* .é'), max_size=12) | st.text(max_size=20))
def test_any_q_at_all_is_taken_or_refused(q: str) -> None:
    try:
        search = Search(q)
    except InvalidRequest:
        return
    search.matches("a b", b'{"a":"b"}')
