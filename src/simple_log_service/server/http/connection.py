"""One client's connection: requests in, answers out, one at a time and in order.

    HEAD → (BODY ⇄ ROOM →) ANSWERING → (SKIPPING →) (DRAINING →) HEAD …  → (LINGERING →) CLOSING → GONE

Rules: what arrives while a request is being answered waits unread, at most one read of it in memory. The client can
read whatever answer ends its connection: unread input turns a close into a reset that may destroy the answer, so
input is discarded for a while first. No exception leaves this class for the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import cast

from simple_log_service.api.errors import Refused, error_response
from simple_log_service.api.messages import RequestHead, Response
from simple_log_service.core.errors import LogServiceError, StoreUnavailable
from simple_log_service.server.http.answers import BODILESS, CONTINUE
from simple_log_service.server.http.body import ChunkedBody, SizedBody
from simple_log_service.server.http.context import Context
from simple_log_service.server.http.exchange import Exchange
from simple_log_service.server.http.head import Framing, head_bytes, read_head
from simple_log_service.server.http.state import State
from simple_log_service.server.http.wire import Wire

HEAD, ROOM, BODY, ANSWERING, SKIPPING, DRAINING, LINGERING, CLOSING, GONE = State
_READING = (HEAD, BODY, SKIPPING, LINGERING)


class Connection(asyncio.BufferedProtocol):
    """The protocol behind one accepted socket."""

    _wire: Wire

    def __init__(self, context: Context) -> None:
        self._context = context
        self._state = HEAD
        self._deadline = inf
        self._source_ip = ""
        self._unread = b""
        self._head_begun = False
        self._exchange: Exchange | None = None
        self._body: SizedBody | ChunkedBody | None = None
        self._body_began = 0.0
        self._wait_began = 0.0
        self._discard_bytes_left = 0
        self._is_last = False

    # --- What the event loop and the listener call. ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client was accepted."""
        self._wire = Wire(cast("asyncio.Transport", transport))
        context = self._context
        if context.stopping or len(context.connections) >= context.bounds.connections_max:
            self._state = CLOSING
            self._wire.abort()
            return
        context.connections.add(self)
        peer = transport.get_extra_info("peername")
        self._source_ip = peer[0] if peer else ""
        self._enter(HEAD, context.bounds.idle_seconds_max)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """Where the next input belongs."""
        return self._context.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Input has arrived."""
        try:
            self._receive(nbytes)
            self._continue()
        except Exception:  # noqa: BLE001 - reported there
            self._fail()

    def eof_received(self) -> bool:
        """The client will send no more; it may still wait for an answer, where TLS lets it."""
        if self._state is not ANSWERING or self._context.secure:
            return False
        self._is_last = True
        return True

    def pause_writing(self) -> None:
        """The client takes answers more slowly than they come."""
        self._wire.writing_paused = True

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._wire.writing_paused = False
        self._context.unsent.forget(self._wire)
        if self._state is DRAINING:
            self._guarded(self._await_request)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - whatever it was, the client is gone
        """The socket is closed. Work that the application has begun goes on; nobody hears of its answer."""
        self._state = GONE
        self._body = None
        self._unread = b""
        self._context.unsent.forget(self._wire)
        if self._exchange is not None and not self._exchange.is_running:
            self._exchange.release()
            self._exchange = None
        if self._exchange is None:
            self._context.forget(self)

    def expire(self, now: float) -> None:
        """End what takes too long."""
        if now >= self._deadline:
            self._guarded(self._expire)

    def wind_down(self) -> None:
        """The server stops: close at once where no request is accepted, else after its answer."""
        if self._state in (HEAD, DRAINING):
            self._close()
        elif self._state is SKIPPING:
            self._linger()

    def abort(self) -> None:
        """The server does not wait any longer."""
        if self._exchange is not None:
            self._exchange.abandon()
            self._exchange = None
        if self._state is GONE:
            self._context.forget(self)
        else:
            self._wire.abort()

    # --- Input. ---

    def _receive(self, nbytes: int) -> None:
        received = bytes(self._context.read_buffer[:nbytes])
        state = self._state
        if state is HEAD:
            self._unread += received
        elif state is BODY:
            self._read_body(received)
        elif state is SKIPPING:
            self._skip(received)
        elif state is LINGERING:
            self._discard_bytes_left -= nbytes
            if self._discard_bytes_left < 0:
                self._close()
        elif state is not CLOSING:
            # One request at a time: what comes early has to wait, most of it outside this process.
            self._unread += received
            self._wire.pause_reading()

    def _continue(self) -> None:
        """Take one request after another until one has to wait, or nothing whole is left."""
        while self._state is HEAD and self._unread:
            if not self._take_request():
                break
        if self._wire.reading_paused and self._state in _READING:
            self._wire.resume_reading()

    def _take_request(self) -> bool:
        """Read one head and go as far with its request as possible; false where the head is not complete."""
        context = self._context
        unread = self._unread
        try:
            end = head_bytes(unread, context.bounds.head_bytes_max)
            if not end:
                self._await_rest_of_head()
                return False
            request_id = context.request_ids.next()
            head, framing = read_head(unread[:end], self._source_ip, context.secure, request_id, context.clock())
        except Refused as refusal:
            self._refuse_head(refusal)
            return True
        self._unread = unread[end:]
        self._head_begun = False
        exchange = self._exchange = Exchange(context, head, framing)
        refused = exchange.admit()
        if refused is not None:
            self._turn_away(exchange, refused)
        elif framing.body_bytes == 0:
            self._handle(b"")
        else:
            self._begin_body(framing)
        return True

    def _await_rest_of_head(self) -> None:
        if not self._head_begun:
            self._head_begun = True
            self._enter(HEAD, self._context.bounds.head_seconds_max)

    def _begin_body(self, framing: Framing) -> None:
        bounds = self._context.bounds
        body_bytes, begun = framing.body_bytes, self._unread
        if body_bytes is None:
            self._body = ChunkedBody(bounds.body_bytes_max, bounds.chunks_max)
        else:
            self._body = SizedBody(body_bytes)
        self._body_began = self._context.now
        self._unread = b""
        if framing.expects_continue and not begun:
            self._wire.write(CONTINUE, b"")
        self._read_body(begun)

    def _read_body(self, received: bytes) -> None:
        """Make room for what arrived before it is added to the body, or let it wait, unread input behind it."""
        exchange, body = self._exchange, self._body
        assert exchange is not None
        assert body is not None
        if self._context.budget.reserve(exchange, body.needed_bytes(received), self._room_granted):
            self._feed_body(received)
            return
        self._unread = received
        self._wait_began = self._context.now
        self._enter(ROOM, self._context.bounds.body_seconds_max)
        self._wire.pause_reading()

    def _room_granted(self) -> None:
        # The wait was not the client's fault, so it is not taken from its time.
        self._body_began += self._context.now - self._wait_began
        received, self._unread = self._unread, b""
        self._guarded(lambda: self._feed_body(received))

    def _feed_body(self, received: bytes) -> None:
        exchange, body = self._exchange, self._body
        assert exchange is not None
        assert body is not None
        try:
            rest = body.feed(received)
        except LogServiceError as error:
            self._end_with(error)
            return
        if rest is None:
            self._await_body(exchange)
            return
        self._unread = rest
        content = body.content()
        self._context.budget.release(exchange, kept_bytes=len(content))
        self._handle(content)

    def _await_body(self, exchange: Exchange) -> None:
        """More of the body may come, in the time that its bytes so far have earned."""
        bounds = self._context.bounds
        earned_seconds = bounds.body_seconds_min + exchange.reserved_bytes / bounds.body_bytes_per_second_min
        self._enter(BODY, self._body_began + min(earned_seconds, bounds.body_seconds_max) - self._context.now)

    def _skip(self, received: bytes) -> None:
        left = self._discard_bytes_left - len(received)
        if left > 0:
            self._discard_bytes_left = left
        else:
            self._unread = received[self._discard_bytes_left :]
            self._await_request()

    # --- Answers. ---

    def _handle(self, body: bytes) -> None:
        """The request is complete."""
        exchange = self._exchange
        assert exchange is not None
        self._body = None
        self._state = ANSWERING
        self._deadline = inf
        response = exchange.handle(body, self._wake)
        if response is not None:
            self._answer(exchange, response)

    def _wake(self, _awaited: object) -> None:
        """What the application awaited is there."""
        if self._exchange is not None:
            self._guarded(self._resume)

    def _resume(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        response = exchange.resume(self._wake)
        if response is not None:
            self._answer(exchange, response)

    def _turn_away(self, exchange: Exchange, refused: Response) -> None:
        """Answer before the body was read: skip the rest where that is cheap and certain, else end the connection."""
        body_bytes = exchange.framing.body_bytes
        unread = self._unread
        if (
            body_bytes is None
            or body_bytes > self._context.bounds.body_bytes_max
            # A client that was denied its 100 may or may not send the body (RFC 9110 section 10.1.1).
            or (exchange.framing.expects_continue and body_bytes)
        ):
            self._is_last = True
        elif body_bytes <= len(unread):
            exchange.body_complete = True
            self._unread = unread[body_bytes:]
        else:
            self._discard_bytes_left = body_bytes - len(unread)
            self._unread = b""
        self._answer(exchange, refused)

    def _refuse_head(self, refusal: Refused) -> None:
        """Answer what is no request."""
        context = self._context
        method = "HEAD" if self._unread.startswith(b"HEAD ") else ""
        request_id = context.request_ids.next()
        head = RequestHead(method, "", "", [], {}, self._source_ip, context.secure, request_id, context.clock())
        self._exchange = Exchange(context, head, Framing(None, keep_alive=False, expects_continue=False))
        self._end_with(refusal)

    def _end_with(self, error: LogServiceError) -> None:
        """Answer with ``error``, the last that this connection hears."""
        assert self._exchange is not None
        self._body = None
        self._is_last = True
        self._answer(self._exchange, error_response(error))

    def _answer(self, exchange: Exchange, response: Response) -> None:
        """Write the answer and go on to what follows it."""
        context = self._context
        keep_alive = exchange.framing.keep_alive and not self._is_last and not context.stopping
        head = context.answers.head(response, exchange.head.request_id, keep_alive=keep_alive)
        is_bodiless = exchange.head.method == "HEAD" or response.status in BODILESS
        body = b"" if is_bodiless else response.body
        self._exchange = None
        if self._state is GONE:
            context.forget(self)
        else:
            self._wire.write(head, body)
            if self._wire.writing_paused:
                context.unsent.hold(self._wire)
        exchange.finish(response, len(head) + len(body))
        if self._state is GONE:
            return
        if keep_alive and self._discard_bytes_left:
            self._enter(SKIPPING, context.bounds.body_seconds_max)
        elif keep_alive:
            self._await_request()
        elif exchange.body_complete and not self._unread:
            self._close()
        else:
            self._linger()

    def _await_request(self) -> None:
        """The next request may come, once the client has taken this answer."""
        self._discard_bytes_left = 0
        if self._wire.writing_paused:
            self._enter(DRAINING, self._context.bounds.drain_seconds_max)
        else:
            self._enter(HEAD, self._context.bounds.idle_seconds_max)

    # --- Time and the end. ---

    def _enter(self, state: State, seconds_max: float) -> None:
        self._state = state
        context = self._context
        # ``now`` is up to one sweep old: the sweep on top keeps time limits from being cut short.
        self._deadline = context.now + seconds_max + context.bounds.sweep_seconds

    def _expire(self) -> None:
        state = self._state
        if state is HEAD and self._head_begun:
            self._refuse_head(_timeout("The request's head took too long"))
        elif state is BODY:
            self._end_with(_timeout("The request's body took too long"))
        elif state is ROOM:
            self._end_with(StoreUnavailable("There is no memory for the body now; it may be sent again"))
        elif state in _READING:
            self._close()
        else:
            self._wire.abort()

    def _linger(self) -> None:
        """Nothing more will be said, but the client may be in the middle of a sentence."""
        bounds = self._context.bounds
        self._unread = b""
        self._discard_bytes_left = bounds.linger_bytes_max
        self._enter(LINGERING, bounds.linger_seconds_max)
        self._wire.end_writing()

    def _close(self) -> None:
        self._enter(CLOSING, self._context.bounds.drain_seconds_max)
        self._wire.close()

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do what a callback is for, then what it made possible; a defect costs this connection and no other."""
        try:
            action()
            self._continue()
        except Exception:  # noqa: BLE001 - reported there
            self._fail()

    def _fail(self) -> None:
        self._context.internal_error(self._exchange.head if self._exchange else None)
        self.abort()


def _timeout(message: str) -> Refused:
    return Refused(408, "RequestTimeoutException", message)
