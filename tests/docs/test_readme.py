"""The code blocks of README.md do what they say when they are pasted into a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"<!-- run: (?P<name>[a-z-]+) -->\n```(?P<language>\w+)\n(?P<code>.*?)\n```", re.DOTALL)
BLOCKS = {m["name"]: m for m in BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8"))}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A thin environment over this one: what a block installs is seen there and nowhere else."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    site = next(home.glob("lib/python*/site-packages"))
    # addsitedir, and not a bare path, so that the editable installations of this environment are seen too.
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    offline = "--no-deps --no-build-isolation --quiet --disable-pip-version-check"
    for name, command in (("harness", "-m harness"), ("pip", "-m pip")):
        script = home / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{python}" {command} "$@" {offline if name == "pip" else ""}\n')
        script.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_") and k not in ("GIFT_EVAL", "PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "HARNESS_CACHE": str(tmp_path / "cache")}


def run_block(name: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a block in an empty folder; return what it wrote to stdout."""
    work = folder / "work"
    work.mkdir()
    shell = ["bash", "-euo", "pipefail", "-c"] if BLOCKS[name]["language"] == "bash" else ["python", "-c"]
    command = [*shell, BLOCKS[name]["code"]]
    done = subprocess.run(command, check=False, cwd=work, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"block {name!r} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_marked_block_is_known() -> None:
    assert set(BLOCKS) == {"gift-eval", "plugin", "python", "suites"}


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_has_the_targets_that_the_readme_names() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"demo", "test", "install"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_plugin_block_makes_a_model_that_runs(tmp_path: Path, environment: dict[str, str]) -> None:
    assert len(BLOCKS["plugin"]["code"].splitlines()) < 30
    out = run_block("plugin", tmp_path, environment)
    assert re.search(r"^ mymodel .* own ", out, re.MULTILINE), out
    assert re.search(r"^ seasonal_naive .* own +1\.0+ +\S+ +\S+ +1\.0+ ", out, re.MULTILINE), out
    checks = "from harness.testing import checks\nfor check in checks('mymodel'):\n    if str(check) == 'mymodel-card': print(check())"
    done = subprocess.run(["python", "-c", checks], check=False, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stdout + done.stderr


def test_python_block_prints_scores(tmp_path: Path, environment: dict[str, str]) -> None:
    out = run_block("python", tmp_path, environment)
    assert out.startswith("MASE 1.865\n")
    assert "MASE[0.5]" in out
    assert re.search(r"seasonal_naive +1\.0", out), out


def test_the_other_suites_run_and_say_what_the_readme_says(tmp_path: Path, environment: dict[str, str]) -> None:
    outside = {key: value for key, value in environment.items() if key not in ("CGM", "SPY", "MONASH")}
    out = " ".join(run_block("suites", tmp_path, outside).split())
    assert "linear (full) own" in out and "shop: 2 models, 2 tasks" in out
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    said = " ".join(page.partition("```text\nVerdicts\n")[2].partition("```")[0].split())
    assert said.count("•") == 3
    assert said in out


@pytest.mark.slow
def test_gift_eval_block_runs_on_real_data(tmp_path: Path, environment: dict[str, str]) -> None:
    data = Path(os.environ.get("HARNESS_TEST_DATA", ROOT.parent / "shared" / "data")) / "gift-eval"
    if not data.is_dir():
        pytest.skip(f"needs GIFT-Eval data in {data}; HARNESS_TEST_DATA names another folder")
    out = run_block("gift-eval", tmp_path, {**environment, "GIFT_EVAL": str(data)})
    assert re.search(r"121 models, [\d,]+ results imported", out), out
    rows = re.findall(r"^ seasonal_naive +(own|gift-eval) +1\.0000 +1\.000–1\.000 +– +1\.0000 ", out, re.MULTILINE)
    assert set(rows) == {"own", "gift-eval"}, out
    assert (tmp_path / "work" / "gift-eval-results" / "seasonal_naive" / "all_results.csv").is_file()
