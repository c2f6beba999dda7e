"""The server: a socket, deadlines for each connection, signals, and an end in bounded time.

Notable choices: uvicorn with h11. It closes idle connections; what it has no limit for is added here, by a timer for each connection: the
head of a request must be there within the read time-out, so must what is left of a body that nobody wants, and a client that takes no more
of its answer is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from harness.errors import UsageError
from harness.interrupt import handlers
from harness_serving.app import Service
from harness_serving.guard import Access
from harness_serving.limits import MOST_CONNECTIONS, Limits
from harness_serving.served import ModelProcess

__all__ = ["Server", "bound", "is_loopback", "serve"]

GRACE = 30.0
"""Seconds at most that requests are waited for at the end."""
KEEP_ALIVE = 5
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\n"
    b'content-length: 33\r\n\r\n{"error": "too many connections"}'
)


def bound(host: str, port: int) -> socket.socket:
    """A socket that has the port, and does not listen yet: nobody waits minutes for a model to hear that the port is taken.

    Raises:
        UsageError: no such address, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"--host {host}: {error.strerror or error}; wanted an address of this machine, as in --host 127.0.0.1") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise UsageError(
            f"port {port} of {host} cannot be used: {error.strerror or error}; choose another with --port, 0 for any"
        ) from None
    return sock


def is_loopback(sock: socket.socket) -> bool:
    """Whether only this machine reaches a socket: by the address it has, whatever name it was asked for by."""
    address = ipaddress.ip_address(str(sock.getsockname()[0]).partition("%")[0])
    return address.is_loopback


class Connection(H11Protocol):
    """A connection with deadlines."""

    read_timeout = 15.0
    _timer: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            self.transport.write(FULL)
            self.transport.close()
            return
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._between:
            self._arm()
        super().data_received(data)
        if not self._between:
            self._disarm()

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


class Server(uvicorn.Server):
    """uvicorn's server; the first signal ends it when what runs is done, the second at once."""

    signalled: int = 0

    def __init__(self, service: Service) -> None:
        limits = service.limits
        super().__init__(
            uvicorn.Config(
                service.app,
                http=type("Connection", (Connection,), {"read_timeout": limits.read_timeout}),
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                log_level="critical",  # what matters is said by the guard and the batcher, a stranger's broken request to nobody
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=math.ceil(min(KEEP_ALIVE, limits.read_timeout)),
                timeout_graceful_shutdown=math.ceil(min(GRACE, limits.timeout + 1)),
            )
        )
        self.service = service

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or []:  # it listens only now
            address, port = sock.getsockname()[:2]
            where = f"[{address}]" if ":" in address else address
            print(f"harness: {self.service.served.name} at http://{where}:{port}/v1/forecast (Ctrl-C ends it)", file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = handlers(self.handle_exit, signal.SIGINT, signal.SIGTERM)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        self.service.close()
        if self.should_exit:
            self.force_exit = True
            self.service.process.stop()
        else:
            print("harness: stopping; requests that have begun are answered (again: at once)", file=sys.stderr, flush=True)
        self.signalled = self.signalled or sig
        self.should_exit = True


def serve(process: ModelProcess, limits: Limits, token: str, sock: socket.socket) -> int:
    """Load the model, then serve until a signal; 0 after SIGTERM, 130 after Ctrl-C.

    Raises:
        WorkerFailed: the model cannot be loaded.
        KeyboardInterrupt: a signal came before it was.
    """
    port = int(sock.getsockname()[1])
    access = Access(token, not is_loopback(sock), port, str(sock.getsockname()[0]))
    thread = ThreadPoolExecutor(1, thread_name_prefix="model")
    try:
        thread.submit(process.load).result()
        server = Server(Service(process, limits, access, thread))
        server.run([sock])
        return 130 if server.signalled == signal.SIGINT else 0
    finally:
        process.stop()
        thread.submit(process.close)
        thread.shutdown()
