"""The commands `harness weights pull`, `list` and `rm`: published weights, fetched only when asked."""

from __future__ import annotations

import contextlib
import fnmatch
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import Unavailable, UsageError, suggest

if TYPE_CHECKING:
    from harness.download import Promised
    from harness.types import ModelInfo
    from harness.weights import Source

__all__ = ["weights"]

DEAD = 3600.0
"""Seconds after which a half-fetched file that does not grow is nobody's any more."""


@dataclass(frozen=True)
class Wanted:
    """Files of one commit, by their paths."""

    source: Source
    commit: str
    license: str  # as the hub's card says it, "" where it says nothing
    files: dict[str, Promised]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


@click.group()
def weights() -> None:
    """Fetch published weights of models, and see which are here.

    Nothing else fetches weights: a run whose weights are not here stops and says what to type.
    """


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects instead of a table.")
def list_(as_json: bool) -> None:
    """Show every model with published weights: where they come from, under which licence, whether they are here."""
    from harness.cli.output import print_json, print_table
    from harness.plugins import load
    from harness.weights import pulled

    rows = []
    for name, model in sorted(load().models.items()):
        if not model.info.weights:
            continue
        here = _parse(model.info) is not None and pulled(model.info)
        rows.append(
            {
                "model": name,
                "weights": model.info.weights,
                "license": model.info.weights_license,
                "here": str(here) if here else "with the plugin" if model.info.weights_digest else "",
                "note": model.info.weights_note,
            }
        )
    if as_json:
        print_json(rows)
    else:
        for row in rows:  # in few words, so that the names beside them stay whole
            shipped = row["here"] == "with the plugin"
            row["here"], row["folder"] = ("shipped", "") if shipped else ("yes" if row["here"] else "no", row["here"])
        columns = ["model", "weights", "here", "license", "folder", "note"]
        whole = ("model", "weights", "here")
        print_table(rows, columns, drop=("note", "folder", "license"), all_with="all of it: harness weights list --json", whole=whole)


@weights.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where nobody can answer and there are terms to agree to.")
@click.option("--dry-run", is_flag=True, help="Show size and licence, fetch nothing.")
def pull(models: tuple[str, ...], yes: bool, dry_run: bool) -> None:
    """Fetch the published weights of MODEL (a name or a glob) into the hub's cache, and verify every file by its hash.

    Size and licence are shown first. The same command fetches the files that are not whole yet, and verifies anew those that are.
    HF_ENDPOINT names another hub, HF_TOKEN is needed for gated ones, HF_HOME or HF_HUB_CACHE says where the cache is.
    """
    from harness.files import size_text
    from harness.weights import hub_cache, pulled

    for info in _chosen(models):
        source = _parse(info)
        assert source is not None
        if here := pulled(info):
            known, doubtful = _verified(info, source, here)
            if not doubtful:
                said = f"and is what was verified when it was fetched ({known} files)" if known else "which the harness has not verified"
                click.echo(f"{info.name}: all of {source} is in {here}, {said}", err=True)
                continue
            click.echo(f"{info.name}: in {here}, {', '.join(doubtful)} is not what was verified, or never was; on to the hub", err=True)
        # What is known without the hub comes first: whoever cannot agree need not ask it.
        click.echo(f"{info.name}: {source}, licence of the weights: {info.weights_license or 'not known to the plugin'}", err=True)
        if info.weights_note:
            click.echo(f"  read this first: {info.weights_note}", err=True)
        wanted = _look(info, source)
        click.echo(f"{info.name}: {source} at commit {wanted.commit[:12]}, {len(wanted.files)} files, {size_text(wanted.size)}", err=True)
        for path, file in wanted.files.items():
            click.echo(f"  {path}  {size_text(file.size)}", err=True)
        if wanted.license:
            click.echo(f"  licence of the weights, the hub says: {wanted.license}", err=True)
        if dry_run:
            continue
        if not yes:
            if sys.stdin.isatty():
                click.confirm(f"fetch into {hub_cache()}?", abort=True, err=True)
            elif info.weights_note:
                raise UsageError(f"{info.name} has terms to agree to (above), and nobody can be asked here; if you do: -y")
        folder = _fetch(info, wanted)
        click.echo(f"{info.name}: fetched and verified, in {folder}", err=True)


@weights.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where nobody can answer.")
def rm(models: tuple[str, ...], yes: bool) -> None:
    """Remove the fetched weights of MODEL from the hub's cache, all their revisions. Other tools lose them too."""
    from harness.files import size_text

    folders = {}
    for info in _chosen(models):
        source = _parse(info)
        assert source is not None
        if source.folder.is_dir():
            folders[source.folder] = source
        else:
            click.echo(f"{info.name}: nothing of {source} is here", err=True)
    for folder, source in folders.items():
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        click.echo(f"{source}: {size_text(size)} in {folder}, which other tools may use too", err=True)
    if not folders:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody can be asked here whether these folders are to be removed; if they are: -y")
        click.confirm("remove them?", abort=True, err=True)
    for folder in folders:
        shutil.rmtree(folder)
        click.echo(f"removed {folder}", err=True)


def _parse(info: ModelInfo) -> Source | None:
    from harness.weights import parse_source

    return parse_source(info.weights)


def _chosen(models: tuple[str, ...]) -> list[ModelInfo]:
    """The models of these names or globs that have weights on a hub.

    Raises:
        UsageError: there is no such model, or there is nothing to fetch for it.
    """
    from harness.plugins import load

    plugins, chosen = load(), {}
    for name in models:
        if set(name) & set("*?["):
            found = [m.info for k, m in plugins.models.items() if fnmatch.fnmatchcase(k, name) and _parse(m.info)]
            if not found:
                raise UsageError(f"no model with published weights matches {name!r}. To see all: harness weights list")
        else:
            found = [plugins.model(name).info]
            if _parse(found[0]) is None:
                why = "come with the plugin" if found[0].weights_digest else "are not on a hub, as far as its plugin says"
                has = [k for k, m in plugins.models.items() if _parse(m.info)]
                raise UsageError(f"there is nothing to fetch for {name}: its weights, if it has any, {why}.{suggest(name, has)}")
        chosen.update({info.name: info for info in found})
    return list(chosen.values())


def _look(info: ModelInfo, source: Source) -> Wanted:
    """What the hub has of a model's weights.

    Raises:
        Unavailable: the hub cannot be reached, or does not have them.
    """
    from harness.hub import endpoint, hub_errors, promised

    command = f"harness weights pull {info.name}"
    with hub_errors(f"could not list {source.repo} at {endpoint()}", command, f"model {source.repo}"):
        from huggingface_hub import HfApi

        found: Any = HfApi(endpoint=endpoint()).model_info(source.repo, revision=source.revision, files_metadata=True)
    names = {sibling.rfilename: sibling for sibling in found.siblings or []}
    files = {path: promised(file) for path, file in names.items() if _needed(info, path)}
    lacking = [p for p in info.weights_files or ("*",) if not fnmatch.filter(files, p)]
    if lacking:
        where = f"{source.repo} at {endpoint()} (commit {str(found.sha)[:12]})"
        raise Unavailable(f"{where} has no file {', '.join(lacking)}; nothing was fetched")
    card = getattr(found, "card_data", None)
    license_ = str(getattr(card, "license_name", None) or getattr(card, "license", None) or "") if card else ""
    return Wanted(source, str(found.sha), license_, dict(sorted(files.items())))


def _needed(info: ModelInfo, path: str) -> bool:
    """Whether a file of the repository is one of those that the model loads."""
    return not info.weights_files or any(fnmatch.fnmatchcase(path, pattern) for pattern in info.weights_files)


def _verified(info: ModelInfo, source: Source, folder: Path) -> tuple[int, list[str]]:
    """(how many of a model's files in `folder` the harness verified as it fetched them, files with other bytes or never verified).

    Where it verified none, another tool has put them there, and all are taken as they are.
    """
    from harness.download import Promised
    from harness.weights import noted

    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [name for name in names if _needed(info, name)]
    known = {name: facts for name, facts in noted(source.repo, folder.name).items() if name in names}
    notes = {name: Promised(size, digest, "git" if len(digest) == 40 else "sha256", "the note") for name, (size, digest) in known.items()}
    changed = {name for name, note in notes.items() if note.problem(folder / name)}
    return len(known), [name for name in names if known and (name in changed or name not in known)]


def _clear(source: Source) -> None:
    """Remove what is left of fetches that were killed: each begins a file of its own, and none goes on with another's."""
    for path in (source.folder / "blobs").glob("*.incomplete"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > DEAD:
                path.unlink()


def _fetch(info: ModelInfo, wanted: Wanted) -> Path:
    """Fetch and verify all files; return their folder.

    Raises:
        Unavailable: the hub broke off, or a file is not what the hub says it is.
    """
    from harness.hub import endpoint, fetch_file, hub_errors

    source, folder = wanted.source, Path()
    command = f"harness weights pull {info.name}"
    _clear(source)
    what, elsewhere = f"could not fetch {source.repo} from {endpoint()}", f"name another folder: HF_HOME=FOLDER {command}"
    problem = ""
    with hub_errors(what, command, f"model {source.repo}", elsewhere):
        for path, file in wanted.files.items():
            folder = fetch_file(source.repo, path, file, command, revision=source.revision)
            for _ in Path(path).parts:
                folder = folder.parent
            if folder.name != wanted.commit:
                raise Unavailable(f"{source.repo} was changed on the hub while it was being fetched; start again: {command}", command)
            problem = _note(wanted, path) or problem
    if problem:  # the weights are there all the same, as if another tool had fetched them
        click.echo(f"{info.name}: that they were verified could not be noted ({problem}); HARNESS_CACHE names another folder", err=True)
    return folder


def _note(wanted: Wanted, path: str) -> str:
    """Keep that a file was verified, each by itself: a pull that is killed loses no more than one; says why it cannot, "" where it can."""
    from harness.cache import cache_folder
    from harness.weights import note_pulled

    try:
        file = wanted.files[path]
        note_pulled(wanted.source, wanted.commit, {path: (file.size, file.digest)})
    except OSError as error:
        return f"{error.strerror or error}: {error.filename or cache_folder()}"
    return ""
