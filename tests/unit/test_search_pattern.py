"""``pattern``: RE2 over the message, within its bounds, and silent about what callers get wrong."""

from __future__ import annotations

import pickle
import random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_log_service.core.errors import InvalidRequest
from simple_log_service.core.search import Search


def finds(pattern: str, message: str) -> bool:
    return Search(pattern=pattern).matches(message, b'{"in":"metadata"}')


@pytest.mark.parametrize(
    ("pattern", "message", "found"),
    [
        ("time", "a timeout", True),
        ("Time", "a timeout", False),
        ("(?i)TIME", "a timeout", True),
        ("^a", "a\nb", True),
        ("^b", "a\nb", False),
        ("(?m)^b", "a\nb", True),
        ("a.b", "a\nb", False),
        ("(?s)a.b", "a\nb", True),
        (r"a\x00b", "a\0b", True),
        ("^.$", "😀", True),
        ("😀+", "a😀😀", True),
        (r"\p{Greek}", "ΟΔΟΣ", True),
        (r"\d{3}", "status 500", True),
        ("metadata", "", False),
        ("^$", "", True),
        ("(a)(b)", "ab", True),
        (" ", "a b", True),
    ],
)
def test_a_record_is_found_by_its_message_alone(pattern: str, message: str, found: bool) -> None:
    assert finds(pattern, message) is found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing ): ("),
        ("a**", "bad repetition operator: **"),
        ("[a", "missing ]: [a"),
        (r"(?=a)", "invalid perl operator: (?="),
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("a{1001}", "invalid repetition size: {1001}"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        (r"\pL{900}", "pattern too large"),
        ("", "pattern must have 1 to 1024 characters."),
        ("x" * 1025, "pattern must have 1 to 1024 characters."),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_engines_reason_and_nothing_is_written(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Search(pattern=pattern)
    assert reason in str(refused.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(?:a?){500}a{500}$", "(.*)(.*)(.*)(.*)(.*)c"])
def test_time_grows_with_the_text_and_never_faster(pattern: str) -> None:
    search = Search(pattern=pattern)

    def seconds(chars: int) -> float:
        message = "a" * chars + "b!"
        began = process_time()
        search.matches(message, b"{}")
        return process_time() - began

    seconds(1000)
    # Eight times the text; a backtracking engine would not come back.
    assert seconds(200_000) < 8 * 8 * max(seconds(25_000), 0.001)


def test_a_pattern_that_outgrows_its_memory_while_searching_still_finds_and_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = "".join(random.Random(1).choices("ab", k=20_000))
    assert not finds("(a|b)*a(a|b){200}c", text)
    assert finds("(a|b)*a(a|b){200}c", text + "a" + "b" * 200 + "c")
    assert capfd.readouterr() == ("", "")


@given(st.text(st.sampled_from("ab()[]{}*+?|\\^$.09,-<>=!:Pp"), max_size=16) | st.text(max_size=30), st.text())
def test_any_pattern_at_all_is_taken_or_refused(pattern: str, message: str) -> None:
    try:
        search = Search(pattern=pattern)
    except InvalidRequest:
        return
    assert search.matches(message, b"{}") in (True, False)


@given(st.text(min_size=1, max_size=8), st.text())
def test_a_pattern_without_operators_is_a_substring(text: str, message: str) -> None:
    quoted = "".join(character if character == "_" or character.isalnum() else _quoted(character) for character in text)
    assert finds(quoted, message) is (text in message)
    assert finds(quoted, message + text)


def _quoted(character: str) -> str:
    return f"\\x{{{ord(character):x}}}"


def test_words_patterns_and_fields_must_all_hold() -> None:
    search = Search("disk", "f.ll", (("user", "alice"),))
    assert search.matches("disk full", b'{"user":"alice"}')
    assert not search.matches("disk fll", b'{"user":"alice"}')
    assert not search.matches("full", b'{"user":"alice"}')
    assert not search.matches("disk full", b'{"user":"bob"}')
    assert search.required_words == {"disk", "alice"}


def test_a_search_for_nothing_finds_everything() -> None:
    assert Search().matches("", b"{}")
    assert Search().required_words == frozenset()


def test_a_search_can_go_to_another_process_and_is_the_same_there() -> None:
    search = Search("disk", "f.ll", (("user", "alice"),))
    search.matches("", b"{}")
    sent = pickle.loads(pickle.dumps(search))
    assert (sent, hash(sent)) == (search, hash(search))
    assert sent.matches("disk full", b'{"user":"alice"}')
