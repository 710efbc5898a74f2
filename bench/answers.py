"""Reads answers off a connection, whole: by length, in chunks, or with no body at all (RFC 9112, section 6)."""

from __future__ import annotations

from typing import NamedTuple

_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding: chunked"


class Answer(NamedTuple):
    """Its status, and its body without framing."""

    status: int
    body: bytes


class AnswerReader:
    """Gathers the pieces of one answer at a time; requests are not pipelined."""

    def __init__(self) -> None:
        self._received = b""

    def feed(self, piece: bytes) -> Answer | None:
        """The answer, once it is whole."""
        received = self._received + piece if self._received else piece
        answer = _parsed(received)
        self._received = received if answer is None else b""
        return answer


def _parsed(received: bytes) -> Answer | None:
    head_end = received.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    head, body_at = received[: head_end + 2].lower(), head_end + 4
    status = int(head[9:12])
    length_at = head.find(_LENGTH)
    if length_at >= 0:
        length_at += len(_LENGTH)
        body_end = body_at + int(head[length_at : head.index(b"\r", length_at)])
        return Answer(status, received[body_at:body_end]) if len(received) >= body_end else None
    if _CHUNKED in head:
        body = _unchunked(received, body_at)
        return None if body is None else Answer(status, body)
    return Answer(status, b"")


def _unchunked(received: bytes, at: int) -> bytes | None:
    # The end is looked for first, so that an answer that comes in many pieces is not taken apart for each of them.
    if not received.endswith(b"0\r\n\r\n"):
        return None
    body: list[bytes] = []
    while (line_end := received.find(b"\r\n", at)) >= 0:
        size = int(received[at:line_end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(body)
        at = line_end + 2 + size + 2
        body.append(received[line_end + 2 : at - 2])
    return None
