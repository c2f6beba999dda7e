"""One file of kept forecasts, read and checked in one place: for `Results.forecasts`, `harness score`, the pictures and the page alike.

What a database says of a file may be anybody's text, so nothing is allocated before the file itself has said the same; and of another
result than it was written for, no file is taken. Files of before the result's id was written into them have none, and are read.

Axes: N windows of the cell, n of a block, K wanted ones, Q quantile levels, H horizon. Values are finite float32, rising along the levels.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.arrow import to_numpy
from harness.errors import StoreError
from harness.forecast import F32, F64, I64

__all__ = ["CELL_ID", "FORECASTS", "PROBABILITY", "RESULT_ID", "KeptError", "KeptFile", "Pieces"]

RESULT_ID, CELL_ID = b"harness.result_id", b"harness.cell_id"
"""Keys of the file's metadata: `cells.result_id` and `cells.cell_id` of the result whose forecasts it holds."""

FORECASTS = ".forecasts"
"""What a database's name is followed by in the name of the folder beside it that has its kept forecasts."""

PROBABILITY = "probability"
"""The column of an event's probabilities."""
VALUES = 1 << 21  # quantile values of a block


class KeptError(StoreError):
    """A file that does not hold the forecasts of its result; making them anew mends it."""


@dataclass(frozen=True)
class KeptFile:
    """The kept forecasts of one result: where they are, and what they must be."""

    path: Path
    result_id: str
    levels: tuple[float, ...]  # [Q], rising
    horizon: int

    @classmethod
    def of(cls, folder: Path, row: Mapping[str, Any]) -> KeptFile:
        """The file of a row of `cells` (result_id, forecasts, horizon, quantile_levels); it need not be there.

        Raises:
            KeptError: the row's horizon or levels are those of no forecast.
        """
        horizon, levels = row["horizon"], row["quantile_levels"]
        if not isinstance(horizon, int) or horizon < 1:
            raise KeptError(f"the database gives the horizon {horizon!r}; wanted 1 or more steps")
        numbers = [level if isinstance(level, float) else np.nan for level in levels or ()]
        if not numbers or not all(low < high for low, high in zip([0.0, *numbers], [*numbers, 1.0], strict=True)):
            raise KeptError(f"the database gives the quantile levels {str(levels)[:80]}; wanted rising ones between 0 and 1")
        # By its last part alone: a path that a stranger's database holds leads nowhere else.
        return cls(folder / Path(row["forecasts"]).name, row["result_id"], tuple(numbers), horizon)

    @property
    def there(self) -> bool:
        """Whether there is such a file; a name that no file can have is none."""
        return os.path.isfile(self.path)  # noqa: PTH113 - Path.is_file() raises for a name that is too long

    @property
    def gone(self) -> str:
        """What to say where there is no such file."""
        return ", as ".join(filter(None, (f"there is no file {str(self.path)[:300]}", self.moved)))

    @property
    def moved(self) -> str:
        """That there is no folder for the file, and what became of it perhaps, alike for all files of a database; "" where it is there."""
        folder = self.path.parent
        if folder.is_dir():
            return ""
        said = f"there is no folder {folder}, where the forecasts of this database are kept"
        with contextlib.suppress(OSError):  # a folder that may not be listed, a name that no file can have
            for other in sorted(folder.parent.glob(f"*{FORECASTS}")):
                if os.path.isfile(other / self.path.name):  # noqa: PTH113 - as in `there`
                    return f"{said}; they are in {other}. If the database was renamed: {shlex.join(['mv', str(other), str(folder)])}"
        return f"{said}. If the database was moved or renamed, move or rename its folder along with it"

    def blocks(self, index: I64) -> Iterator[tuple[I64, F32, F32, F64 | None]]:
        """All forecasts: positions in `index` [n], quantiles [n, Q, H], means [n, H], probabilities [n] of the task's event or None; each
        window comes once. Quantiles and means are NaN where a model gave probabilities alone.

        Args:
            index: int64 [N], the cell's windows, rising.

        Raises:
            KeptError: it is not there, cannot be read, or holds something else.
        """
        seen = np.zeros(len(index), np.bool_)
        with self._opened() as file:
            if (count := file.metadata.num_rows) != len(index):
                raise KeptError(f"{self.path} holds {count} windows, the results database {len(index)}")
            for window, quantiles, mean, chance in self._batches(file, range(file.num_row_groups)):
                at = np.searchsorted(index, window)
                known = np.minimum(at, max(len(index) - 1, 0))
                if (index[known] != window).any() or len(np.unique(at)) != len(at) or seen[at].any():
                    raise KeptError(f"{self.path} holds other windows than the results database")
                seen[at] = True
                yield at, quantiles, mean, chance
        if not seen.all():
            raise KeptError(f"{self.path} holds {seen.sum()} of {len(seen)} windows")

    def read(self, index: I64) -> tuple[F32, F32, F64 | None]:
        """All forecasts in the order of `index`: quantiles [N, Q, H], means [N, H], probabilities [N] or None; raises as `blocks` does."""
        values: F32 = np.empty((0, len(self.levels), 0), np.float32)
        means: F32 = np.empty((0, 0), np.float32)
        chances: F64 | None = None
        for at, quantiles, mean, chance in self.blocks(index):
            if not values.size:  # not before the file has been looked at: a database may give any horizon
                values = np.empty((len(index), *quantiles.shape[1:]), np.float32)
                means = np.empty((len(index), *mean.shape[1:]), np.float32)
            values[at], means[at] = quantiles, mean
            if chance is not None:
                chances = np.full(len(index), np.nan) if chances is None else chances
                chances[at] = chance
        return values, means, chances

    def some(self, index: I64) -> F32:
        """The quantiles [K, Q, H] of a few windows; only those pieces of the file are read that may hold them.

        Args:
            index: int64 [K], windows, rising.

        Raises:
            KeptError: as `blocks`, or it lacks one of these windows, or holds one twice.
        """
        windows: list[I64] = []
        parts: list[F32] = []
        with self._opened() as file:
            for window, quantiles, _, _ in self._batches(file, [g for g in range(file.num_row_groups) if _may_hold(file, g, index)]):
                wanted = np.isin(window, index)
                windows.append(window[wanted])
                parts.append(quantiles[wanted])
        found = np.concatenate([*windows, np.empty(0, np.int64)])
        order = np.argsort(found, kind="stable")
        if not np.array_equal(found[order], index):
            raise KeptError(f"{self.path} holds other windows than the results database")
        values: F32 = np.concatenate(parts)[order] if parts else np.empty((0, len(self.levels), 0), np.float32)
        return values

    @contextlib.contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        """The file, if it is of this result; what is wrong while it is read becomes a KeptError."""
        if not self.there:
            raise KeptError(self.gone)
        try:
            with pq.ParquetFile(self.path) as file:
                self._check_schema(file.schema_arrow)
                known = (file.metadata.metadata or {}).get(RESULT_ID)
                if known is not None and known != self.result_id.encode():
                    was = known.decode(errors="replace")[:80]
                    raise KeptError(f"{self.path} holds the forecasts of another result ({was!r}), not those of {self.result_id!r}")
                yield file
        except (pa.ArrowException, OSError) as error:
            raise KeptError(f"{self.path} cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}") from error

    def _check_schema(self, schema: pa.Schema) -> None:
        q, h = len(self.levels), self.horizon
        sizes = {"window": 0, "quantiles": q * h, "mean": h}
        kinds: dict[str, Any] = {name: schema.field(at).type if (at := schema.get_field_index(name)) >= 0 else None for name in sizes}
        at = schema.get_field_index(PROBABILITY)
        if at >= 0 and schema.field(at).type != pa.float64():
            raise KeptError(f"{self.path} holds {PROBABILITY}: {str(schema.field(at).type)[:80]}; wanted double")
        if not all(_is(kind, sizes[name]) for name, kind in kinds.items()):
            got = ", ".join(f"{name}: {str(kind)[:80]}" for name, kind in kinds.items())
            raise KeptError(f"{self.path} holds {got}; wanted window: int64, quantiles: lists of {q * h} float, mean: lists of {h} float")

    def _batches(self, file: pq.ParquetFile, groups: range | list[int]) -> Iterator[tuple[I64, F32, F32, F64 | None]]:
        """Windows [n], quantiles [n, Q, H], means [n, H] and perhaps probabilities [n] of these row groups."""
        q, h = len(self.levels), self.horizon
        columns = [name for name in ("window", "quantiles", "mean", PROBABILITY) if name in file.schema_arrow.names]
        for batch in file.iter_batches(max(1, VALUES // (q * h)), row_groups=list(groups), columns=columns):
            if batch["window"].null_count:
                raise KeptError(f"{self.path} holds other windows than the results database")
            n, alone = len(batch), False
            chance: F64 | None = None
            if PROBABILITY in columns:
                chance = to_numpy(batch[PROBABILITY])
                if not ((chance >= 0) & (chance <= 1)).all():
                    raise KeptError(f"{self.path} holds probabilities that are not between 0 and 1")
                alone = bool(np.isnan(to_numpy(batch["quantiles"].flatten())).all())
            quantiles = self._values(batch["quantiles"], n * q * h, alone).reshape(n, q, h)  # [n·Q·H] -> [n, Q, H]
            if (quantiles[:, 1:] < quantiles[:, :-1]).any():
                raise KeptError(f"{self.path} holds quantiles that do not rise with their levels")
            yield to_numpy(batch["window"]), quantiles, self._values(batch["mean"], n * h, alone).reshape(n, h), chance

    def _values(self, column: pa.Array, count: int, missing: bool = False) -> F32:
        flat = column.flatten()
        values: F32 = to_numpy(flat) if not column.null_count and not flat.null_count else np.full(1, np.nan, np.float32)
        if len(values) != count or not (missing or np.isfinite(values).all()):
            raise KeptError(f"{self.path} holds values that are missing or not finite")
        return values


class Pieces:
    """A few windows of one file after the other, mostly in order; the pieces decoded last are at hand for the next windows.

    The file is looked at anew each time: one that is gone or replaced meanwhile is told.
    """

    AT_HAND = 2  # row groups; a batch ends in one, and the next begins there

    def __init__(self, file: KeptFile) -> None:
        self.file = file
        self._decoded: dict[int, tuple[I64, F32, F32, F64 | None]] = {}  # by row group, the one used last at the end

    def read(self, index: I64) -> tuple[F32, F32, F64 | None]:
        """Quantiles [K, Q, H] and means [K, H] of these windows, NaN where a model gave probabilities alone, and probabilities [K] of the
        task's event, None where none were kept.

        Args:
            index: int64 [K], windows, rising.

        Raises:
            KeptError: as `KeptFile.some`.
        """
        values: F32 = np.empty((0, len(self.file.levels), 0), np.float32)
        means: F32 = np.empty((0, 0), np.float32)
        found = np.zeros(len(index), np.int64)
        chances: F64 | None = None
        with self.file._opened() as opened:
            for group in [g for g in range(opened.num_row_groups) if _may_hold(opened, g, index)]:
                window, quantiles, mean, chance = self._group(opened, group)
                wanted = np.isin(window, index)
                at = np.searchsorted(index, window[wanted])
                np.add.at(found, at, 1)
                if not values.size:  # not before the file has been looked at
                    values = np.zeros((len(index), *quantiles.shape[1:]), np.float32)
                    means = np.zeros((len(index), *mean.shape[1:]), np.float32)
                values[at], means[at] = quantiles[wanted], mean[wanted]
                if chance is not None:
                    chances = np.zeros(len(index)) if chances is None else chances
                    chances[at] = chance[wanted]
        if (found != 1).any():
            raise KeptError(f"{self.file.path} holds other windows than the results database")
        return values, means, chances

    def _group(self, opened: pq.ParquetFile, group: int) -> tuple[I64, F32, F32, F64 | None]:
        parts = self._decoded.pop(group, None)
        if parts is None:
            read = list(self.file._batches(opened, [group]))
            windows, quantiles, means, chances = zip(*read, strict=True)
            told = None if chances[0] is None else np.concatenate(chances)  # a file has all or none
            parts = np.concatenate(windows), np.concatenate(quantiles), np.concatenate(means), told
        self._decoded[group] = parts
        while len(self._decoded) > self.AT_HAND:
            del self._decoded[next(iter(self._decoded))]
        return parts


def _is(kind: Any, size: int) -> bool:
    """Whether a type is int64 (size 0), or lists of so many float32."""
    if not size:
        return bool(kind == pa.int64())
    return kind is not None and pa.types.is_fixed_size_list(kind) and kind.list_size == size and kind.value_type == pa.float32()


def _may_hold(file: pq.ParquetFile, group: int, index: I64) -> bool:
    """Whether one of these windows may be in a row group, by its statistics."""
    places = [c for c in range(file.metadata.num_columns) if file.metadata.row_group(group).column(c).path_in_schema == "window"]
    known = file.metadata.row_group(group).column(places[0]).statistics
    return known is None or not known.has_min_max or bool(((index >= known.min) & (index <= known.max)).any())
