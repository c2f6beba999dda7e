"""What a class of the user's is made with: anew where anything that its constructor is given changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gluonts", reason="gluonts is not installed: pip install harness-gluonts")

from harness import Batch
from harness.plugins import load

SEASONAL = "gluonts.model.seasonal_naive.SeasonalNaivePredictor"


def test_a_season_of_another_length_is_another_predictor() -> None:
    """Two tasks of one horizon and frequency may have different seasons."""
    batch = Batch.from_contexts([np.arange(20.0)], 4, freq="D")

    def predict(model: Any, season: int) -> Any:
        return model.predict(replace(batch, season_length=season)).values[0, 0].tolist()

    model = load().model("gluonts").factory(target=SEASONAL)
    assert predict(model, 2) == [18, 19, 18, 19]
    assert predict(model, 4) == [16, 17, 18, 19]
    assert predict(model, 2) == [18, 19, 18, 19]
    assert len(model._made) == 2
    fixed = load().model("gluonts").factory(target=SEASONAL, season_length=3)
    assert predict(fixed, 2) == predict(fixed, 4) == [17, 18, 19, 17]
