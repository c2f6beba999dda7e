"""What decides a number, hashed: two cells with one id give the same result, and a result whose id no longer holds is stale.

A parameter that names weights counts by their content too, a file of weights with the .json files beside it. The rule: every text in the
parameters, alone or in a list, that is the path of an existing file (also without "/", from the working folder, or with "~") counts with
the file's bytes; one that is the path of a folder counts where weights or their description lie in it (a file that ends as one of
`WEIGHTS`), with the names and bytes of its files down to `DEPTH` levels, hidden ones left out. The root, the home and the working folder
never count. Of a class that a model is made of (`harness.targets`) the Python file counts, or all those of its package.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import scoring
from harness.cells import Cell
from harness.errors import UsageError
from harness.files import expanded
from harness.plugins import Plugins, Registered, module_digest
from harness.selection import parse_value
from harness.targets import PARAMETER, is_target, iterate_target
from harness.types import ModelInfo, Task
from harness.weights import pulled, pulled_digest

__all__ = ["file_digest", "label", "make_cell", "source_digest", "weight_digests"]

WEIGHTS = (".safetensors", ".pt", ".ckpt", ".bin", ".onnx", ".json")
"""How files end that make a folder one of weights."""
UNDECIDED = ("sources",)
"""Fields of a task that decide no number."""
LATER = ("context", "fill_gaps", "rounded", "event")
"""Fields that came later: a task that leaves them empty is what it was."""
DEPTH = 3
MOST_FILES = 2000
"""More in one folder is a mistake: a folder of weights holds tens."""


def digest(value: object) -> str:
    """32 hexadecimal digits over a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def source_digest(plugins: Plugins, plugin: str) -> str:
    """A hash of the plugin's Python files, "" for one without files."""
    module = plugins.pm.get_plugin(plugin)
    return module_digest(module) if module is not None else ""


def make_cell(
    plugins: Plugins,
    task: Task,
    fingerprint: str,
    model: Registered[ModelInfo],
    params: Mapping[str, Any],
    *,
    mode: str = "zero-shot",
    budget: str = "",
    seed: int = 0,
    scope: str = "",
    batch_size: int | None = None,
    uses: Mapping[str, str] | None = None,
) -> Cell:
    """The cell of one model on one task, with its id; `uses` are the cells of the models that it is made of (`harness.uses.ids`)."""
    info, where = model.info, model.environment
    # What wraps calls here takes no part in another environment.
    wrappers = where.wrappers if where else {name: source_digest(plugins, name) for name in plugins.wrappers()}
    identity: dict[str, Any] = {
        "task": {name: value for name, value in asdict(task).items() if name not in UNDECIDED and (value or name not in LATER)},
        "data": fingerprint,
        "model": info.name,
        "version": info.version or model.version,
        "source": where.source(model.plugin) if where else source_digest(plugins, model.plugin),
        "weights": info.weights_digest or ("" if params.get("weights") else _published(info)),
        "params": dict(params),
        "files": {name: found for key, value in params.items() for name, found in _files(key, value)} | _target_file(info, params),
        "mode": mode,
        "budget": budget,
        "seed": seed,
        "scope": scope,
        "scoring": scoring.VERSION,
        "metrics": {name: source_digest(plugins, m.plugin) for name, m in plugins.metrics.items() if m.info.statistics is not None},
        "wrappers": {name: found for name, found in wrappers.items() if name != model.plugin},
    }
    scored = plugins.dialects.get(task.dialect)
    if scored is not None and task.dialect != Task.dialect:  # scored in its own dialect as it is forecast
        identity["dialect"] = scored.info.version
    if info.batch_dependent:
        identity["batch_size"] = batch_size
    if uses is not None:
        identity["uses"] = dict(uses)
    return Cell(
        id=digest(identity),
        task=task,
        model=label(info.name, params),
        model_name=info.name,
        params=dict(params),
        mode=mode,
        budget=budget,
        seed=seed,
        scope=scope,
        identity=identity,
    )


def _files(name: str, value: object) -> Iterator[tuple[str, str]]:
    """(name, digest) of each file or folder of weights that a parameter names; those in a list are called name.0, name.1."""
    if isinstance(value, str):
        if found := file_digest(value):
            yield name, found
            if beside := _beside(value):
                yield f"{name} beside", beside
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _files(f"{name}.{index}", each)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _files(f"{name}.{key}", each)


def _target_file(info: ModelInfo, params: Mapping[str, Any]) -> dict[str, str]:
    """{"target": a hash of the source of the class that a model is made of}; empty for a model that takes none."""
    target = params.get(PARAMETER)
    if not info.target or not is_target(target):
        return {}
    state = hashlib.blake2b(digest_size=16)
    for path in iterate_target(target):
        state.update(os.fsencode(path.name) + b"\0" + _digest_of(path).encode() + b"\0")
    return {PARAMETER: state.hexdigest()}


@functools.lru_cache(maxsize=256)
def _weights_digest_of(repository: str, patterns: tuple[str, ...], folder: Path) -> str:
    return pulled_digest(ModelInfo("", weights=repository, weights_files=patterns), folder)


def _weights_digest(info: ModelInfo, folder: Path) -> str:
    """`pulled_digest`, once in a process: a run asks for each of its cells."""
    try:
        return _weights_digest_of(info.weights, info.weights_files, folder)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _beside(text: str) -> str:
    """A hash of the descriptions (.json) that lie beside a file of weights, which loaders read with it; "" for anything else."""
    path = expanded(text)
    if not path.name.endswith(WEIGHTS) or path.name.endswith(".json") or not path.is_file():
        return ""
    found = sorted(p for p in path.parent.glob("*.json") if p.is_file())[:MOST_FILES]
    return digest([[p.name, _digest_of(p)] for p in found]) if found else ""


def _published(info: ModelInfo) -> str:
    """A hash of the published weights that were fetched for a model; "" where there are none."""
    folder = pulled(info)
    return "" if folder is None else _weights_digest(info, folder)


def file_digest(text: str) -> str:
    """A hash of the file or folder of weights at this path, by the rule above; "" where there is none.

    A file that was read once in this process is not read again while its size and time of change are the same.

    Raises:
        UsageError: it cannot be read, or the folder holds too many files.
    """
    if text.startswith("~"):  # a shell leaves it in weights=~/ttm, and a model may know what it means
        text = str(expanded(text))
    # Not Path.is_file(): that raises for a text too long to be a path.
    if os.path.isfile(text):  # noqa: PTH113
        return _digest_of(Path(text))
    if not text or not os.path.isdir(text) or not _counts(Path(text)):  # noqa: PTH112
        return ""
    root = Path(text)
    state, count = hashlib.blake2b(digest_size=16), 0
    for path in _below(root, DEPTH):
        if (count := count + 1) > MOST_FILES:
            raise UsageError(f"the folder {text} holds more than {MOST_FILES} files; name a folder of weights alone, or one file")
        state.update(os.fsencode(path.relative_to(root)) + b"\0" + _digest_of(path).encode() + b"\0")
    return state.hexdigest()


def weight_digests(text: str) -> dict[str, str]:
    """{name: hash} of the files of weights (`WEIGHTS` but .json) at this path, without what lies beside them: a card, a curve, a recipe.

    Of a folder the files down to `DEPTH` levels, by their path in it; of one file that file, by its name. Empty where there are none.
    Two trainings that learnt the same have the same, though a card beside the weights says when each was done.

    Raises:
        UsageError: a file cannot be read.
    """
    root = Path(text)
    if root.is_file():
        return {root.name: _digest_of(root)}
    if not text or not root.is_dir() or not _counts(root):
        return {}
    names = tuple(ending for ending in WEIGHTS if ending != ".json")
    found = itertools.islice((path for path in _below(root, DEPTH) if path.name.endswith(names)), MOST_FILES)
    return {path.relative_to(root).as_posix(): _digest_of(path) for path in found}


def _counts(folder: Path) -> bool:
    """Whether a folder is one of weights, and not one that only happens to hold such a file."""
    try:
        real = folder.resolve()
        if real in (Path(real.anchor), Path.home().resolve(), Path.cwd()):
            return False
        return any(p.name.endswith(WEIGHTS) and not p.name.startswith(".") and p.is_file() for p in folder.iterdir())
    except (OSError, RuntimeError):  # not to be read, or there is no home
        return False


def _below(folder: Path, levels: int) -> Iterator[Path]:
    """The files of a folder, sorted by name, down to so many levels; linked files (as in a hub's cache), no linked folders."""
    try:
        entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise _unreadable(folder, error) from None
    for path in entries:
        if path.is_file():
            yield path
        elif levels > 1 and path.is_dir() and not path.is_symlink():
            yield from _below(path, levels - 1)


def _digest_of(path: Path) -> str:
    try:
        facts = path.stat()
        return _bytes_digest(path.absolute(), facts.st_size, facts.st_mtime_ns, facts.st_ino)
    except OSError as error:
        raise _unreadable(path, error) from None


@functools.lru_cache(maxsize=8192)
def _bytes_digest(path: Path, *facts: int) -> str:
    del facts  # only tell one state of the file from another
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _unreadable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"a parameter names {path}, which cannot be read ({error.strerror}); results count with its content: make it readable"
    )


def label(name: str, params: Mapping[str, Any]) -> str:
    """How a model with parameters is written, and read back by `-m`: "ttm[context=512,head=2]", sorted.

    >>> label("m", {"size": "small", "season_length": 7}), label("m", {"season_length": "7"})
    ('m[season_length=7,size=small]', 'm[season_length="7"]')
    >>> label("gluonts", {"target": "my_module.Mine", "depth": 2})
    'gluonts:my_module.Mine[depth=2]'
    """
    if is_target(params.get(PARAMETER)):
        name, params = f"{name}:{params[PARAMETER]}", {key: value for key, value in params.items() if key != PARAMETER}
    return name if not params else f"{name}[{','.join(f'{k}={_written(params[k])}' for k in sorted(params))}]"


def _written(value: Any) -> str:
    """A value as plain text where that reads back as the value, else as JSON."""
    plain = str(value)
    if plain.isprintable() and (not set(plain) & set(',[]{}"') or _balanced(value)) and _json(parse_value(plain.strip())) == _json(value):
        return plain
    # Lists of parameters are split at commas outside brackets: inside a text, these stand as escapes.
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda m: re.sub(r"[,\[\]{}]", lambda c: f"\\u{ord(c[0]):04x}", m[0]), _json(value))


def _balanced(value: Any) -> bool:
    """Whether a text stays whole where lists are split at commas outside brackets, as "ttm[context=512]+naive" does.

    >>> _balanced("a[b,c]+d"), _balanced("a,b"), _balanced("]["), _balanced("a]"), _balanced(["a"])
    (True, False, False, False, False)
    """
    if not isinstance(value, str) or set(value) & set('{}"'):
        return False
    depth = 0
    for letter in value:
        depth += (letter == "[") - (letter == "]")
        if depth < 0 or (letter == "," and depth == 0):
            return False
    return depth == 0


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
