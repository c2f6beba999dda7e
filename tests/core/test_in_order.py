"""The thread beside a worker: jobs in order, none lost, and no more waiting than fit."""

from __future__ import annotations

import threading

from harness.jobs import InOrder


def test_jobs_are_done_in_order_in_another_thread() -> None:
    done: list[tuple[int, int]] = []
    later = InOrder()
    for k in range(50):
        later(lambda k=k: done.append((k, threading.get_ident())))  # type: ignore[misc]
    later.drain()
    assert [k for k, _ in done] == list(range(50))
    assert {ident for _, ident in done} != {threading.get_ident()}
    later.close()


def test_close_does_what_is_waiting() -> None:
    gate = threading.Event()
    done: list[bool] = []
    later = InOrder()
    later(lambda: done.append(gate.wait(10)))
    for _ in range(InOrder.AHEAD - 1):
        later(lambda: done.append(True))
    gate.set()
    later.close()
    assert done == [True] * InOrder.AHEAD


def test_the_caller_waits_when_too_much_is_waiting() -> None:
    gate = threading.Event()
    handed: list[int] = []
    later = InOrder()

    def wait() -> None:
        gate.wait(10)

    def hand_over() -> None:
        for k in range(InOrder.AHEAD + 5):
            later(wait)
            handed.append(k)

    caller = threading.Thread(target=hand_over)
    caller.start()
    caller.join(0.3)
    assert caller.is_alive()
    assert len(handed) <= InOrder.AHEAD + 1  # those that wait, and the one being done
    gate.set()
    caller.join(10)
    assert not caller.is_alive()
    later.close()
