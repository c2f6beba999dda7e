"""Low-rank factors that learn, and the weights that a training leaves in its folder. Imports peft and torch late."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness import DataError
from harness_time_r1.language_model import load_causal, with_factors

__all__ = ["TrainerPart", "begin", "diverged", "new_factors", "write_weights"]

WRITTEN = ("adapter_config.json", "config.json", "generation_config.json")


class TrainerPart:
    """Stands before a trainer of trl: it tells nobody, leaves the card to us, and goes on at the rate that it is given now."""

    args: Any
    optimizer: Any
    lr_scheduler: Any

    def _send_telemetry(self) -> None:
        """trl tells its makers of each training, from a thread of its own."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """trl's knows nothing of the data."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """A checkpoint holds the learning rate of before, which --resume may have changed; the same one comes out to the bit."""
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        if checkpoint is not None:
            plan, rate = self.lr_scheduler, self.args.learning_rate
            plan.base_lrs = [rate for _ in plan.base_lrs]
            for group, share in zip(self.optimizer.param_groups, plan.lr_lambdas, strict=True):
                group["initial_lr"], group["lr"] = rate, rate * share(plan.last_epoch)


def new_factors(network: Any, rank: int, dropout: float = 0.0) -> Any:
    """What peft is to put into a network, None where it has factors already or all weights are trained."""
    from peft import LoraConfig, PeftModel

    if not rank or isinstance(network, PeftModel):
        return None
    return LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=dropout, bias="none", target_modules="all-linear", task_type="CAUSAL_LM"
    )  # fmt: skip


def begin(base: Path, factors: Path | None, *, rank: int, device: str, dtype: str) -> tuple[Any, Any]:
    """The network that a training begins at, and its tokenizer: factors that are there go on learning, with rank 0 they are merged first.

    Args:
        base, factors: as `model_folders` returns them.
        rank: of new factors, which the trainer adds; 0: all weights learn.

    Raises:
        UsageError: as `load_causal`.
    """
    network, tokenizer = load_causal(str(base), device=device, dtype=dtype, adapter="" if rank or factors is None else str(factors))
    if not rank:
        network.requires_grad_(True)  # peft freezes what it merges factors into
    elif factors is not None:
        network = with_factors(network, factors, base, learning=True)
    return network, tokenizer


def diverged(name: str, rate: float) -> DataError:
    """What is raised where a training has come to no numbers."""
    return DataError(
        f"{name}: the training diverged, and no weights were written; --fresh begins anew, with a lower learning rate than {rate:g}"
    )


def write_weights(network: Any, tokenizer: Any, folder: Path, made: Path, *, merge: bool, name: str, rate: float) -> None:
    """The factors, or whole weights, with the tokenizer; what a training with another `merge` left goes. Each file is whole or not there.

    Args:
        network: as the trainer holds it, perhaps with factors.
        made: a folder on the same disk, where they are written first.
        merge: factors are merged into whole weights, and go to `folder/adapter` as well.
        name, rate: of the training, for what is said.

    Raises:
        DataError: a weight is no number; nothing is written.
    """
    import torch

    if not all(bool(torch.isfinite(p).all()) for p in network.parameters() if p.requires_grad):
        raise diverged(name, rate)
    shutil.rmtree(made, ignore_errors=True)
    if hasattr(network, "peft_config"):
        network.save_pretrained(made / "adapter" if merge else made, selected_adapters=["default"])
        if merge:
            network = network.merge_and_unload()
    if not hasattr(network, "peft_config"):
        network.save_pretrained(made)
    tokenizer.save_pretrained(made)
    for path in (*made.glob("README.md"), *made.glob("adapter/README.md")):  # peft's; ours says more
        path.unlink()
    shutil.rmtree(folder / "adapter", ignore_errors=True)
    for path in sorted(folder.iterdir()):
        if path.name in WRITTEN or ".safetensors" in path.name:
            path.unlink()
    for path in sorted(made.iterdir()):
        path.replace(folder / path.name)
    shutil.rmtree(made)
