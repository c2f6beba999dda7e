"""A supervised fine-tuning among the trained models. Nothing heavy is imported before it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.mappings import mapping
from harness.trained import TrainedModel
from harness_time_r1.sft.dataset import asked_of, load
from harness_time_r1.sft.settings import Report, Training
from harness_time_r1.training.record import absolute, trained_model

__all__ = ["again", "record"]


def record(
    report: Report,
    how: Training,
    weights: str,
    data: Path,
    asked: Mapping[str, Any],
    *,
    adapter: str = "",
    device: str = "cpu",
    command: Sequence[str] = (),
) -> TrainedModel:
    """What is recorded of a training; the model is to ask as the samples do.

    Args:
        weights, data, adapter, device: as it was given them.
        asked: of the samples, see `harness_time_r1.sft.dataset.asked_of`.
    """
    places = {"weights": absolute(weights), "adapter": absolute(adapter), "data": absolute(data)}
    return trained_model(
        "sft",
        report,
        {**places, "settings": asdict(how), "device": device},
        metrics={
            "fit_s": report.seconds,
            "steps": report.steps,
            "samples": report.samples,
            "validation_samples": report.validation,
            "left_out": sum(report.left_out.values()),
            "parameters": report.parameters,
            **{f"loss_{name}": value for name, value in report.losses.items()},
        },
        seed=how.seed,
        data=f"{data.name}, {report.fingerprint[:12]}: {report.samples} samples",
        command=command,
        params=asked,
    )


def again(found: Mapping[str, Any], folder: Path) -> TrainedModel:
    """Train as `record` noted it."""
    from harness_time_r1.sft.train import train

    how, data = Training(**mapping(found["settings"])), Path(found["data"])
    where = {"adapter": found["adapter"], "device": found["device"]}
    samples = load(data)
    report = train(found["weights"], samples, how, folder, **where)
    return record(report, how, found["weights"], data, asked_of(samples), **where)
