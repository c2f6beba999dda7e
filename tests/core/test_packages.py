"""The four packages know each other through the core alone: what one registers, another finds by a hook, a command or the store."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "harness": ROOT / "harness",
    "harness_tasks": ROOT / "tasks" / "harness_tasks",
    "harness_results": ROOT / "results" / "harness_results",
    "harness_leaderboard": ROOT / "leaderboard" / "harness_leaderboard",
}
PARTS = [name for name in FOLDERS if name != "harness"]


@pytest.mark.parametrize("package", FOLDERS)
def test_a_package_names_no_other_than_the_core(package: str) -> None:
    files = sorted(FOLDERS[package].rglob("*.py"))
    assert len(files) > 3
    named = {other: [file.name for file in files if other in file.read_text(encoding="utf-8")] for other in PARTS if other != package}
    assert named == {other: [] for other in named}
