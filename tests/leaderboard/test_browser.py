"""What becomes of the page's tests where no browser is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import find_chromium, without_browser


def test_without_a_browser_tests_are_skipped_and_in_ci_they_fail() -> None:
    with pytest.raises(pytest.skip.Exception, match="HARNESS_CHROMIUM names one"):
        without_browser("no Chromium: HARNESS_CHROMIUM names one", {})
    with pytest.raises(pytest.fail.Exception, match="HARNESS_REQUIRE_CHROMIUM is set, and there is no Chromium"):
        without_browser("no Chromium", {"HARNESS_REQUIRE_CHROMIUM": "1"})


def test_the_browser_that_is_named_is_taken_if_it_is_there(tmp_path: Path) -> None:
    file = tmp_path / "chromium"
    assert find_chromium({"HARNESS_CHROMIUM": str(file)}) != str(file)
    file.touch()
    assert find_chromium({"HARNESS_CHROMIUM": str(file)}) == str(file)


def test_ci_asks_for_a_browser() -> None:
    assert "HARNESS_REQUIRE_CHROMIUM=1" in (Path(__file__).parents[2] / ".ci" / "run").read_text()
