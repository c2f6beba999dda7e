"""Training windows never see a test; samples of a teacher hold the true values and nothing that says so; made again after any stop."""

from __future__ import annotations

import json
import re
import resource
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

datasets: Any = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'harness-time-r1[train]'")

from harness_time_r1.backends.contract import Answer, Message, Request  # noqa: E402
from harness_time_r1.parser import parse  # noqa: E402
from harness_time_r1.settings import Settings  # noqa: E402
from harness_time_r1.sft import dataset  # noqa: E402
from harness_time_r1.sft.choice import best, mape, mase, measure_of, score, smape  # noqa: E402
from harness_time_r1.sft.facts import facts  # noqa: E402
from harness_time_r1.sft.generate import Making, generate  # noqa: E402
from harness_time_r1.sft.journal import Journal  # noqa: E402
from harness_time_r1.sft.rules import from_windows  # noqa: E402
from harness_time_r1.sft.samples import leak, prompt_of, reasoning_of  # noqa: E402
from harness_time_r1.windows import Window, of_task, of_training  # noqa: E402

from harness import Batch, DataError, NothingMatched, UsageError  # noqa: E402
from harness.errors import StoreError  # noqa: E402

NAN = np.float32(np.nan)
REASON = "The values rise by the same amount, and a low season is near."


def series(windows: int = 6, horizon: int = 3, steps: int = 12) -> list[Window]:
    rng = np.random.default_rng(0)
    values = np.round(50 + 10 * rng.standard_normal((windows, steps + horizon)), 1).astype(np.float32)
    return [
        Window(v[:steps], v[steps:], np.datetime64("2020-01-01T00:00:00", "s"), "H", 4, f"s{n}", "shop", "Sales")
        for n, v in enumerate(values)
    ]


def answer(values: ArrayLike, reasoning: str = REASON) -> str:
    rows = "\n".join(f"{n} {value:.6g}" for n, value in enumerate(np.asarray(values).tolist()))
    return f"<think>{reasoning}</think>\n<answer>\n```\n{rows}\n```\n</answer>"


class Teacher:
    """Answers each window's candidates in turn by `candidates`, a rewriting by `rewrite`; both are given the window."""

    context_length = None

    def __init__(
        self,
        windows: Sequence[Window],
        candidates: Sequence[Callable[[Window], Answer]] = (),
        rewrite: Callable[[Window], Answer] | None = None,
        breaks_after: int = 10**9,
    ) -> None:
        self.windows = {prompt_of(w, Settings()).messages: w for w in windows}
        self.candidates = candidates or (malformed, off(1.2), off(1.01), short)
        self.rewrite = rewrite or (lambda window: Answer(answer(window.label, "So it goes on rising. " + REASON)))
        self.breaks_after, self.asked = breaks_after, list[Request]()
        self.turn = dict[str, int]()

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"backend": "stand-in", "model": "teacher-7b"}

    @property
    def counts(self) -> Mapping[str, float]:
        return {"requests": float(len(self.asked))}

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content) for message in messages)

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        assert each is None
        if len(self.asked) >= self.breaks_after:
            raise KeyboardInterrupt
        self.asked += requests
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Answer:
        window = self.windows[request.messages[:1]]
        if len(request.messages) > 1:
            return self.rewrite(window)
        turn = self.turn[window.id] = self.turn.get(window.id, -1) + 1
        return self.candidates[turn % len(self.candidates)](window)

    def close(self) -> None:
        pass


def off(factor: float) -> Callable[[Window], Answer]:
    return lambda window: Answer(answer(factor * window.label))


def malformed(window: Window) -> Answer:
    return Answer(f"I think it is {window.label[0]}")


def short(window: Window) -> Answer:
    return Answer(answer(window.label[:-1]))


def failed(_window: Window) -> Answer:
    return Answer(finish="error", error="503 Service Unavailable")


def rewritten(reasoning: str, **more: Any) -> Callable[[Window], Answer]:
    return lambda window: Answer(answer(window.label, reasoning), **more)


# --- windows


def test_windows_of_training_and_validation_are_apart() -> None:
    values = np.arange(300.0)
    batch = Batch.from_contexts([values, np.r_[[np.nan] * 5, np.arange(1000, 1060.0)], np.arange(5.0)], 12, freq="H", season_length=24)
    learnt = of_training(batch, 12, 48, 500, 0, dataset="d", domain="f")
    judged = of_training(batch, 12, 48, 500, 0, part="validation")
    assert len({w.id for w in learnt}) == len(learnt) > 100 and len(judged) >= 2
    for low, high in ((0, 1000), (1000, 2000)):
        newest = max(w.label[-1] for w in learnt if low <= w.label[-1] < high)
        assert newest < min(w.label[0] for w in judged if low <= w.label[0] < high)
    for w in learnt + judged:
        assert len(w.label) == w.horizon == 12 and len(w.context) <= 48
        assert w.label[0] == w.context[-1] + 1  # what came after it
        at = w.context[0] if w.context[0] < 1000 else w.context[0] - 1000 + 5
        assert w.start == np.datetime64("2000-01-01T00:00:00") + np.timedelta64(int(at), "h")
    assert (learnt[0].dataset, learnt[0].domain, learnt[0].freq, learnt[0].season_length) == ("d", "f", "H", 24)
    again, other = of_training(batch, 12, 48, 20, 0), of_training(batch, 12, 48, 20, 1)
    assert [w.id for w in again] == [w.id for w in of_training(batch, 12, 48, 20, 0)] != [w.id for w in other]
    assert sum(w.label[0] >= 1000 for w in again) in range(5, 16)  # the short series as often as the long one
    assert {len(w.context) for w in of_training(replace(batch, context_limit=10), 12, 48, 20, 0)} == {10}


def test_many_validation_windows_are_those_that_training_left_alone() -> None:
    batch = Batch.from_contexts([1000 * k + np.arange(400.0) for k in range(20)], 6, freq="H")
    learnt, judged = of_training(batch, 6, 24, 2000, 0), of_training(batch, 6, 24, 2000, 0, part="validation")
    assert len(judged) == 60  # three of each series
    first: dict[int, float] = {}
    for w in judged:
        series = int(w.label[0]) // 1000
        first[series] = min(first.get(series, np.inf), w.label[0])
    assert all(w.label[-1] < first[int(w.label[0]) // 1000] for w in learnt)
    some = of_training(batch, 6, 24, 20, 0, part="validation")
    assert len(some) == 20 and len({int(w.label[0]) // 1000 for w in some}) > 7  # not of the first series alone


def test_windows_without_values_are_left_out() -> None:
    values = np.arange(60.0)
    values[30:33] = np.nan
    batch = Batch.from_contexts([values, np.full(60, np.nan)], 4, freq="D")
    found = of_training(batch, 4, 8, 1000, 0)
    assert found and all(np.isfinite(w.label).all() and np.isnan(w.context).mean() <= 0.25 for w in found)
    assert any(np.isnan(w.context).any() for w in found)
    assert of_training(Batch.from_contexts([np.arange(4.0)], 4), 4, 8, 10, 0) == []
    with pytest.raises(UsageError, match="got part 'test'; wanted one of train, validation"):
        of_training(batch, 4, 8, 10, 0, part="test")
    with pytest.raises(UsageError, match="got context 0; wanted a whole number of at least 1"):
        of_training(batch, 4, 0, 10, 0)


def test_windows_of_a_task_hold_no_label_of_its_test() -> None:
    from harness.plan import open_suites
    from harness.plugins import load

    suite = open_suites(load(), ["quick"], None)["quick"]
    task = next(t for t in suite.tasks() if t.name == "us_births/D/short")
    data = suite.open(task)
    first = data.series.when(data.channel[:1].astype(np.int64), data.cut[:1])[0]  # the time of the first label
    for part in ("train", "validation"):
        found = of_task("quick", task.name, None, context=64, count=50, seed=0, part=part)
        assert found and all(w.start + np.timedelta64(len(w.context) + w.horizon, "D") <= first for w in found)
        assert (found[0].dataset, found[0].domain, found[0].horizon) == ("us_births", "Healthcare", 30)
    with pytest.raises(NothingMatched, match="Did you mean 'us_births/D/short'"):
        of_task("quick", "us_birth/D/short", None, context=64, count=5, seed=0)
    with pytest.raises(UsageError, match="which 3 tasks of quick match; wanted the name of one"):
        of_task("quick", "us_births/*", None, context=64, count=5, seed=0)


def test_what_one_fold_learns_from_and_another_is_tested_on_is_left_out() -> None:
    from harness_time_r1.windows import _untested

    from harness.forecast import Ragged
    from harness.series import Channels, SeriesSet, TaskData, Training
    from harness.types import Task

    rows = [np.arange(30), np.arange(30), np.arange(30)]
    starts = np.full(3, np.datetime64("2020-01-01", "s"))
    whole = SeriesSet([f"p{n}" for n in range(3)], starts, "H", 1, Channels.from_ragged(Ragged.from_rows(rows)))
    task = Task("s", "t", "d", "d", "x", "H", "", 2, 1, 1)

    def i32(*values: int) -> Any:
        return np.array(values, np.int32)

    def i64(*values: int) -> Any:
        return np.array(values, np.int64)

    # Fold 0 is tested on p0 from 10 on and learns from all of p1 and p2; fold 1 is tested on p1 from 20 on, learns from all of p0 and p2.
    data = TaskData(
        task, whole, i32(0, 1), i64(10, 20), i32(0, 0), i64(0, 1),
        (Training(i32(1, 2), i64(0, 0), i64(30, 30)), Training(i32(0, 2), i64(0, 0), i64(30, 30))), i32(0, 1),
    )  # fmt: skip
    part = _untested(data).training
    assert len(part) == 1
    assert list(zip(part[0].channel.tolist(), part[0].begin.tolist(), part[0].end.tolist(), strict=True)) == [
        (0, 0, 10),
        (1, 0, 20),
        (2, 0, 30),
    ]


# --- the choice


def test_measures_against_plain_loops() -> None:
    rng = np.random.default_rng(1)
    y, f = rng.normal(5, 2, 7), rng.normal(5, 2, 7)
    context = rng.normal(5, 2, 20).astype(np.float32)
    context[3] = np.nan
    assert mape(y, f) == pytest.approx(100 * sum(abs(a - b) / abs(a) for a, b in zip(y, f, strict=True)) / 7)
    assert smape(y, f) == pytest.approx(200 * sum(abs(a - b) / (abs(a) + abs(b)) for a, b in zip(y, f, strict=True)) / 7)
    steps = [abs(float(context[t]) - float(context[t - 4])) for t in range(4, 20) if t not in (3, 7)]
    assert mase(y, f, context, 4) == pytest.approx(sum(abs(y - f)) / 7 / (sum(steps) / len(steps)))
    assert mase(y, f, np.full(9, 2, np.float32), 3) == pytest.approx(sum(abs(y - f)) / 7)
    assert mape(np.array([0.0, 1.0]), np.array([0.0, 1.0])) == 0 and mape(np.array([0.0]), np.array([1.0])) == np.inf


def test_near_zero_mape_would_choose_badly() -> None:
    context, label = np.full(8, 10, np.float32), np.array([10, 10, 0.01], np.float32)
    close, low = np.array([10, 10, 0.2]), np.array([3, 3, 0.01])
    assert best("mape", label, [close, low], context, 1)[0] == 1
    assert measure_of("auto", context, label) == "smape" and best("smape", label, [close, None, low], context, 1)[0] == 0
    assert measure_of("auto", context, label + 1) == "mape" and measure_of("mase", context, label) == "mase"
    assert best("mape", label, [None], context, 1)[0] == -1
    assert best("mase", label, [low, close, close], context, 1) == (1, score("mase", label, close, context, 1))  # of equals the first


# --- reasonings


@pytest.mark.parametrize(
    "said",
    [
        "It matches the ground truth.",
        "Given the true values, the fall is clear.",
        "The actual values show a rise.",
        "With the given values in mind it falls.",
        "My previous forecast was too high.",
        "In hindsight the peak was the last.",
        "The values were given to me.",
        "As the values that did follow show, it falls.",
        "Now that we know the end, it is plain.",
        "I am asked to rewrite the reasoning.",
    ],
)
def test_leaks_are_found(said: str) -> None:
    assert leak("The series is flat. " + said)


@pytest.mark.parametrize(
    "said",
    [
        "The last values are near 5, and the season repeats every 24 rows.",
        "Given the season, the next rows should be higher than the previous values.",
        "The data are hourly; the level is known to vary. The trend turns at noon.",
        "I forecast the following values by repeating the last season, corrected by the trend.",
    ],
)
def test_good_reasonings_pass(said: str) -> None:
    assert leak(said) == ""


def test_the_reasoning_that_was_asked_for_is_taken() -> None:
    assert reasoning_of("<think>They told me.</think>\n<think>\nIt rises.\n</think>\n<answer>1</answer>") == "It rises."
    assert reasoning_of("It rises.\n</think><answer>1</answer>") == "It rises."
    assert reasoning_of("It rises.") == reasoning_of("It rises.\n<answer>1") == "It rises."
    assert reasoning_of("<answer>1</answer>") == ""


# --- the teacher


def test_the_best_candidate_is_rewritten_and_the_truth_is_the_answer(tmp_path: Path) -> None:
    windows = series()
    teacher = Teacher(windows)
    made = generate(windows, teacher, Making(samples=4), tmp_path / "d", jsonl=True)
    assert (made.samples, made.windows, made.rejects) == (4, 4, {}) and len(teacher.asked) == 4 * 4 + 4
    data = dataset.load(tmp_path / "d")
    assert data.column_names == list(dataset.COLUMNS) and len(data) == 4
    row, window = data[0], windows[0]
    prompt = prompt_of(window, Settings())
    assert (row["candidates"], row["usable"], row["choice"], row["by"]) == (4, 2, 2, "mape")
    assert row["score"] == pytest.approx(1.0, abs=0.01) and row["chosen"] == off(1.01)(window).text
    assert row["rationalised"] is True and row["reasoning"] == "teacher" and json.loads(row["teacher"])["model"] == "teacher-7b"
    assert [Message(**m) for m in row["prompt"]] == list(prompt.messages)
    text = row["completion"][0]["content"]
    assert text.startswith("<think>\nSo it goes on rising. ") and text.count("<answer>") == 1
    assert parse(text, 3).values.tolist() == row["label"] == pytest.approx(window.label.tolist(), abs=1e-3)
    assert row["tokens"] == len(prompt.messages[0].content) + len(text)
    rewriting = next(r for r in teacher.asked if len(r.messages) == 3)
    assert rewriting.messages[1].content == row["chosen"] and f"{window.label[0]:.1f}" in rewriting.messages[2].content
    assert len({r.seed for r in teacher.asked}) == len(teacher.asked)
    lines = (tmp_path / "d" / "data.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["s0", "s1", "s2", "s3"]
    card = (tmp_path / "d" / "README.md").read_text()
    for words in ("teacher-7b", "rationalisations", "4 looked at, 4 became samples; of shop", "chosen by auto: mape 4"):
        assert words in card


@pytest.mark.parametrize(
    ("reason", "teacher"),
    [
        ("no forecast", {"candidates": [malformed, short]}),
        ("refused", {"rewrite": lambda _: Answer("no", finish="refused")}),
        ("truncated", {"rewrite": rewritten("It", finish="length")}),
        ("empty", {"rewrite": rewritten(" ")}),
        ("tags", {"rewrite": rewritten("It rises. <|im_end|> And falls.")}),
        ("leak", {"rewrite": rewritten("It rises to the true values.")}),
        ("long", {"rewrite": rewritten("It rises. " * 900)}),
        ("error", {"rewrite": failed}),
    ],
)
def test_what_is_no_sample_is_counted_by_reason(tmp_path: Path, reason: str, teacher: dict[str, Any]) -> None:
    windows = series(3)
    made = generate(windows, Teacher(windows, **teacher), Making(samples=2, candidates=2, max_length=6000), tmp_path / "d")
    assert (made.samples, made.windows, made.rejects) == (0, 3, {reason: 3})
    rejects = [json.loads(line) for line in (tmp_path / "d" / "rejects.jsonl").read_text().splitlines()]
    assert [(r["id"], r["reason"]) for r in rejects] == [(f"s{n}", reason) for n in range(3)]
    assert f"| {reason} | 3 |" in (tmp_path / "d" / "README.md").read_text()
    with pytest.raises(UsageError, match="holds no sample: all were left out"):
        dataset.load(tmp_path / "d")


def test_a_window_whose_label_is_not_whole_is_not_asked_for(tmp_path: Path) -> None:
    windows = series(2)
    windows[0] = replace(windows[0], label=np.array([1, NAN, 3], np.float32))
    teacher = Teacher(windows)
    made = generate(windows, teacher, Making(samples=2), tmp_path / "d")
    assert made.rejects == {"label": 1} and made.samples == 1 and len(teacher.asked) == 5


def test_killed_in_the_middle_it_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    windows, how = series(8), Making(samples=6, at_once=8)
    whole = generate(windows, Teacher(windows), how, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        generate(windows, Teacher(windows, breaks_after=20), how, tmp_path / "parts")
    with pytest.raises(UsageError, match="holds a journal and no data set yet"):
        dataset.load(tmp_path / "parts")
    journal = tmp_path / "parts" / "journal.jsonl"
    assert len(journal.read_text().splitlines()) == 1 + 4
    with journal.open("a") as file:
        file.write('{"id": "s4", "row": {"tr')  # a kill while it was written
    said: list[str] = []
    teacher = Teacher(windows)
    parts = generate(windows, teacher, how, tmp_path / "parts", say=said.append)
    assert said[0] == "going on: 4 samples of 6 are there, 4 windows were looked at"
    assert len(teacher.asked) == 2 * 5 and parts.samples == 6
    assert list(parts.data) == list(whole.data)
    idle = Teacher(windows)
    assert list(generate(windows, idle, how, tmp_path / "parts").data) == list(whole.data) and not idle.asked
    with pytest.raises(UsageError, match=r"was begun with other settings \(candidates: [0-9]+ there, 3 asked for\); .*--fresh"):
        generate(windows, idle, replace(how, candidates=3), tmp_path / "parts")
    with pytest.raises(UsageError, match=r"was begun with other settings \(windows\)"):
        generate(windows[:7], idle, how, tmp_path / "parts")
    assert generate(windows, Teacher(windows), replace(how, samples=2), tmp_path / "parts", fresh=True).samples == 2


def test_a_teacher_that_does_not_answer_ends_it_and_is_asked_again_later(tmp_path: Path) -> None:
    windows = series(4)
    with pytest.raises(UsageError, match="the teacher answered none of 4 requests: 503 Service Unavailable; the same command goes on"):
        generate(windows, Teacher(windows, [failed]), Making(samples=3, at_once=4), tmp_path / "d")
    made = generate(windows, Teacher(windows), Making(samples=3, at_once=4), tmp_path / "d")
    assert (made.samples, made.rejects) == (3, {})


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    windows = series(1)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"x holds thesis.tex, and no journal.jsonl: it is not of this command"):
        generate(windows, Teacher(windows), Making(), tmp_path / "x")
    with pytest.raises(UsageError, match=r"thesis.tex: is a file; wanted a folder"):
        generate(windows, Teacher(windows), Making(), tmp_path / "x" / "thesis.tex")
    with pytest.raises(UsageError, match="got no window; wanted series"):
        generate([], Teacher(windows), Making(), tmp_path / "y")
    with pytest.raises(UsageError, match="candidates got 0; wanted a whole number from 1"):
        Making(candidates=0)
    with pytest.raises(UsageError, match="by got 'mse'; wanted"):
        Making(by="mse")


def test_a_journal_on_a_full_disk_keeps_what_it_had(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl", {"a": 1})
    journal.add({"id": "1"})
    before = (tmp_path / "j.jsonl").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))  # the kernel's own refusal, after a part was written
    try:
        with pytest.raises(StoreError, match=r"could not write .*j.jsonl: .*the same command goes on"):
            journal.add({"id": "2", "text": "x" * 5000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "j.jsonl").read_bytes() == before and len(journal.records) == 1
    assert Journal(tmp_path / "j.jsonl", {"a": 1}).records == [{"id": "1"}]
    (tmp_path / "j.jsonl").write_text('{"a": 1}\n[3]\n')
    with pytest.raises(DataError, match="line 2: is no record"):
        Journal(tmp_path / "j.jsonl", {"a": 1})


def test_broken_data_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder; to make one: harness time-r1 data"):
        dataset.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no data set \(no state.json\)"):
        dataset.load(tmp_path / "empty")
    windows = series(2)
    generate(windows, Teacher(windows), Making(samples=2), tmp_path / "d")
    with pytest.raises(UsageError, match="is a file; wanted the folder"):
        dataset.load(tmp_path / "d" / "README.md")
    table = next((tmp_path / "d").glob("*.arrow"))
    table.write_bytes(table.read_bytes()[:200])
    with pytest.raises(DataError, match=r"cannot be read: .*make it again"):
        dataset.load(tmp_path / "d")
    datasets.Dataset.from_list([{"text": "x"}]).save_to_disk(tmp_path / "other")
    with pytest.raises(DataError, match="has no column prompt and completion"):
        dataset.load(tmp_path / "other")
    datasets.Dataset.from_list([{"prompt": "x", "completion": "y"}]).save_to_disk(tmp_path / "texts")
    with pytest.raises(DataError, match="column prompt holds x; wanted a list of messages"):
        dataset.load(tmp_path / "texts")


# --- without a teacher


def test_samples_by_rules() -> None:
    windows = series(3)
    windows[1] = replace(windows[1], label=np.array([1, NAN, 3], np.float32))
    data = from_windows(windows)
    assert data["id"] == ["s0", "s2"] or list(data["id"]) == ["s0", "s2"]
    row = data[1]
    assert (row["reasoning"], row["rationalised"], row["choice"], row["score"], row["chosen"]) == ("rules", False, -1, None, "")
    text = row["completion"][0]["content"]
    assert facts(windows[2].context, 4, 3) in text and leak(text) == ""
    assert parse(text, 3).values.tolist() == row["label"] == pytest.approx(windows[2].label.tolist(), abs=1e-3)
    changed = replace(windows[2], label=windows[2].label + 1)  # the text is of the context alone
    assert from_windows([changed])[0]["completion"][0]["content"].partition("<answer>")[0] == text.partition("<answer>")[0]
    bare = from_windows(windows, reasoning="none")[0]
    assert bare["completion"][0]["content"].startswith("<think>\n\n</think>\n<answer>") and parse(bare["completion"][0]["content"], 3).ok
    assert len(from_windows(windows, count=lambda ms: sum(len(m.content) for m in ms), max_length=100_000)) == 2
    with pytest.raises(UsageError, match="got 3 windows, none of which makes a sample"):
        from_windows(windows, count=lambda _: 11, max_length=10)


def test_facts_are_measured() -> None:
    season = np.tile([0, 5, 1, 2], 6).astype(np.float32)
    assert facts(season, 4, 8) == " ".join(
        [
            "Level: 24 values, from 0 to 5, mean 2, last 2.",
            "Trend: weak, a line explains 0% of the variance.",
            "Season of 4 steps: it explains 100% of the variance; counted from the first step ahead, it is highest in step 2",
            "with a mean of 5, lowest in step 1 with 0.",
            "The next 8 values continue from the last ones.",
        ]
    )
    steep = season + 3 * np.arange(24, dtype=np.float32)
    slope = np.sum((np.arange(24) - 11.5) * (steep - steep.mean())) / np.sum((np.arange(24) - 11.5) ** 2)
    assert f"Trend: up by {slope:.4g} a step, which explains 99% of the variance." in facts(steep, 4, 8)
    assert f"Trend: down by {slope:.4g} a step" in facts(-steep, 4, 8)
    line = np.array([1, 2, NAN, 4, 5, 6], np.float32)
    assert "6 values, 1 of them missing" in facts(line, 1, 2) and "up by 1 a step, which explains 100%" in facts(line, 1, 2)
    assert "Trend: none." in facts(np.full(8, 3, np.float32), 2, 2)
    assert facts(np.full(3, NAN, np.float32), 2, 2) == "No value is known."


def test_samples_say_how_they_ask() -> None:
    windows, asked = series(2), Settings(context=8, digits=2, named=False, temperature=0.1)
    data = from_windows(windows, asked)
    assert dataset.asked_of(data) == {"context": 8, "timestamps": "shown", "digits": 2, "named": False}
    again = prompt_of(windows[0], Settings(**dataset.asked_of(data))).messages
    assert [Message(**m) for m in data[0]["prompt"]] == list(again) != list(prompt_of(windows[0], Settings()).messages)
    mixed = datasets.concatenate_datasets([data, from_windows(windows)])
    assert dataset.asked_of(mixed) == dataset.asked_of(data.remove_columns("asked")) == {}
    for text in ("[1]", '{"digits": 99}', '{"answers": 1}', "{"):
        broken = data.remove_columns("asked").add_column("asked", [text] * 2)
        with pytest.raises(DataError, match=r"column asked of the samples holds .*; wanted parameters of time-r1"):
            dataset.asked_of(broken)


# --- the command


class Endpoint(BaseHTTPRequestHandler):
    """Repeats the last value of the prompt, with a reasoning; a rewriting has another."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked["messages"][0]["content"]
        rows = prompt.partition("# Observed")[2].split("```")[1].strip().splitlines()
        horizon = int(re.search(r"exactly (\d+) line", prompt)[1])  # type: ignore[index]
        said = answer([float(rows[-1].split()[-1])] * horizon, "It stays." if len(asked["messages"]) == 1 else "It moves on.")
        reply = {
            "id": "1", "object": "chat.completion", "created": 0, "model": "m",
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}],
        }  # fmt: skip
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_the_command_makes_samples_of_two_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    from click.testing import CliRunner
    from harness_time_r1.commands.data import data

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    arguments = [
        "-t",
        "hospital/M/short",
        "-t",
        "us_births/M/short",
        "-o",
        "d",
        "--samples",
        "4",
        "--candidates",
        "2",
        "--progress",
        "plain",
        "--timestamps",
        "relative",
        "--digits",
        "3",
    ]
    teacher = ["--teacher-url", endpoint, "--teacher-model", "m"]
    done = CliRunner().invoke(data, [*arguments, *teacher, "--jsonl"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "d: 4 samples of 4 windows\nTo train on them: harness time-r1 sft --weights FOLDER --data d" in done.output
    made = dataset.load(Path("d"))
    assert sorted(made["dataset"]) == ["hospital", "hospital", "us_births", "us_births"]
    assert all(c[0]["content"].startswith("<think>\nIt moves on.\n</think>") for c in made["completion"])
    assert endpoint in (tmp_path / "d" / "README.md").read_text()
    assert dataset.asked_of(made) == {"context": 96, "timestamps": "relative", "digits": 3}
    for change, message in (
        ([], "got no teacher; wanted one: --teacher-url URL with --teacher-model NAME, or --teacher-weights FOLDER"),
        (["--teacher-url", endpoint], "without --teacher-model"),
        (["--teacher-weights", "nowhere"], "--teacher-weights nowhere: there is no such folder"),
        ([*teacher, "--temperature", "0"], "got --temperature 0 and several --candidates"),
        ([*teacher, "--by", "mase"], r"d was begun with other settings \(by: auto there, mase asked for\)"),
    ):
        with pytest.raises(UsageError, match=message):
            CliRunner().invoke(data, [*arguments, *change], catch_exceptions=False)
