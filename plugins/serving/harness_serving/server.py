"""The server: a socket, signals, and an end in bounded time."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import math
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import uvicorn

from harness.errors import HarnessError, UsageError
from harness.interrupt import handlers
from harness_serving.app import Service
from harness_serving.connection import Connection
from harness_serving.guard import Access
from harness_serving.limits import Limits
from harness_serving.log import say
from harness_serving.served import ModelProcess

__all__ = ["Server", "bound", "is_loopback", "serve"]

GRACE = 30.0
"""Seconds at most that requests are waited for at the end."""
KEEP_ALIVE = 5
EARLY = 16
"""Connections that wait while the model is loaded."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens: nobody waits minutes for a model to hear that the port is taken. Who asks before it is loaded waits.

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
        sock.listen(EARLY)  # before that another one could bind, too
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} of {host} is taken; choose another with --port, 0 for any") from None
        raise UsageError(
            f"port {port} of {host} cannot be used: {error.strerror or error}; choose another with --port, 0 for any"
        ) from None
    return sock


def is_loopback(sock: socket.socket) -> bool:
    """Whether only this machine reaches a socket: by the address it has, whatever name it was asked for by."""
    address = ipaddress.ip_address(str(sock.getsockname()[0]).partition("%")[0])
    return address.is_loopback


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
        service.give_up = self._give_up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or []:
            address, port = sock.getsockname()[:2]
            where = f"[{address}]" if ":" in address else address
            say(f"harness: {self.service.served.name} at http://{where}:{port}/v1/forecast (Ctrl-C ends it)")

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
        again = self.signalled != 0
        # First of all: another signal may come while this one is seen to.
        self.signalled, self.should_exit = self.signalled or sig, True
        self.service.close()
        if again:
            self.force_exit = True
            self.service.process.stop()
        else:
            say("harness: stopping; requests that have begun are answered (again: at once)")

    def _give_up(self) -> None:
        self.should_exit = True


def serve(process: ModelProcess, limits: Limits, token: str, sock: socket.socket) -> int:
    """Load the model, then serve until a signal; 0 after SIGTERM, 130 after Ctrl-C.

    Raises:
        WorkerFailed: the model cannot be loaded.
        HarnessError: no more forecasts could be made, by a defect of the server.
        KeyboardInterrupt: a signal came before it was.
    """
    port = int(sock.getsockname()[1])
    access = Access(token, not is_loopback(sock), port, str(sock.getsockname()[0]))
    thread = ThreadPoolExecutor(1, thread_name_prefix="model")
    try:
        thread.submit(process.load).result()
        server = Server(Service(process, limits, access, thread))
        server.run([sock])
        if server.service.defect:
            raise HarnessError(f"a defect of the server has ended it: {server.service.defect}")
        return 130 if server.signalled == signal.SIGINT else 0
    finally:
        process.stop()
        thread.submit(process.close)
        thread.shutdown()
