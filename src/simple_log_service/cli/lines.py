"""Reading input as it comes: whole files as fast as the disk gives them, pipes without holding anything back.

Both are read in chunks from the descriptor. Where a pipe has nothing more for the moment, ``None`` says so:
what has been read goes out then, and does not wait for a batch to fill.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterable, Iterator

from simple_log_service.client.batching import Unsendable
from simple_log_service.core.limits import KIB, RECORD_BYTES_MAX
from simple_log_service.core.validation import TOO_LARGE

LINE_BYTES_MAX = 8 * RECORD_BYTES_MAX
"""Past it a line is no record, however much of it is escapes, and is not kept in memory."""
PAUSE_SECONDS = 0.2
_CHUNK_BYTES = 256 * KIB

LINE_TOO_LONG = Unsendable(TOO_LARGE, f"the line has more than {LINE_BYTES_MAX} bytes")


def read_chunks(descriptor: int, on_read: Callable[[int], None]) -> Iterator[bytes | None]:
    """The input in pieces, ``None`` at each pause; ``on_read`` is told how many bytes each has. Raises ``OSError``."""
    while True:
        if not select.select([descriptor], [], [], PAUSE_SECONDS)[0]:
            yield None
            select.select([descriptor], [], [])
        data = os.read(descriptor, _CHUNK_BYTES)
        if not data:
            return
        on_read(len(data))
        yield data


def split_lines(chunks: Iterable[bytes | None]) -> Iterator[bytes | Unsendable | None]:
    """The lines without their ends (LF or CRLF), the pauses between them, and a mark for each line too long."""
    rest = b""
    overlong = False
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if overlong or len(line) > LINE_BYTES_MAX:
                yield LINE_TOO_LONG
                overlong = False
            else:
                yield line.removesuffix(b"\r")
        if len(rest) > LINE_BYTES_MAX:
            rest, overlong = b"", True
    if overlong:
        yield LINE_TOO_LONG
    elif rest:
        yield rest.removesuffix(b"\r")
