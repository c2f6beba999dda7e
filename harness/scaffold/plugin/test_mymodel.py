"""The checks that every model should pass, and what this one is to forecast. Run with: pytest"""

from __future__ import annotations

import pytest
from harness_mymodel import MyModel

from harness import Batch, UsageError
from harness.testing import Check, checks


@pytest.mark.parametrize("check", checks("mymodel"), ids=str)
def test_conformance(check: Check) -> None:
    check()


def test_the_last_value_and_the_steps_around_it() -> None:
    batch = Batch.from_contexts([[1.0, 3.0, 1.0, 3.0]], horizon=4, quantile_levels=[0.5, 0.8413447460685429])
    forecast = MyModel().predict(batch)
    assert forecast.values[0, 0].tolist() == [3.0, 3.0, 3.0, 3.0]
    # Every step was 2: one standard deviation is 2 · sqrt(h).
    assert forecast.values[0, 1].tolist() == pytest.approx([5.0, 3 + 2 * 2**0.5, 3 + 2 * 3**0.5, 7.0])


def test_a_bad_width_says_what_was_wanted() -> None:
    with pytest.raises(UsageError, match="width got -1; wanted a number of at least 0"):
        MyModel(width=-1)
