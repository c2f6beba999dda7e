"""Supervised fine-tuning of a language model on samples of reasoning and answer, by trl, with low-rank factors of peft. Imports them late.

    report = train("weights/qwen", load(Path("data")), Training(), Path("sft"))

- The loss is of the completions alone. Samples that are too long are left out and counted; none is cut.
- A training that is stopped goes on from its last whole checkpoint when the same is asked for again, and ends with the same weights, to the
  bit on a CPU. Order of samples and dropout follow from the seed.
- The folder then holds the factors (adapter_config.json, adapter_model.safetensors), or with `merge` whole weights that `load_causal` reads
  by themselves, and the factors in `adapter`; in both cases curve.csv, training.json and README.md. Checkpoints are beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from harness import UsageError
from harness.files import write_whole
from harness.identity import digest, file_digest
from harness_time_r1.language_model import model_folders
from harness_time_r1.sft import dataset
from harness_time_r1.sft.card import training_card
from harness_time_r1.sft.checkpoints import newest
from harness_time_r1.sft.curve import FIELDS, losses_of, rows_of
from harness_time_r1.sft.settings import MODEL, NAME, Report, Training
from harness_time_r1.sft.tokens import Encoded, encode, longest
from harness_time_r1.training.curve import write_curve
from harness_time_r1.training.place import checkpoint_folder, finished, opened
from harness_time_r1.training.surroundings import check, surroundings
from harness_time_r1.training.weights import begin, new_factors, write_weights

__all__ = ["Report", "Training", "train"]

LOOKS = 10
"""How often the validation part is looked at."""
BESIDE = ("merge", "every")
"""Settings that do not decide what is learnt: a training may go on with others of them."""


def train(
    weights: str,
    data: Any,
    how: Training,
    folder: Path,
    *,
    adapter: str = "",
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
    stop: Callable[[int], bool] = lambda _: False,
    watch: Callable[[int, Mapping[str, float]], None] = lambda _step, _row: None,
    resume: bool | None = None,
) -> Report:
    """Train, or go on with a training that was stopped.

    Args:
        weights: a folder as `load_causal` takes it.
        data: a `datasets.Dataset` with the columns prompt and completion.
        how: settings.
        folder: made if it is not there, as FOLDER-checkpoints beside it.
        adapter: a folder of low-rank factors to go on training, instead of new ones of `how.rank`; with rank 0 they are merged first.
        device: cpu, cuda, cuda:1.
        say: is told what happens.
        stop: asked after each step, with its number; True writes a checkpoint and ends.
        watch: is given each row of the curve.
        resume: None: go on with the same settings; True: there must be a checkpoint, and settings may differ; False: begin anew.

    Raises:
        UsageError, Unavailable, DataError: settings, weights or data are of no use.
        StoreError: the folder cannot be written; the last whole checkpoint is kept.
    """
    begun = time.monotonic()
    check(NAME, device, rank=how.rank, dtype=how.dtype)
    base_folder, factors = model_folders(weights, model=MODEL, adapter=adapter)
    decides = {
        **{name: value for name, value in asdict(how).items() if name not in BESIDE},
        "base": file_digest(str(base_folder)),
        "data": _fingerprint(data),
        "adapter": file_digest(str(factors)) if factors else "",
    }
    with opened(folder, decides, resume) as forced, surroundings(device):
        network, tokenizer = begin(base_folder, factors, rank=how.rank, device=device, dtype=how.dtype)
        learnt, judged, left_out = _samples(network, tokenizer, data, how)
        if left_out:
            say("left out: " + ", ".join(f"{count} samples {why}" for why, count in left_out.items()))
        trainer = _trainer(network, tokenizer, learnt, judged, how, folder, device, (say, stop, watch))
        checkpoint = newest(checkpoint_folder(folder))
        if checkpoint is not None:
            say(f"going on from step {checkpoint.name.rpartition('-')[2]}")
        elif judged:
            trainer.args.eval_on_start = True
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        state = trainer.state
        done = state.global_step >= state.max_steps
        if done and judged and not any(row.get("step") == state.global_step and "eval_loss" in row for row in state.log_history):
            trainer.evaluate()
        curve = rows_of(state.log_history)
        write_curve(folder / "curve.csv", curve, FIELDS)
        report = Report(
            folder, done, state.global_step, state.max_steps, len(learnt), len(judged), left_out,
            sum(p.numel() for p in trainer.model.parameters() if p.requires_grad), losses_of(curve), round(time.monotonic() - begun, 3),
            digest(decides), decides["base"], decides["data"], bool(how.rank) and not how.merge, forced, curve,
        )  # fmt: skip
        if done:
            made = checkpoint_folder(folder) / ".result"
            write_weights(trainer.model, tokenizer, folder, made, merge=how.merge, name=NAME, rate=how.learning_rate)
            write_whole(folder / "README.md", training_card(report, how, weights, adapter))
            said = {name: value for name, value in asdict(report).items() if name not in ("folder", "curve", "forced")}
            finished(folder, decides, forced, {**said, "base_folder": str(base_folder)})
    return report


def _fingerprint(data: Any) -> str:
    """A hash of what is learnt from: prompts and completions, in their order."""
    return digest([(row["prompt"], row["completion"]) for row in data])


def _samples(network: Any, tokenizer: Any, data: Any, how: Training) -> tuple[list[Encoded], list[Encoded], dict[str, int]]:
    """What is trained on, what is judged by, and how many samples were left out, by why."""
    most = longest(network, tokenizer, how.max_length)
    fitting: list[Encoded] = []
    left_out: dict[str, int] = {}
    for row in data:
        sample = encode(tokenizer, dataset.messages_of(row["prompt"]), "".join(m["content"] for m in row["completion"]))
        if len(sample.ids) > most:
            left_out[f"longer than {most} tokens"] = left_out.get(f"longer than {most} tokens", 0) + 1
        else:
            fitting.append(sample)
    if not fitting:
        raise UsageError(
            f"{NAME}: got {len(data)} samples, all longer than the {most} tokens that the network or max_length allows; wanted shorter "
            "ones: a shorter context or horizon"
            if len(data)
            else f"{NAME}: got a data set without samples; wanted at least one"
        )
    order = np.random.default_rng(how.seed).permutation(len(fitting))
    aside = min(round(how.validation * len(fitting)), len(fitting) - 1)
    return [fitting[k] for k in sorted(order[aside:])], [fitting[k] for k in sorted(order[:aside])], left_out


def _trainer(
    network: Any,
    tokenizer: Any,
    learnt: Sequence[Encoded],
    judged: Sequence[Encoded],
    how: Training,
    folder: Path,
    device: str,
    hooks: tuple[Callable[[str], None], Callable[[int], bool], Callable[[int, Mapping[str, float]], None]],
) -> Any:
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig

    from harness_time_r1.sft.trainer import Trainer, Watch

    steps = how.steps or max(1, math.ceil(math.ceil(len(learnt) / how.batch) / how.accumulate * how.epochs))
    looks = {"eval_strategy": "steps", "eval_steps": max(1, steps // LOOKS)} if judged else {"eval_strategy": "no"}
    config = SFTConfig(
        output_dir=str(checkpoint_folder(folder)),
        num_train_epochs=how.epochs,
        max_steps=how.steps or -1,
        learning_rate=how.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(how.warmup * steps),
        weight_decay=0.0,
        per_device_train_batch_size=how.batch,
        per_device_eval_batch_size=how.batch,
        gradient_accumulation_steps=how.accumulate,
        gradient_checkpointing=how.recompute,
        max_length=None,  # what is too long was left out
        completion_only_loss=True,
        packing=False,
        seed=how.seed,
        data_seed=how.seed,
        bf16=False,  # no autocast: the network computes in what it was loaded as, as when it forecasts, and factors stay in float32
        fp16=False,
        use_cpu=device == "cpu",
        logging_steps=max(1, min(10, steps // (2 * LOOKS))),
        logging_first_step=True,
        save_strategy="steps",
        save_steps=how.every,
        save_total_limit=2,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **looks,
    )
    trainer = Trainer(
        model=network,
        args=config,
        train_dataset=_table(Dataset, learnt),
        eval_dataset=_table(Dataset, judged) if judged else None,
        processing_class=tokenizer,
        peft_config=new_factors(network, how.rank, how.dropout),
        callbacks=[Watch(folder / "curve.csv", *hooks)],
    )
    trainer.remove_callback(PrinterCallback)  # it prints what `say` says
    return trainer


def _table(kind: Any, samples: Sequence[Encoded]) -> Any:
    return kind.from_list([{"input_ids": sample.ids, "labels": sample.labels} for sample in samples])
