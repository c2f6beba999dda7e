"""What may be sent to an endpoint in a minute, and what it may cost. Nothing heavy is imported here."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from harness import Unsupported

__all__ = ["Budget", "Rates", "Slot"]

MINUTE = 60.0
UNITS = 10**12
"""Parts of the currency that are counted: whole numbers, so that sums are exact."""


@dataclass(eq=False)
class Slot:
    """A request that may be sent: when, and for how many tokens it counts."""

    time: float
    tokens: int


class Rates:
    """At most so many requests, and so many tokens, in any 60 seconds.

    A window that moves, in the place of a bucket that fills: a full bucket lets twice the limit pass in its first minute. Requests go in
    the order in which they asked. One that alone has more tokens than the limit goes when nothing else was sent for a minute.

    Args:
        requests, tokens: limits a minute; None = no limit.
        clock: seconds, never going back.
        sleep: waits so many seconds of that clock.
    """

    def __init__(
        self,
        requests: int | None = None,
        tokens: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.requests, self.tokens, self.clock, self.sleep = requests, tokens, clock, sleep
        self._slots: list[Slot] = []  # by time
        self._paused = -math.inf
        self._lock = threading.Lock()

    async def acquire(self, tokens: int) -> Slot:
        """Wait until a request of so many tokens may be sent. Its slot's `tokens` may be corrected when it is known what it took."""
        slot = self._book(tokens)
        while True:
            while (wait := slot.time - self.clock()) > 0:
                await self.sleep(wait)
            with self._lock:
                if self._paused <= slot.time:
                    return slot
                self._slots = [other for other in self._slots if other is not slot]
            slot = self._book(tokens)  # the endpoint has asked for a pause meanwhile

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        with self._lock:
            now = self.clock()
            self._paused = max(self._paused, now + seconds)
            # Those who would have gone meanwhile get another slot when they wake up.
            self._slots = [slot for slot in self._slots if not now < slot.time < self._paused]

    def _book(self, tokens: int) -> Slot:
        with self._lock:
            now = self.clock()
            self._slots = [slot for slot in self._slots if slot.time > now - MINUTE]
            at = max(now, self._paused, *(slot.time for slot in self._slots[-1:]))
            while (free := self._free(at, tokens)) > at:
                at = free
            slot = Slot(at, tokens)
            if self.requests is not None or self.tokens is not None:
                self._slots.append(slot)
            return slot

    def _free(self, at: float, tokens: int) -> float:
        """`at` where a request fits then, else when the oldest of those in its way is a minute old."""
        within = [slot for slot in self._slots if slot.time > at - MINUTE]
        full = self.requests is not None and len(within) >= self.requests
        heavy = self.tokens is not None and sum(slot.tokens for slot in within) + tokens > self.tokens
        return within[0].time + MINUTE if within and (full or heavy) else at


class Budget:
    """What requests may cost together. The most that one could cost is set aside before it is sent, so that several at once keep the cap.

    Args:
        cap: None = no cap.
        prompt, completion: prices of a million tokens.
    """

    def __init__(self, cap: float | None = None, prompt: float = 0.0, completion: float = 0.0) -> None:
        self.cap, self.prompt, self.completion = cap, prompt, completion
        self._cap = None if cap is None else math.floor(cap * UNITS)
        self._spent = self._held = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()

    @property
    def spent(self) -> float:
        """What has been paid, or may have been: a request whose answer was lost counts with the most it could cost."""
        return self._spent / UNITS

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6

    async def reserve(self, amount: float) -> int:
        """Set aside what a request may cost; give what comes back to `settle`. Waits while others could still turn out cheaper.

        Raises:
            Unsupported: it does not fit under the cap.
        """
        units = math.ceil(amount * UNITS)
        while True:
            with self._lock:
                if self._cap is None or self._spent + self._held + units <= self._cap:
                    self._held += units
                    return units
                if not self._held:
                    raise Unsupported(
                        f"the cost cap of {self.cap:g} is reached: {self.spent:.6g} is spent, and the next request could cost "
                        f"{amount:.6g}; raise TIME_R1_COST_CAP, or lower max_tokens or the number of samples"
                    )
                event = asyncio.Event()
                self._waiting.append((asyncio.get_running_loop(), event))
            await event.wait()

    def settle(self, units: int, cost: float) -> None:
        """Put what a request did cost in the place of what was set aside."""
        with self._lock:
            self._held -= units
            self._spent += math.ceil(cost * UNITS)
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
