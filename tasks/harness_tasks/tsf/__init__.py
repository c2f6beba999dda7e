"""The `.tsf` format of the Monash time series forecasting archive: a strict, fast reader and a writer.

    # comment                                     anywhere
    @relation NAME                                the header: words in any order, in any case, `@data` last
    @attribute NAME string|numeric|date           at least one
    @frequency daily                              `harness.monash.ALIASES`
    @horizon 30                                   optional, like all words but @attribute and @data
    @missing true|false
    @equallength true|false
    @data
    T1:2020-01-01 00-00-00:1,2.5,?,4              one series a row: its attributes as declared, then its values, ? where missing

Sources: R. Godahewa et al., "Monash Time Series Forecasting Archive", NeurIPS 2021 (section 2.1), and the loaders of that archive,
`utils/data_loader.R` and `utils/data_loader.py` of rakshitha123/TSForecasting.

Notable choices:

* Text is cp1252, as those loaders read it, or UTF-8 where the file begins with a byte order mark.
* Numbers are read as float64 and kept as float32, like theirs; what float32 cannot hold is an error, not an infinity.
* The loaders believe what a header claims. Here a claim that the data contradict is an error (`@missing false` and a `?`, `@equallength
  true` and unequal lengths), and so is a word that the format does not know; `strict=False` reads such files as the loaders do, and
  says so in `TsfFile.contradictions`. A word like one of the format's is a slip in either way: `@horizn 14`.
* Numbers are parsed by Arrow, a piece of the file at a time: `rows.parse`. What that finds odd is looked at line by line
  (`careful.spelt_out`), which either spells it as usual or says which line is wrong; so errors have a line, and usual files cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness_tasks.tsf.header import TsfHeader
    from harness_tasks.tsf.reader import TsfFile, read_batches, read_header, read_tsf
    from harness_tasks.tsf.writer import write_tsf

# Loaded when asked for: the header alone costs no numpy.
_EXPORTS = {
    "TsfFile": "reader",
    "TsfHeader": "header",
    "read_batches": "reader",
    "read_header": "reader",
    "read_tsf": "reader",
    "write_tsf": "writer",
}

__all__ = ["TsfFile", "TsfHeader", "read_batches", "read_header", "read_tsf", "write_tsf"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
