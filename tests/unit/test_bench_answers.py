"""The benchmark's reader of answers: the same answer, however it is framed and in whatever pieces it comes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.answers import Answer, AnswerReader


def _chunked(pieces: list[bytes]) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _fed(wire: bytes, cuts: list[int]) -> list[Answer]:
    reader, answers = AnswerReader(), []
    edges = [0, *sorted(cut % len(wire) for cut in cuts), len(wire)]
    for start, end in pairwise(edges):
        answer = reader.feed(wire[start:end]) if end > start else None
        answers += [] if answer is None else [answer]
    return answers


@given(st.lists(st.binary(max_size=30) | st.just(b"0\r\n\r\n"), max_size=5), st.lists(st.integers(0, 500), max_size=6))
def test_chunks_and_lengths_give_the_same_answer_in_any_pieces(pieces: list[bytes], cuts: list[int]) -> None:
    body = b"".join(pieces)
    sized = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nX: y\r\n\r\n%s" % (len(body), body)
    assert _fed(sized, cuts) == [Answer(200, body)]
    assert _fed(_chunked(pieces), cuts) == [Answer(200, body)]


def test_an_answer_without_a_body_is_whole_with_its_head() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 204 No Content\r\nDate: now\r\n") is None
    assert reader.feed(b"\r\n") == Answer(204, b"")


def test_one_reader_reads_one_answer_after_the_other() -> None:
    reader = AnswerReader()
    assert reader.feed(_chunked([b"first"])) == Answer(200, b"first")
    assert reader.feed(_chunked([b"second"])) == Answer(200, b"second")
