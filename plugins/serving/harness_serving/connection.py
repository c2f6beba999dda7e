"""One connection: deadlines, and bounds on what a few bytes of it may cost.

Notable choices: uvicorn with h11. It closes idle connections; what it has no limit for is added here, by a timer for each connection: the
head of a request must be there within the read time-out, so must what is left of a body that nobody wants, and a client that takes no more
of its answer is cut off. h11 takes as long for a chunk as for a header line, some 50 µs, however short it is: both are bounded.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from harness_serving.guard import HEADERS
from harness_serving.limits import FREE_CHUNKS, LEAST_CHUNK, MOST_CONNECTIONS

__all__ = ["Connection"]

SLICE = 16_384
"""Bytes that are parsed at a time. A head of more is refused unless it is whole: if all that has come were parsed at once, it might be."""


def bare(status: str, reason: str, *more: bytes) -> bytes:
    """A refusal before there is a request that the application could answer."""
    body = json.dumps({"error": reason}).encode()
    lines = [b"%s: %s" % pair for pair in HEADERS]
    lines += [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close", *more]
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), *lines, b"", body])


class Parser(h11.Connection):
    """That of h11, with a bound on the chunks of a body."""

    chunks = 0
    size = 0
    crowded = False

    def next_event(self) -> Any:
        """The next event.

        Raises:
            RemoteProtocolError: what came is no HTTP, or has too many small chunks.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.chunks = self.size = 0
        elif isinstance(event, h11.Data):
            self.chunks += event.chunk_start
            self.size += len(event.data)
            if self.chunks > FREE_CHUNKS + self.size // LEAST_CHUNK:
                self.crowded = True
                raise h11.RemoteProtocolError("too many small chunks")
        return event


class Connection(H11Protocol):
    """A connection with deadlines."""

    read_timeout = 15.0
    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    _deaf = False  # refused: what still comes is thrown away until the client closes, so that it can read why

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn: Parser = Parser(h11.SERVER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            self.transport.write(bare("503 Service Unavailable", "too many connections", b"retry-after: 1"))
            self.transport.close()
            return
        self._arm()

    def data_received(self, data: bytes) -> None:
        for begin in range(0, len(data), SLICE):
            if self._deaf or self.transport.is_closing():
                return
            if self._between:
                self._arm()
            super().data_received(data[begin : begin + SLICE])
            if not self._between and not self._deaf:
                self._disarm()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or costs more than it may; the application sees a client that has gone."""
        self._unset_keepalive_if_required()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the rest of a body whose request has been answered
            self.transport.close()
            return
        if self.conn.crowded:
            msg = f"the body comes in too many small chunks; wanted {LEAST_CHUNK} bytes or more in each, or a Content-Length"
        self.transport.write(bare("400 Bad Request", msg))
        self.transport.write_eof()
        self._deaf = True
        if not self._between:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()
        self._arm()

    def shutdown(self) -> None:
        if self._deaf:
            self.transport.close()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unset_keepalive_if_required()
        if self._stuck is not None:
            self._stuck.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stuck is None:
            self._stuck = self.loop.call_later(self.read_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # closed, but for what the client does not take
            self.transport.abort()

    @property
    def _between(self) -> bool:
        """No request is being answered: a head is awaited, or the rest of a body that nobody wants."""
        return self.cycle is None or self.cycle.response_complete

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.read_timeout, self.transport.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
