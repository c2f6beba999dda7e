"""SIGTERM and Ctrl-C are one thing: KeyboardInterrupt in the main thread."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["handlers", "interrupt"]


def interrupt(signum: int, frame: object) -> None:
    """A signal handler that raises KeyboardInterrupt."""
    del signum, frame
    raise KeyboardInterrupt


def handlers(handler: Any, *numbers: signal.Signals) -> dict[signal.Signals, Any]:
    """Set a handler for these signals, where this is the main thread; return the ones before, to be restored."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}
