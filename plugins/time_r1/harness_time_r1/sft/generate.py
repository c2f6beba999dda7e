"""Samples by a teacher: it forecasts each window several times, the best is chosen, and its reasoning is rewritten given the truth.

    made = generate(windows, backend, Making(), Path("data"))

The rewriting is a rationalisation: whoever wrote it knew the true values. It is marked as such in the data, refused where it says so,
and need not be how the values could have been foreseen.

What is finished stands in FOLDER/journal.jsonl; the same call goes on where another was killed, and asks nothing again that was finished.
Each answer has a seed of its own that follows from the window, so the samples do not depend on how often it was stopped.

Axes: K candidates, H horizon.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness import UsageError
from harness.files import write_whole
from harness.forecast import F64
from harness.identity import digest
from harness.parameters import choice, whole
from harness_time_r1 import prompts
from harness_time_r1.backends.contract import Answer, Backend, Message, Request, Sampling
from harness_time_r1.parser import parse
from harness_time_r1.prompts import Prompt
from harness_time_r1.settings import Settings
from harness_time_r1.sft import dataset
from harness_time_r1.sft.choice import MEASURES, best, measure_of
from harness_time_r1.sft.journal import Journal
from harness_time_r1.sft.samples import completion, fault, prompt_of, reasoning_of, row
from harness_time_r1.windows import Window

__all__ = ["Made", "Making", "generate"]

NAME = "time-r1 data"
JOURNAL, REJECTS = "journal.jsonl", "rejects.jsonl"
SHOWN = 4000
"""Characters of a refused text that are kept."""


@dataclass(frozen=True)
class Making:
    """How samples are made. The paper has 300 samples and several candidates chosen by MAPE; their number is a choice of ours."""

    samples: int = 300
    candidates: int = 4  # K, forecasts of each window
    by: str = "auto"  # "mape" | "smape" | "mase" | "auto": see `harness_time_r1.sft.choice`
    max_length: int = 8192  # tokens of a sample, as the teacher counts them; 0 = any number
    seed: int = 0
    asked: Settings = field(default_factory=Settings)  # how the prompt is written, how the teacher samples
    at_once: int = 32  # requests that are handed over together

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        for name, least, most in (("samples", 1, 10**6), ("candidates", 1, 1000), ("max_length", 0, 10**7), ("at_once", 1, 10**4)):
            whole(NAME, name, getattr(self, name), least, most)
        whole(NAME, "seed", self.seed, 0, 2**63 - 1)
        choice(NAME, "by", self.by, MEASURES)


@dataclass(frozen=True)
class Made:
    """What came of it."""

    folder: Path
    data: Any  # the datasets.Dataset, in memory
    samples: int
    rejects: Mapping[str, int] = field(default_factory=dict)  # windows that became none, by why
    windows: int = 0  # that were looked at
    counts: Mapping[str, float] = field(default_factory=dict)  # of the teacher, in this call
    seconds: float = 0.0


def generate(
    windows: Sequence[Window],
    backend: Backend,
    how: Making,
    folder: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
    fresh: bool = False,
    jsonl: bool = False,
) -> Made:
    """Make samples until there are `how.samples` of them or no window is left.

    Args:
        windows: more than samples are wanted, since some become none; taken in their order.
        backend: the teacher.
        folder: made if it is not there; gets the data set, README.md, rejects.jsonl and the journal.
        say: is told what happens.
        fresh: throw away what was finished before.
        jsonl: write data.jsonl as well.

    Raises:
        UsageError: the folder is of other settings, there is no window, or the teacher answers nothing; what was finished is kept.
        Unsupported: the teacher answers no more: a cost cap, a refused key.
        StoreError: the folder cannot be written.
    """
    begun = time.monotonic()
    dataset.needs_datasets()
    if not windows:
        raise UsageError(f"{NAME}: got no window; wanted series of more steps than the horizon and a context, without too many gaps")
    journal = _journal(windows, backend, how, folder, fresh)
    done = {record["id"]: record for record in journal.records if record.get("reason") != "error"}
    if done:
        say(f"going on: {sum('row' in r for r in done.values())} samples of {how.samples} are there, {len(done)} windows were looked at")
    silent, answered = 0, False
    left = [window for window in windows if window.id not in done]
    while left and (wanted := how.samples - sum("row" in record for record in done.values())) > 0:
        size = min(wanted, max(1, how.at_once // how.candidates))
        some, left = left[:size], left[size:]
        records, heard, error = _make(some, backend, how)
        silent, answered = (0, True) if heard else (silent + 1, answered)
        for record in records:
            journal.add(record)
            done[record["id"]] = record
        if not heard and error and (silent > 1 or not answered):
            raise UsageError(
                f"{NAME}: the teacher answered none of {len(some) * how.candidates} requests: {error}; the same command goes on"
            )
        samples = sum("row" in record for record in done.values())
        say(f"{samples} samples of {how.samples}, {len(done) - samples} windows refused")
    return _write(windows, done, backend, how, folder, jsonl, begun)


def _journal(windows: Sequence[Window], backend: Backend, how: Making, folder: Path, fresh: bool) -> Journal:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder}: is a file; wanted a folder, made if it is not there")
    path = folder / JOURNAL
    inside = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    if inside and not path.is_file():
        raise UsageError(f"-o {folder} holds {', '.join(inside[:3])}, and no {JOURNAL}: it is not of this command. Name another folder")
    if fresh:
        path.unlink(missing_ok=True)
    settings = {name: value for name, value in asdict(how).items() if name != "at_once"}
    cut = digest([(w.id, w.dataset, w.domain, str(w.start), w.freq, w.context.tolist(), w.label.tolist()) for w in windows])
    return Journal(path, {"format": 2, "settings": settings, "teacher": dict(backend.identity), "windows": cut})


def _seed(how: Making, window: Window, what: str) -> int:
    return int(digest([how.seed, window.id, what])[:15], 16)


def _make(windows: Sequence[Window], backend: Backend, how: Making) -> tuple[list[dict[str, Any]], bool, str]:
    """The records of some windows, in their order; whether the teacher answered anything at all, and its first error."""
    sampling = Sampling(how.asked.temperature, how.asked.top_p, how.asked.max_tokens)
    records: dict[str, dict[str, Any]] = {}
    going: list[tuple[Window, Prompt]] = []
    for window in windows:
        if np.isfinite(window.label).all():
            going.append((window, prompt_of(window, how.asked, backend)))
        else:
            records[window.id] = {"id": window.id, "reason": "label", "detail": "", "text": ""}
    requests = [
        Request(prompt.messages, sampling, _seed(how, window, f"candidate {k}")) for window, prompt in going for k in range(how.candidates)
    ]
    answers = backend.answer(requests) if requests else []
    chosen: list[tuple[Window, Prompt, dict[str, Any]]] = []
    for n, (window, prompt) in enumerate(going):
        mine = answers[n * how.candidates : (n + 1) * how.candidates]
        found = _chosen(window, mine, how)
        if "reason" in found:
            records[window.id] = {"id": window.id, **found}
        else:
            chosen.append((window, prompt, found))
    rewrites = [
        Request(prompts.rewrite(prompt, found["chosen"], window.label), sampling, _seed(how, window, "rewrite"))
        for window, prompt, found in chosen
    ]
    rewritten = backend.answer(rewrites) if rewrites else []
    teacher = json.dumps(dict(backend.identity), sort_keys=True)
    for (window, prompt, found), answer in zip(chosen, rewritten, strict=True):
        records[window.id] = {"id": window.id, **_sample(window, prompt, found, answer, backend, how, teacher)}
    heard = not requests or any(answer.finish != "error" for answer in answers)
    error = next((answer.error for answer in (*answers, *rewritten) if answer.finish == "error"), "")
    return [records[window.id] for window in windows], heard, error


def _chosen(window: Window, answers: Sequence[Answer], how: Making) -> dict[str, Any]:
    """What is known of the best of a window's answers, or why there is none."""
    if all(answer.finish == "error" for answer in answers):
        return {"reason": "error", "detail": answers[0].error[:400], "text": ""}
    read = [parse(answer.text, window.horizon, answer.finish) for answer in answers]
    forecasts: list[F64 | None] = [parsed.values if parsed.ok else None for parsed in read]
    by = measure_of(how.by, window.context, window.label)
    at, score = best(by, window.label, forecasts, window.context, window.season_length)
    if at < 0:
        kinds = Counter("error" if a.finish == "error" else p.kind for a, p in zip(answers, read, strict=True))
        said = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
        return {"reason": "no forecast", "detail": said, "text": answers[0].text[:SHOWN]}
    usable = sum(forecast is not None for forecast in forecasts)
    return {
        "candidates": len(answers), "usable": usable, "choice": at, "by": by, "score": score if np.isfinite(score) else None,
        "chosen": answers[at].text,
    }  # fmt: skip


def _sample(
    window: Window, prompt: Prompt, found: Mapping[str, Any], answer: Answer, backend: Backend, how: Making, teacher: str
) -> dict[str, Any]:
    """The row of a window, or why it is refused."""
    kept = answer.text[:SHOWN]
    if answer.finish == "error":
        return {"reason": "error", "detail": answer.error[:400], "text": ""}
    if answer.finish in ("refused", "length"):
        return {"reason": "refused" if answer.finish == "refused" else "truncated", "detail": "", "text": kept}
    reasoning = reasoning_of(answer.text)
    text = completion(reasoning, window, prompt)
    tokens = backend.count_tokens((*prompt.messages, Message("assistant", text)))
    reason, detail = fault(reasoning, text, window, prompt, tokens, how.max_length)
    if reason:
        return {"reason": reason, "detail": detail, "text": kept}
    return {"row": row(window, prompt, how.asked, text, **found, reasoning="teacher", rationalised=True, teacher=teacher, tokens=tokens)}


def _write(
    windows: Sequence[Window], done: Mapping[str, Mapping[str, Any]], backend: Backend, how: Making, folder: Path, jsonl: bool, begun: float
) -> Made:
    from harness_time_r1.sft.card import data_card

    records = [done[window.id] for window in windows if window.id in done]  # in the order of windows, however often it was stopped
    rows = [record["row"] for record in records if "row" in record]
    refused = [record for record in records if "reason" in record]
    data = dataset.make(rows)
    rejects = dict(sorted(Counter(record["reason"] for record in refused).items()))
    made = Made(folder, data, len(rows), rejects, len(records), dict(backend.counts), round(time.monotonic() - begun, 3))
    write_whole(folder / REJECTS, "".join(json.dumps(record) + "\n" for record in refused))
    dataset.save(data, folder)
    if jsonl:
        dataset.write_jsonl(data, folder / "data.jsonl")
    write_whole(folder / "README.md", data_card(made, how, dict(backend.identity)))
    return made
