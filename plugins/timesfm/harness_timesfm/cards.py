"""What is known of the models without loading them; facts are those of the library's own sources and package description."""

from __future__ import annotations

from importlib import metadata

from harness import ModelInfo

__all__ = ["INSTALL", "INSTALL_XREG", "TIMESFM_3", "TIMESFM_25"]

INSTALL = "pip install harness-timesfm"
INSTALL_XREG = "pip install 'harness-timesfm[xreg]'"


def library_version(name: str) -> str:
    """The installed version of a package, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


LIBRARIES = {name: library_version(name) for name in ("timesfm", "torch")}
LOCAL = ".".join(f"{name}.{version}" for name, version in LIBRARIES.items()).replace("+", ".")
VERSION = f"{library_version('harness-timesfm')}+{LOCAL}"  # other numbers may come from another version of a library

TIMESFM_25 = ModelInfo(
    "timesfm-2.5",
    version=VERSION,
    summary="TimesFM 2.5, a decoder of 200 million parameters over patches of one series",
    model_type="zero-shot",
    org="Google Research",
    url="https://arxiv.org/abs/2310.10688",
    license="Apache-2.0",
    weights_license="Apache-2.0",
    weights="hf:google/timesfm-2.5-200m-pytorch",
    weights_files=("config.json", "model.safetensors"),
    parameters=231_289_280,
    output="quantiles",
    covariates=("past", "known"),  # used with the parameters `covariates` and `past` alone
    max_context=16_256,  # 16384 steps of context and horizon together, of which 128 are the shortest horizon
    max_horizon=16_256,
    modes=("zero-shot", "finetune", "few-shot"),
    devices=("cpu", "cuda"),
    install=INSTALL,
    batch_size=512,
    extra=LIBRARIES,
)

TIMESFM_3 = ModelInfo(
    "timesfm-3",
    version=VERSION,
    summary="TimesFM 3.0, for one or several series at once, with past and known covariates",
    model_type="zero-shot",
    org="Google Research",
    url="https://github.com/google-research/timesfm",
    license="Apache-2.0",
    weights_license="timesfm-non-commercial-license-v1.0",
    weights="hf:google/timesfm-3.0-pytorch",
    weights_files=("config.json", "model.safetensors"),
    weights_note=(
        "The weights of TimesFM 3.0 are for non-commercial, non-production use alone (timesfm-non-commercial-license-v1.0); "
        "timesfm-2.5 has weights under Apache-2.0."
    ),
    parameters=330_710_976,
    output="quantiles",
    covariates=("past", "known"),
    max_context=15_360,
    modes=("zero-shot",),
    devices=("cpu", "cuda"),
    install=INSTALL,
    batch_size=512,
    multivariate=True,
    exceptions={
        "horizon_prefix": "output patches overlap and are blended, all but the end of the last one; known covariates are seen ahead"
    },
    extra=LIBRARIES,
)
