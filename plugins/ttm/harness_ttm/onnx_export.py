"""The season-fold network as an ONNX graph: `python -m harness_ttm.onnx_export FOLDER` writes FOLDER/model.onnx.

Axes: R rows (windows), n patches, P patch length, D width, F future patches, K candidates, Q quantile levels.

The graph is written out by hand, a second description of the network beside `harness_ttm.season_head`; a test holds one against the other.
torch's exporter was tried: a minute, 243 to 588 nodes, and transposed copies of the weights. This one takes a moment and needs no torch,
only the names and shapes of the weights.

Notable choices:

- Every weight is used as it is stored (Gemm with transB), so the file beside config.json has no weights of its own: each initializer points
  into model.safetensors, which is a header and raw little-endian values, as ONNX's external data are.
- All layers work on matrices: rows and patches are one axis. Patches are mixed on the transpose, which beat a product from the left.
- Softplus is max(x, 0) + log(1 + exp(−|x|)): Softplus itself took a tenth of the time at long horizons. The difference is below 1e-7.
- Operator set 17 and IR version 8: onnxruntime 1.12 and later.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError, PluginError, UsageError
from harness_ttm.config import TTMConfig, read_config
from harness_ttm.forecaster import INPUTS
from harness_ttm.onnx_network import facts, onnx_network, read_stored, shapes_digest
from harness_ttm.seasons import CANDIDATES, FEATURES, OFFSETS

if TYPE_CHECKING:
    from harness_ttm.season_head import SeasonTTM

__all__ = ["export", "export_folder"]

OPSET, IR = 17, 8
Shapes = Mapping[str, tuple[int, ...]]


class Builder:
    """Nodes and constants of a graph; `shapes` are those of the weights."""

    def __init__(self, config: TTMConfig, shapes: Shapes) -> None:
        self.config, self.shapes = config, shapes
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.used: dict[str, None] = {}

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        from onnx import helper

        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, value: Any, kind: type = np.int64) -> str:
        """A small tensor that lies in the graph."""
        from onnx import numpy_helper

        array: NDArray[Any] = np.asarray(value, kind)
        name = f"{array.dtype}_{'x'.join(map(str, array.shape))}_{'_'.join(map(str, array.ravel()))}"
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str) -> str:
        """A tensor of the state dictionary.

        Raises:
            UsageError: there is none of this name.
        """
        if name not in self.shapes:
            raise UsageError(f"the weights have no {name}; wanted those of a season-fold network as its config.json describes it")
        self.used[name] = None
        return name

    def reshape(self, x: str, *shape: int) -> str:
        return self.op("Reshape", x, self.constant(shape))

    def turned(self, x: str, rows: int, columns: int) -> str:
        """[…, rows, columns] → […, columns, rows], as three axes."""
        return self.op("Transpose", self.reshape(x, -1, rows, columns), perm=[0, 2, 1])

    def linear(self, name: str, x: str) -> str:
        return self.op("Gemm", x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), transB=1)

    def norm(self, name: str, x: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=self.config.norm_eps)

    def gelu(self, x: str) -> str:
        """0.5 · x · (1 + erf(x / √2)), in the order that onnxruntime finds and fuses."""
        erf = self.op("Erf", self.op("Div", x, self.constant(2**0.5, np.float32)))
        twice = self.op("Mul", x, self.op("Add", erf, self.constant(1, np.float32)))
        return self.op("Mul", twice, self.constant(0.5, np.float32))

    def softplus(self, x: str) -> str:
        small = self.op("Exp", self.op("Neg", self.op("Abs", x)))
        return self.op("Add", self.op("Relu", x), self.op("Log", self.op("Add", small, self.constant(1, np.float32))))

    def mlp(self, name: str, x: str) -> str:
        """Two linear layers and, where there is one, the gate, over the last axis."""
        y = self.linear(f"{name}.mlp.fc2", self.gelu(self.linear(f"{name}.mlp.fc1", x)))
        gate = f"{name}.gating_block.attn_layer"
        if f"{gate}.weight" in self.shapes:
            y = self.op("Mul", y, self.op("Softmax", self.linear(gate, y), axis=-1))
        return y

    def mixer_layer(self, name: str, x: str, patches: int, width: int) -> str:
        """[R·n, D] → [R·n, D]."""
        mixer = f"{name}.patch_mixer"
        if patches > 1:
            z = self.turned(self.norm(f"{mixer}.norm.norm", x), patches, width)  # [R, D, n]
            y = self.turned(self.mlp(mixer, self.reshape(z, -1, patches)), width, patches)  # [R, n, D]
            x = self.op("Add", x, self.reshape(y, -1, width))
        mixer = f"{name}.feature_mixer"
        return self.op("Add", x, self.mlp(mixer, self.norm(f"{mixer}.norm.norm", x)))

    def levels(self, name: str, x: str, width: int, layers: int, levels: int) -> str:
        """[R·n, D] → [R·n, D]; level i on [R·n·2^i, D/2^i], the one with the most patches first."""
        patches = self.config.tokens
        if levels <= 0:
            for i in range(layers):
                x = self.mixer_layer(f"{name}.mixers.{i}", x, patches, width)
            return x
        for j in range(levels):
            factor = 2 ** (levels - 1 - j)
            factor = 1 if width // factor <= 4 else factor
            x = self.reshape(x, -1, width // factor)
            for i in range(layers):
                x = self.mixer_layer(f"{name}.mixers.{j}.mixer_layers.{i}", x, patches * factor, width // factor)
        return self.reshape(x, -1, width)

    def patches(self, x: str) -> str:
        """[R, T] → [R·n, P]; what does not fill a patch is cut off at the old end."""
        config = self.config
        size, stride, count = config.patch_length, config.patch_stride, config.num_patches
        start = config.context_length - size - stride * (count - 1)
        if stride != size:
            x = self.op("Gather", x, self.constant(start + stride * np.arange(count)[:, None] + np.arange(size)), axis=1)  # [R, n, P]
        elif start:
            x = self.op("Slice", x, self.constant([start]), self.constant([config.context_length]), self.constant([1]))
        return self.reshape(x, -1, size)

    def backbone(self) -> str:
        """z, mask [R, T] → [R·n, D] → [R, n·dd]."""
        config = self.config
        x = self.op("Concat", self.patches(self.op("Mul", "z", "mask")), self.patches("mask"), axis=1)  # [R·n, 2P]
        x = self.linear("backbone.encoder.patcher", x)
        x = self.levels("backbone.encoder.mlp_mixer_encoder", x, config.d_model, config.num_layers, config.adaptive_patching_levels)
        if config.decoder_d_model != config.d_model:
            x = self.linear("decoder.adapter", x)
        width, layers = config.decoder_d_model, config.decoder_num_layers
        x = self.levels("decoder.decoder_block", x, width, layers, config.decoder_adaptive_patching_levels)
        return self.reshape(x, -1, config.tokens * width)

    def head(self, x: str) -> None:
        """[R, n·dd], features, candidates [R, F, K, P], offsets → quantiles [R, F, P, Q]."""
        config, patch, levels = self.config, self.config.patch_length, len(self.config.quantile_levels)
        rows = self.op("Shape", "offsets", start=0, end=2)  # R, F
        context = self.gelu(self.linear("head.flatten", self.op("Concat", x, "features", axis=1)))
        context = self.op("Unsqueeze", self.linear("head.context_in", context), self.constant([1]))  # [R, 1, W]
        flat = self.reshape("candidates", -1, CANDIDATES * patch)
        h = self.linear("head.patch_in", self.op("Concat", flat, self.reshape("offsets", -1, OFFSETS), axis=1))  # [R·F, W]
        h = self.op("Reshape", h, self.op("Concat", rows, self.constant([config.fold_width]), axis=0))
        h = self.reshape(self.op("Add", h, context), -1, config.fold_width)
        for i in range(config.fold_layers):
            block = f"head.blocks.{i}"
            inner = self.gelu(self.linear(f"{block}.fc1", self.norm(f"{block}.norm", h)))
            h = self.op("Add", h, self.linear(f"{block}.fc2", inner))
        out = self.turned(self.linear("head.out", self.norm("head.norm", h)), CANDIDATES + levels, patch)  # [R·F, P, K + Q]
        share = self.op("Softmax", self.cut(out, 0, CANDIDATES), axis=-1)
        mixed = self.op("Mul", share, self.turned("candidates", CANDIDATES, patch))
        mixed = self.op("ReduceSum", mixed, self.constant([-1]), keepdims=1)
        median = self.op("Add", mixed, self.cut(out, CANDIDATES, CANDIDATES + 1))  # [R·F, P, 1]
        raw = self.op("Sub", self.cut(out, CANDIDATES + 1, CANDIDATES + levels), self.constant(2, np.float32))
        steps, last = self.softplus(raw), self.constant(2)  # [R·F, P, Q - 1]
        below = self.op("CumSum", self.cut(steps, 0, levels // 2), last, reverse=1)
        above = self.op("CumSum", self.cut(steps, levels // 2, levels - 1), last)
        q = self.op("Concat", self.op("Sub", median, below), median, self.op("Add", median, above), axis=-1)  # [R·F, P, Q]
        self.op("Reshape", q, self.op("Concat", rows, self.constant([patch, levels]), axis=0), out="quantiles")

    def cut(self, x: str, low: int, high: int) -> str:
        """Columns of the last of three axes."""
        return self.op("Slice", x, self.constant([low]), self.constant([high]), self.constant([2]))


def graph(config: TTMConfig, shapes: Shapes) -> Any:
    """The model without its weights, whose initializers are made by the caller: an `onnx.ModelProto`.

    Raises:
        UsageError: the configuration or the weights ask for what the graph does not have; says what.
    """
    try:
        from onnx import TensorProto, helper
    except ModuleNotFoundError:
        raise PluginError("writing model.onnx needs the package 'onnx', which is not installed. Type: pip install onnx") from None
    if not (config.season_fold and config.patch_mask and len(config.quantile_levels) % 2):
        raise UsageError("the configuration is not that of a season-fold network; wanted season_fold, patch_mask, an odd number of levels")
    build = Builder(config, shapes)
    build.head(build.backbone())
    if spare := sorted(set(shapes) - set(build.used)):
        raise UsageError(f"the ONNX graph has no place for {', '.join(spare[:3])} ({len(spare)} weights in all); use runtime=torch")
    patch, time = config.patch_length, config.context_length
    sizes: tuple[list[str | int], ...] = (["R", time], ["R", time], ["R", FEATURES], ["R", "F", CANDIDATES, patch], ["R", "F", OFFSETS])
    made = helper.make_graph(
        build.nodes,
        "season_ttm",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(INPUTS, sizes, strict=True)],
        [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["R", "F", patch, len(config.quantile_levels)])],
        list(build.constants.values()),
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="harness-ttm")
    helper.set_model_props(model, {"facts": json.dumps(facts(config), sort_keys=True), "weights": shapes_digest(shapes)})
    return model


def export(model: SeasonTTM, path: Path) -> None:
    """Write a network to one ONNX file, weights and all. The same weights give the same bytes."""
    from onnx import checker, numpy_helper

    state = {name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}
    made = graph(model.config, {name: value.shape for name, value in state.items()})
    made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in sorted(state.items()))
    checker.check_model(made, full_check=True)
    _write(made, path)


def export_folder(folder: Path) -> Path:
    """Write model.onnx beside a folder's config.json and model.safetensors, where its weights stay. Needs no torch.

    Returns:
        The path of model.onnx.

    Raises:
        UsageError: a file is missing or damaged, or the graph cannot describe the network.
        PluginError: onnx is not installed.
    """
    name = "model.safetensors"
    stored = read_stored(folder / name)
    made = graph(read_config(folder), {key: tensor.shape for key, tensor in stored.items()})
    from onnx import StringStringEntryProto, TensorProto, shape_inference

    for key, tensor in stored.items():
        weight = TensorProto(name=key, dims=tensor.shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        for part, value in (("location", name), ("offset", tensor.begin), ("length", tensor.end - tensor.begin)):
            weight.external_data.append(StringStringEntryProto(key=part, value=str(value)))
        made.graph.initializer.append(weight)
    shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    _write(made, folder / "model.onnx")
    return folder / "model.onnx"


def _write(model: Any, path: Path) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(model.SerializeToString(deterministic=True))
    temporary.replace(path)


def _compare(folder: Path) -> float:
    """The largest difference between onnxruntime and torch on random inputs of two rows and three future patches."""
    from harness_ttm.forecaster import torch_network
    from harness_ttm.season_head import SeasonTTM
    from harness_ttm.weights import load

    config, rng = read_config(folder), np.random.default_rng(0)
    time, patch = config.context_length, config.patch_length
    sizes = ((2, time), (2, time), (2, FEATURES), (2, 3, CANDIDATES, patch), (2, 3, OFFSETS))
    arrays = {name: rng.normal(size=size).astype(np.float32) for name, size in zip(INPUTS, sizes, strict=True)}
    arrays["mask"] = (arrays["mask"] > -1).astype(np.float32)
    return float(np.abs(onnx_network(folder, 1)(arrays) - torch_network(load(folder, SeasonTTM)[0])(arrays)).max())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m harness_ttm.onnx_export", description="Write FOLDER/model.onnx.")
    parser.add_argument("folder", type=Path, help="with config.json and model.safetensors of a season-fold network")
    folder = parser.parse_args().folder
    try:
        path = export_folder(folder)
    except (OSError, HarnessError) as error:
        parser.exit(2, f"{error}\n")
    print(f"wrote {path}: {path.stat().st_size:,} bytes; the weights stay in model.safetensors")
    if all(importlib.util.find_spec(name) for name in ("torch", "safetensors", "onnxruntime")):
        print(f"largest difference between onnxruntime and torch on random inputs: {_compare(folder):.1e}")


if __name__ == "__main__":
    main()
