"""Tables as pieces of rows that follow one another: CSV (plain, .gz), Parquet, folders that `datasets` saved, datasets of the hub.

Only the columns asked for are read. Of CSV everything arrives as text, so that digits that are names stay as they are written and a mistake
can be shown; no Python object is made per row. An error names the file, the row (1 the first below the header) and of CSV its line.
"""

from __future__ import annotations

import codecs
import csv as csv_module
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError, Unavailable, suggest
from harness.files import expanded
from harness.forecast import F32, I64
from harness_tasks.own.declared import HUB, SUFFIXES, Csv, Source, by_suffix

__all__ = ["ABSENT", "Piece", "files_of", "first_bad", "is_text", "pieces"]

ABSENT = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-")
"""Words for "no value" in columns of numbers."""
BLOCK = 4 << 20
ROWS = 1 << 18
LARGEST = float(np.finfo(np.float32).max)
UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file raises that is cut off, or packed badly."""


@dataclass(eq=False)
class Piece:
    """Rows of a table that follow one another."""

    path: Path | str
    columns: dict[str, pa.Array]
    first: int  # rows of the table before these
    count: int
    csv: Csv | None = None  # how it is written, for CSV
    kept: I64 | None = None  # positions in the piece before rows were left out

    def fail(self, row: int, got: str, wanted: str, hint: str = "") -> DataError:
        """An error about a row of the piece."""
        return DataError(f"{self.place(row)}: got {got}; wanted {wanted}.{hint}")

    def place(self, row: int) -> str:
        """The file and the row, as errors begin."""
        number = self.first + (row if self.kept is None else int(self.kept[row]))
        found = 0 if self.csv is None else _line(Path(self.path), self.csv, number)
        line = f" (line {found})" if found else ""
        return f"{self.path}, row {number + 1:,}{line}"

    def bare(self) -> Piece:
        """Without its columns: to say where a row stands."""
        return Piece(self.path, {}, self.first, self.count, self.csv, self.kept)

    def text(self, name: str) -> pa.Array:
        """A column as text without blanks around it; null and "" stay."""
        column = self.columns[name]
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not is_text(column.type) or column.type == pa.string_view():  # views cannot be trimmed
            try:
                column = column.cast(pa.string())
            except pa.ArrowException:  # lists and the like; bytes that are no UTF-8
                raise self.fail(0, f"{name} of type {column.type}", "a column of texts, numbers or times", "") from None
        return pc.utf8_trim_whitespace(column)

    def numbers(self, name: str) -> F32:
        """A column as float32 [count], NaN where nothing stands."""
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
        return Piece(self.path, columns, self.first, len(rows), self.csv, rows)


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view())


def first_bad(values: pa.Array, convert: Callable[[pa.Array], Any]) -> int:
    """The position of the first value that `convert` refuses, −1 where it takes all."""

    def refused(part: pa.Array) -> bool:
        try:
            convert(part)
        except (pa.ArrowException, OverflowError):
            return True
        return False

    if not refused(values):
        return -1
    low, high = 0, len(values)  # the first lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        if refused(values[low:middle]):
            high = middle
        else:
            low = middle
    return low


def numbers(column: pa.Array, name: str, fail: Callable[[int, str, str, str], DataError], csv: Csv | None = None) -> F32:
    """Numbers as float32, NaN where absent.

    Raises:
        DataError: by `fail(row, got, wanted, hint)`: no number, infinite, or beyond float32.
    """
    hint = ""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    shown = column
    if is_text(column.type):
        csv = csv or Csv()
        try:
            if csv.missing or csv.decimal == ",":
                raise pa.ArrowInvalid
            column = _as_double(column)
        except pa.ArrowInvalid:
            shown = pc.utf8_trim_whitespace(column)
            column, hint = _plain(shown, csv)
    elif pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.int8())
    elif not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)):
        raise fail(0, f"{name} of type {column.type}", "a column of numbers", "")
    try:
        values = to_numpy(_as_double(column).fill_null(np.nan))
    except pa.ArrowException:
        row = first_bad(column, _as_double)
        raise fail(row, f"{name} {_quoted(shown[row].as_py())}", "a number or nothing", hint) from None
    large = np.flatnonzero(np.abs(values) > LARGEST)  # infinities too
    if len(large):
        row = int(large[0])
        raise fail(row, f"{name} {_quoted(shown[row].as_py())}", "a finite number of at most 3.4e38, or nothing", "")
    return values.astype(np.float32)


def _as_double(part: pa.Array) -> pa.Array:
    return part.cast(pa.float64(), safe=False)


def _plain(shown: pa.Array, csv: Csv) -> tuple[pa.Array, str]:
    """Texts as Arrow reads numbers, null where absent, and a hint for one that is none."""
    words = pa.array([*ABSENT, *csv.missing], shown.type)
    column = pc.if_else(pc.is_in(shown, words), pa.scalar(None, shown.type), shown)
    if csv.decimal == ",":
        dotted = pc.if_else(pc.match_substring(column, "."), "with a dot", column)  # 1.234 would be one and a bit, or a thousand
        return pc.replace_substring(dotted, ",", "."), " The decimal sign is declared as ','"
    if pc.any(pc.match_substring(column, ",")).as_py():
        return column, " A decimal comma is declared by csv: {decimal: ','}"
    return column, " Words for no value are declared by csv: {missing: [WORD]}"


def _quoted(value: object) -> str:
    return repr(value[:60] if isinstance(value, str) else value)


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
        inside = sorted(each for each in path.rglob("*") if each.is_file() and not any(p.startswith((".", "_")) for p in each.parts[-1:]))
        wanted = SUFFIXES.get(kind, sum(SUFFIXES.values(), ()))
        known = [each for each in inside if each.name.lower().endswith(wanted)]
        if not known:
            raise Unavailable(f"the folder {path} has no file of a kind that is read ({source.where})")
        return kind or _kind(known, source), known
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
        if kind == "csv":
            yield from _csv(file, source.csv, names)
        elif kind == "parquet":
            yield from _parquet(file, names)
        else:
            yield from _saved(file, source, names)


def _separator(path: Path, csv: Csv) -> str:
    return csv.separator or ("\t" if ".tsv" in path.name.lower() else ",")


def _open_text(path: Path, csv: Csv, errors: str = "strict") -> io.TextIOWrapper:
    """A CSV file as text, unpacked, without its byte order mark."""
    raw: Any = gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")  # noqa: SIM115  # closed with what is returned
    encoding = "utf-8-sig" if codecs.lookup(csv.encoding).name == "utf-8" else csv.encoding
    return io.TextIOWrapper(raw, encoding, errors=errors, newline="")


def _line(path: Path, csv: Csv | None, row: int) -> int:
    """The line on which a data row (0 the first) ends, 0 = it cannot be told; reads the file again, so only for errors."""
    assert csv is not None
    with _open_text(path, csv, "replace") as text:
        reader = csv_module.reader(text, delimiter=_separator(path, csv))
        seen = -2  # the header
        try:
            for fields in reader:
                seen += bool(fields)  # blank lines are no rows
                if seen == row:
                    break
        except (*UNREADABLE, csv_module.Error):  # what is wrong with the row is said, not this
            return 0
        return reader.line_num


def _header(path: Path, csv: Csv) -> list[str]:
    try:
        with _open_text(path, csv) as text:
            names = next((fields for fields in csv_module.reader(text, delimiter=_separator(path, csv)) if fields), None)
    except UnicodeError:
        raise _not_encoded(path, csv) from None
    except (*UNREADABLE, csv_module.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}); wanted a CSV file with a header") from None
    if names is None:
        raise DataError(f"{path}: the file is empty; wanted a header and rows")
    return names


def _csv(path: Path, csv: Csv, names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    from pyarrow import csv as reader

    header = _header(path, csv)
    plain = [name.strip() for name in header]
    wanted = list(names(plain, f"{path}{_other_separator(plain)}"))
    keys = {name: str(plain.index(name)) for name in wanted}  # the names themselves may hold blanks or repeat
    first = 0
    try:
        opened = reader.open_csv(
            pa.input_stream(str(path), compression="gzip" if path.name.lower().endswith(".gz") else None),
            read_options=reader.ReadOptions(
                column_names=[str(i) for i in range(len(header))],
                skip_rows_after_names=1,
                block_size=BLOCK,
                use_threads=False,  # then an error of the parser knows the row
                encoding=csv.encoding,
            ),
            parse_options=reader.ParseOptions(delimiter=_separator(path, csv), newlines_in_values=True),
            convert_options=reader.ConvertOptions(
                include_columns=list(keys.values()), column_types=dict.fromkeys(keys.values(), pa.string()), strings_can_be_null=False
            ),
        )
        for batch in opened:
            if batch.num_rows:
                yield Piece(path, {name: batch.column(key) for name, key in keys.items()}, first, batch.num_rows, csv)
                first += batch.num_rows
    except (pa.ArrowException, *UNREADABLE, UnicodeError) as error:
        said = " ".join(str(error).split())
        if "UTF8" in said or isinstance(error, UnicodeError):
            raise _not_encoded(path, csv) from None
        raise DataError(
            f"{path}: cannot be read as CSV ({said[:200]}); wanted rows with as many fields as the header. Is the file whole?"
        ) from None


def _not_encoded(path: Path, csv: Csv) -> DataError:
    return DataError(f"{path}: has bytes that are not {csv.encoding}; wanted that. Another is declared by csv: {{encoding: cp1252}}")


def _other_separator(names: list[str]) -> str:
    """A hint for errors about columns, where the header looks as if it were written with another separator."""
    if len(names) > 1:
        return ""
    found = max(";\t|,", key=names[0].count) if names else ""
    if not found or not names[0].count(found):
        return ""
    return f" (its header has {found!r}: declare csv: {{separator: {found!r}}})"


def _parquet(path: Path, names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    from pyarrow import parquet

    first = 0
    try:
        with parquet.ParquetFile(path) as file:
            wanted = list(names(list(file.schema_arrow.names), str(path)))
            for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
                if batch.num_rows:
                    yield Piece(path, {name: batch.column(name) for name in wanted}, first, batch.num_rows)
                    first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); wanted a whole Parquet file") from None


def _saved(folder: Path, source: Source, names: Callable[[list[str], str], Sequence[str]]) -> Iterator[Piece]:
    """A folder of `datasets`' save_to_disk, or a single Arrow file; the package itself is not needed."""
    from harness_tasks.arrow_folder import shard_files

    if (folder / "dataset_dict.json").exists():
        parts = sorted(each.name for each in folder.iterdir() if each.is_dir())
        if source.split not in parts:
            raise DataError(f"{source.where}: split: got {source.split or 'none'}; wanted one of {', '.join(parts)} of {folder}")
        folder = folder / source.split
    first = 0
    for path in shard_files(folder) if folder.is_dir() else [folder]:
        try:
            with pa.memory_map(str(path)) as mapped:
                stream = pa.ipc.open_stream(mapped)
                wanted = list(names(list(stream.schema.names), str(path)))
                for batch in stream:
                    if batch.num_rows:
                        batch.validate(full=True)
                        yield Piece(path, {name: batch.column(name) for name in wanted}, first, batch.num_rows)
                        first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); wanted a whole Arrow stream") from None


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
    first = 0
    for part in loaded.select_columns(wanted).iter(batch_size=ROWS):
        for batch in part.combine_chunks().to_batches():
            yield Piece(source.path, {name: batch.column(name) for name in wanted}, first, batch.num_rows)
            first += batch.num_rows
