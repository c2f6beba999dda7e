"""Fetch files of the Monash archive from Zenodo: one record a file, each a .zip with one `.tsf` in it.

A .zip is fetched into `NAME.zip.part` beside the files; a connection that breaks is taken up where it broke, in this call and in the next.
It is whole when it has the bytes and the md5 that the record says; only then is the `.tsf` in it unpacked, under the archive's name for it
and whole or not at all, and the .zip removed. A note in `.cache/zenodo` says what was fetched, so that it is known again without asking;
a lock beside it lets one process at a time fetch a file into a folder.

A checksum says that the bytes are those of the record, not that they are any good: a .zip that cannot be unpacked, that would unpack to far
more than text packs to, or whose `.tsf` has no header is an error, leaves nothing behind, and the file that was there before as it was.

ZENODO_URL names another address that answers alike. Only the standard library fetches, imported when something is fetched.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import DataError, Unavailable, UsageError
from harness.files import publish, temporary_name

if TYPE_CHECKING:
    from harness_tasks.monash_table import MonashRow

__all__ = ["Remote", "fetch", "list_remote", "noted"]

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
"""Bytes of a record's description."""
UNPACKED = 1 << 34
"""Bytes of the largest .tsf that is unpacked; the archive's largest are about a tenth of it."""
RATIO, SMALL = 100, 1 << 26
"""A .tsf may be so many times as large as its .zip (numbers pack to a third, a tenth where most are 0), or have SMALL bytes."""
UNLOCKED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
"""What a file system says that has no locks."""
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""Where nothing can be written. A file that is gone (ENOENT) is another matter."""
AGAIN = (408, 425, 429, 500, 502, 503, 504)

Progress = Callable[[int], None]
T = TypeVar("T")


@dataclass(frozen=True)
class Remote:
    """One file of the archive as its record describes it."""

    row: MonashRow
    file: str  # "m4_hourly_dataset.zip"
    size: int
    md5: str
    license: str  # as Zenodo writes it: "cc-by-4.0"; "" = not said

    @property
    def url(self) -> str:
        return f"{endpoint()}/records/{self.row.zenodo}/files/{self.file}"


def endpoint() -> str:
    """`$ZENODO_URL`, else zenodo.org.

    Raises:
        UsageError: that is no address.
    """
    address = os.environ.get("ZENODO_URL", "").strip().rstrip("/") or "https://zenodo.org"
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"got ZENODO_URL={address!r}; wanted an address that begins with https:// or http://")
    return address


def noted(row: MonashRow, root: Path) -> bool:
    """Whether this very record's file is below `root`, as it was when it was fetched."""
    try:
        note = json.loads(_note(row, root).read_bytes())
        stat = (root / row.file).stat()
        return bool(note["record"] == row.zenodo and note["bytes"] == stat.st_size and note["modified"] == stat.st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def list_remote(row: MonashRow) -> Remote:
    """Ask Zenodo for a file's size and checksum.

    Raises:
        Unavailable: it cannot be reached, or its record does not have the file.
    """
    address = f"{endpoint()}/api/records/{row.zenodo}"
    with _errors(f"could not ask {address} for {row.name}", row):
        body = _again(lambda: _read(address))
        wanted = row.url.rpartition("/")[2]
        try:
            found = json.loads(body)
            files = {file["key"]: file for file in found["files"]}
            license = (found.get("metadata") or {}).get("license") or {}
            said = str(license.get("id") or "") if isinstance(license, dict) else str(license)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OSError(f"what it answered is no description of a record ({type(error).__name__}: {error})") from error
        if wanted not in files:
            raise OSError(f"record {row.zenodo} has no file {wanted}; it has {', '.join(files)[:200] or 'none'}")
        kind, _, md5 = str(files[wanted].get("checksum", "")).partition(":")
        size = files[wanted].get("size")
        if kind != "md5" or not re.fullmatch("[0-9a-f]{32}", md5) or not isinstance(size, int) or size <= 0:
            raise OSError(f"it says size {size!r} and checksum {files[wanted].get('checksum')!r} of {wanted}; wanted bytes and md5:…")
    return Remote(row, wanted, size, md5, said)


def _unseen(count: int) -> None:
    """No progress is shown."""
    del count


def fetch(
    item: Remote, root: Path, progress: Progress = _unseen, *, force: bool = False, waits: Callable[[], object] = lambda: None
) -> None:
    """Fetch one file below `root`; an old one is replaced when the new one is whole. Where another process is fetching it into the same
    folder, wait for that, and take what it has fetched.

    Args:
        progress: is given how many bytes have come.
        force: begin anew where an earlier call has left a part.
        waits: called once before waiting for another process.

    Raises:
        Unavailable: Zenodo cannot be reached or broke off, what it sent is not what its record says, or the disk cannot take it.
        DataError: the .zip is as the record says, and cannot be unpacked, or has no one `.tsf` in it, or one without a header.
    """
    part = root / f"{item.file}.part"
    what = f"could not fetch {item.row.name} from {item.url} into {root}"
    with _errors(what, item.row, part), _alone(item, root, waits) as waited:
        if waited and noted(item.row, root) and _noted_md5(item.row, root) == item.md5:
            progress(item.size)
            return
        if force:
            part.unlink(missing_ok=True)
        _room(root, item.size - _size(part))
        if _size(part) > item.size:
            part.unlink()
        progress(_size(part))
        _again(lambda: _append(item, part, progress), lambda: _size(part))
        if (md5 := _md5(part)) != item.md5:
            part.unlink()
            raise OSError(f"its md5 is {md5}; the record says {item.md5}, so what came is thrown away")
        try:
            _unpack(item, part, root)
        except DataError:  # it will be no better next time; where the disk is full, it will
            part.unlink(missing_ok=True)
            raise
        part.unlink(missing_ok=True)


@contextmanager
def _alone(item: Remote, root: Path, waits: Callable[[], object]) -> Iterator[bool]:
    """Keep other processes from fetching the same file into the same folder; yields whether one was waited for."""
    import fcntl

    note = _note(item.row, root)
    note.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    with note.with_suffix(".lock").open("a") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            waits()
            fcntl.flock(mark, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in UNLOCKED:
                raise
        yield waited


def _append(item: Remote, part: Path, progress: Progress) -> None:
    """Get what is not there yet; raises OSError when less comes than the record says."""
    from urllib.error import HTTPError

    have = _size(part)
    if have == item.size:
        return
    try:
        answer = _open(item.url, {"Range": f"bytes={have}-"} if have else {})
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        part.unlink()  # what is here is no beginning of what is there
        progress(-have)
        error.close()
        raise ConnectionError(f"the server has nothing behind byte {have}") from None
    with answer:
        start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        onward = have > 0 and answer.status == 206 and start is not None and int(start[1]) == have
        if not onward:
            progress(-have)  # the server sends all of it again
        with part.open("ab" if onward else "wb") as out:
            count = have if onward else 0
            while piece := answer.read(PIECE):
                count += len(piece)
                if count > item.size:
                    raise OSError(f"more came than the {item.size} bytes that the record says")
                out.write(piece)
                progress(len(piece))
    if count < item.size:
        raise ConnectionError(f"the connection broke after {count} of {item.size} bytes")


def _unpack(item: Remote, part: Path, root: Path) -> None:
    """Take the .tsf out of the .zip. Only its bytes are taken: what it is called inside leads nowhere."""
    from harness_tasks.tsf import read_header

    target = root / item.row.file
    temporary = temporary_name(target)
    try:
        _take(item, part, temporary)
        try:
            read_header(temporary, strict=False)
        except DataError as error:
            why = str(error).replace(str(temporary), item.row.file)
            raise DataError(f"{item.url}: what came is as its record says, and the .tsf in it is none: {why}") from None
        publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    stat = target.stat()
    note = _note(item.row, root)
    note.write_text(json.dumps({"record": item.row.zenodo, "md5": item.md5, "bytes": stat.st_size, "modified": stat.st_mtime_ns}))


def _take(item: Remote, part: Path, temporary: Path) -> None:
    """Unpack the one .tsf of a .zip into a file.

    Raises:
        DataError: there is none or several, it is too large, or cannot be unpacked.
        OSError: the disk cannot take it.
    """
    import zipfile

    try:
        with zipfile.ZipFile(part) as archive:
            inside = [info for info in archive.infolist() if not info.is_dir() and info.filename.lower().endswith(".tsf")]
            named = [info for info in inside if info.filename.rpartition("/")[2] == item.row.file] or inside
            if len(named) != 1:
                raise DataError(f"{item.url}: got {len(named)} .tsf files in it; wanted {item.row.file} alone")
            size, most = named[0].file_size, min(UNPACKED, max(SMALL, RATIO * item.size))
            if size > most:
                raise DataError(f"{item.url}: got a .tsf of {size:,} bytes in a .zip of {item.size:,}; wanted at most {most:,}")
            _room(temporary.parent, size)
            with archive.open(named[0]) as source, temporary.open("wb") as out:
                shutil.copyfileobj(source, out, PIECE)  # no more than the directory of the .zip says; its checksum is looked at
        if (got := _size(temporary)) != size:
            raise EOFError(f"it ends after {got:,} of {size:,} bytes")
    except (DataError, NoRoomError):
        raise
    except Exception as error:  # zlib, lzma, bz2, struct and zipfile raise a dozen kinds for bytes that are no good
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of bz2; sought before the beginning
            raise
        said = str(error).strip() or type(error).__name__
        raise DataError(f"{item.url}: what came is as its record says, and is no .zip that can be read: {said}") from error


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
            if failed >= ATTEMPTS or (status is not None and status not in AGAIN) or _disk(error):
                raise
            asked = error.headers.get("Retry-After", "") if isinstance(error, HTTPError) else ""
            wait = max(PAUSE * 2 ** (failed - 1), float(asked) if asked.isascii() and asked.isdigit() else 0.0)
        time.sleep(min(wait, LONGEST))


def _open(address: str, headers: dict[str, str] | None = None) -> Any:
    from urllib.request import Request, urlopen

    return urlopen(Request(address, headers={"User-Agent": "ts-harness", **(headers or {})}), timeout=TIMEOUT)


def _read(address: str) -> bytes:
    with _open(address, {"Accept": "application/json"}) as answer:
        return bytes(answer.read(MOST))


@contextmanager
def _errors(what: str, row: MonashRow, part: Path | None = None) -> Iterator[None]:
    """Turn what Zenodo, the network or the disk says into Unavailable with the command that goes on.

    Args:
        part: where what came is kept, if it is.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError

    command = f"harness data pull monash {row.name}"

    def onward() -> str:
        kept = part is not None and _size(part) > 0
        return f"{'What came is kept; the same command fetches the rest' if kept else 'The same command tries again'}: {command}"

    try:
        yield
    except HTTPError as error:
        hint = ""
        if error.code == 404:
            hint = "Check ZENODO_URL. " if os.environ.get("ZENODO_URL") else "The record may have moved: see https://forecastingdata.org. "
        elif error.code == 429:
            hint = "It was asked too often: wait some minutes. "
        elif error.code >= 500:
            hint = "It is in trouble: wait some minutes. "
        with contextlib.suppress(OSError):
            error.close()
        raise Unavailable(f"{what}: HTTP {error.code} {error.reason}. {hint}{onward()}", command) from None
    except (OSError, HTTPException) as error:
        said = str(getattr(error, "reason", "") or error).strip().rstrip(".") or type(error).__name__
        raise Unavailable(f"{what}: {said}. {_hint(error)}{onward()}", command) from error


class NoRoomError(OSError):
    """The disk has no room for what is to come."""


def _disk(error: BaseException) -> bool:
    """Whether it is the disk and not the network that failed."""
    return bool(_hint(error))


def _hint(error: BaseException) -> str:
    """What to do where the disk failed, as a sentence; "" where it did not."""
    from harness.hub import FULL

    number = getattr(error, "errno", None)
    if isinstance(error, NoRoomError) or number in FULL:
        return "The disk cannot take it: make room, or name another folder with --data. "
    return "To write there must be allowed and possible; or name another folder with --data. " if number in CLOSED else ""


def _room(root: Path, count: int) -> None:
    free = shutil.disk_usage(root).free
    if free < count + ROOM:
        from harness.cli.output import size_text

        raise NoRoomError(f"{size_text(count)} are to come and {size_text(free)} are free in {root}")


def _md5(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _noted_md5(row: MonashRow, root: Path) -> str:
    """Of the .zip that a file came from; "" where that is not known."""
    try:
        return str(json.loads(_note(row, root).read_bytes())["md5"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _note(row: MonashRow, root: Path) -> Path:
    return root / ".cache" / "zenodo" / f"{row.file}.json"
