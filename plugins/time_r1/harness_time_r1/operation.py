"""What does not decide an answer, and so is no parameter of the model: how an endpoint is used, where answers and steps are kept.

All of it comes from the environment, so that a raised limit makes no result stale. The variables (TIME_R1_API_KEY and others), and what
holds where none is set, are in the table at the end of the plugin's README.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from harness import UsageError
from harness.cache import cache_folder
from harness.files import expanded_home
from harness_time_r1.backends.contract import Backend
from harness_time_r1.steps import Steps

__all__ = ["backend_of", "steps_of"]

PREFIX = "TIME_R1_"
NUMBERS: Mapping[str, Callable[[str], float]] = {
    "concurrency": int,
    "attempts": int,
    "timeout": float,
    "max_wait": float,
    "requests_per_minute": int,
    "tokens_per_minute": int,
    "cost_cap": float,
}


def backend_of(
    *,
    weights: str = "",
    adapter: str = "",
    device: str = "cpu",
    dtype: str = "float32",
    rows: int = 8,
    url: str = "",
    served: str = "",
    context_length: int | None = None,
    limit_field: str = "max_tokens",
    extra: Mapping[str, Any] | None = None,
) -> Backend:
    """Who answers, with its cache; `url` is an endpoint that serves `served`, else weights on this machine.

    Raises:
        UsageError: a parameter or a variable makes no sense.
        Unavailable: there are no such weights here.
    """
    from harness_time_r1.backends.kept import Kept

    backend: Backend
    if url:
        from harness_time_r1.backends.endpoint import Endpoint

        fields: dict[str, Any] = {"context_length": context_length, "limit_field": limit_field, "extra": extra}
        backend = Endpoint(url, served, **fields, **endpoint_limits())
    else:
        from harness_time_r1.backends.local import Local

        backend = Local(weights, adapter, device, dtype, rows)
    kept = os.environ.get(f"{PREFIX}ANSWERS", "")
    return backend if kept == "off" else Kept(backend, kept)


def steps_of(executor: str = "single") -> Steps | None:
    """Where all steps of each answer are written: the folder that is named, for "slow" else the harness's cache; None = nowhere."""
    folder = os.environ.get(f"{PREFIX}STEPS", "")
    if folder == "off" or (not folder and executor == "single"):
        return None
    if not folder:
        return Steps(cache_folder() / "time-r1" / "steps")
    return Steps(expanded_home(folder, f"{PREFIX}STEPS={folder}", f"{PREFIX}STEPS=FOLDER"))


def endpoint_limits() -> dict[str, Any]:
    """Arguments of `Endpoint` that the environment gives.

    Raises:
        UsageError: a variable is no such number.
    """
    given: dict[str, Any] = {}
    for name, read in NUMBERS.items():
        if text := os.environ.get(f"{PREFIX}{name.upper()}", ""):
            given[name] = _number(text, f"{PREFIX}{name.upper()}", read)
    if prices := os.environ.get(f"{PREFIX}PRICES", ""):
        parts = prices.split(",")
        if len(parts) != 2:
            raise UsageError(f"got {PREFIX}PRICES={prices}; wanted those of a million tokens in prompts and in answers: 0.15,0.60")
        given["price_prompt"], given["price_completion"] = (_number(part, f"{PREFIX}PRICES", float) for part in parts)
    if (insecure := os.environ.get(f"{PREFIX}INSECURE", "")) not in ("", "0", "1"):
        raise UsageError(
            f"got {PREFIX}INSECURE={insecure}; wanted 1, which lets a key be sent over http to another machine, or 0, which does not"
        )
    given["insecure"] = insecure == "1"
    return given


def _number(text: str, variable: str, read: Callable[[str], float]) -> float:
    try:
        return read(text)
    except ValueError:
        raise UsageError(f"got {variable}={text}; wanted a {'whole ' if read is int else ''}number") from None
