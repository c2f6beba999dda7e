"""What a server takes on at most, and how it says that it does not."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "FREE_CHUNKS",
    "LEAST_CHUNK",
    "MOST_CONNECTIONS",
    "MOST_COVARIATES",
    "MOST_HELD",
    "MOST_LEVELS",
    "MOST_NUMBERS",
    "MOST_PARTS",
    "Limits",
    "Refused",
]

MOST_CONNECTIONS = 512
"""Open at a time, idle ones too: half of the file descriptors that a process usually has."""
MOST_HELD = 64 << 20
"""Bytes of request bodies in memory at a time, all requests together."""
MOST_NUMBERS = 1_000_000
"""Of one answer: series × (levels + 1) × horizon. 20 MB as JSON."""
MOST_LEVELS = 99
MOST_COVARIATES = 64
MOST_PARTS = 20_000
"""Strings, lists and objects of one request that are always read; more where `max_series` allows for them."""
FREE_CHUNKS = 1000
"""Chunks of a body of any size."""
LEAST_CHUNK = 512
"""Bytes that the chunks beyond those have on average."""


@dataclass(frozen=True)
class Limits:
    """Sizes and seconds; each is an option of `harness serve-model`."""

    max_batch: int = 256  # windows in one call of the model
    max_wait_ms: float = 2.0  # that the first request of a batch waits for others
    queue: int = 128  # requests that wait or are being forecast
    timeout: float = 60.0  # seconds that a request may wait for its turn, and again that one call of the model may take
    read_timeout: float = 15.0  # seconds for the head of a request, for its body, and for a client that takes no more of its answer
    max_series: int = 256  # of one request
    max_context: int = 100_000  # values of one series
    max_horizon: int = 1024
    max_body: int = 8 << 20  # bytes

    @property
    def held(self) -> int:
        """Bytes of bodies in memory at a time: one of the largest size always has room."""
        return max(MOST_HELD, self.max_body)


class Refused(Exception):
    """A request that is not answered with a forecast: the status, why, and perhaps in how many seconds to try again."""

    def __init__(self, status: int, reason: str, retry: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry = retry
