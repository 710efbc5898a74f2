"""Connections whose answers are bounded whole, head and body: in bytes, and in seconds from the end of the request.

A socket's timeout bounds each read alone, and a server that sends a byte now and then would never meet it. Here every
read gets what is left of the time for the whole answer.
"""

from __future__ import annotations

import io
import math
import socket
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from simple_log_service.client.errors import UnexpectedAnswer
from simple_log_service.core.limits import PAGE_BYTES_MAX

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ANSWER_BYTES_MAX = 8 * PAGE_BYTES_MAX
"""Several times what the largest page and the longest receipt take; reading stops there."""


class _BoundedReader(io.RawIOBase):
    """Reads one answer from a socket, whose timeout at the beginning is the time for all of it."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        seconds_max = connection.gettimeout()
        self._raw = raw
        self._connection = connection
        self._deadline = math.inf if seconds_max is None else time.monotonic() + seconds_max
        self._bytes_left = ANSWER_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        if self._deadline < math.inf:
            seconds_left = self._deadline - time.monotonic()
            if seconds_left <= 0:
                raise TimeoutError("the time for the whole answer is over")
            self._connection.settimeout(seconds_left)
        count = self._raw.readinto(buffer)
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            raise UnexpectedAnswer(
                f"The answer is longer than {ANSWER_BYTES_MAX:,} bytes, which none of a Simple Log Service is: "
                "is the endpoint right?"
            )
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp = io.BufferedReader(_BoundedReader(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _BoundedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _BoundedResponse


class Pool(urllib3.HTTPConnectionPool):
    """urllib3's pool, of such connections."""

    ConnectionCls = _Connection


class TlsPool(urllib3.HTTPSConnectionPool):
    """The same over TLS."""

    ConnectionCls = _TlsConnection
