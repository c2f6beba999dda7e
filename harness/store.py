"""What the core asks of a results store. The built-in one (DuckDB) is found by the hook `open_store`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.types import Metric

__all__ = ["Store"]


class Store(Protocol):
    """A results store at a path. It holds no lock between calls: many runs may work on one store.

    Besides these methods, a store answers SQL in DuckDB's dialect over the tables and columns of docs/store.md: `harness ls`, `show`,
    `replay`, the leaderboard and `Results` send such statements to `query`, with the tables named `main.cells`, `main.scores`, … A store
    of another kind can hand its tables, as Arrow, to a DuckDB database in memory.

    Every method raises `StoreError` with what was got, what was wanted and what to type next.
    """

    path: Path
    spool: Path  # the folder beside the store where workers leave finished cells; see `harness.spool`

    def check(self) -> None:
        """Raise now what would go wrong later: unwritable, not a database, of a newer version."""

    def ingest(self, wait: float = 10.0) -> int:
        """Take in what the spool holds; return how many cells. Waits up to `wait` seconds for another process, then leaves them."""

    def find(self, cell_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of `cells` (with "scores": {metric: value}) by cell id, for those that are there."""

    def superseded(self, keys: Mapping[str, tuple[str, str, str, str, str, int, str]]) -> dict[str, str]:
        """Of these current {cell id: Cell.key}, those that have an older result under another id: {cell id: the older id}."""

    def confirm(self, cell_ids: Sequence[str]) -> int:
        """Make these stored results the current ones of their keys again, as after undoing a change; return how many were not."""

    def rescore(self, result_ids: Sequence[str], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
        """Score stored results with these metrics and keep the scores, as for metrics that came or changed after the results.

        A metric's `value` gets what it gets in a run: the sums over the result's windows, lists as [Q], with "levels" and the sums of
        other metrics' own statistics, but only those that were stored. Return {result id: {metric: score, NaN where undefined}}; results
        without sums (failed, imported, unknown) are left out, and so is, with a logged warning, a metric that raises.
        """

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run one read-only SQL statement of DuckDB's dialect; `?` or `$1` stand for the parameters.

        Raises:
            UsageError: not one statement that reads, or wrong SQL.
        """
