"""Our numbers by the Monash archive's protocol beside those it published: statsforecast's models beside those of R's package forecast.

    GIFT_EVAL=/data/gift-eval python benchmarks/monash_published.py
    python benchmarks/monash_published.py --gift-eval DIR --monash DIR --only hospital --keep FOLDER

Six files of the archive are written from the GIFT-Eval folders with the same series (`MADE`), unless the archive's own are in `--monash`
or MONASH; where both are there their values are compared. Then `harness run -s monash --data FOLDER` forecasts them, and a line for each
model and file has our mean MASE and MAE, the published ones, and the ratio ours / published.

Models are what the archive's `forecast` functions come to:

- ses, theta, ets, auto.arima of R by statsforecast's classes of the same names.
- A series of several seasons is a `msts` in R, whose frequency is the longest one (hourly 8766). `ets` has no season beyond 24 and `thetaf`
  none beyond half the series, so on hourly data both are without a season: `[season_length=1]` here.
- ETS with a season is left out on hourly data, AutoARIMA where there are many series (`ARIMA`), TBATS everywhere: they take long. ARIMA
  with Fourier terms, which the archive has for hourly data, is not in the library.
- The plugin gives the library at most some thousand of the newest values, R gets all; so Theta is also fitted to all of them (`theta,
  all`), where a file has few series (`WHOLE`). R's `ses` looks for its first level too, as ETS without trend and season does:
  `auto_ets[model=ANN,season_length=1]`.

Needs the plugin statsforecast. Some minutes on one core; `--only` and `--models` make it shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness_results.dialects.infos import MONASH
from harness_results.monash_files import read_snapshot
from harness_tasks.arrow_folder import read_folder
from harness_tasks.monash_table import monash_row
from harness_tasks.tsf import read_tsf, write_tsf


@dataclass(frozen=True)
class Made:
    """A file of the archive, and the GIFT-Eval folder that has its series."""

    name: str
    folder: str
    zeros: bool = False  # missing values are zeros in the archive's filled twin


MADE = (
    Made("saugeenday", "saugeenday/D"),
    Made("us_births", "us_births/D"),
    Made("hospital", "hospital"),
    Made("car_parts_without_missing", "car_parts_with_missing", zeros=True),
    Made("covid_deaths", "covid_deaths"),
    Made("m4_hourly", "m4_hourly"),
)
MODELS = {"naive": "", "seasonal_naive": "", "ses": "SES", "theta": "Theta", "auto_ets": "ETS", "auto_arima": "(DHR-)ARIMA"}
"""{ours: the archive's}; "" = it published none."""
ONE_SEASON = ("theta", "auto_ets")
ARIMA = ("us_births", "covid_deaths")
WHOLE = ("saugeenday", "us_births")
LEVEL = "auto_ets[model=ANN,season_length=1]"


def make(folder: Path, gift_eval: Path, monash: Path | None, only: list[str]) -> list[str]:
    """Write or link the files; returns the names of those that are there, and says what the archive's own and GIFT-Eval's differ in."""
    there = []
    for made in MADE:
        if only and made.name not in only:
            continue
        row = monash_row(made.name)
        target, source = folder / row.file, gift_eval / made.folder
        theirs = next((path for path in (monash / row.file, monash / made.name / row.file) if path.is_file()), None) if monash else None
        if not source.is_dir() and theirs is None:
            print(f"{made.name}: neither {source} nor a file of the archive; left out")
            continue
        if theirs is not None and target.resolve().parent == theirs.resolve().parent and not target.is_symlink():
            raise SystemExit(f"--keep {folder} holds the archive's own files; name another folder, where files can be made")
        target.unlink(missing_ok=True)  # a link of an earlier call: to write to it would be to write to the archive's file
        if source.is_dir():
            series = read_folder(source)
            values = [series.target[c] for c in range(len(series.target))]
            if made.zeros:
                values = [np.nan_to_num(v, nan=0.0) for v in values]
            write_tsf(
                target,
                values,
                names=[str(name).replace(":", " ") for name in series.item_ids.to_pylist()],
                starts=series.starts,
                relation=made.name,
                frequency=row.frequency,
                horizon=row.horizon if row.horizon_in_file else None,
                comments=[f"written from the GIFT-Eval folder {made.folder}"],
            )
        if theirs is not None:
            if source.is_dir():
                differ(made.name, read_tsf(theirs, strict=False).values, read_tsf(target).values)
            target.unlink(missing_ok=True)
            target.symlink_to(theirs.resolve())
        there.append(made.name)
    return there


def differ(name: str, theirs: Any, ours: Any) -> None:
    """Say whether two sets of series hold the same values."""
    if len(theirs) != len(ours) or not np.array_equal(theirs.length, ours.length):
        print(f"{name}: the archive has {len(theirs)} series, {theirs.length.sum()} values; GIFT-Eval {len(ours)}, {ours.length.sum()}")
        return
    same = [np.array_equal(theirs[c], ours[c], equal_nan=True) for c in range(len(ours))]
    print(f"{name}: {sum(same)} of {len(same)} series have the same values in the archive's file and in GIFT-Eval")


def run(folder: Path, name: str, models: list[str], db: Path, threads: int) -> dict[str, dict[str, float]]:
    """{model: scores} of one task."""
    command = [str(Path(sys.executable).with_name("harness")), "run", "-m", ",".join(models), "-s", "monash", "-t", name]
    command += ["--data", str(folder), "--db", str(db), "--threads", str(threads), "--json", "--progress", "none"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.returncode)
    cells = json.loads(done.stdout)["cells"]
    for cell in cells:
        if cell["status"] != "ok":
            print(f"{name}, {cell['model']}: {cell['status']}: {cell['reason']}")
    return {cell["model"]: cell["scores"] for cell in cells if cell["status"] == "ok"}


def all_values(folder: Path, name: str) -> dict[str, float]:
    """The scores of the library's Theta on whole series."""
    from statsforecast.models import Theta

    import harness

    def theta(batch: harness.Batch) -> Any:
        model = Theta(season_length=batch.season_length)
        return np.stack([model.forecast(row.astype(np.float64), h=batch.horizon)["mean"] for row in batch]).astype(np.float32)

    return dict(harness.evaluate(theta, name, suite="monash", data=folder).scores)


def show(name: str, scores: dict[str, dict[str, float]], published: dict[tuple[str, str], dict[str, float]]) -> None:
    """A line of Markdown for each model."""
    for model, own in scores.items():
        other = "SES" if model == LEVEL else MODELS[model.partition("[")[0].partition(",")[0]]
        line = f"| `{name}` | `{model}` | {other or '–'} "
        for metric in ("mean MASE", "mean MAE"):
            ours, theirs = own[f"{MONASH.name}:{metric}"], published.get((other, name), {}).get(metric)
            line += f"| {ours:.3f} | {'–' if theirs is None else f'{theirs:g}'} | {'–' if not theirs else f'{ours / theirs:.3f}'} "
        print(line + "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gift-eval", type=Path, default=os.environ.get("GIFT_EVAL"), help="GIFT-Eval's folder; default $GIFT_EVAL")
    parser.add_argument("--monash", type=Path, default=os.environ.get("MONASH"), help="the archive's files; default $MONASH")
    parser.add_argument("--only", action="append", default=[], choices=[made.name for made in MADE])
    parser.add_argument("--models", default=",".join(MODELS), help="of: " + ", ".join(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder to keep the files and the database in; a second call goes on there")
    options = parser.parse_args()
    if options.gift_eval is None and options.monash is None:
        print("skipped: give --gift-eval DIR, --monash DIR or both, or set GIFT_EVAL or MONASH")  # as `make bench` calls it without data
        return
    wanted = [model for model in MODELS if model in options.models.split(",")]
    published = read_snapshot([made.name for made in MADE])
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        names = make(folder, options.gift_eval or Path("nowhere"), options.monash, options.only)
        print("| file | model | the archive's | MASE | published | ratio | MAE | published | ratio |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name in names:
            several = len(monash_row(name).seasonality) > 1
            models = [m for m in wanted if not (m == "auto_arima" and name not in ARIMA) and not (m == "auto_ets" and several)]
            models += [LEVEL] if "ses" in wanted else []
            models += [f"{model}[season_length=1]" for model in wanted if several and model in ONE_SEASON]
            scores = run(folder, name, models, folder / "published.duckdb", options.threads)
            if "theta" in wanted and name in WHOLE:
                scores["theta, all"] = all_values(folder, name)
            show(name, scores, published)


if __name__ == "__main__":
    main()
