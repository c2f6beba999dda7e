"""The kept forecasts of other models, as a model reads them that is made of them, such as an ensemble.

A factory says with a static or class method `uses(**params) -> list[str]` whose forecasts its model wants; see `harness.uses`. Before each
cell the model is then given them by its method `use(stored: Stored)`. It learns where the task's windows lie and what was forecast for
them: no label and no score is in what it is given.

Axes: N windows of the task, n asked ones, Q quantile levels, H horizon. Forecasts are finite float32, rising along the levels; on a task of
events each window has a probability too, or nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import from_numpy, to_numpy
from harness.batches import ids_of
from harness.errors import ForecastError
from harness.forecast import F32, F64, I64, U64, Forecast
from harness.kept_file import KeptFile, Pieces
from harness.quantiles import to_quantiles

__all__ = ["Stored"]


class Stored:
    """What other models forecast for the windows of one task.

    Windows have a *place* here: 0 to N - 1, by series, then by cutoff. The earlier windows of a window's series are those before it.

    Attributes:
        labels: whose forecasts these are, as the factory's `uses` wrote them.
        series: int64 [N], which series (item and variate) a window is of; rising.
        cut: int64 [N], the position of the window's first label in its series: its context is all before it. Rising within a series.
    """

    def __init__(self, task: str, files: Mapping[str, KeptFile], index: I64, series: NDArray[np.integer[Any]], cut: I64) -> None:
        """Take the task's name, {label: file}, and of each window of the cell its number, series and cutoff [N]."""
        self.task = task
        self.labels = tuple(files)
        order = np.lexsort((cut, series))
        self.series: I64 = series[order].astype(np.int64)
        self.cut: I64 = cut[order].astype(np.int64)
        self._index: I64 = index[order].astype(np.int64)
        self._files = [Pieces(file) for file in files.values()]
        ids = ids_of(task, self._index)
        self._by_id = np.argsort(ids, kind="stable")
        self._ids: U64 = ids[self._by_id]

    def __len__(self) -> int:
        return len(self.cut)

    def places(self, window_ids: U64) -> I64:
        """The places of these windows (`Batch.window_ids`) [n].

        Raises:
            ForecastError: windows of another task, or of a part of it that the cell does not have.
        """
        at = np.minimum(np.searchsorted(self._ids, window_ids), max(len(self) - 1, 0))
        strange = self._ids[at] != window_ids if len(self) else np.ones(len(window_ids), np.bool_)
        if strange.any():
            raise ForecastError(
                f"{int(strange.sum())} of {len(window_ids)} windows are none of the {len(self)} of {self.task} in this cell"
            )
        found: I64 = self._by_id[at].astype(np.int64)
        return found

    def forecasts(self, label: str, places: I64, levels: F64 | Sequence[float], horizon: int) -> tuple[F32, F32]:
        """What the model `label` forecast for these windows: quantiles [n, Q, H] at `levels`, means [n, H].

        Levels that were not kept follow from those that were by the rule of `harness.quantiles`.

        Raises:
            KeptError: the file is gone, broken, or of another result.
            ForecastError: it holds forecasts of another horizon, or probabilities alone.
        """
        pieces = self._files[self.labels.index(label)]
        if pieces.file.horizon != horizon:
            raise ForecastError(f"the kept forecasts of {label} on {self.task} have {pieces.file.horizon} steps; wanted {horizon}")
        quantiles, mean, chance = self._read(pieces, places)
        if chance is not None and np.isnan(quantiles).any():
            raise ForecastError(
                f"the kept forecasts of {label} on {self.task} are probabilities of its event and no values; read them by probabilities()"
            )
        return to_quantiles(Forecast.from_quantiles(quantiles, pieces.file.levels, mean), levels)

    def probabilities(self, label: str, places: I64) -> F64:
        """How probable the model `label` said the task's event is for these windows, float64 [n]: its own number, or what follows from the
        values that it forecast (`harness.events`).

        Raises:
            KeptError: the file is gone, broken, or of another result.
            ForecastError: it holds none, as the task asks for no event.
        """
        _, _, chance = self._read(self._files[self.labels.index(label)], places)
        if chance is None:
            raise ForecastError(f"the kept forecasts of {label} on {self.task} hold no probabilities; a task of values has none")
        return chance

    def _read(self, pieces: Pieces, places: I64) -> tuple[F32, F32, F64 | None]:
        wanted, back = np.unique(self._index[places], return_inverse=True)
        quantiles, mean, chance = pieces.read(wanted)
        whole = len(wanted) == len(back) and bool((back[:-1] < back[1:]).all())  # asked in order, as a run does
        return (quantiles, mean, chance) if whole else (quantiles[back], mean[back], None if chance is None else chance[back])

    def message(self) -> tuple[dict[str, Any], pa.RecordBatch]:
        """This as JSON and as columns, for a worker in another process; `read` makes it again."""
        files = [{**asdict(p.file), "path": str(p.file.path), "label": label} for label, p in zip(self.labels, self._files, strict=True)]
        columns = {"window": self._index, "series": self.series, "cut": self.cut}
        return {"task": self.task, "files": files}, pa.RecordBatch.from_arrays([*map(from_numpy, columns.values())], names=[*columns])

    @classmethod
    def read(cls, header: Mapping[str, Any], columns: pa.RecordBatch) -> Stored:
        """What `message` wrote."""
        files = {f["label"]: KeptFile(Path(f["path"]), f["result_id"], tuple(f["levels"]), f["horizon"]) for f in header["files"]}
        index, series, cut = (to_numpy(columns.column(name)).copy() for name in ("window", "series", "cut"))
        return cls(header["task"], files, index, series, cut)
