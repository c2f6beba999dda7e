"""Fixtures of these tests: the published results, a real browser, the bundle that draws pictures, and a page opened from disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from browser import FLAGS, Shown, find_chromium, without_browser

if TYPE_CHECKING:
    from harness_leaderboard.aggregate import Results


@pytest.fixture(scope="session")
def published_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the published results of GIFT-Eval, made once: to be read, or copied before it is written to."""
    from harness_results.gift_eval_import import import_gift_eval
    from harness_results.store import DuckStore

    path = tmp_path_factory.mktemp("published") / "x.duckdb"
    import_gift_eval(DuckStore(path))
    return path


@pytest.fixture(scope="session")
def published_results(published_db: Path) -> Results:
    """The published results as arrays, not to be changed."""
    from harness_leaderboard.collect import collect
    from harness_results.store import DuckStore

    return collect(DuckStore(published_db, readonly=True), "gift-eval")


@pytest.fixture(scope="session")
def parts() -> Any:
    """What all pages have in common; two seconds to make."""
    pytest.importorskip("vl_convert")
    from harness_leaderboard.page.parts import page_parts

    return page_parts()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser with a fresh profile; its tests are skipped where none is installed, or fail with HARNESS_REQUIRE_CHROMIUM=1."""
    path = find_chromium(os.environ)
    if not path:
        without_browser("no Chromium: HARNESS_CHROMIUM names one", os.environ)
    try:
        from playwright import sync_api
    except ImportError:
        without_browser("no playwright: pip install 'ts-harness[test]'", os.environ)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def show(chromium: Any, parts: Any, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    """Make the page of a payload, open it from disk and, at the end, see that nothing was complained of and nothing asked for."""
    from harness_leaderboard.page.render import page_html

    opened: list[Shown] = []

    def make(payload: dict[str, Any] | str, hash: str = "", width: int = 1280, height: int = 900, **context: Any) -> Shown:
        path = tmp_path / f"page-{len(opened)}.html"
        html = payload if isinstance(payload, str) else page_html(payload, parts)
        path.write_text(html, encoding="utf-8")
        page = chromium.new_context(viewport={"width": width, "height": height}, **context).new_page()
        opened.append(Shown(page))
        return opened[-1].open(path.as_uri() + hash)

    yield make
    for shown in opened:
        errors = shown.run("window.board ? window.board.errors.map(String) : []") if not shown.page.is_closed() else []
        shown.page.context.close()
        assert shown.problems == []
        assert errors == []
