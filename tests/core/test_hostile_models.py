"""Whatever a model does costs its own cells and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support import GOOD, Lab

TASKS = "us_births/M/short,us_births/W/short"

BEHAVIOURS: dict[str, tuple[str, list[str], str]] = {
    # name: (body of predict, texts in the reason, kind of failure)
    "raises": ("raise ValueError('bad luck')", ["ValueError: bad luck"], "error"),
    "exits": ("sys.exit(5)", ["it called sys.exit(5)"], "error"),
    "os_exits": ("os._exit(9)", ["the worker ended itself with exit code 9"], "crash"),
    "segfaults": ("os.kill(os.getpid(), signal.SIGSEGV)", ["the worker was ended by SIGSEGV"], "crash"),
    "is_killed": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        ["the worker was ended by SIGKILL", "ran out of memory, try a smaller -b or fewer -j"],
        "crash",
    ),
    "closes": ("os.closerange(3, 1000); time.sleep(60)", ["closed its connection"], "crash"),
    "says_and_exits": (
        "print('kernel assertion', flush=True); os._exit(1)",
        ["exit code 1; the last it printed: kernel assertion"],
        "crash",
    ),
    "nan": ("y = last(batch); y[0, 0] = np.nan; return Forecast.from_points(y)", ["1 NaN and 0 infinite values in 1 of"], "forecast"),
    "infinite": ("y = last(batch); y[-1, 0] = np.inf; return Forecast.from_points(y)", ["0 NaN and 1 infinite values"], "forecast"),
    "short": ("return Forecast.from_points(last(batch)[:, 1:])", ["predict returned points of shape", "H steps"], "forecast"),
    "few_rows": ("return Forecast.from_points(last(batch)[1:])", ["N windows", "One row for each window"], "forecast"),
    "none": ("return None", ["predict returned NoneType; wanted a Forecast", "Forecast.from_points(points [N, H])"], "forecast"),
    "list": ("return [[1.0]]", ["predict returned list; wanted a Forecast"], "forecast"),
    "lists": ("return Forecast('points', [[[1.0]]])", ["a Forecast whose values are a list", "Forecast.from_points(...)"], "forecast"),
    "frame": ("import pandas; return pandas.DataFrame(last(batch))", ["predict returned DataFrame; wanted a Forecast"], "forecast"),
    "text": ("return Forecast.from_points([['a']])", ["from_points could not read list as numbers"], "forecast"),
    "needs": ("import no_such_package_xyz", ["it needs the package 'no_such_package_xyz'", "pip install no_such_package_xyz"], "error"),
    "no_memory": ("raise MemoryError", ["MemoryError"], "memory"),
    "panics": ("class Panic(BaseException): pass\n        raise Panic('rust')", ["Panic: rust"], "error"),
    "odd_text": ("raise ValueError('cannot read \\udcff and \\0')", ["ValueError: cannot read ? and �"], "error"),
    "mute_error": (
        "class Mute(Exception):\n            def __str__(self): raise KeyError\n        raise Mute",
        ["Mute: (an error without a readable text)"],
        "error",
    ),
    "odd_error": ("raise ValueError('line one\\nline two \\x1b[31m' + 'x' * 100_000)", ["ValueError: line one"], "error"),
}

HARMLESS: dict[str, str] = {
    "loud": (
        "print('x' * 10_000_000); sys.stderr.write('y' * 10_000_000); os.write(1, b'z' * 1_000_000)\n"
        "        return Forecast.from_points(last(batch))"
    ),
    "mutates": "y = last(batch); batch.contexts.values[:] = 7; batch.starts[:] = 0; batch.seeds[:] = 0; return Forecast.from_points(y)",
    "chatty": "print('x' * 1_000_000); return Forecast.from_points(last(batch))",
    "keeps": "self.kept = getattr(self, 'kept', []) + [batch]; return Forecast.from_points(last(batch))",
    "threads": "threading.Thread(target=time.sleep, args=(600,)).start(); return Forecast.from_points(last(batch))",
    "thirsty": "if len(batch) > 3: raise MemoryError\n        return Forecast.from_points(last(batch))",
    "cuda_like": "if len(batch) > 5: raise RuntimeError('CUDA error: out of memory')\n        return Forecast.from_points(last(batch))",
    "global_noise": "np.random.seed(1); import random; random.seed(1); os.chdir('/'); return Forecast.from_points(last(batch))",
}


def body(source: str) -> str:
    return f"class M:\n    def predict(self, batch):\n        {source}\n"


def plugin(lab: Lab, name: str, source: str, more: str = "") -> None:
    lab.plugin(name, f"{source}\n@hookimpl\ndef register_models(register): register(ModelInfo('{name}'{more}), M)\n")


@pytest.fixture
def hostile(lab: Lab) -> Lab:
    lab.plugin("good", GOOD)
    return lab


def test_each_failure_costs_only_its_own_cells(hostile: Lab) -> None:
    for name, (source, _, _) in BEHAVIOURS.items():
        plugin(hostile, name, body(source))
    names = list(BEHAVIOURS)
    done = hostile.models(",".join([*names, "good"]), "-j", "2", tasks=TASKS).expect(3)
    cells = done.cells()
    for name, (_, texts, kind) in BEHAVIOURS.items():
        for task in TASKS.split(","):
            cell = cells[name, task]
            assert (cell["status"], cell["failure"]) == ("failed", kind), cell
            for text in texts:
                assert text in cell["reason"], cell
            assert cell["scores"] == {}
    assert [cells["good", t]["status"] for t in TASKS.split(",")] == ["ok", "ok"]
    assert len(cells["odd_error", "us_births/M/short"]["reason"]) <= 2000
    assert "\x1b" not in done.err
    hostile.run("run", "-m", "raises", "-t", TASKS).expect(3, "reused 2 (2 of them failed: --rerun failed does them again)", "harness show")
    hostile.run("show", cells["raises", "us_births/M/short"]["id"]).expect(0, "ValueError: bad luck", "Traceback")


def test_inprocess_failures_cost_only_their_own_cells(hostile: Lab) -> None:
    names = ["raises", "exits", "nan", "short", "none", "needs", "no_memory", "panics", "odd_text", "mute_error"]
    for name in names:
        plugin(hostile, name, body(BEHAVIOURS[name][0]))
    cells = hostile.models(",".join([*names, "good"]), "--isolation", "inprocess").expect(3).cells()
    for name in names:
        cell = cells[name, "us_births/M/short"]
        assert (cell["status"], cell["failure"]) == ("failed", BEHAVIOURS[name][2]), cell
        assert BEHAVIOURS[name][1][0] in cell["reason"]
    assert cells["good", "us_births/M/short"]["status"] == "ok"


@pytest.mark.parametrize("isolation", ["process", "inprocess"])
def test_bad_manners_change_no_score(hostile: Lab, isolation: str) -> None:
    names = [n for n in HARMLESS if not (isolation == "inprocess" and n in ("loud", "threads", "global_noise"))]
    for name in names:
        plugin(hostile, name, body(HARMLESS[name]))
    cells = hostile.models(",".join(["good", *names]), "--isolation", isolation, "-b", "9", tasks=TASKS).expect(0).cells()
    for task in TASKS.split(","):
        for name in names:
            assert cells[name, task]["scores"] == cells["good", task]["scores"], name


def test_crossing_quantiles_are_sorted_and_counted(lab: Lab) -> None:
    good = "y = last(batch); return Forecast.from_quantiles(np.stack([y + i for i in range(9)], 1), batch.quantile_levels)"
    plugin(lab, "sorted_", body(good))
    plugin(lab, "crossed", body(good.replace("y + i", "y + 8 - i")))
    cells = lab.models("sorted_,crossed").expect(0).cells()
    assert cells["sorted_", "us_births/M/short"]["scores"] == cells["crossed", "us_births/M/short"]["scores"]
    assert lab.query("SELECT model, crossings FROM cells ORDER BY model") == [("crossed", 24), ("sorted_", 0)]


def test_unsupported_is_skipped_with_exit_code_0(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    plugin(lab, "picky", body("raise Unsupported('no weekly data')"))
    plugin(lab, "picky_load", "class M:\n    def __init__(self): raise Unsupported('needs a GPU')\n")
    plugin(lab, "near", body("return Forecast.from_points(last(batch))"), more=", max_horizon=8")
    cells = lab.models("picky,picky_load,near,good", tasks=TASKS).expect(0).cells()
    states = {k: (c["status"], c["reason"]) for k, c in cells.items()}
    assert states["picky", "us_births/W/short"] == ("skipped", "no weekly data")
    assert states["picky_load", "us_births/W/short"] == ("skipped", "needs a GPU")
    assert states["near", "us_births/M/short"] == ("skipped", "horizon 12 is beyond the 8 steps that near can forecast")
    assert states["near", "us_births/W/short"] == ("ok", "")


def test_load_failures_name_the_install_line_and_are_tried_again(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    plugin(lab, "heavy", "class M:\n    def __init__(self): import no_such_package_xyz\n", more=", install='pip install acme-heavy'")
    plugin(lab, "plain", "class M:\n    def __init__(self): import no_such_package_xyz\n")
    plugin(lab, "leaves", "class M:\n    def __init__(self): sys.exit('no')\n")
    plugin(lab, "dies", "class M:\n    def __init__(self): os.abort()\n")
    done = lab.models("heavy,plain,leaves,dies,good", tasks=TASKS).expect(3)
    reasons = {m: c["reason"] for (m, _), c in done.cells().items()}
    assert reasons["heavy"].endswith("it needs the package 'no_such_package_xyz', which is not installed. Type: pip install acme-heavy")
    assert reasons["plain"].endswith("Type: pip install no_such_package_xyz")
    assert "sys.exit('no')" in reasons["leaves"]
    assert "SIGABRT" in reasons["dies"]
    assert {c["failure"] for (m, _), c in done.cells().items() if m != "good"} == {"load"}
    assert {c["status"] for (m, _), c in done.cells().items() if m == "good"} == {"ok"}
    again = lab.models("heavy,good", tasks=TASKS).expect(3).cells()
    assert not again["heavy", "us_births/M/short"]["cached"]
    assert again["good", "us_births/M/short"]["cached"]


def test_timeout_in_load_and_in_predict(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    plugin(lab, "stuck", body("time.sleep(600)"))
    plugin(lab, "stuck_in_c", body("import ctypes; ctypes.PyDLL(None).sleep(600)"))  # holds the interpreter's lock
    plugin(lab, "stuck_load", "class M:\n    def __init__(self): time.sleep(600)\n")
    start = time.monotonic()
    done = lab.models("stuck,stuck_in_c,stuck_load,good", "--timeout", "3s", "-j", "2").expect(3, "it took longer than --timeout allows")
    cells = done.cells()
    assert time.monotonic() - start < 30
    kinds = {m: c["failure"] for (m, _), c in cells.items()}
    assert kinds == {"stuck": "timeout", "stuck_in_c": "timeout", "stuck_load": "load", "good": ""}
    lab.models("stuck", "--timeout", "3", "--isolation", "inprocess").expect(2, "--timeout needs --isolation process")


def test_children_of_a_model_end_with_it(lab: Lab) -> None:
    """Also when the worker is killed: a forked child holds the worker's socket, which must not keep the run waiting."""
    spawn = "p = subprocess.Popen(['sleep', '987']); open(os.environ['PIDS'], 'a').write(f'{p.pid}\\n')"
    fork = "pid = os.fork()\n        if pid == 0: time.sleep(987)\n        open(os.environ['PIDS'], 'a').write(f'{pid}\\n')"
    plugin(lab, "spawns", body(f"{spawn}; return Forecast.from_points(last(batch))"))
    plugin(lab, "forks_and_dies", body(f"{fork}\n        os.kill(os.getpid(), signal.SIGKILL)"))
    pids = lab.folder / "pids"
    cells = lab.models("spawns,forks_and_dies", env={"PIDS": str(pids)}, timeout=60).expect(3).cells()
    assert cells["spawns", "us_births/M/short"]["status"] == "ok"
    assert "SIGKILL" in cells["forks_and_dies", "us_births/M/short"]["reason"]
    left = [int(p) for p in pids.read_text().split()]
    assert len(left) == 2
    assert wait_gone(left) == []


def wait_gone(pids: list[int], seconds: float = 5.0) -> list[int]:
    """Those of the processes that are still there (and no zombies) after a while."""
    end = time.monotonic() + seconds
    while (alive := [p for p in pids if _alive(p)]) and time.monotonic() < end:
        time.sleep(0.05)
    return alive


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_memory_is_halved_and_scores_are_the_same(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    plugin(lab, "thirsty", body(HARMLESS["thirsty"]))
    plugin(lab, "fixed", body(HARMLESS["thirsty"]), more=", batch_dependent=True")
    cells = lab.models("good,thirsty,fixed", tasks="us_births/W/short").expect(3).cells()
    assert cells["good", "us_births/W/short"]["scores"] == cells["thirsty", "us_births/W/short"]["scores"]
    assert cells["fixed", "us_births/W/short"]["failure"] == "memory"
    sizes = dict(lab.query("SELECT model, batch_size FROM cells WHERE status = 'ok'"))
    assert sizes["good"] == 14
    assert sizes["thirsty"] <= 3


def test_a_metric_that_raises_fails_the_cell(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    source = "def value(sums): raise KeyError('nope')\n@hookimpl\ndef register_metrics(register): register(Metric('odd', value))"
    lab.plugin("bad_metric", source)
    lab.models("good").expect(3, "metric 'odd' raised KeyError: 'nope'; wanted a number", "harness ls metrics")
    lab.plugin("bad_metric", source.replace("value))", "len, statistics=value))"))
    lab.models("good").expect(3, "the statistics of a plugin's metric ('odd') raised KeyError: 'nope'", "harness ls metrics")
    lab.plugin("bad_metric", source.replace("raise KeyError('nope')", "sys.exit(0)"))
    lab.models("good", "--rerun", "failed").expect(3, "metric 'odd' raised SystemExit: 0")
    lab.plugin("bad_metric", source.replace("raise KeyError('nope')", "sys.exit(0)").replace("value))", "len, statistics=value))"))
    lab.models("good", "--rerun", "failed").expect(3, "statistics of a plugin's metric ('odd') raised SystemExit: 0")


def test_what_a_factory_returns_may_be_no_model(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    lab.plugin("odd", "@hookimpl\ndef register_models(register):\n    register(ModelInfo('plain_dict'), dict)\n")
    done = lab.models("plain_dict,good").expect(3, "the factory returned a dict; wanted an object with a method predict(batch)")
    assert done.cells()["good", "us_births/M/short"]["status"] == "ok"


def test_a_hook_that_raises_costs_nothing(lab: Lab) -> None:
    lab.plugin("good", GOOD)
    names = ("run_started(run)", "cell_finished(cell, outcome)", "run_finished(run)")
    listen = "".join(f"@hookimpl\ndef {n}: print('heard {n}', file=sys.stderr)\n" for n in names)
    lab.plugin("first", listen.replace("heard", "first"))
    lab.plugin(
        "grumpy",
        "@hookimpl\ndef run_started(run): raise ValueError('one')\n@hookimpl\ndef cell_finished(cell, outcome): sys.exit(0)\n"
        "@hookimpl\ndef run_finished(run): raise ValueError('three')\n",
    )
    lab.plugin("last", listen.replace("heard", "last"))
    done = lab.models("good").expect(0)
    for hook, text in (
        ("run_started", "ValueError: one"),
        ("cell_finished", "it called sys.exit(0)"),
        ("run_finished", "ValueError: three"),
    ):
        assert f"plugin 'grumpy': hook {hook}: {text} (said once)" in done.err
    for name in names:
        assert f"first {name}" in done.err
        assert f"last {name}" in done.err
