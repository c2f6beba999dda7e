"""What is known of Lag-Llama before anything is loaded."""

from __future__ import annotations

from importlib import metadata

from harness import ModelInfo
from harness_lag_llama.lags import LAGS

__all__ = ["INFO", "LONGEST", "NAME", "WEIGHTS"]

NAME = "lag-llama"
WEIGHTS = "hf:time-series-foundation-models/Lag-Llama"
LONGEST = 2048
"""Steps of context that the network is made for (`max_context_length`)."""
CORPORA = (
    "AirQualityUCI",
    "australian_electricity_demand",
    "beijing_multisite",
    "cpu_limit_minute",
    "cpu_usage_minute",
    "electricity_hourly",
    "ett_h1",
    "ett_h2",
    "ett_m1",
    "function_delay_minute",
    "instances_minute",
    "kdd_cup_2018_without_missing",
    "london_smart_meters_without_missing",
    "memory_limit_minute",
    "memory_usage_minute",
    "saugeenday",
    "solar_10_minutes",
    "sunspot_without_missing",
    "traffic",
    "uber_tlc_hourly",
    "wind_farms_without_missing",
)
"""What the authors' pre-training script trains on, by their names: `--all_datasets` without `--test_datasets`."""


def library_version(name: str) -> str:
    """The installed version of a package, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


INFO = ModelInfo(
    NAME,
    # Another torch may round otherwise.
    version=f"{library_version('harness-lag-llama')}+torch.{library_version('torch').replace('+', '.')}",
    summary="Decoder over lagged values that draws sample paths step by step",
    model_type="zero-shot",
    org="time-series-foundation-models",
    url="https://github.com/time-series-foundation-models/lag-llama",
    license="Apache-2.0",
    weights_license="Apache-2.0",
    weights=WEIGHTS,
    weights_files=("lag-llama.ckpt",),
    weights_note="Their licence is as third-party listings have it; the page of the weights has the authors' own word",
    parameters=2_449_299,
    output="samples",
    max_context=LONGEST + max(LAGS),
    modes=("zero-shot", "finetune", "few-shot"),
    devices=("cpu", "cuda"),
    training_corpora=CORPORA,
    install="pip install harness-lag-llama",
    batch_size=64,
    extra={"torch": library_version("torch")},
)
