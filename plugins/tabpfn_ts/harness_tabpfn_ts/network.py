"""The library's regressor around one loaded network: which file it is, how it is read, and a fit of one table.

The library reads a checkpoint anew for each regressor that is fitted. Here it is read once; each window's regressor gets the network itself
(`tabpfn.ModelSpecs`). Nothing is downloaded: a path is checked before the library sees it, and the library opens no other.

Axes: T context rows, H horizon, F features, Q quantile levels.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import Unavailable, UsageError
from harness.forecast import F64
from harness.parameters import check_gpu
from harness.weights import weights_folder
from harness_tabpfn_ts.releases import RELEASES, Release

# Before the import: what the library and its companions read of the environment, they read then.
os.environ["TABPFN_DISABLE_TELEMETRY"] = "1"
os.environ["TABPFN_NO_BROWSER"] = "1"

import tabpfn
import torch

__all__ = ["Network", "find", "load"]

SUFFIXES = (".ckpt", ".safetensors")
UNSAFE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
"""With this in the environment, torch runs what a .ckpt holds: the library loads it with torch's usual settings."""


@dataclass(frozen=True)
class Network:
    """A network that is loaded, and its limits.

    Attributes:
        specs: what the library's regressor takes in the place of a path.
        device: where it computes.
        precision: "float32" or "auto".
        most_on_cpu: rows above which the library refuses a CPU of itself.
        most_features: columns that the weights can read.
    """

    specs: tabpfn.ModelSpecs
    device: str
    precision: str
    most_on_cpu: int
    most_features: int

    def regress(self, known: F64, target: F64, ahead: F64, levels: F64, seed: int, n_estimators: int | str, point: str) -> tuple[F64, F64]:
        """Fit a table and answer for the rows ahead.

        Args:
            known: [T, F] and target: [T], without missing targets; at least two of these differ.
            ahead: [H, F].
            levels: [Q].

        Returns:
            Quantiles [Q, H] and the point, "median" or "mean" [H].
        """
        regressor = tabpfn.TabPFNRegressor(
            model_path=self.specs,
            device=self.device,
            inference_precision=torch.float32 if self.precision == "float32" else "auto",
            random_state=seed,
            n_estimators=n_estimators,
            ignore_pretraining_limits=True,  # the number of rows has been decided upon
        )
        regressor.fit(known, target)
        asked = levels.tolist()
        if point == "mean":
            both = regressor.predict(ahead, output_type="main", quantiles=asked)
            return np.stack(both["quantiles"]), both["mean"]
        answers = regressor.predict(ahead, output_type="quantiles", quantiles=[*asked, 0.5])
        return np.stack(answers[:-1]), answers[-1]


def load(release: Release, weights: str, device: str, precision: str) -> Network:
    """Find, read and check a checkpoint.

    Raises:
        Unavailable: it is not on this machine.
        UsageError: it cannot be read, is not of the release's architecture, torch does not have the device, or it is a .ckpt and the
            environment has torch run what it holds.
    """
    check_gpu(release.name, device)
    path = find(release, weights)
    if path.suffix == ".ckpt" and os.environ.get(UNSAFE, "").lower() in ("1", "y", "yes", "true"):  # as torch reads it
        raise UsageError(
            f"{release.name}: the environment has {UNSAFE}={os.environ[UNSAFE]}, with which torch would run what {path} holds; wanted it "
            f"to read tensors alone. Type: unset {UNSAFE}"
        )
    try:
        with _named(path) as file:
            regressor = tabpfn.TabPFNRegressor(model_path=file, device=device)
            config = regressor.get_inference_config()  # reads the checkpoint
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the library, pickle, safetensors or torch make of a file that is none
        raise UsageError(f"{release.name}: the checkpoint {path} cannot be used: {type(error).__name__}: {error}") from error
    architecture = type(regressor.configs_[0]).__module__.rpartition(".")[2]
    if architecture != release.architecture:
        other = next((f"; use -m {r.name} for it" for r in RELEASES if r.architecture == architecture), "")
        raise UsageError(f"{release.name}: {path} holds a {architecture}; wanted a {release.architecture}{other}")
    specs = tabpfn.ModelSpecs(regressor.models_[0], regressor.configs_[0], config, regressor.znorm_space_bardist_)
    return Network(specs, device, precision, config.MAX_CPU_SAMPLES, config.MAX_NUMBER_OF_FEATURES)


def find(release: Release, weights: str) -> Path:
    """The checkpoint's path, absolute: the file given, or the one in the folder given or pulled.

    Raises:
        Unavailable: there is none.
        UsageError: a file that is no checkpoint by its name, or a folder with several.
    """
    path = weights_folder(weights, source=f"hf:{release.repo}", model=release.name)
    keep = "keep the name that the authors gave it: the library tells the version by it"
    if not path.is_dir():
        if path.suffix not in SUFFIXES:
            raise UsageError(f"{release.name}: {path} ends in {path.suffix or 'nothing'}; wanted {' or '.join(SUFFIXES)}, and {keep}")
        return path
    if (path / release.file).is_file():
        return path / release.file
    others = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and "classifier" not in p.name and p.is_file()) if weights else []
    if len(others) == 1:
        return others[0]
    if others:
        names = ", ".join(p.name for p in others)
        raise UsageError(f"{release.name}: {path} holds several checkpoints: {names}; give one: -M {release.name}:weights=FILE")
    command = f"harness weights pull {release.name}"
    terms = release.info().weights_note
    raise Unavailable(
        f"{release.name}: there is no {release.file} in {path}. {terms}{' ' if terms else ''}To fetch it: {command}. "
        f"Or give a file: -M {release.name}:weights=FILE, and {keep}",
        command,
    )


@contextmanager
def _named(path: Path) -> Iterator[Path]:
    """The file under a path that does not lead elsewhere: the library follows links, and tells a format by the suffix where they end.

    In the hub's cache they end in a file that is named by its hash.
    """
    real = path.resolve()
    if real.suffix == path.suffix:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="harness-tabpfn-") as folder:
        named = Path(folder) / path.name
        try:
            os.link(real, named)
        except OSError:  # another file system
            shutil.copyfile(real, named)
        yield named
