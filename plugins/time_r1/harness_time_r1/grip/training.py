"""A training by GRIP from weights to a folder: trained or gone on with, the best kept, curve and card written. Needs torch and trl."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness import UsageError
from harness.files import write_whole
from harness.identity import digest, file_digest
from harness_time_r1.asking import ask_window
from harness_time_r1.backends.contract import Message
from harness_time_r1.grip.card import card
from harness_time_r1.grip.checkpoints import SCORE, Store
from harness_time_r1.grip.rewards import PARTS
from harness_time_r1.grip.settings import GripSettings
from harness_time_r1.language_model import model_folders, prompt_ids
from harness_time_r1.settings import NAME as MODEL
from harness_time_r1.settings import Settings
from harness_time_r1.training.curve import write_curve
from harness_time_r1.training.place import checkpoint_folder, finished, opened
from harness_time_r1.training.surroundings import check, check_trl, surroundings
from harness_time_r1.training.weights import begin, diverged, write_weights
from harness_time_r1.windows import Window

__all__ = ["COLUMNS", "NAME", "Report", "train"]

NAME = "time-r1 grip"
COLUMNS = ("step", "reward", "reward_kept", *PARTS, "kl", "loss", "length")
"""The first columns of curve.csv."""


@dataclass(frozen=True)
class Report:
    """What came of a training."""

    folder: Path  # weights, curve.csv, training.json, README.md; without weights where the training was stopped
    done: bool  # False: it was stopped; the same goes on
    steps: int  # how far it came
    chosen: int  # the step whose weights were kept: the best validated, or the last
    adapter: bool  # whether the folder holds low-rank factors alone
    before: float | None  # mean reward of answers to the validation windows before the first step, None without such windows
    after: float | None  # the same with the weights kept
    windows: int  # learnt from
    validation: int  # held-out windows
    seconds: float
    configuration: str  # hash of all that decides what is learnt
    base: str  # digest of the weights that it started from
    fingerprint: str  # hash of the windows and their prompts
    forced: Sequence[str] = ()  # settings that it was gone on with other values of
    curve: list[dict[str, float]] = field(repr=False, default_factory=list)

    def metrics(self) -> dict[str, float]:
        """Numbers for a record of the training."""
        last = next((row for row in reversed(self.curve) if "kl" in row), {})
        numbers = {"reward_before": self.before, "reward_after": self.after, "kl": last.get("kl"), "loss": last.get("loss")}
        counts = {"steps": self.steps, "chosen": self.chosen, "windows": self.windows, "validation_windows": self.validation}
        return {"fit_s": self.seconds, **counts, **{name: value for name, value in numbers.items() if value is not None}}


def train(
    weights: str,
    windows: Sequence[Window],
    settings: GripSettings,
    folder: Path,
    *,
    validation: Sequence[Window] = (),
    adapter: str = "",
    device: str = "cpu",
    dtype: str = "float32",
    asking: Settings | None = None,
    prompt: Callable[[Window], Sequence[Message]] | None = None,
    merge: bool = False,
    resume: bool | None = None,
    say: Callable[[str], None] = lambda _: None,
    watch: Callable[[int, Mapping[str, float]], None] = lambda _step, _row: None,
    stop: Callable[[int], bool] = lambda _: False,
) -> Report:
    """Train a language model to forecast by what its answers earn.

    The same call goes on after an interruption, from the newest whole checkpoint, and comes to the same weights as without one: to the
    bit on a CPU.

    Args:
        weights: a folder as `load_causal` reads it.
        windows: to learn from. Those whose label has no value are left out.
        folder: for the result; made, as FOLDER-checkpoints beside it. It holds factors of LoRA for `weights`, or whole weights with
            rank 0 or `merge`.
        validation: held-out windows: the checkpoint that earns most on them is kept; none: the last step's is.
        adapter: a folder of factors for `weights` to go on training, at their own rank; with rank 0 they are merged first. The distance
            is measured to the two together.
        asking: how the forecaster asks, for the prompts.
        prompt: makes the prompt of a window, instead of the forecaster's.
        resume: None: go on with the same settings; True: there must be a checkpoint, and settings may differ; False: begin anew.
        say: is told what happens.
        watch: is given each step and its row of the curve.
        stop: asked after each step, with its number; True writes a checkpoint and ends.

    Raises:
        UsageError, Unavailable: weights, windows, a folder or settings that will not do; a package is missing.
        DataError: the training diverged; no weights are written.
        StoreError: the folder cannot be written; the last whole checkpoint is kept.
    """
    begun = time.monotonic()
    check(NAME, device, rank=settings.rank, dtype=dtype)
    check_trl(NAME)
    windows = [window for window in windows if np.isfinite(window.label).any()]
    validation = [window for window in validation if np.isfinite(window.label).any()]
    if not windows:
        raise UsageError(f"{NAME}: there is no window with a value to forecast; wanted series longer than context and horizon")
    from harness_time_r1.grip.trainer import Watch, make_trainer

    base, factors = model_folders(weights, model=MODEL, adapter=adapter)
    network, tokenizer = begin(base, factors, rank=settings.rank, device=device, dtype=dtype)
    prompt = prompt or _asking(asking or Settings(max_tokens=settings.max_completion), tokenizer, network)
    asked, judged = [prompt(window) for window in windows], [prompt(window) for window in validation]
    decides = {
        **settings.decides(),
        "base": file_digest(str(base)),
        "adapter": file_digest(str(factors)) if factors else "",
        "dtype": dtype,
        "data": _fingerprint(windows, asked),
    }
    # Which checkpoint is the best also hangs on when one is looked at.
    looks = {"steps": settings.steps, "every": settings.every, "answers": settings.validation_answers}
    configuration = digest({**decides, **looks, "validation": _fingerprint(validation, judged)})
    with opened(folder, decides, resume) as forced, surroundings(device):
        store = Store(checkpoint_folder(folder), settings.keep, say)
        trainer = make_trainer(network, tokenizer, settings, windows, asked, store, device)
        judge = (lambda: trainer.validate(validation, judged)) if validation else None

        def note(step: int, row: Mapping[str, float]) -> None:
            write_curve(folder / "curve.csv", trainer.curve, COLUMNS)
            watch(step, row)
            say(_line(step, settings.steps, row))

        watching = Watch(trainer, judge, stop, note)
        trainer.add_callback(watching)
        step = _run(trainer, store.newest(), settings.steps, judge, say)
        write_curve(folder / "curve.csv", trainer.curve, COLUMNS)
        done, chosen = not watching.stopped, step
        if done:
            chosen = _keep(trainer, store, step)
        before, after = _score(trainer.curve, 0), _score(trainer.curve, chosen) if done else None
        report = Report(
            folder, done, step, chosen, bool(settings.rank) and not merge, before, after, len(windows), len(validation),
            round(time.monotonic() - begun, 3), configuration, decides["base"], decides["data"], forced, trainer.curve,
        )  # fmt: skip
        if done:
            made, plain = checkpoint_folder(folder) / ".result", trainer.accelerator.unwrap_model(trainer.model)
            write_weights(plain, tokenizer, folder, made, merge=merge, name=NAME, rate=settings.learning_rate)
            write_whole(folder / "README.md", card(report, settings, weights, adapter, merge))
            said = {name: value for name, value in asdict(report).items() if name not in ("folder", "curve", "forced")}
            finished(folder, decides, forced, {**said, "base_folder": str(base)})
    return report


def _asking(settings: Settings, tokenizer: Any, network: Any) -> Callable[[Window], Sequence[Message]]:
    """The prompt that the forecaster would use for a window."""
    room = getattr(network.config, "max_position_embeddings", None)

    return lambda window: ask_window(settings, window, room, lambda messages: len(prompt_ids(tokenizer, messages))).messages


def _fingerprint(windows: Sequence[Window], asked: Sequence[Sequence[Message]]) -> str:
    found = hashlib.sha256()
    for window, messages in zip(windows, asked, strict=True):
        for array in (window.context, window.label):
            found.update(np.ascontiguousarray(array, np.float32).tobytes())
        found.update(repr([tuple(m) for m in messages]).encode("utf-8", "replace"))
    return found.hexdigest()[:32]


def _run(
    trainer: Any, begun: tuple[Path, dict[str, Any]] | None, steps: int, judge: Callable[[], Any] | None, say: Callable[[str], None]
) -> int:
    """Train from the beginning or a checkpoint on; how far it came."""
    path, state = begun or (None, {"step": 0, "curve": []})
    trainer.curve.extend(state["curve"])
    if state["step"] >= steps:
        return int(state["step"])
    try:
        if begun is None and judge is not None:
            trainer.curve.append({"step": 0.0, **{f"validation_{name}": value for name, value in judge().row().items()}})
        say(f"going on from step {state['step']:,} of {steps:,}" if begun else f"training {steps:,} steps")
        trainer.train(resume_from_checkpoint=None if path is None else str(path))
    except RuntimeError as error:
        if "probability tensor" in str(error):  # of torch, where a network has come to give no numbers
            raise diverged(NAME, trainer.settings.learning_rate) from error
        raise
    return int(trainer.state.global_step)


def _keep(trainer: Any, store: Store, step: int) -> int:
    """Have the trainer hold the weights of the best validated checkpoint, or of the last; the step they are of."""
    best = store.best()
    newest = store.newest()
    path = best[0][1] if best else newest[0] if newest else None
    if path is None:
        return step
    trainer._load_from_checkpoint(str(path))
    return int(path.name[5:])


def _score(curve: Sequence[Mapping[str, float]], step: int) -> float | None:
    return next((row[SCORE] for row in curve if row["step"] == step and SCORE in row), None)


def _line(step: int, steps: int, row: Mapping[str, float]) -> str:
    """A step in words."""
    names = (("reward", "reward"), ("share_ok", "forecasts"), ("kl", "KL"), ("length", "tokens"), ("validation_reward", "held out"))
    said = ", ".join(f"{shown} {row[name]:.3g}" for name, shown in names if name in row)
    return f"step {step:,} of {steps:,}: {said}"
