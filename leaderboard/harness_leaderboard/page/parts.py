"""What all pages have in common: the script that draws pictures, and the pictures' specifications.

To make them takes two seconds, most of it the start of a JavaScript engine and of Altair, so they are kept in the cache folder under the
versions and the source that they were made from.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from harness.cache import load_cached, store_cached
from harness_leaderboard.needs import need

__all__ = ["Parts", "page_parts"]

CACHE = "page.json"


@dataclass(frozen=True)
class Parts:
    """`bundle`: JavaScript that defines `vegaEmbed`; `specs`: {picture: Vega-Lite specification}; `light`, `dark`: looks of both themes."""

    bundle: str
    specs: Mapping[str, Any]
    light: Mapping[str, Any]
    dark: Mapping[str, Any]


def page_parts() -> Parts:
    """The parts, from the cache or made anew.

    Raises:
        UsageError: what makes them is not installed.
    """
    need("altair", "vl_convert")
    key = _key()
    kept = load_cached(CACHE)
    with contextlib.suppress(KeyError, TypeError):
        if kept["key"] == key and _digest(kept["bundle"]) == kept["digest"]:
            return Parts(kept["bundle"], kept["specs"], kept["light"], kept["dark"])
    made = _made()
    with contextlib.suppress(OSError):
        store_cached(CACHE, {"key": key, "digest": _digest(made.bundle), **asdict(made)})
    return made


def _made() -> Parts:
    import vl_convert

    with ThreadPoolExecutor(1) as pool:  # the JavaScript engine works outside of Python's lock
        bundle = pool.submit(vl_convert.javascript_bundle, snippet="window.vegaEmbed = vegaEmbed;")
        from harness_leaderboard.charts import look, specifications

        return Parts(specs=specifications(), light=look(False), dark=look(True), bundle=str(bundle.result()))


def _key() -> str:
    """What the parts are made from: the makers' versions, and the source of the pictures."""
    said = []
    for name in ("altair", "vl-convert-python"):
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            said.append(name)
    charts = files("harness_leaderboard") / "charts"  # which is not imported: it would import Altair
    source = "".join(
        file.read_text(encoding="utf-8") for file in sorted(charts.iterdir(), key=lambda f: f.name) if file.name.endswith(".py")
    )
    return " ".join((*said, _digest(source)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
