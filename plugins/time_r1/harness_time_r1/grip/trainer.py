"""GRIP on trl's GRPO trainer: what is drawn, kept and weighted is ours, the rest is trl's. Needs torch, transformers, trl.

trl brings the loop over batches, generation, log-probabilities of policy and reference, clipping, the k3 distance, accumulation of
gradients and the optimiser. It is given G answers of each prompt, chosen here from k·G, with advantages that carry the weights: trl
averages over the answers, so that an advantage is multiplied by G·w.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from harness_time_r1.backends.contract import Message
from harness_time_r1.grip import sampling
from harness_time_r1.grip.checkpoints import Store
from harness_time_r1.grip.rewards import PARTS, reward
from harness_time_r1.grip.settings import GripSettings
from harness_time_r1.language_model import prompt_ids
from harness_time_r1.training.weights import TrainerPart, new_factors
from harness_time_r1.windows import Window

__all__ = ["GripTrainer", "Judged", "make_trainer"]


class Judged:
    """Answers and what they earned: means of the parts, shares of kinds."""

    def __init__(self, rows: Sequence[Mapping[str, float]], kinds: Sequence[str]) -> None:
        self.totals = np.array([row["total"] for row in rows])  # [N]
        self.means = {name: float(np.mean([row[name] for row in rows])) for name in PARTS}
        self.shares = {kind: kinds.count(kind) / len(kinds) for kind in sorted(set(kinds))}

    def row(self) -> dict[str, float]:
        """As columns of the curve."""
        return {"reward": float(self.totals.mean()), **self.means, **{f"share_{kind}": share for kind, share in self.shares.items()}}


class GripTrainer(TrainerPart, GRPOTrainer):
    """See the module. `curve` holds a row for each step."""

    def __init__(
        self, settings: GripSettings, windows: Sequence[Window], asked: Sequence[Sequence[Message]], store: Store, **options: Any
    ) -> None:
        self.settings, self.windows, self.store = settings, windows, store
        self.asked = asked
        self.curve: list[dict[str, float]] = []
        self._now: list[int] = []  # windows of the answers that are being drawn, each G times
        self._kept = np.zeros(0)  # [P·G] rewards of the answers kept
        self._drawn: dict[str, float] = {}
        super().__init__(reward_funcs=[self._reward], **options)
        if self.ref_model is not None:
            # trl reads the reference from the folder of the base: an adapter that was merged into the policy is not in there.
            self.ref_model.load_state_dict(self.model.state_dict())
        self.remove_callback(PrinterCallback)  # prints to stdout
        self.remove_callback(ProgressCallback)

    def _reward(self, prompts: Sequence[Any], **_: Any) -> list[float]:
        """Rewards were needed for the choice: trl is handed the same."""
        assert len(self._kept) == len(prompts)
        return list(self._kept)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """As the forecaster asks, whatever a chat template lacks."""
        return [prompt_ids(self._tokenizer, [Message(m["role"], m["content"]) for m in prompt]) for prompt in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> tuple[list[list[int]], None]:
        """No more answers at once than memory is meant for."""
        rows, answers = self.settings.draw_batch, []
        for first in range(0, len(prompt_ids), rows):
            answers += super()._generate_single_turn(prompt_ids[first : first + rows], *args, **kwargs)[0]
        return answers, None

    def judge(self, completions: Sequence[Sequence[int]], windows: Sequence[Window]) -> Judged:
        """What answers (tokens) to windows earned."""
        texts = self._tokenizer.batch_decode(completions, skip_special_tokens=True)
        rows, kinds = [], []
        for ids, text, window in zip(completions, texts, windows, strict=True):
            finish = "stop" if ids and ids[-1] in self.eos_token_ids else "length"
            parts, kind = reward(text, window, self.settings.variant, finish=finish, tolerance=self.settings.tolerance)
            rows.append(parts)
            kinds.append(kind)
        return Judged(rows, kinds)

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        """Draw k·G answers of each prompt, and hand on the G that are kept; `prompts` holds each of them G times."""
        settings = self.settings
        keep, many = settings.group, settings.group * settings.oversample
        spread = [prompt for prompt in prompts[::keep] for _ in range(many)]
        windows = [self.windows[place] for place in self._now[::keep] for _ in range(many)]
        ids, completion_ids, tools, completions, logps, extra, images, tool_images = super()._generate(spread)
        judged = self.judge(completion_ids, windows)
        # A generator of its own for each step: what is chosen does not hang on what was drawn before a checkpoint.
        rng = np.random.default_rng([settings.seed, self.state.global_step])
        groups = judged.totals.reshape(-1, many)  # [P, k·G]
        chosen = [sampling.choose(totals, keep, settings.sampling, rng, settings.clusters) for totals in groups]
        places = [row * many + int(i) for row, kept in enumerate(chosen) for i in kept]
        self._kept = judged.totals[places]
        self._drawn = {**judged.row(), "reward_kept": float(self._kept.mean())}
        some = [[values[place] for place in places] for values in (ids, completion_ids, completions)]
        return some[0], some[1], tools, some[2], logps, extra, images, tool_images

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """trl's, with our advantages, weighted."""
        self._now = [row["window"] for row in inputs]
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        groups = self._kept.reshape(-1, self.settings.group)  # [P, G]
        advantages = np.stack([self._advantages(rewards) for rewards in groups]).reshape(-1)
        output["advantages"] = torch.as_tensor(advantages, dtype=torch.float32, device=output["advantages"].device)
        return output

    def _advantages(self, rewards: np.ndarray) -> np.ndarray:
        """[G] A·G·w."""
        share = len(rewards) * sampling.weights(rewards) if self.settings.weighting else 1.0
        return sampling.advantages(rewards) * share

    def validate(self, windows: Sequence[Window], asked: Sequence[Sequence[Message]]) -> Judged:
        """What answers to held-out windows earn, drawn as in training, by the same numbers each time; the training's own are as before."""
        count, settings = self.settings.validation_answers, self.settings
        cuda = [self.accelerator.device] if self.accelerator.device.type == "cuda" else []
        training = self.model.training
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(settings.seed)
            self.model.eval()
            try:
                ids = [prompt_ids(self._tokenizer, messages) for messages in asked for _ in range(count)]
                answers, _ = self._generate_single_turn(ids, None, {}, 1)
            finally:
                self.model.train(training)
        return self.judge(answers, [window for window in windows for _ in range(count)])

    # A checkpoint is written into a folder beside, and takes its name when it is whole.

    def _get_output_dir(self, trial: Any) -> str:
        del trial
        return str(self.store.writing)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with self.store.write(self.state.global_step) as done:
            super()._save_checkpoint(model, trial)
            done(self.store.writing / f"checkpoint-{self.state.global_step}", self.curve)


class Watch(TrainerCallback):
    """Validates, has checkpoints written, keeps the curve, and ends the training where it is asked to."""

    def __init__(
        self,
        trainer: GripTrainer,
        judge: Callable[[], Judged] | None,
        stopping: Callable[[int], bool],
        watch: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        self.trainer, self.judge, self.stopping, self.watch = trainer, judge, stopping, watch
        self.scores: dict[str, float] = {}
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        settings, step = self.trainer.settings, state.global_step
        boundary = step % settings.iterations == 0
        last = step >= args.max_steps
        self.stopped = boundary and not last and self.stopping(step)
        self.scores = {}
        if step % settings.every == 0 or last:
            if self.judge is not None:
                self.scores = {f"validation_{name}": value for name, value in self.judge().row().items()}
            control.should_save = True
        if self.stopped:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float] | None = None, **_: Any) -> None:  # noqa: ARG002
        logs = logs or {}
        if "loss" not in logs:  # the summary at the end
            return
        names = {"kl": "kl", "loss": "loss", "length": "completions/mean_length", "grad_norm": "grad_norm", "entropy": "entropy"}
        names["clipped"] = "clip_ratio/region_mean"
        measured = {name: float(logs[key]) for name, key in names.items() if key in logs}
        row = {"step": float(state.global_step), **self.trainer._drawn, **measured, **self.scores}
        self.trainer.curve.append(row)
        self.watch(state.global_step, row)


def make_trainer(
    network: Any,
    tokenizer: Any,
    settings: GripSettings,
    windows: Sequence[Window],
    asked: Sequence[Sequence[Message]],
    store: Store,
    device: str,
) -> GripTrainer:
    """A trainer of a network that `load_causal` read.

    Args:
        windows, asked: N windows and the prompt of each.
    """
    answers = settings.prompts * settings.group
    options = GRPOConfig(
        output_dir=str(store.writing),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.micro_batch,
        gradient_accumulation_steps=answers // settings.micro_batch,
        num_generations=settings.group,
        num_iterations=settings.iterations,
        max_completion_length=settings.max_completion,
        temperature=settings.temperature,
        epsilon=settings.epsilon,
        beta=settings.beta,
        use_bias_correction_kl=False,  # the formula has none
        loss_type="grpo",
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        bf16=False,  # as in sft/train.py
        gradient_checkpointing=settings.gradient_checkpointing,
        shuffle_dataset=False,  # `order` has shuffled
        seed=settings.seed,
        logging_steps=1,
        logging_strategy="steps",
        save_strategy="no",  # `Watch` says when
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        use_cpu=device == "cpu",
    )
    return GripTrainer(
        settings,
        windows,
        asked,
        store,
        model=network,
        args=options,
        train_dataset=_dataset(settings, asked),
        processing_class=tokenizer,
        peft_config=new_factors(network, settings.rank),
    )


def _dataset(settings: GripSettings, asked: Sequence[Sequence[Message]]) -> Any:
    """The whole course as one pass: which prompts come when hangs on the seed and their number, not on when a training was begun again."""
    from datasets import Dataset

    rows = [{"prompt": [dict(m._asdict()) for m in messages], "window": place} for place, messages in enumerate(asked)]
    return Dataset.from_list(rows).select(list(_order(len(rows), settings)))


def _order(count: int, settings: GripSettings) -> Iterator[int]:
    """Places of prompts, all of them in a random order again and again, as many as the steps need."""
    rng, wanted = np.random.default_rng(settings.seed), settings.steps // settings.iterations * settings.prompts
    for _ in range(-(-wanted // count)):
        yield from (int(place) for place in rng.permutation(count)[:wanted])
        wanted -= count
