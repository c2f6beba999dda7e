"""Sets that are handed out under agreements, from files made by their published layouts: from the folder to a model and its scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import Batch, Forecast, evaluate
from harness.types import ModelInfo
from harness_tasks.cgm.suite import Cgm
from harness_tasks.cgm.units import MGDL_PER_MMOL

BEGIN = np.datetime64("2021-12-07T00:00:00")
POINTS = 3 * 288


def curve(person: int) -> NDArray[np.float64]:
    """mg/dL, whole numbers."""
    t = np.arange(POINTS)
    values: NDArray[np.float64] = np.round(130 + 45 * np.sin(t / 29 + person) + 12 * np.sin(t / 6))
    return values


def ohio(folder: Path) -> None:
    """Two people, each with a training and a testing file: a basal rate, a bolus and a meal every six hours."""
    for person, name in enumerate(("559", "570")):
        for part, low, high in (("training", 0, 600), ("testing", 600, POINTS)):

            def at(k: int) -> str:
                return str((BEGIN + np.timedelta64(5 * k, "m")).astype("datetime64[s]").item().strftime("%d-%m-%Y %H:%M:%S"))

            given = [k for k in range(low, high) if k % 72 == 20]
            sections = {
                "glucose_level": [f'ts="{at(k)}" value="{curve(person)[k]:g}"' for k in range(low, high)],
                "basal": [f'ts="{at(low)}" value="1.2"'],
                "bolus": [f'ts_begin="{at(k)}" ts_end="{at(k)}" type="normal" dose="3.5"' for k in given],
                "meal": [f'ts="{at(k)}" type="Lunch" carbs="50"' for k in given],
            }
            inner = "".join(f"<{tag}>{''.join(f'<event {e}/>' for e in events)}</{tag}>" for tag, events in sections.items())
            file = folder / "OhioT1DM" / "2018" / part[:-3] / f"{name}-ws-{part}.xml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'<?xml version="1.0"?><patient id="{name}">{inner}</patient>')
    (folder / "OhioT1DM" / "README.txt").write_text("how to cite")


def brist1d(folder: Path) -> None:
    """Rows of six hours, five minutes apart, in mmol/L; units and carbohydrates in the column of the row's own time."""
    lags = [f"{h}:{m:02d}" for h in range(5, -1, -1) for m in range(55, -1, -5)]
    columns = [f"{kind}-{lag}" for kind in ("bg", "insulin", "carbs") for lag in lags]
    lines = [",".join(["id", "p_num", "time", *columns, "bg+1:00"])]
    for person in range(2):
        values = [f"{v / MGDL_PER_MMOL:.1f}" for v in curve(person)]
        dose = ["3.5" if k % 72 == 20 else "0.1" for k in range(POINTS)]
        eaten = ["50" if k % 72 == 20 else "" for k in range(POINTS)]
        for k in range(71, POINTS - 12):
            cells = [*values[k - 71 : k + 1], *dose[k - 71 : k + 1], *eaten[k - 71 : k + 1], values[k + 12]]
            lines.append(f"p{person}_{k},p0{person},{5 * k // 60 % 24:02d}:{5 * k % 60:02d}:00," + ",".join(cells))
    kaggle = folder / "brist1d"
    kaggle.mkdir()
    (kaggle / "train.csv").write_text("\n".join(lines) + "\n")
    (kaggle / "sample_submission.csv").write_text("id,bg+1:00\np0_1,0\n")
    (kaggle / "activities.txt").write_text("Walk\nRun\n")


def aleppo(folder: Path) -> None:
    tables = folder / "REPLACE-BG Dataset" / "Data Tables"
    tables.mkdir(parents=True)
    stamps = [f"{k // 288}|{5 * k // 60 % 24:02d}:{5 * k % 60:02d}:00" for k in range(POINTS)]
    given = [(p, stamps[k]) for p in (1, 2) for k in range(POINTS) if k % 72 == 20]
    day = "DeviceDtTmDaysFromEnroll|DeviceTm"
    readings = [f"{p}|{stamps[k]}|CGM|{curve(p)[k]:.2f}" for p in (1, 2) for k in range(POINTS)]
    (tables / "HDeviceCGM.txt").write_text("\n".join([f"PtID|{day}|RecordType|GlucoseValue", *readings]) + "\n")
    (tables / "HDeviceBolus.txt").write_text("\n".join([f"PtID|{day}|Normal|Extended", *(f"{p}|{s}|3.5|" for p, s in given)]) + "\n")
    (tables / "HDeviceWizard.txt").write_text("\n".join([f"PtId|{day}|CarbInput", *(f"{p}|{s}|50" for p, s in given)]) + "\n")
    (tables / "HPtRoster.txt").write_text("PtID|Age\n1|40\n")


@pytest.mark.parametrize(
    ("make", "name", "doses"),
    [
        (ohio, "ohio", {"basal": 0.1, "bolus": 3.5, "carbs": 50.0}),
        (brist1d, "brist1d", {"insulin": 3.5, "carbs": 50.0}),
        (aleppo, "aleppo", {"bolus": 3.5, "carbs": 50.0}),
    ],
)
def test_insulin_and_carbohydrates_reach_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], name: str, doses: dict[str, float]
) -> None:
    """A model is told names and amounts by its own cutoff, and scored in mg/dL."""
    monkeypatch.delenv("CGM", raising=False)
    make(tmp_path)
    seen: dict[str, float] = {}

    class Eats:
        def predict(self, batch: Batch) -> Forecast:
            for label, rows in zip(batch.past_names, batch.past_covariates, strict=True):
                assert (rows.lengths == batch.contexts.lengths).all()
                seen[label] = max(seen.get(label, 0.0), float(np.nanmax(rows.values)))
            last = np.array([row[np.isfinite(row)][-1] for row in batch.contexts])
            return Forecast.from_points(np.repeat(last[:, None], batch.horizon, axis=1))

    found = evaluate(Eats(), f"{name}/meal-2h/both", suite="cgm", data=tmp_path, info=ModelInfo("eats", covariates=("past",)))
    assert {label: pytest.approx(most, rel=1e-5) for label, most in seen.items()} == doses
    assert found.scores["cgm:patients"] == 2 and found.scores["cgm:points"] > 0
    data = Cgm(tmp_path).open(found.task)
    assert data.series.past is not None and data.series.past_names == tuple(doses)
    carbs = data.channel.astype(np.int64) * len(doses) + list(doses).index("carbs")
    assert (data.series.past.gather(carbs, data.cut - 1, 1) == 50).all()
    last = data.series.target.gather(data.channel, data.cut - 1, 1).astype(np.float64)
    labels = data.series.target.gather(data.channel, data.cut, data.task.horizon)
    people = np.array([data.series.groups[int(c)].as_py() for c in data.channel])  # type: ignore[index]
    each = [np.sqrt(np.nanmean((labels - last)[people == who] ** 2)) for who in np.unique(people)]
    assert found.scores["cgm:RMSE"] == pytest.approx(np.mean(each), rel=1e-6)
    assert 60 < np.nanmin(labels) < 120 and 140 < np.nanmax(labels) < 200  # mg/dL
