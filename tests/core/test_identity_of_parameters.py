"""Parameters in a result's identity: weights count by their content, and two values never share a label."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import GOOD, Lab

from harness import ModelInfo, PluginError, UsageError, identity
from harness.identity import file_digest, label
from harness.plugins import load
from harness.selection import Sweep, _canonical, expanded, select_models, split_list


def test_a_file_is_read_once_and_again_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"one")
    reads: list[str] = []
    plain = Path.open

    def counted(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if mode == "rb":
            reads.append(self.name)
        return plain(self, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", counted)
    first = file_digest(str(weights))
    assert [file_digest(str(weights)) for _ in range(97)] == [first] * 97
    assert reads == ["model.pt"]
    weights.write_bytes(b"two")
    os.utime(weights, ns=(1, 1))
    second = file_digest(str(weights))
    assert second != first
    assert reads == ["model.pt"] * 2
    other = tmp_path / "copy.pt"
    other.write_bytes(b"two")
    assert file_digest(str(other)) == second


def test_names_without_a_slash_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.ckpt").write_bytes(b"one")
    assert file_digest("model.ckpt") == file_digest(str(tmp_path / "model.ckpt")) != ""
    assert file_digest("none.ckpt") == ""


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ttm").mkdir()
    (tmp_path / "ttm" / "model.safetensors").write_bytes(b"one")
    assert file_digest("~/ttm") == file_digest(str(tmp_path / "ttm")) != ""
    assert file_digest("~/ttm/model.safetensors") == file_digest(str(tmp_path / "ttm" / "model.safetensors")) != ""
    assert file_digest("~") == file_digest("~nobody-like-that/ttm") == file_digest("~/none") == ""


def test_a_folder_counts_with_the_names_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "part.txt").write_text("x")
    assert file_digest(str(folder)) == ""  # nothing says that these are weights
    (folder / "config.json").write_text("{}")
    seen = {file_digest(str(folder))}
    for change in (
        lambda: (deep / "part.txt").write_text("yy"),
        lambda: (deep / "part.txt").rename(deep / "other.txt"),
        lambda: (deep / "other.txt").rename(folder / "a" / "other.txt"),
        lambda: (folder / "model.safetensors").symlink_to(deep.parent / "other.txt"),
    ):
        change()
        now = file_digest(str(folder))
        assert now not in seen
        seen.add(now)
    for harmless in (folder / ".cache", deep / "c"):  # hidden, and four levels down
        harmless.mkdir()
        (harmless / "more.json").write_text("{}")
        assert file_digest(str(folder)) == now


def test_no_folder_that_only_happens_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.json").write_text("{}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.json").write_text("{}")
    assert [file_digest(text) for text in ("/", ".", "", "home", "home/../home", str(tmp_path), "x" * 5000, "a\0b")] == [""] * 8


def test_a_folder_of_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "MOST_FILES", 3)
    for k in range(4):
        (tmp_path / f"{k}.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds more than 3 files; name a folder of weights alone, or one file"):
        file_digest(str(tmp_path))


def test_weights_belong_to_the_id_of_a_cell(lab: Lab) -> None:
    lab.plugin("good", GOOD.replace("class Good:", "class Good:\n    def __init__(self, weights=''): pass\n"))

    def cell() -> str:
        (found,) = lab.models("good[weights=model.pt]").expect(0).json()["cells"]
        return str(found["id"])

    (lab.folder / "model.pt").write_bytes(b"one")
    first = cell()
    assert cell() == first
    (lab.folder / "model.pt").write_bytes(b"two")
    assert cell() != first


VALUES: list[Any] = [
    7, "7", 7.0, True, "True", "true", None, "None", "null", "small", "", " x ",
    "größe", "a,b", "a]b[", 'a"b', "a\nb", [1, "x,]"], "[1]", {"a": 1}, "{a,b}",
]  # fmt: skip


def test_a_label_says_one_thing_and_reads_back() -> None:
    labels = [label("seasonal_naive", {"season_length": value}) for value in VALUES]
    assert len(set(labels)) == len(VALUES)
    assert labels[0] == "seasonal_naive[season_length=7]"
    assert labels[1] == 'seasonal_naive[season_length="7"]'
    for text, value in zip(labels, VALUES, strict=True):
        assert split_list(text) == [text]
        ((_, params),) = select_models(load(), text)
        assert params == {"season_length": value}
        assert type(params["season_length"]) is type(value)


def test_values_in_braces_make_a_model_each() -> None:
    def params(text: str, *arguments: str) -> list[dict[str, Any]]:
        return [params for _, params in select_models(load(), text, arguments)]

    assert params("seasonal_naive[season_length={7,12,7}],naive") == [{"season_length": 7}, {"season_length": 12}, {}]
    assert params("seasonal_naive", "season_length={7,[1,2]}") == [{"season_length": 7}, {"season_length": [1, 2]}]
    assert params('seasonal_naive[season_length={"7"}]') == [{"season_length": "7"}]
    assert params("seasonal_naive[season_length={7}]", "season_length={1,2}") == [{"season_length": 7}]  # brackets go before -M
    for literal in ('{"a":{"b":[1,2]}}', "{}", '"{7\\u002c8}"', "{7", "[{}]"):
        (found,) = params(f"seasonal_naive[season_length={literal}]")
        assert not isinstance(found["season_length"], tuple)
    with pytest.raises(UsageError, match=r"wanted values between the braces, as in season_length=\{1e-5"):
        params("seasonal_naive[season_length={ , }]")


def test_several_values_in_braces_make_every_combination() -> None:
    assert expanded({"a": Sweep((1, 2)), "b": [3], "c": Sweep("xy")}) == [{"a": a, "b": [3], "c": c} for a in (1, 2) for c in "xy"]


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ValueError("no"), UsageError, "model 'own' got parameters of no use: no"),
        (KeyError("x"), PluginError, r"own: canonical_params\(width=2\) raised KeyError: 'x'"),
        (UsageError("width got 2"), UsageError, "^width got 2$"),
    ],
)
def test_what_canonical_params_raises_is_no_traceback(error: Exception, kind: type[Exception], said: str) -> None:
    class Own:
        def __init__(self, width: int = 1) -> None: ...

        @staticmethod
        def canonical_params(**_: Any) -> dict[str, Any]:
            raise error

    with pytest.raises(kind, match=said):
        _canonical(SimpleNamespace(info=ModelInfo("own"), factory=Own), {"width": 2})  # type: ignore[arg-type]


def test_a_file_of_weights_counts_with_its_description(tmp_path: Path) -> None:
    from harness.identity import _files

    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    assert list(dict(_files("weights", str(weights)))) == ["weights"]
    (tmp_path / "config.json").write_text("{}")
    first = dict(_files("weights", str(weights)))
    (tmp_path / "config.json").write_text('{"layers": 2}')
    second = dict(_files("weights", str(weights)))
    assert first["weights"] == second["weights"] and first["weights beside"] != second["weights beside"]
