"""Fetch a file: what every download needs, whoever sends it. Only the standard library fetches, imported when something is fetched.

A file comes into a part beside its place. A connection that breaks is taken up where it broke, in this call and in the next; the part is
whole when it has the bytes and the hash that were promised. Where no size was, the server's word for it counts, and where no hash was
either, the next call begins anew, as nothing would tell that its part is of another file. Whatever else fails is an `Unavailable` that
says what to type to go on.

A link or a pipe where the part goes is never written through: a link is removed, what it leads to is left as it is.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from harness.errors import Unavailable, UsageError
from harness.files import size_text

__all__ = ["Progress", "Promised", "base_url", "disk_hint", "fetch", "need_room", "read_listing", "status_hint", "stored_size", "told"]

ATTEMPTS = 4
"""How often in a row a request may fail without bringing more than before, until it is given up."""
PAUSE = 2.0
"""Seconds before the second attempt; twice as many before each further one."""
LONGEST = 60.0
"""No longer than this is waited, whatever the server asks for."""
TIMEOUT = 60.0
PIECE = 1 << 20
ROOM = 1 << 24
"""Bytes that are left free on the disk."""
MOST = 1 << 22
"""Bytes of an answer that is no file."""
AGAIN = (408, 425, 429, 500, 502, 503, 504)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""Where nothing can be written. A file that is gone (ENOENT) is another matter."""

Progress = Callable[[int], object]
"""Is given how many bytes have come; below 0 where they come again."""
T = TypeVar("T")


@dataclass(frozen=True)
class Promised:
    """What a listing says of a file: bytes (0 = not said), hash ("" = not said) and its `kind`: "md5", "sha256", or "git", git's sha1."""

    size: int
    digest: str
    kind: str
    by: str  # who says so: "the hub"

    def problem(self, path: Path) -> str:
        """What is wrong with a file, to stand behind its name; "" where nothing is."""
        actual = path.stat().st_size
        if self.size and actual != self.size:
            return f"has {actual} bytes where {self.by} says {self.size}"
        if not self.digest:
            return ""
        state = hashlib.new("sha1" if self.kind == "git" else self.kind, usedforsecurity=False)
        if self.kind == "git":
            state.update(f"blob {actual}\0".encode())
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                state.update(piece)
        found = state.hexdigest()
        return "" if found == self.digest else f"has the {self.kind} hash {found[:16]}… where {self.by} says {self.digest[:16]}…"


class NoRoomError(OSError):
    """The disk has no room for what is to come."""


def base_url(variable: str, usual: str) -> str:
    """The address that an environment variable names, else the usual one; without a slash at its end.

    Raises:
        UsageError: that is no address.
    """
    named = os.environ.get(variable, "").strip().rstrip("/") or usual
    if not named.startswith(("http://", "https://")):
        raise UsageError(f"got {variable}={named!r}; wanted an address that begins with https:// or http://")
    return named


def fetch(url: str, part: Path, promised: Promised, progress: Progress = lambda _: None, *, force: bool = False) -> None:
    """Fetch a file into `part`, or what is not there of it yet.

    Args:
        progress: with no promised size it is not known how much there will be.
        force: begin anew where an earlier call has left a part.

    Raises:
        OSError, HTTPException: as of urllib; or it is not what was promised, and thrown away; or the disk cannot take it.
    """
    _clear_way(part)
    if force or not (promised.size or promised.digest) or stored_size(part) > promised.size > 0:
        part.unlink(missing_ok=True)
    need_room(part.parent, max(promised.size - stored_size(part), 0))
    progress(stored_size(part))
    _again(lambda: _append(url, part, promised, progress), lambda: stored_size(part))
    if problem := promised.problem(part):
        part.unlink()
        raise OSError(f"what came {problem}, and is thrown away")


def _clear_way(part: Path) -> None:
    """Remove a link where a part goes, so that it leads nowhere; raises OSError where something else stands there that is no file."""
    with contextlib.suppress(FileNotFoundError):
        mode = part.lstat().st_mode
        if stat.S_ISLNK(mode):
            part.unlink()
        elif not stat.S_ISREG(mode):
            raise OSError(errno.EEXIST, "what stands there is no file", str(part))


def _open_part(part: Path, mode: str) -> IO[bytes]:
    def opener(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)  # nor one that was put there since

    return open(part, mode, opener=opener)


def _append(url: str, part: Path, promised: Promised, progress: Progress) -> None:
    """Get what is not there yet; raises OSError when less comes than was promised, or than the server says where nobody did."""
    from urllib.error import HTTPError

    have, size = stored_size(part), promised.size
    if size and have == size:
        return
    try:
        answer = _ask(url, {"Range": f"bytes={have}-"} if have else {})
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        if not size and error.headers.get("Content-Range", "").strip() == f"bytes */{have}":  # there is no more of it
            error.close()
            return
        part.unlink()  # what is here is no beginning of what is there
        progress(-have)
        error.close()
        raise ConnectionError(f"the server has nothing behind byte {have}") from None
    with answer:
        start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        onward = have > 0 and answer.status == 206 and start is not None and int(start[1]) == have
        if not onward:
            progress(-have)  # the server sends all of it again
        have = have if onward else 0
        if not size and answer.length is not None:
            size = have + answer.length
            need_room(part.parent, answer.length)
        with _open_part(part, "ab" if onward else "wb") as out:
            count = have
            while piece := answer.read1(PIECE):  # what came of a chunk that breaks is kept
                count += len(piece)
                if count > size > 0:
                    part.unlink()  # the beginning of another file
                    progress(len(piece) - count)
                    raise OSError(f"more came than the {size} bytes that {promised.by} says")
                out.write(piece)
                progress(len(piece))
    if count < size:
        raise ConnectionError(f"the connection broke after {count} of {size} bytes")


def read_listing(url: str) -> bytes:
    """A short answer, as of a listing; raises as urllib does, after some attempts."""

    def attempt() -> bytes:
        with _ask(url, {"Accept": "application/json"}) as answer:
            return bytes(answer.read(MOST))

    return _again(attempt)


def _ask(url: str, headers: dict[str, str]) -> Any:
    from urllib.request import Request, urlopen

    return urlopen(Request(url, headers={"User-Agent": "ts-harness", **headers}), timeout=TIMEOUT)


def _again(attempt: Callable[[], T], arrived: Callable[[], int] = lambda: 0) -> T:
    """The answer of `attempt`, which may fail some times for reasons that pass; `arrived` says how far it has come."""
    from http.client import HTTPException
    from urllib.error import HTTPError

    failed, most = 0, arrived()
    while True:
        try:
            return attempt()
        except (OSError, HTTPException) as error:
            status = error.code if isinstance(error, HTTPError) else None
            failed = 1 if arrived() > most else failed + 1
            most = max(most, arrived())
            if failed >= ATTEMPTS or (status is not None and status not in AGAIN) or disk_hint(error, "another place"):
                raise
            asked = error.headers.get("Retry-After", "") if isinstance(error, HTTPError) else ""
            wait = max(PAUSE * 2 ** (failed - 1), float(asked) if asked.isascii() and asked.isdigit() else 0.0)
        time.sleep(min(wait, LONGEST))


@contextmanager
def told(what: str, command: str, elsewhere: str, hints: dict[int, str] | None = None, part: Path | None = None) -> Iterator[None]:
    """Turn what a server, the network or the disk says into Unavailable with the command that goes on.

    Args:
        what: what was being done, for the start of the message: "could not fetch x from y".
        command: what to type to go on.
        elsewhere: how another folder is named where this one is full or closed, for the end of a sentence.
        hints: {HTTP status: what to do about it, a sentence with a space behind}, besides those that are the same everywhere.
        part: where what came is kept, if it is.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError

    def onward() -> str:
        kept = part is not None and stored_size(part) > 0
        return f"{'What came is kept; the same command fetches the rest' if kept else 'The same command tries again'}: {command}"

    try:
        yield
    except HTTPError as error:
        hint = (hints or {}).get(error.code) or status_hint(error.code, "The server")
        with contextlib.suppress(OSError):
            error.close()
        raise Unavailable(f"{what}: HTTP {error.code} {error.reason}. {hint}{onward()}", command) from None
    except (OSError, HTTPException) as error:
        said = str(getattr(error, "reason", "") or error).strip().rstrip(".") or type(error).__name__
        raise Unavailable(f"{what}: {said}. {disk_hint(error, elsewhere)}{onward()}", command) from error


def status_hint(status: int | None, who: str) -> str:
    """What to do where a server answers with this status, as a sentence; "" where that is not known."""
    if status == 429:
        return f"{who} was asked too often: wait some minutes. "
    return f"{who} is in trouble: wait some minutes. " if status is not None and status >= 500 else ""


def disk_hint(error: BaseException, elsewhere: str) -> str:
    """What to do where the disk failed, as a sentence; "" where it did not, or nothing is known to help."""
    number = getattr(error, "errno", None)
    if isinstance(error, NoRoomError) or number in FULL:
        other = f", or {elsewhere}" if elsewhere else ""
        return f"The disk has no room, or the file may not be so large: make room{other}. "
    return f"To write there must be allowed and possible; or {elsewhere}. " if number in CLOSED and elsewhere else ""


def need_room(folder: Path, count: int) -> None:
    """Raise NoRoomError where the disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < count + ROOM:
        raise NoRoomError(f"{size_text(count)} are to come and {size_text(free)} are free in {folder}")


def stored_size(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0
