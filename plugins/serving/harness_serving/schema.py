"""What a request and the answers look like, as pydantic models: they check, and they make the OpenAPI document.

Strict: text is no number, true is no number, NaN and Infinity are no values (null is a missing one), a field that does not exist is an
error. A list is given up at its first bad value: a million complaints would cost more than the request.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, create_model

from harness.frequency import ALIASES, DIGITS
from harness.types import DECILES, ModelInfo
from harness_serving.limits import MOST_COVARIATES, MOST_LEVELS, Limits

__all__ = ["Error", "Forecasts", "Health", "Models", "request_model"]

LARGEST = float(np.finfo(np.float32).max)
LEAST_LEVEL = 0.001
LONGEST_SEASON = 86_400
FREQUENCY = f"^([1-9][0-9]{{0,{DIGITS - 1}}})?({'|'.join(ALIASES)})(-[A-Za-z]{{1,8}})?$"
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
DISTINCT: Any = {"uniqueItems": True}
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class Error(BaseModel):
    """Why a request was not answered with what it asked for."""

    error: str


class Health(BaseModel):
    """Whether forecasts are made. Of an exposed server, strangers are told `status` alone."""

    status: str = Field(description="ok | loading: the worker is being replaced | stopping")
    model: str | None = None
    version: str | None = None
    loaded: bool | None = Field(None, description="the model is loaded")
    alive: bool | None = Field(None, description="its process runs")
    queue: int | None = Field(None, description="requests that wait or are being forecast")


class OneModel(BaseModel):
    """A model that is served."""

    name: str
    version: str
    summary: str
    license: str
    weights_license: str
    output: str
    parameters: int | None
    covariates: list[str]
    max_context: int | None = Field(description="steps that the model reads; what is older is not sent to it")
    max_horizon: int
    max_series: int
    max_values: int = Field(description="values of one series that a request may have")


class Models(BaseModel):
    """The models that are served: one."""

    models: list[OneModel]


class OneForecast(BaseModel):
    """The forecast of one series, H steps. All values are float32."""

    item_id: str | None = None
    mean: list[float]
    quantiles: dict[str, list[float]] = Field(description='by level: {"0.1": [...], "0.9": [...]}, rising with the level')
    timestamps: list[str] | None = Field(None, description="of the H steps, UTC, where the series had a start")
    fallback: float | None = Field(
        None, description="share of the forecast that is a simple one in place of the model's own; left out where it is 0"
    )


class Forecasts(BaseModel):
    """The forecasts of the series, in their order."""

    model: str
    version: str
    freq: str
    season_length: int
    forecasts: list[OneForecast]


def request_model(limits: Limits, info: ModelInfo) -> type[BaseModel]:
    """The body of `POST /v1/forecast`, with the limits of a server and the covariates that its model reads."""
    longest = limits.max_context
    values: Any = Annotated[list[Number | None], Field(min_length=1, max_length=longest), FailFast()]
    series: dict[str, Any] = {
        "target": (values, Field(description="the series, oldest value first; null is a missing value")),
        "start": (
            str | None,
            Field(
                None, max_length=40, description="ISO time of the first value; without a zone it is UTC", examples=["2024-01-01T00:00:00"]
            ),
        ),
        "item_id": (str | None, Field(None, max_length=200)),
    }
    if "past" in info.covariates:
        named: Any = dict[str, values]
        about = "by name, as long as the target; the same names in all series"
        series["past_covariates"] = (named | None, Field(None, max_length=MOST_COVARIATES, description=about))
    if "known" in info.covariates:
        wide: Any = Annotated[list[Number | None], Field(min_length=1, max_length=longest + limits.max_horizon), FailFast()]
        about = "by name, as long as the target and the horizon; the same names in all series"
        series["known_covariates"] = (dict[str, wide] | None, Field(None, max_length=MOST_COVARIATES, description=about))
    one = create_model("Series", __config__=STRICT, **series)
    level: Any = Annotated[float, Field(ge=LEAST_LEVEL, le=round(1 - LEAST_LEVEL, 9))]
    horizon = min(limits.max_horizon, info.max_horizon or limits.max_horizon)
    made: type[BaseModel] = create_model(
        "ForecastRequest",
        __config__=STRICT,
        series=(Annotated[list[one], Field(min_length=1, max_length=limits.max_series), FailFast()], ...),  # type: ignore[valid-type]
        horizon=(int, Field(ge=1, le=horizon, description="steps to forecast")),
        freq=(
            str,
            Field(pattern=FREQUENCY, max_length=24, description="the step, as pandas writes it", examples=["H", "15T", "D", "W-SUN", "M"]),
        ),
        season_length=(int | None, Field(None, ge=1, le=LONGEST_SEASON, description="steps of a season; left out, that of the frequency")),
        quantile_levels=(
            list[level] | None,
            Field(
                None,
                min_length=1,
                max_length=MOST_LEVELS,
                json_schema_extra=DISTINCT,
                description="different ones",
                examples=[list(DECILES)],
            ),
        ),
        seed=(int, Field(0, ge=0, lt=2**63, description="of what a model draws; the same request and seed give the same forecast")),
    )
    return made
