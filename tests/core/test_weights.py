"""Published weights: fetched from a hub only when asked, resumed, verified; without them a run says what to type."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support import Done, Lab

from harness.errors import Unavailable, UsageError
from harness.types import ModelInfo
from harness.weights import note_pulled, parse_source, pulled, pulled_digest, weights_folder

COMMIT = "c0ffee" + "0" * 34
WEIGHTS = bytes(range(256)) * 4000  # 1 MB
FILES = {"model.safetensors": WEIGHTS, "config.json": b'{"d": 8}\n', "README.md": b"# weights\n", "deep/er.json": b"{}"}

PLUGIN = """
from harness.weights import weights_folder

FREE = ModelInfo("free", license="Apache-2.0", weights="hf:org/free", weights_files=("*.safetensors", "config.json"), weights_license="MIT")
GATED = ModelInfo("gated", weights="hf:org/gated@v2", weights_license="own", weights_note="Non-commercial use only: https://example.org")

class Sized:
    def __init__(self, weights: str = "") -> None:
        self.folder = weights_folder(weights, source=FREE.weights, model="free")
        self.bytes = (self.folder / "model.safetensors").stat().st_size

    def predict(self, batch):
        return Forecast.from_points(last(batch) + self.bytes)

@hookimpl
def register_models(register):
    register(FREE, Sized)
    register(GATED, Sized)
"""


@dataclass
class Hub:
    """A hub on loopback, as far as huggingface_hub asks one: a listing, and files by range."""

    address: str = ""
    commit: str = COMMIT
    wrong: bool = False  # serve other bytes than the listing says
    break_after: int | None = None  # close the connection after so many bytes of a large file
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range
    repos: tuple[str, ...] = ("org/free", "org/gated")
    gated: bool = False
    listing_status: int = 0  # answer a listing with this instead
    file_status: int = 0  # and a file
    times: int = 1_000_000  # so often
    page: bytes = b""  # answer a listing with this, which is no JSON
    hold: str = ""  # wait before sending this file, until `let_go`
    let_go: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def send(self, status: int, body: bytes, headers: dict[str, str], whole: bool) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if whole:
                self.wfile.write(body)

        def answer(self, whole: bool) -> None:
            made.asked.append((self.command, self.path, self.headers.get("Range", "")))
            path = self.path.partition("?")[0]
            repo = next((r for r in made.repos if r in path), None)
            if repo is None:
                return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, whole)
            if made.gated:
                return self.send(403, b"{}", {"X-Error-Code": "GatedRepo"}, whole)
            status = made.listing_status if path.startswith("/api/") else made.file_status
            if status and made.times > 0:
                made.times -= 1
                return self.send(status, b"{}", {"Retry-After": "0"}, whole)
            if path.startswith("/api/models/") and made.page:
                return self.send(200, made.page, {"Content-Type": "text/html"}, whole)
            if path.startswith("/api/models/"):
                return self.send(200, json.dumps(listing(repo)).encode(), {"Content-Type": "application/json"}, whole)
            name = path.partition("/resolve/")[2].partition("/")[2]
            if name not in FILES:
                return self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, whole)
            if whole and name == made.hold:
                made.held.set()
                made.let_go.wait(60)
            content = FILES[name][::-1] if made.wrong else FILES[name]
            return self.file(name, content, whole)

        def file(self, name: str, content: bytes, whole: bool) -> None:
            begin = int(self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")[0] or 0)
            body = content[begin:]
            headers = {"ETag": f'"{etag(name)}"', "X-Repo-Commit": made.commit, "Accept-Ranges": "bytes"}
            if begin:
                headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            if whole and made.break_after is not None and len(body) > made.break_after:
                self.send_response(206 if begin else 200)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body[: made.break_after])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.send(206 if begin else 200, body, headers, whole)

    def etag(name: str) -> str:
        content = FILES[name]
        if name.endswith(".safetensors"):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()

    def listing(repo: str) -> dict[str, Any]:
        siblings = []
        for name, content in FILES.items():
            one: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": etag(name)}
            if name.endswith(".safetensors"):
                one["lfs"] = {"sha256": etag(name), "size": len(content), "pointerSize": 134}
            siblings.append(one)
        return {"id": repo, "modelId": repo, "sha": made.commit, "siblings": siblings, "cardData": {"license": "mit"}, "tags": []}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(lab: Lab, hub: Hub) -> Lab:
    """A folder with the plugin, a hub of its own and an empty cache of it."""
    lab.plugin("sized", PLUGIN)
    lab.env |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(lab.folder / "hf"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return lab


def files(hub: Hub) -> list[str]:
    return [path.partition("/resolve/")[2] for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path]


def test_a_run_without_weights_stops_and_says_what_to_type(home: Lab, hub: Hub) -> None:
    done = home.models("naive,free")
    done.expect(3, "the weights of free (hf:org/free) are not on this machine", "Their licence: MIT", "harness weights pull free")
    done.expect(3, "-M free:weights=PATH")
    home.models("gated").expect(3, "Non-commercial use only")
    home.models("gated,free").expect(3, "the weights of 2 models", "harness weights pull gated free", "Non-commercial use only")
    assert hub.asked == []
    assert not home.db.exists() or home.query("SELECT count(*) FROM cells") == [(0,)]


def test_pull_shows_fetches_verifies_and_fetches_once(home: Lab, hub: Hub) -> None:
    dry = home.run("weights", "pull", "free", "--dry-run").expect(0, "hf:org/free at commit c0ffee000000", "2 files, 1.0 MB", "MIT")
    assert "the hub says: mit" in dry.err and "licence of the weights: MIT" in dry.err
    assert files(hub) == []
    home.run("weights", "pull", "free").expect(0, "fetched and verified, in")
    assert sorted(set(files(hub))) == ["main/config.json", "main/model.safetensors"]
    count = len(hub.asked)
    home.run("weights", "pull", "free").expect(0, "all of hf:org/free is in")
    cells = home.models("free").expect(0).cells()
    assert cells["free", "us_births/M/short"]["status"] == "ok"
    assert len(hub.asked) == count
    listed = {row["model"]: row for row in home.run("weights", "list", "--json").expect(0).json()}
    assert Path(listed["free"]["here"]).name == COMMIT
    assert listed["gated"]["here"] == ""


def test_other_weights_make_other_results(home: Lab, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    home.run("weights", "pull", "free").expect(0)
    home.models("free").expect(0)
    home.run("weights", "rm", "free").expect(2, "1.0 MB", "-y")
    home.run("weights", "rm", "free", "-y").expect(0, "removed")
    home.models("free").expect(3, "are not on this machine")
    monkeypatch.setitem(FILES, "model.safetensors", WEIGHTS + b"more")
    hub.commit = "beef" + "0" * 36
    home.run("weights", "pull", "free").expect(0)
    assert [c["cached"] for c in home.models("free").expect(0).json()["cells"]] == [False]
    assert len(home.query("SELECT DISTINCT cell_id FROM cells")) == 2


def test_terms_are_shown_and_must_be_agreed_to(home: Lab, hub: Hub) -> None:
    home.run("weights", "pull", "gated").expect(2, "read this first: Non-commercial use only", "-y")
    assert files(hub) == []
    home.run("weights", "pull", "gated", "-y").expect(0, "fetched and verified")
    assert len(set(files(hub))) == len(FILES)


def test_a_gated_repository_says_where_to_ask(home: Lab, hub: Hub) -> None:
    hub.gated = True
    done = home.run("weights", "pull", "gated", "-y")
    done.expect(3, "it is gated", f"{hub.address}/org/gated", "HF_TOKEN", "harness weights pull gated")


def test_what_was_broken_off_is_taken_up(home: Lab, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "model.safetensors", bytes(24_000_000))  # huggingface_hub writes pieces of 10 MiB
    hub.break_after = 11_000_000
    home.run("weights", "pull", "free", timeout=180).expect(0, "fetched and verified")
    ranges = [r for method, path, r in hub.asked if method == "GET" and "safetensors" in path]
    assert any(r.startswith("bytes=10485760-") for r in ranges), ranges


def test_other_bytes_than_announced_are_refused(home: Lab, hub: Hub) -> None:
    hub.wrong = True
    home.run("weights", "pull", "free").expect(3, "where the hub says", "it was removed", "Try again: harness weights pull free")
    home.models("free").expect(3, "are not on this machine")
    hub.wrong = False
    home.run("weights", "pull", "free").expect(0, "fetched and verified")


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"repos": ()}, ["there is no model org/free there (404)", "HF_ENDPOINT"]),
        ({"address": "http://127.0.0.1:9"}, ["could not list org/free at http://127.0.0.1:9", "harness weights pull free"]),
    ],
)
def test_a_hub_that_does_not_have_it(home: Lab, hub: Hub, change: dict[str, Any], texts: list[str]) -> None:
    for name, value in change.items():
        setattr(hub, name, value)
    home.run("weights", "pull", "free", env={"HF_ENDPOINT": hub.address}).expect(3, *texts)


@pytest.mark.parametrize(
    ("faults", "texts"),
    [
        ({"listing_status": 401}, ["401", "The token is refused, or there is none", "/settings/tokens"]),
        ({"listing_status": 429}, ["429", "wait some minutes", "HF_TOKEN"]),
        ({"listing_status": 502}, ["502", "The hub is in trouble"]),
        ({"file_status": 404}, ["could not fetch org/free", "404", ". Whole files are kept"]),
        ({"page": b"<html>Log in first</html>"}, ["what answered there is no hub", "Check HF_ENDPOINT"]),
    ],
    ids=["401", "429", "502", "404", "page"],
)
def test_a_hub_in_trouble_is_told_with_what_helps(home: Lab, hub: Hub, faults: dict[str, Any], texts: list[str]) -> None:
    for name, value in faults.items():
        setattr(hub, name, value)
    done = home.run("weights", "pull", "free").expect(3, *texts, "harness weights pull free")
    assert "Traceback" not in done.err and ".. " not in done.err


def test_a_hub_that_is_busy_once_is_asked_again(home: Lab, hub: Hub) -> None:
    hub.file_status, hub.times = 429, 1
    home.run("weights", "pull", "free").expect(0, "fetched and verified")


def test_without_a_network_nothing_is_asked(home: Lab, hub: Hub) -> None:
    offline = {"HF_HUB_OFFLINE": "1"}
    home.run("weights", "pull", "free", env=offline).expect(3, "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it, then: harness")
    assert hub.asked == []
    home.run("weights", "pull", "free").expect(0)
    count = len(hub.asked)
    home.run("weights", "pull", "free", env=offline).expect(0, "is what was verified when it was fetched (2 files)")
    assert len(hub.asked) == count


def test_an_address_that_is_none_is_refused(home: Lab) -> None:
    home.run("weights", "pull", "free", env={"HF_ENDPOINT": "hub.example"}).expect(2, "got HF_ENDPOINT='hub.example'; wanted an address")


def test_a_disk_without_room(home: Lab, hub: Hub) -> None:
    limit = ["bash", "-c", 'ulimit -f 512; exec "$@"', "bash", *home.command("weights", "pull", "free")]
    done = subprocess.run(limit, cwd=home.folder, env=home.env, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 3 and "make room, or name another folder: HF_HOME=FOLDER harness weights pull free" in done.stderr
    assert not list((home.folder / "hf").rglob("*.incomplete"))
    home.models("free").expect(3, "are not on this machine")
    home.run("weights", "pull", "free").expect(0, "fetched and verified")


def test_a_cache_that_cannot_be_written_costs_the_note_alone(home: Lab) -> None:
    (home.folder / "file").write_text("")
    done = home.run("weights", "pull", "free", env={"HARNESS_CACHE": str(home.folder / "file" / "cache")})
    done.expect(0, "could not be noted (Not a directory", "HARNESS_CACHE names another folder", "fetched and verified")
    home.run("weights", "pull", "free").expect(0, "which the harness has not verified")


def test_a_pull_that_is_killed_keeps_what_is_whole(home: Lab, hub: Hub) -> None:
    hub.hold = "model.safetensors"
    process = home.start("weights", "pull", "free")
    assert hub.held.wait(60)  # config.json is whole by then, the other file half
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    hub.let_go.set()
    (half,) = (home.folder / "hf").rglob("*.incomplete")
    home.models("free").expect(3, "are not on this machine")
    os.utime(half, (1, 1))  # long ago
    fresh = half.with_name("other.incomplete")
    fresh.write_bytes(b"of a pull that goes on")
    home.run("weights", "pull", "free").expect(0, "fetched and verified")
    assert files(hub).count("main/config.json") == 1
    assert fresh.exists() and not half.exists()


def test_changed_bytes_are_fetched_again(home: Lab, hub: Hub) -> None:
    home.run("weights", "pull", "free").expect(0)
    (blob,) = (path.resolve() for path in (home.folder / "hf").rglob("model.safetensors"))
    blob.write_bytes(b"x" + WEIGHTS[1:])
    home.run("weights", "pull", "free").expect(0, "model.safetensors is not what was verified", "fetched and verified")
    assert blob.read_bytes() == WEIGHTS
    assert files(hub).count("main/config.json") == 1
    home.run("weights", "pull", "free").expect(0, "is what was verified when it was fetched (2 files)")


def test_names_that_have_nothing_to_fetch(home: Lab) -> None:
    said = {
        "naive": "there is nothing to fetch for naive",
        "fre": "Did you mean 'free'?",
        "x*": "no model with published weights matches",
        "ttm": "come with the plugin",
    }
    done: list[Done] = home.many([["weights", "pull", name] for name in said])
    for one, text in zip(done, said.values(), strict=True):
        one.expect(2, text)


def test_half_a_download_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    info = ModelInfo("m", weights="hf:a/b@v1", weights_files=("*.bin", "config.json"))
    assert pulled(info) is None
    folder = tmp_path / "hub" / "models--a--b"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "v1").write_text("abc")
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "w.bin").write_text("w")
    assert pulled(info) is None
    (snapshot / "config.json").write_text("{}")
    assert pulled(info) == snapshot
    assert weights_folder("", source="hf:a/b@v1", model="m") == snapshot
    (folder / "refs" / "v1").write_text("../../..")
    assert pulled(info) is None


def test_the_same_bytes_are_the_same_weights_whoever_fetched_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    info, other = (ModelInfo(name, weights="hf:a/b", weights_files=(f"{name}.bin",)) for name in ("one", "two"))
    folder = tmp_path / "hub" / "models--a--b"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (snapshot / "one.bin").write_bytes(b"weights")
    first = pulled_digest(info, snapshot)
    (snapshot / "README.md").write_text("beside it")
    assert pulled_digest(info, snapshot) == first
    source = parse_source("hf:a/b")
    assert source is not None
    note_pulled(source, "abc", {"one.bin": (7, "0f")})
    assert pulled(info) == snapshot and pulled_digest(info, snapshot) == first
    assert pulled(other) is None  # another file of the same repository
    (snapshot / "two.bin").write_bytes(b"more")
    assert pulled(other) == snapshot and pulled_digest(other, snapshot) != first == pulled_digest(info, snapshot)
    (snapshot / "one.bin").write_bytes(b"other weights")
    assert pulled(info) is None  # not what was fetched
    shutil.rmtree(tmp_path / "cache")
    assert pulled(info) == snapshot and pulled_digest(info, snapshot) != first


def test_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert weights_folder("mine", source="hf:a/b", model="m") == tmp_path / "mine"
    with pytest.raises(Unavailable, match=r"there is no file or folder .*theirs; give one that exists: -M m:weights=PATH"):
        weights_folder("theirs", source="hf:a/b", model="m")
    with pytest.raises(
        Unavailable, match=r"there is no file or folder .{100}… \(5\d\d\d letters\); give one that exists: -M m:weights=PATH"
    ):
        weights_folder("x" * 5000, source="hf:a/b", model="m")


@pytest.mark.parametrize("text", ["hf:", "hf:a/b/c", "hf:../x", "hf:a/..", "hf:a b/c", "hf:a/b@../../x", "hf:/etc", "hf:a/b@"])
def test_sources_that_are_none(text: str) -> None:
    if text == "hf:a/b@":
        assert str(parse_source(text)) == "hf:a/b"
        return
    with pytest.raises(UsageError, match="wanted hf:org/repo"):
        parse_source(text)
