"""How quick the page is: `python benchmarks/page.py [--models 124] [--tasks 112] [--runs 5]`, or `--db harness.duckdb -s gift-eval`.

Without a database, made-up scores of that many models on that many tasks. The page is built in this process and opened from disk in
Chromium; medians of the runs, as other work on the machine makes single times useless. Printed:

- build: from the results to the file (from a database: with reading it); with and without what draws pictures being cached;
- file: its size;
- usable after: from the request to the first table, the page being able to answer;
- longest task: the longest piece of work that keeps the page from answering while all sections are drawn and four buttons are pressed;
- slice change: from a choice of tasks to the new verdict and ranking; again for a slice that was there before.

Needs the extras `page` and `test`, and Chromium (HARNESS_CHROMIUM names one).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "leaderboard"))

from browser import FLAGS, Shown, find_chromium
from pages import make_payload

WATCH = """() => {
    window.board.longs = [];
    new PerformanceObserver((list) => list.getEntries().forEach((e) => window.board.longs.push([e.startTime, e.duration])))
        .observe({ type: "longtask", buffered: true });
}"""
PRESSED = (
    "#show-all",
    "#menus input[type=radio]:not(:checked)",
    "#board th[data-key=win] button",
    "#board tbody tr:nth-child(5) button.link",
)
CHOOSE = """(name) => {
    const boxes = document.querySelectorAll("details.menu[data-dimension=domain] input[data-value]");
    const box = [...boxes].find((e) => e.dataset.value === name);
    const begin = performance.now();
    box.click();
    return performance.now() - begin;
}"""
DOMAINS = "[...document.querySelectorAll('details.menu[data-dimension=domain] input[data-value]')].map((e) => e.dataset.value)"


def from_database(db: Path, suite: str) -> str:
    """The page of a results database."""
    from harness.plugins import load
    from harness_leaderboard.page.build import build_page
    from harness_leaderboard.view import open_view

    plugins = load()
    store = plugins.store(db)
    return build_page(plugins, store, open_view(plugins, store, suite))


def made_up(models: int, tasks: int) -> Callable[[], str]:
    """A function that makes the page of made-up scores: four tasks a family."""
    from harness_leaderboard.page.parts import page_parts
    from harness_leaderboard.page.render import page_html

    payload = make_payload(models, max(1, tasks // 4), 4, own=3)
    return lambda: page_html(payload, page_parts())


def timed(make: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result)."""
    begin = time.perf_counter()
    made = make()
    return time.perf_counter() - begin, made


def look(browser: Any, address: str) -> dict[str, float]:
    """Open the page, use it, and tell the times in milliseconds."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    shown = Shown(context.new_page()).open(address)
    shown.run(WATCH)
    shown.draw_all()
    usable = shown.run("board.times.usable")
    for selector in PRESSED:
        shown.run("(selector) => document.querySelector(selector)?.click()", selector)
        shown.page.wait_for_timeout(100)
    longest = max([duration for start, duration in shown.run("board.longs") if start > usable], default=0.0)
    context.close()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    shown = Shown(context.new_page()).open(address)
    names = shown.run(DOMAINS)
    times = {"usable after": usable, "longest task": longest}
    if names:
        times["slice change"] = shown.run(CHOOSE, names[0])
        shown.page.wait_for_timeout(200)
        shown.run(CHOOSE, names[0])  # the whole suite again
        shown.page.wait_for_timeout(200)
        times["slice change, again"] = shown.run(CHOOSE, names[0])
    context.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=124)
    parser.add_argument("--tasks", type=int, default=112)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--db", type=Path, help="results database, in place of made-up scores")
    parser.add_argument("-s", "--suite", default="")
    given = parser.parse_args()
    chromium = find_chromium(os.environ)
    if not chromium:
        sys.exit("no Chromium is installed; HARNESS_CHROMIUM names one")
    from playwright.sync_api import sync_playwright

    make = (lambda: from_database(given.db, given.suite)) if given.db else made_up(given.models, given.tasks)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["HARNESS_CACHE"] = folder
        first, html = timed(make)
        later = statistics.median(timed(make)[0] for _ in range(given.runs))
        path = Path(folder) / "page.html"
        path.write_text(html, encoding="utf-8")
        print(f"{'build':22s} {later:8.2f} s   (nothing cached: {first:.2f})")
        print(f"{'file':22s} {path.stat().st_size / 1e6:8.2f} MB")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        runs = [look(browser, path.as_uri()) for _ in range(given.runs)]
        browser.close()
    for name in runs[0]:
        times = sorted(run[name] for run in runs)
        print(f"{name:22s} {statistics.median(times):8.0f} ms  (fastest {times[0]:.0f}, slowest {times[-1]:.0f})")


if __name__ == "__main__":
    main()
