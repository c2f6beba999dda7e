"""Real series among the made ones: Monash `.tsf` files and folders in the layout of GIFT-Eval.

A row of a batch is taken from a corpus with the share that the recipe gives; it is drawn by a generator of its own, so that the other rows
stay what they are without any corpus. Within a corpus a series is drawn in proportion to the square root of its length.

Axes: n windows, L history, S steps ahead. NaN and infinities are missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness import UsageError
from harness.errors import DataError
from harness.files import expanded
from harness.forecast import F32
from harness_ttm.seasons import calendar_periods
from harness_ttm.train.recipe import Real
from harness_ttm.train.tsf import read_tsf
from harness_ttm.train.windows import Augment, Windows, transformed

__all__ = ["Corpus", "cut", "load_corpora", "put_real"]

SHORTEST = 64  # steps that a thinned series keeps at least
LEAST = 4  # steps of a series that is used at all


@dataclass(frozen=True)
class Corpus:
    """The series under one path of a recipe: values, two likely season lengths of each, and what to say of it."""

    path: str
    share: float
    series: tuple[F32, ...]
    periods: F32  # [series, 2], 0 = none
    digest: str  # sha256 over the names and bytes of its files
    datasets: tuple[str, ...]

    @property
    def observations(self) -> int:
        """Steps of all series together."""
        return sum(map(len, self.series))

    def facts(self) -> dict[str, object]:
        """What the model card says."""
        return {
            "name": Path(self.path).name,
            "share": self.share,
            "datasets": list(self.datasets),
            "series": len(self.series),
            "observations": self.observations,
            "sha256": self.digest,
        }


def load_corpora(reals: tuple[Real, ...]) -> list[Corpus]:
    """Open what a recipe names; values of folders stay mapped.

    Raises:
        UsageError: there is nothing of the kind at a path.
        DataError: a file is broken; says which.
    """
    return [_load(real) for real in reals]


def _load(real: Real) -> Corpus:
    root = expanded(real.path)
    series: list[F32] = []
    periods: list[list[float]] = []
    names, sha = [], hashlib.sha256()
    for path in _datasets(root):
        name = path.relative_to(root.parent).as_posix()
        for file in [path] if path.is_file() else sorted(path.glob("*.arrow")):
            sha.update(f"{file.relative_to(root.parent).as_posix()}\n".encode())
            with file.open("rb") as stream:
                sha.update(hashlib.file_digest(stream, "sha256").digest())
        found, freq = _read(path)
        kept = [x for x in found if len(x) >= LEAST]
        series += kept
        likely = [*calendar_periods(freq), 0, 0][:2]
        periods += [[float(p) for p in likely]] * len(kept)
        names.append(name)
    if not series:
        raise DataError(f"{root}: no series has {LEAST} values or more; wanted at least one")
    return Corpus(str(real.path), real.share, tuple(series), np.asarray(periods, np.float32), sha.hexdigest(), tuple(names))


def _datasets(root: Path) -> Iterator[Path]:
    """The .tsf files and the folders with Arrow files, at or below a path, in the order of their names."""
    wanted = "wanted a .tsf file, or a folder with .tsf files or with dataset folders as `save_to_disk` writes them"
    if not root.exists():
        raise UsageError(f"data.real: there is nothing at {root}; {wanted}")
    if root.is_file():
        if root.suffix != ".tsf":
            raise UsageError(f"data.real: got the file {root}; {wanted}")
        found = [root]
    else:
        found = sorted({*root.rglob("*.tsf"), *(p.parent for p in root.rglob("*.arrow"))})
    if not found:
        raise UsageError(f"data.real: {root} holds no series; {wanted}")
    yield from found


def _read(path: Path) -> tuple[list[F32], str]:
    if path.is_file():
        file = read_tsf(path)
        return file.series, file.freq
    from harness_tasks.arrow_folder import read_folder

    dataset = read_folder(path)
    return [dataset.target[c] for c in range(len(dataset.target))], dataset.freq


def put_real(windows: Windows, corpora: list[Corpus], rng: np.random.Generator, augment: Augment) -> None:
    """Replace rows of a batch by windows of the corpora, in place."""
    shares = [corpus.share for corpus in corpora]
    source = rng.choice(len(corpora) + 1, len(windows.y), p=[*shares, max(1 - sum(shares), 0.0)])
    for number, corpus in enumerate(corpora):
        rows = np.flatnonzero(source == number)
        if len(rows):
            made = real_windows(corpus, rng, len(rows), windows.history, windows.y.shape[1] - windows.history, augment)
            windows.y[rows], windows.hints[rows] = made.y, made.hints


def real_windows(corpus: Corpus, rng: np.random.Generator, n: int, history: int, ahead: int, augment: Augment) -> Windows:
    """Draw n windows of a corpus: as `make_windows` does of made series, with a cut in the last 70 % of a series that leaves it a label."""
    length = np.asarray([len(x) for x in corpus.series])
    row = rng.choice(len(length), n, p=np.sqrt(length) / np.sqrt(length).sum())
    k = rng.choice(len(augment.decimate), n, p=np.asarray(augment.decimate)) + 1
    k = np.where(length[row] // k < SHORTEST, 1, k)
    by_mean = rng.random(n) < augment.decimate_mean
    backwards = rng.random(n) < augment.time_flip
    steps = length[row] // k
    first = np.maximum((steps * 0.3).astype(np.int64), 1)
    at = first + np.floor(rng.random(n) * (steps - first)).astype(np.int64)
    y = np.full((n, history + ahead), np.nan, np.float32)
    for i in range(n):
        whole = corpus.series[row[i]][: steps[i] * k[i]]
        y[i] = cut(whole[::-1] if backwards[i] else whole, int(at[i]), int(k[i]), bool(by_mean[i]), history, ahead)
    return transformed(y, corpus.periods[row] / k[:, None], rng, history, augment)


def cut(x: F32, at: int, every: int, mean: bool, history: int, ahead: int) -> F32:
    """[L + S] of one series, thinned to every k-th value or the mean of k observed ones; step `at` of it, thinned, is the first ahead."""
    low, high = max(at - history, 0), min(at + ahead, len(x) // every)
    part = x[low * every : high * every].reshape(-1, every)  # [steps, k]
    seen = np.isfinite(part)
    if mean and every > 1:
        count = seen.sum(axis=1)
        total = np.where(seen, part, 0).sum(axis=1, dtype=np.float64)
        thin = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    else:
        thin = np.where(seen[:, 0], part[:, 0], np.float32(np.nan))
    out = np.full(history + ahead, np.nan, np.float32)
    begin = history - (at - low)
    out[begin : begin + len(thin)] = thin
    return out
