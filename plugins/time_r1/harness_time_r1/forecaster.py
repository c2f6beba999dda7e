"""The forecaster: windows to prompts, prompts to answers, answers to sample paths.

Axes: N windows, S samples, H horizon, T context.

- Each of `samples` answers for a window is drawn with a seed that follows from the window's own: a forecast does not depend on the batch.
- An answer that is no forecast becomes a naive path, the last observed value repeated, and counts in `Forecast.fallback`. No window is
  dropped, no answer is preferred to another by anything that is known of the labels.
- What became of the answers is told in the notes of a result, by kind.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness import Batch, Forecast, PluginError, Unsupported
from harness.forecast import F32
from harness_time_r1.asking import ask
from harness_time_r1.backends.contract import Backend, Sampling
from harness_time_r1.backends.kept import Kept
from harness_time_r1.executors import EXECUTORS, Ask, Outcome, step_seed
from harness_time_r1.parser import Parsed
from harness_time_r1.prompts import Prompt
from harness_time_r1.settings import Settings
from harness_time_r1.steps import Steps
from harness_time_r1.tune import Tuning

__all__ = ["TimeR1"]


class TimeR1:
    """A language model as a forecaster.

    Args:
        backend: who answers.
        settings: how it is asked; see `harness_time_r1.settings.Settings`.
        steps: where all steps of each answer are written; None = they are not.
        tuning: what a training starts from; None = there is none.
    """

    def __init__(self, backend: Backend, settings: Settings, steps: Steps | None = None, tuning: Tuning | None = None) -> None:
        self.backend, self.settings, self.steps, self.tuning = backend, settings, steps, tuning
        self.adapter: Path | None = None  # what was learnt, factors beside the weights
        self.kinds: collections.Counter[str] = collections.Counter()
        self.notes: dict[str, Any] = {}
        self._look_back: set[int] = set()

    def predict(self, batch: Batch) -> Forecast:
        """Forecast each window by `samples` answers; samples [N, S, H], `fallback` the share of naive paths among them.

        Raises:
            Unsupported: the horizon's prompt does not fit the model.
        PluginError: the backend answers no more (a cost cap, a refused key), or not at all.
        """
        settings = self.settings
        n, count, horizon = len(batch), settings.samples, batch.horizon
        samples = np.zeros((n, count, horizon), np.float32)  # [N, S, H]
        fallback = np.zeros(n, np.float32)
        asks, places = [], []
        for row, context in enumerate(batch):
            newest = context[-settings.context :]
            known = newest[np.isfinite(newest)]
            samples[row] = known[-1] if len(known) else 0.0
            if not len(known):
                self.kinds["nothing to show"] += count
                fallback[row] = 1.0
                continue
            prompt = self._prompt(batch, row)
            seed = int(batch.seeds[row])
            asks += [Ask(prompt, newest, batch.season_length, step_seed(seed, s), settings.accepted) for s in range(count)]
            places += [(row, s) for s in range(count)]
        sampling = Sampling(settings.temperature, settings.top_p, settings.max_tokens)
        try:
            run = EXECUTORS[settings.executor]
            outcomes = run(self.backend, asks, sampling, retries=settings.retries, iterations=settings.iterations)
        except Unsupported as error:  # another cap or key may change it: the cell has failed, and can be run again
            raise PluginError(f"{error}. What was answered is kept; to go on: harness run … --rerun failed") from error
        self._refuse_silence(outcomes)
        for (row, s), outcome in zip(places, outcomes, strict=True):
            self.kinds[outcome.parsed.kind] += 1
            values = self._accepted(outcome.parsed, horizon)
            if values is None:
                fallback[row] += 1 / count
            else:
                samples[row, s] = values
            if self.steps is not None:
                self._write(batch, row, s, outcome, values)
        self._note()
        return Forecast.from_samples(samples, fallback=np.minimum(fallback, 1.0))

    def _refuse_silence(self, outcomes: Sequence[Outcome]) -> None:
        """Where all requests failed nothing is said of the model, and the cell has failed. One among others counts, and is noted."""
        why = [outcome.steps[0].answer.error for outcome in outcomes if outcome.parsed.kind == "error" and outcome.steps[0].answer]
        if why:
            self.notes.setdefault("first_error", why[0])
        if why and len(why) == len(outcomes):
            raise PluginError(f"none of {len(why)} requests was answered: {why[0]}. To try again: harness run … --rerun failed")

    def _prompt(self, batch: Batch, row: int) -> Prompt:
        prompt = ask(
            self.settings,
            batch.contexts[row],
            start=batch.starts[row],
            freq=batch.freq,
            horizon=batch.horizon,
            dataset=batch.dataset,
            domain=batch.domain,
            length=self.backend.context_length,
            count=self.backend.count_tokens,
        )
        self._look_back.add(prompt.look_back)
        return prompt

    def _accepted(self, parsed: Parsed, horizon: int) -> F32 | None:
        """[H] the forecast of an answer, None where it is none."""
        return np.asarray(parsed.values[:horizon], np.float32) if parsed.kind in self.settings.accepted else None

    def _write(self, batch: Batch, row: int, sample: int, outcome: Outcome, values: F32 | None) -> None:
        assert self.steps is not None
        self.steps.write(
            {
                "dataset": batch.dataset,
                "window": int(batch.window_ids[row]),
                "sample": sample,
                "kind": outcome.parsed.kind,
                "forecast": None if values is None else [float(v) for v in values],
                "steps": [step.row() for step in outcome.steps],
            }
        )

    def _note(self) -> None:
        """What became of all answers so far, for the result's notes."""
        counted = sorted(self.kinds.items(), key=lambda each: (each[0] != "ok", each))
        self.notes["answers"] = ", ".join(f"{kind} {count}" for kind, count in counted)
        if self._look_back:
            low, high = min(self._look_back), max(self._look_back)
            self.notes["look_back"] = str(low) if low == high else f"{low} to {high}"
        counts = self.backend.counts
        self.notes["tokens"] = f"{counts['prompt_tokens']:.0f} in prompts, {counts['completion_tokens']:.0f} in answers"
        if counts["cost"]:
            self.notes["cost"] = f"{counts['cost']:.4f}"
        if self.steps is not None:
            self.notes["steps"] = self.steps.problem or str(self.steps.path)

    def finetune(self, train: Batch, budget: str, seed: int) -> TimeR1:
        """Learn from the training part of a task, by `trainer` ("sft" or "grip"); the adapter that comes of it forecasts.

        Raises:
            Unsupported: the model is behind an endpoint, or there is too little to learn from.
        """
        from harness_time_r1.tune import tuned

        return tuned(self, train, budget, seed)

    def save(self, folder: Path) -> None:
        """Write the weights, with what was learnt merged into them, into an empty folder that `weights=` takes."""
        from harness_time_r1.backends.local import Local

        backend = self.backend.backend if isinstance(self.backend, Kept) else self.backend
        if not isinstance(backend, Local):
            raise Unsupported("the weights are behind an endpoint")
        backend.save(folder)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # at the end of the process, modules may be gone
            self.backend.close()
