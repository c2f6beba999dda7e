"""The part of the harness that goes into a plugin's environment: types, hooks, the worker, and what plugins use of it.

No suite, no data reader, no scoring, no results: an environment cannot make a label or a score. It has the name and version of the whole
distribution, so that a plugin's requirement `ts-harness` is met, and requires numpy, pyarrow and pluggy alone, in ranges as wide as what
the worker was run with.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import shutil
import zipfile
from pathlib import Path

import harness
from harness.cache import cache_folder
from harness.environments.record import foreign_variables
from harness.files import temporary_name

__all__ = ["MODULES", "core_digest", "core_folder", "make_wheel", "variables"]

NAME = "ts_harness"
MODULES = (
    "__init__.py", "arithmetic.py", "arrow.py", "budget.py", "cache.py", "defaults.py", "describe.py", "environments/__init__.py",
    "environments/record.py", "errors.py", "events.py", "files.py", "forecast.py", "frequency.py", "holdout.py", "hookspecs.py",
    "interrupt.py", "mappings.py", "parameters.py", "plugins.py", "py.typed", "quantiles.py", "saved.py", "seasonal.py", "series.py",
    "targets.py", "threads.py", "types.py", "weights.py", "wire.py", "worker.py",
)  # fmt: skip
"""Files of the package `harness` that an environment gets."""
REQUIRES = ("numpy>=1.23.2", "pluggy>=1.5", "pyarrow>=14")


def _contents() -> dict[str, bytes]:
    """All files of the wheel but RECORD, by their names in it."""
    root = Path(harness.__file__).parent
    info = f"{NAME}-{harness.__version__}.dist-info"
    metadata = [
        "Metadata-Version: 2.1",
        "Name: ts-harness",
        f"Version: {harness.__version__}",
        "Summary: The worker's part of ts-harness, for an environment of a plugin's own",
        "Requires-Python: >=3.11",
        "License: Apache-2.0",
        *(f"Requires-Dist: {line}" for line in REQUIRES),
        "",
    ]
    wheel = ["Wheel-Version: 1.0", "Generator: ts-harness", "Root-Is-Purelib: true", "Tag: py3-none-any", ""]
    return {
        **{f"harness/{name}": (root / name).read_bytes() for name in MODULES},
        f"{info}/METADATA": "\n".join(metadata).encode(),
        f"{info}/WHEEL": "\n".join(wheel).encode(),
    }


@functools.cache
def core_digest() -> str:
    """A hash over what an environment gets of this harness; another one means that its worker may speak otherwise."""
    state = hashlib.blake2b(digest_size=16)
    for name, content in _contents().items():
        state.update(name.encode() + b"\0" + content + b"\0")
    return state.hexdigest()


def make_wheel(folder: Path) -> Path:
    """Write the wheel into a folder; the same sources give the same bytes.

    Raises:
        OSError: it cannot be written.
    """
    files, info = _contents(), f"{NAME}-{harness.__version__}.dist-info"
    path = folder / f"{NAME}-{harness.__version__}-py3-none-any.whl"
    temporary = temporary_name(path)
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*files.items(), (f"{info}/RECORD", _record(files, info))]:
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content)
    temporary.replace(path)
    return path


def _record(files: dict[str, bytes], info: str) -> bytes:
    """What a wheel says of its files: name, hash, bytes."""
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}")
    return "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()


def core_folder() -> Path:
    """A folder with this harness's part, for the path of a worker in an environment: named by its content, and never changed.

    It comes before what the environment was built with, so that a newer harness needs nothing built anew, and two harnesses with one cache
    do not disturb each other.

    Raises:
        OSError: it cannot be written.
    """
    folder = cache_folder() / "core" / core_digest()
    if all((folder / "harness" / name).is_file() for name in MODULES):
        return folder
    shutil.rmtree(folder, ignore_errors=True)  # damaged
    files, info = _contents(), f"{NAME}-{harness.__version__}.dist-info"
    temporary = temporary_name(folder)
    for name, content in {**files, f"{info}/RECORD": _record(files, info), f"{info}/INSTALLER": b"harness\n"}.items():
        path = temporary / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    try:
        temporary.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(temporary, ignore_errors=True)
        if not folder.is_dir():
            raise
    return folder


def variables() -> dict[str, str]:
    """The environment variables for a process of an environment: this harness's part on its path, and nothing that leads it back here."""
    return {**foreign_variables(), "PYTHONPATH": str(core_folder())}
