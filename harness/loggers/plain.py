"""Parameters and messages as loggers may have them: flat, and without secrets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["flat", "without_secrets"]

SECRET_NAME = re.compile(
    r"(api|access|private|secret)_?key|password|passwd|secret|credential|(^|[_.])(auth|bearer|token|authorization)$", re.I
)
"""Names of parameters and of environment variables whose values are nobody's business; "max_tokens" is none."""
SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|PASSWORD|PASSWD|SECRET|CREDENTIALS?)$")
LONGEST = 500
"""Characters of a value: what servers of any age take."""


def flat(params: Mapping[str, Any]) -> dict[str, str]:
    """Nested names joined by dots, values as text, secrets left out.

    >>> flat({"optimizer": {"name": "adamw", "betas": [0.9, 0.95]}, "api_key": "x", "max_tokens": 8})
    {'optimizer.name': 'adamw', 'optimizer.betas': '[0.9, 0.95]', 'max_tokens': '8'}
    """
    return dict(_flat(params, ""))


def _flat(params: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        name = f"{above}{key}"
        if SECRET_NAME.search(name):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            text = json.dumps(value, default=str) if isinstance(value, list | tuple) else str(value)
            yield name, without_secrets(text)[:LONGEST]


def without_secrets(text: str) -> str:
    """A text in which user and password of addresses, and values of variables such as WANDB_API_KEY, are `***`.

    >>> without_secrets("no answer from https://ann:pw@example.org/x")
    'no answer from https://***@example.org/x'
    """
    for name, value in os.environ.items():
        if len(value) >= 6 and SECRET_VARIABLE.search(name):
            text = text.replace(value, "***")
    return re.sub(r"(?<=://)[^\s/@]+@", "***@", text)
