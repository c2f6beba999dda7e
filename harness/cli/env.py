"""The commands `harness env build`, `list`, `check` and `rm`: environments of their own for plugins."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import GATE_FAILED, HarnessError, NothingMatched, suggest

if TYPE_CHECKING:
    from harness.environments import Environment

__all__ = ["env"]

INSTALLER = click.option(
    "--with",
    "installer",
    type=click.Choice(["auto", "uv", "pip"]),
    default="auto",
    help="What installs. auto: uv where it is there, but pip where pip alone is told where packages are.",
)


@click.group()
def env() -> None:
    """Environments of their own for plugins whose requirements cannot stand beside those of others.

    A model of such a plugin runs with --isolation env, and without it where its plugin cannot be used here: in a worker of that
    environment, which speaks with this process as any worker does.
    """


@env.command()
@click.argument("plugins", nargs=-1, required=True, metavar="PLUGIN...")
@INSTALLER
@click.option("--python", default=sys.executable, metavar="PATH", show_default=False, help="Interpreter to build on.  [default: this one]")
@click.option(
    "-c",
    "--constraint",
    "constraints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True),
    help="A file of versions to keep to, as for pip.",
)
def build(plugins: tuple[str, ...], installer: str, python: str, constraints: tuple[Path, ...]) -> int:
    """Build an environment for each PLUGIN, or take one that has the same lock.

    \b
    PLUGIN is   a folder with a pyproject.toml, with a slash   ./my-plugin   ./my-plugin[extra]
                a plugin, model or distribution that is here   timesfm   harness-timesfm
                a requirement with a version or a place        harness-timesfm==1.0

    What is needed is fetched from the package index, as pip or uv is configured. A file harness-lock.txt beside the pyproject.toml fixes
    versions.
    """
    import shutil

    from harness.cli.output import printable
    from harness.environments.build import build as build_one
    from harness.environments.installers import choose
    from harness.environments.target import find_target
    from harness.errors import UsageError
    from harness.plugins import load

    interpreter = shutil.which(python)
    if interpreter is None:
        raise UsageError(f"got --python {python}: there is no such interpreter")
    targets = [find_target(load(), text) for text in plugins]
    using, failed = choose(installer), 0
    for target in targets:
        click.echo(printable(f"{target.distribution}: {target.requirement}"), err=True)
        try:
            made = build_one(target, using, interpreter, constraints, note=lambda text: click.echo(f"  {text}", err=True))
        except HarnessError as error:
            if len(targets) == 1:
                raise
            failed += 1
            click.echo(str(error), err=True)
            continue
        names = ", ".join(m["info"]["name"] for m in made.models)
        click.echo(f"  built: {names} run there with --isolation env", err=True)
    return 3 if failed else 0


@env.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of objects instead of a table.")
def list_(as_json: bool) -> None:
    """Show all environments: whose they are, what runs there, what they take on the disk."""
    from harness.cli.output import print_json, print_table
    from harness.environments import all_environments, latest
    from harness.environments.record import damaged
    from harness.files import size_text

    newest = {e.folder for e in latest().values()}
    rows: list[dict[str, Any]] = []
    for each in all_environments():
        size = _bytes(each.folder)
        rows.append(
            {
                "plugin": each.distribution,
                "version": each.facts["description"]["versions"].get(each.distribution, ""),
                "models": [m["info"]["name"] for m in each.models],
                "python": each.facts["description"]["python"],
                "packages": len(each.lock()),
                "size": size if as_json else size_text(size),
                "built_at": each.facts["built_at"],
                "state": "used" if each.folder in newest else "older",
                "key": each.key,
                "requirement": each.requirement,
                "folder": str(each.folder),
            }
        )
    for folder in damaged():
        size = _bytes(folder)
        about = {"plugin": folder.parent.name, "state": "damaged", "key": folder.name, "folder": str(folder)}
        rows.append({**dict.fromkeys(NAMES), **about, "size": size if as_json else size_text(size)})
    if as_json:
        print_json(rows)
    elif rows:
        for row in rows:
            if len(names := row["models"] or []) > FEW:
                row["models"] = [*names[:FEW], f"{len(names) - FEW} more"]
        columns = ["plugin", "key", "state", "models", "size", "version", "python", "packages", "built_at"]
        drop = ("packages", "python", "built_at", "version", "size")
        print_table(rows, columns, drop=drop, all_with="all of it: harness env list --json", whole=("plugin", "key", "state"))
    else:
        click.echo("there is no environment yet; to build one: harness env build PLUGIN", err=True)


@env.command()
@click.argument("plugins", nargs=-1, metavar="[PLUGIN]...")
@INSTALLER
def check(plugins: tuple[str, ...], installer: str) -> int:
    """Examine the environments of PLUGIN, or all: is everything of the lock there, does it fit together, does the plugin load?

    PLUGIN is what was built (a folder, a name, a requirement), a distribution, a model, or a key of harness env list.
    Ends with exit code 4 when something is wrong.
    """
    from harness.environments.build import examine
    from harness.environments.installers import choose

    using, bad = choose(installer), 0
    for folder in _damaged(plugins):
        bad += 1
        click.echo(
            f"bad  {folder.parent.name}  {folder.name}  it is being built, or is damaged; to remove it: harness env rm {folder.name}"
        )
    for each in _chosen(plugins):
        problems = examine(each, using)
        bad += bool(problems)
        click.echo(f"{'bad' if problems else 'ok '}  {each.distribution}  {each.key}  {len(each.lock())} packages")
        for line in problems:
            click.echo(f"       {line}")
    return GATE_FAILED if bad else 0


@env.command()
@click.argument("plugins", nargs=-1, required=True, metavar="PLUGIN...")
@click.option("--old", is_flag=True, help="Only those that a newer one has replaced.")
def rm(plugins: tuple[str, ...], old: bool) -> None:
    """Remove the environments of PLUGIN, or of all of them with the word all, damaged ones too.

    PLUGIN is what was built (a folder, a name, a requirement), a distribution, a model, or a key of harness env list.
    """
    from harness.environments import latest
    from harness.environments.build import remove

    names = () if plugins == ("all",) else plugins
    newest = {e.folder for e in latest().values()}
    for folder in [*_damaged(names), *(each.folder for each in _chosen(names) if not (old and each.folder in newest))]:
        remove(folder)
        click.echo(f"removed {folder}", err=True)


FEW = 3
"""Models of an environment that the table names."""

NAMES = ("plugin", "version", "models", "python", "packages", "size", "built_at", "state", "key", "requirement", "folder")


def _damaged(names: tuple[str, ...]) -> list[Path]:
    """Folders of these names, all for none, that are no environments (any more)."""
    from harness.environments.record import damaged, normal
    from harness.errors import UsageError
    from harness.project import named_folder, read_project

    wanted = set(names)
    for name in names:
        named = named_folder(name)
        with contextlib.suppress(UsageError):  # what cannot be read has no name, and its environment may be whole
            wanted.add(normal(name if named is None else read_project(named[0]).distribution))
    return [folder for folder in damaged() if not names or {folder.name, folder.parent.name} & wanted]


def _chosen(names: tuple[str, ...]) -> list[Environment]:
    """The environments of these names, all for none.

    Raises:
        NothingMatched: a name has none.
    """
    from harness.environments import all_environments
    from harness.environments.record import normal

    every, chosen = all_environments(), []
    for name in names:
        found = [e for e in every if name in (e.key, e.requirement) or _is_of_folder(e, name) or normal(name) in e.names]
        if not found and not _damaged((name,)):
            known = sorted({word for e in every for word in (e.distribution, *e.names)})
            raise NothingMatched(f"there is no environment of '{name}'.{suggest(name, known)} To see all: harness env list")
        chosen += [e for e in found if e not in chosen]
    return chosen if names else every


def _is_of_folder(environment: Environment, text: str) -> bool:
    """Whether an environment was built from the folder that a text means, with the extras that it names, if any."""
    from harness.project import named_folder

    if (named := named_folder(text)) is None or not environment.facts.get("folder"):
        return False
    folder = str(named[0].resolve())
    return environment.requirement == folder + named[1] if named[1] else environment.facts["folder"] == folder


def _bytes(folder: Path) -> int:
    """What a folder takes on the disk; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total: Any = 0
    for path in folder.rglob("*"):
        try:
            facts = path.lstat()
        except OSError:
            continue
        if (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            total += facts.st_size
    return int(total)
