"""The page in a real browser, driven by playwright: what the console said, what was asked for, and what stood on the screen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

__all__ = ["FLAGS", "Shown", "find_chromium", "without_browser"]

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium(environment: Mapping[str, str]) -> str:
    """The browser to use: HARNESS_CHROMIUM, else where systems put one; "" when there is none."""
    for candidate in (environment.get("HARNESS_CHROMIUM", ""), "/usr/bin/chromium", "/usr/bin/chromium-browser"):
        if candidate and Path(candidate).exists():
            return candidate
    return shutil.which("google-chrome") or ""


def without_browser(why: str, environment: Mapping[str, str]) -> NoReturn:
    """Skip a test that needs a browser; where HARNESS_REQUIRE_CHROMIUM is set, as in CI, it fails instead."""
    if environment.get("HARNESS_REQUIRE_CHROMIUM"):
        pytest.fail(f"HARNESS_REQUIRE_CHROMIUM is set, and there is {why}", pytrace=False)
    pytest.skip(why)


@dataclass
class Shown:
    """An open page. `problems` are console messages that warn, errors, and requests that leave the file."""

    page: Any
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on(
            "console", lambda said: self.problems.append(f"{said.type}: {said.text}") if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.problems.append(f"pageerror: {error}"))
        self.page.on(
            "request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else self.problems.append(asked.url)
        )

    def open(self, address: str) -> Shown:
        """Go there and wait until the first table stands."""
        self.page.goto(address)
        return self.ready()

    def ready(self) -> Shown:
        """Wait until the page has drawn what it draws at once."""
        self.until("window.board && (window.board.ready || window.board.errors.length)")
        return self

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait until an expression is true; asked from outside, as the page's policy forbids playwright's own way, which evaluates text."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never true: {expression}"
            self.page.wait_for_timeout(20)

    def run(self, script: str, argument: Any = None) -> Any:
        """The value of an expression in the page, its promise awaited."""
        return self.page.evaluate(script, argument)

    def text(self, selector: str) -> str:
        """What a reader sees of the first such element."""
        return " ".join(self.page.locator(selector).first.inner_text().split())

    def column(self, key: str) -> list[str]:
        """The shown cells of a column of the ranking."""
        return [" ".join(text.split()) for text in self.page.locator(f"#board tbody .c-{key}").all_inner_texts()]

    def names(self) -> list[str]:
        """Models of the ranking's rows, in order."""
        return list(self.run("[...document.querySelectorAll('#board tbody .c-model bdi')].map(e => e.textContent)"))

    def draw_all(self) -> None:
        """Bring every section before the reader and wait until its picture stands."""
        self.run("""async () => {
            for (const section of document.querySelectorAll("[data-section]")) {
                section.scrollIntoView({ behavior: "instant" });
                const drawn = () => section.querySelector(".body").childNodes.length > 0;
                for (let i = 0; i < 100 && !drawn(); i += 1) await new Promise((go) => setTimeout(go, 20));
            }
        }""")
        self.until("[...document.querySelectorAll('main .picture')].every(e => e.querySelector('svg') || e.textContent)")
        self.run("window.scrollTo({ top: 0, behavior: 'instant' })")

    def wide_elements(self) -> list[str]:
        """Elements that make the document wider than the window; [] when it scrolls down only."""
        return list(
            self.run("""() => {
                const root = document.documentElement;
                if (root.scrollWidth <= root.clientWidth) return [];
                const out = (e) => !e.closest(".box, .command, dialog, .unseen") && e.getBoundingClientRect().right > root.clientWidth + 1;
                return [...document.querySelectorAll("body *")].filter(out)
                    .map((e) => `${e.tagName}.${e.className}`).slice(0, 5);
            }""")
        )
