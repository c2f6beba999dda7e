"""The suite `spy`: its sample, its folder, its options, and that a fold's model sees nothing of what it is tested on."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spy_kit import between, made, write

from harness.batches import cut_batch, training_batch
from harness.errors import DataError, Unavailable, UsageError
from harness.events import outcomes
from harness.plugins import load
from harness.series import TaskData
from harness.suites import find_suite
from harness.types import ModelInfo, Task
from harness_tasks.spy.instruments import SAMPLES
from harness_tasks.spy.prices import read_prices
from harness_tasks.spy.suite import Options, Spy, spy

YEARS = 260 * 5 + 40
INFO = ModelInfo("m", covariates=("past",))


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPY", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(made(YEARS), tmp_path / "prices" / "shop.csv")
    return tmp_path / "prices"


def task_of(suite: Spy, name: str) -> Task:
    return next(task for task in suite.tasks() if task.name == name)


def opened(suite: Spy, name: str) -> TaskData:
    return suite.open(task_of(suite, name))


def test_the_sample_needs_no_folder() -> None:
    suite = spy(None)
    own = [task for task in suite.tasks() if task.dataset == "spy-sample"]
    assert len(own) == 13
    for task in own:
        data = suite.open(task)
        years = data.series.when(np.zeros(len(data), np.int64), data.cut).astype("datetime64[Y]").astype(int) + 1970
        assert np.unique(years).tolist() == [2018, 2019, 2020, 2021]
        np.testing.assert_array_equal(years - 2018, data.fold)
        assert len(data.training) == 4
        assert "SPY" in task.sources
    with pytest.raises(Unavailable, match=r"set SPY or --data to a folder with spy_daily.csv, the SPDR S&P 500 ETF; the sample needs none"):
        opened(suite, "spy/touch/1d/return")
    with pytest.raises(Unavailable, match=r"sp500_index_daily.csv.gz, the S&P 500 index"):
        opened(suite, "sp500/touch/1d/return")


def test_the_sample_is_small_and_says_where_it_is_from() -> None:
    said = (SAMPLES / "LICENSES.md").read_text()
    assert "Apache-2.0" in said
    assert "QuantConnect" in said
    files = [path for path in SAMPLES.iterdir() if path.name != "LICENSES.md"]
    assert all(path.name in said for path in files)
    assert sum(path.stat().st_size for path in files) < 120_000
    prices = read_prices(SAMPLES / "spy-sample.csv.gz", SAMPLES / "spy-sample_factors.csv")
    assert (len(prices), str(prices.date[0]), str(prices.date[-1])) == (3335, "2008-01-02", "2021-03-31")
    assert prices.close[-1] == 396.33
    assert prices.close[0] / read_prices(SAMPLES / "spy-sample.csv.gz").close[0] == pytest.approx(0.7642274)


def test_the_sample_is_the_end_of_the_whole_file(real_data: Path) -> None:
    whole = between(read_prices(real_data / "spy/spy_daily.csv", real_data / "spy/spy_factors.csv"), "2008-01-01", "2021-03-31")
    part = read_prices(SAMPLES / "spy-sample.csv.gz", SAMPLES / "spy-sample_factors.csv")
    for name in ("date", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name))


def test_a_folder_has_no_sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {task.dataset for task in spy(folder).tasks()} == {"spy", "sp500", "shop"}
    monkeypatch.setenv("SPY", str(folder))
    assert {task.dataset for task in spy(None).tasks()} == {"spy", "sp500", "shop"}
    with pytest.raises(Unavailable, match=r"there is no spy_daily.csv \(SPDR S&P 500 ETF\) in .*prices"):
        opened(spy(folder), "spy/touch/1d/return")


def test_files_of_a_users_own(folder: Path) -> None:
    good = (folder / "shop.csv").read_text()
    (folder / "Other.CSV").write_text(good)
    (folder / "v1.2.csv.gz").write_bytes(gzip.compress(good.encode()))
    for aside in (".hidden.csv", "shop_factors.csv", "readme.txt"):
        (folder / aside).write_text("20000103,0.75,1,1\n20501231,1,1,0\n")
    (folder / "folder.csv").mkdir()
    suite = spy(folder, years=2)
    assert {task.dataset for task in suite.tasks()} == {"spy", "sp500", "shop", "Other", "v1.2"}
    other, zipped = opened(suite, "Other/direction/1d/price"), opened(suite, "v1.2/direction/1d/price")
    np.testing.assert_array_equal(other.series.target[0], zipped.series.target[0])
    lower = opened(suite, "shop/direction/1d/price")  # a row of a factor file holds up to its own date, here the first
    ratio = np.asarray(lower.series.target[0]) / np.asarray(other.series.target[0])
    assert ratio[:2].tolist() == [0.75, 1.0]


def test_two_files_of_one_name_are_an_error(folder: Path) -> None:
    write(made(300), folder / "shop.parquet")
    with pytest.raises(DataError, match=r"shop.csv and shop.parquet are both 'shop': rename one, or move it"):
        spy(folder)
    (folder / "shop.parquet").unlink()
    write(made(300), folder / "spy.csv")
    write(made(300), folder / "spy_daily.csv")
    with pytest.raises(DataError, match="are both 'spy'"):
        spy(folder)


def test_a_bad_file_costs_its_own_tasks_alone(folder: Path) -> None:
    (folder / "list.csv").write_text("name,phone\nAda,1\n")
    write(made(300), folder / "short.csv")
    suite = spy(folder, years=2)
    with pytest.raises(DataError, match=r"list.csv: no column date, open, high, low, close among name, phone"):
        opened(suite, "list/touch/1d/return")
    with pytest.raises(DataError, match="wanted 2 whole years to learn from"):
        opened(suite, "short/touch/1d/return")
    assert len(opened(suite, "shop/touch/1d/return")) > 700


def test_files_that_change_under_a_run_are_noticed(folder: Path) -> None:
    data = opened(spy(folder, years=2), "shop/touch/1d/return")
    data.series.check()
    write(made(YEARS + 1), folder / "shop.csv")
    with pytest.raises(DataError, match="prices changed while they were read"):
        data.series.check()


def test_options_are_typed_in_brackets(folder: Path) -> None:
    found = find_suite(load(), "spy[context=256,theta=0.02,years=2,rolling=true,since=2003,lag=1]")
    suite = found.factory(folder)
    assert isinstance(suite, Spy)
    assert suite.options == Options(256, 2, True, 0.02, 2003, 1)
    task = task_of(suite, "shop/touch/1d/return")
    assert task.suite == found.info.name == "spy[context=256,years=2,rolling=true,theta=0.02,since=2003,lag=1]"
    assert task.context == 256
    assert task.event is not None
    assert task.event.above == float(np.float32(0.02))
    assert {each.name.split("/")[-1] for each in suite.tasks()} == {"return"}  # of a lagged price the question would be another
    data = suite.open(task)
    assert data.fold is not None
    assert len(np.unique(data.fold)) == 3  # 2003, 2004 and what there is of 2005
    assert len({part.begin[0] for part in data.training}) == 3  # rolling
    assert cut_batch(data, 0, 1, INFO, 0).contexts.lengths.tolist() == [256]
    plain = spy(folder)
    assert (task_of(plain, "shop/touch/1d/return").context, plain.options.years) == (80, 10)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("context=1", "context=1; wanted a whole number from 2"),
        ("years=0", "years=0; wanted"),
        ("years=1.5", "years=1.5; wanted a whole number"),
        ("rolling=yes", "rolling='yes'; wanted true or false"),
        ("theta=1", "theta=1; wanted a share"),
        ("theta=-0.01", "theta=-0.01; wanted a share"),
        ("since=true", "since=True; wanted"),
        ("lag=-1", "lag=-1; wanted"),
        ("purge=1", "suite 'spy' has no option 'purge'"),
    ],
)
def test_options_of_no_use(option: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        find_suite(load(), f"spy[{option}]").factory(None)


def test_volatility_like_is_said_where_a_task_is_seen(folder: Path) -> None:
    domains = {task.name.split("/")[1]: task.domain for task in spy(folder).tasks()}
    assert domains == {"direction": "Econ/Fin", "touch": "Econ/Fin, volatility-like", "up-threshold": "Econ/Fin, volatility-like"}
    assert "volatility-like" in find_suite(load(), "spy").info.summary


@pytest.mark.parametrize("rolling", [False, True])
@pytest.mark.parametrize("lag", [0, 3])
@pytest.mark.parametrize("name", ["direction/5d/return", "direction/1d/price", "touch/1d/return"])
def test_no_training_label_reaches_a_test_window(folder: Path, name: str, lag: int, rolling: bool) -> None:
    """In closes: what a fold learns from uses closes before those that its windows are about, by the embargo at least."""
    if lag and "price" in name:
        return
    suite = spy(folder, years=2, rolling=rolling, lag=lag)
    data = opened(suite, f"shop/{name}")
    h, event = int(name.split("/")[1][0]), data.task.event
    assert event is not None
    assert data.fold is not None
    assert event.step == h + lag
    for number, part in enumerate(data.training):
        begin, end = int(part.begin[0]), int(part.end[0])
        told = outcomes(event, data.series.target[0][begin:end])
        # The outcome after session t of the part is about the closes up to t + step.
        last_close = begin + int(np.flatnonzero(np.isfinite(told)).max()) + event.step
        first = int(data.cut[data.fold == number].min()) + event.step - h  # of the session that the first window's question starts with
        assert last_close == end - 1
        assert first - 1 - last_close == 2 * h + lag  # purge and embargo, counted from the close that the question starts at
        assert end + lag <= first


@pytest.mark.parametrize("name", ["direction/1d/return", "direction/5d/log-price", "touch/1d/return"])
def test_what_comes_later_changes_nothing_that_a_model_is_given(folder: Path, tmp_path: Path, name: str) -> None:
    """All prices after t are other ones: windows cut by then are the same, and so is what folds that began by then learnt from."""
    prices = made(YEARS)
    data = opened(spy(folder, years=2), f"shop/{name}")
    for number, t in enumerate([600, 783, 1100]):  # sessions; the second is the last of a year
        columns = {column: getattr(prices, column).copy() for column in ("open", "high", "low", "close", "volume")}
        other = made(YEARS, 9)
        for column, values in columns.items():
            values[t + 1 :] = 1.3 * getattr(other, column)[t + 1 :] * (1 if column == "volume" else prices.close[t] / other.close[t] / 1.3)
        folder_of = tmp_path / f"altered {number}"
        write(replace(prices, **columns), folder_of / "shop.csv")
        changed = opened(spy(folder_of, years=2), f"shop/{name}")
        np.testing.assert_array_equal(changed.cut, data.cut)
        count = int((data.cut <= t + 1).sum())
        assert 0 < count < len(data)
        before, after = cut_batch(data, 0, count, INFO, 0), cut_batch(changed, 0, count, INFO, 0)
        assert len(before.past_covariates) == len(before.past_names) == 8
        np.testing.assert_array_equal(before.starts, after.starts)
        np.testing.assert_array_equal(before.thresholds, after.thresholds)
        rows = zip((before.contexts, *before.past_covariates), (after.contexts, *after.past_covariates), strict=True)
        for first, second in rows:
            np.testing.assert_array_equal(first.values, second.values)
        later = cut_batch(changed, count, count + 1, INFO, 0).contexts.values
        assert not np.array_equal(cut_batch(data, count, count + 1, INFO, 0).contexts.values, later)  # it was altered
        begun = [f for f in range(len(data.training)) if data.cut[data.fold == f].min() <= t + 1]
        assert begun
        for fold in begun:
            learnt, again = training_batch(data, INFO, "full", 0, fold), training_batch(changed, INFO, "full", 0, fold)
            np.testing.assert_array_equal(learnt.contexts.values, again.contexts.values)
            np.testing.assert_array_equal(learnt.past_covariates[4].values, again.past_covariates[4].values)


def test_with_a_lag_the_question_stays_and_the_knowledge_ends_earlier(folder: Path) -> None:
    for name in ("direction/1d/return", "direction/5d/return", "touch/1d/return"):
        plain, late = opened(spy(folder, years=2), f"shop/{name}"), opened(spy(folder, years=2, lag=2), f"shop/{name}")
        assert len(plain) == len(late)
        np.testing.assert_array_equal(plain.fold, late.fold)
        asked = [d.series.target.gather(d.channel, d.cut + d.task.event.step - 1, 1) for d in (plain, late) if d.task.event]
        np.testing.assert_array_equal(asked[0], asked[1])
        np.testing.assert_array_equal(plain.cut - 2, late.cut)
