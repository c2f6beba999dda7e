"""What a results store holds, for notebooks: scores, rankings and stored forecasts as Arrow and pandas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.kept import read_forecasts
from harness.plan import RunSpec
from harness.plugins import Plugins
from harness.report import Report
from harness.store import Store
from harness.suites import stored_name
from harness.trained import folder_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Results"]

MAIN_COLUMNS = "suite, task, model, source, mode, seed, scope, status, reason, domain, freq, term, horizon, n_windows"


class Results:
    """What a results store holds, as Arrow and pandas.

    From `harness.run` it shows that run's cells, new and reused, and `report` is the run: its outcomes, failures and unavailable tasks.
    From `harness.load` it shows everything, and `report` is None. `sql` reads the whole database either way.
    """

    def __init__(self, store: Store, plugins: Plugins, report: Report | None = None, spec: RunSpec | None = None) -> None:
        self.store = store
        self.report = report
        self._plugins = plugins
        self._spec = spec

    @property
    def path(self) -> Path:
        return self.store.path

    @property
    def _cells(self) -> list[str] | None:
        """Ids of the run's cells; None = all of the store."""
        return None if self.report is None else [cell.id for cell in self.report.plan.cells]

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run one read-only SQL statement; the tables are described by `harness db schema`."""
        return self.store.query(query, parameters)

    def to_arrow(self, all: bool = False) -> pa.Table:
        """One row a current cell and metric: what the cell is, `metric`, `value` (null where undefined).

        Args:
            all: every current cell of the database; else those of the run, if a run gave these results.
        """
        return self._long(MAIN_COLUMNS, all)

    def _long(self, columns: str, all: bool) -> pa.Table:
        wanted = ", ".join(f"c.{name}" for name in columns.split(", "))
        cells = None if all else self._cells
        return self.sql(
            f"SELECT {wanted}, s.metric, s.value FROM main.cells c LEFT JOIN main.scores s USING (result_id) "
            "WHERE c.superseded_by IS NULL AND ($1 OR c.cell_id IN (SELECT unnest($2::VARCHAR[]))) "
            "ORDER BY c.suite, c.model, c.source, c.task, c.result_id, s.metric",
            [cells is None, cells or []],
        )

    def to_pandas(self, all: bool = False) -> pd.DataFrame:
        """The same with a column for each metric: one row a cell; NaN where a score is undefined or missing."""
        long = self._long(f"result_id, {MAIN_COLUMNS}", all).to_pandas().set_index("result_id")
        # By the id alone: what describes a cell may be null (imported results have no window counts), and pandas drops null keys.
        values = long.dropna(subset=["metric"]).pivot_table(index="result_id", columns="metric", values="value", dropna=False, sort=False)
        cells = long[~long.index.duplicated()].drop(columns=["metric", "value"])
        table: pd.DataFrame = cells.join(values).reset_index(drop=True)
        return table

    def leaderboard(self, suite: str = "", models: str | Sequence[str] | None = None, limit: float | str | None = None) -> pd.DataFrame:
        """The ranking on a suite, best first; see `harness leaderboard --help`.

        Args:
            suite: "" is the run's; where that had several, their rankings follow each other, with `suite` as the first column. For results
                that were loaded, the only one there.
            models: only these (and the baseline), as in the column `model`; None is the run's, for loaded results all, and () is all.
            limit: results of runs with this limit; None is the run's, for loaded results whole tasks if there are any.

        Raises:
            UsageError: several suites are there, and none is named.
            NothingMatched: no results.
        """
        import pandas as pd

        from harness.spec import make_spec

        ran = self._spec
        if models is None:
            models = sorted({cell.model for cell in self.report.plan.cells}) if self.report else ()
        names = [models] if isinstance(models, str) else list(models)
        part = make_spec(models="all", limit=limit).limit if limit is not None else ran.limit if ran else ""
        suites = [suite] if suite or ran is None else [stored_name(self._plugins, name) for name in ran.suites]
        ranked = [pd.DataFrame(self._rank(name, names, part)) for name in suites]
        if len(ranked) == 1:
            return ranked[0]
        for name, table in zip(suites, ranked, strict=True):
            table.insert(0, "suite", name)
        return pd.concat(ranked, ignore_index=True)

    def _rank(self, suite: str, models: list[str], limit: str) -> list[dict[str, Any]]:
        hook = self._plugins.pm.hook.rank_models
        rows: list[dict[str, Any]] | None = hook(store=self.store, suite=suite, models=models, limit=limit)
        if rows is None:
            raise HarnessError("no plugin makes a leaderboard; the built-in one is missing: pip install --force-reinstall ts-harness")
        return rows

    def trained(self, all: bool = False) -> pa.Table:
        """The trained models, newest first: the table `trained`, with `folder`, where the weights lie (null where they were not kept).

        Args:
            all: every one of the database; else those of the run's cells, if a run gave these results.
        """
        import pyarrow as pa

        cells = None if all else self._cells
        table = self.sql(
            "SELECT * FROM main.trained WHERE $1 OR cell_id IN (SELECT unnest($2::VARCHAR[])) ORDER BY created DESC, id",
            [cells is None, cells or []],
        )
        folders = [folder_of(self.store, row) for row in table.select(["path"]).to_pylist()]
        return table.append_column("folder", pa.array([None if folder is None else str(folder) for folder in folders], pa.string()))

    def forecasts(self, model: str, task: str, suite: str = "", cell: str = "") -> pa.Table:
        """Stored forecasts of a model on a task: one row a window and step of the horizon, windows in order.

        Columns: `window`, `item_id`, `variate`, `cutoff` (time of the first step), `step` (from 1), one for each quantile level ("0.1"),
        `mean`, and `label`: what came, where the suite's data is here and is what was forecast, else null; NaN where it is missing. On a
        task of events `probability` too, the same in each step; levels and mean are NaN where the model gives nothing else.

        Args:
            model: as in the column `model`: "naive", "ttm[context=512]".
            task: its name: "us_births/M/short".
            suite: needed where several suites have a result of this name.
            cell: the (first letters of the) cell's id, where mode or seed or part leave several.

        Raises:
            NothingMatched: no such result, or one without forecasts: they are kept by `save_forecasts=True`.
            UsageError: several results; says which.
            StoreError: the file of the forecasts is gone.
        """
        return read_forecasts(self._plugins, self.store, model, task, suite, cell, self._cells)

    def __repr__(self) -> str:
        return f"<harness.Results in {self.path}{f': {self.report.said()}' if self.report else ''}>"
