"""Tables as pieces of rows that follow one another: CSV (plain, .gz), Parquet, folders that `datasets` saved, datasets of the hub.

Only the columns asked for are read. An error names the file, the row (1 the first below the header) and of CSV its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness import table_rows
from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError, Unavailable, suggest
from harness.files import expanded, need_text, other_than_file
from harness.forecast import F32, I64
from harness.table_text import Text, beginning, fields_of, separator_of
from harness_tasks.own.declared import HUB, SUFFIXES, Csv, Source, by_suffix

__all__ = ["Piece", "files_of", "numbers", "pieces"]

LARGEST = float(np.finfo(np.float32).max)
PLAIN = Csv()


@dataclass(eq=False)
class Piece:
    """Rows of a table that follow one another."""

    path: Path | str
    columns: dict[str, pa.Array]
    first: int  # rows of the table before these
    count: int
    csv: Csv = PLAIN  # what is declared of CSV
    written: Text | None = None  # how it is written, for CSV
    kept: I64 | None = None  # positions in the piece before rows were left out

    def fail(self, row: int, got: str, wanted: str, hint: str = "") -> DataError:
        """An error about a row of the piece."""
        return DataError(f"{self.place(row)}: got {got}; wanted {wanted}.{hint}")

    def place(self, row: int) -> str:
        """The file and the row, as errors begin."""
        number = self.first + (row if self.kept is None else int(self.kept[row]))
        found = 0 if self.written is None else self.written.line(number)
        line = f" (line {found})" if found else ""
        return f"{self.path}, row {number + 1:,}{line}"

    def bare(self) -> Piece:
        """Without its columns: to say where a row stands."""
        return replace(self, columns={})

    def text(self, name: str) -> pa.Array:
        """A column as text without blanks around it; null and "" stay."""
        column = self.columns[name]
        try:
            return table_rows.texts(column)
        except pa.ArrowException:  # lists and the like; bytes that are no UTF-8
            raise self.fail(0, f"{name} of type {column.type}", "a column of texts, numbers or times", "") from None

    def numbers(self, name: str) -> F32:
        """A column as float32 [count], NaN where nothing stands."""
        if table_rows.is_list(kind := self.columns[name].type):
            hint = " Rows that are whole series, with lists, are declared by layout: nested"
            raise self.fail(0, f"{name} of type {kind}", "a column of numbers", hint)
        return numbers(self.columns[name], name, self.fail, self.csv)

    def filtered(self, wanted: Sequence[tuple[str, tuple[str, ...]]]) -> Piece:
        """Only rows whose columns have one of these values."""
        if not wanted:
            return self
        keep = None
        for name, values in wanted:
            column = self.text(name).fill_null("")
            one = pc.is_in(column, pa.array(values, column.type))
            keep = one if keep is None else pc.and_(keep, one)
        rows = to_numpy(pc.indices_nonzero(keep).cast(pa.int64()))
        columns = {name: column.take(from_numpy(rows)) for name, column in self.columns.items()}
        return replace(self, columns=columns, count=len(rows), kept=rows)


def numbers(column: pa.Array, name: str, fail: Callable[[int, str, str, str], DataError], csv: Csv = PLAIN) -> F32:
    """Numbers as float32, NaN where absent.

    Raises:
        DataError: by `fail(row, got, wanted, hint)`: no number, infinite, or beyond float32.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = table_rows.is_text(kind)
    if not (text or table_rows.is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise fail(0, f"{name} of type {column.type}", "a column of numbers", "")
    values, row = table_rows.numbers(column, csv.missing, csv.decimal)
    wanted, hint = "a number or nothing", _hint(column, csv) if text and row >= 0 else ""
    large = np.flatnonzero(np.abs(values) > LARGEST)  # infinities too
    if row < 0 and len(large):
        row, wanted = int(large[0]), "a finite number of at most 3.4e38, or nothing"
    if row >= 0:
        value = table_rows.texts(column)[row].as_py()[:60] if text else column[row].as_py()
        raise fail(row, f"{name} {value!r}", wanted, hint)
    return values.astype(np.float32)


def _hint(column: pa.Array, csv: Csv) -> str:
    """What to declare where texts are no numbers."""
    if csv.decimal == ",":
        return " The decimal sign is declared as ','"
    if pc.any(pc.match_substring(table_rows.texts(column), ",")).as_py():
        return " A decimal comma is declared by csv: {decimal: ','}"
    return " Words for no value are declared by csv: {missing: [WORD]}"


def files_of(source: Source, base: Path) -> tuple[str, list[Path]]:
    """(format, files in order) of a source whose relative paths begin at `base`; for folders of data sets the folder.

    Raises:
        Unavailable: nothing is there.
        DataError: a folder of several kinds of files, or a kind that nobody reads.
    """
    path = base / expanded(source.path)
    kind = source.format
    if any(letter in source.path for letter in "*?["):
        root = Path(path.anchor) if path.is_absolute() else Path()
        try:
            found = sorted(each for each in root.glob(str(path.relative_to(root))) if each.is_file())
        except (ValueError, OSError) as error:
            raise DataError(f"{source.where}: source: got the pattern {source.path!r} ({error}); wanted one as data/**/*.csv") from None
        if not found:
            raise Unavailable(f"no file matches {path} ({source.where})")
        return kind or _kind(found, source), found
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{source.where}: source: got a path that is none ({error}); wanted that of a file or folder") from None
    if is_folder:
        if kind in ("datasets", "gift-eval") or (not kind and ((path / "state.json").exists() or (path / "dataset_dict.json").exists())):
            return kind or "datasets", [path]
        inside = sorted(each for each in path.rglob("*") if each.is_file() and not each.name.startswith((".", "_")))
        wanted = SUFFIXES.get(kind, sum(SUFFIXES.values(), ()))
        known = [each for each in inside if each.name.lower().endswith(wanted)]
        if not known:
            raise Unavailable(f"the folder {path} has no file of a kind that is read ({source.where})")
        return kind or _kind(known, source), known
    if what := other_than_file(path):
        raise DataError(f"{source.where}: source: got {path}, which is {what}; wanted a file, a folder of files or a pattern")
    if not path.is_file():
        near = suggest(path.name, [each.name for each in path.parent.iterdir()]) if path.parent.is_dir() else ""
        raise Unavailable(f"there is no {path} ({source.where}).{near}")
    return kind or _kind([path], source), [path]


def _kind(files: Sequence[Path], source: Source) -> str:
    kinds = {by_suffix(file.name) for file in files}
    if len(kinds) != 1 or "" in kinds:
        said = f"files of the kinds {', '.join(sorted(filter(None, kinds)))}" if len(kinds) > 1 else f"the file {files[0].name}"
        raise DataError(f"{source.where}: source: got {said}; wanted files of one kind that is read, or format: csv, parquet, datasets")
    return kinds.pop()


def pieces(source: Source, kind: str, files: Sequence[Path], names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    """The rows of all files.

    Args:
        names: told a file's columns and its name, says which are to be read; raises for one that is not there.
    """
    if kind == "datasets" and source.path.lower().startswith(HUB):
        yield from _hub(source, names)
        return
    for file in files:
        need_text(file)
        if kind == "csv":
            yield from _csv(file, source.csv, names)
        elif kind == "parquet":
            yield from _numbered(file, (), table_rows.parquet_batches(file, names))
        else:
            yield from _saved(file, source, names)


def _csv(path: Path, csv: Csv, names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    separator = csv.separator or ("\t" if ".tsv" in path.name.lower() else ",")
    text = Text(path, separator=separator, encoding=csv.encoding, hint=" Another is declared by csv: {encoding: cp1252}.")
    header = fields_of(path, beginning(text), separator)
    wanted = list(names(header, f"{path}{_other_separator(header)}"))
    text = replace(text, names=tuple(header))
    yield from _numbered(path, wanted, table_rows.text_batches(text, [header.index(name) for name in wanted]), csv, text)


def _numbered(path: Path | str, names: Sequence[str], batches: Iterable[pa.RecordBatch], *how: Any) -> Iterator[Piece]:
    """Batches as pieces; `names` () = their own, `how` are further fields of a piece."""
    first = 0
    for batch in batches:
        yield Piece(path, dict(zip(names or batch.schema.names, batch.columns, strict=True)), first, batch.num_rows, *how)
        first += batch.num_rows


def _other_separator(names: list[str]) -> str:
    """A hint for errors about columns, where the header looks as if it were written with another separator."""
    found = separator_of(names[0]) if len(names) == 1 else ""
    return f" (its header has {found!r}: declare csv: {{separator: {found!r}}})" if found and found in names[0] else ""


def _saved(folder: Path, source: Source, names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    """A folder of `datasets`' save_to_disk, or a single Arrow file; the package itself is not needed."""
    from harness_tasks.arrow_folder import record_batches, shard_files

    if (folder / "dataset_dict.json").exists():
        parts = sorted(each.name for each in folder.iterdir() if each.is_dir())
        if source.split not in parts:
            raise DataError(f"{source.where}: split: got {source.split or 'none'}; wanted one of {', '.join(parts)} of {folder}")
        folder = folder / source.split
    first = 0
    for path in shard_files(folder) if folder.is_dir() else [folder]:
        wanted: list[str] = []

        def choose(there: list[str], path: Path = path, wanted: list[str] = wanted) -> None:
            wanted.extend(names(there, str(path)))

        for batch in record_batches(path, choose):
            if batch.num_rows:
                yield Piece(path, {name: batch.column(name) for name in wanted}, first, batch.num_rows)
                first += batch.num_rows


def _hub(source: Source, names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    """A dataset of the hub, by the package `datasets`, which fetches it where it is not in its cache."""
    try:
        import datasets
    except ImportError:
        raise Unavailable(f"{source.path} ({source.where}) needs the package datasets, which is not here", "pip install datasets") from None
    name, _, revision = source.path[len(HUB) :].partition("@")
    try:
        loaded = datasets.load_dataset(name, source.config or None, split=source.split or "train", revision=revision or None)
        loaded = loaded.with_format("arrow")
    except Exception as error:  # each of its layers raises its own
        said = " ".join(str(error).split())[:300]
        raise Unavailable(f"datasets could not load {source.path} ({source.where}): {type(error).__name__}: {said}") from None
    wanted = list(names(list(loaded.column_names), source.path))
    parts = loaded.select_columns(wanted).iter(batch_size=table_rows.ROWS)
    yield from _numbered(source.path, (), (batch for part in parts for batch in part.combine_chunks().to_batches()))
