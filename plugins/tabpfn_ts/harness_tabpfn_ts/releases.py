"""The published configurations of TabPFN-TS: which checkpoint, how long a context, how many periods. No heavy import."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from harness.types import ModelInfo

__all__ = ["RELEASES", "Release"]

GATED = "Non-commercial use only, and gated: accept the terms at https://huggingface.co/{repo}, or at https://ux.priorlabs.ai, first."


@dataclass(frozen=True)
class Release:
    """One published configuration.

    Attributes:
        name: of the model.
        architecture: what a checkpoint must hold, by the library's own word.
        repo, file: where the checkpoint is on the hub.
        weights_license: as the authors name it.
        open: whether the hub gives the file to everybody.
        context: rows that the published pipeline keeps of a series.
        periods: seasonal periods that it looks for.
        most: rows that are taken at most. For v2 this is the limit that the library states for the checkpoint; for the later ones what
            the pipeline calls its practical ceiling.
        parameters: how many; None where it is not known here.
        corpora: all that it was trained on; () where it is not known here.
        title: the network and the release of the pipeline.
        url: where to read of it.
    """

    name: str
    architecture: str
    repo: str
    file: str
    weights_license: str
    open: bool
    context: int
    periods: int
    most: int
    title: str
    url: str
    parameters: int | None = None
    corpora: tuple[str, ...] = ()

    def info(self) -> ModelInfo:
        """The record that is registered."""
        libraries = {name: _version(name) for name in ("tabpfn", "torch")}
        local = ".".join(f"{name}.{version}" for name, version in libraries.items()).replace("+", ".")
        return ModelInfo(
            self.name,
            version=f"{_version('harness-tabpfn-ts')}+{local}",  # other numbers may come from another version of a library
            summary=f"regression on a table of time features by {self.title}",
            model_type="zero-shot",
            org="Prior Labs",
            url=self.url,
            license="Apache-2.0",
            weights_license=self.weights_license,
            weights=f"hf:{self.repo}",
            weights_files=(self.file,),
            weights_note="" if self.open else GATED.format(repo=self.repo),
            parameters=self.parameters,
            output="quantiles",
            covariates=("known",),
            max_context=self.most,
            devices=("cpu", "cuda"),
            training_corpora=self.corpora,
            training_corpora_complete=bool(self.corpora),
            install="pip install harness-tabpfn-ts",
            extra=libraries,
        )


def _version(name: str) -> str:
    """The installed version of a package, or "missing"; reads metadata, imports nothing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


RELEASES = (
    Release(
        "tabpfn-ts-v2",
        architecture="tabpfn_v2",
        repo="Prior-Labs/TabPFN-v2-reg",
        file="tabpfn-v2-regressor-2noar4o2.ckpt",
        weights_license="Prior Labs License (Apache-2.0 with attribution)",
        open=True,
        context=4096,
        periods=5,
        most=10_000,
        title="TabPFN v2 (tabpfn-time-series 1.0)",
        url="https://arxiv.org/abs/2501.02945",
        parameters=11_081_864,
        corpora=("synthetic tables",),
    ),
    Release(
        "tabpfn-ts-v3",
        architecture="tabpfn_v3",
        repo="Prior-Labs/tabpfn_3",
        file="tabpfn-v3-regressor-v3_20260506_timeseries.ckpt",
        weights_license="TabPFN-3 license (non-commercial)",
        open=False,
        context=32_768,
        periods=12,
        most=65_536,
        title="TabPFN v3, tuned for it (tabpfn-time-series 1.1)",
        url="https://arxiv.org/abs/2605.13986",
    ),
    Release(
        "tabpfn-ts-v3.5",
        architecture="tabpfn_v3_5",
        repo="Prior-Labs/tabpfn_3_5",
        file="tabpfn-v3.5-20260909.safetensors",
        weights_license="TabPFN-3.5 license (non-commercial)",
        open=False,
        context=32_768,
        periods=12,
        most=65_536,
        title="TabPFN v3.5 (tabpfn-time-series 1.3)",
        url="https://arxiv.org/abs/2609.17895",
    ),
)
"""Sources: the changelog of tabpfn-time-series and `tabpfn.model_loading` of tabpfn 9.2, which names repositories and files."""
