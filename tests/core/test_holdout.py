"""`harness.holdout`: what is held out beside a plain loop, the error of a gain, and what the gate lets through."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness import Ragged
from harness.forecast import F32, I64
from harness.holdout import Gate, cut, error_of_gain, hold_out

NAN = np.nan


def numbered(lengths: list[int]) -> list[F32]:
    """Series whose values are all different."""
    rng = np.random.default_rng(0)
    return [(rng.permutation(n) + 1000 * k).astype(np.float32) for k, n in enumerate(lengths)]


def by_hand(rows: list[F32], horizon: int, enough: int = 64, most: int = 8) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """The steps of each row that are trained on end here; and windows (series, first step, step behind the last, windows after it)."""
    begin = [next((i for i, v in enumerate(row) if np.isfinite(v)), len(row)) for row in rows]
    usable = [len(row) - b >= 4 for row, b in zip(rows, begin, strict=True)]
    each = max(1, min(most, enough // max(1, sum(usable))))
    ends, windows = [], []
    for k, row in enumerate(rows):
        length = len(row) - begin[k]
        if not usable[k]:
            ends.append(len(row))
            continue
        count = min(each, length // 8 // horizon)
        if count > 1:
            found = [(k, len(row) - (j + 1) * horizon, len(row) - j * horizon, j) for j in reversed(range(count))]
        else:
            found = [(k, len(row) - min(horizon, length // 4), len(row), 0)]
        ends.append(found[0][1])
        windows += found
    return ends, windows


@pytest.mark.parametrize("lengths", [[2, 3, 4, 9, 30, 100, 400], [5] * 70, [2000], [64, 65, 63, 128], [3, 1], []], ids=str)
def test_what_is_held_out_beside_a_plain_loop(lengths: list[int]) -> None:
    rows = numbered(lengths)
    if len(rows) > 4:
        rows[4][:7], rows[3][:] = NAN, np.inf
        rows[1][1:] = NAN
    held = hold_out(Ragged.from_rows(rows), 6)
    first = np.cumsum([0, *lengths])[:-1].astype(np.int64)
    ends, windows = by_hand(rows, 6)
    assert (held.end - first).tolist() == ends and (held.whole - first).tolist() == lengths
    at = first[held.series]
    found = np.stack([held.series, held.origin - at, held.limit - at, held.behind], axis=1)
    assert found.tolist() == [list(window) for window in windows] and len(held) == len(windows)
    assert held.groups.tolist() == [[series, behind] for series, _, _, behind in windows]


@pytest.mark.parametrize(("enough", "most", "number"), [(64, 8, 19), (64, 30, 35), (256, 30, 53), (256, 5, 13), (1, 1, 4)])
def test_as_many_windows_as_are_asked_for_within_an_eighth(enough: int, most: int, number: int) -> None:
    rows = numbered([2000, 1000, 100, 20])
    held = hold_out(Ragged.from_rows(rows), 6, enough=enough, most=most)
    ends, windows = by_hand(rows, 6, enough, most)
    first = np.cumsum([0, 2000, 1000, 100])
    assert (held.end - first).tolist() == ends and len(held) == len(windows) == number
    assert (held.origin - first[held.series]).tolist() == [low for _, low, _, _ in windows]


def test_some_series_and_short_windows_are_left_out() -> None:
    rows = Ragged.from_rows(numbered([40, 40, 23, 24]))
    held = hold_out(rows, 6, np.array([True, False, True, True]), least=6)
    assert held.series.tolist() == [0, 3] and (held.limit - held.origin).tolist() == [6, 6]
    assert (held.whole - held.end).tolist() == [6, 0, 0, 6]
    some = hold_out(rows, 2).some(5, np.random.default_rng(0))
    assert len(some) == 5 and len(np.unique(some.origin)) == 5 and (np.diff(some.origin) > 0).all()
    assert (some.end == hold_out(rows, 2).end).all()


def test_windows_are_pieces_of_their_series_and_nothing_else() -> None:
    rows = numbered([7, 30, 100])
    rows[0][:2], rows[1][10], rows[2][95] = NAN, np.inf, NAN
    buffer = Ragged.from_rows(rows)
    held = hold_out(buffer, 6)
    y = cut(buffer.values, held.begin[held.series], held.origin, held.limit, 12, 6)  # [W, T + H]
    first = buffer.offsets[:-1][held.series]
    for window, k, low, high in zip(y, held.series.tolist(), (held.origin - first).tolist(), (held.limit - first).tolist(), strict=True):
        row = np.where(np.isfinite(rows[k]), rows[k], NAN)
        wanted = [row[at] if 0 <= at < high else NAN for at in range(low - 12, low + 6)]
        np.testing.assert_array_equal(window, np.array(wanted, np.float32))
    trained = np.concatenate([buffer.values[a:b] for a, b in zip(held.begin, held.end, strict=True)])
    assert not set(trained[np.isfinite(trained)]) & set(y[:, 12:][np.isfinite(y[:, 12:])])
    assert cut(buffer.values, held.begin[:0], held.origin[:0], held.limit[:0], 3, 2).shape == (0, 5)


def test_the_error_of_a_gain_allows_for_windows_that_move_together() -> None:
    rng = np.random.default_rng(0)
    groups = np.stack([np.repeat(np.arange(20), 8), np.tile(np.arange(8), 20)], axis=1)  # 20 series, 8 origins
    alone = rng.standard_normal(160)
    plain = error_of_gain(alone, np.stack([np.arange(160)] * 2, axis=1))
    assert plain == pytest.approx(alone.std(ddof=1) / np.sqrt(160))
    by_time = rng.standard_normal(8)[groups[:, 1]]
    wanted = by_time.reshape(20, 8)[0].std(ddof=1) / np.sqrt(8)
    assert error_of_gain(by_time, groups) == pytest.approx(wanted) and wanted > 3 * by_time.std() / np.sqrt(160)
    by_series = rng.standard_normal(20)[groups[:, 0]]
    assert error_of_gain(by_series, groups) == pytest.approx(by_series.reshape(20, 8)[:, 0].std(ddof=1) / np.sqrt(20))
    assert error_of_gain(alone[:1], groups[:1]) == math.inf


def alone(n: int) -> I64:
    """Groups of windows that are each of a series of its own."""
    return np.stack([np.arange(n), np.zeros(n, np.int64)], axis=1)


def test_the_best_look_is_judged() -> None:
    before = np.array([1.0, 1.2, 1.4, NAN, np.inf])
    gate = Gate(before, alone(5))
    assert gate.windows == 3
    assert gate.look(before - 0.1) and not gate.look(before - 0.05) and gate.look(before - np.array([0.5, 0.4, 0.6, NAN, 9]))
    assert not gate.look(np.array([0.0, NAN, 0.0, 0.0, 0.0]))  # one without a number
    assert gate.losses == pytest.approx([1.2, 1.1, 1.15, 0.7, math.inf])
    verdict = gate.verdict()
    error = np.std([0.5, 0.4, 0.6], ddof=1) / np.sqrt(3)
    assert verdict.kept and verdict.gain == pytest.approx(0.5) and verdict.error == pytest.approx(error)
    numbers = {"loss before": 1.2, "loss after": 0.7, "gain": 0.5, "standard error of the gain": error}
    assert verdict.notes == {"held-out windows": 3, "kept": "tuned", **{name: pytest.approx(x) for name, x in numbers.items()}}


@pytest.mark.parametrize(
    ("gains", "kept", "fresh", "why"),
    [
        ([0.5, 0.4, 0.6], True, True, ""),
        ([0.5, -0.4, 0.6], False, True, "no look at the held-out windows was better by more than 2 standard errors"),
        ([-0.5, -0.4, -0.6], False, False, "no look at the held-out windows was better by more than 2 standard errors"),
        ([NAN, 1.0, 1.0], False, False, "the trained weights forecast no numbers"),
        ([3.0], False, True, "fewer than two held-out windows can be judged by"),
        ([], False, False, "fewer than two held-out windows can be judged by"),
    ],
)
def test_a_gain_is_kept_where_it_is_above_its_error(gains: list[float], kept: bool, fresh: bool, why: str) -> None:
    gate = Gate(np.ones(len(gains)), alone(len(gains)))
    gate.look(1 - np.array(gains))
    verdict = gate.verdict()
    assert verdict.kept == kept and verdict.notes.get("why", "") == why
    assert all(math.isfinite(value) for value in verdict.notes.values() if isinstance(value, float))
    assert gate.verdict(fresh=True).kept == fresh
