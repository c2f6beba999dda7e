"""`harness.parameters`: what passes comes back, and what does not is told with what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness import UsageError
from harness.parameters import check_device, check_gpu, choice, positive, truth, whole

WORDS = ("auto", "linear", "none")


@pytest.mark.parametrize(
    ("check", "value", "more", "found"),
    [
        (whole, 3, (), 3),
        (whole, 7, (7, 7), 7),
        (whole, None, (1, 9, 4), 4),
        (positive, 1, (1,), 1.0),
        (positive, 1e-9, (), 1e-9),
        (truth, False, (), False),
        (choice, "none", (WORDS,), "none"),
    ],
)
def test_what_passes(check: Callable[..., Any], value: object, more: tuple[Any, ...], found: object) -> None:
    assert check("tiny", "size", value, *more) == found
    assert check_device("tiny", "cuda:1") == "cuda:1"
    check_gpu("tiny", "cpu")


@pytest.mark.parametrize(
    ("check", "value", "more", "wanted"),
    [
        (whole, 0, (), "a whole number of at least 1"),
        (whole, True, (), "a whole number of at least 1"),
        (whole, 2.0, (), "a whole number of at least 1"),
        (whole, None, (), "a whole number of at least 1"),
        (whole, 10, (2, 9), "a whole number from 2 to 9"),
        (positive, 0, (), "a number above 0"),
        (positive, float("nan"), (), "a number above 0"),
        (positive, float("inf"), (), "a number above 0"),
        (positive, 10**400, (), "a number above 0"),
        (positive, True, (), "a number above 0"),
        (positive, 1.5, (1,), "a number above 0, at most 1"),
        (truth, 1, (), "true or false"),
        (choice, "lineal", (WORDS,), "auto, linear or none. Did you mean 'linear'?"),
        (choice, [7], (WORDS,), "auto, linear or none."),
    ],
)
def test_what_is_refused(check: Callable[..., Any], value: object, more: tuple[Any, ...], wanted: str) -> None:
    with pytest.raises(UsageError) as said:
        check("tiny", "size", value, *more)
    assert str(said.value) == f"tiny: size got {value!r}; wanted {wanted}"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "", None, 3, "cpu\n"])
def test_devices_that_are_none(device: object) -> None:
    with pytest.raises(UsageError, match=r"tiny: device got .*; wanted cpu, cuda or cuda:0"):
        check_device("tiny", device)
