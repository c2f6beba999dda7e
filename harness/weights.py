"""Published weights on this machine: where a hub keeps them, and whether they are whole. Nothing is fetched here.

`harness weights pull` (`harness.cli.weights`) fetches into the hub's own cache, which other tools share: `$HF_HUB_CACHE`, else
`$HF_HOME/hub`, else `~/.cache/huggingface/hub`. Beside it the harness notes what it has verified, so that half a download is none.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cache import load_cached, store_cached
from harness.errors import Unavailable, UsageError
from harness.files import expanded, expanded_home
from harness.types import ModelInfo

__all__ = ["Source", "note_pulled", "noted", "parse_source", "pulled", "pulled_digest", "weights_folder"]

SCHEME = "hf:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NOTES = "weights"
"""Folder of notes in the cache, one file for each commit: two fetches at once do not lose each other's."""
DIGESTS = "weights-digests.json"


@dataclass(frozen=True)
class Source:
    """A repository of weights on the hub, at a branch, tag or commit."""

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + ("" if self.revision == "main" else f"@{self.revision}")

    @property
    def folder(self) -> Path:
        """What the hub's cache calls the repository."""
        return hub_cache() / f"models--{self.repo.replace('/', '--')}"


def parse_source(text: str) -> Source | None:
    """What `ModelInfo.weights` says: a `Source` of "hf:org/repo" or "hf:org/repo@revision", None where it is another text.

    Raises:
        UsageError: it begins as a source and is none.
    """
    if not text.startswith(SCHEME):
        return None
    repo, _, revision = text.removeprefix(SCHEME).partition("@")
    parts = repo.split("/")
    names = [*parts, *(revision.split("/") if revision else [])]
    if len(parts) > 2 or not all(NAME.fullmatch(part) and ".." not in part for part in names):
        raise UsageError(f"got weights {text!r}; wanted hf:org/repo or hf:org/repo@revision")
    return Source(repo, revision or "main")


def hub_cache() -> Path:
    """The folder where huggingface_hub keeps what it fetched.

    Raises:
        UsageError: it begins with "~name", and there is no such user or home.
    """
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if named := os.environ.get(variable):
            return expanded_home(named, f"{variable}={named}", f"{variable}=FOLDER") / below
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded_home(base, f"{base} as the folder of caches", "HF_HOME=FOLDER") / "huggingface" / "hub"


def weights_folder(weights: str, *, source: str, model: str) -> Path:
    """Where a model finds its weights, absolute.

    Args:
        weights: the model's parameter: a file or folder of the user's, "" = the published ones.
        source: `ModelInfo.weights`, "hf:org/repo" with or without "@revision".
        model: the model's name, for what to type next.

    Raises:
        Unavailable: there is no such file or folder, or the published weights have not been fetched.
    """
    if weights:
        path = expanded(weights).absolute()
        if not os.path.exists(path):  # noqa: PTH110 - Path's raises for a text too long to be a path
            shown = text if len(text := str(path)) <= 1000 else f"{text[:100]}… ({len(text)} letters)"
            raise Unavailable(f"{model}: there is no file or folder {shown}; give one that exists: -M {model}:weights=PATH")
        return path
    found = _snapshot(parse_source(source), ())
    if found is None:
        raise missing(model, source)
    return found


def missing(model: str, source: str, license: str = "", note: str = "") -> Unavailable:
    """The error that the published weights of a model are not here, with what to type."""
    command = f"harness weights pull {model}"
    terms = "".join(f"{text}. " for text in (license and f"Their licence: {license}", note.rstrip(".")) if text)
    return Unavailable(
        f"the weights of {model} ({source}) are not on this machine. {terms}To fetch them: {command}. "
        f"Or give a file or folder: -M {model}:weights=PATH",
        command,
    )


def pulled(info: ModelInfo) -> Path | None:
    """The folder with the published weights of a model; None where they are not here, or not whole."""
    return _snapshot(parse_source(info.weights), info.weights_files)


def _snapshot(source: Source | None, patterns: tuple[str, ...]) -> Path | None:
    if source is None:
        return None
    commit = source.revision  # which may be a commit itself
    with contextlib.suppress(OSError, UnicodeDecodeError):
        commit = (source.folder / "refs" / source.revision).read_text(encoding="utf-8").strip()
    if not NAME.fullmatch(commit):
        return None
    folder = source.folder / "snapshots" / commit
    note = noted(source.repo, commit)
    if note:  # what the harness has fetched must be whole; all else is another tool's, and taken to be
        broken = [name for name, facts in note.items() if _size(folder / name) != facts[0]]
        present = [name for name in note if name not in broken] + [name for name in _files(folder) if name not in note]
        return folder if present and not broken and all(fnmatch.filter(present, pattern) for pattern in patterns) else None
    present = _files(folder)
    return folder if present and all(fnmatch.filter(present, pattern) for pattern in patterns) else None


def _files(folder: Path) -> list[str]:
    """The files of a snapshot, by their names in the repository."""
    try:
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    except OSError:
        return []


def noted(repo: str, commit: str) -> dict[str, list[Any]]:
    """{name: [bytes, hash]} of what the harness has fetched of a commit and verified; nothing where it has not."""
    found = load_cached(_note_name(repo, commit)).get("files", {})
    return dict(found) if isinstance(found, Mapping) else {}


def _note_name(repo: str, commit: str) -> str:
    return f"{NOTES}/{repo.replace('/', '--')}@{commit}.json"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def pulled_digest(info: ModelInfo, folder: Path) -> str:
    """A hash over a model's published weights in `folder`: the names and bytes of the files that it needs, whoever fetched them.

    A file that was hashed before is not read again while its size and time of change are the same.

    Raises:
        OSError: a file cannot be read.
    """
    names = [name for name in _files(folder) if not info.weights_files or any(fnmatch.fnmatchcase(name, p) for p in info.weights_files)]
    known, state = load_cached(DIGESTS), hashlib.blake2b(digest_size=16)
    fresh: dict[str, Any] = {}
    for name in names:
        path = (folder / name).resolve()
        facts = path.stat()
        stamp = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
        entry = known.get(str(path))
        if not (isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp and isinstance(entry[1], str)):
            with path.open("rb") as file:
                entry = fresh[str(path)] = [stamp, hashlib.file_digest(file, "sha256").hexdigest()]
        state.update(name.encode() + b"\0" + str(entry[1]).encode() + b"\0")
    if fresh:
        with contextlib.suppress(OSError):
            store_cached(DIGESTS, {**known, **fresh})
    return state.hexdigest()


def note_pulled(source: Source, commit: str, files: Mapping[str, tuple[int, str]]) -> None:
    """Keep that these files {name: (bytes, hash)} of a commit were fetched and verified; those of earlier calls stay noted.

    Raises:
        OSError: the cache cannot be written.
    """
    store_cached(
        _note_name(source.repo, commit), {"files": noted(source.repo, commit) | {name: list(facts) for name, facts in files.items()}}
    )
