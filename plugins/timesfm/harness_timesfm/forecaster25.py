"""Forecasts of a TimesFM 2.5 network, by the library's `compile` and `forecast`.

Axes: N windows, Q channels (the mean, then nine deciles), H horizon, T context.

What the library does by itself, and what stands against it here:

- `forecast` fills the caller's list up with dummy series: it gets a list of its own.
- It pads every context to `max_context`: here that is a width of the context's own length, and each width has its own call.
- It always runs `per_core_batch_size` rows, dummies among them: so a window's forecast is the same bits whatever travels with it.
- It rounds contexts to patches of 32 and horizons to 128, and together they are 16384 steps at most: the context gives way.
- Its quantile head reaches 1024 steps: beyond, the deciles are those of the point head.
- All that is missing, and infinity: such windows never reach it, or reach it without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from timesfm import ForecastConfig

from harness import Unsupported
from harness.forecast import F32, I64, Ragged
from harness_timesfm.contexts import Histories, batches, clean, widths
from harness_timesfm.parameters import Settings25

__all__ = ["LEVELS", "Fact", "Forecaster25", "Reach", "tally"]

LEVELS = np.arange(1, 10) / 10
Fact = float | str | list[int] | list[float]
TOKENS = {"cpu": 128, "cuda": 16_384}
"""Patches that go through the network together: enough that reading its weights is a tenth of the work, and few enough that filling up the
last call with dummies is little work."""
MOST_ROWS = {"cpu": 64, "cuda": 1024}


@dataclass(frozen=True)
class Reach:
    """How far a forecast reaches: steps of context at most, of horizon rounded up to whole outputs, and whether by the quantile head."""

    context: int
    horizon: int
    head: bool


class Forecaster25:
    """A network with the settings that it forecasts by.

    Args:
        library: as `weights25.load` returns it.
        settings: of the model.
        notes: where to count what was done otherwise.
    """

    def __init__(self, library: Any, settings: Settings25, notes: dict[str, Fact]) -> None:
        self.library, self.settings, self.notes = library, settings, notes

    def reach(self, horizon: int) -> Reach:
        """What the network can do for a horizon; the context is shorter where both would be too long together.

        Raises:
            Unsupported: the horizon is too long by itself, or for the quantile head that was asked for.
        """
        module = self.library.model
        patch, limit = module.p, int(module.config.context_limit)
        whole = -(-horizon // module.o) * module.o
        room = (limit - whole) // patch * patch
        if room < patch:
            raise Unsupported(f"timesfm-2.5: {horizon} steps ahead and a context are more than the {limit} steps that it has for both")
        head = self.settings.use_continuous_quantile_head
        if head and whole > module.os:
            raise Unsupported(
                f"timesfm-2.5: the quantile head reaches {module.os} steps and {horizon} are asked for; leave use_continuous_quantile_head "
                "out, and the deciles of the point head are used for them"
            )
        if head is None:
            head = whole <= module.os
            if not head:
                self.notes["quantile head"] = f"not used: it reaches {module.os} steps"
        wanted = -(-self.settings.context // patch) * patch
        if wanted > room:
            self.notes["context"] = f"{room} steps: no more has room beside the horizon"
        return Reach(min(wanted, room), whole, head)

    def compile(self, reach: Reach, width: int, rows: int, backcast: bool = False) -> None:
        """Tell the library what the next call is like; without `torch_compile` this compiles nothing."""
        settings = self.settings
        self.library.compile(
            ForecastConfig(
                max_context=width,
                max_horizon=reach.horizon,
                normalize_inputs=settings.normalize_inputs,
                per_core_batch_size=rows,
                use_continuous_quantile_head=reach.head,
                force_flip_invariance=settings.force_flip_invariance,
                infer_is_positive=settings.infer_is_positive,
                fix_quantile_crossing=settings.fix_quantile_crossing,
                return_backcast=backcast,
            )
        )

    def rows_for(self, width: int) -> int:
        """How many rows of this width go through the network together, always."""
        kind = self.settings.device.partition(":")[0]
        most = min(TOKENS[kind] * self.library.model.p // width, MOST_ROWS[kind])
        return self.settings.per_core_batch_size or max(most, 1)

    def forecast(self, contexts: Ragged, horizon: int) -> F32:
        """Means and deciles [N, 10, H] of the contexts; 0 for those that are all missing."""
        reach, histories = self.reach(horizon), clean(contexts)
        out = np.zeros((len(contexts), 10, horizon), np.float32)
        self.into(out, histories, self.usable(histories), reach)
        return out

    def into(self, out: F32, histories: Histories, chosen: I64, reach: Reach) -> None:
        """Write the forecasts of chosen windows, each with a value, into `out` [N, 10, H]."""
        for (width,), places in batches(widths(histories.lengths[chosen], reach.context, self.library.model.p)):
            rows = chosen[places]
            self.compile(reach, width, self.rows_for(width))
            _, quantiles = self.library.forecast(horizon=out.shape[2], inputs=[histories[row] for row in rows])  # [n, H, 10]
            out[rows] = histories.restore(np.ascontiguousarray(quantiles.transpose(0, 2, 1)), rows)

    def usable(self, histories: Histories) -> I64:
        """The windows with a value; the others are counted, as is what was cleaned."""
        there = histories.lengths > 0
        tally(self.notes, "windows all missing, forecast as 0", int((~there).sum()))
        tally(self.notes, "windows with infinite values, taken as missing", histories.infinite)
        tally(self.notes, "windows forecast at another size", int((histories.exponent != 0).sum()))
        return np.flatnonzero(there)


def tally(notes: dict[str, Fact], what: str, count: int) -> None:
    """Add to a count in the notes; nothing is noted of what did not happen."""
    if count:
        before = notes.get(what, 0)
        notes[what] = count + (before if isinstance(before, int) else 0)
