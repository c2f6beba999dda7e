"""GRIP teaches a small network what earns more: one that repeats the last season only sometimes comes to do so nearly always.

The windows are two seasons of three digits, and the third season is the label. The network is begun on pure repetitions, then on a mixture:
repetitions, the label of another window, and answers without what opens them. The words of the prompt that never change, and the names of
its rows, are single tokens: what is left to learn is to look in the right place.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
pytest.importorskip("trl", reason="trl is not installed: pip install 'harness-time-r1[train]'")

import tiny_qwen  # noqa: E402
from harness_time_r1 import prompts  # noqa: E402
from harness_time_r1.asking import ask_window  # noqa: E402
from harness_time_r1.grip.settings import GripSettings  # noqa: E402
from harness_time_r1.grip.training import train  # noqa: E402
from harness_time_r1.language_model import load_causal, prompt_ids  # noqa: E402
from harness_time_r1.parser import parse  # noqa: E402
from harness_time_r1.prompts import Prompt  # noqa: E402
from harness_time_r1.settings import Settings  # noqa: E402
from harness_time_r1.windows import Window  # noqa: E402

from harness.threads import one_thread  # noqa: E402

SEASON, DIGITS, HELD = 3, (0, 3, 6, 9), 16
ASKED = Settings(timestamps="hidden", context=2 * SEASON, digits=1, max_tokens=12)
OPENS, CLOSES = "<think>\n\n</think>\n<answer>\n```\n", "\n```\n</answer>"
WARM, MIXED, ROWS = 300, 40, 32  # steps of each part of the beginning, windows of a step
SHARES = (0.55, 0.75)  # of the mixture: repetitions up to the first, other labels up to the second, no format beyond


def windows() -> list[Window]:
    """All seasons of which not all digits are the same, in a random order: 60."""
    start, found = np.datetime64("2020-01-01", "s"), []
    for season in itertools.product(DIGITS, repeat=SEASON):
        values = np.array(season, np.float32)
        if len(set(season)) > 1:
            found.append(Window(np.tile(values, 2), values, start, "D", SEASON, str(season)))
    return [found[place] for place in np.random.default_rng(0).permutation(len(found))]


def prompt(window: Window) -> Prompt:
    return ask_window(ASKED, window)


def begun(folder: Path, learnt: list[Window], seed: int) -> str:
    """The network as GRIP gets it."""
    asked = [prompt(window) for window in learnt]
    text = asked[0].messages[0].content
    head, tail = text.partition("```\n")[0] + "```\n", text[text.index("```\n\n# Answer") :]
    rows = ["1 ", *(f"\n{row} " for row in range(2, 3 * SEASON + 1)), f"{2 * SEASON + 1} "]
    words = [head, tail, OPENS, CLOSES, "user\n", "assistant\n", "<|im_end|>\n", *rows]
    tiny_qwen.make(folder / "raw", layers=2, width=64, words=words, seed=seed)
    network, tokenizer = load_causal(str(folder / "raw"))
    answers = ["<think>\n\n</think>\n" + prompts.answer_block(window.label, made) for window, made in zip(learnt, asked, strict=True)]
    given = torch.tensor([prompt_ids(tokenizer, made.messages) for made in asked])  # [N, tokens]
    wanted = torch.tensor([[*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for answer in answers])
    unopened = torch.cat([wanted[:, 1:], torch.full_like(wanted[:, :1], -100)], dim=1)
    rng, optimiser = np.random.default_rng(seed), torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.0)
    network.train()
    for step in range(WARM + MIXED):
        at, other, chance = rng.integers(0, len(learnt), ROWS), rng.integers(0, len(learnt), ROWS), torch.tensor(rng.random((ROWS, 1)))
        answer = wanted[at]
        if step >= WARM:
            optimiser.param_groups[0]["lr"] = 1e-3
            answer = torch.where(chance < SHARES[0], answer, torch.where(chance < SHARES[1], wanted[other], unopened[at]))
        labels = torch.cat([torch.full_like(given[at], -100), answer], dim=1)
        optimiser.zero_grad()
        network(input_ids=torch.cat([given[at], answer.clamp(min=0)], dim=1), labels=labels).loss.backward()
        optimiser.step()
    network.save_pretrained(folder / "begun")
    tokenizer.save_pretrained(folder / "begun")
    return str(folder / "begun")


def shares(weights: str, held: list[Window], times: int = 16) -> tuple[float, float]:
    """Of answers at temperature 1: the share of forecasts, and of those that are the last season."""
    network, tokenizer = load_causal(weights)
    asked = torch.tensor([prompt_ids(tokenizer, prompt(window).messages) for window in held for _ in range(times)])
    with torch.random.fork_rng():
        torch.manual_seed(1)
        drawn = network.generate(
            input_ids=asked, attention_mask=torch.ones_like(asked), do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=12
        )
    read = [parse(text, SEASON, "stop") for text in tokenizer.batch_decode(drawn[:, asked.shape[1] :], skip_special_tokens=True)]
    right = [made.ok and np.array_equal(made.values, held[k // times].label) for k, made in enumerate(read)]
    return float(np.mean([made.ok for made in read])), float(np.mean(right))


@pytest.mark.slow
def test_a_training_teaches_to_repeat_the_last_season(tmp_path: Path) -> None:
    every, seed = windows(), 0
    held, learnt = every[:HELD], every[HELD:]  # no held-out season is ever learnt from
    with one_thread():
        weights = begun(tmp_path, learnt, seed)
        before = shares(weights, held)
        settings = GripSettings(
            steps=40, learning_rate=3e-4, rank=0, max_completion=12, micro_batch=16, every=20, validation_answers=8, seed=seed
        )
        assert (settings.group, settings.oversample, settings.beta, settings.sampling) == (16, 3, 0.04, "cluster")
        report = train(weights, learnt, settings, tmp_path / "out", validation=held, asking=ASKED)
        after = shares(str(tmp_path / "out"), held)
    assert 0.6 < before[0] < 0.85 and after[0] > before[0] + 0.1, (before, after)  # answers in format
    assert 0.3 < before[1] < 0.6 and after[1] > before[1] + 0.3, (before, after)  # the last season
    assert report.before is not None and report.after is not None and report.after > report.before + 0.5
    first, last = (next(row for row in report.curve if row["step"] == step) for step in (0, report.chosen))
    assert last["validation_mse"] > first["validation_mse"] + 0.2
    # More than what the format brings: it rises for the answers in format alone (out of it, the part "format" is −1).
    assert last["validation_mse"] / (1 + last["validation_format"]) > first["validation_mse"] / (1 + first["validation_format"]) + 0.08
    assert len(report.curve) == 41
    assert all(np.isfinite(row["kl"]) and row["kl"] >= -1e-6 for row in report.curve[1:])
    assert 0 < report.curve[-1]["kl"] < 2
