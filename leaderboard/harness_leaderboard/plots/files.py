"""A picture as a file: PNG, SVG, PDF, a page that asks for nothing, or its Vega-Lite specification.

Notable choices: PNG, SVG and PDF are made by vl-convert, without a browser; the page holds the script that draws it, under a content
security policy that forbids every request; names are values of the data in all of them, so none can become markup or program.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.cli.output import printable
from harness.errors import UsageError
from harness_leaderboard.plots.numbers import Picture
from harness_leaderboard.words import relative

__all__ = ["SUFFIXES", "picture_file", "specification", "suffix_of"]

WIDTH = 760
"""Pixels of a picture unless --width says otherwise."""
FACETS = {"domains": (200, 60, 200), "pit": (150, 30, 60)}
"""Small multiples: (least width of one, room right of it, room left of the first) in pixels."""
COLUMNS = 4
BACK = {False: "#ffffff", True: "#0d1117"}


def specification(kind: str, picture: Picture, width: int = 0, dark: bool = False, label: str = "MASE") -> dict[str, Any]:
    """The Vega-Lite specification of a picture with its rows and colours.

    Args:
        kind: which of `harness_leaderboard.charts.PICTURES`.
        width: pixels of the whole; 0 = `WIDTH`, or what the picture wants.
        label: what the axes call the score.
    """
    from harness_leaderboard.charts import PICTURES, look

    wide = width or max(WIDTH, picture.width)
    options: dict[str, Any] = {"title": picture.title, "subtitle": _wrapped(picture.subtitle, wide)}
    if picture.axis:
        options["unit"] = picture.axis
    if kind in FACETS:
        least, gap, left = FACETS[kind]
        columns = max(1, min(COLUMNS, picture.panels, (wide - left) // (least + gap)))
        options |= {"columns": columns, "width": max(60, (wide - left) // columns - gap)}
    else:
        options["width"] = wide
    made: dict[str, Any] = PICTURES[kind](picture.rows, **options).to_dict()
    if kind in FACETS:
        made["spacing"] = {"row": 18, "column": FACETS[kind][1]}
    else:
        made["autosize"] = {"type": "fit-x", "contains": "padding"}
        if isinstance(made["height"], dict):  # steps, which Vega-Lite cannot fit and remarks on
            made["height"] = made["height"]["step"] * _bands(picture.rows)
    if kind == "domains":
        _limit_bars(made, picture.rows)
    _rename(made, label)
    made["config"] = {**look(dark), "background": BACK[dark]}
    made["description"] = f"{picture.title}. {picture.subtitle}".replace("\n", "; ")
    return made


def _bands(rows: Sequence[dict[str, Any]]) -> int:
    """How many bands a picture has: its models, or the rows that the critical-difference picture lays out."""
    columns = ("row", "above", "base") if any("row" in row for row in rows) else ("model",)
    return len({row[name] for row in rows for name in columns if row.get(name) is not None})


def _limit_bars(made: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Bars end at twice the baseline or a third of it, so that one bad model does not flatten the others; the numbers stand beside.

    Each small picture gets an axis of its own.
    """
    values = [row[name] for row in rows for name in ("value", "low") if row[name] is not None and 0 < row[name] < math.inf]
    low, high = max(0.3, min(0.8, *values, 0.8)), min(2.0, max(1.1, *values, 1.1))
    made["resolve"] = {"axis": {"x": "independent"}}
    for layer in made["spec"]["layer"]:
        x = layer.get("encoding", {}).get("x", {})
        if "scale" in x:
            x["scale"] = {**x["scale"], "domain": [low, high], "clamp": True, "padding": 0}
            x["axis"] = {**x["axis"], "values": [tick for tick in (0.3, 0.5, 0.7, 1, 1.4, 2) if low <= tick <= high]}
            x["title"] = None


def _wrapped(text: str, width: int) -> str:
    """Lines that fit into so many pixels."""
    import textwrap

    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, max(30, width // 6)) or [""])


def _rename(node: Any, label: str) -> None:
    """Put the score's name in place of MASE into the titles of axes and tooltips; rows and titles of the picture stay."""
    if label == "MASE":
        return
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key in ("datasets", "data", "config"):
            continue
        if key == "title" and isinstance(value, str):
            node[key] = re.sub("n?MASE", lambda found: relative(label) if found[0] == "nMASE" else label, value)
        elif isinstance(value, dict | list) and not (key == "title" and isinstance(value, dict)):
            _rename(value, label)


def suffix_of(path: Path) -> str:
    """Which kind of file a name stands for.

    Raises:
        UsageError: none that can be made.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"got -o {printable(str(path), 200)}; wanted a name that ends in {', '.join(SUFFIXES)}, as in -o plot.png")
    return suffix


def picture_file(made: dict[str, Any], suffix: str, scale: float = 2.0) -> str | bytes:
    """A specification as a file's content; `scale` is pixels of a PNG for one of the picture."""
    return SUFFIXES[suffix](made, scale)


def _version() -> dict[str, Any]:
    """The Vega-Lite that the specification was written for, where vl-convert has it."""
    import altair
    import vl_convert

    wanted = ".".join(altair.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    return {"vl_version": wanted} if wanted in vl_convert.get_vegalite_versions() else {}


def _png(made: dict[str, Any], scale: float) -> bytes:
    import vl_convert

    content: bytes = vl_convert.vegalite_to_png(made, scale=scale, allowed_base_urls=[], **_version())
    return content


def _svg(made: dict[str, Any], _: float) -> str:
    import vl_convert

    content: str = vl_convert.vegalite_to_svg(made, allowed_base_urls=[], **_version())
    return content


def _pdf(made: dict[str, Any], _: float) -> bytes:
    import vl_convert

    content: bytes = vl_convert.vegalite_to_pdf(made, allowed_base_urls=[], **_version())
    return content


def _json(made: dict[str, Any], _: float) -> str:
    return json.dumps(made, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _html(made: dict[str, Any], _: float) -> str:
    from harness_leaderboard.page.parts import page_parts

    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    title = made["title"]["text"]
    back, text = made["config"]["background"], made["config"]["text"]["color"]
    packed = json.dumps(made, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{html.escape(" ".join(title) if isinstance(title, list) else title)}</title>
<style>body {{ margin: 1rem; background: {back}; color: {text} }} #picture {{ overflow-x: auto }}</style>
</head>
<body>
<div id="picture" role="img" aria-label="{html.escape(made["description"])}"></div>
<noscript>The picture is drawn by a script in this file.</noscript>
<script>{_inside_element(page_parts().bundle)}</script>
<script id="specification" type="application/json">{packed}</script>
<script>
const specification = JSON.parse(document.getElementById("specification").textContent);
window.vegaEmbed("#picture", specification, {{ ast: true, actions: false, renderer: "svg", logLevel: 1, mode: "vega-lite" }});
</script>
</body>
</html>
"""


def _inside_element(script: str) -> str:
    """A script that cannot end the element it stands in: what looks like its end can only stand in strings and comments."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")


SUFFIXES: dict[str, Callable[[dict[str, Any], float], str | bytes]] = {
    ".png": _png,
    ".svg": _svg,
    ".pdf": _pdf,
    ".html": _html,
    ".json": _json,
}
"""What a file's name may end in."""
