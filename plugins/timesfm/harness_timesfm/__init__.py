"""TimesFM 2.5 and TimesFM 3.0, forecast by their own library from published weights or a folder of one's own.

Notable choices:

- The library's own `forecast` and `predict_batch` do the work. What is added here is what a benchmark needs around them: contexts that they
  would answer with an error or with NaN, limits that are said before they are met, and forecasts that do not depend on the batch.
- A context is padded to a width that follows from its own length alone (`contexts.widths`), and a fixed number of rows goes through the
  network together. Padding every context to the longest allowed would cost most of the time, and precision with it.
- TimesFM 2.5 can be fine-tuned (`training`); what was learnt is kept only where held-out windows say that it is better.

`cards` says what is known of the models, `contexts` cleans histories, `weights25` reads and writes networks; `forecaster25`, `covariates`,
`training` and `timesfm25` are the first model, `forecaster3` and `timesfm3` the second. This module only registers: torch is imported when
a model is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import ModelInfo, hookimpl
from harness_timesfm.cards import TIMESFM_3, TIMESFM_25
from harness_timesfm.timesfm3 import TimesFM3
from harness_timesfm.timesfm25 import TimesFM25

__all__ = ["TimesFM3", "TimesFM25", "register_models"]


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register `timesfm-2.5` and `timesfm-3`."""
    register(TIMESFM_25, TimesFM25)
    register(TIMESFM_3, TimesFM3)
