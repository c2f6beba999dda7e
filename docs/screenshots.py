"""Pictures of the page for the documentation, taken in a real browser: docs/images/*.png.

    python docs/screenshots.py --db harness.duckdb -s gift-eval

The page is made by `harness leaderboard` from that database; what shows best is one with published results, own runs with
--save-forecasts, and more than ten models. Needs the extras `page` and `test`, and Chromium (HARNESS_CHROMIUM names one).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

IMAGES = Path(__file__).parent / "images"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "leaderboard"))

from browser import FLAGS, Shown, find_chromium  # noqa: E402 - found by the line above


class Shot(NamedTuple):
    """A picture: file name, window, theme, section at the top ("" = the page's), what to do before."""

    name: str
    width: int
    height: int
    theme: str = "light"
    section: str = ""
    script: str = ""


OWN_MODEL = "document.querySelector('#board tbody tr.own button.link, #board tbody tr button.link').click()"
ONE_TASK = "document.querySelector('.heat thead th button').click()"

SHOTS = (
    Shot("page", 1280, 860),
    Shot("page-dark", 1280, 860, "dark"),
    Shot("ranking", 1280, 800, section="ranking"),
    Shot("heat-map", 1280, 620, section="heatmap"),
    Shot("domains", 1280, 520, section="domains"),
    Shot("critical", 1280, 460, section="critical"),
    Shot("calibration", 1280, 900, section="calibration"),
    Shot("forecasts", 1280, 640, section="explorer"),
    Shot("model", 1280, 860, script=OWN_MODEL),
    Shot("task", 1280, 860, "dark", script=ONE_TASK),
    Shot("phone", 390, 844),
)


def take(browser: Any, address: str, shot: Shot) -> None:
    """Open the page, draw all of it, go to the section, and write the picture."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.theme, reduced_motion="reduce", device_scale_factor=1
    )
    shown = Shown(context.new_page()).open(address)
    shown.draw_all()
    if shot.section:
        shown.run("(id) => document.getElementById(id).scrollIntoView({ behavior: 'instant' })", f"s-{shot.section}")
    if shot.script:
        shown.run(shot.script)
    shown.page.wait_for_timeout(600)
    shown.page.screenshot(path=IMAGES / f"{shot.name}.png")
    if shown.problems:
        raise SystemExit(f"{shot.name}: the page complained: {shown.problems}")
    context.close()


def main() -> None:
    """Make the page and take all pictures of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", default="harness.duckdb", help="results database [default: harness.duckdb]")
    parser.add_argument("-s", "--suite", default="", help="suite to show [default: as harness leaderboard]")
    given = parser.parse_args()
    chromium = find_chromium(os.environ)
    if not chromium:
        raise SystemExit("no Chromium is installed; HARNESS_CHROMIUM names one")
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "leaderboard.html"
        harness = [str(Path(sys.executable).with_name("harness")), "leaderboard", "--db", given.db, "-o", str(page)]
        subprocess.run([*harness, *(["-s", given.suite] if given.suite else [])], check=True)
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for shot in SHOTS:
            take(browser, page.as_uri(), shot)
            print(IMAGES / f"{shot.name}.png")
        browser.close()


if __name__ == "__main__":
    main()
