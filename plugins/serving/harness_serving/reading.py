"""From the bytes of a request to windows, and from forecasts to an answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from harness.errors import DataError
from harness.forecast import F32
from harness.frequency import season_length, shift, split
from harness.types import DECILES, ModelInfo
from harness_serving.limits import MOST_COVARIATES, MOST_NUMBERS, MOST_PARTS, Limits, Refused
from harness_serving.served import Answer
from harness_serving.windows import LAST_YEAR, Key, Row, make_row, years

__all__ = ["Bodies", "answer_of", "most_parts", "parse", "rows_of"]

Message = MutableMapping[str, Any]
NO_START = np.datetime64("2000-01-01", "s")
"""The start of a series that has none."""
SHOWN = 5
"""Complaints about one request."""
PART = re.compile(rb'[^"\[{]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{])', re.DOTALL)
"""Up to the end of a string, or the beginning of a list or an object. It never looks back: its time is that of the length."""


class Bodies:
    """Reads bodies within limits of size, time and memory; `held` bytes of them are in memory."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.held = 0

    @contextmanager
    def room(self) -> Iterator[list[int]]:
        """For the time in which a body is needed: its bytes so far, which count as held until the end."""
        mine = [0]
        try:
            yield mine
        finally:
            self.held -= mine[0]

    async def read(self, headers: MutableMapping[str, str], receive: Callable[[], Awaitable[Message]], mine: list[int]) -> bytes:
        """The body of a request, by its stream: what it says of its length is believed only where that is too much.

        Raises:
            Refused: 413, 408, 503 where other bodies fill the memory, 499 where the client went away.
        """
        most = self.limits.max_body
        said = headers.get("content-length", "")
        if said.isdecimal() and (len(said) > 18 or int(said) > most):
            raise Refused(413, f"the body has {said[:30]} bytes; wanted at most {most} (--max-body)")
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.read_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(499, "the client has gone")
                    chunk = message.get("body", b"")
                    mine[0] += len(chunk)
                    self.held += len(chunk)
                    body += chunk
                    if len(body) > most:
                        raise Refused(413, f"the body has more than {most} bytes (--max-body); send fewer or shorter series")
                    if self.held > self.limits.held:
                        raise Refused(503, "other requests fill the memory for bodies", retry=1)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise Refused(408, f"the body was not here within {self.limits.read_timeout:g} s (--read-timeout)") from None


def most_parts(limits: Limits, info: ModelInfo) -> int:
    """Strings, lists and objects that a request may have: as many as a right one has at most, or a number that costs little."""
    covariates = MOST_COVARIATES * len({"past", "known"} & set(info.covariates))
    return max(MOST_PARTS, 10 + limits.max_series * (11 + 2 * covariates))


def crowded(body: bytes, most: int) -> bool:
    """Whether JSON has more than `most` strings, names of fields among them, lists and objects."""
    if sum(map(body.count, (b'"', b"[", b"{"))) <= most:
        return False
    count = at = 0
    while count <= most and (found := PART.match(body, at)):  # anchored: a search would begin anew at every byte behind the last one
        at, count = found.end(), count + 1
    return count > most


def parse(body: bytes, model: type[BaseModel], info: ModelInfo, most: int) -> Any:
    """The request in a body.

    Args:
        most: strings, lists and objects in it. Each costs far more time than its bytes do, most of all where each is complained of.

    Raises:
        Refused: 400 for what is no JSON, or nests too deep; 422 for what breaks the schema, by its place.
    """
    if crowded(body, most):
        raise Refused(422, f"the body has more than {most} strings (names of fields, too), lists and objects; no request needs as many")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        raise Refused(400, str(found[0]["msg"])[:300])
    said = []
    for each in found[:SHOWN]:
        where, why = ".".join(str(part) for part in each["loc"])[:100], str(each["msg"])
        if each["type"] == "extra_forbidden":
            kind = str(each["loc"][-1]).removesuffix("_covariates")
            why = f"model '{info.name}' reads no {kind} covariates" if kind in ("past", "known") else "there is no such field"
        if each["type"] == "string_pattern_mismatch":  # of the frequency, whose pattern is a page long
            why = "wanted a step as pandas writes it: H, 15T, D, W-SUN, M"
        said.append(f"{where or 'the body'}: {why}")
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise Refused(422, "; ".join(said) + more)


def rows_of(request: Any, info: ModelInfo) -> tuple[Key, list[Row], list[np.datetime64 | None]]:
    """The windows of a request, and where each forecast begins if the series has a start.

    Raises:
        Refused: 422 for what the schema cannot say.
    """
    levels = sorted(request.quantile_levels or DECILES)
    if any(b - a < 1e-6 for a, b in zip(levels[:-1], levels[1:], strict=True)):
        raise Refused(422, "quantile_levels: two are the same; wanted different ones")
    horizon, series = request.horizon, request.series
    if len(series) * (len(levels) + 1) * horizon > MOST_NUMBERS:
        raise Refused(
            422,
            f"the answer would have {len(series)} series × {len(levels) + 1} × {horizon} steps = "
            f"{len(series) * (len(levels) + 1) * horizon} numbers; wanted at most {MOST_NUMBERS}: ask for fewer series at a time",
        )
    try:
        split(request.freq)
        season = request.season_length or season_length(request.freq)
    except DataError as error:
        raise Refused(422, f"freq: {error}") from None
    past, known = names(series, "past_covariates"), names(series, "known_covariates")
    key = Key(request.freq, horizon, tuple(levels), season, past, known)
    rows, ends = [], []
    for at, each in enumerate(series):
        place, length = f"series.{at}", len(each.target)
        if all(value is None for value in each.target):
            raise Refused(422, f"{place}.target: every value is missing; wanted one at least: nothing can be forecast from none")
        start = NO_START if each.start is None else time_of(each.start, place)
        if start.astype("datetime64[Y]").astype(int) + 1970 + years(request.freq, length + horizon) > LAST_YEAR:
            raise Refused(422, f"{place}: {length} + {horizon} steps of '{request.freq}' from {start} reach beyond the year {LAST_YEAR}")
        cut = 0 if info.max_context is None else max(0, length - info.max_context)
        moved = shift(np.array([start, start]), request.freq, np.array([cut, length]))
        before = [values_of(each.past_covariates[n], length, f"{place}.past_covariates.{n}")[cut:] for n in past]
        beside = [values_of(each.known_covariates[n], length + horizon, f"{place}.known_covariates.{n}")[cut:] for n in known]
        rows.append(make_row(key, np.array(each.target[cut:], np.float32), moved[0], request.seed, before, beside))
        ends.append(None if each.start is None else moved[1])
    return key, rows, ends


def names(series: Any, field: str) -> tuple[str, ...]:
    """What the covariates of all series are called, sorted."""
    found = [tuple(sorted(getattr(each, field, None) or ())) for each in series]
    for at, each in enumerate(found):
        if each != found[0]:
            raise Refused(
                422, f"series.{at}.{field}: got {list(each)[:10]}, and series.0 has {list(found[0])[:10]}; wanted the same names in all"
            )
    return found[0]


def values_of(values: list[float | None], length: int, place: str) -> F32:
    """Covariates [length], null as NaN."""
    if len(values) != length:
        raise Refused(422, f"{place[:100]}: got {len(values)} values; wanted {length}")
    return np.array(values, np.float32)


def time_of(text: str, place: str) -> np.datetime64:
    """An ISO time as UTC, in whole seconds."""
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise Refused(422, f"{place}.start: got {text!r}; wanted an ISO time, as in 2024-01-31T12:00:00") from None
    if time.microsecond:
        raise Refused(422, f"{place}.start: got {text!r}; wanted whole seconds")
    return np.datetime64(time, "s")


def answer_of(request: Any, key: Key, ends: list[np.datetime64 | None], answer: Answer) -> list[dict[str, Any]]:
    """The forecasts of a request's series, as `schema.OneForecast` has them. Quantiles [N, Q, H], mean [N, H]."""
    steps = np.arange(key.horizon)
    labels = [f"{level:.9g}" for level in key.levels]
    quantiles, mean = answer.quantiles.tolist(), answer.mean.tolist()
    found: list[dict[str, Any]] = []
    for at, (each, end) in enumerate(zip(request.series, ends, strict=True)):
        one: dict[str, Any] = {"mean": mean[at], "quantiles": dict(zip(labels, quantiles[at], strict=True))}
        if each.item_id is not None:
            one["item_id"] = each.item_id
        if end is not None:
            one["timestamps"] = np.datetime_as_string(shift(np.repeat(end, key.horizon), key.freq, steps), unit="s").tolist()
        if answer.fallback is not None and answer.fallback[at] > 0:
            one["fallback"] = float(answer.fallback[at])
        found.append(one)
    return found
