"""Saving what a model has learnt: a folder of its own beside the database, whole or not there.

The model writes into a folder whose name ends in `.tmp`; that is flushed to the disk, then renamed. This is called in the worker, so
nothing of the data or of scoring is imported here.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import describe
from harness.files import flush, temporary_name

if TYPE_CHECKING:
    from harness.store import Store

__all__ = ["NO_METHOD", "model_folder", "save_model"]

NO_METHOD = "it has no method save(folder)"
"""Why the models of a factory are never saved; to try again would change nothing."""


def model_folder(store: Store) -> Path:
    """Where the saved models of a store lie, each in a folder of its own, named by `trained.id`."""
    return store.path.with_name(store.path.name + ".models")


def save_model(model: Any, path: Path) -> str:
    """Have a model write its weights into the new folder `path`; return why it could not, "" = it did.

    What `model.save` raises is an answer, and leaves no folder: the training is good without it.
    """
    save = getattr(model, "save", None)
    if not callable(save):
        return NO_METHOD
    temporary = temporary_name(path)
    try:
        temporary.mkdir(parents=True)
        try:
            save(temporary)
        except (Exception, SystemExit) as error:
            return f"save(folder) raised {describe(error)}"
        below = list(temporary.rglob("*"))
        if not any(p.is_file() for p in below):
            return "save(folder) wrote no file"
        for written in (*(p for p in below if p.is_file() or p.is_dir()), temporary):
            flush(written)
        temporary.rename(path)
        flush(path.parent)
    except OSError as error:
        return f"{path} could not be written: {error.strerror or error}"
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ""
