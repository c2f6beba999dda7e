"""Reading `.tsf` files: whole, or as a stream of record batches."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import from_numpy, to_numpy
from harness.series import Channels
from harness_tasks.tsf.careful import spelt_out
from harness_tasks.tsf.header import TsfHeader, fail, parse_header
from harness_tasks.tsf.pieces import PIECE, Piece, Text
from harness_tasks.tsf.rows import Part, parse

__all__ = ["TsfFile", "read_batches", "read_header", "read_tsf"]

VALUES = "series_value"
NAME, START = "series_name", "start_timestamp"
UNDATED = np.datetime64("1900-01-01", "s")
THREADS = 4


@dataclass(frozen=True, eq=False)
class TsfFile:
    """N series.

    Attributes:
        header: what the file says of them.
        names: Arrow string array [N]: the attribute series_name, else the first string, else "T1", "T2", ... as the archive has them.
            Nothing makes them unique.
        starts: datetime64[s] [N], the time of the first value: the attribute start_timestamp, else the first date. A file without a date
            has 1900-01-01 throughout, as in the archive's own experiments, and `dated` is False.
        attributes: the other attributes, N rows: string, double or timestamp[s].
        values: N channels, float32, NaN where missing; each has at least one value that is not.
        missing: whether any value is.
        equal_length: whether all series have equally many values.
        whole: whether all values are whole numbers as they are written (at full precision, before float32).
        contradictions: where the header claims what the series contradict, or has words that the format does not know, each with the
            first line of it; () after strict reading, which refuses them.
    """

    header: TsfHeader
    names: pa.ChunkedArray
    starts: NDArray[np.datetime64]
    dated: bool
    attributes: pa.Table
    values: Channels
    missing: bool
    equal_length: bool
    whole: bool
    contradictions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def relation(self) -> str:
        return self.header.relation

    @property
    def frequency(self) -> str | None:
        """The archive's word: "half_hourly"; None = the file does not say."""
        return self.header.frequency

    @property
    def freq(self) -> str | None:
        """The same as a pandas alias: "30T"."""
        return self.header.freq

    @property
    def horizon(self) -> int | None:
        return self.header.horizon


def read_header(path: Path, *, strict: bool = True) -> TsfHeader:
    """What a file says before its series.

    Raises:
        DataError: as `read_tsf`, of the header.
    """
    with Text(Path(path)) as text:
        return _header(text, strict)


def read_tsf(path: Path, *, strict: bool = True) -> TsfFile:
    """Read a file whole; takes the memory of its values, four bytes each, and of a few pieces of its text.

    Args:
        strict: False reads a file whose header has words that the format does not know (but for one that is like one of its own) or
            claims that its data contradict, and says so in `contradictions`.

    Raises:
        DataError: the file is broken; says in which line, what stands there and what was wanted.
    """
    path = Path(path)
    with Text(path) as text:
        header = _header(text, strict)
        parts = list(_parts(text, header, strict))
    lengths = np.concatenate([part.lengths for part in parts])
    bounds = [np.cumsum(part.lengths) - part.lengths for part in parts]
    chunk = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    columns = [pa.chunked_array([part.columns[k] for part in parts]) for k in range(len(header.attributes))]
    names, starts = _role(header, NAME, "string"), _role(header, START, "date")
    others = [k for k in range(len(columns)) if k not in (names, starts)]
    return TsfFile(
        header=header,
        names=pa.chunked_array([[f"T{i + 1}" for i in range(len(lengths))]], pa.string()) if names is None else columns[names],
        starts=np.full(len(lengths), UNDATED) if starts is None else np.concatenate([to_numpy(c) for c in columns[starts].chunks]),
        dated=starts is not None,
        attributes=_table(len(lengths), {header.attributes[k][0]: columns[k] for k in others}),
        values=Channels(tuple(part.values for part in parts), chunk, np.concatenate(bounds), lengths),
        missing=any(int(part.observed.sum()) < len(part.values) for part in parts),
        equal_length=bool(np.all(lengths == lengths[0])),
        whole=all(part.whole for part in parts),
        contradictions=_contradictions(header, parts),
    )


def read_batches(path: Path, *, strict: bool = True, piece: int = PIECE) -> Iterator[pa.RecordBatch]:
    """Read a file as record batches, each of the rows in some MiB of text, or of one row that is longer.

    Columns are the attributes as declared (string, double or timestamp[s]) and, last, `series_value`, list<float>, NaN where missing.

    Args:
        strict: as for `read_tsf`.
        piece: bytes of text that are read at a time; memory grows with this and with the longest row.

    Raises:
        DataError: as `read_tsf`, when the defect is reached; whether all series are equally long is known at the second.
    """
    with Text(Path(path), piece) as text:
        header = _header(text, strict)
        for part in _parts(text, header, strict):
            offsets = np.append(0, np.cumsum(part.lengths)).astype(np.int32)
            values = pa.ListArray.from_arrays(from_numpy(offsets), from_numpy(part.values))
            yield pa.RecordBatch.from_arrays([*part.columns, values], names=[*(name for name, _ in header.attributes), VALUES])


def _role(header: TsfHeader, name: str, kind: str) -> int | None:
    """The attribute that is the name or the start of a series."""
    if (name, kind) in header.attributes:
        return header.attributes.index((name, kind))
    return next((k for k, (_, other) in enumerate(header.attributes) if other == kind), None)


def _table(rows: int, columns: dict[str, pa.ChunkedArray]) -> pa.Table:
    """A table that knows its number of rows even without a column."""
    if columns:
        return pa.table(columns)
    return pa.table({"": pa.nulls(rows)}).select([])


def _header(text: Text, strict: bool) -> TsfHeader:
    """Read up to the line @data."""
    words: list[tuple[int, bytes]] = []
    for number, line in text.header():
        if line.startswith(b"#"):
            continue
        if not line.startswith(b"@"):
            said = line[:60].decode("cp1252", "replace")
            raise fail(text.path, number, f"{said!r} before @data", "a header of @ words, then a line @data, then the series")
        if line.split(maxsplit=1)[0].lower() == b"@data":
            if line[5:].strip():
                raise fail(text.path, number, f"{line[:60].decode('cp1252', 'replace')!r}", "@data alone in its line")
            header = parse_header(text.path, words, text.encoding, strict)
            if not header.attributes:
                raise fail(text.path, number, "@data without an attribute before it", "at least one line @attribute NAME string")
            return header
        words.append((number, line))
    raise fail(text.path, text.line, "the file ends without a line @data", "a header, a line @data, and the series")


def _parts(text: Text, header: TsfHeader, strict: bool) -> Iterator[Part]:
    """Whole rows only, checked; at least one."""
    path, rows, length = text.path, 0, -1
    pending: list[Part] = []

    def read(piece: Piece) -> Part:
        part = None if piece.ends and not piece.data[-2:-1].isalnum() else parse(piece, header)
        if part is None:
            usual, lines = spelt_out(path, piece, header)
            part = parse(usual, header, lines)
        if part is None:
            raise fail(path, piece.line, "these lines cannot be read", "series such as T1:2020-01-01 00-00-00:1,2,?,4")
        return part

    with closing(_ahead(read, text.pieces(len(header.attributes)))) as parts:
        for part in parts:
            pending.append(part)
            if part.open:
                continue
            whole, pending = _joined(pending), []
            if not len(whole):
                continue
            if length < 0:
                length = int(whole.lengths[0])
            _check(path, header, whole, length, strict)
            rows += len(whole)
            yield whole
    if rows == 0:
        raise fail(path, text.line, "the file ends without a series", "at least one behind @data")


def _ahead(read: Callable[[Piece], Part], pieces: Iterator[Piece]) -> Generator[Part, None, None]:
    """Read pieces by a few threads, a few pieces ahead: Arrow and numpy work outside the interpreter's lock."""
    threads = min(THREADS, os.cpu_count() or 1)
    first = next(pieces, None)
    second = None if first is None else next(pieces, None)
    if first is None or second is None or threads == 1:
        yield from (read(piece) for piece in (first, second) if piece is not None)
        yield from map(read, pieces)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Part]] = deque(pool.submit(read, piece) for piece in (first, second))
        try:
            for piece in pieces:
                waiting.append(pool.submit(read, piece))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _joined(parts: list[Part]) -> Part:
    """One part of parts whose rows go on: all but the last hold one row each that is not whole."""
    if len(parts) == 1:
        return parts[0]
    *heads, tail = parts
    own = 0 if len(tail) == 0 else int(tail.lengths[0])
    return replace(
        tail,
        columns=[pa.concat_arrays([a, b]) for a, b in zip(heads[0].columns, tail.columns, strict=True)],
        values=np.concatenate([part.values for part in parts]),
        lengths=np.append(sum(len(part.values) for part in heads) + own, tail.lengths[1:]),
        observed=np.append(sum(int(part.observed.sum()) for part in heads) + int(tail.observed[0]), tail.observed[1:]),
        lines=np.append(heads[0].lines, tail.lines[1:]),
        whole=all(part.whole for part in parts),
        continues=False,
    )


def _check(path: Path, header: TsfHeader, part: Part, length: int, strict: bool) -> None:
    """What a row cannot tell alone."""
    empty = part.observed == 0
    if empty.any():
        raise fail(path, int(part.lines[empty.argmax()]), "a series with all values missing", "at least one number in each series")
    if strict and (found := _claims(header, part, length)):
        line, got, wanted = found[0]
        other = "correct the header, or read with strict=False as other readers do"
        raise fail(path, line, got, f"{wanted}: {other}")


def _claims(header: TsfHeader, part: Part, length: int) -> list[tuple[int, str, str]]:
    """(line, got, wanted) of what the header says and a part contradicts, the first of each kind; `length` is the first series'."""
    found = []
    holes = part.observed < part.lengths
    if header.missing is False and holes.any():
        got = "a value ?, and the header says @missing false"
        found.append((int(part.lines[holes.argmax()]), got, "@missing true"))
    odd = part.lengths != length
    if header.equal_length and odd.any():
        row = int(odd.argmax())
        got = f"{part.lengths[row]} values, the first series has {length}, and the header says @equallength true"
        found.append((int(part.lines[row]), got, "@equallength false, or all values (is the file cut off?)"))
    return found


def _contradictions(header: TsfHeader, parts: list[Part]) -> tuple[str, ...]:
    said = [f"@{word} is no word of a header" for word in header.extra]
    kinds: dict[str, str] = {}
    for part in parts:
        for line, got, wanted in _claims(header, part, int(parts[0].lengths[0])):
            kinds.setdefault(wanted, f"line {line}: {got}")
    return (*said, *kinds.values())
