"""The season-fold network on onnxruntime: model.onnx is the graph, model.safetensors has the weights, so they ship once.

Axes: R rows (windows), F future patches, P steps of a patch, Q quantile levels.

Notable choices:

- The weights are read here and handed over by name, so the graph's references into model.safetensors are for other programs. A folder of
  links, as a hub's cache has, loads like any other, whatever a version of onnxruntime thinks of links.
- Rows run in blocks of `BLOCK`, the last one filled up with zeros, each on one thread; several threads take several blocks. The threads of
  onnxruntime are not used: they divide a layer at places that depend on its size, and the bits of a row then depended on its place in the
  batch (seen with two threads). Blocks of 8 rows cost no more than blocks of 32 (benchmarks/ttm_runtime.py).
- onnxruntime 1.29 and later report their use over the network, from the moment they are imported. ORT_DISABLE_TELEMETRY=1 is set before.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import PluginError, UsageError
from harness.mappings import mapping
from harness_ttm.config import TTMConfig, read_config
from harness_ttm.forecaster import INPUTS, Network
from harness_ttm.seasons import CANDIDATES, FEATURES, OFFSETS
from harness_ttm.shipped import INSTALL

__all__ = ["BLOCK", "Stored", "facts", "onnx_network", "read_stored", "shapes_digest", "thread_count"]

F32 = NDArray[np.float32]
BLOCK = 8
"""Rows of one call of onnxruntime."""
SHAPING = (
    "context_length",
    "patch_length",
    "patch_stride",
    "d_model",
    "num_layers",
    "adaptive_patching_levels",
    "decoder_d_model",
    "decoder_num_layers",
    "decoder_adaptive_patching_levels",
    "fold_layers",
    "norm_eps",
)
"""The keys of the configuration that the graph follows beside the shapes of the weights."""


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies in a file: its shape, and its first byte and the one after its last."""

    shape: tuple[int, ...]
    begin: int
    end: int


def read_stored(path: Path) -> dict[str, Stored]:
    """The tensors of a .safetensors file, sorted by name: 8 bytes with the length of a JSON header, the header, then raw values.

    Raises:
        UsageError: there is no such file, it is cut short, or it holds something else than float32.
    """
    again = "copy it again, or write it again with the program that trained the weights"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length < size else b""
    except FileNotFoundError:
        raise UsageError(f"there is no {path}; wanted a folder with config.json, model.safetensors and model.onnx") from None
    try:
        header: dict[str, Any] = json.loads(text)
        header.pop("__metadata__", None)
        start, tensors, kinds = 8 + length, {}, {}
        for name, entry in sorted(header.items()):
            begin, end = entry["data_offsets"]
            tensors[name] = Stored(tuple(entry["shape"]), start + begin, start + end)
            kinds[name] = entry["dtype"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UsageError(f"{path} ({size} bytes) does not begin as a .safetensors file does; {again}") from None
    wanted = max((tensor.end for tensor in tensors.values()), default=start)
    if size != wanted:
        raise UsageError(f"{path} has {size} bytes; its header wants {wanted}: {again}")
    for name, tensor in tensors.items():
        if kinds[name] != "F32" or 4 * math.prod(tensor.shape) != tensor.end - tensor.begin:
            raise UsageError(f"{path}: {name} is {kinds[name]} {list(tensor.shape)}; wanted F32, the weights saved as float32")
    return tensors


def shapes_digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A hash of names and shapes: a graph fits any weights that have these."""
    return hashlib.sha256(json.dumps(sorted((name, list(shape)) for name, shape in shapes.items())).encode()).hexdigest()


def facts(config: TTMConfig) -> dict[str, Any]:
    """What a graph was made for; kept in the file and compared when it is loaded."""
    sizes = {"quantile_levels": len(config.quantile_levels), "candidates": CANDIDATES, "features": FEATURES, "offsets": OFFSETS}
    return {**{key: getattr(config, key) for key in SHAPING}, **sizes}


def thread_count() -> int:
    """Threads that this process should use: OMP_NUM_THREADS, which the harness gives its workers, else the cores it may run on."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdigit() and int(first):
        return int(first)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def onnx_network(folder: Path, threads: int | None = None) -> Network:
    """The network of a folder that holds config.json, model.safetensors and model.onnx.

    Args:
        folder: see `harness_ttm.onnx_export` for how model.onnx is made.
        threads: blocks of rows at a time; None is `thread_count()`. The result does not depend on it.

    Returns:
        A `Network` for any number of rows; several threads may call it at once.

    Raises:
        UsageError: a file is missing, cut short, or does not fit the others.
        PluginError: onnxruntime is not installed.
    """
    session, data = _session(folder)
    return _OnnxNetwork(session, data, thread_count() if threads is None else threads)


class _OnnxNetwork:
    """A `Network`; `data` are the bytes of the weights, which the session may read where they lie."""

    def __init__(self, session: Any, data: bytes, threads: int) -> None:
        self.session, self.data = session, data
        self.pool = ThreadPoolExecutor(threads, "onnx") if threads > 1 else None

    def __call__(self, arrays: Mapping[str, F32]) -> F32:
        parts = [{k: arrays[k][low : low + BLOCK] for k in INPUTS} for low in range(0, len(arrays["z"]), BLOCK)]
        done = map(self.block, parts) if self.pool is None or len(parts) == 1 else self.pool.map(self.block, parts)
        return np.concatenate(list(done))  # [R, F, P, Q]

    def block(self, arrays: Mapping[str, F32]) -> F32:
        """At most `BLOCK` rows."""
        rows = len(arrays["z"])
        if rows < BLOCK:
            arrays = {k: np.concatenate([v, np.zeros((BLOCK - rows, *v.shape[1:]), np.float32)]) for k, v in arrays.items()}
        result: F32 = self.session.run(None, arrays)[0]
        return result[:rows]


def _session(folder: Path) -> tuple[Any, bytes]:
    """The session, and the bytes that its weights lie in."""
    path, weights = folder / "model.onnx", folder / "model.safetensors"
    again = f"write it again: python -m harness_ttm.onnx_export {folder}"
    if not path.is_file():
        raise UsageError(f"there is no {path}; {again.replace(' again', '')}, or use runtime=torch")
    stored = read_stored(weights)
    ort = _onnxruntime()
    data = weights.read_bytes()
    names = list(stored)
    values = [np.frombuffer(data, np.float32, (s.end - s.begin) // 4, s.begin).reshape(s.shape) for s in stored.values()]
    for name, value in zip(names, values, strict=True):
        if not np.isfinite(value).all():
            raise UsageError(f"{weights}: {name} holds values that are not finite; wanted weights of a training that came to a good end")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_external_initializers(names, [ort.OrtValue.ortvalue_from_numpy(v) for v in values])
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        said = str(error).splitlines()[0][:200]
        raise UsageError(f"{path} cannot be loaded: it is damaged, or does not fit {weights.name} ({said}); {again}") from None
    made = session.get_modelmeta().custom_metadata_map
    wanted = facts(read_config(folder))
    got = mapping(made.get("facts", "{}"))
    wrong = [f"{k} {got.get(k)!r} where config.json has {v!r}" for k, v in wanted.items() if got.get(k) != v]
    if wrong:
        raise UsageError(f"{path} was made for another network: {', '.join(wrong)}; {again}")
    if made.get("weights") != shapes_digest({name: s.shape for name, s in stored.items()}):
        raise UsageError(f"{path} was made for weights of other names or shapes than those of {weights.name}; {again}")
    return session, data


def _onnxruntime() -> Any:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise PluginError(f"runtime=onnx needs the package {error.name!r}, which is not installed. Type: {INSTALL}") from None
    onnxruntime.disable_telemetry_events()  # where something else has imported it before
    return onnxruntime
