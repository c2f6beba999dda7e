"""`harness data pull monash` against a server on loopback that speaks Zenodo's interface."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness import download
from harness.errors import DataError, HarnessError, Unavailable, UsageError
from harness_tasks import plugin, zenodo
from harness_tasks.monash_table import MonashRow, monash_row
from harness_tasks.tsf import write_tsf

RIVER, BIRTHS = monash_row("saugeenday"), monash_row("us_births")  # files of one series each


class Zenodo(ThreadingHTTPServer):
    """Records of .zip files: what they hold, what was asked, and what shall go wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[int, tuple[str, bytes]] = {}
        self.md5: dict[int, str] = {}  # other than the file's
        self.asked: list[str] = []  # of files, with the range
        self.described: list[int] = []
        self.cut = 0  # so many answers break off half way
        self.no_range = False
        self.status: list[int] = []  # of the next answers, instead of the files
        self.api_status = 200
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, row: MonashRow, inside: dict[str, bytes]) -> None:
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in inside.items():
                archive.writestr(name, content)
        self.files[row.zenodo] = (row.url.rpartition("/")[2], body.getvalue())


class Handler(BaseHTTPRequestHandler):
    server: Zenodo
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # the name is the base class's
        """Say nothing."""

    def do_GET(self) -> None:
        at = self.server
        if found := re.fullmatch(r"/api/records/(\d+)", self.path):
            number = int(found[1])
            at.described.append(number)
            if at.api_status != 200 or number not in at.files:
                self.answer(b"no", at.api_status if at.api_status != 200 else 404)
                return
            name, body = at.files[number]
            md5 = at.md5.get(number) or hashlib.md5(body, usedforsecurity=False).hexdigest()
            file = {"key": name, "size": len(body), "checksum": f"md5:{md5}"}
            self.answer(json.dumps({"files": [file], "metadata": {"license": {"id": "cc-by-4.0"}}}).encode())
        elif found := re.fullmatch(r"/records/(\d+)/files/(.+)", self.path):
            self.file(*at.files[int(found[1])])
        else:
            self.answer(b"", 404)

    def file(self, name: str, body: bytes) -> None:
        at, asked = self.server, self.headers.get("Range", "")
        at.asked.append(f"{name} {asked}".strip())
        if at.status:
            self.answer(b"not now", at.status.pop(0), at.headers)
            return
        low = 0 if at.no_range or not asked else int(asked.removeprefix("bytes=").rstrip("-"))
        headers = {"Content-Range": f"bytes {low}-{len(body) - 1}/{len(body)}"} if low else {}
        rest = body[low:]
        at.cut, cut = max(0, at.cut - 1), at.cut > 0
        self.answer(rest, 206 if low else 200, headers, len(rest) // 2 if cut else None)

    def answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = self.close_connection or cut is not None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zenodo]:
    made = Zenodo()
    for number, row in enumerate((RIVER, BIRTHS)):
        made.put(row, {row.file: content(tmp_path, row, number)})
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("ZENODO_URL", made.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("MONASH", raising=False)
    monkeypatch.setattr(download, "PAUSE", 0.0)
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def content(folder: Path, row: MonashRow, seed: int) -> bytes:
    """A file as the archive might have it."""
    path = folder / f"source-{row.file}"
    write_tsf(path, [np.random.default_rng(seed).normal(size=9000)], frequency=row.frequency, relation=row.name)
    return path.read_bytes()


def pull(root: Path, *arguments: str) -> Result:
    cli = click.Group()
    plugin.register_commands(cli)
    result = CliRunner().invoke(cli, ["data", "pull", "monash", "--data", str(root), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def same(tmp_path: Path, root: Path, *rows: MonashRow) -> bool:
    return all((root / row.file).read_bytes() == (tmp_path / f"source-{row.file}").read_bytes() for row in rows)


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.is_file())


def test_one_then_nothing_again_then_the_rest(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    result = pull(root, "saugeenday")
    assert same(tmp_path, root, RIVER)
    assert left(root) == [RIVER.file]
    assert f"saugeenday  {server.files[RIVER.zenodo][0]}, " in result.stderr
    assert "cc-by-4.0" in result.stderr
    assert f"export MONASH={root}" in result.stderr
    assert "saugeenday" in result.stdout and " ok " in result.stdout
    server.asked.clear()
    server.described.clear()
    assert "all of it is here" in pull(root, "saugeenday").stderr
    assert (server.asked, server.described) == ([], []), "what was fetched is known without asking"
    pull(root, "saugeen", "us_births_dataset.tsf")
    assert same(tmp_path, root, RIVER, BIRTHS)
    assert len(server.asked) == 1


def test_a_connection_that_breaks_is_taken_up_where_it_broke(server: Zenodo, tmp_path: Path) -> None:
    server.cut = 2
    pull(tmp_path / "mine", "us_births")
    assert same(tmp_path, tmp_path / "mine", BIRTHS)
    size = len(server.files[BIRTHS.zenodo][1])
    lows = [int(asked.partition("bytes=")[2].rstrip("-") or 0) for asked in server.asked]
    assert lows == [0, size // 2, size // 2 + (size - size // 2) // 2]


def test_more_breaks_than_attempts_are_well_while_more_comes(server: Zenodo, tmp_path: Path) -> None:
    server.cut = download.ATTEMPTS + 3
    pull(tmp_path / "mine", "us_births")
    assert same(tmp_path, tmp_path / "mine", BIRTHS)


def test_the_next_call_goes_on_where_the_last_one_stopped(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "mine"
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.cut = 1
    with pytest.raises(
        Unavailable, match=r"could not fetch us_births .*broke after \d+ of \d+ bytes.*: harness data pull monash us_births"
    ) as e:
        pull(root, "us_births")
    assert e.value.exit_code == 3
    (part,) = left(root)
    have = (root / part).stat().st_size
    assert have > 0 and part.endswith(".part")
    pull(root, "us_births")
    assert server.asked[-1].endswith(f"bytes={have}-")
    assert same(tmp_path, root, BIRTHS)


def test_a_server_without_ranges_sends_all_again(server: Zenodo, tmp_path: Path) -> None:
    server.cut, server.no_range = 1, True
    pull(tmp_path / "mine", "us_births")
    assert len(server.asked) == 2
    assert same(tmp_path, tmp_path / "mine", BIRTHS)


def test_a_range_that_the_server_refuses_is_dropped(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    (root / f"{server.files[BIRTHS.zenodo][0]}.part").write_bytes(b"old")
    server.status = [416]
    pull(root, "us_births")
    assert [asked.count("bytes=") for asked in server.asked] == [1, 0]
    assert same(tmp_path, root, BIRTHS)


def test_a_part_that_is_another_files_is_seen_by_the_checksum(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    (root / f"{server.files[BIRTHS.zenodo][0]}.part").write_bytes(b"\0" * 50)
    with pytest.raises(
        Unavailable,
        match=r"what came has the md5 hash \w+… where the record says \w+…, and is thrown away\. The same command tries again: ",
    ) as caught:
        pull(root, "us_births")
    assert "kept" not in str(caught.value)
    assert left(root) == []
    pull(root, "us_births")
    assert same(tmp_path, root, BIRTHS)


def test_a_wrong_checksum_leaves_the_old_file_as_it_was(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    pull(root, "us_births")
    server.md5[BIRTHS.zenodo] = "0" * 32
    with pytest.raises(Unavailable, match=f"the record says {'0' * 16}…"):
        pull(root, "us_births", "--force")
    assert same(tmp_path, root, BIRTHS)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_where_the_part_goes_is_not_written_through(server: Zenodo, tmp_path: Path, there: bool) -> None:
    root, theirs = tmp_path / "mine", tmp_path / "theirs"
    root.mkdir()
    if there:
        theirs.write_bytes(server.files[BIRTHS.zenodo][1][:50])  # as if it were the beginning
    (root / f"{server.files[BIRTHS.zenodo][0]}.part").symlink_to(theirs)
    pull(root, "us_births")
    assert same(tmp_path, root, BIRTHS) and left(root) == [BIRTHS.file]
    assert theirs.exists() == there and (not there or theirs.stat().st_size == 50)
    assert [asked.count("bytes=") for asked in server.asked] == [0], "what it leads to is no part"


def test_a_link_that_is_put_there_meanwhile_is_not_written_through(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, theirs = tmp_path / "mine", tmp_path / "theirs"
    root.mkdir()
    theirs.write_bytes(b"")
    (root / f"{server.files[BIRTHS.zenodo][0]}.part").symlink_to(theirs)
    monkeypatch.setattr(download, "_clear_way", lambda part: None)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    with pytest.raises(Unavailable, match=r"could not fetch us_births .*Too many levels of symbolic links"):
        pull(root, "us_births")
    assert theirs.read_bytes() == b""


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_stays_where_the_part_goes(server: Zenodo, tmp_path: Path, make: Callable[[Path], None]) -> None:
    part = tmp_path / "mine" / f"{server.files[BIRTHS.zenodo][0]}.part"
    part.parent.mkdir()
    make(part)
    with pytest.raises(Unavailable, match=r"what stands there is no file: .*\.part'\. .*name another folder with --data"):
        pull(tmp_path / "mine", "us_births")
    assert part.exists() and server.asked == []


def test_a_server_that_is_busy_is_asked_again(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    server.status, server.headers = [503, 429], {"Retry-After": "7"}
    pull(tmp_path / "mine", "us_births")
    assert waited == [7, 7]
    assert same(tmp_path, tmp_path / "mine", BIRTHS)


@pytest.mark.parametrize(("status", "asked", "words"), [(404, 1, "HTTP 404.*Check ZENODO_URL"), (503, 4, "HTTP 503.*wait some minutes")])
def test_a_file_that_does_not_come(server: Zenodo, tmp_path: Path, status: int, asked: int, words: str) -> None:
    server.status = [status] * 9
    with pytest.raises(Unavailable, match=words):
        pull(tmp_path / "mine", "us_births")
    assert len(server.asked) == asked


def test_a_record_that_is_not_there(server: Zenodo, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"could not ask .*/api/records/4656014 for hospital: HTTP 404"):
        pull(tmp_path / "mine", "hospital")
    server.api_status = 503
    with pytest.raises(Unavailable, match=r"HTTP 503.*harness data pull monash us_births"):
        pull(tmp_path / "mine", "us_births")


def test_a_record_without_the_file(server: Zenodo, tmp_path: Path) -> None:
    server.files[BIRTHS.zenodo] = ("other.zip", b"x")
    with pytest.raises(Unavailable, match=r"record 4656049 has no file us_births_dataset.zip; it has other.zip"):
        pull(tmp_path / "mine", "us_births")


def test_no_server_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setenv("ZENODO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(Unavailable, match=r"could not ask http://127\.0\.0\.1:9/api/records/4656049 .*refused"):
        pull(tmp_path / "mine", "us_births")
    monkeypatch.setenv("ZENODO_URL", "file:///etc")
    with pytest.raises(UsageError, match="wanted an address that begins with https://"):
        pull(tmp_path / "mine", "us_births")


def test_nothing_leaves_the_folder_whatever_the_zip_says(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "deep" / "mine"
    body = content(tmp_path, BIRTHS, 1)
    server.put(BIRTHS, {f"../../{BIRTHS.file}": body, "../evil.txt": b"x", "/abs/readme.md": b"x"})
    pull(root, "us_births")
    assert same(tmp_path, root, BIRTHS)
    made = {path.name for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith("source-")}
    assert made == {BIRTHS.file, f"{BIRTHS.file}.json", f"{BIRTHS.file}.lock", "fingerprints.json"}


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ({"readme.txt": b"x"}, "got 0 .tsf files in it"),
        ({"a.tsf": b"x", "b.tsf": b"y"}, "got 2 .tsf files in it"),
        (None, "no .zip that can be"),
    ],
)
def test_a_zip_that_holds_something_else(server: Zenodo, tmp_path: Path, inside: dict[str, bytes] | None, words: str) -> None:
    if inside is None:
        server.files[BIRTHS.zenodo] = ("us_births_dataset.zip", b"this is a page to log in")
    else:
        server.put(BIRTHS, inside)
    with pytest.raises(DataError, match=words):
        pull(tmp_path / "mine", "us_births")
    assert left(tmp_path / "mine") == []


def zipped(content: bytes, method: int, low: int, bad: bytes) -> bytes:
    """A .zip with one .tsf, in which some bytes are others."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        archive.writestr(BIRTHS.file, content)
    data = bytearray(body.getvalue())
    low = data.rfind(b"PK\x01\x02") + low if low < 30 else low  # of the directory, or of what is packed
    data[low : low + len(bad)] = bad
    return bytes(data)


@pytest.mark.parametrize(
    ("method", "low", "bad", "words"),
    [
        (zipfile.ZIP_DEFLATED, 60, b"\xff" * 30, "invalid"),
        (zipfile.ZIP_LZMA, 70, b"\xff" * 40, "Corrupt|CRC"),
        (zipfile.ZIP_BZIP2, 70, b"\xff" * 40, "Invalid data stream|CRC"),
        (zipfile.ZIP_STORED, 70, b"\xff" * 40, "CRC"),
        (zipfile.ZIP_DEFLATED, 10, b"\x63\x00", "compression method"),
        (zipfile.ZIP_DEFLATED, 8, b"\x01\x00", "encrypted"),
        (zipfile.ZIP_STORED, 24, b"\xff\xff\xff\x02", "ends after|EOF|CRC|Truncated|Overlapped"),  # says it has 50 MB
    ],
)
def test_a_zip_with_the_right_checksum_that_cannot_be_unpacked(
    server: Zenodo, tmp_path: Path, method: int, low: int, bad: bytes, words: str
) -> None:
    root = tmp_path / "mine"
    old, good = content(tmp_path, BIRTHS, 1), server.files[BIRTHS.zenodo]
    server.files[BIRTHS.zenodo] = ("us_births_dataset.zip", zipped(old, method, low, bad))
    with pytest.raises(DataError, match=rf"what came is as its record says, and is no .zip that can be read: .*({words})"):
        pull(root, "us_births")
    assert left(root) == [], "neither the part nor a half of the file"
    server.files[BIRTHS.zenodo] = good
    pull(root, "us_births")
    assert same(tmp_path, root, BIRTHS)


def test_no_more_is_unpacked_than_text_packs_to(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = content(tmp_path, BIRTHS, 1)
    server.put(BIRTHS, {BIRTHS.file: body + b"T2:" + b"1," * 1_000_000 + b"1\n"})
    monkeypatch.setattr(zenodo, "RATIO", 2)
    monkeypatch.setattr(zenodo, "SMALL", 1000)
    with pytest.raises(DataError, match=r"got a .tsf of 2,0\d\d,\d\d\d bytes in a .zip of [\d,]+; wanted at most"):
        pull(tmp_path / "mine", "us_births")
    assert left(tmp_path / "mine") == []
    monkeypatch.setattr(zenodo, "RATIO", 100)
    monkeypatch.setattr(zenodo, "UNPACKED", 2_000_000)
    with pytest.raises(DataError, match="wanted at most 2,000,000"):
        pull(tmp_path / "mine", "us_births")


@pytest.mark.parametrize("inside", [b"", b"hello\n", b"@relation x\n"])
def test_a_tsf_that_is_none_is_neither_kept_nor_noted(server: Zenodo, tmp_path: Path, inside: bytes) -> None:
    root = tmp_path / "mine"
    pull(root, "us_births")
    good = server.files[BIRTHS.zenodo]
    server.put(BIRTHS, {BIRTHS.file: inside})
    with pytest.raises(DataError, match=rf"the .tsf in it is none: {BIRTHS.file}"):
        pull(root, "us_births", "--force")
    assert same(tmp_path, root, BIRTHS), "the old one is as it was"
    (root / BIRTHS.file).unlink()
    with pytest.raises(DataError, match=r"the .tsf in it is none"):
        pull(root, "us_births")
    assert left(root) == [] and not zenodo.noted(BIRTHS, root)
    server.files[BIRTHS.zenodo] = good
    pull(root, "us_births")
    assert same(tmp_path, root, BIRTHS)


def test_a_broken_body_says_how_it_is_fetched_again(server: Zenodo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = content(tmp_path, BIRTHS, 1)
    server.put(BIRTHS, {BIRTHS.file: body[: body.index(b"@data") + 6] + b"T1:what\n"})
    for _ in range(2):
        cli = click.Group()
        plugin.register_commands(cli)
        result = CliRunner().invoke(cli, ["data", "pull", "monash", "us_births", "--data", str(tmp_path / "mine")])
        assert isinstance(result.exception, DataError)
        assert "harness data pull monash us_births --force" in " ".join(result.stdout.split())
    assert len(server.asked) == 1


def test_force_begins_anew(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    (root / f"{server.files[BIRTHS.zenodo][0]}.part").write_bytes(b"old")
    pull(root, "us_births", "--force")
    assert [asked.count("bytes=") for asked in server.asked] == [0]
    assert same(tmp_path, root, BIRTHS)


def test_two_at_once_fetch_one_file_once(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, held, go = tmp_path / "mine", threading.Event(), threading.Event()
    item, append = zenodo.list_remote(BIRTHS), download._append

    def slowly(*arguments: Any) -> None:
        held.set()
        assert go.wait(10)
        append(*arguments)

    monkeypatch.setattr(download, "_append", slowly)
    first = threading.Thread(target=zenodo.fetch, args=(item, root))
    first.start()
    assert held.wait(10)
    told: list[int] = []
    zenodo.fetch(item, root, told.append, waits=go.set)
    first.join()
    assert same(tmp_path, root, BIRTHS)
    assert (len(server.asked), told) == (1, [item.size])
    assert left(root) == [BIRTHS.file]


def test_when_the_other_one_failed_it_is_fetched_after_all(server: Zenodo, tmp_path: Path) -> None:
    import fcntl

    root = tmp_path / "mine"
    lock = root / ".cache" / "zenodo" / f"{BIRTHS.file}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        zenodo.fetch(zenodo.list_remote(BIRTHS), root, waits=other.close)
    assert same(tmp_path, root, BIRTHS)


def test_what_is_gone_is_not_a_full_disk(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(promised: download.Promised, path: Path) -> str:
        path.unlink()
        return path.read_text()

    monkeypatch.setattr(download.Promised, "problem", gone)
    with pytest.raises(Unavailable, match="No such file") as caught:
        pull(tmp_path / "mine", "us_births")
    assert "disk" not in str(caught.value) and "kept" not in str(caught.value)


def test_a_folder_that_cannot_be_one(server: Zenodo, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    refused = pull(tmp_path / "mine", "us_births")
    assert refused.exit_code == 2 and "is a file" in refused.stderr
    (tmp_path / "other" / BIRTHS.file).mkdir(parents=True)
    with pytest.raises(Unavailable, match="name another folder with --data"):
        zenodo.fetch(zenodo.list_remote(BIRTHS), tmp_path / "other")


def test_a_user_who_is_not_there_is_part_of_a_name(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MONASH", "~nosuchuser/monash")
    cli = click.Group()
    plugin.register_commands(cli)
    CliRunner().invoke(cli, ["data", "pull", "monash", "us_births"], catch_exceptions=False)
    assert same(tmp_path, tmp_path / "~nosuchuser" / "monash", BIRTHS)


def test_a_full_disk_is_said_before_anything_is_fetched(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ROOM", 1 << 60)
    with pytest.raises(Unavailable, match=r"are free in .*make room, or name another folder with --data"):
        pull(tmp_path / "mine", "us_births")
    assert server.asked == []


def test_a_changed_file_is_fetched_again_and_one_from_elsewhere_is_kept(server: Zenodo, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    pull(root, "us_births")
    (root / BIRTHS.file).write_bytes((root / BIRTHS.file).read_bytes().replace(b"@data", b"@dat"))
    pull(root, "us_births")
    assert same(tmp_path, root, BIRTHS)
    server.asked.clear()
    body = content(tmp_path, RIVER, 5)  # not what the server has
    (root / RIVER.file).write_bytes(body)
    pull(root, "saugeenday")
    assert server.asked == []
    pull(root, "saugeenday", "--force")
    assert len(server.asked) == 1
    assert (root / RIVER.file).read_bytes() != body


def test_dry_run_fetches_nothing(server: Zenodo, tmp_path: Path) -> None:
    result = pull(tmp_path / "mine", "saugeenday", "us_births", "--dry-run")
    assert "2 files, 0 of them here" in result.stderr
    assert server.asked == []
    assert not (tmp_path / "mine").exists()


def test_names_are_checked_before_the_network(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"suite monash has no dataset 'hospitl'\. Did you mean 'hospital'"):
        pull(tmp_path / "mine", "hospitl")


def test_progress_adds_up_also_when_all_is_sent_again(server: Zenodo, tmp_path: Path) -> None:
    server.cut, server.no_range = 1, True
    item = zenodo.list_remote(BIRTHS)
    told: list[int] = []
    zenodo.fetch(item, tmp_path / "mine", told.append)
    assert sum(told) == item.size
    assert min(told) < 0


def test_default_folder_is_that_of_the_environment(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONASH", str(tmp_path / "named"))
    cli = click.Group()
    plugin.register_commands(cli)
    result = CliRunner().invoke(cli, ["data", "pull", "monash", "us_births"], catch_exceptions=False)
    assert same(tmp_path, tmp_path / "named", BIRTHS)
    assert "export" not in result.stderr


def test_an_answer_that_is_no_record(server: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "read_listing", lambda address: b"<html>")
    with pytest.raises(HarnessError, match="no description of a record"):
        pull(tmp_path / "mine", "us_births")
