"""The network on onnxruntime: equal to torch, the same bits whatever batch and threads, weights shipped once, files that do not fit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before anything imports onnxruntime

from harness_ttm import runtime, shipped
from harness_ttm.config import TTMConfig
from harness_ttm.forecaster import F32, ROWS, SeasonForecaster, torch_network
from harness_ttm.onnx_export import export, export_folder
from harness_ttm.onnx_network import BLOCK, onnx_network, read_stored, thread_count
from harness_ttm.runtime import choose_network, pick_runtime
from harness_ttm.seasons import CANDIDATES, FEATURES, OFFSETS

from harness import Batch
from harness.errors import PluginError, UsageError

torch: Any = pytest.importorskip("torch", reason=f"torch is not installed: {shipped.INSTALL_TORCH}")
safetensors: Any = pytest.importorskip("safetensors.torch", reason=f"safetensors is not installed: {shipped.INSTALL_TORCH}")
onnxruntime: Any = pytest.importorskip("onnxruntime", reason=f"onnxruntime is not installed: {shipped.INSTALL}")
onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
SeasonTTM: Any = pytest.importorskip("harness_ttm.season_head").SeasonTTM
save: Any = pytest.importorskip("harness_ttm.weights").save

LEVELS = tuple(round(0.1 * k, 1) for k in range(1, 10))
TINY = TTMConfig(
    context_length=48,
    patch_length=8,
    patch_stride=8,
    d_model=16,
    num_layers=1,
    adaptive_patching_levels=2,
    decoder_d_model=8,
    decoder_num_layers=1,
    fold_width=24,
    fold_context=20,
    fold_layers=2,
    history_length=256,
    max_horizon=64,
    quantile_levels=LEVELS,
    patch_mask=True,
    season_fold=True,
    scaling="none",
)
CONFIGS = {
    "as shipped": TINY,
    "no levels, no gates, no adapter": replace(TINY, adaptive_patching_levels=0, num_layers=2, gated_attn=False, decoder_d_model=16),
    "narrow levels": replace(TINY, d_model=8, adaptive_patching_levels=3, decoder_adaptive_patching_levels=2),
    "one patch": replace(TINY, context_length=8, adaptive_patching_levels=0),
    "steps left over": replace(TINY, context_length=53, expansion_factor=3),
    "overlapping patches": replace(TINY, patch_stride=5, context_length=51, norm_eps=1e-3),
    "one level of quantiles more": replace(TINY, quantile_levels=(0.2, 0.5, 0.9), fold_layers=1),
}


def random_model(config: TTMConfig, seed: int = 0) -> Any:
    """Every weight is drawn, also those that begin as zeros or ones."""
    torch.manual_seed(seed)
    model = SeasonTTM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter) / max(parameter.shape[-1], 4) ** 0.5)
    return model


def inputs(config: TTMConfig, rows: int, patches: int, seed: int = 0) -> dict[str, F32]:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> F32:
        return np.asarray(rng.normal(size=shape), np.float32)

    return {
        "z": draw(rows, config.context_length),
        "mask": (rng.random((rows, config.context_length)) > 0.2).astype(np.float32),
        "features": draw(rows, FEATURES),
        "candidates": draw(rows, patches, CANDIDATES, config.patch_length),
        "offsets": draw(rows, patches, OFFSETS),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """config.json, model.safetensors and model.onnx of a tiny network."""
    path = tmp_path_factory.mktemp("weights")
    save(random_model(TINY), path)
    export_folder(path)
    return path


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


@pytest.mark.parametrize("name", CONFIGS)
def test_onnx_gives_what_torch_gives(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    model = random_model(config)
    save(model, tmp_path)
    export_folder(tmp_path)
    network, reference = onnx_network(tmp_path, 1), torch_network(model)
    for rows, patches in ((ROWS, 1), (ROWS, 8), (3, 5)):
        arrays = inputs(config, rows, patches, seed=rows + patches)
        got, wanted = network(arrays), reference(arrays)
        assert got.shape == (rows, patches, config.patch_length, len(config.quantile_levels)) and got.dtype == np.float32
        assert np.abs(wanted).max() > 0.5 and wanted.std() > 0.1
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5)


def test_distant_quantiles_agree_too(tmp_path: Path) -> None:
    """Increments of 1e-6 to 30: softplus is written out in the graph."""
    model = random_model(TINY)
    with torch.no_grad():
        steps = torch.linspace(-14, 32, (len(LEVELS) - 1) * TINY.patch_length)
        model.head.out.bias[(CANDIDATES + 1) * TINY.patch_length :] = steps
        model.head.out.weight[(CANDIDATES + 1) * TINY.patch_length :] = 0
    save(model, tmp_path)
    export_folder(tmp_path)
    arrays = inputs(TINY, 4, 3)
    got, wanted = onnx_network(tmp_path, 1)(arrays), torch_network(model)(arrays)
    assert wanted.max() - wanted.min() > 80
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-5)
    assert (np.diff(got, axis=-1) >= 0).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("patches", [1, 3, 7])
def test_a_row_has_the_same_bits_whatever_stands_beside_it(folder: Path, threads: int, patches: int) -> None:
    one, network = onnx_network(folder, 1), onnx_network(folder, threads)
    arrays = inputs(TINY, ROWS, patches)
    whole = one(arrays)
    rng = np.random.default_rng(1)
    for turn in range(4):
        order = rng.permutation(ROWS)
        mixed = {k: v[order].copy() for k, v in arrays.items()}
        if turn % 2:
            for values in mixed.values():
                values[5:] = 0
        kept = 5 if turn % 2 else ROWS
        np.testing.assert_array_equal(network(mixed)[:kept], whole[order][:kept])
    for rows in (1, BLOCK - 1, BLOCK + 1, 2 * ROWS):
        many = {k: np.concatenate([v, v])[:rows] for k, v in arrays.items()}
        np.testing.assert_array_equal(network(many), np.concatenate([whole, whole])[:rows])


def test_forecasts_of_the_two_agree(folder: Path) -> None:
    rng = np.random.default_rng(3)
    contexts = [(np.sin(np.arange(n) * 2 * np.pi / 12) + 0.2 * rng.normal(size=n)).astype(np.float32) for n in (5, 60, 200, 400)]
    batch = Batch.from_contexts(contexts, horizon=100, freq="M", season_length=12)
    values = [SeasonForecaster(choose_network(folder, name)[0], TINY).predict(batch).values for name in ("onnx", "torch")]
    assert np.abs(values[0] - values[1]).max() <= 1e-4 * np.abs(values[1]).max()


def test_the_file_has_no_weights_of_its_own_and_follows_new_ones(folder: Path, tmp_path: Path) -> None:
    path, weights = folder / "model.onnx", folder / "model.safetensors"
    made = onnx.load(path, load_external_data=False)
    stored = read_stored(weights)
    outside = {t.name: {e.key: e.value for e in t.external_data} for t in made.graph.initializer if t.name in stored}
    assert set(outside) == set(stored)
    assert all(e["location"] == "model.safetensors" and int(e["offset"]) == stored[n].begin for n, e in outside.items())
    inside = [t for t in made.graph.initializer if t.name not in stored]
    assert sum(len(t.raw_data) for t in inside) < 2000
    other = random_model(TINY, seed=5)
    new = copied(folder, tmp_path / "new")
    save(other, new)
    arrays = inputs(TINY, 4, 2)
    np.testing.assert_allclose(onnx_network(new, 1)(arrays), torch_network(other)(arrays), rtol=0, atol=1e-5)
    assert np.abs(onnx_network(new, 1)(arrays) - onnx_network(folder, 1)(arrays)).max() > 0.1


def test_other_programs_load_both_kinds_of_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the loader: external data found beside the graph from any working folder, and one file with everything."""
    monkeypatch.chdir(tmp_path)
    export(random_model(TINY), tmp_path / "whole.onnx")
    arrays = inputs(TINY, 4, 2)
    wanted = onnx_network(folder, 1)(arrays)
    for path in (folder / "model.onnx", tmp_path / "whole.onnx"):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(session.run(None, arrays)[0], wanted, rtol=0, atol=1e-5)


def test_the_same_weights_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = copied(folder, tmp_path / "again")
    (again / "model.onnx").unlink()
    assert export_folder(again).read_bytes() == (folder / "model.onnx").read_bytes()
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for file in files:
        export(random_model(TINY), file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_folder_of_links_and_another_working_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, snapshot = tmp_path / "blobs", tmp_path / "snapshot"
    store.mkdir()
    snapshot.mkdir()
    for number, name in enumerate(("config.json", "model.onnx", "model.safetensors")):
        (store / str(number)).mkdir()
        shutil.copy(folder / name, store / str(number) / "x")
        (snapshot / name).symlink_to(store / str(number) / "x")
    arrays = inputs(TINY, 2, 2)
    wanted = onnx_network(folder, 1)(arrays)
    np.testing.assert_array_equal(onnx_network(snapshot, 1)(arrays), wanted)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(onnx_network(Path("snapshot"), 1)(arrays), wanted)


def test_files_that_are_missing_or_damaged_are_named(folder: Path, tmp_path: Path) -> None:
    def broken(name: str, data: bytes | None) -> Path:
        path = copied(folder, tmp_path / f"{name}{len(list(tmp_path.iterdir()))}")
        (path / name).unlink()
        if data is not None:
            (path / name).write_bytes(data)
        return path

    graph, weights = (folder / "model.onnx").read_bytes(), (folder / "model.safetensors").read_bytes()
    with pytest.raises(
        UsageError, match=r"there is no .*model\.onnx; write it: python -m harness_ttm\.onnx_export .*, or use runtime=torch"
    ):
        onnx_network(broken("model.onnx", None))
    with pytest.raises(UsageError, match=r"there is no .*model\.safetensors; wanted a folder with"):
        onnx_network(broken("model.safetensors", None))
    for data in (graph[: len(graph) // 2], b"", b"no graph"):
        with pytest.raises(UsageError, match=r"model\.onnx cannot be loaded: it is damaged, or does not fit .*; write it again: python -m"):
            onnx_network(broken("model.onnx", data))
    with pytest.raises(UsageError, match=rf"has {len(weights) - 40} bytes; its header wants {len(weights)}: copy it again"):
        onnx_network(broken("model.safetensors", weights[:-40]))
    deep = (100_000).to_bytes(8, "little") + b"[" * 100_001
    for data in (b"", weights[:100], deep, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"):
        with pytest.raises(UsageError, match=r"does not begin as a \.safetensors file does; copy it again"):
            onnx_network(broken("model.safetensors", data))


def test_files_that_do_not_fit_each_other_are_refused(folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "epsilon")
    values = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**values, "norm_eps": 1e-3}))
    with pytest.raises(UsageError, match=r"was made for another network: norm_eps 1e-05 where config\.json has 0\.001; write it again"):
        onnx_network(other)
    wider = copied(folder, tmp_path / "wider")
    save(random_model(replace(TINY, fold_width=32)), wider)
    with pytest.raises(UsageError, match=r"model\.onnx (cannot be loaded|was made for)"):
        onnx_network(wider)
    state = {"extra": torch.zeros(3), **random_model(TINY).state_dict()}
    more = copied(folder, tmp_path / "more")
    safetensors.save_file(state, more / "model.safetensors")
    with pytest.raises(UsageError, match=r"model\.onnx cannot be loaded: .*extra"):
        onnx_network(more)
    with pytest.raises(UsageError, match=r"no place for extra \(1 weights in all\); use runtime=torch"):
        export_folder(more)
    safetensors.save_file({k: v.half() for k, v in random_model(TINY).state_dict().items()}, more / "model.safetensors")
    with pytest.raises(UsageError, match=r"is F16 \[8\]; wanted F32, the weights saved as float32"):
        onnx_network(more)
    fewer = {k: v for k, v in random_model(TINY).state_dict().items() if k != "backbone.encoder.patcher.bias"}
    safetensors.save_file(fewer, more / "model.safetensors")
    with pytest.raises(UsageError, match=r"was made for weights of other names or shapes than those of model\.safetensors; write it again"):
        onnx_network(more)
    attention = replace(TINY, self_attn=True)
    save(random_model(attention), more)
    with pytest.raises(UsageError, match="no place for"):
        export_folder(more)
    save(random_model(replace(TINY, norm_mlp="BatchNorm")), more)
    with pytest.raises(UsageError, match=r"batchnorm\.num_batches_tracked is I64 \[\]; wanted F32"):
        export_folder(more)


def test_the_rule_of_auto(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"onnxruntime", "torch"}
    monkeypatch.setattr(runtime, "_installed", lambda name: name in there)
    assert pick_runtime(folder) == "onnx" and pick_runtime(tmp_path) == "torch"
    assert pick_runtime(folder, device="cuda") == "torch" and pick_runtime(folder, "torch") == "torch"
    there.remove("onnxruntime")
    assert pick_runtime(folder) == "torch"
    there.clear()
    with pytest.raises(PluginError, match=f"neither onnxruntime nor torch .* Type: {re.escape(shipped.INSTALL)}"):
        pick_runtime(folder)
    with pytest.raises(PluginError, match=rf"has no model\.onnx, so nothing else .* Type: {re.escape(shipped.INSTALL_TORCH)}"):
        pick_runtime(tmp_path)
    with pytest.raises(UsageError, match=r"runtime is 'onxn'; wanted auto, torch or onnx. Did you mean 'onnx'\?"):
        pick_runtime(folder, "onxn")
    with pytest.raises(UsageError, match="runtime=onnx runs on the CPU and device is 'cuda'"):
        pick_runtime(folder, "onnx", "cuda")


def test_names_say_what_runs(folder: Path) -> None:
    arrays = inputs(TINY, ROWS, 2)
    (onnx_run, onnx_name), (torch_run, torch_name) = choose_network(folder), choose_network(folder, "torch")
    assert onnx_name == f"onnxruntime {onnxruntime.__version__}" and torch_name == f"torch {torch.__version__}"
    np.testing.assert_allclose(onnx_run(arrays), torch_run(arrays), rtol=0, atol=1e-5)


def test_torch_runs_on_one_thread_and_gives_the_others_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    plain = SeasonTTM.forward

    def forward(self: Any, *arguments: Any) -> Any:
        seen.append(torch.get_num_threads())
        return plain(self, *arguments)

    monkeypatch.setattr(SeasonTTM, "forward", forward)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        choose_network(folder, "torch")[0](inputs(TINY, ROWS, 1))
        assert seen == [1] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_is_not_installed_is_named_with_its_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package, line in (("onnx", "onnxruntime", shipped.INSTALL), ("torch", "torch", shipped.INSTALL_TORCH)):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(PluginError, match=f"runtime={name} needs the package '{package}'.* Type: {re.escape(line)}"):
                choose_network(folder, name)


def test_threads_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for text, wanted in (("3", 3), ("2,1", 2), ("", cores), ("many", cores), ("0", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert thread_count() == wanted
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count() == cores


def test_onnx_needs_no_torch_and_tells_nobody(folder: Path, tmp_path: Path) -> None:
    """In a process of its own: no torch is imported, telemetry is off before onnxruntime begins, nothing is written at home."""
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).resolve().parent)!r})
import numpy as np
from pathlib import Path
from harness import Batch
from harness_ttm.config import read_config
from harness_ttm.forecaster import SeasonForecaster
from harness_ttm.runtime import choose_network
assert "onnxruntime" not in sys.modules
folder = Path({str(folder)!r})
network, name = choose_network(folder)
batch = Batch.from_contexts([np.sin(np.arange(99) / 3).astype("float32")], horizon=9, freq="H")
forecast = SeasonForecaster(network, read_config(folder)).predict(batch)
assert np.isfinite(forecast.values).all()
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
print(name, sorted(m for m in ("torch", "onnx", "onnxruntime", "safetensors") if m in sys.modules))
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={**environment, "HOME": str(home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("['onnxruntime']\n") and not done.stderr
    assert not list(home.rglob("*onnxruntime*"))


def test_the_command_writes_and_compares(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness_ttm import onnx_export

    target = copied(folder, tmp_path / "target")
    (target / "model.onnx").unlink()
    monkeypatch.setattr(sys, "argv", ["onnx_export", str(target)])
    onnx_export.main()
    said = capsys.readouterr().out
    assert (target / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    assert "the weights stay in model.safetensors" in said and float(said.split()[-1]) < 1e-5
    monkeypatch.setattr(sys, "argv", ["onnx_export", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        onnx_export.main()
    assert left.value.code == 2 and "there is no" in capsys.readouterr().err


def test_the_loader_uses_the_weights_of_the_folder_not_of_the_working_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(random_model(TINY, seed=9), tmp_path)
    arrays = inputs(TINY, 2, 1)
    wanted = onnx_network(folder, 1)(arrays)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(onnx_network(folder, 1)(arrays), wanted)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"torch cannot use device 'cuda': .*; use device=cpu"):
        choose_network(folder, "torch", "cuda")
    with pytest.raises(UsageError, match=r"torch cannot use device 'gpu0': .*; use device=cpu"):
        choose_network(folder, "auto", "gpu0")
