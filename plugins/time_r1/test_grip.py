"""GRIP: what is kept and how it counts, the objective beside trl's, and trainings that stop, go on, and learn; on tiny networks."""

from __future__ import annotations

import doctest
import json
import os
import shlex
import shutil
import signal
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
pytest.importorskip("trl", reason="trl is not installed: pip install 'harness-time-r1[train]'")

import tiny_qwen  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from harness_time_r1.backends.contract import Message  # noqa: E402
from harness_time_r1.commands.grip import grip  # noqa: E402
from harness_time_r1.grip import objective, rewards, sampling  # noqa: E402
from harness_time_r1.grip.checkpoints import Store  # noqa: E402
from harness_time_r1.grip.settings import GripSettings  # noqa: E402
from harness_time_r1.grip.training import Report, train  # noqa: E402
from harness_time_r1.language_model import load_causal, prompt_ids  # noqa: E402
from harness_time_r1.training import record  # noqa: E402
from harness_time_r1.training import surroundings as around  # noqa: E402
from harness_time_r1.training.place import checkpoint_folder, opened  # noqa: E402
from harness_time_r1.training.surroundings import stopping, surroundings  # noqa: E402
from harness_time_r1.training.weights import write_weights  # noqa: E402
from harness_time_r1.windows import Window  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from harness import DataError, UsageError  # noqa: E402
from harness.threads import one_thread  # noqa: E402

SEASON = 3
SMALL = GripSettings(
    steps=4, prompts=1, group=4, oversample=2, learning_rate=2e-3, max_completion=14, rank=0, every=2, validation_answers=1
)


def windows(count: int, seed: int) -> list[Window]:
    """Series of digits that repeat themselves; what comes next is the last season."""
    seasons = np.random.default_rng(seed).integers(0, 10, (count, SEASON)).astype(np.float32)
    start = np.datetime64("2020-01-01", "s")
    return [Window(np.tile(s, 2), s.copy(), start, "D", SEASON, f"{seed}-{k}") for k, s in enumerate(seasons)]


def ask(window: Window) -> Sequence[Message]:
    return [Message("user", "".join(f"{v:.0f}" for v in window.context[-SEASON:]))]


def block(values: Any) -> str:
    return "<think></think><answer>\n" + "\n".join(f"{v:.0f}" for v in values) + "\n</answer>"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that has seen answers, half of them in no format, a fifth wrong, and gives such."""
    folder = tmp_path_factory.mktemp("qwen")
    tiny_qwen.make(folder / "raw", layers=1, width=32)
    network, tokenizer = load_causal(str(folder / "raw"))
    network.train()
    rng, optimiser = np.random.default_rng(0), torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.0)
    with one_thread():
        for step in range(150):
            rows = []
            for window in windows(16, 10_000 + step):
                chance = rng.random()
                wrong = block(rng.integers(0, 10, SEASON)) if chance < 0.5 else "".join(f"{v:.0f}" for v in window.label)
                text = block(window.label) if chance < 0.3 else wrong
                prompt = prompt_ids(tokenizer, ask(window))
                answer = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
                rows.append((torch.tensor(prompt + answer), torch.tensor([-100] * len(prompt) + answer)))
            pad = torch.nn.utils.rnn.pad_sequence
            ids, labels = (pad([row[k] for row in rows], batch_first=True, padding_value=value) for k, value in ((0, 0), (1, -100)))
            optimiser.zero_grad()
            network(input_ids=ids, labels=labels).loss.backward()
            optimiser.step()
    network.save_pretrained(folder / "begun")
    tokenizer.save_pretrained(folder / "begun")
    return str(folder / "begun")


def go(weights: str, folder: Path, settings: GripSettings = SMALL, **more: Any) -> Report:
    more = {"validation": windows(4, 2), "prompt": ask, **more}
    return train(weights, windows(5, 1), settings, folder, **more)


def weights_of(folder: Path) -> dict[str, Any]:
    name = "adapter_model.safetensors" if (folder / "adapter_config.json").exists() else "model.safetensors"
    return dict(load_file(folder / name))


def same(a: Path, b: Path) -> bool:
    one, other = weights_of(a), weights_of(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- what is kept, and how it counts


def test_examples_in_docstrings_hold() -> None:
    for module, least in ((sampling, 5), (record, 1)):
        found = doctest.testmod(module)
        assert found.attempted >= least
        assert not found.failed


@pytest.mark.parametrize("how", sampling.SAMPLINGS)
def test_g_answers_are_kept_none_twice(how: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        rewards = rng.choice([-1.0, -1.0, 0.5, 1.0, rng.normal()], 12)
        kept = sampling.choose(rewards, 4, how, rng)
        assert len(set(kept.tolist())) == 4
        assert kept.tolist() == sorted(kept.tolist())
    again = [sampling.choose(np.arange(12.0), 4, how, np.random.default_rng(3)).tolist() for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(UsageError, match="wanted a multiple"):
        sampling.choose(np.zeros(3), 4, how, rng)
    with pytest.raises(UsageError, match="cluster, local, uniform"):
        sampling.choose(np.zeros(4), 4, "best", rng)


def test_local_keeps_the_best_of_each_group() -> None:
    rng = np.random.default_rng(0)
    chosen = [sampling.choose(np.arange(12.0), 4, "local", rng) for _ in range(400)]
    assert all(11 in kept for kept in chosen)  # the best of all is the best of its group
    assert all(0 not in kept and 1 not in kept for kept in chosen)  # groups of three have two better ones at least
    assert sampling.choose(np.array([3.0, 1.0, 2.0]), 1, "local", rng).tolist() == [0]
    # The mean of what is kept is that of the best of three of twelve, to within chance: 13 · 3/4 − 1.
    assert np.mean([kept.mean() for kept in chosen]) == pytest.approx(8.75, abs=0.15)


def test_clusters_give_rare_rewards_their_share() -> None:
    rewards = np.array([-1.0] * 40 + [0.2, 0.21] + [1.0] * 6)
    for seed in range(20):
        kept = rewards[sampling.choose(rewards, 6, "cluster", np.random.default_rng(seed))]
        assert (kept == -1).sum() == 2  # there are four different rewards: one of each, and two more
        assert {0.2, 0.21, 1.0} <= set(kept.tolist())
    chance = [rewards[sampling.choose(rewards, 6, "uniform", np.random.default_rng(seed))] for seed in range(20)]
    assert np.mean([(kept == -1).sum() for kept in chance]) > 4


def test_few_clusters_leave_room_for_good_answers_that_are_alike() -> None:
    rewards = np.concatenate([np.full(24, 1.9), np.linspace(0.0, 1.5, 24)])
    good = {
        count: np.mean(
            [(rewards[sampling.choose(rewards, 16, "cluster", np.random.default_rng(seed), count)] == 1.9).sum() for seed in range(20)]
        )
        for count in (4, 16)
    }
    assert good[16] < 2
    assert good[4] == pytest.approx(4, abs=0.5)  # a quarter of what is kept


def test_clusters_are_where_the_least_squares_are() -> None:
    rng = np.random.default_rng(4)
    values = np.sort(np.concatenate([rng.normal(centre, 0.1, 8) for centre in (0, 3, 9)]))
    found = sampling.clusters(values, 3)
    assert found.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    shuffled = rng.permutation(24)
    assert np.array_equal(sampling.clusters(values[shuffled], 3), found[shuffled])
    assert sampling.clusters(np.zeros(5), 3).tolist() == [0] * 5


def test_advantages_and_weights_by_hand() -> None:
    assert sampling.advantages(np.array([0.0, 0.0, 0.0, 4.0])) == pytest.approx([-1 / 3**0.5] * 3 + [3**0.5])
    assert sampling.advantages(np.full(3, np.float64(np.float32(0.1)))).tolist() == [0, 0, 0]
    assert sampling.weights(np.array([0.0, np.log(3.0)])) == pytest.approx([0.25, 0.75])
    assert sampling.weights(np.zeros(4)).tolist() == [0.25] * 4
    assert np.isfinite(sampling.weights(np.array([0.0, 1e18]))).all()  # literal rewards have no bound


# --- the objective


def test_the_objective_by_hand() -> None:
    half = torch.tensor([0.5]).log()
    double = torch.tensor([1.0]).log()
    assert objective.clipped(double, half, 1.0).item() == pytest.approx(1.2)  # r = 2 is worth no more than 1 + ε
    assert objective.clipped(double, half, -1.0).item() == pytest.approx(-2.0)
    assert objective.clipped(half, double, 1.0).item() == pytest.approx(0.5)
    assert objective.clipped(half, double, -1.0).item() == pytest.approx(-0.8)
    assert objective.distance(half, double).item() == pytest.approx(2 - np.log(2) - 1)
    assert objective.distance(half, half).item() == 0


def test_the_gradient_agrees_with_differences_and_equal_weights_are_grpo() -> None:
    # Two answers of two tokens (the second of one) under a policy of two actions: softmax of theta.
    actions, mask = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    rewards = np.array([1.0, 0.0])
    advantages, weights = torch.tensor(sampling.advantages(rewards)), torch.tensor(sampling.weights(rewards))
    old, reference = torch.tensor([[0.6, 0.4]], dtype=torch.float64), torch.tensor([[0.5, 0.5]], dtype=torch.float64)

    def value(theta: Any, by: Any = weights, beta: float = 0.04) -> Any:
        logp = torch.log_softmax(theta, 0)[actions]
        return objective.loss(logp, old.log()[0][actions], reference.log()[0][actions], mask, advantages, by, beta=beta)

    theta = torch.tensor([0.3, 0.1], dtype=torch.float64, requires_grad=True)
    value(theta).backward()
    for k in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[k] = 1e-6
        difference = (value(theta.detach() + step) - value(theta.detach() - step)) / 2e-6
        assert theta.grad[k].item() == pytest.approx(difference.item(), abs=1e-8)
    assert abs(theta.grad[0].item()) > 1e-3
    # By hand at the policy that drew: r = 1, so that J = Σ w·A, and with equal weights 0.
    at_old = torch.tensor(np.log([0.6, 0.4]))
    assert value(at_old, beta=0.0).item() == pytest.approx(-(weights @ advantages).item())
    assert value(at_old, by=torch.tensor([0.5, 0.5]), beta=0.0).item() == pytest.approx(0)


def test_trl_computes_the_same_objective(begun: str, tmp_path: Path) -> None:
    from harness_time_r1.grip.trainer import make_trainer

    some, settings = windows(2, 1), replace(SMALL, prompts=2, micro_batch=8)
    network, tokenizer = load_causal(begun)
    store = Store(tmp_path, 1, print)
    with surroundings("cpu"):
        trainer = make_trainer(network, tokenizer, settings, some, [ask(w) for w in some], store, "cpu")
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        rows = [row for row in trainer.train_dataset for _ in range(settings.group)][:8]
        torch.manual_seed(0)
        batch = trainer._generate_and_score_completions(rows)
    assert len(batch["completion_ids"]) == 8
    mask = batch["completion_mask"]
    logp = batch["ref_per_token_logps"]
    batch["old_per_token_logps"] = logp + 0.3 * torch.randn(logp.shape)  # ratios on both sides of the clipping
    batch["ref_per_token_logps"] = reference = logp + 0.2 * torch.randn(logp.shape)
    with surroundings("cpu"):
        theirs = trainer._compute_loss(trainer.model, batch)
    ours = []
    for g in range(2):
        part, rewards = slice(4 * g, 4 * g + 4), trainer._kept[4 * g : 4 * g + 4]
        advantages, shares = (torch.tensor(f(rewards)) for f in (sampling.advantages, sampling.weights))
        ours.append(objective.loss(logp[part], batch["old_per_token_logps"][part], reference[part], mask[part], advantages, shares))
    assert len(set(trainer._kept.tolist())) > 1
    assert theirs.item() == pytest.approx(torch.stack(ours).mean().item(), abs=2e-6)


def test_an_answer_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_time_r1 import parser
    from harness_time_r1.grip.trainer import GripTrainer

    read: list[str] = []

    def counted(text: str, *more: Any) -> Any:
        read.append(text)
        return parse(text, *more)

    parse = parser.parse
    for module in (parser, rewards):
        monkeypatch.setattr(module, "parse", counted)
    texts = [block([1, 2, 3]), block([1, 2]), "1 2 3"]
    tokenizer = SimpleNamespace(batch_decode=lambda *_, **__: texts)
    trainer: Any = SimpleNamespace(_tokenizer=tokenizer, settings=SMALL, eos_token_ids=[0])
    judged = GripTrainer.judge(trainer, [[0], [0], [0]], windows(3, 1))
    assert read == texts
    assert judged.shares == {kind: pytest.approx(1 / 3) for kind in ("ok", "short", parse(texts[2], 3).kind)}


# --- settings, order and checkpoints


def test_settings_are_checked() -> None:
    for change, said in (
        ({"sampling": "clusters"}, "sampling got 'clusters'; wanted cluster, local or uniform"),
        ({"variant": "literal"}, "variant got 'literal'"),
        ({"group": 1}, "group got 1; wanted a whole number from 2"),
        ({"learning_rate": 0}, "learning_rate got 0; wanted a number above 0"),
        ({"beta": -1.0}, "beta got -1.0"),
        ({"micro_batch": 5}, "wanted a divisor of the 16 answers"),
        ({"iterations": 3}, "wanted multiples of it"),
    ):
        with pytest.raises(UsageError, match=said.split(";")[0]):
            GripSettings(**change)


def test_the_order_of_prompts_does_not_hang_on_the_number_of_steps() -> None:
    from harness_time_r1.grip.trainer import _order

    long, short = (list(_order(5, replace(SMALL, steps=steps, iterations=1, prompts=2))) for steps in (10, 4))
    assert len(long) == 20
    assert long[:8] == short
    assert all(sorted(long[k : k + 5]) == [0, 1, 2, 3, 4] for k in (0, 5, 10))
    assert long[:5] != long[5:10]


def test_the_best_checkpoints_stay_and_broken_ones_are_passed_over(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path, 2, said.append)
    curve: list[dict[str, float]] = []
    for step, score in ((1, 0.5), (2, 0.9), (3, 0.1), (4, 0.7), (5, 0.2)):
        curve.append({"step": step, "validation_reward": score})
        with store.write(step) as done:
            made = store.writing / "x"
            made.mkdir()
            (made / "weights").write_text("w" * step)
            done(made, curve)
    assert [path.name for path in store.folders()] == ["step_00000002", "step_00000004", "step_00000005"]
    assert [score for score, _ in store.best()] == [0.9, 0.7, 0.2]  # the newest stays too
    (tmp_path / "step_00000005" / "weights").write_text("w")
    found = store.newest()
    assert found is not None
    assert found[0].name == "step_00000004"
    assert "step_00000005 is passed over: it is not whole (weights has 1 bytes, not 5)" in said


# --- trainings


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"rank": 2}, 1),
        ({"prompts": 2}, 3),
        ({"iterations": 2, "sampling": "local"}, 2),
    ],
)
def test_a_training_that_stopped_comes_to_the_same_weights(begun: str, tmp_path: Path, change: dict[str, Any], at: int) -> None:
    settings = replace(SMALL, **change)
    whole = go(begun, tmp_path / "whole", settings)
    first = go(begun, tmp_path / "parts", settings, stop=lambda step: step == at)
    assert (first.done, first.steps) == (False, at)
    assert not (tmp_path / "parts" / "README.md").exists()
    np.random.default_rng().random()
    second = go(begun, tmp_path / "parts", settings)
    assert second.done
    assert second.curve == whole.curve
    assert second.chosen == whole.chosen
    assert same(tmp_path / "whole", tmp_path / "parts")
    moved = [row["kl"] for row in whole.curve[1:]]
    assert max(moved) > 0  # there was something to learn
    third = go(begun, tmp_path / "parts", settings)  # nothing is left to do
    assert third.curve == whole.curve
    assert (tmp_path / "whole" / "curve.csv").read_text() == (tmp_path / "parts" / "curve.csv").read_text()


def test_a_write_that_was_cut_off_costs_no_more_than_itself(begun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_time_r1.grip.trainer import GripTrainer

    whole = go(begun, tmp_path / "whole")
    saved = GripTrainer._save_rng_state

    def dies(self: Any, folder: str) -> None:
        if self.state.global_step == 4:
            raise KeyboardInterrupt
        saved(self, folder)

    with monkeypatch.context() as patched:
        patched.setattr(GripTrainer, "_save_rng_state", dies)
        with pytest.raises(KeyboardInterrupt):
            go(begun, tmp_path / "cut")
    beside = checkpoint_folder(tmp_path / "cut")
    assert sorted(path.name for path in beside.iterdir()) == ["lock", "step_00000002", "training.json"]
    shutil.copytree(beside / "step_00000002", beside / ".writing")  # as a kill would leave it
    assert go(begun, tmp_path / "cut").curve == whole.curve
    assert same(tmp_path / "whole", tmp_path / "cut")


def test_a_signal_ends_the_step_and_writes_a_checkpoint(begun: str, tmp_path: Path) -> None:
    before, said = signal.getsignal(signal.SIGTERM), list[str]()

    def kill(step: int, _: Any) -> None:
        if step == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with stopping(said.append) as stop:
        report = go(begun, tmp_path / "out", watch=kill, stop=stop)
    assert signal.getsignal(signal.SIGTERM) is before
    assert (report.done, report.steps) == (False, 2)  # the signal came behind step 1
    assert (checkpoint_folder(tmp_path / "out") / "step_00000002" / "grip.json").exists()
    assert any("stopping after this step" in line for line in said)


def test_factors_are_gone_on_with_or_merged(begun: str, tmp_path: Path) -> None:
    settings = replace(SMALL, rank=2, learning_rate=2e-2, steps=2)
    first = go(begun, tmp_path / "first", settings)
    assert first.adapter
    assert (tmp_path / "first" / "adapter_config.json").exists()
    config = json.loads((tmp_path / "first" / "adapter_config.json").read_text())
    for rank, merge in ((4, False), (4, True), (0, False)):
        out = tmp_path / f"second-{rank}-{merge}"
        second = go(begun, out, replace(settings, rank=rank), adapter=str(tmp_path / "first"), merge=merge)
        assert second.curve[1]["kl"] == pytest.approx(0, abs=1e-5)  # the distance is to weights and factors together
        assert second.curve[2]["kl"] > 0
        assert second.adapter == (not merge and rank > 0)
        if second.adapter:
            assert json.loads((out / "adapter_config.json").read_text())["r"] == config["r"] == 2
            assert not (out / "ref").exists()
            load_causal(begun, adapter=str(out))
        else:
            load_causal(str(out))
            assert (out / "adapter" / "adapter_config.json").exists() == merge
    assert f"time-r1:weights={begun} -M time-r1:adapter={tmp_path / 'first'}" in (tmp_path / "first" / "README.md").read_text()
    assert f"time-r1:weights={tmp_path / 'second-0-False'}" in (tmp_path / "second-0-False" / "README.md").read_text()


def test_other_settings_are_not_gone_on_with_unasked(begun: str, tmp_path: Path) -> None:
    go(begun, tmp_path / "out", replace(SMALL, steps=2), validation=[])
    other = replace(SMALL, beta=0.5, learning_rate=1e-9)
    with pytest.raises(UsageError, match=r"other settings \(beta, learning_rate\)"):
        go(begun, tmp_path / "out", other)
    before = weights_of(tmp_path / "out")
    report = go(begun, tmp_path / "out", other, resume=True, validation=[])
    assert [row["step"] for row in report.curve] == [1, 2, 3, 4]  # more steps are no other settings
    assert list(report.forced) == ["beta", "learning_rate"]
    assert all(torch.allclose(before[name], value, rtol=0, atol=1e-7) for name, value in weights_of(tmp_path / "out").items())  # the rate
    assert "other settings than it was begun with: beta, learning_rate" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(UsageError, match=r"other settings \(rank\) than the checkpoints"):
        go(begun, tmp_path / "out", replace(other, rank=2), resume=True)
    assert go(begun, tmp_path / "out", resume=False).forced == []
    with pytest.raises(UsageError, match="there is no checkpoint"):
        go(begun, tmp_path / "none", resume=True)


def test_a_folder_is_one_training_s(begun: str, tmp_path: Path) -> None:
    for name in ("mine", "out-checkpoints"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("x")
    for name in ("mine", "out"):
        with pytest.raises(UsageError, match=r"holds thesis\.tex"):
            go(begun, tmp_path / name)
    with opened(tmp_path / "held", {"a": 1}, None), pytest.raises(UsageError, match="another training writes"):
        go(begun, tmp_path / "held")
    with pytest.raises(UsageError, match=r"other settings \(a\)"), opened(tmp_path / "held", {"a": 2}, None):
        pass
    (tmp_path / "held" / "training.json").unlink()  # the checkpoints still know
    with pytest.raises(UsageError, match=r"other settings \(a\)"), opened(tmp_path / "held", {"a": 2}, None):
        pass


def test_what_cannot_be_trained_is_refused(begun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gap = [replace(w, label=np.full(SEASON, np.nan, np.float32)) for w in windows(2, 1)]
    with pytest.raises(UsageError, match="no window with a value"):
        train(begun, gap, SMALL, tmp_path / "out")
    with pytest.raises(UsageError, match="rounded away"):
        go(begun, tmp_path / "out", dtype="bfloat16")
    broken = torch.nn.Linear(1, 1)
    broken.weight.data.fill_(np.nan)
    with pytest.raises(DataError, match=r"diverged.*lower learning rate than 0\.002"):
        write_weights(broken, None, tmp_path, tmp_path / "made", merge=False, name="x", rate=0.002)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process"):
        go(begun, tmp_path / "out")


def test_another_trl_is_refused_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for got in ("1.14.2", "1.17.0.dev0", "2.0"):
        monkeypatch.setattr(around, "version", lambda _, got=got: got)
        with pytest.raises(UsageError, match=rf"got trl {got}; wanted trl>=1\.15,<1\.17, .*: pip install 'trl>=1\.15,<1\.17'"):
            go(str(tmp_path / "nowhere"), tmp_path / "out")
    for got in ("1.15.0", "1.16.3rc1"):
        monkeypatch.setattr(around, "version", lambda _, got=got: got)
        around.check_trl("grip")
    extras = tomllib.loads((Path(__file__).parent / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert "trl>=1.15,<1.17" in extras["train"]


def test_factors_that_are_not_whole_are_not_gone_on_with(begun: str, tmp_path: Path) -> None:
    settings = replace(SMALL, rank=2, steps=2)
    go(begun, tmp_path / "first", settings)
    path = tmp_path / "first" / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(lost := min(tensors))
    save_file(tensors, path)
    for rank in (2, 0):
        with pytest.raises(UsageError, match=rf"does not fit the weights in .*: 1 tensors are in one and not in the other, {lost} first"):
            go(begun, tmp_path / f"second-{rank}", replace(settings, rank=rank), adapter=str(tmp_path / "first"))


# --- the command


def test_the_command_trains_on_a_task_and_records_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import harness
    from harness.cli.replay import replay
    from harness.plan import open_suites
    from harness.plugins import load
    from harness.selection import select_models
    from harness.trained import usage

    monkeypatch.chdir(tmp_path)
    weights = tiny_qwen.make(tmp_path / "tiny", layers=1, width=16, heads=2, positions=8192)
    task = next(task.name for task in open_suites(load(), ["quick"], None)["quick"].tasks() if task.horizon <= 24)
    command = ["--weights", str(weights), "-s", "quick", "-t", task, "-o", "out", "--steps", "1", "--context", "24", "--windows", "2"]
    command += ["--validation", "1", "--set", "group=2", "--set", "oversample=1", "--set", "micro_batch=2"]
    command += ["--digits", "3", "--set", "max_completion=8", "--progress", "plain"]
    done = CliRunner().invoke(grip, [*command, "--log", "tensorboard"], standalone_mode=False)
    assert done.exception is None, done.output
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()
    text = (tmp_path / "out" / "curve.csv").read_text().splitlines()
    assert text[0].startswith("step,reward,reward_kept,format,length,mse")
    assert len(text) == 3
    assert "recorded as" in done.output and list((tmp_path / "out-checkpoints" / "tensorboard").rglob("events*"))
    assert f"-M time-r1:weights={weights} -M time-r1:adapter=out" in done.output
    results = harness.load("harness.duckdb")
    (row,) = results.trained().to_pylist()
    assert (row["model_name"], row["suite"], row["task"], row["mode"], row["budget"]) == ("time-r1", "quick", task, "grip", "1steps")
    asked = {"context": 24, "timestamps": "shown", "digits": 3}
    assert json.loads(row["params"]) == {**asked, "weights": str(weights)}
    words = shlex.split(usage(results.store, row))
    assert words[-4:] == ["-s", "quick", "-t", task]
    ((_, params),) = select_models(load(), [words[words.index("-m") + 1]], [words[words.index("-M") + 1]])
    assert params == {**asked, "weights": str(weights), "adapter": str(tmp_path / "out")}
    done = CliRunner().invoke(replay, [row["configuration"][:12], "--json"], catch_exceptions=False)
    again = json.loads(done.stdout)
    assert (again["equal"], again["weights"], again["changed"]) == (True, "equal", {})
    merged = CliRunner().invoke(grip, [*command, "--merge", "--db", str(tmp_path)], standalone_mode=False)
    assert merged.exception is None and "not recorded: " in merged.output  # a folder is no database: told, and not fatal
    (tmp_path / "harness.duckdb").unlink()
    assert CliRunner().invoke(grip, [*command, "--merge"], standalone_mode=False).exception is None
    results = harness.load("harness.duckdb")
    (row,) = results.trained().to_pylist()
    assert json.loads(row["params"]) == asked and f"time-r1:weights={tmp_path / 'out'}" in usage(results.store, row)


def test_the_command_refuses_settings_that_there_are_not() -> None:
    command = ["-s", "quick", "-t", "x", "-o", "out", "--set"]
    for text, said in (("groups=8", "group"), ("group=eight", "wanted a whole number"), ("weighting=1", "wanted true or false")):
        done = CliRunner().invoke(grip, [*command, text], standalone_mode=False)
        assert isinstance(done.exception, UsageError)
        assert said in str(done.exception)
