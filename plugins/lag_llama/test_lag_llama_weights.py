"""Weights on disk: a checkpoint as Lightning writes it, pickles that want to do harm, and what is refused."""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import io
import json
import os
import pickle
import pickletools
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from harness_lag_llama import LagLlama  # noqa: E402
from harness_lag_llama import checkpoint as checkpoint_module  # noqa: E402
from harness_lag_llama.checkpoint import Inert, read  # noqa: E402
from harness_lag_llama.lags import LAGS  # noqa: E402
from harness_lag_llama.network import Network, Shape  # noqa: E402
from harness_lag_llama.weights import load, save  # noqa: E402
from tiny_lag_llama import made  # noqa: E402

from harness import UsageError  # noqa: E402
from harness.testing import make_batch  # noqa: E402

SHAPE = Shape(layers=2, heads=3, head_width=4)


class Unknown(list[Any]):
    """Pickled by its name; a list with attributes, to be awkward."""

    def __init__(self) -> None:
        super().__init__([1, 2])
        self.attribute = {"a": datetime.timedelta(1)}


class Validated:
    """Pickled as gluonts' classes are: the result of a call of what getattr found in a class."""

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return functools.partial(Validated.again, beta=0.0), ()

    @classmethod
    def again(cls, beta: float) -> Validated:
        raise AssertionError(f"called with {beta}")


def lightning(network: Network, **changes: Any) -> dict[str, Any]:
    """What Lightning puts into a checkpoint, with objects of all kinds in it."""
    shape = network.shape
    settings = {
        "input_size": 1,
        "context_length": shape.context,
        "max_context_length": 2048,
        "lags_seq": list(shape.lags),
        "n_layer": shape.layers,
        "n_embd_per_head": shape.head_width,
        "n_head": shape.heads,
        "scaling": "robust",
        "distr_output": Validated(),
        "time_feat": True,
        **changes,
    }
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    moments = {k: {"step": torch.tensor(9.0), "exp_avg": torch.zeros_like(v)} for k, v in enumerate(network.parameters())}
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.1.4",
        "state_dict": collections.OrderedDict(tensors),
        "loops": argparse.Namespace(fit=functools.partial(int, base=2)),
        "callbacks": {Unknown: {"best": np.float64(1), "folder": Path("x"), "set": {1, 2}, "frozen": frozenset([3])}},
        "optimizer_states": [{"state": moments, "param_groups": [{"params": [0], "betas": (0.9, 0.99)}]}],
        "hyper_parameters": {"model_kwargs": settings, "loss": collections.defaultdict(list), "big": 2**70, "none": None},
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    file = tmp_path / "lag-llama.ckpt"
    torch.save(lightning(made(SHAPE)), file)
    return file


def same(a: Network, b: Network) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return a.shape == b.shape and all(m == n and torch.equal(x, y) for (m, x), (n, y) in pairs)


def test_a_lightning_checkpoint_is_read(checkpoint: Path) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(checkpoint, weights_only=True)  # so it takes a reader of one's own
    assert same(load(checkpoint), made(SHAPE))
    assert same(load(checkpoint.parent), made(SHAPE))
    found = read(checkpoint)
    assert found["epoch"] == 3
    assert isinstance(found["hyper_parameters"]["model_kwargs"]["distr_output"], Inert)
    assert found["hyper_parameters"]["big"] == 2**70


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_pickle(protocol: int, tmp_path: Path) -> None:
    torch.save(lightning(made(SHAPE)), tmp_path / "a.ckpt", pickle_protocol=protocol)
    assert same(load(tmp_path), made(SHAPE))


def test_sizes_are_those_of_the_tensors_and_the_published_one_needs_no_settings(tmp_path: Path) -> None:
    network = made(Shape(layers=1))
    content = lightning(network) | {"hyper_parameters": Unknown()}
    content["state_dict"]["model.transformer.h.0.attn.rotary_emb.inv_freq"] = torch.zeros(8)
    content["state_dict"]["model.transformer.wte.weight"] = content["state_dict"]["model.transformer.wte.weight"].t().contiguous().t()
    torch.save(content, tmp_path / "a.ckpt")
    assert same(load(tmp_path), network)
    torch.save(lightning(made(SHAPE)) | {"hyper_parameters": {}}, tmp_path / "a.ckpt")
    with pytest.raises(UsageError, match="does not say how many heads its width of 12 has"):
        load(tmp_path)


def test_kinds_of_numbers(tmp_path: Path) -> None:
    whole = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    kinds = {str(k): whole.to(k) for k in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool)}
    kinds |= {"slice": whole[1:, ::2], "parameter": torch.nn.Parameter(whole.float()), "empty": torch.zeros(0, 3), "one": torch.tensor(3.5)}
    torch.save({"state_dict": kinds}, tmp_path / "a.ckpt")
    for name, value in read(tmp_path / "a.ckpt")["state_dict"].items():
        np.testing.assert_array_equal(value, kinds[name].detach().float().numpy(), err_msg=name)
        assert value.flags.c_contiguous


def test_saved_weights_are_the_published_tensors(checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    params = {"num_samples": 3}
    model, folder = LagLlama(str(checkpoint), **params), tmp_path / "saved"
    model.save(folder)
    assert set(load_file(folder / "model.safetensors")) == {f"model.{name}" for name in Network(SHAPE).state_dict()}
    batch = make_batch(3)
    for weights in (folder, folder / "model.safetensors"):
        np.testing.assert_array_equal(LagLlama(str(weights), **params).predict(batch).values, model.predict(batch).values)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]


# --- pickles that want to do harm ------------------------------------------------------------------------------------------------------


class Call:
    """Pickled as a call of a function with these arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def archive(file: Path, data: bytes, tensors: Path | None = None, compress: int = zipfile.ZIP_STORED) -> Path:
    """A checkpoint with this pickle, and the tensors' bytes of another one."""
    with zipfile.ZipFile(file, "w", compress) as out:
        out.writestr("archive/data.pkl", data)
        if tensors:
            with zipfile.ZipFile(tensors) as source:
                for name in source.namelist():
                    if "/data/" in name:
                        out.writestr("archive/" + name.partition("/")[2], source.read(name))
    return file


PROGRAMS = {
    "global": b"cos\nsystem\n(VCOMMAND\ntR.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93(VCOMMAND\ntR.",
    "instance": b"(VCOMMAND\nios\nsystem\n.",
    "object": b"(cos\nsystem\nVCOMMAND\no.",
    "new object": b"\x80\x02csubprocess\nPopen\n(VCOMMAND\nt\x81.",
    "evaluated": b"cbuiltins\neval\n(V__import__('os').system('COMMAND')\ntR.",
    "old builtins": b"c__builtin__\nexec\n(V__import__('os').system('COMMAND')\ntR.",
    "attribute": b"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93(\x8c\x08builtins\x8c\x0a__import__\x93(Vos\ntRVsystem\ntR(VCOMMAND\ntR.",
    "dotted": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93(VCOMMAND\ntR.",
    "through torch": b"ctorch.storage\n_load_from_bytes\n(VCOMMAND\ntR.",
    "by state": b"ctorch._utils\n_rebuild_tensor_v2\n(V__globals__\ncos\nsystem\ndb(VCOMMAND\ntR.",
    "class state": b"ccollections\nOrderedDict\nN}(V__init__\ncos\nsystem\nu\x86b(VCOMMAND\ntR.",
    "storage": b"ctorch\nsystemStorage\n(VCOMMAND\ntR.",
    "persistent": b"cos\nsystem\n(VCOMMAND\ntRQ.",
    "module": b"cantigravity\nfly\n)R.",
}
"""Pickles by hand, each asking for COMMAND in another way."""


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a checkpoint"])
def test_nothing_in_a_pickle_is_run(name: str, inside: bool, tmp_path: Path, checkpoint: Path) -> None:
    trace = tmp_path / "trace"
    program = PROGRAMS[name].replace(b"COMMAND", f"touch {trace}".encode())
    if inside:  # {"state_dict": ..., "x": what the program leaves}: after the whole pickle without its last opcode
        with zipfile.ZipFile(checkpoint) as source:
            whole = source.read(next(n for n in source.namelist() if n.endswith("data.pkl")))
        body = program[2:] if program[:1] == b"\x80" else program
        program = b"\x80\x04" + whole[2:-1] + b"X\x01\x00\x00\x00x" + body[:-1] + b"s."
    file = archive(tmp_path / "evil.ckpt", program, checkpoint)
    listed = io.StringIO()
    pickletools.dis(program, listed)
    assert "touch" in listed.getvalue() or name == "module"
    before = set(sys.modules)
    try:
        network = load(file)
    except UsageError as error:
        assert "evil.ckpt" in str(error)
    else:
        assert inside and same(network, made(SHAPE))  # the tensors are fine, and what is beside them did nothing
    assert not trace.exists()
    assert "antigravity" not in set(sys.modules) - before
    assert collections.OrderedDict.__init__ is not os.system


def test_the_programs_would_do_harm(tmp_path: Path) -> None:
    """The test above can fail: the reader that Python has runs them."""
    trace = tmp_path / "trace"
    pickle.loads(PROGRAMS["global"].replace(b"COMMAND", f"touch {trace}".encode()))
    assert trace.exists()


@pytest.mark.parametrize(
    "function",
    [os.system, eval, exec, getattr, setattr, __import__, open, print, type, vars, breakpoint, functools.reduce, sys.exit, os._exit],
    ids=lambda f: f.__name__,
)
def test_calls_of_functions_are_inert(function: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    torch.save({"state_dict": {}, "x": Call(function, "1", "2")}, file)
    assert isinstance(read(file)["x"], Inert)


# --- what is refused -------------------------------------------------------------------------------------------------------------------


def pickled(key: str = "0", count: int = 4, offset: int = 0, shape: tuple[Any, ...] = (4,), stride: tuple[Any, ...] = (1,)) -> bytes:
    """A state_dict with one tensor that says so of itself; the bytes of four numbers are stored as 0."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, key, "cpu", count) if value is Ellipsis else None

    out = io.BytesIO()
    tensor = Call(torch._utils._rebuild_tensor_v2, ..., offset, shape, stride, False, collections.OrderedDict())
    Pickler(out, 2).dump({"state_dict": {"model.x": tensor}})
    return out.getvalue()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (pickled(shape=(5,)), "larger than what is stored"),
        (pickled(offset=1), "larger than what is stored"),
        (pickled(shape=(2, 2), stride=(4, 1)), "larger than what is stored"),
        (pickled(shape=(1000, 1000), stride=(0, 0)), "larger than what is stored"),
        (pickled(shape=(-1,)), "no sensible shape"),
        (pickled(shape=(2**40,)), "no sensible shape"),
        (pickled(stride=(1, 1)), "no sensible shape"),
        (pickled(shape=("4",)), "no sensible shape"),
        (pickled(key="../../etc/passwd"), "passwd"),
        (b"\x80\x02]q\x00.", "holds a list"),
        (b"\x80\x02", "cannot be read|can be read"),
        (b"\x80\x02}X\x0a\x00\x00\x00state_dict}s.", "wte.weight"),
        (b"\x80\x02}.", "no state_dict of tensors; it holds nothing"),
    ],
)
def test_broken_checkpoints_are_refused(program: bytes, said: str, tmp_path: Path) -> None:
    source = tmp_path / "four.ckpt"
    torch.save({"x": torch.arange(4.0)}, source)
    file = archive(tmp_path / "a.ckpt", program, source)
    with pytest.raises(UsageError, match=said):
        load(file)
    if said.startswith("larger"):
        good = archive(tmp_path / "b.ckpt", pickled(), source)
        np.testing.assert_array_equal(read(good)["state_dict"]["model.x"], [0, 1, 2, 3])


def test_the_values_of_all_tensors_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors may share what is stored: a small file can ask for much memory."""
    shared = torch.arange(40.0)
    file = tmp_path / "a.ckpt"
    torch.save({"state_dict": {f"x{n}": shared[:30] for n in range(3)}, "alone": shared[:10]}, file)
    monkeypatch.setattr(checkpoint_module, "MOST_VALUES", 100)
    assert len(read(file)["state_dict"]) == 3
    monkeypatch.setattr(checkpoint_module, "MOST_VALUES", 99)
    with pytest.raises(UsageError, match="its tensors have 100 values together, more than 99"):
        read(file)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.ckpt"
    for content in (b"", b"\x80\x02}.", b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"wanted a file that torch.save wrote"):
            load(file)
    archive(file, b"\x80\x02}.", compress=zipfile.ZIP_DEFLATED)
    with pytest.raises(UsageError, match="compressed"):
        load(file)
    torch.save(lightning(made(SHAPE)), file, _use_new_zipfile_serialization=False)
    with pytest.raises(UsageError, match=r"torch.save"):
        load(file)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scaling": "mean"}, "trained with scaling='mean'; wanted 'robust'"),
        ({"time_feat": False}, "time_feat=False"),
        ({"n_head": 5}, "does not say how many heads"),
        ({"n_head": 4}, "even head_width"),
        ({"lags_seq": [0, 1]}, r"wte.weight is \[12, 92\], wanted \[12, 10\] \(2 lags"),
        ({"lags_seq": list(LAGS)[::-1]}, "lags that rise"),
    ],
)
def test_other_networks_are_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    torch.save(lightning(made(SHAPE), **changes), tmp_path / "a.ckpt")
    with pytest.raises(UsageError, match=said):
        load(tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    network = made(SHAPE)
    network.param_proj.proj[1].bias.data[:] = torch.nan
    torch.save(lightning(network), tmp_path / "a.ckpt")
    with pytest.raises(UsageError, match=r"param_proj.proj.1.bias holds values that are not finite"):
        load(tmp_path)


def test_folders_and_configurations_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds nothing; wanted lag-llama.ckpt"):
        load(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"notes.txt is no file of weights"):
        load(tmp_path / "notes.txt")
    save(made(SHAPE), tmp_path)
    config = tmp_path / "config.json"
    usual = json.loads(config.read_text())
    wrong: list[tuple[Any, str]] = [
        ({**usual, "model_type": "llama"}, "model_type 'lag-llama'"),
        ({**usual, "layers": 10**6}, "wanted whole numbers"),
        ({**usual, "heads": 4096, "head_width": 4096}, "more than 1,000,000,000 parameters"),
        ({**usual, "layers": 1}, r"h.1.attn.c_proj.weight is \[12, 12\], wanted absent"),
        ({**usual, "lags": "all"}, "lags that rise"),
        ({**usual, "distribution": "normal"}, "distribution 'normal'; wanted 'student_t'"),
        ([], "holds a list; wanted an object"),
    ]
    for content, said in wrong:
        config.write_text(json.dumps(content))
        with pytest.raises(UsageError, match=said):
            load(tmp_path)
    config.write_text("[" * 100_000)
    with pytest.raises(UsageError, match=r"config.json cannot be read: its lists or objects stand in one another too deep"):
        load(tmp_path)
    config.unlink()
    with pytest.raises(UsageError, match=r"config.json cannot be read: No such file"):
        load(tmp_path)
    config.write_text(json.dumps(usual))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 40)
    with pytest.raises(UsageError, match="fetch it again"):
        load(tmp_path)
