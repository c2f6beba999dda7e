"""Paths that a user types, writing files whole or not at all, keeping other processes out, and sizes in words."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from harness.errors import DataError, StoreError, UsageError

__all__ = [
    "HOST",
    "Held",
    "data_folder",
    "expanded",
    "expanded_home",
    "flush",
    "hold",
    "locked",
    "need_text",
    "other_than_file",
    "publish",
    "size_text",
    "temporary_name",
    "write_whole",
]

HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
"""This machine, in names of unfinished files: where several write into one folder, each clears away only its own."""

UNLOCKED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
"""What a file system says that has no locks."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with "~" and "~name" resolved; as it is where there is no such user or home, so that it is then not found. Never raises."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's raises where there is no home


def expanded_home(path: str | os.PathLike[str], said: str, instead: str) -> Path:
    """`expanded`, where a folder may be made: one that is called "~name" is not what was meant.

    Args:
        said: what was got, for the message: "HARNESS_CACHE=~nobody".
        instead: what to type.

    Raises:
        UsageError: there is no such user or home.
    """
    found, text = expanded(path), os.fspath(path)
    if text.startswith("~") and str(found).startswith("~"):
        raise UsageError(f"got {said}: there is no home that {found.parts[0]!r} could stand for; write out where it is: {instead}")
    return found


def data_folder(data: str | Path | None, variable: str = "") -> Path | None:
    """The folder of a suite's data: `data`, else what the environment variable names; None where neither is given.

    Raises:
        UsageError: it is no folder, or none that is there.
    """
    named = os.environ.get(variable, "") if variable else ""
    given = data if data is not None else named
    if data is None and not named:
        return None
    folder = expanded(given)
    if not os.path.isdir(folder):  # noqa: PTH112 - Path's raises for a text too long to be a path
        raise UsageError(f"{'--data ' if data is not None else f'{variable}='}{folder}: there is no such folder")
    return folder


def need_text(path: str | os.PathLike[str]) -> None:
    """Refuse a path that is no text: names of files may be any bytes, and one becomes a name in results, or an argument of a library.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "replace")
        raise DataError(f"{shown}: this path is not UTF-8 (what is not stands here as \ufffd); wanted one that is. Rename it") from None


def other_than_file(path: Path) -> str:
    """What is at a path where it is no regular file, with its article, for a message: "a pipe"; "" for a file, or where nothing is (also
    behind a link).

    Who opens a pipe waits for a writer, without end where there is none.

    >>> other_than_file(Path("/")), other_than_file(Path("/dev/null")), other_than_file(Path("/no such place"))
    ('a folder', 'a device', '')
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - one for the text of any path
    except (OSError, ValueError):
        return ""
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "" if stat.S_ISREG(mode) else "no regular file")


def temporary_name(path: Path) -> Path:
    """Where this process writes a file until it is whole."""
    return path.with_name(f"{path.stem}.{HOST}.{os.getpid()}.tmp")


def publish(temporary: Path, path: Path) -> None:
    """Flush a finished file to the disk and give it its name, so that the name always means the whole file."""
    flush(temporary)
    temporary.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Have the disk take what was written to a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: str | bytes, hint: str = "choose another file with -o") -> None:
    """Write a file so that its name never stands for a part of it; a link to a file stays one.

    A pipe, a device or an open file (/dev/stdout, /dev/fd/3) is written to as it is, behind what is in it.

    Args:
        content: text is written as UTF-8, half characters as "?".
        hint: what to do where the path is no good.

    Raises:
        StoreError: it could not be written; a file that was there before is unchanged.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        if _is_open_file(path) or (path.exists() and not path.is_file()):
            with path.open("ab") as stream:
                stream.write(data)
            return
        target = path.resolve()
        temporary = temporary_name(target)
        try:
            temporary.write_bytes(data)
            publish(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # links in a circle are a RuntimeError in Python 3.11 and 3.12
        raise StoreError(f"could not write {path}: {getattr(error, 'strerror', None) or error}; {hint}") from error


def _is_open_file(path: Path) -> bool:
    """Whether a path is another name of a file that this process has open: replacing that would not reach who reads it."""
    whole = os.path.abspath(path)  # noqa: PTH100 - Path.absolute() leaves ".." in
    return whole in ("/dev/stdout", "/dev/stderr") or os.path.realpath(Path(whole).parent).startswith(("/proc/", "/dev/fd"))


class Held(NamedTuple):
    """A lock that is held: the file descriptor, and whether another process was waited for.

    A process that is handed the descriptor holds the lock too, until it has gone, whatever becomes of this one.
    """

    descriptor: int
    waited: bool


def hold(lock: Path) -> TextIO | None:
    """Take a lock without waiting, until what is returned is closed or the process ends; None = another process has it.

    On a file system without locks, and on Windows, nobody is kept out.

    Args:
        lock: a file that is made, in a folder that is there; it stays, empty.

    Raises:
        OSError: it cannot be made.
    """
    handle = lock.open("a")
    with contextlib.suppress(ImportError):  # not on Windows
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        except OSError:  # a file system without locks
            pass
    return handle


@contextlib.contextmanager
def locked(lock: Path, waits: Callable[[], object] = lambda: None) -> Iterator[Held]:
    """Keep other processes out that want the same lock; on a file system without locks nobody is kept out.

    Args:
        lock: a file that stands for what they would do, made with its folder; it stays, empty.
        waits: called once before waiting for another process.
    """
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    waited = False
    with lock.open("a") as mark:
        try:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                waits()
                fcntl.flock(mark, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in UNLOCKED:
                raise
        yield Held(mark.fileno(), waited)


def size_text(count: float) -> str:
    """A number of bytes for people.

    >>> size_text(12), size_text(925_000_000)
    ('12 B', '925.0 MB')
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
