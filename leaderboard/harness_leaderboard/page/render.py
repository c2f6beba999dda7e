"""Put the page together: template, style, scripts, data and the bundle that draws pictures, in one file without any request.

Notable choices:

- The payload and the bundle are gzip + base64 inside script elements that no browser runs; the page unpacks them itself. So names that
  strangers wrote cannot end an element, and the file is a third of the size.
- The content security policy forbids every request; pictures run under Vega's interpreter, so that 'unsafe-eval' is not needed either.
- The same payload gives the same bytes: no time stamp but those in the payload.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from harness_leaderboard.needs import need
from harness_leaderboard.page.parts import Parts
from harness_leaderboard.page.words import SECTIONS, method

__all__ = ["SCRIPTS", "page_html", "payload_json"]

SCRIPTS = (
    "format", "payload", "stats", "resample", "influence", "significance", "dom", "state", "view", "header", "controls", "cells", "ranking",
    "charts", "pictures", "effects", "compare", "heatmap", "forecasts", "explorer", "verdicts", "panels", "taskpanel", "receipts", "live",
    "main",
)  # fmt: skip
"""The page's modules, in the order in which they are joined."""


def page_html(payload: dict[str, Any], parts: Parts, live: bool = False) -> str:
    """The page as one string of HTML.

    Args:
        payload: see `harness_leaderboard.page.payload`; NaN and infinity outside its arrays become null.
        parts: what draws pictures; `harness_leaderboard.page.parts.page_parts()`.
        live: for `harness serve`: the page asks /version every two seconds and draws what is new.

    Raises:
        UsageError: a module of the extra `page` is not installed.
    """
    need("jinja2")
    from jinja2 import Environment
    from markupsafe import Markup

    suite = payload.get("suite") or {}
    name = _plain(suite.get("name"))
    pictures = {"specs": parts.specs, "light": parts.light, "dark": parts.dark}
    script = "\n".join(_read(f"{module}.js") for module in SCRIPTS)
    template = Environment(autoescape=True).from_string(_read("template.html"))
    made: str = template.render(
        title=f"{name[:120]} · leaderboard" if name else "leaderboard",
        by=_plain((payload.get("made") or {}).get("by")),
        suite=name[:120] or "Leaderboard",
        summary=_plain(suite.get("summary")),
        baseline=_plain(suite.get("baseline"))[:60],
        live=live,
        sections=SECTIONS,
        method=method(*_labels(payload)),
        style=Markup(_read("style.css")),
        script=Markup('(() => {\n"use strict";\n' + script + "\n})();"),
        payload=Markup(_packed(payload_json(payload))),
        specifications=Markup(_inside_script(json.dumps(_finite(pictures), separators=(",", ":")))),
        bundle=Markup(_packed(parts.bundle)),
    )
    return made


def payload_json(payload: dict[str, Any]) -> str:
    """The payload as JSON that every browser reads: ASCII, and null for NaN and infinity. What `/data.json` answers in live mode."""
    return json.dumps(_finite(payload), separators=(",", ":"), allow_nan=False)


def _labels(payload: Mapping[str, Any]) -> tuple[str, str]:
    """What the two main scores are called."""
    given = [_plain(score.get("label") or score.get("name"))[:60] for score in payload.get("scores") or ()]
    first, second = [*given, *("MASE", "CRPS")[len(given) :]][:2]
    return first, second


def _read(name: str) -> str:
    return (files("harness_leaderboard.page") / name).read_text(encoding="utf-8")


def _packed(text: str) -> str:
    """gzip + base64, the same bytes each time."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def _plain(value: Any) -> str:
    """Text without what cannot be written as UTF-8 or seen: those signs as the page's script shows them, [U+202E]."""
    text = "" if value is None else str(value)
    return re.sub(
        "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]",
        lambda found: " " if found[0] in "\n\t" else f"[U+{ord(found[0]):04X}]",
        text,
    )


def _inside_script(text: str) -> str:
    """JSON that cannot end the element it stands in."""
    return text.replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    """The same without NaN and infinity, which JSON lacks."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return _finite(value.item()) if hasattr(value, "item") else value
