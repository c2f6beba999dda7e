"""The page from a view of the results: payload, details, charts and the Vega bundle put together."""

from __future__ import annotations

import contextlib
import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.errors import HarnessError
from harness.types import SuiteInfo
from harness_leaderboard.needs import need
from harness_leaderboard.page.parts import page_parts
from harness_leaderboard.page.payload import make_payload, of_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.dialects import Finding
    from harness.plugins import Plugins
    from harness.store import Store
    from harness_leaderboard.aggregate import Results
    from harness_leaderboard.view import View

__all__ = ["build_page", "told", "view_payload"]

EXPLORER_BYTES = 2_000_000
"""Most that kept forecasts may add to the page."""


def build_page(plugins: Plugins, store: Store, view: View, live: bool = False) -> str:
    """The page as one HTML document that asks for nothing else.

    Args:
        live: it asks the server that it came from for news.

    Raises:
        UsageError: what pages need is not installed.
    """
    need("altair", "jinja2", "vl_convert")
    from harness_leaderboard.page.render import page_html

    return page_html(view_payload(plugins, store, view), page_parts(), live=live)


def view_payload(plugins: Plugins, store: Store, view: View) -> dict[str, Any]:
    """What the page is drawn from."""
    from harness_leaderboard.page.sums import calibration, error_steps
    from harness_leaderboard.page.windows import explorer
    from harness_leaderboard.verdicts import verdicts

    made = {
        "at": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
        "by": f"ts-harness {__version__}",
        "db": store.path.name,
        "command": _command(view),
    }
    found, broken = verdicts(plugins, view.results)
    view.results.notes += broken
    payload: dict[str, Any] = make_payload(store, view.results, _suite(plugins, view.suite), made, _selection(view))
    entries = view.results.entries
    if len(view.shown) < len({(entry.label, entry.source) for entry in entries}):
        payload["shown"] = [m for m, entry in enumerate(entries) if (entry.label, entry.source) in view.shown]
    payload["verdicts"] = told(found, view.results)
    if of_events(view.results):
        return payload
    if view.results.sliced:
        payload["notes"].append("Calibration, errors by step and single forecasts are kept of whole tasks: this page is without them.")
        return payload
    return payload | {
        "calibration": calibration(store, view.results),
        "steps": error_steps(store, view.results),
        "explorer": explorer(plugins, store, view.results, EXPLORER_BYTES),
    }


def told(found: Sequence[Finding], results: Results) -> list[dict[str, Any]]:
    """Findings as the page has them: "task" a number of the results' tasks, None = all; "plain" without numbers."""
    index = {str(task["name"]): j for j, task in enumerate(results.tasks)}
    return [{"task": index.get(f.task), "text": f.text, "plain": f.short or f.text} for f in found]


def _selection(view: View) -> str:
    """What was left out, in words, but for windows where a note says that already, with how many are left."""
    said = view.selection
    for note in view.results.notes:
        windows = re.match(r"Only windows for which (.+): [\d,]+ windows of", note, re.DOTALL)
        said = said.replace(f"windows where {windows[1]}", "", 1) if windows else said
    return "; ".join(part for part in said.split("; ") if part)


def _suite(plugins: Plugins, name: str) -> SuiteInfo:
    """What its plugin says of a suite; the name alone where the plugin is not here."""
    with contextlib.suppress(HarnessError):
        return plugins.suite(name).info
    return SuiteInfo(name)


def _command(view: View) -> str:
    """What makes this page again: the options that chose what it shows, without folders and without the database's place."""
    import click

    context = click.get_current_context(silent=True)
    given = context.params if context else {}
    words = ["harness", "leaderboard", "-s", view.suite]
    for name in ("models", "where", "windows", "limit", "baseline"):
        for value in [given[name]] if isinstance(given.get(name), str) else list(given.get(name) or ()):
            words += [f"--{name}", value] if value else []
    if given.get("common"):
        words.append("--common")
    return shlex.join([*words, "-o", "leaderboard.html"])
