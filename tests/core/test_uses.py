"""Models made of other models' kept forecasts: how members are named, and that their cells are finished first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from harness import ModelInfo, PluginError, Unsupported, UsageError
from harness.identity import label
from harness.jobs import Jobs
from harness.plugins import load
from harness.selection import select_models, split_list
from harness.uses import Uses, members, split_member


@pytest.mark.parametrize("name", ["ttm (fine)", "ttm@", "ttm@nothing", "ttm (few-shot)", "ttm (few-shot:2)"])
def test_a_mode_that_does_not_exist_is_refused(name: str) -> None:
    if name == "ttm@":
        assert split_member(name) == ("ttm@", "zero-shot", "")  # no mode is named: a name like any other
        return
    with pytest.raises(UsageError, match="wanted zero-shot, finetune, full, ttt or few-shot:SHARE"):
        split_member(name)


def uses(answer: Any) -> Any:
    def factory() -> None: ...

    def method(**_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    factory.uses = method  # type: ignore[attr-defined]
    return SimpleNamespace(info=ModelInfo("of"), factory=factory)


def test_what_uses_returns_is_checked() -> None:
    assert members(uses(["a", "b[c=1]"]), {}) == ["a", "b[c=1]"]
    assert members(load().model("naive"), {}) is None
    for answer, kind, message in (
        ([], PluginError, "wanted names of models"),
        ([1], PluginError, "wanted names of models"),
        (["a", "a"], UsageError, "names 'a' twice"),
        (KeyError("x"), PluginError, "KeyError"),
        (Unsupported("none"), Unsupported, "none"),
    ):
        with pytest.raises(kind, match=message):
            members(uses(answer), {"k": 1})


class Others:
    """Stands for what is installed: {model: whom it uses}."""

    def __init__(self, **models: list[str] | None) -> None:
        self.models = {name: self._registered(name, names) for name, names in models.items()}

    @staticmethod
    def _registered(name: str, names: list[str] | None) -> Any:
        factory: Any = (lambda **_: None) if names is None else uses(names).factory
        return SimpleNamespace(info=ModelInfo(name), factory=factory, parameters=None)


def depths(models: Others, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    monkeypatch.setattr("harness.uses.select_models", lambda _, names: [(models.models[names[0]], {})])
    lookup = Uses(models, None)  # type: ignore[arg-type]
    return lambda name: lookup.depth(models.models[name], {})


def test_models_that_use_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = depths(Others(a=["b"], b=["d", "c (finetune)"], c=["b"], d=None, alone=["alone"], twice=["d", "e"], e=["d"]), monkeypatch)
    assert [depth(name) for name in ("d", "e", "twice")] == [0, 1, 2]
    for name, said in (("a", "b uses c and that uses b"), ("c", "c uses b and that uses c"), ("alone", "alone uses alone")):
        with pytest.raises(UsageError, match=f"^{said}; wanted models without a circle"):
            depth(name)


def test_a_row_of_models_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {f"m{n}": [f"m{n + 1}"] for n in range(40)}
    depth = depths(Others(**row, m40=None), monkeypatch)
    assert depth("m25") == 15
    with pytest.raises(UsageError, match="m0 uses m1, and so on over 20 models; wanted fewer"):
        depth("m0")


def test_a_circle_is_refused_where_members_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    models = Others(a=["b"], b=["a"])
    monkeypatch.setattr("harness.uses.select_models", lambda _, names: [(models.models[names[0]], {})])
    with pytest.raises(UsageError, match="a uses b and that uses a; wanted"):
        Uses(models, None).find(models.models["a"], {}, SimpleNamespace(), "", 0, "")  # type: ignore[arg-type]


def test_a_name_with_brackets_in_a_parameter_reads_back() -> None:
    for value in ("ttm[context=512]+naive", "a[b=1,c=2]+d", "a,b", "a]b[", "[a", "a[b{c}]", 'a["b"]', "x[y=z[w=1]]"):
        name = label("window_average", {"window_size": value})
        assert split_list(f"naive,{name},drift") == ["naive", name, "drift"]
        ((_, params),) = select_models(load(), name)
        assert params == {"window_size": value}
    assert label("m", {"of": "ttm[context=512]+naive"}) == "m[of=ttm[context=512]+naive]"


def cell(model: str, number: int) -> Any:
    return SimpleNamespace(id=f"{model}{number}", model=model)


def test_cells_of_greater_depth_wait_until_the_others_are_finished() -> None:
    cells = [cell("late", 0), cell("first", 0), cell("first", 1), cell("last", 0)]
    jobs = Jobs(cells, {"late": 1, "last": 2})
    assert jobs.model() == "first"
    done = [jobs.take("first"), jobs.take("first"), jobs.take("first")]
    assert done == [*cells[1:3], None]
    jobs.release("first")
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(jobs.model()))
    thread.start()
    jobs.finished(cells[1])
    time.sleep(0.3)
    assert got == []  # one of them is still being scored
    jobs.finished(cells[2])
    thread.join(5)
    assert got == ["late"]
    assert jobs.take("late") == cells[0]
    jobs.finished(cells[0])
    jobs.finished(cell("strange", 1))
    assert jobs.model() == "last"
    assert jobs.take("last") == cells[3]
    assert jobs.model() is None


def test_nobody_waits_when_the_run_is_stopped() -> None:
    stop = threading.Event()
    jobs = Jobs([cell("first", 0), cell("late", 0)], {"late": 1}, stop.is_set)
    jobs.model()
    jobs.take("first")
    got: list[str | None] = []
    thread = threading.Thread(target=lambda: got.append(jobs.model()))
    thread.start()
    stop.set()
    thread.join(5)
    assert got == [None]


def test_two_names_of_one_result_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one budget, "a (finetune)" and "a (finetune 9steps)" are one result, which would count twice."""
    models = Others(of=["a (finetune)", "a (finetune 9steps)"], a=None)
    monkeypatch.setattr("harness.uses.select_models", lambda _, names: [(models.models[names[0]], {})])
    lookup = Uses(models, None)  # type: ignore[arg-type]
    task: Any = SimpleNamespace(suite="s", name="t")

    def trained(steps: int) -> Any:
        return SimpleNamespace(id=f"a{steps}", model="a", mode="finetune", budget=f"{steps}steps", seed=0, scope="", task=task)

    lookup.add(trained(9))
    with pytest.raises(Unsupported, match=r"a \(finetune\) and a \(finetune 9steps\) are one result on s:t; wanted each model once"):
        lookup.find(models.models["of"], {}, task, "", 0, "")
    lookup.add(trained(20))
    found = lookup.find(models.models["of"], {}, task, "", 0, "") or []
    assert [used.cell_id for used in found] == ["a20", "a9"]
