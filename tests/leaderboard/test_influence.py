"""What a place hangs on: against plain loops, and against what is known of the published models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness_leaderboard.aggregate import Results, complete, geometric_mean, mean_ranks, ratios
from harness_leaderboard.influence import disagreement, drivers, influence, places_of

NAN = math.nan


@pytest.fixture
def published(published_results: Results) -> Results:
    return published_results


def families(results: Results) -> list[str]:
    return [str(task["family"]) for task in results.tasks]


def slow(values: np.ndarray, groups: list[str]) -> list[tuple[int, int, int]]:
    """Places, and best and worst without one family, by plain loops."""

    def means(kept: list[int]) -> list[float]:
        out = []
        for row in values:
            logs = [math.log(row[r]) for r in kept if not math.isnan(row[r])]
            out.append(sum(logs) / len(logs) if logs else NAN)
        return out

    def rank(means: list[float]) -> list[int]:
        return [0 if math.isnan(x) else 1 + sum(y < x for y in means) for x in means]

    everything = rank(means(list(range(len(groups)))))
    seen = [[p] for p in everything]
    for name in dict.fromkeys(groups) if len(set(groups)) > 1 else ():
        for m, place in enumerate(rank(means([r for r, g in enumerate(groups) if g != name]))):
            seen[m] += [place] if place else []
    return [(p, min(s), max(s)) for p, s in zip(everything, seen, strict=True)]


def test_influence_against_loops() -> None:
    random = np.random.default_rng(0)
    values = np.exp(random.normal(0, 0.3, (9, 14)))
    values[random.random(values.shape) < 0.15] = NAN
    values[8] = NAN
    groups = list("aabbbcddddeeff")
    found = influence(values, groups)
    assert [(i.place, i.best, i.worst) for i in found] == slow(values, groups)
    assert (found[8].place, found[8].best, found[8].worst, found[8].best_without, found[8].worst_without) == (0, 0, 0, "", "")
    for m, row in enumerate(found[:8]):  # the family that is named is the one that does it
        for name, place in ((row.best_without, row.best), (row.worst_without, row.worst)):
            if name:
                kept = [r for r, g in enumerate(groups) if g != name]
                assert slow(values[:, kept], ["x"] * len(kept))[m][0] == place != row.place


def test_one_family_is_never_left_out_and_one_model_is_first() -> None:
    alone = influence(np.array([[0.5, 2.0]]), ["a", "a"])[0]
    assert (alone.best, alone.worst) == (1, 1)
    assert influence(np.array([[0.5, 2.0]]), ["a", "b"])[0].place == 1
    assert influence(np.empty((0, 2)), ["a", "b"]) == []
    assert influence(np.full((2, 0), NAN), [])[1].place == 0


def test_a_memorised_family_is_found(published: Results) -> None:
    r = ratios(published.mase, published.baseline_mase)
    found = {entry.model: row for entry, row in zip(published.entries, influence(r, families(published)), strict=True)}
    lora = found["TurkForecast-FM-Chronos2-LoRA-v1"]
    assert lora.place == 5
    assert (lora.best, lora.worst, lora.worst_without) == (3, 17, "bitbrains")
    # An independent count over the 120 models published a little earlier found moves of up to 25 places.
    moves = {name: max(row.place - row.best, row.worst - row.place) for name, row in found.items()}
    assert max(moves.values()) == moves["STRIDE (+Chronos-2)"] == 26
    assert [(row.place, row.best, row.worst) for row in found.values()] == slow(r, families(published))


def test_mean_and_rank_disagree_over_it(published: Results) -> None:
    r = ratios(published.mase, published.baseline_mase)
    apart = disagreement(geometric_mean(r), mean_ranks(published.mase, complete(published)))
    m = [entry.model for entry in published.entries].index("TurkForecast-FM-Chronos2-LoRA-v1")
    assert (apart.by_mean[m], bool(apart.flagged[m])) == (5, True)
    assert apart.by_rank[m] == 39  # 38 before one more model was published
    assert 0 < apart.flagged.sum() < 0.1 * len(apart.flagged)


def test_drivers_add_up_and_name_the_tasks(published: Results) -> None:
    r = ratios(published.mase, published.baseline_mase)
    names = [entry.model for entry in published.entries]
    lora, chronos = names.index("TurkForecast-FM-Chronos2-LoRA-v1"), names.index("chronos-2")
    parts = drivers(r, lora, r[chronos])
    mean = geometric_mean(r)
    assert parts.sum() == pytest.approx(math.log(mean[lora] / mean[chronos]))
    assert parts == pytest.approx(drivers(published.mase, lora, published.mase[chronos]))  # the baseline cancels
    top = [published.tasks[i]["name"] for i in np.argsort(parts)[:4]]
    assert top == ["covid_deaths/D/short", "bitbrains_rnd/5T/short", "ett1/15T/short", "saugeen/W/short"]
    assert (r[lora][np.argsort(parts)[0]], r[chronos][np.argsort(parts)[0]]) == pytest.approx((0.14, 0.69), abs=5e-3)


def test_drivers_leave_out_what_has_no_ratio() -> None:
    parts = drivers(np.array([[1.0, 0.0, NAN, math.inf, 4.0]]), 0, np.array([1.0, 1.0, 1.0, 1.0, 1.0]))
    assert np.isnan(parts).tolist() == [False, True, True, True, False]
    assert parts[4] == pytest.approx(math.log(4) / 2)
    assert np.isnan(drivers(np.array([[NAN]]), 0, np.ones(1))).all()


def test_places_and_the_limit_of_disagreement() -> None:
    assert places_of(np.array([])).tolist() == []
    mean, rank = np.arange(12.0), np.arange(12.0)
    rank[[0, 6]] = rank[[6, 0]]  # six places apart, more than max(5, 1.8)
    assert np.flatnonzero(disagreement(mean, rank).flagged).tolist() == [0, 6]
    mean, rank = np.arange(100.0), np.arange(100.0)
    rank[[0, 15, 20, 36]] = rank[[15, 0, 36, 20]]
    assert np.flatnonzero(disagreement(mean, rank).flagged).tolist() == [20, 36]  # 16 places of 100, 15 are allowed
    rank[20] = NAN
    assert not disagreement(mean, rank).flagged[20]
