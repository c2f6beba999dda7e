"""`harness serve`: what is answered, to whom, and that it follows the database."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Lab

from harness.errors import StoreError
from harness_leaderboard.serve import Board, hosts, make_server


class Served:
    """A board with a counter in it, behind a real server."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "x.duckdb"
        self.db.write_bytes(b"one")
        self.made = 0
        self.broken: Exception | None = None
        self.server = make_server(Board(self.db, {"/": ("html", self.page)}), 0)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def page(self) -> str:
        if self.broken:
            raise self.broken
        self.made += 1
        return f"<p>{self.made} é \ud800"

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_page_is_made_once_and_again_when_the_database_changes(served: Served) -> None:
    first = served.ask("/")
    assert (first[0], first[1]["Content-Type"], first[2]) == (200, "text/html; charset=utf-8", "<p>1 é ?".encode())
    before = json.loads(served.ask("/version")[2])["version"]
    assert served.ask("/?a=1")[2].startswith(b"<p>1")
    served.db.write_bytes(b"other")
    assert json.loads(served.ask("/version")[2])["version"] != before
    assert served.ask("/")[2].startswith(b"<p>2")


def test_a_write_ahead_log_is_a_change_too(served: Served) -> None:
    before = served.ask("/version")[2]
    served.db.with_name("x.duckdb.wal").write_bytes(b"rows")
    assert served.ask("/version")[2] != before


@pytest.mark.parametrize("path", ["/x", "/../etc/passwd", "/x.duckdb", "/%00", "/data.json"])
def test_there_is_nothing_else(served: Served, path: str) -> None:
    assert served.ask(path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "", "localhost.evil:{port}"])
def test_another_name_of_this_machine_is_refused(served: Served, host: str) -> None:
    status, _, body = served.ask("/", Host=host.format(port=served.port))
    assert (status, served.made) == (403, 0)
    assert b"localhost alone" in body
    assert served.ask("/", Host=f"localhost:{served.port}")[0] == 200


def test_nothing_can_be_written(served: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert served.ask("/", method)[0] == 501
    status, headers, body = served.ask("/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers


def test_what_cannot_be_made_now_is_said_and_the_server_goes_on(served: Served) -> None:
    served.broken = StoreError("held by another process")
    status, _, body = served.ask("/")
    assert (status, json.loads(body)["error"]) == (503, "held by another process")
    served.broken = None
    assert served.ask("/")[0] == 200


def test_a_defect_is_answered_and_its_traceback_is_printed_once(served: Served, capfd: pytest.CaptureFixture[str]) -> None:
    served.broken = ZeroDivisionError("by nothing")
    for method in ("GET", "GET", "HEAD"):
        status, headers, body = served.ask("/", method)
        assert (status, headers["Content-Type"]) == (500, "application/json; charset=utf-8")
        if method == "GET":
            assert json.loads(body)["error"].startswith("a defect of the harness: ZeroDivisionError: by nothing; ")
    assert served.ask("/version")[0] == 200
    said = capfd.readouterr().err
    assert said.count("Traceback (most recent call last)") == said.count("ZeroDivisionError: by nothing") == 1
    served.broken = None
    assert served.ask("/")[0] == 200


def test_the_usual_port_is_left_out_by_browsers() -> None:
    assert hosts(80) == {"127.0.0.1", "localhost", "127.0.0.1:80", "localhost:80"}
    assert hosts(8765) == {"127.0.0.1:8765", "localhost:8765"}


def test_many_readers_at_once_make_it_once(served: Served) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(served.ask("/")[2])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert served.made == 1


def test_the_command_serves_the_page_and_ends_well(lab: Lab) -> None:
    lab.run("run", "-m", "naive,seasonal_naive", "-t", "us_births/*", "--progress", "none").expect(0)
    process = lab.start("serve", "--port", "0")
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        port = int(said.partition("127.0.0.1:")[2].partition("/")[0])

        def ask(path: str) -> bytes:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                assert answer.status == 200
                return answer.read()

        page = ask("/").decode()
        assert "<!doctype html>" in page[:100].lower()
        assert "connect-src 'self'" in page
        before = json.loads(ask("/version"))
        assert [model["label"] for model in json.loads(ask("/data.json"))["models"]] == ["naive", "seasonal_naive"]
        lab.run("run", "-m", "mean", "-t", "us_births/*", "--progress", "none").expect(0)
        assert json.loads(ask("/version")) != before
        assert {row["model"] for row in json.loads(ask("/leaderboard.json"))} == {"naive", "seasonal_naive", "mean"}
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def test_what_cannot_be_served_is_said(lab: Lab, tmp_path: Path) -> None:
    lab.run("serve", "--port", "0").expect(2, "there is no results database", "harness run")
    lab.run("run", "-m", "naive", "-t", "us_births/M/short", "--progress", "none").expect(0)
    lab.run("serve", "--port", "0", "-m", "nobody").expect(5, "no model matches 'nobody'")
    taken = make_server(Board(tmp_path / "x", {}), 0)
    try:
        lab.run("serve", "--port", str(taken.server_address[1])).expect(2, "cannot be used", "choose another with --port")
    finally:
        taken.server_close()
