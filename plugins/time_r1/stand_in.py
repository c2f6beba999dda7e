"""An OpenAI-compatible endpoint on this machine for tests: it answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Asked", "Say", "StandIn", "completion"]


def completion(text: str | None = "<answer>1</answer>", finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """The body of a reply, with a count of tokens: 10 of the prompt, 5 of the answer."""
    return {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


@dataclass(frozen=True)
class Say:
    """One reply.

    Args:
        body: bytes, or what becomes JSON; None = `completion()`.
        echo: put the Authorization header into the body, where it says KEY, and into a header of the reply.
        cut: close the connection after so many bytes of the body, less than were promised.
        drop: close the connection without a reply.
        drip: seconds between two bytes.
        wait: held back until this is set.
        endless: go on sending for ever.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] | None = None
    echo: bool = False
    cut: int | None = None
    drop: bool = False
    drip: float = 0.0
    wait: threading.Event | None = None
    endless: bool = False


@dataclass(frozen=True)
class Asked:
    """One request, as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class StandIn:
    """A server on loopback, for a `with` block.

    Args:
        replies: one after the other; the last one again and again. Or what makes a reply of a request.
    """

    def __init__(self, replies: Sequence[Say] | Callable[[Asked], Say] = (Say(),)) -> None:
        self.replies, self.asked = replies, list[Asked]()
        self.at_once = self.most_at_once = 0
        self.closing = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

            def do_POST(self) -> None:
                outer._serve(self)

        class Server(ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                del request, client_address  # the other side has gone

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self) -> StandIn:
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length", 0))) or b"{}")
        asked = Asked(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body)
        with self._lock:
            say = self.replies(asked) if callable(self.replies) else self.replies[min(len(self.asked), len(self.replies) - 1)]
            self.asked.append(asked)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if say.wait is not None:
                say.wait.wait(10)
            self._reply(handler, say, asked)
        finally:
            with self._lock:
                self.at_once -= 1

    def _reply(self, handler: BaseHTTPRequestHandler, say: Say, asked: Asked) -> None:
        if say.drop:
            _reset(handler)
            return
        found = completion() if say.body is None else say.body
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        headers = dict(say.headers or {})
        if say.echo:
            data = data.replace(b"KEY", asked.headers.get("authorization", "").encode())
            headers["X-Echo"] = asked.headers.get("authorization", "")
        handler.send_response(say.status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if say.endless:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        else:
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if say.cut is not None:
            handler.wfile.write(data[: say.cut])
            handler.wfile.flush()
            handler.close_connection = True
        elif say.drip:
            for k in range(len(data)):
                handler.wfile.write(data[k : k + 1])
                if self.closing.wait(say.drip):
                    return
        elif say.endless:
            while not self.closing.is_set():
                handler.wfile.write(b" " * 65536)
        else:
            handler.wfile.write(data)


def _reset(handler: BaseHTTPRequestHandler) -> None:
    """Close a connection at once, without the usual farewell."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def settle(what: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait until something holds, and not longer."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True
