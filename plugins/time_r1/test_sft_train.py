"""Supervised fine-tuning learns, goes on as if it had never stopped, and leaves folders that can be used; on a tiny random network."""

from __future__ import annotations

import csv
import json
import random
import shlex
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
datasets: Any = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'harness-time-r1[train]'")
pytest.importorskip("trl", reason="trl is not installed: pip install 'harness-time-r1[train]'")
pytest.importorskip("peft", reason="peft is not installed: pip install 'harness-time-r1[train]'")

from harness_time_r1.backends.contract import Message  # noqa: E402
from harness_time_r1.language_model import load_causal, prompt_ids  # noqa: E402
from harness_time_r1.sft.settings import Report, Training  # noqa: E402
from harness_time_r1.sft.tokens import IGNORED, encode, longest  # noqa: E402
from harness_time_r1.sft.train import train  # noqa: E402
from tiny_qwen import make  # noqa: E402

from harness import DataError, UsageError  # noqa: E402
from harness.errors import StoreError  # noqa: E402

ASKED = {"context": 24, "timestamps": "relative", "digits": 3}
QUICK = Training(learning_rate=5e-3, batch=4, every=2, steps=4, rank=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Embeddings are larger than those of a network just made: beside frozen ones so small, factors could move no loss."""
    from safetensors.torch import load_file, save_file

    folder = make(tmp_path_factory.mktemp("weights"), layers=1, width=32, heads=2, positions=256)
    values = load_file(folder / "model.safetensors")
    values["model.embed_tokens.weight"] *= 20
    save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


@pytest.fixture(scope="module")
def trained(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """`QUICK` on eight samples, without a stop."""
    return train(weights, samples(8), QUICK, tmp_path_factory.mktemp("trained") / "a")


def samples(count: int = 16, prompt: str = "Values: {}") -> Any:
    """Always the same answer: what is easily learnt."""
    return datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": prompt.format(k)}],
                "completion": [{"role": "assistant", "content": "<think>up</think>\n<answer>1 2 3</answer>"}],
            }
            for k in range(count)
        ]
    )


def tensors(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


def test_the_loss_falls_and_of_completions_alone(weights: str, tmp_path: Path) -> None:
    data = samples()
    said: list[str] = []
    state: Any = np.random.get_state
    before = random.getstate(), state()[1].copy(), torch.get_rng_state().clone()
    report = train(weights, data, Training(learning_rate=2e-2, steps=20, rank=8, batch=4), tmp_path / "a", say=said.append)
    assert report.done and (report.steps, report.samples, report.validation) == (20, 14, 2)
    assert report.losses["after"] < 0.6 * report.losses["before"]
    assert report.losses["last"] < 0.6 * report.losses["first"]
    assert before[0] == random.getstate() and torch.equal(before[2], torch.get_rng_state())
    assert np.array_equal(before[1], state()[1])
    with (tmp_path / "a" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["step"] == "0" and rows[0]["loss"] == "" and float(rows[0]["eval_loss"]) == pytest.approx(report.losses["before"])
    assert rows[-1]["step"] == "20" and said[-1].startswith("step 20 of 20: ")
    # The loss before any step, by hand: the mean over the tokens of the completions alone.
    network, tokenizer = load_causal(weights)
    order = np.random.default_rng(0).permutation(16)
    losses: list[float] = []
    for k in sorted(order[:2]):
        ids, labels = encode(tokenizer, [Message("user", f"Values: {k}")], "<think>up</think>\n<answer>1 2 3</answer>")
        with torch.no_grad():
            logits = network(torch.tensor([ids])).logits[0]
        chances = torch.log_softmax(logits, dim=-1)
        losses += [-float(chances[i - 1, label]) for i, label in enumerate(labels) if label != IGNORED]
    assert report.losses["before"] == pytest.approx(float(np.mean(losses)), rel=1e-4)


def test_stopped_and_resumed_is_unbroken_to_the_bit(weights: str, tmp_path: Path) -> None:
    how = Training(learning_rate=5e-3, batch=4, every=9, steps=4, rank=2, dropout=0.3)  # more steps than an epoch has, and dropout
    data = samples(11)
    whole = train(weights, data, how, tmp_path / "whole")
    first = train(weights, data, how, tmp_path / "parts", stop=lambda step: step == 2)
    assert not first.done and first.steps == 2 and not (tmp_path / "parts" / "adapter_model.safetensors").exists()
    said: list[str] = []
    second = train(weights, data, how, tmp_path / "parts", say=said.append)
    assert second.done and said[0] == "going on from step 2"
    assert tensors(tmp_path / "parts") == tensors(tmp_path / "whole")
    assert (tmp_path / "parts" / "curve.csv").read_bytes() == (tmp_path / "whole" / "curve.csv").read_bytes()
    assert second.configuration == whole.configuration


def test_a_checkpoint_that_was_cut_off_is_passed_over(weights: str, trained: Report, tmp_path: Path) -> None:
    train(weights, samples(8), QUICK, tmp_path / "cut", stop=lambda step: step == 3)
    state = tmp_path / "cut-checkpoints" / "checkpoint-3" / "trainer_state.json"
    state.write_bytes(state.read_bytes()[:40])  # a kill while it was written
    said: list[str] = []
    train(weights, samples(8), QUICK, tmp_path / "cut", say=said.append)
    assert said[0] == "going on from step 2"
    assert tensors(tmp_path / "cut") == tensors(trained.folder)


def test_factors_and_merged_weights_say_the_same(weights: str, trained: Report, tmp_path: Path) -> None:
    base, tokenizer = load_causal(weights)
    by_factors, _ = load_causal(weights, adapter=str(trained.folder))
    shutil.copytree(trained.folder, tmp_path / "a")
    again = train(weights, samples(8), replace(QUICK, merge=True), tmp_path / "a")  # goes on from the end: merges, and trains nothing
    merged, _ = load_causal(str(tmp_path / "a"))
    ids = torch.tensor([prompt_ids(tokenizer, [Message("user", "Values: 3")])])
    with torch.no_grad():
        logits = [network(ids).logits for network in (base, by_factors, merged)]
    assert torch.equal(logits[1], logits[2])
    assert not torch.allclose(logits[0], logits[1], atol=1e-3)
    assert tensors(tmp_path / "a" / "adapter") == tensors(trained.folder) and again.configuration == trained.configuration
    assert "7 samples to learn from, 1 to judge by" in (trained.folder / "README.md").read_text()
    assert "merged into the weights" in (tmp_path / "a" / "README.md").read_text()
    record = json.loads((tmp_path / "a" / "training.json").read_text())
    assert record["done"] and record["steps"] == 4 and record["base"] and record["decides"]["learning_rate"] == 5e-3


def test_an_adapter_is_trained_on(weights: str, trained: Report, tmp_path: Path) -> None:
    second = train(weights, samples(8), replace(QUICK, steps=1), tmp_path / "b", adapter=str(trained.folder))
    assert second.losses["before"] == pytest.approx(trained.losses["after"], rel=1e-5)


def test_with_all_weights_an_adapter_is_merged_first(weights: str, trained: Report, tmp_path: Path) -> None:
    second = train(weights, samples(8), replace(QUICK, steps=1, rank=0), tmp_path / "b", adapter=str(trained.folder))
    assert second.losses["before"] == pytest.approx(trained.losses["after"], rel=1e-5)
    network, _ = load_causal(str(tmp_path / "b"))
    assert not second.adapter and second.parameters == sum(p.numel() for p in network.parameters())


def test_factors_that_are_not_whole_are_not_gone_on_with(weights: str, trained: Report, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(trained.folder, tmp_path / "a")
    held = load_file(tmp_path / "a" / "adapter_model.safetensors")
    held.pop(lost := min(held))
    save_file(held, tmp_path / "a" / "adapter_model.safetensors")
    for rank in (2, 0):
        with pytest.raises(UsageError, match=f"1 tensors are in one and not in the other, {lost} first"):
            train(weights, samples(4), replace(QUICK, rank=rank), tmp_path / f"b{rank}", adapter=str(tmp_path / "a"))


def test_in_bfloat16_the_network_computes_as_it_forecasts(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_time_r1.training import weights as module
    from safetensors.torch import load_file

    seen: list[tuple[bool, Any]] = []

    def watched(*given: Any, **more: Any) -> Any:
        network, tokenizer = load_causal(*given, **more)
        network.register_forward_pre_hook(lambda *_: seen.append((torch.is_autocast_enabled("cpu"), network.dtype)))
        return network, tokenizer

    monkeypatch.setattr(module, "load_causal", watched)
    train(weights, samples(4), replace(QUICK, steps=1, dtype="bfloat16"), tmp_path / "a")
    assert seen and set(seen) == {(False, torch.bfloat16)}
    assert {value.dtype for value in load_file(tmp_path / "a" / "adapter_model.safetensors").values()} == {torch.float32}
    with pytest.raises(
        UsageError, match="got rank 0 and dtype bfloat16, in which small steps are rounded away; wanted float32, or factors"
    ):
        train(weights, samples(4), replace(QUICK, rank=0, dtype="bfloat16"), tmp_path / "b")


def test_all_weights(weights: str, tmp_path: Path) -> None:
    report = train(weights, samples(8), replace(QUICK, rank=0), tmp_path / "a")
    network, _ = load_causal(str(tmp_path / "a"))
    assert report.parameters == sum(p.numel() for p in network.parameters())
    assert report.losses["after"] < report.losses["before"]


def test_too_long_samples_are_left_out_and_never_cut(weights: str, tmp_path: Path) -> None:
    network, tokenizer = load_causal(weights)
    assert (longest(network, tokenizer, 0), longest(network, tokenizer, 100)) == (256, 100)
    data = datasets.concatenate_datasets([samples(6), samples(2, "x" * 300 + "{}")])
    said: list[str] = []
    report = train(weights, data, QUICK, tmp_path / "a", say=said.append)
    assert report.left_out == {"longer than 256 tokens": 2} and report.samples + report.validation == 6
    assert said[0] == "left out: 2 samples longer than 256 tokens"
    with pytest.raises(UsageError, match="got 2 samples, all longer than the 256 tokens"):
        train(weights, samples(2, "x" * 300 + "{}"), QUICK, tmp_path / "b")
    with pytest.raises(UsageError, match="a data set without samples"):
        train(weights, samples(1).select([]), QUICK, tmp_path / "c")


def test_tokens_of_a_sample(weights: str) -> None:
    _, tokenizer = load_causal(weights)
    messages = [Message("system", "s"), Message("user", "u")]
    sample = encode(tokenizer, messages, "<think>a</think>")
    before = prompt_ids(tokenizer, messages)  # what the network sees when it is asked
    assert sample.ids[: len(before)] == before and sample.labels[: len(before)] == [IGNORED] * len(before)
    assert tokenizer.decode(sample.ids[len(before) :]) == "<think>a</think><|im_end|>"
    assert sample.labels[len(before) :] == sample.ids[len(before) :]
    tokenizer.chat_template += "{{ '<think>\n' }}"  # as of models that always reason
    opened = encode(tokenizer, messages, "<think>\na</think>")
    assert tokenizer.decode(opened.ids).endswith("<|im_start|>assistant\n<think>\na</think><|im_end|>")


def test_folders_of_something_else_are_refused(weights: str, tmp_path: Path) -> None:
    data = samples(4)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"other holds thesis\.tex, and no training\.json"):
        train(weights, data, QUICK, tmp_path / "other")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file; wanted a folder"):
        train(weights, data, QUICK, tmp_path / "file")
    one = replace(QUICK, steps=1)
    train(weights, data, one, tmp_path / "a")
    other = replace(one, learning_rate=1e-3)
    with pytest.raises(UsageError, match=r"with other settings \(learning_rate\).*--fresh"):
        train(weights, data, other, tmp_path / "a")
    with pytest.raises(UsageError, match=r"with other settings \(data\)"):
        train(weights, samples(5), one, tmp_path / "a")
    assert train(weights, data, other, tmp_path / "a", resume=False).done
    with pytest.raises(UsageError, match="learning_rate got 0; wanted a number above 0"):
        Training(learning_rate=0)
    with pytest.raises(UsageError, match=r"dropout got 1\.0; wanted a number from 0 to below 1"):
        Training(dropout=1.0)


def test_a_training_that_diverges_leaves_no_weights(weights: str, tmp_path: Path) -> None:
    broken = tmp_path / "weights"
    shutil.copytree(weights, broken)
    from safetensors.torch import load_file, save_file

    values = load_file(broken / "model.safetensors")
    values["model.norm.weight"][0] = float("nan")
    save_file(values, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="diverged, and no weights were written"):
        train(str(broken), samples(4), replace(QUICK, steps=1), tmp_path / "a")
    assert not (tmp_path / "a" / "adapter_model.safetensors").exists()


def test_a_full_disk_is_said_in_words(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from harness_time_r1.sft import train as module

    def full(*_args: object, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    one = replace(QUICK, steps=1, every=1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_weights", full)
        with pytest.raises(StoreError, match=r"could not write .*No space left on device; the same command goes on"):
            train(weights, samples(4), one, tmp_path / "a")
    said: list[str] = []
    assert train(weights, samples(4), one, tmp_path / "a", say=said.append).done
    assert said == ["going on from step 1"]


def sample_folder(folder: Path) -> Path:
    from harness_time_r1.sft import dataset

    rows = [
        {**dict.fromkeys(dataset.COLUMNS, None), **row, "id": str(k), "label": [1.0], "asked": json.dumps(ASKED)}
        for k, row in enumerate(samples(6))
    ]
    dataset.save(dataset.make(rows), folder)
    return folder


def test_the_command_trains_records_and_is_done_again_by_the_record(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner
    from harness_time_r1 import retrain
    from harness_time_r1.commands.sft import sft

    import harness
    from harness.errors import Unsupported

    monkeypatch.chdir(tmp_path)
    data = sample_folder(tmp_path / "data")
    arguments = ["--weights", weights, "--data", "data", "-o", "out", "--steps", "2", "--rank", "2", "--every", "1", "--progress", "plain"]
    done = CliRunner().invoke(sft, [*arguments, "--log", "csv,tensorboard"], catch_exceptions=False)
    assert done.exit_code == 0 and "out: 2 steps, 5 samples; loss of the validation part" in done.output
    assert f"-M time-r1:weights={weights} -M time-r1:adapter=out" in done.output
    assert "recorded as" in done.output and list((tmp_path / "out-checkpoints" / "tensorboard").rglob("events*"))
    results = harness.load("harness.duckdb")
    (row,) = results.trained().to_pylist()
    environment, metrics = json.loads(row["environment"]), json.loads(row["metrics"])
    assert (row["model_name"], row["mode"], row["budget"], row["seed"]) == ("time-r1", "sft", "2steps", 0)
    assert row["parent"].startswith("time-r1@") and metrics["loss_after"] > 0 and metrics["samples"] == 5
    assert environment["sft"]["data"] == str(data) and set(environment["weight_files"]) == {"adapter_model.safetensors"}
    assert used(results, row) == {**ASKED, "weights": weights, "adapter": str(tmp_path / "out")}
    again = replayed(row, tmp_path)
    assert (again["equal"], again["weights"], again["changed"]) == (True, "equal", {})
    # Merged: whole weights.
    assert CliRunner().invoke(sft, [*arguments, "--merge"], catch_exceptions=False).exit_code == 0
    (row,) = harness.load("harness.duckdb").trained().to_pylist()
    assert used(results, row) == {**ASKED, "weights": str(tmp_path / "out")}
    again = replayed(row, tmp_path)
    assert (again["equal"], again["weights"], again["changed"]) == (True, "equal", {})
    found = {**row, "environment": json.loads(row["environment"])}
    for other in ({"mode": "pretrain"}, {"model_name": "ttm"}):
        assert retrain({**found, **other}, tmp_path / "b") is None
    for change, message in (({"forced": ["epochs"]}, r"gone on with other .*epochs"), ({"data": "/gone"}, "the data of the training")):
        changed = {**found["environment"], "sft": {**found["environment"]["sft"], **change}}
        with pytest.raises(Unsupported, match=message):
            retrain({**found, "environment": changed}, tmp_path / "b")
    for more, message in (
        (["--weights", "nowhere"], "--weights nowhere: there is no such folder"),
        (["--data", "nowhere"], "--data nowhere: there is no such folder; to make one"),
        (["--rank", "4"], r"is of a training with other settings \(rank\)"),
        (["--learning-rate", "0"], "learning_rate got 0"),
        (["--log", "excel"], "there is no logger 'excel'"),
    ):
        with pytest.raises(UsageError, match=message):
            CliRunner().invoke(sft, [*arguments, *more], catch_exceptions=False)


def used(results: Any, row: dict[str, Any]) -> dict[str, Any]:
    """What the model is made with by the command that the record prints; the weights are read."""
    from harness.plugins import load
    from harness.selection import select_models
    from harness.trained import usage

    words = shlex.split(usage(results.store, row))
    assert words[:2] == ["harness", "run"]
    given = [word for before, word in pairwise(words) if before == "-M"]
    ((_, params),) = select_models(load(), [words[words.index("-m") + 1]], given)
    network, _ = load_causal(params["weights"], adapter=params.get("adapter", ""))
    assert network is not None
    return dict(params)


def replayed(row: dict[str, Any], folder: Path) -> Any:
    """What `harness replay` says."""
    from click.testing import CliRunner

    from harness.cli.replay import replay

    done = CliRunner().invoke(replay, [row["configuration"][:12], "--db", str(folder / "harness.duckdb"), "--json"], catch_exceptions=False)
    return json.loads(done.stdout)


def test_other_settings_on_demand_take_the_new_rate(weights: str, tmp_path: Path) -> None:
    train(weights, samples(8), QUICK, tmp_path / "a", stop=lambda step: step == 2)
    other = replace(QUICK, learning_rate=1e-9)
    report = train(weights, samples(8), other, tmp_path / "a", resume=True)
    assert list(report.forced) == ["learning_rate"] and report.curve[-1]["learning_rate"] < 1e-8
