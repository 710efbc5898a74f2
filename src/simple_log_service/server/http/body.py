"""Reading a request's body, whose length is either known (``SizedBody``) or told piece by piece (``ChunkedBody``)."""

from __future__ import annotations

import re

from simple_log_service.api.errors import body_too_large
from simple_log_service.server.http.head import bad_request

# A chunk's size line, or the last chunk with the blank line behind it; and what either may look like so far.
_SIZE = rb"(?:0{1,8}\r\n\r\n|(?=0*[1-9A-Fa-f])([0-9A-Fa-f]{1,8})\r\n)"
_SIZE_SO_FAR = rb"(?:[0-9A-Fa-f]{0,8}|[0-9A-Fa-f]{1,8}\r|0{1,8}\r\n\r?)"
_FIRST = (re.compile(_SIZE), re.compile(_SIZE_SO_FAR))
_LATER = (re.compile(rb"\r\n" + _SIZE), re.compile(rb"\r?|\r\n" + _SIZE_SO_FAR))


class SizedBody:
    """A body of known length. It grows as the bytes arrive: a length that is only announced costs nothing."""

    __slots__ = ("_bytes_left", "_content")

    def __init__(self, body_bytes: int) -> None:
        self._content = bytearray()
        self._bytes_left = body_bytes

    def needed_bytes(self, received: bytes) -> int:
        """How much memory ``feed`` may need for ``received``."""
        return min(len(received), self._bytes_left)

    def feed(self, received: bytes) -> bytes | None:
        """Take what arrived; ``None`` while the body goes on, else the bytes behind its end."""
        own = received[: self._bytes_left]
        self._content += own
        self._bytes_left -= len(own)
        return None if self._bytes_left else received[len(own) :]

    def content(self) -> bytes:
        """The complete body."""
        return bytes(self._content)


class ChunkedBody:
    """A decoder of the chunked coding (RFC 9112 section 7.1), stricter than it.

    Chunk extensions and trailers are refused: nothing here gives them a meaning, and both have served to smuggle
    requests. Each verdict follows from the bytes in their order, never from how they were cut into reads.
    """

    __slots__ = ("_chunk_bytes_left", "_chunks_left", "_content", "_content_bytes_max", "_expected", "_unread")

    def __init__(self, content_bytes_max: int, chunks_max: int) -> None:
        self._content = bytearray()
        self._content_bytes_max = content_bytes_max
        self._chunks_left = chunks_max
        self._chunk_bytes_left = 0
        self._expected = _FIRST
        self._unread = b""

    def needed_bytes(self, received: bytes) -> int:
        """How much memory ``feed`` may need for ``received``."""
        return len(received)

    def feed(self, received: bytes) -> bytes | None:
        """Decode what arrived; ``None`` while the body goes on, else the bytes behind its end.

        Raises ``Refused`` (400) for a malformed body and ``BodyTooLarge`` past the bound.
        """
        received = self._unread + received
        at = 0
        while True:
            chunk = received[at : at + self._chunk_bytes_left]
            self._content += chunk
            self._chunk_bytes_left -= len(chunk)
            at += len(chunk)
            if self._chunk_bytes_left:
                self._unread = b""
                return None
            line, line_so_far = self._expected
            size = line.match(received, at)
            if size is None:
                self._unread = received[at:]
                if line_so_far.fullmatch(self._unread) is None:
                    raise bad_request("The chunked body is malformed")
                return None
            at = size.end()
            if size[1] is None:
                return received[at:]
            self._begin_chunk(int(size[1], 16))

    def content(self) -> bytes:
        """What was decoded: the whole body once ``feed`` found its end."""
        return bytes(self._content)

    def _begin_chunk(self, chunk_bytes: int) -> None:
        if len(self._content) + chunk_bytes > self._content_bytes_max:
            raise body_too_large()
        if not self._chunks_left:
            raise bad_request("The chunked body has too many chunks")
        self._chunks_left -= 1
        self._chunk_bytes_left = chunk_bytes
        self._expected = _LATER
