"""From windows to sample paths, with a backend that says what it is told to: what counts, what falls back, what is kept."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from harness_time_r1 import prompts
from harness_time_r1.backends.contract import Answer, Message, Request
from harness_time_r1.checks import findings
from harness_time_r1.commands.steps import steps as steps_command
from harness_time_r1.executors import step_seed
from harness_time_r1.forecaster import TimeR1
from harness_time_r1.parser import parse
from harness_time_r1.settings import Settings
from harness_time_r1.steps import Steps, read_steps

from harness import Batch, DataError, PluginError, UsageError

SERIES = np.sin(np.arange(120) / 24 * 2 * np.pi).astype(np.float32) * 10 + 50


class Says:
    """A backend that answers by a function of the request; it keeps what it was asked."""

    def __init__(self, say: Callable[[Request], str | Answer], length: int | None = None) -> None:
        self.say, self.asked, self._length = say, [], length  # type: ignore[var-annotated]

    identity: Mapping[str, Any] = {"model": "says"}

    @property
    def counts(self) -> Mapping[str, float]:
        return dict.fromkeys(("requests", "attempts", "cached", "errors", "prompt_tokens", "completion_tokens", "cost"), 0.0)

    @property
    def context_length(self) -> int | None:
        return self._length

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        self.asked += requests
        found = [self.say(request) for request in requests]
        answers = [text if isinstance(text, Answer) else Answer(text) for text in found]
        for place, answer in enumerate(answers):
            if each is not None:
                each(place, answer)
        return answers

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content) for message in messages)

    def close(self) -> None:
        pass


def batch(contexts: Sequence[Any] = (SERIES,), horizon: int = 6, **more: Any) -> Batch:
    return Batch.from_contexts(list(contexts), horizon, freq="H", season_length=24, **more)


def answer_of(values: Sequence[float]) -> str:
    lines = "\n".join(f"2000-01-01 {hour:02}:00 {value}" for hour, value in enumerate(values))
    return f"<think>so it goes on</think>\n<answer>\n```\n{lines}\n```\n</answer>"


def model(say: Callable[[Request], str | Answer], length: int | None = None, steps: Steps | None = None, **settings: Any) -> TimeR1:
    return TimeR1(Says(say, length), Settings(**{"samples": 1, **settings}), steps)


def test_answers_become_sample_paths() -> None:
    def say(request: Request) -> str:
        return answer_of([request.seed % 7 + step for step in range(6)])

    made = model(say, samples=4)
    forecast = made.predict(batch([SERIES, SERIES[:50]]))
    assert forecast.kind == "samples" and forecast.values.shape == (2, 4, 6)
    asked = made.backend.asked  # type: ignore[attr-defined]
    expected = np.array([[request.seed % 7 + step for step in range(6)] for request in asked]).reshape(2, 4, 6)
    np.testing.assert_array_equal(forecast.values, expected)
    np.testing.assert_array_equal(forecast.fallback, [0, 0])
    assert len({request.seed for request in asked}) == 8  # each answer is drawn by itself
    assert made.notes["answers"] == "ok 8"


def test_an_answer_that_is_no_forecast_is_a_naive_path_and_counts() -> None:
    texts = iter([answer_of([1, 2, 3, 4, 5, 6]), answer_of([1, 2, 3]), "I cannot say.", answer_of([9] * 7)])
    made = model(lambda _: next(texts), samples=4)
    forecast = made.predict(batch())
    last = SERIES[-1]
    np.testing.assert_allclose(forecast.values[0], [[1, 2, 3, 4, 5, 6], [last] * 6, [last] * 6, [last] * 6])
    np.testing.assert_allclose(forecast.fallback, [0.75])
    assert made.notes["answers"] == "ok 1, absent 1, long 1, short 1"


def test_a_long_answer_is_cut_only_when_that_is_asked_for_and_counts_as_long() -> None:
    made = model(lambda _: answer_of([1, 2, 3, 4, 5, 6, 7]), long_answers="cut")
    forecast = made.predict(batch())
    np.testing.assert_array_equal(forecast.values[0, 0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(forecast.fallback, [0])
    assert made.notes["answers"] == "long 1"


@pytest.mark.parametrize("executor", ["single", "slow"])
def test_a_long_answer_that_is_cut_counts_for_retries_and_refining_too(executor: str) -> None:
    texts = iter([answer_of([50, 51, 52, 53, 54, 55, 56]), "Change it.", "I will not."])
    more = {"executor": "slow", "iterations": 1} if executor == "slow" else {"retries": 3}
    made = model(lambda _: next(texts), long_answers="cut", **more)
    np.testing.assert_array_equal(made.predict(batch()).values[0, 0], [50, 51, 52, 53, 54, 55])
    assert len(made.backend.asked) == (3 if executor == "slow" else 1)  # type: ignore[attr-defined]


def test_the_last_observed_value_stands_in_and_a_window_without_one_is_not_asked() -> None:
    gap = SERIES.copy()
    gap[-3:] = np.nan
    made = model(lambda _: "no")
    forecast = made.predict(batch([gap, np.full(30, np.nan, np.float32)]))
    np.testing.assert_allclose(forecast.values[:, 0], [[gap[-4]] * 6, [0] * 6])
    np.testing.assert_array_equal(forecast.fallback, [1, 1])
    assert len(made.backend.asked) == 1  # type: ignore[attr-defined]
    assert made.notes["answers"] == "absent 1, nothing to show 1"


def test_a_forecast_does_not_depend_on_the_batch() -> None:
    def say(request: Request) -> str:
        return answer_of([request.seed % 1000 + step for step in range(6)])

    whole = batch([SERIES, SERIES[:60], SERIES[:70]])
    together = model(say, samples=3).predict(whole)
    for row in range(3):
        alone = Batch.from_contexts([whole.contexts[row]], 6, freq="H", season_length=24)
        object.__setattr__(alone, "seeds", whole.seeds[row : row + 1])
        np.testing.assert_array_equal(model(say, samples=3).predict(alone).values[0], together.values[row])


def test_a_failed_answer_is_asked_for_again_with_another_seed() -> None:
    made = model(lambda request: answer_of([7] * 6) if request.seed % 2 else "no", retries=8)
    forecast = made.predict(batch())
    seeds = [request.seed for request in made.backend.asked]  # type: ignore[attr-defined]
    assert [seed % 2 for seed in seeds] == [0] * (len(seeds) - 1) + [1] and len(set(seeds)) == len(seeds)
    np.testing.assert_array_equal(forecast.values[0, 0], [7] * 6)
    assert made.notes["answers"] == "ok 1"


def test_the_prompt_shows_the_newest_steps_and_their_times() -> None:
    made = model(lambda _: "no", context=24)
    made.predict(batch(start="2000-01-01"))
    text = made.backend.asked[0].messages[-1].content  # type: ignore[attr-defined]
    assert "2000-01-05 00:00" in text and "2000-01-04" not in text  # 120 hours from the first: the newest 24 are the fifth day
    assert made.notes["look_back"] == "24"


def test_the_look_back_is_shortened_to_the_budget_of_tokens() -> None:
    made = model(lambda _: "no", length=4096 + 2600)
    made.predict(batch())
    assert 1 <= int(made.notes["look_back"]) < 96
    assert made.backend.count_tokens(made.backend.asked[0].messages) <= 2600  # type: ignore[attr-defined]


def test_hidden_times_name_no_data_either() -> None:
    named = Batch.from_contexts([SERIES], 6, freq="H", season_length=24, dataset="ett1", domain="Energy")
    shown, hidden = model(lambda _: "no"), model(lambda _: "no", timestamps="hidden")
    for made in (shown, hidden):
        made.predict(named)
    first, second = (made.backend.asked[0].messages[-1].content for made in (shown, hidden))  # type: ignore[attr-defined]
    assert "ett1" in first and "Energy" in first and "2000-01" in first
    assert "ett1" not in second and "Energy" not in second and "2000" not in second


def test_slow_thinking_drafts_reflects_and_refines(tmp_path: Path) -> None:
    """A flat draft is found fault with, the critic agrees, the refined answer counts; the next critique has nothing to say."""
    texts = iter(
        [answer_of([50] * 6), "The draft does not move.", answer_of([50, 51, 52, 53, 54, 55]), f"<think>fine</think> {prompts.CONTENT}."]
    )
    steps = Steps(tmp_path / "steps")
    made = model(lambda _: next(texts), executor="slow", iterations=3, steps=steps)
    forecast = made.predict(batch())
    np.testing.assert_array_equal(forecast.values[0, 0], [50, 51, 52, 53, 54, 55])
    (record,) = read_steps(tmp_path / "steps")
    assert [step["step"] for step in record["steps"]] == ["draft", "checks", "critique", "refined", "checks", "critique"]
    assert any("the same" in finding for finding in record["steps"][1]["findings"]) and not record["steps"][4]["findings"]
    critique = record["steps"][2]["messages"][-1]["content"]
    assert "All values are the same" in critique  # what the rules found is told the critic
    assert record["forecast"] == [50, 51, 52, 53, 54, 55] and record["kind"] == "ok"


def test_slow_thinking_keeps_the_draft_where_the_refined_answer_is_none_and_ends_at_the_limit() -> None:
    texts = iter([answer_of([50, 51, 52, 53, 54, 55]), "Too low.", "no", "Too high.", answer_of([1, 2])])
    made = model(lambda _: next(texts), executor="slow", iterations=2)
    forecast = made.predict(batch())
    np.testing.assert_array_equal(forecast.values[0, 0], [50, 51, 52, 53, 54, 55])
    np.testing.assert_array_equal(forecast.fallback, [0])
    assert next(texts, None) is None


def test_what_rules_found_goes_back_where_the_critic_says_nothing() -> None:
    texts = iter([answer_of([50] * 6), f'"{prompts.CONTENT.lower()}!"', answer_of([50, 51, 52, 53, 54, 55])])
    made = model(lambda _: next(texts), executor="slow", iterations=1)
    made.predict(batch())
    refining = made.backend.asked[2].messages[-1].content  # type: ignore[attr-defined]
    assert "All values are the same" in refining


def test_what_the_rules_find() -> None:
    def found(values: Sequence[float], context: Any = SERIES, season_length: int = 24) -> str:
        parsed = parse(answer_of(values), 6)
        return " ".join(findings(parsed, parsed.ok, np.asarray(context, np.float64), 6, season_length))

    assert not found([50, 51, 52, 53, 54, 55])
    assert "cannot be used" in found([1, 2])
    assert "outside" in found([50, 51, 52, 53, 54, 1e6])
    assert "the same" in found([50] * 6)
    assert "jump" in found([60, 61, 60, 61, 60, 61])
    season = np.tile([0.0, 10.0, 20.0, 10.0], 20)
    assert "repeats itself" in found([20, 10, 0, 10, 20, 10], season, 4)
    assert not found([0, 10, 20, 10, 0, 10], season, 4)
    assert not found([5] * 6, np.full(30, np.nan)) and not found([5] * 6, [5.0] * 30)


def test_steps_survive_a_cut_line_and_refuse_rubbish(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    record = {"window": 1, "sample": 0, "kind": "ok", "steps": []}
    steps.write(record)
    whole = steps.path.read_text()
    steps.path.write_text(whole + whole[:10])
    steps.path.with_name("9.jsonl").write_text(json.dumps(record | {"window": 2}) + "\n")  # of a later process
    assert [record["window"] for record in read_steps(tmp_path)] == [1, 2]
    steps.path.with_name("9.jsonl").unlink()
    steps.path.write_text(whole[:10] + "\n" + whole)
    with pytest.raises(DataError, match="line 1: is no JSON"):
        list(read_steps(tmp_path))
    steps.path.write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(DataError, match="line 1: is no record"):
        list(read_steps(tmp_path))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"samples": 0}, "samples got 0"),
        ({"samples": 2, "temperature": 0.0}, "all answers to a window would be the same"),
        ({"temperature": -1.0}, "temperature got -1.0"),
        ({"top_p": 0.0}, "top_p got 0"),
        ({"timestamps": "maybe"}, "timestamps got 'maybe'"),
        ({"executor": "slw"}, "slow"),
        ({"digits": 0}, "digits got 0"),
        ({"dataset": 3}, "dataset got 3"),
    ],
)
def test_parameters_that_make_no_sense(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Settings(**{"samples": 1, **given})


def test_seeds_of_steps() -> None:
    """By hand: blake2b of the text "5,0", its first eight bytes, half of it."""
    import hashlib

    assert step_seed(5, 0) == int.from_bytes(hashlib.blake2b(b"5,0", digest_size=8).digest(), "big") // 2
    assert step_seed(5, 0) != step_seed(5, 1) and 0 <= step_seed(2**64 - 1, 3) < 2**63


def test_a_name_that_is_hidden_is_in_no_other_text() -> None:
    named = Batch.from_contexts([SERIES], 6, freq="H", season_length=24, dataset="ett1", domain="Energy")
    made = model(lambda _: "no", timestamps="hidden", channel="load of ETT1", dataset="")
    made.predict(named)
    text = made.backend.asked[0].messages[-1].content  # type: ignore[attr-defined]
    assert "ett1" not in text.lower() and "load of the data set" in text
    own = model(lambda _: "no", timestamps="hidden", dataset="a transformer")
    own.predict(named)
    assert "a transformer" in own.backend.asked[0].messages[-1].content  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("folder", "said"),
    [("file/steps", "Not a directory"), ("file", "file is a file"), ("pipe", "pipe is a pipe"), ("x" * 5000, "File name too long")],
)
def test_steps_that_cannot_be_written_are_told(folder: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    made = model(lambda _: "no", steps=Steps(tmp_path / folder))
    assert len(made.predict(batch()).values) == 1
    assert re.search(rf"^steps could not be written: .*{said}; wanted a folder that can be: TIME_R1_STEPS=FOLDER$", made.notes["steps"])


def test_steps_in_a_folder_that_may_not_be_written_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:  # whoever may write everywhere would not be refused by the folder's mode
        raise PermissionError(13, "Permission denied")

    made = model(lambda _: "no", steps=Steps(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        made.predict(batch())
    assert "Permission denied; wanted a folder that can be" in made.notes["steps"]


ANSWER = {"text": "no", "finish": "stop", "error": "", "completion_tokens": 3}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps": [{}]}, "its step 1 has no step"),
        ({"steps": [{"step": "draft"}, 5]}, "its step 2 is a whole number; wanted an object"),
        ({"steps": 5}, "steps of it is a whole number; wanted a list"),
        ({"window": "1"}, "window of it is a text; wanted a whole number"),
        ({"sample": True}, "sample of it is true or false; wanted a whole number"),
        ({"kind": None}, "kind of it is null; wanted a text"),
        ({"steps": [{"step": "draft", "kind": 1}]}, "kind of its step 1 is a whole number"),
        ({"steps": [{"step": "draft", "findings": 1}]}, "findings of its step 1 are no list of texts"),
        ({"steps": [{"step": "draft", "findings": [{}]}]}, "findings of its step 1 are no list of texts"),
        ({"steps": [{"step": "draft", "answer": "no"}]}, "the answer of its step 1 is a text; wanted an object"),
        ({"steps": [{"step": "draft", "answer": {"text": "no"}}]}, "the answer of its step 1 has no finish"),
        ({"steps": [{"step": "draft", "answer": ANSWER | {"error": None}}]}, "error of the answer of its step 1 is null; wanted a text"),
    ],
)
def test_records_that_are_json_and_not_whole(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    whole = {"window": 1, "sample": 0, "kind": "ok", "steps": [{"step": "draft", "kind": "ok", "findings": [], "answer": ANSWER}]}
    file = tmp_path / "1.jsonl"
    file.write_text(f"{json.dumps(whole)}\n{json.dumps(whole | changes)}\n")
    with pytest.raises(DataError, match=re.escape(f"{file}, line 2: is no record of steps: {said}")):
        list(read_steps(file))
    shown = CliRunner().invoke(steps_command, [str(file)])
    assert isinstance(shown.exception, DataError) and "window 1, sample 0: ok" in shown.output
    for lacking in ("window", "sample", "kind", "steps"):
        file.write_text(json.dumps({name: value for name, value in whole.items() if name != lacking}))
        with pytest.raises(DataError, match=f"line 1: is no record of steps: it has no {lacking}$"):
            list(read_steps(file))


def test_steps_are_read_from_files_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.jsonl")
    with pytest.raises(DataError, match=r"1.jsonl is a pipe; wanted a file of steps"):
        list(read_steps(tmp_path))
    shown = CliRunner().invoke(steps_command, ["x" * 5000])
    assert isinstance(shown.exception, UsageError) and "there is no file or folder" in str(shown.exception)


def test_requests_that_all_failed_are_no_forecast_and_single_ones_are_told() -> None:
    down = model(lambda _: Answer(finish="error", error="connection refused"), samples=3)
    with pytest.raises(PluginError, match=r"none of 3 requests was answered: connection refused\. .*--rerun failed"):
        down.predict(batch())
    answers = iter([Answer(finish="error", error="HTTP 500: busy"), answer_of([1, 2, 3, 4, 5, 6])])
    made = model(lambda _: next(answers), samples=2)
    np.testing.assert_allclose(made.predict(batch()).fallback, [0.5])
    assert made.notes["answers"] == "ok 1, error 1" and made.notes["first_error"] == "HTTP 500: busy"


def test_the_command_that_reads_steps_says_how_many_there_are_of_what(tmp_path: Path) -> None:
    from click.testing import CliRunner
    from harness_time_r1.commands.steps import steps as command

    texts = iter([answer_of([1, 2, 3, 4, 5, 6]), "no", "no"])
    model(lambda _: next(texts), samples=3, steps=Steps(tmp_path)).predict(
        Batch.from_contexts([SERIES], 6, freq="H", season_length=24, dataset="ett1")
    )
    done = CliRunner().invoke(command, [str(tmp_path), "--limit", "1"])
    assert done.exit_code == 0 and done.stdout.startswith("ett1, window 0, sample 0: ok")
    assert done.stderr == "3 answers: absent 2, ok 1; 2 are not shown, for all of them: --limit 3\n"
    assert CliRunner().invoke(command, [str(tmp_path), "--kind", "short"]).exit_code != 0
