"""What `harness new suite --from` proposes for data that says itself what is what, or says what it wants instead.

Read are `.tsf` files, folders that `datasets` saved, one folder in GIFT-Eval's layout, and folders of CSV or Parquet files alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from harness import monash
from harness.errors import DataError, UsageError
from harness.scaffold.arrow import SUFFIX, first_rows
from harness.scaffold.columns import PARQUET, TEXT, Look, look_at

__all__ = ["TSF", "Ready", "look_at_tsf", "look_in"]

TSF = ".tsf"
HEADER = 1 << 20
"""Bytes of a header at most."""
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


def look_at_tsf(path: Path) -> Ready:
    """The header of a .tsf file.

    Raises:
        DataError: it cannot be read, has no line @data, or a frequency that is none.
    """
    said: dict[str, str] = {}
    each = False
    try:
        with path.open("rb") as file:
            lines = file.read(HEADER).decode("cp1252", "replace").removeprefix("ï»¿").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); wanted a .tsf file") from None
    for number, line in enumerate(lines, 1):
        first, *rest = line.split() or [""]
        word = first.lower()
        if word == "@data":
            break
        each |= word == "@attribute" and rest[:1] == ["horizon"]
        if word in ("@frequency", "@horizon") and rest:
            said[word] = rest[0].lower()
        if word == "@frequency" and rest:
            try:
                said["freq"] = monash.alias(rest[0].lower())
            except DataError as error:
                raise DataError(f"{path}, line {number}: {error}") from None
    else:
        raise DataError(f"{path}: has no line @data; wanted a .tsf file: a header of @ words, that line, and a series a row")
    freq = said.get("freq", "A")
    notes = [] if "freq" in said else ["the file has no @frequency, which the archive takes for yearly: mend freq"]
    if each:
        notes.append(
            "the series have an attribute horizon of their own: a suite file has one horizon for all; -s monash goes by the attribute"
        )
    horizon = int(said["@horizon"]) if said.get("@horizon", "").isdecimal() else 0
    if not horizon:
        horizon = monash.HORIZONS.get(freq) or monash.season(freq)
        notes.append(f"the file says no @horizon: {horizon} is usual at {freq}; mend horizon")
    comments = (
        "# dialect: monash           # the archive's errors; its protocol has windows: 1. All files of a folder: -s monash --data FOLDER",
    )
    return Ready(freq, horizon, comments=comments, notes=tuple(notes))


def look_in(folder: Path) -> Ready:
    """What a folder holds.

    Raises:
        UsageError: nothing that one source can be, with what to name instead.
        DataError: it cannot be read.
    """
    if (folder / "dataset_dict.json").exists():
        splits = {each.name: _saved(each) for each in sorted(folder.iterdir()) if _is_saved(each)}
        if not splits:
            raise DataError(f"{folder}: has a dataset_dict.json and no folder of a split; wanted one that `save_to_disk` wrote")
        name = max(splits, key=lambda each: _longest(splits[each]))
        chosen = splits[name]
        others = ", ".join(each for each in splits if each != name)
        which = [f"of the splits {name}, {others} the one with the longest series was taken: mend split"] if others else []
        return replace(chosen, keys=(f"split: {name}", *chosen.keys), notes=(*which, *chosen.notes))
    if _is_saved(folder):
        return _saved(folder)
    parts = sorted(str(each.parent.relative_to(folder)) for each in (*folder.glob("*/state.json"), *folder.glob("*/*/state.json")))
    if parts:
        raise _several(folder, parts, "folders of data sets")
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and not each.name.startswith((".", "_"))]
    tsf = [str(each.relative_to(folder)) for each in files if each.name.lower().endswith(TSF)]
    if tsf:
        raise _several(folder, tsf, ".tsf files", f"; or, for all of them: harness run -s monash --data {folder}")
    for suffixes in (PARQUET, TEXT):
        found = [each for each in files if each.name.lower().endswith(suffixes)]
        if found and len(found) == len(files):
            note = f"the columns are those of {found[0].relative_to(folder)}, the first of {len(found)} files, which are read as one table"
            return Ready(look=look_at(found[0]), notes=(note,))
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
    try:
        state = json.loads((folder / "state.json").read_bytes())
        shards = [folder / str(each["filename"]) for each in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        shards = sorted(folder.glob(f"*{SUFFIX}"))
    shard = next((each for each in shards if each.is_file()), None)
    batch = None if shard is None else first_rows(shard, 1)
    if shard is None or batch is None:
        raise DataError(f"{folder}: has no file with rows; wanted a folder that `save_to_disk` wrote")
    row = batch.to_pylist()[0]
    if isinstance(row.get("freq"), str) and isinstance(row.get("target"), list) and "start" in row:
        many = len(row["target"]) if row["target"] and isinstance(row["target"][0], list) else 1
        keys = ("format: gift-eval", *([f"variates: {many}"] if many > 1 else []))
        return Ready(row["freq"], keys=keys)
    return Ready(look=look_at(shard))
