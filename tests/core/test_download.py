"""Fetching a file from a server on loopback: whole, taken up, not what was promised, of unknown size; and the lock beside it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest

from harness import download
from harness.download import Promised, base_url, fetch, need_room, read_listing, told
from harness.errors import Unavailable, UsageError
from harness.files import locked

BODY = bytes(range(256)) * 400
SIZE, MD5 = len(BODY), hashlib.md5(BODY, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """One file, at any address but /gone; what was asked, and what shall go wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.asked: list[str] = []  # ranges
        self.cuts = 0  # so many answers break off half way
        self.how = "length"  # "length" | "chunked" | "close": how the end of an answer is told

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that has read enough."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # the name is the base class's
        """Say nothing."""

    def do_GET(self) -> None:
        at, asked = self.server, self.headers.get("Range", "")
        at.asked.append(asked)
        low = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        status = 404 if self.path == "/gone" else 416 if low and low >= len(at.body) else 206 if low else 200
        rest = at.body[low:] if status in (200, 206) else b""
        self.send_response(status)
        if low:
            self.send_header(
                "Content-Range", f"bytes */{len(at.body)}" if status == 416 else f"bytes {low}-{len(at.body) - 1}/{len(at.body)}"
            )
        if at.how == "length":
            self.send_header("Content-Length", str(len(rest)))
        elif at.how == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        cut = at.cuts > 0
        at.cuts -= cut
        sent = rest[: len(rest) // 2] if cut else rest
        if at.how == "chunked":
            sent = b"%x\r\n%b\r\n" % (len(sent), sent) + (b"" if cut else b"0\r\n\r\n")
        self.wfile.write(sent)
        self.close_connection = cut or at.how == "close"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "file.part"


def promised(size: int = SIZE, md5: str = MD5) -> Promised:
    return Promised(size, md5, "md5", "the list")


KNOWN = [(SIZE, MD5), (0, MD5), (SIZE, ""), (0, "")]


@pytest.mark.parametrize(("size", "md5"), KNOWN)
@pytest.mark.parametrize("how", ["length", "chunked", "close"])
def test_a_whole_file(server: Server, part: Path, size: int, md5: str, how: str) -> None:
    server.how = how
    came: list[int] = []
    fetch(server.url, part, promised(size, md5), came.append)
    assert part.read_bytes() == BODY and sum(came) == SIZE and server.asked == [""]


@pytest.mark.parametrize(("size", "md5"), KNOWN)
@pytest.mark.parametrize("how", ["length", "chunked"])
def test_a_connection_that_is_cut(server: Server, part: Path, size: int, md5: str, how: str) -> None:
    """It is taken up where it broke, as often as more comes; an answer without an end that is told needs a promised size."""
    server.how, server.cuts = how, download.ATTEMPTS + 1
    came: list[int] = []
    fetch(server.url, part, promised(size, md5), came.append)
    assert part.read_bytes() == BODY and sum(came) == SIZE
    lows = [int(asked.removeprefix("bytes=").rstrip("-") or 0) for asked in server.asked]
    assert len(lows) == download.ATTEMPTS + 2 and lows == sorted(lows) and lows[1] > 0


@pytest.mark.parametrize(("size", "md5"), KNOWN)
def test_what_an_earlier_call_has_left(server: Server, part: Path, size: int, md5: str) -> None:
    """Taken up where something tells whether it was the beginning of this file, else fetched anew."""
    part.write_bytes(BODY[:1000])
    came: list[int] = []
    fetch(server.url, part, promised(size, md5), came.append)
    assert part.read_bytes() == BODY and sum(came) == SIZE
    assert server.asked == ["bytes=1000-" if size or md5 else ""]
    fetch(server.url, part, promised(size, md5), force=True)
    assert server.asked[1:] == [""]


def test_what_is_there_already(server: Server, part: Path) -> None:
    part.write_bytes(BODY)
    fetch(server.url, part, promised())
    assert server.asked == []
    fetch(server.url, part, promised(size=0))
    assert server.asked == [f"bytes={SIZE}-"], "the server says that there is no more"
    assert part.read_bytes() == BODY
    part.write_bytes(BODY + b"more")  # of another file
    fetch(server.url, part, promised(size=0))
    assert part.read_bytes() == BODY and server.asked[1:] == [f"bytes={SIZE + 4}-", ""]


def test_an_empty_file(server: Server, part: Path) -> None:
    server.body = b""
    fetch(server.url, part, promised(0, hashlib.md5(b"", usedforsecurity=False).hexdigest()))
    assert part.read_bytes() == b""


@pytest.mark.parametrize(
    ("size", "md5", "said"),
    [
        (SIZE, "0" * 32, r"what came has the md5 hash \w{16}… where the list says 0{16}…, and is thrown away"),
        (0, "0" * 32, r"what came has the md5 hash \w{16}… where the list says 0{16}…, and is thrown away"),
        (SIZE - 1, "", f"more came than the {SIZE - 1} bytes that the list says"),
        (SIZE + 1, "", f"the connection broke after {SIZE} of {SIZE + 1} bytes|has nothing behind byte {SIZE}"),
    ],
)
def test_what_was_not_promised(server: Server, part: Path, size: int, md5: str, said: str) -> None:
    with pytest.raises(OSError, match=said):
        fetch(server.url, part, promised(size, md5))
    assert not part.exists(), "nothing is left that a next call might take for a beginning"


def test_a_file_that_is_not_there(server: Server, part: Path) -> None:
    url = server.url.replace("/file", "/gone")
    hint = {404: "Look elsewhere. "}
    with (
        pytest.raises(Unavailable, match=r"^could not: HTTP 404 Not Found\. Look elsewhere\. The same command tries again: pull x$"),
        told("could not", "pull x", "name another", hint, part),
    ):
        fetch(url, part, promised(0))
    assert server.asked == [""] and not part.exists(), "asked once: it will not be there the next time"
    with pytest.raises(HTTPError) as caught:
        read_listing(url)
    caught.value.close()
    assert read_listing(server.url) == BODY


def test_no_room(server: Server, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": download.ROOM + SIZE - 1}))
    said = r"102\.4 kB are to come and 16\.9 MB are free in .*make room, or name another"
    for size, asked in ((SIZE, 0), (0, 1)):  # where nobody says how large it is, the server does
        with pytest.raises(Unavailable, match=said), told("could not", "pull x", "name another", None, part):
            fetch(server.url, part, promised(size))
        assert len(server.asked) == asked
    need_room(part.parent, SIZE - 1)


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_URL", raising=False)
    assert base_url("SOME_URL", "https://usual.org") == "https://usual.org"
    monkeypatch.setenv("SOME_URL", " http://127.0.0.1:80/ ")
    assert base_url("SOME_URL", "https://usual.org") == "http://127.0.0.1:80"
    monkeypatch.setenv("SOME_URL", "usual.org")
    with pytest.raises(UsageError, match=r"got SOME_URL='usual\.org'; wanted an address that begins with https:// or http://"):
        base_url("SOME_URL", "https://usual.org")


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    lock, waited = tmp_path / "new" / "lock", list[str]()
    with locked(lock) as held:
        assert not held.waited
        other = lock.open("a")
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX)

    def waits() -> None:
        waited.append("once")
        other.close()

    with locked(lock, waits) as held:
        assert held.waited and waited == ["once"]


@pytest.mark.parametrize(("number", "fine"), [(errno.ENOLCK, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_without_locks_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fine: bool) -> None:
    def no_lock(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", no_lock)
    if fine:
        with locked(tmp_path / "lock") as held:
            assert held.descriptor > 2 and not held.waited
        return
    with pytest.raises(OSError, match="no"), locked(tmp_path / "lock"):
        pass
