"""Single forecasts as the page's payload has them; `harness_leaderboard.kept_windows` chooses and reads them.

What the page has no room for is left out, and it says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness_leaderboard.aggregate import Results
from harness_leaderboard.kept_windows import DRAWN, KINDS, Drawn, Kept, SuiteData, Window, choose_windows, draw_windows, kept_forecasts
from harness_leaderboard.page.payload import array

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["explorer"]


def explorer(plugins: Plugins, store: Store, results: Results, budget: int) -> dict[str, Any] | None:
    """The windows to draw, as the payload has them; None where no forecasts were kept.

    Args:
        budget: bytes of base64 that all arrays together may take. Where they take more, windows of the kind "apart" are left out, then
            "median", then tasks with the longest horizons; "left_out" says so.
    """
    kept = kept_forecasts(store, results)
    if kept is None:
        return None
    windows = choose_windows(store, kept)
    left_out = _fit(windows, kept, budget)
    number = {task["name"]: r for r, task in enumerate(results.tasks)}
    data = SuiteData(plugins)
    made = []
    for name in sorted(windows, key=lambda name: number[name]):
        drawn = sorted(draw_windows(kept, name, windows[name], data), key=lambda window: KINDS.index(window.kinds[0]))
        made.append({"task": number[name], "windows": [_window(window, kept.models) for window in drawn]})
    return {"models": kept.models, "levels": [kept.levels[q] for q in kept.drawn], "tasks": made, "left_out": left_out}


def _fit(windows: dict[str, dict[int, Window]], kept: Kept, budget: int) -> str:
    """Drop windows until what is left fits; return what was left out, in words."""
    horizon = {name: int(next(iter(kept.cells[name].values()))["horizon"]) for name in windows}

    def size() -> int:
        """Bytes in base64: context, labels, steps, and the levels of each model."""
        arrays = 1 + len(kept.models) * len(kept.drawn)
        return sum(len(those) * 6 * (2 * DRAWN + min(DRAWN, horizon[name]) * arrays) for name, those in windows.items())

    said = []
    for kind in ("apart", "median"):
        if size() > budget:
            for those in windows.values():
                for at in [at for at, window in those.items() if window.kinds[0] == kind]:
                    del those[at]
            said.append(f"the windows of kind '{kind}'")
    total = len(windows)
    for name in sorted(windows, key=lambda name: (-horizon[name], name)):
        if size() <= budget or len(windows) == 1:
            break
        del windows[name]
    if len(windows) < total:
        said.append(f"{total - len(windows)} of {total} tasks, those with the longest horizons")
    return f"To keep the page small, it leaves out {' and '.join(said)}; `harness plot forecasts` draws any." if said else ""


def _window(window: Drawn, models: Sequence[int]) -> Mapping[str, Any]:
    """A window as the payload has it, with a place for each model."""
    return {
        "kind": window.kinds[0],
        "item": window.item,
        "variate": window.variate,
        "cutoff": window.cutoff.isoformat(sep=" ") if window.cutoff else "",
        "freq": window.freq,
        "context": array(window.context, "f4"),
        "label": array(np.empty(0) if window.label is None else window.label, "f4"),
        "step": array(window.step, "f4"),
        "errors": [window.errors.get(m) for m in models],
        "forecasts": [array(window.forecasts[m], "f4") if m in window.forecasts else None for m in models],
    }
