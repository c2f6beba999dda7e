"""The numbers that the page's script computes, against Python's on the same payload: slices, intervals, tests, influence."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from browser import Shown
from numpy.typing import NDArray
from pages import DTYPES, array, make_payload

from harness.statistics import holm
from harness_leaderboard import bootstrap, significance, ties
from harness_leaderboard.aggregate import filled, geometric_mean, mean_ranks, ratios, win_rates
from harness_leaderboard.influence import disagreement, drivers, influence
from harness_leaderboard.plots.grids import equal
from harness_leaderboard.plots.models import levels

Array = NDArray[np.float64]

SLICES = ["whole", "one domain", "one family", "two tasks", "without the gaps", "one task"]


def read(record: dict[str, Any]) -> Array:
    """An array of a payload."""
    return np.frombuffer(base64.b64decode(record["data"]), DTYPES[record["dtype"]]).reshape(record["shape"]).astype(np.float64)


class Expected:
    """What Python says of a slice (tasks) and a score (0 MASE, 1 CRPS)."""

    def __init__(self, payload: dict[str, Any], tasks: Sequence[int], score: int) -> None:
        cut = list(tasks)
        self.values = [read(payload["scores"][s]["values"])[:, cut] for s in (0, 1)]
        self.ratios = [ratios(values, read(payload["scores"][s]["baseline"])[cut]) for s, values in enumerate(self.values)]
        self.status = read(payload["status"])[:, cut]
        full = ~(np.isnan(self.values[0]) | np.isnan(self.values[1]) | (self.status != 1)).any(axis=1)
        self.pool = full if full.any() else np.ones(len(full), bool)
        self.logs = np.log(self.ratios[score], out=np.full(self.ratios[score].shape, np.nan), where=~np.isnan(self.ratios[score]))
        self.families = [payload["tasks"][j]["family"] for j in cut]
        self.units = bootstrap.units_of(self.families)


def choose(payload: dict[str, Any], name: str) -> list[int]:
    tasks = payload["tasks"]
    picked = {
        "whole": lambda j: True,
        "one domain": lambda j: tasks[j]["domain"] == "Energy",
        "one family": lambda j: tasks[j]["family"] == "family0",
        "two tasks": lambda j: j < 2,
        "without the gaps": lambda j: j >= len(tasks) // 3,
        "one task": lambda j: j == 5,
    }
    return [j for j in range(len(tasks)) if picked[name](j)]


def same(found: Any, expected: Any, relative: float = 1e-9) -> None:
    """Equal to rounding; None of the page (NaN does not travel) is NaN."""
    mine = np.array([math.nan if value is None else value for value in np.ravel(np.array(found, dtype=object))], float)
    np.testing.assert_allclose(mine, np.ravel(np.asarray(expected, float)), rtol=relative, atol=1e-12)


@pytest.fixture(scope="module")
def payload() -> dict[str, Any]:
    return make_payload(26, 9, 3, own=3, seed=4)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """(results, payload) of the 121 published models."""
    from harness.types import SuiteInfo
    from harness_leaderboard.collect import collect
    from harness_leaderboard.page.payload import make_payload as real_payload
    from harness_results.gift_eval_import import import_gift_eval
    from harness_results.store import DuckStore

    store = DuckStore(tmp_path_factory.mktemp("page") / "x.duckdb")
    import_gift_eval(store)
    results = collect(store, "gift-eval")
    return results, real_payload(store, results, SuiteInfo("gift-eval"), {})


@pytest.fixture
def shown(show: Callable[..., Shown], payload: dict[str, Any]) -> Shown:
    return show(payload)


def test_scores_ranks_and_win_rates_are_pythons(shown: Shown, payload: dict[str, Any]) -> None:
    for name in SLICES:
        tasks = choose(payload, name)
        found = shown.run(
            "(tasks) => { const n = board.compute.sliceNumbers(board.data, tasks); const lists = (x) => x.map((y) => [...y]);"
            " return {...n, n: lists(n.n), rank: lists(n.rank), win: [...n.win], pool: [...n.pool]}; }",
            tasks,
        )
        expected = Expected(payload, tasks, 0)
        assert [bool(there) for there in found["pool"]] == expected.pool.tolist(), name
        for score in (0, 1):
            same(found["n"][score], geometric_mean(expected.ratios[score]))
            same(found["rank"][score], mean_ranks(expected.values[score], expected.pool))
        same(found["win"], win_rates(expected.values[0], expected.pool))
        for i, count in enumerate(found["counts"]):
            done = expected.status[i] == 1
            lost = np.isnan(expected.ratios[0][i]) | np.isnan(expected.ratios[1][i])
            assert (count["done"], count["failed"], count["skipped"]) == tuple(
                int((expected.status[i] == code).sum()) for code in (1, 2, 3)
            )
            assert count["undefined"] == int((done & lost).sum())


def test_intervals_pairs_places_and_letters_are_pythons(shown: Shown, payload: dict[str, Any]) -> None:
    for name in SLICES:
        for score in (0, 1):
            tasks = choose(payload, name)
            expected = Expected(payload, tasks, score)
            found = shown.run(
                "([score, tasks]) => { const c = board.compute.certainty(board.data, score, tasks);"
                " return {kind: c.units.kind, low: [...c.low], high: [...c.high], apart: [...c.apart]}; }",
                [score, tasks],
            )
            assert (found["kind"] == "family") == (len(expected.units) > 1), name
            low, high = bootstrap.intervals(expected.logs, expected.units)
            same(found["low"], low)
            same(found["high"], high)
            apart = bootstrap.told_apart(expected.logs, expected.units)
            assert np.array(found["apart"]).reshape(apart.shape).tolist() == apart.tolist(), (name, score)
            order = [int(i) for i in np.argsort(geometric_mean(expected.ratios[score])) if not np.isnan(expected.logs[i]).all()]
            script = (
                "([apart, order, m, pool]) => { const a = Int8Array.from(apart);"
                " return [board.compute.lettersOf(a, order, m, 30), board.compute.placeRanges(a, Uint8Array.from(pool))]; }"
            )
            letters, places = shown.run(script, [found["apart"], order, len(apart), expected.pool.astype(int).tolist()])
            assert letters == ties.letters(apart, order)
            assert places == [list(part) for part in (x.tolist() for x in ties.places(apart, expected.pool))]


def test_resamples_are_pythons(shown: Shown) -> None:
    for count, seed in ((6, 0), (28, 0), (7, 123456789)):
        found = shown.run("([n, seed]) => board.compute.drawWeights(n, 50, seed).map(x => [...x])", [count, seed])
        assert np.array(found).T.tolist() == bootstrap.weights(count, 50, seed).tolist()


def test_influence_drivers_and_disagreement_are_pythons(shown: Shown, payload: dict[str, Any]) -> None:
    tasks = choose(payload, "whole")
    expected = Expected(payload, tasks, 0)
    pool = expected.pool
    found = shown.run(
        "(tasks) => board.compute.influenceOf(board.data, 0, tasks, board.compute.sliceNumbers(board.data, tasks).pool)",
        tasks,
    )
    for i, whole in zip(np.flatnonzero(pool), influence(expected.ratios[0][pool], expected.families), strict=True):
        mine = found[i]
        assert (mine["place"], mine["best"], mine["worst"]) == (whole.place, whole.best, whole.worst)
        assert (mine["bestWithout"], mine["worstWithout"]) == (whole.best_without, whole.worst_without)
    assert all(found[i]["place"] == 0 for i in np.flatnonzero(~pool))

    middle = np.nanmedian(expected.logs[pool], axis=0)
    same(
        shown.run("(tasks) => board.compute.medianLogs(board.data, 0, tasks, board.compute.sliceNumbers(board.data, tasks).pool)", tasks),
        middle,
    )
    made = shown.run("([tasks, reference]) => board.compute.driversOf(board.data, 0, 5, tasks, reference)", [tasks, middle.tolist()])
    parts = drivers(expected.ratios[0], 5, np.exp(middle))
    same([driver["part"] for driver in made], np.sort(parts[~np.isnan(parts)]))
    same([driver["part"] for driver in made], [parts[tasks.index(driver["task"])] for driver in made])

    n, rank = geometric_mean(expected.ratios[0]), mean_ranks(expected.values[0], pool)
    flags = disagreement(np.where(pool, n, np.nan), np.where(pool, rank, np.nan))
    script = "([n, rank, pool]) => board.compute.disagreementOf(n.map(x => x ?? NaN), rank.map(x => x ?? NaN), pool, board.data.statistics)"
    mine = shown.run(
        script, [[None if math.isnan(x) else x for x in n], [None if math.isnan(x) else x for x in rank], pool.astype(int).tolist()]
    )
    assert mine == {"byMean": flags.by_mean.tolist(), "byRank": flags.by_rank.tolist(), "flagged": flags.flagged.tolist()}


def test_policies_are_pythons_and_a_plain_loops(shown: Shown, payload: dict[str, Any]) -> None:
    tasks = choose(payload, "whole")
    expected = Expected(payload, tasks, 0)
    script = "([i, tasks]) => board.compute.policiesOf(board.data, 0, i, tasks)"
    base = read(payload["scores"][0]["baseline"])[tasks]
    found = [shown.run(script, [i, tasks]) for i in range(len(payload["models"]))]
    for policy in ("drop", "baseline", "worst"):
        same([one[policy] for one in found], geometric_mean(filled(expected.ratios[0], expected.values[0], base, policy)))

    i = len(found) - 1  # has failures
    logs: dict[str, list[float]] = {"drop": [], "baseline": [], "worst": []}
    for j in range(len(tasks)):
        mine = expected.ratios[0][i, j]
        others = max(x for x in expected.ratios[0][:, j] if not math.isnan(x))
        for policy, instead in (("drop", None), ("baseline", 1.0), ("worst", others)):
            value = instead if math.isnan(mine) else mine
            logs[policy] += [math.log(value)] if value is not None else []
    for policy, values in logs.items():
        assert found[i][policy] == pytest.approx(math.exp(math.fsum(values) / len(values)), rel=1e-12), policy
    assert found[i]["covered"] == len(logs["drop"]) / len(tasks) < 1


def test_tests_of_significance_are_scipys(shown: Shown, payload: dict[str, Any]) -> None:
    draw = np.random.default_rng(1)
    cases = [draw.normal(0, 1, (k, n)) + np.linspace(0, 0.5, k)[:, None] for k, n in ((3, 6), (5, 12), (8, 28), (4, 60))]
    cases += [np.round(case, 1) for case in cases] + [np.zeros((4, 9)), np.tile(np.arange(5.0)[:, None], (1, 7))]
    for scores in cases:
        found = shown.run("(scores) => board.compute.friedman(scores)", scores.tolist())
        expected = significance.friedman(scores)
        same([found["statistic"], found["p"]], [expected.statistic, expected.p])
        pairs = [(a, b) for a in range(len(scores)) for b in range(a + 1, len(scores))]
        mine = shown.run(
            "([scores, pairs]) => pairs.map(([a, b]) => board.compute.wilcoxon(scores[a], scores[b], 1e-6).p)", [scores.tolist(), pairs]
        )
        theirs = [significance.wilcoxon(scores[a], scores[b]).p for a, b in pairs]
        same(mine, theirs)
        same(shown.run("(p) => board.compute.holm(p)", mine), holm(np.array(theirs)))
    table = payload["statistics"]["nemenyi"]
    for k, n in ((2, 10), (4, 14), (10, 28)):
        assert shown.run("([k, n, q]) => board.compute.nemenyiDistance(k, n, q)", [k, n, table]) == pytest.approx(
            significance.nemenyi_distance(k, n), rel=1e-6
        )


def test_what_differs_by_rounding_is_equal(shown: Shown, payload: dict[str, Any]) -> None:
    draw = np.random.default_rng(2)
    near = draw.normal(0, 1, 12) + np.array([[0], [1e-12], [2e-12]])
    cases = [near, np.vstack([near, near + 1]), draw.integers(0, 3, (5, 20)) * 0.6e-6, draw.normal(0, 1, (4, 9))]
    for scores in cases:
        found = shown.run("(scores) => board.compute.levelsOf(scores, board.data.statistics.same)", scores.tolist())
        assert found == levels(scores).tolist()
    assert significance.friedman(near).p < 0.001 and math.isnan(significance.friedman(levels(near)).p)
    assert levels(cases[3]).tolist() == (np.argsort(np.argsort(cases[3], axis=0), axis=0)).tolist()
    assert bool((levels(np.array([[0.0], [0.6e-6], [1.2e-6], [1.0]])) == [[0], [0], [0], [1]]).all())  # a chain is one

    values = np.frombuffer(base64.b64decode(payload["scores"][0]["values"]["data"]), "<f8").reshape(26, -1)
    script = "([a, b]) => { const d = board.compute.duel(board.view, a, b); return [d.wins, d.ties, d.losses]; }"
    for a, b in ((1, 3), (0, 25), (2, 7)):
        there = ~(np.isnan(values[a]) | np.isnan(values[b]))
        tied = equal(values[a], values[b])
        expected = [int(((values[a] < values[b]) & ~tied).sum()), int(tied.sum()), int(((values[a] > values[b]) & ~tied & there).sum())]
        assert shown.run(script, [a, b]) == expected


def test_wins_of_models_that_differ_by_rounding(show: Callable[..., Shown]) -> None:
    payload = make_payload(4, 8, 2, own=1, gaps=False)
    values = read(payload["scores"][0]["values"]).copy()
    values[1], values[2] = values[0] * (1 + 1e-12), values[0] * (1 + 2e-12)
    payload["scores"][0]["values"] = array(values, "f8")
    shown = show(payload)
    script = "([a, b]) => { const d = board.compute.duel(board.view, a, b); return [d.wins, d.ties, d.losses]; }"
    assert shown.run(script, [0, 1]) == [0, 16, 0] == shown.run(script, [2, 0])
    # Published aggregates count exactly.
    rank = mean_ranks(values, np.ones(4, bool))
    same(shown.run("[...board.view.numbers.rank[0]]"), rank)
    assert rank[0] < rank[1] < rank[2]
    shown.draw_all()
    shown.page.click("#s-critical summary >> nth=0")
    rows = [row.split("\t") for row in shown.page.locator("#s-critical details >> nth=0 >> tbody tr").all_inner_texts()]
    ranks = dict(rows)
    assert len(ranks) == 4 and ranks["model-000"] == ranks["model-001"] == ranks["model-002"]


def test_cost_is_fitting_and_predicting(shown: Shown, payload: dict[str, Any]) -> None:
    tasks = choose(payload, "one domain")
    sums = {name: read(payload["cost"][name])[25, tasks] for name in ("fit_s", "predict_s", "windows", "peak_mb")}
    found = shown.run("(tasks) => board.compute.costOf(board.data, 25, tasks)", tasks)
    windows = sums["windows"].sum()
    assert found["seconds"] == pytest.approx(1000 * sums["predict_s"].sum() / windows)
    assert found["whole"] == pytest.approx(1000 * (sums["predict_s"].sum() + sums["fit_s"].sum()) / windows)
    assert (found["fit"], found["peak"]) == (pytest.approx(sums["fit_s"].sum()), sums["peak_mb"].max())
    shown.draw_all()
    assert "seconds to fit and predict, per 1,000 forecasts" in shown.run("document.querySelector('#s-cost svg').textContent")


def test_calibration_is_over_tasks_that_all_shown_models_have(show: Callable[..., Shown]) -> None:
    payload = make_payload(10, 9, 1, own=3, gaps=False)
    stored = payload["calibration"]
    n, hits = read(stored["n"]).copy(), read(stored["hits"])
    n[0, :4] = 0
    n[2, 8] = 0
    stored["n"] = array(n, "f4")
    shown = show(payload)
    shown.draw_all()
    assert shown.text("#s-calibration .finding") == "Over 4 tasks that all of them have."
    shown.page.click("#s-calibration summary >> nth=0")
    rows = shown.page.locator("#s-calibration details >> nth=0 >> tbody tr").all_inner_texts()
    drawn = {tuple(row.split("\t")[:2]): float(row.split("\t")[2]) for row in rows}
    for o, model in enumerate(stored["models"]):
        expected = (hits[o, 4:8] / n[o, 4:8, None]).mean(axis=0)
        mine = [drawn[payload["models"][model]["label"], f"{level:.3f}"] for level in stored["levels"]]
        same(mine, expected, 1e-2)
    # A model with no counts in the slice is left out, and so are its gaps.
    n[0] = 0
    stored["n"] = array(n, "f4")
    shown = show(payload)
    shown.draw_all()
    assert shown.text("#s-calibration .finding") == "Over 8 tasks that all of them have."
    # No task in common.
    n[0, :4] = 1
    n[1, :4] = 0
    stored["n"] = array(n, "f4")
    shown = show(payload)
    shown.draw_all()
    assert shown.text("#s-calibration .body") == "No task of this slice has counts by quantile level of every shown model."


def test_blocks_are_pythons(shown: Shown, payload: dict[str, Any]) -> None:
    tasks = choose(payload, "whole")
    expected = Expected(payload, tasks, 0)
    chosen = [0, 1, 3, 5, 25]
    script = (
        "([chosen, tasks]) => board.compute.blockMeans(board.data, 0, chosen, tasks, board.compute.certainty(board.data, 0, tasks).units)"
    )
    blocks = significance.block_means(expected.logs[chosen], expected.units)
    same(shown.run(script, [chosen, tasks]), blocks[:, ~np.isnan(blocks).any(axis=0)])


def test_the_published_leaderboard_is_pythons(show: Callable[..., Shown], published: tuple[Any, dict[str, Any]]) -> None:
    from harness_leaderboard.board import board_rows

    results, payload = published
    shown = show(payload)
    assert shown.text("#verdict").startswith(
        "EXAONE-Forecast-Agent has the lowest nMASE: 0.610 (95 % interval 0.551 to 0.682 over 19 dataset"
    )
    assert "20 models cannot be told apart from it: STRIDE_w_Synapse" in shown.text("#verdict")
    flags = [text for text in shown.column("model") if text.startswith("TurkForecast-FM-Chronos2-LoRA-v1")]
    assert "#5 by nMASE, #39 by mean rank" in flags[0]  # of 121; #38 among the 120 of which this was first told
    script = """(i) => { const v = board.view;
        return [v.values[i], v.low[i], v.high[i], v.other[i], v.numbers.rank[0][i], v.numbers.rank[1][i], v.numbers.win[i], v.bestPlace[i] || NaN, v.worstPlace[i] || NaN]; }"""  # noqa: E501
    columns = ("nMASE", "nMASE_low", "nMASE_high", "nCRPS", "rank_MASE", "rank_CRPS", "win_rate", "place_best", "place_worst")
    for domain in ("", "Web/CloudOps"):
        if domain:
            shown.run("(domain) => { location.hash = '#' + new URLSearchParams({ domain }); }", domain)
            shown.until("board.view.tasks.length < 97")
        kept = results.only(np.array([domain in ("", task["domain"]) for task in results.tasks]))
        rows = {row["model"]: row for row in board_rows(kept)}
        assert len(rows) == 121
        for i, model in enumerate(payload["models"]):
            same(shown.run(script, i), [math.nan if rows[model["label"]][name] is None else rows[model["label"]][name] for name in columns])


def test_many_ways_of_lacking_tasks_are_pythons(show: Callable[..., Shown]) -> None:
    payload = make_payload(48, 9, 4, own=3, seed=7)
    values = read(payload["scores"][0]["values"]).copy()
    holes = np.random.default_rng(0).random(values.shape) < 0.2
    values[holes & (np.arange(len(values)) % 4 != 0)[:, None]] = math.nan
    payload["scores"][0]["values"] = array(values, "f8")
    expected = Expected(payload, range(values.shape[1]), 0)
    assert len(np.unique(np.isfinite(expected.logs), axis=0)) > bootstrap.PATTERNS
    found = show(payload).run("(tasks) => [...board.compute.certainty(board.data, 0, tasks).apart]", list(range(values.shape[1])))
    apart = bootstrap.told_apart(expected.logs, expected.units)
    assert np.array(found).reshape(apart.shape).tolist() == apart.tolist()
    assert 0 < (apart != 0).mean() < 1
