"""`harness new plugin`: the folder of a plugin to start from, made from the one in `plugin/`, which is a plugin itself.

In that folder the plugin is called mymodel, its class MyModel; these words are replaced.
"""

from __future__ import annotations

import importlib.metadata
import keyword
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.resources import as_file, files
from pathlib import Path

from harness.errors import UsageError
from harness.plugins import load

__all__ = ["Made", "make_plugin"]

LONGEST = 40
TEMPLATE = ("pyproject.toml", "harness_mymodel.py", "test_mymodel.py", "README.md")


@dataclass(frozen=True)
class Made:
    """What was made: the folder, its files, the name of plugin and model."""

    folder: Path
    files: tuple[str, ...]
    model: str


def make_plugin(name: str, into: Path) -> Made:
    """Make the folder of a plugin.

    Args:
        name: of the folder; with underscores it is the name of the plugin and its model: "my-model" has the model my_model.
        into: an existing folder to make it in.

    Raises:
        UsageError: a name that is none or is taken, a folder that is there already, or no place to write to.
    """
    model = _checked_name(name)
    folder = into / name
    if not into.is_dir():
        raise UsageError(f"there is no folder {into}; make it first, or choose another with --into")
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already; choose another name, another folder with --into, or move it away")
    try:
        # Whole or not at all: nobody sees half a plugin.
        with tempfile.TemporaryDirectory(dir=into, prefix=".harness-new-") as workshop:
            made = Path(workshop) / name
            made.mkdir()
            with as_file(files("harness.scaffold") / "plugin") as template:
                for file in TEMPLATE:
                    text = (template / file).read_text(encoding="utf-8")
                    (made / _renamed(file, name, model)).write_text(_renamed(text, name, model), encoding="utf-8")
            shutil.copymode(into, made)
            made.rename(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror or error}; choose another folder with --into") from None
    return Made(folder, tuple(_renamed(file, name, model) for file in TEMPLATE), model)


def _checked_name(name: str) -> str:
    """The model's name; see `make_plugin`."""
    wanted = "wanted a name of small letters, digits and single hyphens or underscores that begins with a letter, as in my-model"
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name) or not name.isascii():
        plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()).strip("-0123456789")
        hint = f" Perhaps: harness new plugin {plain}" if re.fullmatch(r"[a-z][a-z0-9-]*", plain) and len(plain) <= LONGEST else ""
        raise UsageError(f"got the name {name!r}; {wanted}.{hint}")
    if len(name) > LONGEST:
        raise UsageError(f"got a name of {len(name)} characters; wanted at most {LONGEST}")
    model = name.replace("-", "_")
    if keyword.iskeyword(model):
        raise UsageError(f"got the name {name!r}, a word of Python's grammar; choose another, as in my-{name}")
    if name.startswith(("harness-", "harness_")):
        raise UsageError(f"got the name {name!r}; the distribution is called harness-NAME anyway: harness new plugin {name[8:]}")
    if taken := _taken(model):
        raise UsageError(f"got the name {name!r}, which {taken}; choose another, as in my-{name}")
    return model


def _taken(model: str) -> str:
    """What has this name already; "" where it is free."""
    plugins = load()
    spelt = {model, model.replace("_", "-")}
    for entry in importlib.metadata.entry_points(group="harness"):
        if entry.name in spelt:
            return f"the plugin of {entry.dist.name if entry.dist else entry.value} has"
    for name in spelt & set(plugins.models):
        return f"a model of {plugins.models[name].distribution or plugins.models[name].plugin} has"
    if PathFinder.find_spec(f"harness_{model}") is not None:
        return f"would make the module harness_{model}, and there is one"
    try:
        importlib.metadata.distribution(f"harness-{model}")
    except importlib.metadata.PackageNotFoundError:
        return ""
    return f"would make the distribution harness-{model.replace('_', '-')}, and there is one"


def _renamed(text: str, name: str, model: str) -> str:
    """The template's text with the plugin's own names."""
    title = "".join(part.capitalize() for part in re.split(r"[-_]", name))
    title += "" if title.endswith("Model") else "Model"  # so that no name is one of those that the module imports
    text = text.replace("harness-mymodel", f"harness-{model.replace('_', '-')}")
    return text.replace("MyModel", title).replace("mymodel", model)
