"""The tensors in a checkpoint of torch, read without running what it holds.

The published file is a Lightning checkpoint: a zip archive with a pickle, which names classes of lightning and gluonts, and the bytes of
the tensors beside it. A pickle is a program that may call anything it can name, so here it can name nothing: of all that it asks for it
gets the ordered dictionary of the standard library, descriptions of tensors, and for anything else `Inert`, which takes what it is given
and does nothing. Neither torch nor any other package is asked to rebuild an object, and no tensor exists before the pickle is done with.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.errors import UsageError

__all__ = ["Inert", "read"]

DTYPES = {
    "Double": "<f8",
    "Float": "<f4",
    "Half": "<f2",
    "Long": "<i8",
    "Int": "<i4",
    "Short": "<i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}
"""What torch calls the kinds of storage; bfloat16 is read apart, numpy does not know it."""
MOST_PICKLE = 64 << 20
"""Bytes of the pickle: 73 tensors and a training's settings take some 20 thousand."""
MOST_VALUES = 1 << 28
"""Of all tensors together; the published file has some 7 million with its optimizer's."""


class Inert(dict[Any, Any]):
    """Stands for an object of a class that is not known here: what would build or fill it does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __call__(self, *_: object, **__: object) -> Inert:
        """For what another call was to return, as in getattr(StudentTOutput, "...")(): gluonts' classes are pickled so."""
        return Inert()

    def append(self, _: object) -> None:
        """For a pickled list."""

    def extend(self, _: object) -> None:
        """For a pickled list."""

    def add(self, _: object) -> None:
        """For a pickled set."""

    def __setstate__(self, _: object) -> None:
        """For a pickled object; the default would set attributes."""

    def __hash__(self) -> int:  # type: ignore[override]  # it may be a key
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class Storage(NamedTuple):
    """Where the bytes of tensors lie."""

    kind: str
    key: str


class Stored(NamedTuple):
    """A tensor that is described and not yet made."""

    storage: Any
    offset: Any
    shape: Any
    stride: Any


class _Reader(pickle.Unpickler):
    """Everything that a pickle can get is made new for each reader: nothing that it may have changed is used again."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return lambda storage=None, offset=0, shape=(), stride=(), *_: Stored(storage, offset, shape, stride)
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data=None, *_: data
        if module in ("torch", "torch.storage") and name.endswith("Storage"):
            return Storage(name.removesuffix("Storage"), "")
        return type("Inert", (Inert,), {"__module__": __name__, "called": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        match pid:
            case ("storage", Storage() as storage, str() as key, *_):
                return Storage(storage.kind, key)
        return Inert()


def read(file: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors as numpy arrays (float32, or as they are where they are no floats), other classes as `Inert`.

    Only the dictionary at the top, and those directly in it, have their tensors made: of a Lightning checkpoint "state_dict".

    Raises:
        UsageError: it is no zip archive as torch writes it since version 1.6, or is broken, or does not hold a dictionary.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = {name.partition("/")[2]: name for name in archive.namelist()}
            if "data.pkl" not in names:
                raise ValueError("it has no data.pkl")
            if "byteorder" in names and _bytes(archive, names["byteorder"]) != b"little":
                raise ValueError("its bytes are not in little-endian order")
            found = _Reader(io.BytesIO(_bytes(archive, names["data.pkl"], MOST_PICKLE))).load()
            if not isinstance(found, dict):
                raise ValueError(f"it holds a {type(found).__name__}, not a dictionary")
            groups = {str(key): {str(k): x for k, x in value.items()} if _holds(value) else value for key, value in found.items()}
            # Many tensors may share one storage, so the size of the file bounds nothing.
            total = sum(_count(x) for value in groups.values() for x in (value.values() if isinstance(value, dict) else (value,)))
            if total > MOST_VALUES:
                raise ValueError(f"its tensors have {total} values together, more than {MOST_VALUES}")
            return {
                key: {k: _made(archive, names, x) for k, x in value.items()} if _holds(value) else _made(archive, names, value)
                for key, value in groups.items()
            }
    except (MemoryError, UsageError):
        raise
    except Exception as error:  # a broken pickle can raise anything
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(
            f"{file} is no checkpoint that can be read ({said}); wanted a file that torch.save wrote, as lag-llama.ckpt"
        ) from None


def _bytes(archive: zipfile.ZipFile, name: str, most: int = 16 * MOST_VALUES) -> bytes:
    """An entry of the archive, which torch does not compress: so none is larger than the file."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
        raise ValueError(f"{name} is compressed, or larger than {most} bytes")
    return archive.read(info)


def _holds(value: Any) -> bool:
    """Whether it is a dictionary with tensors."""
    return isinstance(value, dict) and any(isinstance(x, Stored) for x in value.values())


def _count(value: Any) -> int:
    """How many values a stored tensor has; 0 for anything else.

    Raises:
        ValueError: its shape is none.
    """
    if not isinstance(value, Stored):
        return 0
    numbers = [value.offset, *value.shape, *value.stride]
    whole = isinstance(value.storage, Storage) and all(isinstance(n, int) and 0 <= n <= MOST_VALUES for n in numbers)
    if not whole or len(value.shape) != len(value.stride):
        raise ValueError("a tensor has no sensible shape")
    return math.prod(value.shape)


def _made(archive: zipfile.ZipFile, names: dict[str, str], value: Any) -> Any:
    """The array of a stored tensor; anything else as it is."""
    if not isinstance(value, Stored):
        return value
    storage, offset, shape, stride = value
    data = _bytes(archive, names[f"data/{storage.key}"])
    if storage.kind == "BFloat16":
        flat = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        flat = np.frombuffer(data, DTYPES[storage.kind])
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    if math.prod(shape) > len(flat) or (math.prod(shape) and last >= len(flat)):
        raise ValueError("a tensor is larger than what is stored of it")
    strides = [s * flat.itemsize for s in stride]
    view = np.lib.stride_tricks.as_strided(flat[offset:], shape, strides, writeable=False)
    return view.astype(np.float32) if flat.dtype.kind == "f" else view.copy()
