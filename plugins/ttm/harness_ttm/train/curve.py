"""The curve of a training: rows of numbers, one for each entry of the log, as CSV and as a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.files import write_whole

__all__ = ["Row", "best_of", "picture", "waited", "write_csv"]

Row = dict[str, float]
"""step; loss (mean since the row before), lr, windows_per_s, perhaps skipped; after a validation val_… of each set."""

SCORE = "val_mixture"


def best_of(curve: Sequence[Row]) -> Row | None:
    """The row with the smallest loss on the held-out mixture, the first of equals; None before any validation."""
    scored = [row for row in curve if SCORE in row]
    return min(scored, key=lambda row: row[SCORE] if math.isfinite(row[SCORE]) else math.inf, default=None)


def waited(curve: Sequence[Row]) -> int:
    """Validations since the best."""
    best = best_of(curve)
    return sum(best is not None and SCORE in row and row["step"] > best["step"] for row in curve)


def write_csv(path: Path, curve: Sequence[Row]) -> None:
    """All rows; a number that a row lacks is empty."""
    names = list(dict.fromkeys(["step", "loss", "lr", "windows_per_s", *(name for row in curve for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(curve)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.getvalue())


def picture(curve: Sequence[Row]) -> bytes | None:
    """Training and validation losses over the steps, and the learning rate, as PNG; None where vl-convert is not installed."""
    if find_spec("vl_convert") is None:
        return None
    import vl_convert

    made: bytes = vl_convert.vegalite_to_png(chart(curve), scale=2.0, allowed_base_urls=[])
    return made


def chart(curve: Sequence[Row]) -> dict[str, Any]:
    """The picture as a specification of Vega-Lite."""
    names = {"loss": "training", **{name: name.removeprefix("val_").replace("_", " ") for row in curve for name in row if is_loss(name)}}
    losses = [
        {"step": row["step"], "loss": row[key], "of": name} for row in curve for key, name in names.items() if row.get(key, -1) > 0
    ]  # what is not finite is not drawn: NaN > 0 is false
    rates = [{"step": row["step"], "lr": row["lr"]} for row in curve if "lr" in row]
    step = {"field": "step", "type": "quantitative", "title": "step"}

    def panel(values: list[dict[str, Any]], y: str, title: str, height: int, **more: Any) -> dict[str, Any]:
        scale = {"zero": False, "nice": True}
        encoding = {"x": step, "y": {"field": y, "type": "quantitative", "title": title, "scale": scale}, **more}
        mark = {"type": "line", "point": len(values) < 100}  # a line of one point is not seen
        return {"data": {"values": values}, "mark": mark, "width": 520, "height": height, "encoding": encoding}

    colour = {"field": "of", "type": "nominal", "title": "loss of", "sort": list(names.values())}
    first = panel(losses, "loss", "loss of scaled values", 260, color=colour)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "vconcat": [first, panel(rates, "lr", "learning rate", 80)],
    }


def is_loss(name: str) -> bool:
    """Whether a column is the loss of a validation set."""
    return name.startswith("val_") and not name.endswith("_ratio")
