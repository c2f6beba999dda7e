"""Hold-outs: which patients, where the cut lies, that nothing reaches over it, and that order and machine change nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.forecast import I64
from harness_tasks.cgm.grid import to_grid
from harness_tasks.cgm.readings import Times
from harness_tasks.cgm.splits import HoldOut, held_count, hold_out, ranked
from harness_tasks.cgm.tables import read_glucose

DAY = np.datetime64("2020-03-01T00:00:00", "s")


def starts(*points: int) -> Times:
    """Times of points of five minutes."""
    out: Times = DAY + np.array(points).astype("timedelta64[s]") * 300
    return out


def random_set(seed: int) -> tuple[list[str], Times, I64]:
    """Series of nine patients, one to four each, that may overlap or lie weeks apart."""
    rng = np.random.default_rng(seed)
    patients = [f"p{i}" for i in range(9) for _ in range(int(rng.integers(1, 5)))]
    return patients, starts(*rng.integers(0, 3000, len(patients)).tolist()), rng.integers(1, 900, len(patients))


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize(("horizon", "purge"), [(1, None), (12, None), (24, 288)])
def test_no_training_target_comes_near_a_test_target(seed: int, horizon: int, purge: int | None) -> None:
    patients, begin, length = random_set(seed)
    split = hold_out(patients, begin, length, 5, horizon, purge=purge, seed=seed)
    assert {len(split.held_out), len(split.train_end), len(split.test_start)} == {len(patients)}
    point = (begin - DAY).astype(np.int64) // 300
    for patient in set(patients):
        rows = [i for i, name in enumerate(patients) if name == patient]
        learnt = {int(point[i]) + k for i in rows for k in range(int(split.train_end[i]))}
        tested = {int(point[i]) + k for i in rows for k in range(int(split.test_start[i]), int(length[i]))}
        held = {bool(split.held_out[i]) for i in rows}
        assert len(held) == 1  # all recordings of a patient are on one side
        if held == {True}:
            assert not learnt and len(tested) >= max(length[i] for i in rows)
            continue
        total = sum(int(length[i]) for i in rows)
        count = sum(int(length[i] - split.test_start[i]) for i in rows)
        assert count >= int(0.2 * total)  # more only where recordings overlap
        if learnt and tested:
            assert min(tested) - max(learnt) - 1 >= (purge or horizon) == split.purge
    assert (split.train_end >= 0).all() and (split.train_end <= length).all()
    assert (split.test_start >= 0).all() and (split.test_start <= length).all()


def test_the_cut_of_one_series() -> None:
    split = hold_out(["p"], starts(0), np.array([100]), 5, 6, patient_share=0)
    assert (split.train_end.tolist(), split.test_start.tolist(), split.held_out.tolist()) == ([74], [80], [False])
    assert hold_out(["p"], starts(0), np.array([100]), 5, 6, patient_share=0, purge=50).train_end.tolist() == [30]
    short = hold_out(["p"], starts(0), np.array([4]), 5, 6, patient_share=0)
    assert (short.train_end.tolist(), short.test_start.tolist()) == ([0], [4])  # a fifth of four is none
    untested = hold_out(["p"], starts(0), np.array([100]), 5, 6, patient_share=0, time_share=0)
    assert untested.test_start.tolist() == [100]


def test_the_cut_of_several_series_is_in_time_and_not_in_the_gaps() -> None:
    """10, 60 and 30 points with breaks of weeks: the last 20 of 100 lie in the third, whatever the breaks and the order."""
    length, begin = np.array([30, 10, 60]), starts(9000, 0, 5000)
    split = hold_out(["p"] * 3, begin, length, 5, 6, patient_share=0)
    assert split.test_start.tolist() == [10, 10, 60]
    assert split.train_end.tolist() == [4, 10, 60]
    edge = hold_out(["p"] * 2, starts(0, 82), np.array([80, 20]), 5, 6, patient_share=0)
    assert edge.test_start.tolist() == [80, 0]
    assert edge.train_end.tolist() == [76, 0]  # two points of the purge lie in the break


@pytest.mark.parametrize(("patients", "count"), [(2, 1), (5, 1), (6, 1), (7, 1), (9, 1), (10, 2), (19, 3), (20, 3), (112, 17), (226, 34)])
def test_how_many_patients(patients: int, count: int) -> None:
    names = [f"p{i}" for i in range(patients)]
    split = hold_out(names, starts(*[0] * patients), np.full(patients, 100), 5, 6)
    assert split.held_out.sum() == count == held_count(patients, 0.15)
    assert (split.train_end[split.held_out] == 0).all() and (split.test_start[split.held_out] == 0).all()


def test_the_same_patients_whatever_the_order_and_numpys_state() -> None:
    patients, begin, length = random_set(1)

    def chosen(split: HoldOut, names: list[str]) -> set[str]:
        return {name for name, held in zip(names, split.held_out, strict=True) if held}

    np.random.seed(0)  # noqa: NPY002
    one = hold_out(patients, begin, length, 5, 12)
    np.random.seed(1)  # noqa: NPY002
    order = np.random.default_rng(2).permutation(len(patients))
    turned = [patients[i] for i in order]
    other = hold_out(turned, begin[order], length[order], 5, 12)
    assert chosen(one, patients) == chosen(other, turned)
    np.testing.assert_array_equal(one.train_end[order], other.train_end)
    np.testing.assert_array_equal(one.test_start[order], other.test_start)
    seeds = {tuple(sorted(chosen(hold_out(patients, begin, length, 5, 12, seed=s), patients))) for s in range(12)}
    assert len(seeds) > 3
    names = ["540", "544", "552", "567", "584", "596"]
    assert ranked(names, 42) == sorted(names, key=lambda name: hashlib.sha256(b"42:" + name.encode()).hexdigest())
    assert ranked(["ä", "b", "c", "d"], 7) == ["c", "ä", "d", "b"]  # as sha256sum has it: the answer of every machine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": ["a"]}, "1 patients, 2 starts and 2 lengths"),
        ({"horizon": 0}, "horizon=0"),
        ({"purge": 5}, "purge=5; wanted a horizon of at least 1 and no smaller purge"),
        ({"patient_share": 1.0}, "patient_share=1.0"),
        ({"time_share": -0.1}, "time_share=-0.1"),
        ({"step_minutes": 0}, "step_minutes=0"),
        ({"lengths": np.array([0, 9])}, "lengths down to 0"),
        ({"patients": ["a", "a"]}, "hold_out of 0.15 of 1 patients leaves none to learn from; pass patient_share=0"),
    ],
)
def test_arguments(change: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"patients": ["a", "b"], "starts": starts(0, 0), "lengths": np.array([99, 99]), "step_minutes": 5, "horizon": 6}
    hold_out(**usual)
    with pytest.raises(ValueError, match=message):
        hold_out(**{**usual, **change})


@pytest.mark.parametrize(
    ("file", "held", "learnt", "tested"),
    [("hall2018.csv", 3, 24190, 6136), ("iglu5.csv", 1, 10169, 2564), ("shanghai.csv.gz", 17, 85452, 21881)],
)
def test_the_real_sets(real_data: Path, file: str, held: int, learnt: int, tested: int) -> None:
    path = real_data / "cgm" / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    grid = to_grid(read_glucose(path), split_after=120)
    length = grid.glucose.lengths
    split = hold_out(grid.patients, grid.starts, length, grid.step, 24)
    assert len({p for p, h in zip(grid.patients, split.held_out, strict=True) if h}) == held
    rest = ~split.held_out
    share = (length - split.test_start)[rest].sum() / length[rest].sum()
    assert 0.195 < share <= 0.2
    assert (int(split.train_end.sum()), int((length - split.test_start)[rest].sum())) == (learnt, tested)
