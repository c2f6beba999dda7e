"""A trained predictor in a folder: written as gluonts writes it, read only after what it names was looked through.

gluonts keeps a predictor as JSON that names classes by their path, and reads it by importing each path and calling what it finds there:
whoever writes the JSON chooses what runs. So a folder is read only if `harness.json` says that `write` made it, and only if every path in
it is that of a class written in a module of `ALLOWED` (and of the user's own module, for a model of it), or a calendar feature, or a plain
type. Nothing is imported for a path that is not allowed. The network's weights are read by torch with `weights_only=True`.

Files: harness.json, gluonts-config.json, predictor.json, prediction-net-state.pt; and embeddings.pt for DeepNPTS, whose embeddings gluonts
keeps in a plain list, so that its own state of the network is without them.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import UsageError
from harness.errors import describe
from harness.files import expanded
from harness.mappings import read_object
from harness_gluonts.data import Scale
from harness_gluonts.quiet import library, quiet

if TYPE_CHECKING:
    from harness_gluonts.forecaster import Trained

__all__ = ["ALLOWED", "read", "write"]

FORMAT = "harness-gluonts/1"
ALLOWED = ("gluonts.transform", "gluonts.time_feature", "gluonts.torch", "gluonts.model")
"""Packages whose own classes may be named in a folder."""
EMBEDDINGS = "embeddings.pt"
FEATURES = "gluonts.time_feature"
"""The one package whose functions may be named."""
PLAIN = frozenset(
    {f"builtins.{name}" for name in ("bool", "float", "int", "str", "tuple")}
    | {f"numpy.{name}" for name in ("float32", "float64", "int32", "int64", "dtype", "array")}
)
"""What else may be named."""


def write(folder: Path, predictor: Any, trained: Trained) -> Path:
    """Write a predictor and what belongs to it; returns the folder.

    Raises:
        NotImplementedError: a stranger's predictor has no `serialize`.
    """
    if not callable(getattr(predictor, "serialize", None)):
        raise NotImplementedError(f"a {type(predictor).__name__} has no method serialize(path)")
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        predictor.serialize(folder)
    if tables := _embeddings(predictor):
        import torch

        torch.save([table.detach().cpu() for table in tables], folder / EMBEDDINGS)
    facts = {
        "format": FORMAT,
        "model": trained.model,
        "freq": trained.freq,
        "horizon": trained.horizon,
        "parameters": dict(trained.parameters),
        "newest": trained.newest,
        "past": [[scale.mean, scale.spread] for scale in trained.past],
        "known": [[scale.mean, scale.spread] for scale in trained.known],
        "sampled": trained.sampled,
        "facts": dict(trained.facts),
    }
    (folder / "harness.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return folder


def read(weights: str, model: str, device: str, own: str = "") -> tuple[Any, Trained]:
    """The predictor that `write` put into a folder, on the device, and what belongs to it.

    Args:
        model: the name that it must have been trained under.
        own: a module of the user's, whose classes may be named too; "" = none.

    Raises:
        UsageError: there is no such folder, another model's, or one that names what it must not.
    """
    from harness_gluonts.forecaster import Trained

    folder = expanded(weights)
    facts = _json(folder, "harness.json")
    try:
        if facts["format"] != FORMAT:
            raise ValueError(f"its format is {facts['format']!r}, wanted {FORMAT}")
        if facts["model"] != model:
            raise ValueError(f"it is of {facts['model']}, wanted {model}")
        trained = Trained(
            model=model,
            freq=str(facts["freq"]),
            horizon=int(facts["horizon"]),
            parameters=dict(facts["parameters"]),
            newest=None if facts["newest"] is None else int(facts["newest"]),
            past=tuple(Scale(float(mean), float(spread)) for mean, spread in facts["past"]),
            known=tuple(Scale(float(mean), float(spread)) for mean, spread in facts["known"]),
            sampled=bool(facts["sampled"]),
            facts=dict(facts["facts"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{model}: weights={weights}: harness.json is not what save() wrote for it ({describe(error)})") from None
    library()
    kind = _predictor(folder, model, own)
    for named, path in _named(_json(folder, "predictor.json")):
        _allow(named, path, folder, own)
    try:
        with quiet():
            return _deserialize(kind, folder, device), trained
    except Exception as error:
        raise UsageError(f"{model}: weights={weights} cannot be used: {describe(error)[:1000]}") from error


def _deserialize(kind: Any, folder: Path, device: str) -> Any:
    import torch

    takes = "device" in inspect.signature(kind.deserialize).parameters
    predictor = kind.deserialize(folder, device=torch.device(device)) if takes else kind.deserialize(folder)
    if tables := _embeddings(predictor):
        kept = torch.load(folder / EMBEDDINGS, map_location=device, weights_only=True)
        with torch.no_grad():
            for mine, table in zip(tables, kept, strict=True):
                mine.copy_(table)
    return predictor


def _embeddings(predictor: Any) -> list[Any]:
    """Weights of a network that its own state_dict() leaves out, in their order."""
    network = getattr(predictor, "prediction_net", None)
    modules = list(network.modules()) if network is not None else []
    listed = [each for module in modules for each in getattr(module, "embedders", ()) if isinstance(module.embedders, list)]
    return [embedder.weight for embedder in listed]


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise UsageError(f"weights={folder}: there is no file {path}; wanted a folder that a trained model was saved to: --save-models")
    return read_object(path)


def _predictor(folder: Path, model: str, own: str) -> Any:
    """The predictor's class, which reads the rest of the folder itself."""
    from gluonts.model.predictor import Predictor, RepresentablePredictor
    from gluonts.torch.model.predictor import PyTorchPredictor

    path = _json(folder, "gluonts-config.json").get("type")
    kind = _allow("instance", path, folder, own)
    known = [PyTorchPredictor.deserialize.__func__, RepresentablePredictor.deserialize.__func__]
    reader = getattr(getattr(kind, "deserialize", None), "__func__", None)
    if not issubclass(kind, Predictor) or not (reader in known or (own and str(path).partition(".")[0] == own)):
        raise UsageError(f"{model}: {folder / 'gluonts-config.json'} names {path}; wanted a predictor that is read from predictor.json")
    return kind


def _named(value: Any) -> Iterator[tuple[Any, Any]]:
    """(kind, path) of all that the JSON of a predictor names, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if "__kind__" in each:
                yield each["__kind__"], each.get("class")
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _allow(kind: Any, path: Any, folder: Path, own: str) -> Any:
    """What a path names, if it may be named.

    Raises:
        UsageError: it may not.
    """
    refused = UsageError(
        f"weights={folder} names {path!r} as a {kind}, which is not of gluonts' own transforms and networks; reading it would run code "
        f"that somebody else chose. Nothing was loaded; use a folder that --save-models wrote"
    )
    if not isinstance(path, str) or kind not in ("type", "instance"):
        raise refused
    if path in PLAIN:
        return None
    module, _, name = path.rpartition(".")
    if not any(f"{module}.".startswith(f"{package}.") for package in (*ALLOWED, *([own] if own else []))):
        raise refused
    try:
        found = vars(importlib.import_module(module)).get(name)
    except ImportError:
        raise refused from None
    of_module = getattr(found, "__module__", None) == module
    if of_module and (
        isinstance(found, type) or (kind == "type" and f"{module}.".startswith(f"{FEATURES}.") and inspect.isfunction(found))
    ):
        return found
    raise refused
