"""What is known of the model `time-r1`, and its factory. Nothing heavy is imported before it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import ModelInfo, UsageError
from harness.parameters import choice, positive, whole
from harness_time_r1.settings import NAME, Settings
from harness_time_r1.tune import TRAINERS, Tuning

__all__ = ["INFO", "make"]

INFO = ModelInfo(
    NAME,
    summary="a language model reasons on a prompt with the newest values, and answers with a forecast",
    model_type="agentic",
    org="",
    url="https://arxiv.org/abs/2506.10630",
    license="Apache-2.0",
    weights="hf:Qwen/Qwen2.5-7B-Instruct",
    weights_license="Apache-2.0",
    weights_files=("*.json", "*.safetensors", "merges.txt"),
    weights_note=(
        "This is the network that Time-R1 was trained from, not Time-R1. Without weights here, name an endpoint: "
        "-M time-r1:url=http://localhost:8000/v1 -M time-r1:served=NAME"
    ),
    output="samples",
    max_context=4096,
    modes=("zero-shot", "finetune", "few-shot"),
    devices=("cpu", "cuda"),
    install="pip install 'harness-time-r1[local]'",
    batch_size=64,
    exceptions={
        "horizon_prefix": "the prompt asks for so many values: another number is another question",
        "affine": "numbers are read as text: the digits of a scaled series are others",
    },
)


def make(
    weights: str = "",
    adapter: str = "",
    device: str = "cpu",
    dtype: str = "float32",
    rows: int = 8,
    url: str = "",
    served: str = "",
    context_length: int | None = None,
    limit_field: str = "max_tokens",
    extra: Mapping[str, Any] | None = None,
    samples: int = 5,
    temperature: float = 0.6,
    top_p: float = 0.7,
    max_tokens: int = 4096,
    context: int = 96,
    timestamps: str = "shown",
    digits: int = 4,
    executor: str = "single",
    iterations: int = 2,
    retries: int = 0,
    long_answers: str = "reject",
    named: bool = True,
    dataset: str = "",
    channel: str = "",
    unit: str = "",
    trainer: str = "sft",
    learning_rate: float | None = None,
    rank: int = 8,
    windows: int = 300,
) -> Any:
    """Args: see the plugin's README."""
    settings = Settings(
        samples=samples, temperature=temperature, top_p=top_p, max_tokens=max_tokens, context=context, timestamps=timestamps,
        digits=digits, executor=executor, iterations=iterations, retries=retries, long_answers=long_answers, named=named,
        dataset=dataset, channel=channel, unit=unit,
    )  # fmt: skip
    choice(NAME, "trainer", trainer, TRAINERS)
    rate = None if learning_rate is None else positive(NAME, "learning_rate", learning_rate, 1)
    whole(NAME, "rank", rank, 1, 1024)
    whole(NAME, "windows", windows, 1, 1_000_000)
    here = {"weights": weights, "adapter": adapter, "device": device != "cpu", "dtype": dtype != "float32", "rows": rows != 8}
    there = {
        "served": served,
        "context_length": context_length is not None,
        "limit_field": limit_field != "max_tokens",
        "extra": extra is not None and extra != {},
    }
    if mixed := [name for name, given in (here if url else there).items() if given]:
        wanted = "weights on this machine, or an endpoint" if url else f"the endpoint too: -M {NAME}:url=http://localhost:8000/v1"
        raise UsageError(f"{NAME}: got {', '.join(mixed)} {'and url' if url else 'and no url'}; wanted {wanted}")
    if url and not served:
        raise UsageError(f"{NAME}: got url={url!r} and no served; wanted the name of the model there: -M {NAME}:served=NAME")
    if executor == "single" and iterations != 2:
        raise UsageError(f"{NAME}: got iterations {iterations} and executor single, which has none; wanted executor=slow, or no iterations")
    from harness_time_r1.forecaster import TimeR1
    from harness_time_r1.operation import backend_of, steps_of

    backend = backend_of(
        weights=weights, adapter=adapter, device=device, dtype=dtype, rows=rows, url=url, served=served,
        context_length=context_length, limit_field=limit_field, extra=extra,
    )  # fmt: skip
    tuning = None if url else Tuning(weights, adapter, device, dtype, rows, trainer, rate, rank, windows)
    return TimeR1(backend, settings, steps_of(executor), tuning)
