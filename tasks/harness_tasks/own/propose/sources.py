"""What `harness new suite --from` proposes for data that says itself what is what, or says what it wants instead.

Read are `.tsf` files, folders that `datasets` saved, one folder in GIFT-Eval's layout, and folders of CSV or Parquet files alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import DataError, UsageError
from harness.monash import usual_horizon
from harness_tasks.own.declared import SUFFIXES, by_suffix
from harness_tasks.own.propose.columns import look_at, look_at_shards
from harness_tasks.own.propose.look import Look

__all__ = ["Ready", "look_at_source"]

NAMED = 5


@dataclass(frozen=True)
class Ready:
    """A source, and what its suite file says of it.

    Attributes:
        freq: "" = it could not be told.
        horizon: 0 = the usual one.
        keys: lines of the task, "KEY: VALUE", behind `source`.
        look: the columns of its first rows; None where the data says itself what they are.
        comments: lines behind all keys.
        notes: what is to be looked at.
    """

    freq: str = ""
    horizon: int = 0
    keys: tuple[str, ...] = ()
    look: Look | None = None
    comments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def look_at_source(path: Path) -> Ready:
    """What a file or folder holds.

    Raises:
        UsageError: nothing that one source can be, with what to name instead.
        DataError: it cannot be read.
    """
    if path.is_dir():
        return _in_folder(path)
    kind = by_suffix(path.name)
    if kind not in SUFFIXES:
        saved = f". It is a part of a folder that `datasets` saved: --from {path.parent}" if _is_saved(path.parent) else ""
        known = ", ".join(sum(SUFFIXES.values(), ()))
        raise UsageError(f"--from {path}: got a file of a kind that is not read; wanted one of {known}, or a folder of data{saved}")
    return _of_tsf(path) if kind == "tsf" else Ready(look=look_at(path))


def _of_tsf(path: Path) -> Ready:
    """The header of a .tsf file, as it will be read.

    Raises:
        DataError: it cannot be read, or says what no header does.
    """
    from harness_tasks.tsf import read_header

    header = read_header(path, strict=False)
    freq = header.freq or "A"
    notes = [] if header.freq else ["the file has no @frequency, which the archive takes for yearly: mend freq"]
    if any(name == "horizon" for name, _ in header.attributes):
        notes.append(
            "the series have an attribute horizon of their own: a suite file has one horizon for all; -s monash goes by the attribute"
        )
    horizon = header.horizon or usual_horizon(freq)
    if not header.horizon:
        notes.append(f"the file says no @horizon: {horizon} is usual at {freq}; mend horizon")
    comments = (
        "# dialect: monash           # the archive's errors; its protocol has windows: 1. All files of a folder: -s monash --data FOLDER",
    )
    return Ready(freq, horizon, comments=comments, notes=tuple(notes))


def _in_folder(folder: Path) -> Ready:
    """What a folder holds. Raises as `look_at_source`."""
    if (folder / "dataset_dict.json").exists():
        splits = {each.name: _saved(each) for each in sorted(folder.iterdir()) if _is_saved(each)}
        if not splits:
            raise DataError(f"{folder}: has a dataset_dict.json and no folder of a split; wanted one that `save_to_disk` wrote")
        name = max(splits, key=lambda each: _longest(splits[each]))
        chosen = splits[name]
        if chosen.look is None:  # the layout of GIFT-Eval has no splits
            raise _several(folder, [name, *(each for each in splits if each != name)], "splits in GIFT-Eval's layout")
        others = ", ".join(each for each in splits if each != name)
        which = [f"of the splits {name}, {others} the one with the longest series was taken: mend split"] if others else []
        return replace(chosen, keys=(f"split: {name}", *chosen.keys), notes=(*which, *chosen.notes))
    if _is_saved(folder):
        return _saved(folder)
    parts = sorted(str(each.parent.relative_to(folder)) for each in (*folder.glob("*/state.json"), *folder.glob("*/*/state.json")))
    if parts:
        raise _several(folder, parts, "folders of data sets")
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and not each.name.startswith((".", "_"))]
    tsf = [str(each.relative_to(folder)) for each in files if by_suffix(each.name) == "tsf"]
    if tsf:
        raise _several(folder, tsf, ".tsf files", f"; or, for all of them: harness run -s monash --data {folder}")
    if {by_suffix(each.name) for each in files} in ({"csv"}, {"parquet"}):
        note = f"the columns are those of {files[0].relative_to(folder)}, the first of {len(files)} files, which are read as one table"
        return Ready(look=look_at(files[0], files[-1] if files[1:] else None), notes=(note,))
    kinds = ", ".join(sorted({each.suffix.lower() or each.name for each in files})[:NAMED]) or "nothing"
    raise UsageError(
        f"--from {folder}: got a folder of {kinds}; wanted one that `datasets` saved, one in GIFT-Eval's layout, one of CSV or "
        "of Parquet files alike, or a file"
    )


def _longest(found: Ready) -> int:
    """Values of the longest series among the first rows, 0 where a row is no series."""
    return found.look.longest if found.look and found.look.nested else 0


def _several(folder: Path, names: list[str], what: str, hint: str = "") -> UsageError:
    listed = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return UsageError(f"--from {folder}: got a folder of {len(names)} {what} ({listed}); wanted one: --from {folder / names[0]}{hint}")


def _is_saved(folder: Path) -> bool:
    return (folder / "state.json").exists()


def _saved(folder: Path) -> Ready:
    """A folder of `save_to_disk`; in GIFT-Eval's layout each row has its freq."""
    from harness_tasks.own.propose.batches import of_shards

    row = of_shards(folder)(1).to_pylist()[0]
    if isinstance(row.get("freq"), str) and isinstance(row.get("target"), list) and "start" in row:
        many = len(row["target"]) if row["target"] and isinstance(row["target"][0], list) else 1
        keys = ("format: gift-eval", f"variates: {many}") if many > 1 else ("format: gift-eval",)
        return Ready(row["freq"], keys=keys)
    return Ready(look=look_at_shards(folder))
