"""Files of prices from vendors: wrong adjusted columns, splits and dividends, time zones, several instruments, spellings."""

from __future__ import annotations

import doctest
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from spy_kit import made

from harness.errors import DataError
from harness.forecast import F64
from harness_tasks.spy import adjust
from harness_tasks.spy.prices import Prices, read_prices

N = 300
HEADER = "date,open,high,low,close,volume"


def put(folder: Path, prices: Prices, more: dict[str, list[str]] | None = None, scale: F64 | None = None, digits: int = 2) -> Path:
    """Prices times `scale` [T] as CSV, rounded, with more columns."""
    scale = np.ones(len(prices)) if scale is None else scale
    bar = [np.round(getattr(prices, name) * scale, digits) for name in ("open", "high", "low", "close")]
    bar[1], bar[2] = np.maximum.reduce(bar), np.minimum.reduce(bar)
    columns = [prices.date.astype(str), *bar, prices.volume.astype(int), *(more or {}).values()]
    lines = [",".join(map(str, row)) for row in zip(*(list(column) for column in columns), strict=True)]
    path = folder / "p.csv"
    path.write_text("\n".join([",".join([HEADER, *(more or {})]), *lines]))
    return path


def steps(*at: tuple[int, float], n: int = N) -> F64:
    """1 at the end; before session k multiplied by f, for each (k, f)."""
    out = np.ones(n)
    for k, f in at:
        out[:k] *= f
    return out


def adjusted(prices: Prices, factor: F64, digits: int = 4) -> list[str]:
    return [f"{x:.{digits}f}" for x in np.round(prices.close, 2) * factor]


def test_worked_numbers_of_docstrings() -> None:
    found = doctest.testmod(adjust)
    assert (found.failed, found.attempted > 0) == (0, True)


DIVIDENDS = steps((60, 0.99), (120, 0.991), (180, 0.992), (240, 0.993))


@pytest.mark.parametrize("digits", [2, 4, 6])
def test_right_adjusted_closes_are_taken(tmp_path: Path, digits: int) -> None:
    prices = made(N)
    found = read_prices(put(tmp_path, prices, {"Adj Close": adjusted(prices, DIVIDENDS, digits)}))
    np.testing.assert_allclose(found.close, np.round(prices.close, 2) * DIVIDENDS, atol=0.6 * 10.0**-digits)
    split = steps((100, 10.0), (200, 0.5))  # a reverse split of 10, before a split of 2: neither is in the closes
    raw = made(N)
    told = [f"{x:.6f}" for x in np.round(raw.close / split, 2) * split]
    np.testing.assert_allclose(read_prices(put(tmp_path, raw, {"Adj Close": told}, 1 / split)).close, raw.close, rtol=2e-3)


def test_cents_of_low_prices_are_no_changes(tmp_path: Path) -> None:
    prices, low = made(N), np.full(N, 0.02)  # about 2.00
    told = [f"{x:.2f}" for x in np.round(prices.close * 0.02, 2) * DIVIDENDS]
    assert read_prices(put(tmp_path, prices, {"Adj Close": told}, low)).adjustment == "adjusted close"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: [a[0], *a[:-1]], r"It changes on 29\d of 299 sessions.*the column is shifted"),
        (lambda a: [*a[1:], a[-1]], r"p\.csv, line 3: 2000-01-04: the adjusted close over .* It changes on 29\d of 299"),
        (lambda a: list(np.random.default_rng(0).permutation(a)), "the column is shifted, or not of these prices. Leave the column out"),
        (lambda a: [str(float(x) * 1.2) for x in a[:100]] + a[100:], r"p\.csv, line 102: 2000-05-22.* It falls on 1 of 299.*p_factors.csv"),
    ],
)  # fmt: skip
def test_wrong_adjusted_closes_are_refused(tmp_path: Path, change: object, said: str) -> None:
    prices = made(N)
    wrong = change(adjusted(prices, DIVIDENDS))  # type: ignore[operator]
    with pytest.raises(DataError, match=said):
        read_prices(put(tmp_path, prices, {"Adj Close": wrong}))


@pytest.mark.parametrize(("factor", "fine"), [(1.3, False), (1.02, False), (0.98, True), (1.000001, True)])
def test_a_price_factor_is_no_negative_dividend(tmp_path: Path, factor: float, fine: bool) -> None:
    prices = made(N)
    path, factors = put(tmp_path, prices), tmp_path / "f.csv"
    day = [str(prices.date[k]).replace("-", "") for k in (0, 99)]
    factors.write_text(f"{day[0]},{factor},1,1\n{day[1]},{factor},1,{prices.close[99]:.2f}\n20501231,1,1,0\n")
    if fine:
        assert read_prices(path, factors).close[0] == pytest.approx(prices.close[0] * factor, rel=1e-4)
        return
    with pytest.raises(
        DataError, match=r"f\.csv, line 2: the price factor falls from 1\.\d+ on 2000-05-19 to 1 on 2050-12-31: a dividend of -0\."
    ):
        read_prices(path, factors)
    factors.write_text(f"{day[0]},2,1,1\n{day[1]},2,1,{prices.close[99] / 2:.4f}\n20501231,1,1,0\n")  # a reverse split
    assert read_prices(put(tmp_path, prices, scale=steps((100, 0.5))), factors).close[0] == pytest.approx(prices.close[0], rel=1e-3)


def events(*at: tuple[int, float], none: float = 0.0) -> list[str]:
    return [str(dict(at).get(k, none)) for k in range(N)]


@pytest.mark.parametrize("split", [1.25, 1.4, 2.0, 0.1])
def test_splits_and_dividends_adjust_prices_that_lack_them(tmp_path: Path, split: float) -> None:
    """A loop over days beside the products; yfinance's columns, and Alpha Vantage's, whose split of none is 1."""
    prices, raw = made(N), steps((100, split))
    for none, names in ((0.0, ("Stock Splits", "Dividends")), (1.0, ("8. split coefficient", "7. dividend amount"))):
        path = put(tmp_path, prices, {names[0]: events((100, split), none=none), names[1]: events((150, 0.5), (100, 0.25))}, raw, 4)
        found, close = read_prices(path), np.round(prices.close * raw, 4)
        factor, shares, wanted = 1.0, 1.0, np.empty(N)
        for t in range(N - 1, -1, -1):
            wanted[t] = close[t] * factor
            s, paid = (split if t == 100 else 1.0), {150: 0.5, 100: 0.25}.get(t, 0.0)
            factor, shares = factor * (1 - paid / (close[t - 1] / s)) / s, shares / s
        np.testing.assert_allclose(found.close, wanted)
        assert found.adjustment == "splits and dividends"
        assert found.volume[0] == pytest.approx(int(prices.volume[0]) / shares)
        assert found.volume[-1] == int(prices.volume[-1])


def test_prices_that_have_their_splits_are_left_alone(tmp_path: Path) -> None:
    prices = made(N)
    found = read_prices(put(tmp_path, prices, {"Stock Splits": events((100, 2.0)), "Dividends": events((150, 0.5))}, digits=6))
    np.testing.assert_allclose(found.close, prices.close, atol=1e-6)
    assert found.adjustment == "none"
    assert found.notes == (
        "prices have the 1 splits of their column already, as closes do not fall by them",
        "the 1 dividends of their column are left alone: prices that are not in cents are adjusted already",
    )


@pytest.mark.parametrize(
    ("more", "scale", "said"),
    [
        (
            {"Stock Splits": events((100, 2.0), (200, 2.0))},
            steps((100, 2.0)),
            r"p\.csv, line 102: 2000-05-22: the close falls by the split of 2, and not by that of 2 on 2000-10-09",
        ),
        ({"Stock Splits": events((100, 1.02))}, None, "a split of 1.02, too small to tell from the prices"),
        ({"Stock Splits": events((100, -2.0))}, None, "2000-05-22: a split of -2; wanted new shares"),
        ({"Dividends": events((100, -2.0))}, None, "a dividend of -2; wanted money for a share"),
        (
            {"Dividends": events((100, 0.5))},
            None,
            r"p\.csv, line 102: 2000-05-22: a dividend of 0.5 beside closes in whole cents.*leave the column",
        ),
        ({"Stock Splits": events((100, 2.0)), "Dividends": events((100, 900.0))}, steps((100, 2.0)), "a dividend of 900; wanted less"),
    ],
)
def test_splits_and_dividends_that_cannot_be(tmp_path: Path, more: dict[str, list[str]], scale: F64 | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_prices(put(tmp_path, made(N), more, scale))


def test_a_split_on_a_day_without_prices_is_not_lost(tmp_path: Path) -> None:
    path = put(tmp_path, made(N), {"Stock Splits": events((100, 2.0))}, steps((101, 2.0)))
    lines = path.read_text().splitlines()
    lines[101] = "2000-05-22,,,,,,2.0"
    path.write_text("\n".join(lines))
    with pytest.raises(
        DataError, match=r"p\.csv, line 102: 2000-05-22: 2 in the column of splits and no price; wanted it on the first session"
    ):
        read_prices(path)


def test_small_splits_that_nobody_told_are_noted(tmp_path: Path) -> None:
    (said,) = read_prices(put(tmp_path, made(N), scale=steps((100, 1.25)))).notes
    assert said.startswith("1 closes are more than a log return of 0.2 from the one before, the first 0.8")
    assert "on 2000-05-22: where that was a split, as 5:4 or 7:5, give a factor file" in said
    assert read_prices(put(tmp_path, made(N))).notes == ()


def stamped(folder: Path, prices: Prices, zone: str, hour: int) -> tuple[Path, Path]:
    """The sessions' stamps in New York at an hour, written in a zone, as text and as Parquet."""
    days = [datetime.fromisoformat(str(day)).replace(tzinfo=ZoneInfo("America/New_York")) + timedelta(hours=hour) for day in prices.date]
    path = put(folder, prices)
    lines = path.read_text().splitlines()
    rows = [line.split(",", 1)[1] for line in lines[1:]]
    text = [day.astimezone(ZoneInfo(zone)).isoformat(sep=" ") for day in days]
    path.write_text("\n".join([lines[0], *(f"{stamp},{row}" for stamp, row in zip(text, rows, strict=True))]))
    columns = {name: getattr(prices, name) for name in ("open", "high", "low", "close", "volume")}
    pq.write_table(pa.table({"date": pa.array(days, pa.timestamp("ms", zone)), **columns}), folder / "p.parquet")
    return path, folder / "p.parquet"


@pytest.mark.parametrize(("zone", "hour"), [("America/New_York", 16), ("UTC", 16), ("Europe/London", 16), ("America/New_York", 0)])
def test_text_and_parquet_have_the_day_that_is_written(tmp_path: Path, zone: str, hour: int) -> None:
    prices = made(60)
    text, table = (read_prices(path) for path in stamped(tmp_path, prices, zone, hour))
    assert text.date.tolist() == table.date.tolist() == prices.date.tolist()
    assert text.notes == table.notes == ()


@pytest.mark.parametrize(("zone", "hour"), [("Asia/Tokyo", 16), ("UTC", 20), ("America/Los_Angeles", 0)])
def test_days_that_a_time_zone_shifts_are_refused(tmp_path: Path, zone: str, hour: int) -> None:
    for path in stamped(tmp_path, made(60), zone, hour):
        with pytest.raises(
            DataError, match=r"12 sessions are on weekends, the first on 2000-01-0.*another time zone.*day alone, as 2019-01-02"
        ):
            read_prices(path)


def redated(folder: Path, days: np.ndarray[tuple[int], np.dtype[np.datetime64]]) -> Path:
    prices = made(len(days))
    return put(folder, Prices(days, prices.open, prices.high, prices.low, prices.close, prices.volume))


def test_weekends_by_date_alone(tmp_path: Path) -> None:
    days = made(60).date
    with pytest.raises(DataError, match=r"p\.csv, line 6: 12 sessions are on weekends, the first on 2000-01-08.*each is a day late"):
        read_prices(redated(tmp_path, days + np.timedelta64(1, "D")))
    fine = "sessions are on weekends, the first on 2000-01-0"
    assert fine in read_prices(redated(tmp_path, days - np.timedelta64(1, "D"))).notes[0]  # Sunday to Thursday, as in Riyadh
    assert fine in read_prices(redated(tmp_path, np.arange("2000-01-03", "2000-03-03", dtype="datetime64[D]"))).notes[0]  # each day


def test_several_instruments_in_a_file_are_refused(tmp_path: Path) -> None:
    prices = made(N)
    said = r"p\.{0}: column 'Ticker' names 2 instruments: 'A', 'B'; wanted one in a file\. "
    said += r"Write a file for each.*id: Ticker\): harness new suite NAME --from \S+p\.{0}"
    path = put(tmp_path, prices, {"Ticker": ["A", "B"] * 150})
    with pytest.raises(DataError, match=said.format("csv")):
        read_prices(path)
    columns = {name: getattr(prices, name) for name in ("date", "open", "high", "low", "close")}
    pq.write_table(pa.table({**columns, "Ticker": ["A", "B"] * 150}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=said.format("parquet")):
        read_prices(tmp_path / "p.parquet")
    assert len(read_prices(put(tmp_path, prices, {"Ticker": ["A"] * N, "symbol": ["B"] * N}))) == N


@pytest.mark.parametrize(
    ("header", "before"),
    [
        ("<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", ""),
        ("<TICKER>,<PER>,<TIME>,<DATE>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", "SPY.US,D,000000,"),
        ("timestamp,1. open,2. high,3. low,4. close,5. volume", ""),
        (",open,high,low,close,volume", ""),
        ("\topen\thigh\tlow\tclose\tvolume", ""),
        ("Unnamed: 0,Open,High,Low,Close,Volume", ""),
    ],
)
def test_spellings_of_vendors(tmp_path: Path, header: str, before: str) -> None:
    prices = made(20)
    path = put(tmp_path, prices)
    lines = [before + line for line in path.read_text().splitlines()[1:]]
    text = "\n".join([header, *(line.replace(",", "\t") if "\t" in header else line for line in lines)])
    path.write_text(text)
    found = read_prices(path)
    assert found.date.tolist() == prices.date.tolist()
    assert found.volume.tolist() == prices.volume.astype(int).tolist()


def test_a_cell_of_a_spreadsheet_without_value(tmp_path: Path) -> None:
    path = put(tmp_path, made(20))
    lines = path.read_text().splitlines()
    lines[5] = lines[5].split(",")[0] + ",#N/A" * 5
    path.write_text("\n".join(lines))
    assert len(read_prices(path)) == 19
