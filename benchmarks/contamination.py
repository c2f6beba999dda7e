"""How fast `harness audit contamination` is, what it finds of planted series, and what it alarms of where nothing is planted.

    python benchmarks/contamination.py [--data FOLDER] [--series N]

--data is a folder of GIFT-Eval datasets (default: $GIFT_EVAL, else the datasets of the suite quick). Everything is drawn from fixed seeds.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import Unavailable
from harness.files import expanded
from harness.series import Channels
from harness_tasks.audit.agreement import enough
from harness_tasks.audit.corpora import corpus_files
from harness_tasks.audit.index import joined
from harness_tasks.audit.search import Seen, index_of, search, unite
from harness_tasks.gift_eval import gift_eval
from harness_tasks.quick import quick

F64 = np.ndarray[Any, np.dtype[np.float64]]
SAMPLE = 60
"""Series of a dataset that are planted."""
LENGTH = 512


def three_digits(x: F64) -> F64:
    """Rounded to 3 significant digits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(x))) - 2)
        rounded = np.where(x == 0, 0.0, np.rint(x / unit) * unit)
    return np.asarray(rounded, np.float64)


def middle(x: F64, n: int) -> F64:
    """n values from the middle, where a series has so many."""
    begin = max(0, (len(x) - n) // 2)
    return x[begin : begin + n]


def holes(x: F64) -> F64:
    """Every 40th value missing."""
    return np.where(np.arange(len(x)) % 40 == 7, np.nan, x)


def whole_numbers(x: F64) -> F64:
    """As integers of five digits, which is enough for most."""
    return np.rint(x * (1e5 / max(1e-9, float(np.nanmax(np.abs(x))))))


CHANGES: dict[str, Callable[[F64], F64]] = {
    "as it is, float64": lambda x: x,
    "scaled and moved, float64": lambda x: 37.5 * x + 1e3,
    "scaled, float32": lambda x: (np.float32(0.37) * x.astype(np.float32)).astype(np.float64),
    "negated": lambda x: 10 - 2 * x,
    "within another series": lambda x: np.r_[walk(1, 700), x, walk(2, 300)],
    "every 40th value missing": holes,
    "standardised, float32": lambda x: ((x - np.nanmean(x)) / (np.nanstd(x) + 1e-12)).astype(np.float32).astype(np.float64),
    "integers of five digits": whole_numbers,
    "cut to 512": lambda x: middle(x, 512),
    "cut to 256": lambda x: middle(x, 256),
    "cut to 128": lambda x: middle(x, 128),
    "cut to 64": lambda x: middle(x, 64),
    "cut to 48": lambda x: middle(x, 48),
    "cut to 32": lambda x: middle(x, 32),
    "rounded to 3 digits": three_digits,
    "rounded to 3 digits, cut to 256": lambda x: three_digits(middle(x, 256)),
}


def walk(seed: int, n: int) -> F64:
    """A random walk with a season."""
    draw = np.random.default_rng(seed)
    return np.asarray(np.cumsum(draw.normal(size=n)) + 3 * np.sin(np.arange(n) * 2 * np.pi / 24), np.float64)


def corpus(path: Path, count: int, seed: int) -> None:
    """Made series: walks, seasons with noise, counts, autoregressions; float32, as most corpora are."""
    draw = np.random.default_rng(seed)
    t = np.arange(LENGTH)
    with pq.ParquetWriter(path, pa.schema([("target", pa.list_(pa.float32()))])) as out:
        for low in range(0, count, 1000):
            n = min(1000, count - low)
            noise = draw.normal(size=(n, LENGTH))
            season = np.sin(2 * np.pi * (t / draw.choice([7, 12, 24, 48, 96], n)[:, None] + draw.random((n, 1))))
            kinds = [noise.cumsum(axis=1), 5 * season + noise, draw.poisson(np.exp(1 + season)), 0.1 * noise.cumsum(axis=1) + noise]
            rows = np.choose(draw.integers(0, 4, n)[:, None], kinds).astype(np.float32)
            values = pa.array(rows.reshape(-1))
            offsets = pa.array(np.arange(n + 1, dtype=np.int32) * LENGTH)
            out.write_table(pa.table({"target": pa.ListArray.from_arrays(offsets, values)}))


def datasets(folder: Path | None) -> dict[str, Channels]:
    """{folder: series} of what is here."""
    suite = quick() if folder is None else gift_eval(folder)
    found = {}
    for row in suite.rows:
        try:
            found[row.folder] = suite.series(row).target
        except Unavailable:
            continue
    return found


def speed(tests: Channels, folder: Path, count: int) -> None:
    """Time on a corpus of this many series."""
    corpus(folder / "made.parquet", count, 1)
    begin = time.perf_counter()
    index = index_of(tests)
    built, seen = time.perf_counter() - begin, Seen()
    begin, cpu = time.perf_counter(), time.process_time()
    found = list(search(index, tests, [folder / "made.parquet"], seen))
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(f"index: {len(tests):,} test series, {int(tests.length.sum()):,} values, {len(index.hashes):,} fingerprints in {built:.1f} s")
    print(f"corpus: {seen.series:,} series of {LENGTH} values, {seen.values:,} values in {took:.1f} s ({cpu:.1f} s of CPU)")
    million = f"{took / seen.series * 1e6:.0f} s (CPU {cpu / seen.series * 1e6:.0f} s)"
    print(f"  {seen.values / took / 1e6:.2f} M values/s; a million such series: {million}")
    print(f"  false alarms among them: {len(found)}; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def recall(parts: dict[str, Channels], folder: Path) -> None:
    """What is found of planted series, for each change."""
    tests = joined(list(parts.values()))
    index, first, draw = index_of(tests), 0, np.random.default_rng(3)
    known, chosen = set(index.known().tolist()), list[int]()
    print("can be told from others:")
    for name, part in parts.items():
        able = [c for c in range(first, first + len(part)) if c in known]
        print(f"  {name:<32} {len(able):>5} of {len(part)}")
        chosen += draw.permutation(able)[:SAMPLE].tolist() if able else []
        first += len(part)
    print(f"planted: {len(chosen)} series, at most {SAMPLE} of a dataset, among as many others")
    print(f"  {'change':<34} found   of what holds enough   other matches   (rounded: of what rounding changes)")
    for name, change in CHANGES.items():
        rows: list[F64] = []
        holding: set[int] = set()
        for i, c in enumerate(chosen):
            x = tests[int(c)].astype(np.float64)[-30_000:]
            planted = change(x)
            rows += [walk(1000 + i, 300), planted]
            if enough(planted) and not (name.startswith("rounded") and np.isin(planted, x).all()):
                holding.add(2 * i + 1)
        file = folder / "planted.parquet"
        pq.write_table(pa.table({"target": pa.array([row.tolist() for row in rows], pa.list_(pa.float64()))}), file)
        found = unite(list(search(index, tests, [file], Seen())))
        right, wrong = set[tuple[int, int]](), set[tuple[int, int]]()
        for match in found:
            row = int(match.series.rpartition(" ")[2])
            ok = row % 2 == 1 and chosen[row // 2] == match.channel
            (right if ok else wrong).add((row, match.channel))
        there = {row for row, _ in right}
        of_able = f"{len(there & holding)} of {len(holding)} ({100 * len(there & holding) / max(1, len(holding)):.1f}%)"
        print(f"  {name:<34} {100 * len(there) / len(chosen):5.1f}%  {of_able:<22} {len(wrong)}")


def alarms(parts: dict[str, Channels], root: Path) -> None:
    """Each dataset looked for in all others, and each series in the others of its dataset."""
    names, tests = list(parts), joined(list(parts.values()))
    starts = np.cumsum([0, *(len(part) for part in parts.values())])
    index, count = index_of(tests), Counter[tuple[str, str, str]]()
    for name in names:
        for match in unite(list(search(index, tests, corpus_files(root / name), Seen()))):
            at = int(np.searchsorted(starts, match.channel, side="right")) - 1
            inside = names[at] == name
            own = inside and match.shift == 0 and _row(match.series, parts[name]) == match.channel - starts[at]
            if not own:
                what = "shifted in time" if inside and _row(match.series, parts[name]) == match.channel - starts[at] else "another series"
                count[names[at], name, f"{what}, {'near' if match.rounded else 'exact'}"] += 1
    print(f"{len(names)} datasets against each other: matches beyond each series with itself")
    for (test, where, what), n in sorted(count.items()):
        print(f"  {test:<32} in {where:<32} {what:<24} {n}")
    print(f"  between different datasets: {sum(n for (test, where, _), n in count.items() if test != where)}")


def _row(series: str, part: Channels) -> int:
    """The channel that a corpus's series of the dataset itself is, by its name."""
    words = series.replace(",", "").split()
    row, inner = int(words[words.index("row") + 1]), int(words[-1]) if "series" in words else 0
    variates = len(part) if "series" in words else 1  # datasets of several variates have one item
    return row * variates + inner


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GIFT_EVAL"))
    parser.add_argument("--series", type=int, default=20_000, help="series of the corpus that times are taken of")
    options = parser.parse_args()
    root = expanded(options.data) if options.data else None
    parts = datasets(root)
    with tempfile.TemporaryDirectory() as folder:
        speed(joined(list(parts.values())), Path(folder), options.series)
        recall(parts, Path(folder))
    alarms(parts, root if root is not None else quick().root or Path())


if __name__ == "__main__":
    main()
