"""Which parameters of a network are trained, by a short text; needs no torch. `harness_ttm.adapt.parts` carries it out.

| text | trained |
|---|---|
| `head` | what is under `head.` |
| `decoder` | what is under `decoder.` and `head.`: the usual choice when little data is there, the backbone stays |
| `bias` | biases, and all parameters of norms |
| `lora:8` | low-rank factors of rank 8 beside the linear layers; the network itself stays |
| `lora:8:PATTERN` | the same beside the linear layers that a regular expression names, or names a module of: `lora:8:decoder` |
| `all` | everything |

A parameter that the network itself holds fixed (`requires_grad` is False, as of sinusoidal positions) is never chosen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness import UsageError
from harness.errors import suggest

__all__ = ["LINEARS", "Part", "is_rate", "parse_part"]

KINDS = ("head", "decoder", "bias", "lora", "all")
LINEARS = r"mlp\.fc[12]|gating_block\.attn_layer|patcher|flatten|context_in|patch_in|blocks\.\d+\.fc[12]|out|head\.base_forecast_block"
"""Linear layers that get low-rank factors by default: all of the season-fold network's, and those of the published one but its adapter."""


@dataclass(frozen=True)
class Part:
    """A parsed text. `rank` is 0 unless `kind` is lora."""

    kind: str
    rank: int = 0
    pattern: str = LINEARS

    def __str__(self) -> str:
        if self.kind != "lora":
            return self.kind
        return f"lora:{self.rank}" + ("" if self.pattern == LINEARS else f":{self.pattern}")


def parse_part(text: str) -> Part:
    """Read the text of a part.

    >>> parse_part("lora:4").rank, str(parse_part("lora:4:head.out"))
    (4, 'lora:4:head.out')

    Raises:
        UsageError: another word, a rank below 1, or a pattern that is no regular expression.
    """
    kind, _, rest = text.strip().partition(":")
    if kind not in KINDS or (rest and kind != "lora"):
        raise UsageError(f"got part {text!r}; wanted head, decoder, bias, all, or lora:RANK as in lora:4.{suggest(kind, KINDS)}")
    if kind != "lora":
        return Part(kind)
    rank, _, pattern = rest.partition(":")
    if not re.fullmatch(r"\d+", rank) or int(rank) < 1:
        raise UsageError(f"got part {text!r}; wanted a rank of at least 1 after lora:, as in lora:4")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"got part {text!r}, whose pattern is no regular expression ({error}); wanted one as in lora:4:mlp.fc1") from None
    return Part("lora", int(rank), pattern or LINEARS)


def is_rate(value: object) -> bool:
    """Whether something is a number that can be a learning rate."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10
