"""Forecasts of a TimesFM 3.0 network, by `predict_batch` of the library's `TimesFM3Evaluator`: its forecaster with the settings of its
benchmarks, which also takes items of more than 32 variates apart. Imports torch and timesfm.

Axes: N windows, G items, V variates of an item, K covariates, Q deciles, H horizon, L length of a history.

What the library does by itself, and what stands against it here:

- It pads a call to the longest context in it, and forecasts depend on how far a context is padded, by more than rounding: attention sees
  the padding. Here each number of patches has calls of its own, so an item is forecast as the library does it alone.
- Its last call is smaller: here a call is always of as many items, so a forecast is the same bits whatever travels with it.
- A context that is all missing is forecast from zeros as if they were data: such an item never reaches it.
- Infinity, and values that float32 cannot square, are cleaned beforehand.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from timesfm3 import TimesFM3Evaluator

from harness import Batch, UsageError
from harness.forecast import F32, F64, I64, Ragged
from harness_timesfm.contexts import Histories, batches, clean, fill, interpolate
from harness_timesfm.forecaster25 import MOST_ROWS, TOKENS, Fact, tally
from harness_timesfm.parameters import Settings3

__all__ = ["Forecaster3", "load"]


def load(folder: Path, device: str) -> Any:
    """Read a folder with config.json and model.safetensors; nothing is executed and nothing fetched.

    Args:
        folder: absolute: a relative one would be looked for on the hub first.

    Raises:
        UsageError: a file is missing, or they do not hold a TimesFM 3.0 network.
    """
    wanted = "wanted a folder with config.json and model.safetensors as save_pretrained of timesfm3.TimesFM3Torch writes it"
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UsageError(f"timesfm-3: there is no file {folder / name}; {wanted}")
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        # Without these the library would take its defaults, and fill the rest with random numbers.
        if missing := [name for name in ("input_patch_len", "transformer_config") if name not in stored]:
            raise ValueError(f"config.json has no {missing[0]}")
        with contextlib.redirect_stdout(sys.stderr):  # the hub's library prints a line
            library = TimesFM3Evaluator.from_pretrained(str(folder), device=device, local_files_only=True)
        with safe_open(folder / "model.safetensors", "pt") as file:
            if apart := set(file.keys()) ^ set(library.model.state_dict()):
                raise ValueError(f"config.json and model.safetensors differ in {len(apart)} tensors, one of them {min(apart)}")
    except Exception as error:
        lines = " ".join(str(error).split())[:400]
        raise UsageError(f"timesfm-3: {folder} is not of this model: {type(error).__name__}: {lines}; {wanted}") from None
    return library


class Forecaster3:
    """A network with the settings that it forecasts by.

    Args:
        library: as `load` returns it.
        settings: of the model.
        notes: where to count what was done otherwise.
    """

    def __init__(self, library: Any, settings: Settings3, notes: dict[str, Fact]) -> None:
        self.library, self.settings, self.notes = library, settings, notes
        self.patch = int(library.config.input_patch_length)
        self.levels: F64 = np.array(library.config.quantiles, np.float64)

    def forecast(self, batch: Batch) -> F32:
        """Deciles [N, Q, H]; 0 for contexts that are all missing."""
        histories, horizon = clean(batch.contexts), batch.horizon
        tally(self.notes, "windows all missing, forecast as 0", int((histories.lengths == 0).sum()))
        tally(self.notes, "windows with infinite values, taken as missing", histories.infinite)
        tally(self.notes, "windows forecast at another size", int((histories.exponent != 0).sum()))
        past, known = self.covariates(batch)
        out = np.zeros((len(batch), len(self.levels), horizon), np.float32)
        items = self.items(batch, histories)
        context = min(-(-self.settings.context // self.patch) * self.patch, self.library.global_context)
        lengths = np.array([min(histories.lengths[rows].max(), context) for rows in items], np.int64)  # [G]
        sizes = np.array([len(rows) for rows in items], np.int64)
        for _, places in batches(np.stack([sizes, -(-lengths // self.patch)], axis=1)):
            rows = np.stack([items[place] for place in places])  # [G, V]
            deciles = self._call(histories, rows, lengths[places], past, known, horizon)  # [G, V, H, Q]
            flat = rows.reshape(-1)  # [G · V]
            forecasts = np.ascontiguousarray(deciles.reshape(-1, horizon, len(self.levels)).transpose(0, 2, 1))  # [G · V, Q, H]
            out[flat] = histories.restore(forecasts, flat)
        out[histories.lengths == 0] = 0
        return out

    def items(self, batch: Batch, histories: Histories) -> list[I64]:
        """Rows that are forecast together: the variates of an item in their order, or each row by itself; none that are all missing."""
        there = histories.lengths > 0
        if not self.settings.joint:
            return [np.array([row]) for row in np.flatnonzero(there)]
        found: list[I64] = []
        for _, rows in batches(batch.group.astype(np.int64)):
            if np.ptp(batch.contexts.lengths[rows]):  # not of one item at one cutoff
                found += [np.array([row]) for row in rows if there[row]]
            elif there[rows].any():
                found.append(rows)
        return found

    def covariates(self, batch: Batch) -> tuple[list[Ragged], list[Ragged]]:
        """Past covariates, and known ones, with gaps filled on a line; of very large and very small ones a power of two."""
        if not self.settings.covariates:
            return [], []
        past, known = batch.past_covariates, batch.known_covariates
        return [Ragged(clean(one).values, one.offsets) for one in past], [Ragged(clean(one).values, one.offsets) for one in known]

    def rows_for(self, width: int, horizon: int, series: int) -> int:
        """How many items of so many series go through the network together, always."""
        kind = self.settings.device.partition(":")[0]
        sides = 2 if self.settings.use_symmetric_averaging else 1
        patches = (width + horizon) // self.patch + 1
        most = min(TOKENS[kind] // (patches * series * sides), MOST_ROWS[kind])
        return self.settings.per_core_batch_size or max(most, 1)

    def _call(self, histories: Histories, rows: I64, lengths: I64, past: list[Ragged], known: list[Ragged], horizon: int) -> F32:
        """Deciles [G, V, H, Q] of items [G, V] whose newest `lengths` [G] steps, of as many patches, are used."""
        series = rows.shape[1] + len(past) + len(known)
        patches = -(-int(lengths.max()) // self.patch)  # the same for each of them
        size = self.rows_for(patches * self.patch, horizon, series)
        self.library.config.per_core_batch_size = size * (2 if self.settings.use_symmetric_averaging else 1)
        contexts = [self._targets(histories, item, length) for item, length in zip(rows, lengths.tolist(), strict=True)]
        before = [_newest(past, item[0], length) for item, length in zip(rows, lengths.tolist(), strict=True)]
        beyond = [_newest(known, item[0], length + horizon) for item, length in zip(rows, lengths.tolist(), strict=True)]
        places = [*range(len(rows)), *[0] * (-len(rows) % size)]  # the last call is filled up with an item of it
        with cheap_collection():
            answers = list(
                self.library.predict_batch(
                    [contexts[place] for place in places],
                    horizon=horizon,
                    past_only_covariates=[before[place] for place in places] if past else None,
                    past_future_covariates=[beyond[place] for place in places] if known else None,
                    return_quantiles=True,
                    use_symmetric_averaging=self.settings.use_symmetric_averaging,
                    make_positive=self.settings.make_positive,
                    use_znorm=self.settings.use_znorm,
                    padding_mode=self.settings.padding_mode,
                )
            )
        return np.stack([answer.quantiles for answer in answers[: len(rows)]])

    def _targets(self, histories: Histories, item: I64, length: int) -> F32:
        """The newest `length` steps [V, L] of an item, NaN before a variate's first value, 0 for a variate that is all missing."""
        out = np.full((len(item), length), np.nan, np.float32)
        for variate, row in enumerate(item.tolist()):
            history = histories[row]
            history = interpolate(history)[-length:] if len(history) else np.zeros(length, np.float32)
            out[variate, length - len(history) :] = history
        return out


def _newest(rows: list[Ragged], row: int, length: int) -> F32:
    """The newest steps [K, L] of each covariate of a window, gaps filled."""
    return fill(np.stack([one[int(row)][-length:] for one in rows])) if rows else np.zeros((0, length), np.float32)


@contextlib.contextmanager
def cheap_collection() -> Iterator[None]:
    """While this lasts, Python's collector looks at new objects alone.

    The library collects garbage after every call, which in a process with torch takes half a second.
    """
    frozen = gc.get_freeze_count()
    if not frozen:
        gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
