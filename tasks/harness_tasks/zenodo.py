"""Fetch files of the Monash archive from Zenodo: one record a file, each a .zip with one `.tsf` in it.

A .zip is fetched into `NAME.zip.part` beside the files (`harness.download`) and has the bytes and the md5 that the record says; only then
is the `.tsf` in it unpacked, under the archive's name for it and whole or not at all, and the .zip removed. A note in `.cache/zenodo` says
what was fetched, so that it is known again without asking; a lock beside it lets one process at a time fetch a file into a folder.

A checksum says that the bytes are those of the record, not that they are any good: a .zip that cannot be unpacked, that would unpack to far
more than text packs to, or whose `.tsf` has no header is an error, leaves nothing behind, and the file that was there before as it was.

ZENODO_URL names another address that answers alike.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import download
from harness.download import NoRoomError, Progress, Promised
from harness.errors import DataError
from harness.files import locked, publish, temporary_name

if TYPE_CHECKING:
    from harness_tasks.monash_table import MonashRow

__all__ = ["Remote", "fetch", "list_remote", "noted"]

UNPACKED = 1 << 34
"""Bytes of the largest .tsf that is unpacked; the archive's largest are about a tenth of it."""
RATIO, SMALL = 100, 1 << 26
"""A .tsf may be so many times as large as its .zip (numbers pack to a third, a tenth where most are 0), or have SMALL bytes."""


@dataclass(frozen=True)
class Remote:
    """One file of the archive as its record describes it."""

    row: MonashRow
    file: str  # "m4_hourly_dataset.zip"
    promised: Promised
    license: str  # as Zenodo writes it: "cc-by-4.0"; "" = not said

    @property
    def size(self) -> int:
        return self.promised.size

    @property
    def url(self) -> str:
        return f"{endpoint()}/records/{self.row.zenodo}/files/{self.file}"


def endpoint() -> str:
    """`$ZENODO_URL`, else zenodo.org.

    Raises:
        UsageError: that is no address.
    """
    return download.base_url("ZENODO_URL", "https://zenodo.org")


def noted(row: MonashRow, root: Path) -> bool:
    """Whether this very record's file is below `root`, as it was when it was fetched."""
    try:
        note, stat = _note(row, root), (root / row.file).stat()
        return bool(note["record"] == row.zenodo and note["bytes"] == stat.st_size and note["modified"] == stat.st_mtime_ns)
    except (OSError, KeyError, TypeError):
        return False


def list_remote(row: MonashRow) -> Remote:
    """Ask Zenodo for a file's size and checksum.

    Raises:
        Unavailable: it cannot be reached, or its record does not have the file.
    """
    address = f"{endpoint()}/api/records/{row.zenodo}"
    with _errors(f"could not ask {address} for {row.name}", row):
        body = download.read_listing(address)
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
    return Remote(row, wanted, Promised(size, md5, "md5", "the record"), said)


def fetch(
    item: Remote, root: Path, progress: Progress = lambda _: None, *, force: bool = False, waits: Callable[[], object] = lambda: None
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
    lock = _note_file(item.row, root).with_suffix(".lock")
    with _errors(what, item.row, part), locked(lock, waits) as held:
        if held.waited and noted(item.row, root) and _note(item.row, root).get("md5") == item.promised.digest:
            progress(item.size)
            return
        download.fetch(item.url, part, item.promised, progress, force=force)
        try:
            _unpack(item, part, root)
        except DataError:  # it will be no better next time; where the disk is full, it will
            part.unlink(missing_ok=True)
            raise
        part.unlink(missing_ok=True)


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
    facts = {"record": item.row.zenodo, "md5": item.promised.digest, "bytes": stat.st_size, "modified": stat.st_mtime_ns}
    _note_file(item.row, root).write_text(json.dumps(facts))


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
            download.need_room(temporary.parent, size)
            with archive.open(named[0]) as source, temporary.open("wb") as out:
                shutil.copyfileobj(source, out, download.PIECE)  # no more than the directory of the .zip says; its checksum is looked at
        if (got := download.stored_size(temporary)) != size:
            raise EOFError(f"it ends after {got:,} of {size:,} bytes")
    except (DataError, NoRoomError):
        raise
    except Exception as error:  # zlib, lzma, bz2, struct and zipfile raise a dozen kinds for bytes that are no good
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of bz2; sought before the beginning
            raise
        said = str(error).strip() or type(error).__name__
        raise DataError(f"{item.url}: what came is as its record says, and is no .zip that can be read: {said}") from error


def _errors(what: str, row: MonashRow, part: Path | None = None) -> AbstractContextManager[None]:
    """What goes wrong as Unavailable, with the command that goes on; `part` is where what came is kept."""
    moved = "Check ZENODO_URL. " if os.environ.get("ZENODO_URL") else "The record may have moved: see https://forecastingdata.org. "
    return download.told(what, f"harness data pull monash {row.name}", "name another folder with --data", {404: moved}, part)


def _note_file(row: MonashRow, root: Path) -> Path:
    return root / ".cache" / "zenodo" / f"{row.file}.json"


def _note(row: MonashRow, root: Path) -> dict[str, Any]:
    """What was fetched of a record; nothing where that is not known."""
    try:
        found = json.loads(_note_file(row, root).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
