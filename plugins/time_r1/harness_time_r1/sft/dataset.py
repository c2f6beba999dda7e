"""The data set of supervised fine-tuning: its columns, writing and reading it, and its card. `datasets` is imported when one is made.

`prompt` and `completion` are lists of messages, as trl reads a conversation of which the completion alone is learnt. All other columns say
where a sample is from; see `COLUMNS`.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import DataError, UsageError
from harness.errors import StoreError, describe
from harness.files import write_whole
from harness_time_r1.backends.contract import Message
from harness_time_r1.settings import Settings

__all__ = ["COLUMNS", "asked_of", "load", "make", "messages_of", "save", "write_jsonl"]

COLUMNS = {
    "id": "which window it is of: the series, and where in it",
    "prompt": "the messages of the prompt",
    "completion": "one message of the assistant: <think>reasoning</think>, then <answer> with the true values",
    "dataset": "what the series is of",
    "domain": "",
    "freq": "the step of time",
    "start": "the time of the first value shown, ISO 8601",
    "look_back": "T, values shown in the prompt",
    "horizon": "H",
    "asked": "how the prompt was written, parameters of the model time-r1 as JSON",
    "label": "the true values, rounded as they are written",
    "reasoning": "where the reasoning is from: teacher, rules or none",
    "rationalised": "whether the reasoning was written by one who knew the true values",
    "teacher": "the identity of who wrote it, as JSON; empty for rules and none",
    "candidates": "forecasts that the teacher was asked for",
    "usable": "how many of them were forecasts",
    "choice": "which of them was the best, from 0; -1 = there were none",
    "by": "the measure that it was chosen by",
    "score": "its error by that measure; null where there were none",
    "chosen": "its whole text",
    "tokens": "of prompt and completion, as the teacher counts them; 0 = not counted",
}
"""Every column, and what it says."""
KINDS = {"look_back": "int32", "horizon": "int32", "candidates": "int32", "usable": "int32", "choice": "int32", "tokens": "int32"}


def _features() -> Any:
    from datasets import Features, Sequence, Value

    message = [{"role": Value("string"), "content": Value("string")}]
    number = Value("float64")
    special = {
        "prompt": message, "completion": message, "label": Sequence(number), "rationalised": Value("bool"), "score": number,
    }  # fmt: skip
    return Features({name: special.get(name) or Value(KINDS.get(name, "string")) for name in COLUMNS})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of `datasets`."""
    import datasets

    shown = datasets.utils.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def make(samples: Sequence[Mapping[str, Any]]) -> Any:
    """A `datasets.Dataset` in memory of samples that have all columns."""
    needs_datasets()
    from datasets import Dataset

    return Dataset.from_dict({name: [sample[name] for sample in samples] for name in COLUMNS}, features=_features())


def needs_datasets() -> None:
    """Raise UsageError where the package is not installed."""
    import importlib.util

    if importlib.util.find_spec("datasets") is None:
        raise UsageError("this needs the package datasets: pip install 'harness-time-r1[train]'")


def save(data: Any, folder: Path) -> None:
    """Write a data set so that `datasets.load_from_disk(folder)` reads it; other files of the folder stay.

    Raises:
        StoreError: it could not be written; what was there is unchanged, or has no `state.json` and is refused.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with quiet(), tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as place:
            data.save_to_disk(place, num_shards=1)
            (folder / "state.json").unlink(missing_ok=True)
            for path in sorted(Path(place).iterdir(), key=lambda path: path.name == "state.json"):  # that one last: it stands for the whole
                path.replace(folder / path.name)
    except OSError as error:
        raise StoreError(f"could not write {folder}: {error.strerror or error}; choose another folder with -o") from error


def write_jsonl(data: Any, path: Path) -> None:
    """One line of JSON for each sample, all columns."""
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data))


def load(folder: Path) -> Any:
    """Read a data set that `save` or `datasets` wrote.

    Raises:
        UsageError: there is nothing, or it holds no sample.
        DataError: it is broken, or has other columns.
    """
    needs_datasets()
    from datasets import Dataset, load_from_disk

    hint = "to make one: harness time-r1 data"
    if not folder.exists():
        raise UsageError(f"--data {folder}: there is no such folder; {hint}")
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: is a file; wanted the folder that harness time-r1 data wrote")
    if not (folder / "state.json").is_file():
        if (folder / "journal.jsonl").is_file():
            raise UsageError(f"--data {folder}: holds a journal and no data set yet: give the command that makes it once more")
        raise UsageError(f"--data {folder}: holds no data set (no state.json); {hint}")
    try:
        with quiet():
            data = load_from_disk(str(folder), keep_in_memory=True)
    except Exception as error:  # datasets, pyarrow and json have their own
        raise DataError(f"--data {folder}: cannot be read: {describe(error)[:300]}; make it again") from error
    if not isinstance(data, Dataset):
        raise DataError(f"--data {folder}: holds several data sets ({', '.join(data)}); name the folder of one")
    _check(data, folder)
    return data


def _check(data: Any, folder: Path) -> None:
    if missing := [name for name in ("prompt", "completion") if name not in data.column_names]:
        raise DataError(f"--data {folder}: has no column {' and '.join(missing)}; wanted prompt and completion, each a list of messages")
    if not len(data):
        raise UsageError(f"--data {folder}: holds no sample: all were left out; see rejects.jsonl beside it")
    row = data[0]
    for name in ("prompt", "completion"):
        good = isinstance(row[name], list) and row[name] and all(isinstance(m, dict) and {"role", "content"} <= set(m) for m in row[name])
        if not good:
            raise DataError(f"--data {folder}: column {name} holds {str(row[name])[:80]}; wanted a list of messages with role and content")


def asked_of(data: Any) -> dict[str, Any]:
    """How a model that learns from the samples is to be asked: what `Settings.asked` was; {} where no row says so, or not all say the same.

    Raises:
        DataError: the column holds something else.
    """
    texts = set(data["asked"]) if "asked" in data.column_names else set()
    if len(texts) != 1 or not (text := texts.pop()):
        return {}
    try:
        return Settings(**json.loads(text)).asked()
    except (TypeError, ValueError, RecursionError, UsageError) as error:
        raise DataError(
            f"column asked of the samples holds {text[:80]!r}; wanted parameters of time-r1 as JSON: {describe(error)}"
        ) from error


def messages_of(rows: Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
    """A column's value as messages."""
    return tuple(Message(row["role"], row["content"]) for row in rows)
