"""The page from a live database, on this machine alone: `harness serve`.

Notable choices: the standard library's server, bound to 127.0.0.1; it reads, and has nothing that writes. Requests that name another host
are refused, so that no page of the web can reach it under a name of its own (DNS rebinding). What is served is made when it is asked for
and kept until the database changes.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, describe

__all__ = ["Board", "hosts", "make_server"]

HTTP = 80
"""The port that no address names."""

HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
KINDS = {"html": "text/html; charset=utf-8", "json": "application/json; charset=utf-8"}


class Board:
    """What is served, made anew when the database has changed.

    Args:
        db: the database.
        made: {path: (kind "html" or "json", function that makes its text)}.
    """

    def __init__(self, db: Path, made: dict[str, tuple[str, Callable[[], str]]]) -> None:
        self._db = db
        self._made = made
        self._kept: dict[str, tuple[str, bytes]] = {}
        self._lock = threading.Lock()
        self._complaints: set[str] = set()

    @property
    def version(self) -> str:
        """Changes when the database does."""
        found = []
        for path in (self._db, self._db.with_name(self._db.name + ".wal")):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append(f"{status.st_mtime_ns:x}.{status.st_size:x}")
        return "-".join(found)

    def get(self, path: str) -> tuple[str, bytes] | None:
        """(kind, content) of what is at a path; None = nothing.

        Raises:
            HarnessError: it cannot be made now.
        """
        if path == "/version":
            return "json", json.dumps({"version": self.version}).encode()
        if path not in self._made:
            return None
        kind, make = self._made[path]
        with self._lock:  # one at a time: many readers of a changed database would all do the same work
            version = self.version
            if path not in self._kept or self._kept[path][0] != version:
                self._kept[path] = (version, make().encode("utf-8", "replace"))
            return kind, self._kept[path][1]

    def complain(self, error: Exception) -> None:
        """Print an exception's traceback to stderr, once for each place in the code: the page asks again and again."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename}:{last.lineno}"
        with self._lock:
            new = place not in self._complaints
            self._complaints.add(place)
        if new:
            traceback.print_exception(error)


def hosts(port: int) -> set[str]:
    """What a browser on this machine calls a server on this port; the usual port is left out of the name."""
    names = ("127.0.0.1", "localhost")
    return {f"{name}:{port}" for name in names} | (set(names) if port == HTTP else set())


class _Handler(BaseHTTPRequestHandler):
    server_version = "ts-harness"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30
    board: Board

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        if not self._addressed():
            self._send(HTTPStatus.FORBIDDEN, "json", b'{"error": "this server answers to localhost alone"}', body)
            return
        try:
            found = self.board.get(self.path.partition("?")[0])
        except HarnessError as error:  # locked by a writer for long, or nothing to show any more
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, "json", json.dumps({"error": str(error)}).encode(), body)
            return
        except Exception as error:  # a defect; the other paths are still answered
            self.board.complain(error)
            said = f"a defect of the harness: {describe(error)}; where it happened is on the terminal of `harness serve`"
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, "json", json.dumps({"error": said}).encode(), body)
            return
        if found is None:
            self._send(HTTPStatus.NOT_FOUND, "json", b'{"error": "there is /, /data.json, /leaderboard.json and /version"}', body)
            return
        self._send(HTTPStatus.OK, *found, body)

    def _addressed(self) -> bool:
        return self.headers.get("Host", "") in hosts(getattr(self.server, "server_port", 0))

    def _send(self, status: HTTPStatus, kind: str, content: bytes, body: bool) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": KINDS[kind], "Content-Length": str(len(content)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request: the page asks every other second."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that has gone away is no error; all else is said."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def make_server(board: Board, port: int) -> ThreadingHTTPServer:
    """A server on 127.0.0.1; port 0 is any free one. Call `serve_forever`.

    Raises:
        OSError: the port is taken.
    """
    return _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"board": board}))
