"""`harness data pull` against a server on loopback that speaks the hub's interface for datasets."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.errors import Unavailable, UsageError
from harness_tasks import plugin

Writer = Callable[..., Path]
FIRST, SECOND = "a" * 40, "b" * 40  # commits


class Hub(ThreadingHTTPServer):
    """The dataset repository Salesforce/GiftEval: what it holds, what it was asked, and what it shall do wrong."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.commit = FIRST
        self.repository = "Salesforce/GiftEval"
        self.sent: list[str] = []  # files whose bytes were asked for, with the range
        self.cut: set[str] = set()  # break the connection once, half way through these
        self.refuse: set[str] = set()  # answer 500 for these

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # the name is the base class's
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        hub, repository = self.server, re.escape(self.server.repository)
        if re.fullmatch(f"/api/datasets/{repository}(/revision/[^/]+)?", url.path):
            self.answer(json.dumps({"id": hub.repository, "sha": hub.commit, "siblings": [], "tags": [], "private": False}).encode())
        elif re.fullmatch(f"/api/datasets/{repository}/tree/{hub.commit}", url.path):
            self.tree(int(parse_qs(url.query).get("cursor", ["0"])[0]))
        elif found := re.fullmatch(f"/datasets/{repository}/resolve/{hub.commit}/(.+)", url.path):
            self.file(found[1])
        else:
            self.answer(b'{"error": "Repository not found"}', 404, {"X-Error-Code": "RepoNotFound"})

    def tree(self, cursor: int) -> None:
        """Three entries a page, as a hub with many files would page them."""
        paths = sorted(p for p in self.server.folder.rglob("*"))
        entries = []
        for path in paths[cursor : cursor + 3]:
            entry = {"path": path.relative_to(self.server.folder).as_posix(), "oid": "0" * 40, "size": 0, "type": "directory"}
            if path.is_file():
                body = path.read_bytes()
                entry |= {"type": "file", "size": len(body), "oid": sha1(b"blob %d\0" % len(body) + body).hexdigest()}  # as git does
            entries.append(entry)
        following = f'<{self.server.url}{urlsplit(self.path).path}?recursive=True&cursor={cursor + 3}>; rel="next"'
        self.answer(json.dumps(entries).encode(), headers={"Link": following} if cursor + 3 < len(paths) else {})

    def file(self, name: str) -> None:
        path = self.server.folder / name
        if not path.is_file():
            self.answer(b"{}", 404, {"X-Error-Code": "EntryNotFound"})
            return
        body = path.read_bytes()
        headers = {"ETag": f'"{sha1(body).hexdigest()}"', "X-Repo-Commit": self.server.commit, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self.answer(body, headers=headers)
            return
        asked = self.headers.get("Range", "")
        self.server.sent.append(f"{name} {asked}".strip())
        if name in self.server.refuse:
            self.answer(b"{}", 500)
            return
        low = int(asked.removeprefix("bytes=").split("-")[0]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {low}-{len(body) - 1}/{len(body)}"
        cut = len(body) // 2 if name in self.server.cut else None
        self.server.cut.discard(name)
        self.answer(body[low:], 206 if asked else 200, headers, cut)

    def answer(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def hub(write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    rng = np.random.default_rng(1)
    write([rng.normal(size=60_000)], name="hub/LOOP_SEATTLE/H")
    write([rng.normal(size=400)], name="hub/LOOP_SEATTLE/D", freq="D")
    write([rng.normal(size=90)] * 3, name="hub/hospital", freq="M")
    (tmp_path / "hub" / "README.md").write_text("not a dataset folder")
    server = Hub(tmp_path / "hub")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    # Where another test imported huggingface_hub first, it looks its default hub up once, besides; the guard refuses that.
    monkeypatch.delenv("HARNESS_TEST_NETWORK_LOG", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pull(root: Path, *arguments: str) -> Result:
    cli = click.Group()
    plugin.register_commands(cli)
    result = CliRunner().invoke(cli, ["data", "pull", "gift-eval", "--data", str(root), *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def same(hub: Hub, root: Path, *folders: str) -> bool:
    files = [path.relative_to(hub.folder) for folder in folders for path in (hub.folder / folder).iterdir()]
    return len(files) >= 2 * len(folders) and all((root / file).read_bytes() == (hub.folder / file).read_bytes() for file in files)


def test_pull_one_then_nothing_again_then_the_rest(hub: Hub, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    result = pull(root, "hospital")
    assert same(hub, root, "hospital")
    assert not (root / "LOOP_SEATTLE").exists()
    assert "hospital" in result.stdout
    assert "ok" in result.stdout
    assert f"export GIFT_EVAL={root}" in result.stderr
    hub.sent.clear()
    assert "all of it is here" in pull(root, "hospital").stderr
    assert hub.sent == []
    pull(root, "hospital", "loop_seattle/H", "LOOP_SEATTLE/D")
    assert same(hub, root, "hospital", "LOOP_SEATTLE/H", "LOOP_SEATTLE/D")
    assert not [name for name in hub.sent if name.startswith("hospital")]


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # huggingface_hub keeps whole pieces of 10 MB of what it received; the file here is of 240 kB.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    name = "LOOP_SEATTLE/H/data-00000-of-00001.arrow"
    half = (hub.folder / name).stat().st_size // 2
    hub.cut.add(name)
    pull(tmp_path / "mine", "LOOP_SEATTLE/H")
    assert same(hub, tmp_path / "mine", "LOOP_SEATTLE/H")
    asked = [sent for sent in hub.sent if sent.startswith(name)]
    assert len(asked) == 2
    low = int(asked[1].split("bytes=")[1].split("-")[0])
    assert 0 < low <= half, "the second request starts where the first stopped"


def test_a_pull_that_fails_keeps_whole_files_and_the_next_goes_on(hub: Hub, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    hub.refuse.add("LOOP_SEATTLE/D/state.json")
    with pytest.raises(Unavailable, match=r"could not fetch LOOP_SEATTLE/D .*500.*harness data pull gift-eval LOOP_SEATTLE/D") as caught:
        pull(root, "LOOP_SEATTLE/D", "hospital")
    assert caught.value.exit_code == 3
    whole = {path.relative_to(root).as_posix() for path in root.rglob("*.arrow")}
    assert "hospital/data-00000-of-00001.arrow" in whole
    hub.refuse.clear()
    hub.sent.clear()
    pull(root, "LOOP_SEATTLE/D", "hospital")
    assert same(hub, root, "hospital", "LOOP_SEATTLE/D")
    assert hub.sent == ["LOOP_SEATTLE/D/state.json"]


def test_only_what_changed_is_fetched_of_a_new_commit(hub: Hub, tmp_path: Path, write: Writer) -> None:
    root = tmp_path / "mine"
    pull(root, "hospital", "LOOP_SEATTLE/D")
    write([np.zeros(90)], name="hub/hospital", freq="M")
    hub.commit = SECOND
    hub.sent.clear()
    pull(root, "hospital", "LOOP_SEATTLE/D")
    assert same(hub, root, "hospital", "LOOP_SEATTLE/D")
    assert hub.sent == ["hospital/data-00000-of-00001.arrow"]


def test_a_broken_file_is_mended(hub: Hub, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    pull(root, "hospital")
    path = root / "hospital" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:100])
    hub.sent.clear()
    pull(root, "hospital", "--force")
    assert same(hub, root, "hospital")
    assert len(hub.sent) == 2


def test_a_truncated_file_is_seen_without_force(hub: Hub, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    pull(root, "hospital")
    path = root / "hospital" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:100])
    pull(root, "hospital")
    assert same(hub, root, "hospital")


def test_dry_run_says_what_and_fetches_nothing(hub: Hub, tmp_path: Path) -> None:
    result = pull(tmp_path / "mine", "LOOP_SEATTLE/[HD]", "--dry-run")
    assert "LOOP_SEATTLE/H  2 files, 2" in result.stderr
    assert "LOOP_SEATTLE/D  2 files" in result.stderr
    assert hub.sent == []
    assert not (tmp_path / "mine").exists()


def test_repository_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    hub.repository = "someone/else"
    with pytest.raises(Unavailable, match=r"no dataset Salesforce/GiftEval there \(404\); check HF_ENDPOINT"):
        pull(tmp_path / "mine", "hospital")


def test_folder_that_the_repository_lacks(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="has no folder restaurant"):
        pull(tmp_path / "mine", "hospital", "restaurant")
    assert hub.sent == []


def test_no_server_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(Unavailable, match=r"could not list Salesforce/GiftEval at http://127\.0\.0\.1:9: ConnectError"):
        pull(tmp_path / "mine", "hospital")


def test_names_are_checked_before_the_network(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no dataset 'hospitl'\. Did you mean 'hospital'"):
        pull(tmp_path / "mine", "hospitl")


def test_default_folder_is_that_of_the_environment(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIFT_EVAL", str(tmp_path / "named"))
    cli = click.Group()
    plugin.register_commands(cli)
    result = CliRunner().invoke(cli, ["data", "pull", "gift-eval", "hospital"], catch_exceptions=False)
    assert same(hub, tmp_path / "named", "hospital")
    assert "export" not in result.stderr
