"""What the page holds out against: hostile names, odd sizes, broken files, no script; its policy, accessibility, speed, and live mode."""

from __future__ import annotations

import copy
import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Shown
from pages import HOSTILE, array, empty_payload, make_payload

from harness_leaderboard.page.parts import Parts
from harness_leaderboard.page.render import page_html, payload_json

Show = Callable[..., Shown]


@pytest.fixture(scope="session")
def bare() -> Parts:
    """What a page needs when no picture is looked at."""
    return Parts("window.vegaEmbed = () => null;", {}, {}, {})


def hostile_payload() -> dict[str, Any]:
    """Every text of the payload is one of the hostile names."""
    payload = make_payload(len(HOSTILE) + 3, 9, 2, own=3, seed=1)
    for i, model in enumerate(payload["models"]):
        name = HOSTILE[i % len(HOSTILE)]
        model |= dict.fromkeys(("label", "model", "type", "org", "license", "weights_license", "link", "output", "summary", "mode"), name)
        model["contamination"] = {"state": name, "text": name}
        model["source"] = model["source"] if model["source"] == "own" else name
    for j, task in enumerate(payload["tasks"]):
        name = HOSTILE[j % len(HOSTILE)]
        task |= {"name": f"{name}{j}", "dataset": name, "family": name, "domain": name, "freq": name, "term": name}
    for key in ("summary", "version", "license", "url", "baseline"):
        payload["suite"][key] = HOSTILE[0]
    payload["suite"]["name"] = HOSTILE[13]
    payload["made"] = dict.fromkeys(("at", "by", "db", "command"), HOSTILE[13])
    payload["notes"] = HOSTILE
    payload["selection"] = HOSTILE[1]
    payload["scores"][2] |= {"name": HOSTILE[1], "label": HOSTILE[0]}
    payload["cost"]["hardware"] = [HOSTILE[0]] * len(payload["models"])
    payload["receipts"]["places"] = [dict.fromkeys(HOSTILE, HOSTILE[1])]
    for n, cell in enumerate(payload["receipts"]["cells"].values()):
        cell |= {
            "run_id": HOSTILE[n % len(HOSTILE)],
            "reason": HOSTILE[0],
            "failure": HOSTILE[1],
            "command": HOSTILE[5],
            "replay": HOSTILE[13],
        }
    for task in payload["explorer"]["tasks"]:
        task["windows"] = [
            window | {"kind": HOSTILE[8], "item": HOSTILE[4], "cutoff": HOSTILE[5], "freq": HOSTILE[0]} for window in task["windows"]
        ]
    payload["explorer"]["left_out"] = HOSTILE[13]
    return payload


def test_hostile_names_are_text_everywhere(show: Show) -> None:
    payload = hostile_payload()
    shown = show(payload, "#all=1&wide=1")
    shown.draw_all()
    assert shown.page.title() == "</script><h1>out</h1> · leaderboard"
    assert shown.run("window.hurt") is None
    assert shown.run("document.querySelectorAll('main script, main img, h1 h1, dialog img').length") == 0
    names = shown.names()
    assert len(names) == len(payload["models"])
    for name in ("<script>window.hurt = 1</script>", "=1+1|cmd", "[U+202E]gnp.exe", "zero[U+200B]width", "bell[U+0007][U+0000][U+001B][31m", "__proto__", "constructor", "{{ 7 * 7 }}${7 * 7}", "שלום עולם"):  # fmt: skip # noqa: E501
        assert name in names, name
    assert any(len(name) == 10_000 for name in names)
    assert shown.page.locator("#board tbody bdi").count() >= len(names)
    assert shown.wide_elements() == []
    for kind, things in (("model", "models"), ("task", "tasks")):
        for i in range(len(payload[things])):
            shown.run(f"([i]) => {{ board.memory; location.hash = '#' + new URLSearchParams({{ {kind}: '#' + i }}); }}", [i])
    shown.run("location.hash = '#all=1'")
    shown.page.wait_for_selector("#panel:not([open])", state="attached")
    for i in range(0, len(payload["models"]), 4):
        shown.page.locator("#board tbody tr button.link").nth(i).click()
        shown.page.wait_for_selector("#panel[open]")
        assert shown.run("(() => { const b = document.getElementById('panel-body'); return b.scrollWidth <= b.clientWidth + 1; })()"), (
            names[i]
        )
        shown.page.keyboard.press("Escape")
    for i in range(0, len(payload["tasks"]), 4):
        shown.page.locator(".heat thead tr >> nth=1 >> button").nth(i).click()
        shown.page.wait_for_selector("#panel[open]")
        shown.page.keyboard.press("Escape")
    for menu in shown.page.locator("details.menu").all():
        menu.locator("summary").click()
        menu.locator("input[data-value]").first.check()
        shown.page.keyboard.press("Escape")
    shown.page.reload()
    shown.ready()
    assert shown.run("window.hurt") is None


class Elements(HTMLParser):
    """Counts elements and event attributes of a file, as a browser without script would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.count: dict[str, int] = {}
        self.handlers: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.handlers += [name for name, _ in attributes if name.startswith("on")]
        self.sources += [value or "" for name, value in attributes if name in ("src", "href", "action", "srcset")]


def test_the_file_itself_holds_no_foreign_element(bare: Parts) -> None:
    plain, hostile = Elements(), Elements()
    plain.feed(page_html(make_payload(4, 6, 1), bare))
    hostile.feed(page_html(hostile_payload(), replace(bare, specs={"x": {"description": HOSTILE[13]}})))
    assert hostile.count == plain.count
    assert hostile.handlers == []
    assert all(source.startswith(("#", "data:")) for source in hostile.sources)


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (1, 8), (5, 1), (2, 2), (2, 6)])
def test_small_boards(show: Show, size: tuple[int, int]) -> None:
    models, tasks = size
    shown = show(make_payload(models, tasks, 1, own=min(1, models), gaps=False) if models else empty_payload())
    shown.draw_all()
    verdict = shown.text("#verdict")
    if not models:
        assert verdict == "This suite has no task." and shown.page.title() == "leaderboard"
    elif models == 1:
        assert "is the only model with every task" in verdict
    else:
        assert ("how sure that is cannot be told" in verdict) == (tasks < 3)  # families, of which each task here is one
    assert shown.page.locator("#board tbody tr").count() == models


def test_a_board_of_failures_and_one_of_infinities(show: Show) -> None:
    failed = make_payload(5, 7, 1, gaps=False)
    m, r = failed["status"]["shape"]
    failed["status"] = array(np.full((m, r), 2), "u1")
    for score in failed["scores"]:
        score["values"] = array(np.full((m, r), np.nan), "f8")
    shown = show(failed)
    shown.draw_all()
    assert shown.text("#verdict") == "No model has an nMASE yet."
    assert shown.column("main") == ["–"] * 5 and shown.column("tasks")[0] == "0/7 7 failed"

    endless = make_payload(5, 7, 1, gaps=False)
    for score in endless["scores"]:
        score["values"] = array(np.full((m, r), np.inf), "f8")
    shown = show(endless)
    shown.draw_all()
    assert shown.column("rank0") == ["1.0"] * 5 and shown.column("main") == ["–"] * 5

    zero = make_payload(5, 7, 1, gaps=False)
    zero["scores"][0]["baseline"] = array([0.0, -1.0, np.nan, np.inf, 1, 1, 1], "f8")
    shown = show(zero)
    shown.draw_all()
    assert all("‡" in cell for cell in shown.column("model"))


def test_arrays_that_are_too_short_or_absent(show: Show) -> None:
    payload = make_payload(6, 7, 1)
    payload["scores"][0]["values"] = array(np.ones(5), "f8")
    payload["stale"] = None
    payload["cost"] = None
    del payload["receipts"], payload["notes"], payload["made"]
    payload["explorer"]["tasks"] = [{"task": 99, "windows": []}]
    shown = show(payload)
    shown.draw_all()
    assert shown.page.locator("#board tbody tr").count() == 6


def test_a_payload_with_numbers_that_json_lacks() -> None:
    text = payload_json({"a": float("nan"), "b": [float("inf"), np.float64("nan"), np.int64(3)], "c": {"d": "\ud800"}})
    assert json.loads(text) == {"a": None, "b": [None, None, 3], "c": {"d": "\ud800"}}
    assert text.isascii()


def test_the_same_payload_makes_the_same_file(bare: Parts) -> None:
    payload = make_payload(6, 7, 1)
    first = page_html(copy.deepcopy(payload), bare)
    assert first == page_html(payload, bare)
    packed = re.search(r'id="payload" type="application/octet-stream">([^<]*)<', first)
    assert packed
    import base64

    assert json.loads(gzip.decompress(base64.b64decode(packed[1]))) == json.loads(payload_json(payload))


def test_a_file_that_was_cut_short_says_so(show: Show, bare: Parts) -> None:
    html = page_html(make_payload(6, 7, 1), bare)
    broken = re.sub(r'(id="payload" type="application/octet-stream">[^<]{900})[^<]*', r"\1", html)
    assert len(broken) < len(html)
    shown = show(broken)
    assert "could not be read" in shown.text("#verdict") and "fetch it again" in shown.text("#verdict")
    shown.problems.clear()
    shown.run("board.errors.length = 0")


def test_without_script_it_says_what_is_needed(chromium: Any, bare: Parts, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_html(make_payload(6, 7, 1), bare), encoding="utf-8")
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(path.as_uri())
    text = page.inner_text("body")
    assert "needs JavaScript" in text and "CSV" in text and "demo" in text
    assert "Ranking" not in text and "Reading" not in text
    page.context.close()


def test_the_policy_forbids_requests_and_evaluated_text(show: Show) -> None:
    shown = show(make_payload(6, 7, 1))
    outcomes = shown.run("""async () => {
        const out = [];
        try { await fetch("https://example.invalid/"); out.push("fetched"); } catch (error) { out.push("refused"); }
        const script = document.createElement("script"); // what the driver itself runs is exempt from the policy
        script.textContent = "setTimeout(() => { try { Function('1')(); board.tried = 'ran'; } catch (error) { board.tried = 'refused'; } })";
        document.head.append(script);
        while (!board.tried) await new Promise((go) => setTimeout(go, 10));
        out.push(board.tried);
        const image = new Image();
        out.push(await new Promise((go) => { image.onload = () => go("loaded"); image.onerror = () => go("refused"); image.src = "https://example.invalid/x.png"; }));
        return out;
    }""")  # noqa: E501
    assert outcomes == ["refused"] * 3
    assert shown.problems and all("Content Security Policy" in problem for problem in shown.problems if "example.invalid" not in problem)
    shown.problems.clear()


def test_nothing_global_but_one_object(show: Show, tmp_path: Path) -> None:
    shown = show(make_payload(8, 7, 1))
    shown.draw_all()
    blank = shown.page.context.new_page()
    (tmp_path / "blank.html").write_text("<!doctype html><title>blank</title>")
    blank.goto((tmp_path / "blank.html").as_uri())
    plain = set(blank.evaluate("Object.getOwnPropertyNames(window)"))
    mine = set(shown.run("Object.getOwnPropertyNames(window)")) - plain
    assert mine == {"board"}


@pytest.mark.parametrize("width", [1280, 380])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessibility(show: Show, width: int, theme: str) -> None:
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright")
    shown = show(make_payload(26, 9, 3, own=3, seed=4), width=width, color_scheme=theme, reduced_motion="reduce")
    shown.draw_all()
    views = {
        "page": None,
        "menu": "document.querySelector('details.menu').open = true",
        "model": "location.hash = '#all=1&wide=1&domain=Energy&model=own|zero-shot|||own-25'",
        "task": "location.hash = '#task=family0%2FH%2Fshort%2F0'",
    }
    # Of what is as it should be, nothing is told: to write thousands of elements down takes longer than to look at them.
    rules = {"resultTypes": ["violations"], **({"runOnly": ["color-contrast"]} if theme == "dark" else {})}  # all else is as in light
    found = []
    for name, script in views.items():
        if script:
            shown.run(script)
            shown.page.wait_for_timeout(500)
        assert (shown.page.locator("#panel[open]").count() == 1) == (name in ("model", "task"))
        part = "details.menu" if name == "menu" else None  # the page around an open menu is the page before
        answer = axe_module.Axe().run(shown.page, context=part, options=rules).response["violations"]
        found += [
            f"{name}: {rule['id']} ({rule['impact']}): {[node['html'][:160] + str(node['any'][:1])[:300] for node in rule['nodes'][:3]]}"
            for rule in answer
            if rule["impact"] in ("serious", "critical")
        ]
    assert found == []


def test_all_published_models_are_there_soon(show: Show) -> None:
    """A bound against blunders alone: other work on a machine makes times useless. `benchmarks/page.py` measures."""
    shown = show(make_payload(124, 28, 4, own=3))
    shown.draw_all()
    for act in ("#show-all", "#menus input[value=CRPS]", "#board th[data-key=win] button", "#board tbody tr:nth-child(5) button.link"):
        shown.run("(selector) => document.querySelector(selector).click()", act)
    assert shown.page.locator("#board tbody tr").count() == 124
    assert shown.run("board.times.usable") < 5000
    assert shown.run("board.times.draw") < 5000


class _Live(BaseHTTPRequestHandler):
    pages: dict[str, tuple[str, str]]

    def do_GET(self) -> None:
        kind, text = self.pages.get(self.path, ("text/plain", ""))
        self.send_response(200 if self.path in self.pages else 404)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode("utf-8", "replace"))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, tuple[str, str]], ThreadingHTTPServer]]:
    handler = type("Handler", (_Live,), {"pages": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", handler.pages, server  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_a_live_page_follows_its_server(chromium: Any, served: Any, bare: Parts) -> None:
    address, pages, server = served
    first, second = make_payload(8, 7, 1), make_payload(9, 7, 1, seed=2)
    pages["/"] = ("text/html", page_html(first, bare, live=True))
    pages["/version"] = ("application/json", '{"version": "a"}')
    pages["/data.json"] = ("application/json", payload_json({**first, "made": {"at": "later"}}))
    page = chromium.new_context().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + "#domain=Energy&score=CRPS")
    shown = Shown(page)
    shown.ready()
    shown.until("document.getElementById('live').textContent.startsWith('live · updated')")
    assert shown.run("board.data.models.length") == 8
    pages["/data.json"] = ("application/json", payload_json(second))
    pages["/version"] = ("application/json", '{"version": "b"}')
    shown.until("board.data.models.length === 9", 8)
    assert "nCRPS on Energy" in shown.text("#verdict") and page.url.endswith("#domain=Energy&score=CRPS")
    assert re.fullmatch(r"live · updated \d\d:\d\d:\d\d", shown.text("#live"))
    assert {url.removeprefix(address).partition("#")[0] for url in asked} == {"", "version", "data.json"}
    server.shutdown()
    server.server_close()
    shown.until("document.getElementById('live').textContent.startsWith('the server does not answer')", 8)
    assert page.locator("#board tbody tr").count() == 9
    page.context.close()


def test_every_script_is_in_the_page_and_has_its_comments() -> None:
    from importlib.resources import files

    from harness_leaderboard.page.render import SCRIPTS

    folder = files("harness_leaderboard.page")
    assert sorted(file.name for file in folder.iterdir() if file.name.endswith(".js")) == sorted(f"{name}.js" for name in SCRIPTS)
    for name in SCRIPTS:
        text = (folder / f"{name}.js").read_text(encoding="utf-8")
        assert text.startswith("/* "), f"{name}.js begins with what it is for"
        assert "innerHTML" not in text and "outerHTML" not in text and "insertAdjacentHTML" not in text and "eval(" not in text
        bare = re.findall(r"(?<!\*/)\n((?:async )?function \w+)", text)
        assert bare == [], f"{name}.js: functions without a comment"
