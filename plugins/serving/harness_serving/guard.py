"""What stands before the application: who may ask, what every answer carries, and what is counted.

Without a token the server is for this machine alone, and a request must say so in its Host header: else a page of the web could reach it
under a name of its own (DNS rebinding). No answer has CORS headers, and the body of a request must be called JSON, which a page of another
origin may not send without asking first.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from harness_serving.limits import Refused
from harness_serving.meters import Meters

__all__ = ["Access", "Guard", "payload"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

HEADERS = [
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
]
HTTP = 80
"""The port that no address names."""


def payload(refused: Refused) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The body and the headers by which a client is told that its request is refused."""
    headers = [(b"content-type", b"application/json")]
    if refused.retry:
        headers.append((b"retry-after", str(refused.retry).encode()))
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return json.dumps({"error": refused.reason}).encode(), headers


class Access:
    """Who may ask for what.

    Args:
        token: what a client must show; "" = nothing, and then only names of this machine are answered to.
        exposed: other machines reach the server.
        port: that it listens on.
        address: that it listens on, where only this machine reaches it: another one of loopback is a name too.
    """

    def __init__(self, token: str, exposed: bool, port: int, address: str = "127.0.0.1") -> None:
        self._token = token.encode()
        self.exposed = exposed
        names = {"127.0.0.1", "localhost", "[::1]", f"[{address}]" if ":" in address else address}
        self._hosts = {f"{name}:{port}" for name in names} | (names if port == HTTP else set())

    @property
    def needs_token(self) -> bool:
        """Whether a token is asked for at all."""
        return bool(self._token)

    @property
    def open(self) -> set[str]:
        """Paths that need no token."""
        if not self._token:
            return set()
        return {"/health"} if self.exposed else {"/health", "/metrics"}

    def known(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request shows the token, or none is needed. Compared in a time that says nothing of where two differ."""
        if not self._token:
            return True
        given = [value for name, value in headers if name == b"authorization"]
        scheme, _, shown = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and hmac.compare_digest(shown.strip(), self._token)

    def trusted(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request may be told all: it shows the token, or comes from this machine, by a name that no page of the web has."""
        return self.known(headers) if self._token and (self.exposed or not self._own(headers)) else self._own(headers)

    def check(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Raise `Refused` 403 or 401 for a request that may not be answered."""
        if not self._token:
            if not self._own(headers):
                raise Refused(403, "this server answers to localhost alone; with another name: start it with --token-env")
            return
        free = self.open if self.exposed or self._own(headers) else {"/health"}
        if path not in free and not self.known(headers):
            raise Refused(401, "no valid token; wanted the header Authorization: Bearer TOKEN")

    def _own(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        return len(hosts) == 1 and hosts[0] in self._hosts


class Guard:
    """The application behind an access check.

    Args:
        broken: called with an exception that the application raised, for the log.
    """

    def __init__(self, app: App, access: Access, meters: Meters, broken: Callable[[Exception], None]) -> None:
        self.app, self.access, self.meters, self.broken = app, access, meters, broken

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 499

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            self.access.check(scope["path"], scope["headers"])
            await self.app(scope, receive, answer)
        except Refused as refused:
            await _refuse(refused, answer)
        except asyncio.CancelledError:  # the server cannot wait for it any longer
            if status == 499:
                await _refuse(Refused(503, "the server is being stopped", retry=5), answer)
            raise
        except Exception as error:
            self.broken(error)  # the application has answered; what it could not finish, the server cuts off
        finally:
            self.meters.answered(scope["path"], status, time.perf_counter() - begin)


async def _refuse(refused: Refused, send: Send) -> None:
    body, headers = payload(refused)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
