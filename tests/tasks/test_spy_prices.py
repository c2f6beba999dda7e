"""Files of daily prices: formats, adjustment, what cannot be, and the real files where they are."""

from __future__ import annotations

import doctest
import gzip
import importlib
import tracemalloc
import zipfile
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import DataError
from harness_tasks.spy import price_files, sessions, text_rows
from harness_tasks.spy.factors import read_factors
from harness_tasks.spy.prices import Prices, read_prices

ROWS = [
    ("1998-01-02", 97.31, 97.53, 96.53, 97.36, 2150000),
    ("1998-01-05", 97.84, 98.44, 96.78, 97.75, 4030800),
    ("1998-01-06", 97.25, 97.28, 96.19, 96.63, 2821800),
]
HEADER = "date,open,high,low,close,volume"
PLAIN = "\n".join([HEADER, *(",".join(map(str, row)) for row in ROWS)]) + "\n"


def put(folder: Path, text: str, name: str = "p.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def assert_rows(found: Prices) -> None:
    assert found.date.astype(str).tolist() == [row[0] for row in ROWS]
    for at, name in enumerate(("open", "high", "low", "close", "volume"), start=1):
        assert getattr(found, name).tolist() == [row[at] for row in ROWS]


@pytest.mark.parametrize("module", ["factors", "folds", "lookahead", "price_files", "prices", "sessions", "targets", "text_rows"])
def test_worked_numbers_of_docstrings(module: str) -> None:
    assert doctest.testmod(importlib.import_module(f"harness_tasks.spy.{module}")).failed == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t,
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\ufeff" + t + "\n\n",
        lambda t: t.replace("date,open,high,low,close,volume", "Date,OPEN,High, Low ,Close,Volume"),
        lambda t: t.replace(",", ";"),
        lambda t: t.replace(",", "\t"),
        lambda t: t.replace("-", ""),
        lambda t: t.replace("-", "/"),
        lambda t: "\n".join(line + (",note" if i == 0 else ",1998 was long ago") for i, line in enumerate(t.splitlines())),
        lambda t: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in t.splitlines()),
        lambda t: t.replace("1998-01-05", "1998-01-05 00:00:00-05:00"),
    ],
)
def test_spellings_of_one_file(tmp_path: Path, change: object) -> None:
    assert_rows(read_prices(put(tmp_path, change(PLAIN))))  # type: ignore[operator]


def test_columns_in_any_order(tmp_path: Path) -> None:
    lines = ["volume,close,date,low,high,open", *(f"{v},{c},{d},{lo},{h},{o}" for d, o, h, lo, c, v in ROWS)]
    assert_rows(read_prices(put(tmp_path, "\n".join(lines))))


def lean(hour: str = " 00:00") -> str:
    return "\n".join(f"{d.replace('-', '')}{hour}," + ",".join(str(round(x * 10000)) for x in bar) + f",{v}" for d, *bar, v in ROWS)


@pytest.mark.parametrize("hour", [" 00:00", ""])
def test_leans_format(tmp_path: Path, hour: str) -> None:
    assert_rows(read_prices(put(tmp_path, lean(hour))))
    with zipfile.ZipFile(tmp_path / "spy.zip", "w") as archive:
        archive.writestr("spy.csv", lean(hour))
    assert_rows(read_prices(tmp_path / "spy.zip"))


def test_compressed_and_columnar_files(tmp_path: Path) -> None:
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(PLAIN.encode()))
    assert_rows(read_prices(tmp_path / "p.csv.gz"))
    columns = dict(zip(HEADER.split(","), map(list, zip(*ROWS, strict=True)), strict=True))
    days = [date.fromisoformat(d) for d in columns["date"]]
    evening = [datetime(d.year, d.month, d.day, tzinfo=timezone(timedelta(hours=-5))) for d in days]
    kinds = {
        "text": pa.array(columns["date"]),
        "date": pa.array(days),
        "stamp": pa.array(days).cast(pa.timestamp("ns")),
        "zone": pa.array(evening, pa.timestamp("us", "-05:00")),
        "number": pa.array([int(d.replace("-", "")) for d in columns["date"]]),
    }
    for kind, stamps in kinds.items():
        table = pa.table({**columns, "date": stamps, "rsi": [1.0, 2.0, 3.0]})
        pq.write_table(table.rename_columns([name.title() for name in table.column_names]), tmp_path / f"{kind}.parquet")
        assert_rows(read_prices(tmp_path / f"{kind}.parquet"))


def test_a_file_without_volumes(tmp_path: Path) -> None:
    found = read_prices(put(tmp_path, "\n".join(line.rsplit(",", 1)[0] for line in PLAIN.splitlines())))
    assert np.isnan(found.volume).all()
    assert len(found) == 3


def test_days_without_prices_are_no_sessions(tmp_path: Path) -> None:
    found = read_prices(put(tmp_path, PLAIN.replace("1998-01-05,97.84,98.44,96.78,97.75,4030800", "1998-01-05,null,null,NaN,,0")))
    assert found.date.astype(str).tolist() == ["1998-01-02", "1998-01-06"]
    assert found.notes == ("1 rows without any price are left out, the first on 1998-01-05",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("97.53", "97.35", r", line 2: 1998-01-02: the high is below open or close: open 97.31, high 97.35"),
        ("96.78", "97.80", r", line 3: 1998-01-05: the low is above open or close"),
        ("97.36", "-97.36", r", line 2: 1998-01-02: a price is not a positive number"),
        ("97.36", "0", "a price is not a positive number"),
        ("97.36", "inf", "a price is not a positive number"),
        (
            "97.53",
            "1e308",
            r", line 2: 1998-01-02: the high or the low is too far off: .*; wanted one within 2 times, or 1/2 of, the close",
        ),
        ("97.53", "973.6", "the high or the low is too far off"),
        ("96.53", "9.6", "the high or the low is too far off"),
        ("97.36", "abc", r", line 2: close is 'abc'; wanted a number"),
        ("97.36", '"97,36"', r", line 2: close is '97,36'; wanted a number"),
        ("97.36", "", r", line 2: 1998-01-02: no close; wanted all four prices, or none"),
        ("2150000", "-1", "volume is below zero"),
        ("1998-01-05", "1998-01-02", r", line 3: a second row for 1998-01-02; wanted one a day"),
        ("1998-01-05", "1998-01-01", r", line 3: 1998-01-01 after 1998-01-02; wanted the oldest day first"),
        ("1998-01-05", "1998-13-05", r", line 3: '1998-13-05' is no date; wanted YYYY-MM-DD"),
        ("1998-01-05", "01/05/1998", r", line 3: '01/05/1998' is no date"),
        ("1998-01-05", "", r", line 3: '' is no date"),
        ("1998-01-05,97.84", "1998-01-05", r", line 3: 5 fields; wanted 6, as in the header\. Is the file whole"),
        ("1998-01-05", "\n1998-01-05", r", line 3: '' is no date"),
        ("close", "last", r"p.csv: no column close among date, open, high, low, last, volume; wanted the header"),
        ("volume", "Close", r"p.csv: columns 'close' and 'Close' both say close"),
        (
            "97.84,98.44,96.78,97.75",
            "195,196,194,195",
            r", line 3: 1998-01-05: the close is 2.003 times that of 1998-01-02.*Put .*_factors.csv",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_prices(put(tmp_path, PLAIN.replace(old, new, 1)))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    def refused(content: bytes, said: str, name: str = "p.csv") -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_prices(tmp_path / name)

    refused(b"", "empty")
    refused(b"\n \n", "empty")
    refused(HEADER.encode(), "a header and no row")
    refused(PLAIN.encode("utf-16"), "has bytes that are not utf-8")
    refused(PLAIN.encode().replace(b"97.36", b"97.\xe936"), r", line 2: has bytes that are not utf-8; .* The first is 0xe9")
    refused(PLAIN.encode().replace(b"97.36", b"97\x0036"), ", line 2: a zero byte")
    refused(gzip.compress(PLAIN.encode())[:-20], "damaged or cut short", "p.csv.gz")
    refused(b"PK\x03\x04" + bytes(30), "damaged or cut short", "p.zip")
    refused(b"PAR1 no", "cannot be read as Parquet", "p.parquet")
    refused(b"1\n2\n", "no column date")
    refused(b"19980102 00:00,97.31,97.53,96.53,97.36,2150000", "Lean's format has whole numbers")
    refused(b"19980102 00:00,973100,975300\n", "wanted six, as Lean writes them")
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        read_prices(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_prices(tmp_path)


def test_adjusted_closes_put_all_four_prices_on_one_adjustment(tmp_path: Path) -> None:
    lines = [HEADER + ",Adj Close", *(",".join(map(str, row)) + f",{row[4] / (2 if i < 2 else 1)}" for i, row in enumerate(ROWS))]
    lines[-1] = "1998-01-06,48.6,48.7,48.1,48.3,2821800,48.3"
    found = read_prices(put(tmp_path, "\n".join(lines)))
    assert found.adjustment == "adjusted close"
    np.testing.assert_allclose(found.high, [97.53 / 2, 98.44 / 2, 48.7])
    np.testing.assert_allclose(found.close, [97.36 / 2, 97.75 / 2, 48.3])
    with pytest.raises(DataError, match=", line 3: 1998-01-05: the adjusted close is missing"):
        read_prices(put(tmp_path, "\n".join(lines).replace("48.875", "")))


FACTORS = "19980102,0.49,0.5,1\n19980105,0.98,0.5,97.75\n20501231,1,1,0\n"


def test_factors_hold_up_to_and_including_their_date(tmp_path: Path) -> None:
    text = PLAIN.replace("97.25,97.28,96.19,96.63", "48.6,48.7,48.1,48.3")
    with pytest.raises(DataError, match=r"log return of -0\.70; wanted at most 0\.4: is this a split"):
        read_prices(put(tmp_path, text))
    factors = put(tmp_path, "19980102,0.98,0.5,1\n19980105,0.98,0.5,97.75\n20501231,1,1,0\n", "f.csv")
    found = read_prices(put(tmp_path, text), factors)
    np.testing.assert_allclose(found.close, [97.36 * 0.49, 97.75 * 0.49, 48.3])
    np.testing.assert_allclose(found.low[:2], [96.53 * 0.49, 96.78 * 0.49])
    assert found.volume.tolist() == [4300000, 8061600, 2821800]  # in today's shares
    assert found.adjustment == "factors"


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ("19980102,1,1,1\n19980105,1,1,98.75\n20501231,1,1,0", r"f.csv, line 2: reference price 98.75 on 1998-01-05.*is 97.75"),
        ("19980102,0.9,1,1\n19980105,0.9,1,97.75", r"ends on 1998-01-05 and the prices on 1998-01-06; wanted a newer factor file"),
        ("19980105,1,1,97.75\n19980102,1,1,0", r", line 2: 1998-01-02 after 1998-01-05"),
        (
            "date,price,split,reference\n19980102,1,1,1\n19980105,1,1,98.75\n20501231,1,1,0",
            r"f.csv, line 3: reference price 98.75 on 1998-01-05.*is 97.75",
        ),
        ("date,price,split,reference\n19980102,0,1,1", r", line 2: price factor 0; wanted a positive number"),
        ("19980102,0,1,1", r", line 1: price factor 0; wanted a positive number"),
        ("19980102,1,x,1", r", line 1: split factor is 'x'"),
        ("19980102,1", r", line 1: 2 cells; wanted date,price factor"),
        ("19980102,0.25,1,1\n19980105,1,1,97.75\n20501231,1,1,0", "though adjusted by factors: the file lacks a split"),
        ("", "empty"),
    ],
)
def test_factors_that_cannot_be(tmp_path: Path, factors: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_prices(put(tmp_path, PLAIN), put(tmp_path, factors, "f.csv"))


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e300])
def test_prices_that_float32_does_not_hold_are_refused(tmp_path: Path, scale: float) -> None:
    """A model would see zeros or infinities; nothing warns before."""
    said = r", line 2: 1998-01-02: a price, adjusted, is not within 1\.2e-38 and 3\.4e\+38, what float32 holds.* \(and 2 more\)"
    rows = [",".join([row[0], *(repr(x * scale) for x in row[1:5]), str(row[5])]) for row in ROWS]
    with pytest.raises(DataError, match=said):
        read_prices(put(tmp_path, "\n".join([HEADER, *rows])))
    adjusted = [",".join(map(str, row)) + f",{row[4] * scale!r}" for row in ROWS]
    with pytest.raises(DataError, match=said):
        read_prices(put(tmp_path, "\n".join([HEADER + ",Adj Close", *adjusted])))
    assert len(read_prices(put(tmp_path, PLAIN.replace("2150000", "1e300")))) == 3


def test_volumes_beyond_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=", line 2: 1998-01-02: the adjusted volume is infinite"):
        read_prices(put(tmp_path, PLAIN.replace("2150000", "1e308")), put(tmp_path, FACTORS.replace("0.5", "0.01"), "f.csv"))


def test_a_time_zone_that_nobody_knows_is_named(tmp_path: Path) -> None:
    columns = dict(zip(HEADER.split(","), map(list, zip(*ROWS, strict=True)), strict=True))
    days = pa.array([date.fromisoformat(d) for d in columns["date"]]).cast(pa.timestamp("ns")).cast(pa.timestamp("ns", "Mars/Phobos"))
    pq.write_table(pa.table({**columns, "date": days}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"p\.parquet: column date has the time zone 'Mars/Phobos', unknown here; wanted one as"):
        read_prices(tmp_path / "p.parquet")


@pytest.mark.parametrize("mark", list(",;\t|"))
def test_the_last_cell_of_the_last_row_may_be_empty(tmp_path: Path, mark: str) -> None:
    """A line that ends with a tab is no line with a blank at its end."""
    lines = PLAIN.strip().replace(",", mark).splitlines()
    lines[-1] = lines[-1].rpartition(mark)[0] + mark
    for end in ("", "\n", "\n\n", "\r\n  \r\n", "\n \n\n"):
        found = read_prices(put(tmp_path, "\n".join(lines) + end))
        assert found.date.astype(str).tolist() == [row[0] for row in ROWS]
        assert found.close.tolist() == [row[4] for row in ROWS]
        assert found.volume[:2].tolist() == [ROWS[0][5], ROWS[1][5]] and np.isnan(found.volume[2])
    for gap in ("", "  "):
        with pytest.raises(DataError, match=r"p\.csv, line 3: (a blank line; wanted 6 fields|'' is no date)"):
            read_prices(put(tmp_path, "\n".join([*lines[:2], gap, *lines[2:]])))


def test_files_that_unpack_without_end_are_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "MOST", 1 << 20)
    monkeypatch.setattr("harness.table_rows.BLOCK", 1 << 16)  # some blocks are read ahead
    bomb, asked = (HEADER + "\n" + "1998-01-02,1,1,1,1,1\n" * 2_500_000).encode(), list[int]()
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(bomb, 1))
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("p.csv", bomb)
    (tmp_path / "p.csv").write_bytes(bomb)
    tracemalloc.start()
    for name in ("p.csv.gz", "p.zip", "p.csv"):
        with pytest.raises(DataError, match=f"{name}: unpacks to more than 1 MiB; wanted a smaller table"):
            read_prices(tmp_path / name)
        asked.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert max(asked) < 20 << 20
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress(bytes(50 << 20), 1))
    with pytest.raises(DataError, match="line 1: a zero byte"):
        read_prices(tmp_path / "p.csv.gz")


def test_parquet_that_unpacks_without_end_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_files, "MOST", 1 << 20)
    count = 1 << 21
    days, same = pa.array(np.arange(count, dtype=np.int32)).cast(pa.date32()), pa.array(np.ones(count))
    long = pa.array(["x" * 20_000] * 5000)
    columns = {"date": days, "open": same, "high": same, "low": same, "close": same}
    few = {name: column[:5000] for name, column in columns.items()}
    bombs = {
        "rows": columns,  # runs of one number: 80 MB in memory
        "text": {**few, "close": long},  # one text, five thousand times: 100 MB
        "page": {**few, "close": pa.array(["x" * (70 << 20)] + [""] * 4999)},  # a page that packs well
    }
    path, pool, usual = tmp_path / "p.parquet", pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    for name, table in bombs.items():
        pq.write_table(pa.table(table), path, compression="zstd")
        assert path.stat().st_size < 10 << 20, name
        pa.set_memory_pool(pool)
        try:
            with pytest.raises(DataError, match=r"p\.parquet: unpacks to more than 1 MiB; wanted a smaller table"):
                price_files.read_price_columns(path)
        finally:
            pa.set_memory_pool(usual)
        assert 0 <= pool.max_memory() < 60 << 20, name
    pq.write_table(pa.table({**few, "close": pa.array([[1.0]] * 5000)}), path)
    with pytest.raises(DataError, match=r"column close holds list<.*>; wanted one value in each row"):
        price_files.read_price_columns(path)
    rest = {name: column.cast(pa.string()).dictionary_encode() if name == "close" else column for name, column in few.items()}
    pq.write_table(pa.table({**rest, "note": long}), path)  # within the limit, and what is not asked for does not count
    assert price_files.read_price_columns(path).close.tolist() == [1.0] * 5000


def test_weekends_are_told_of(tmp_path: Path) -> None:
    found = read_prices(put(tmp_path, PLAIN.replace("1998-01-05", "1998-01-04")))
    assert found.notes[0].startswith("1 sessions are on weekends, the first on 1998-01-04")


def test_spy_is_read_and_checked(real_data: Path) -> None:
    found = read_prices(real_data / "spy/spy_daily.csv", real_data / "spy/spy_factors.csv")
    assert (len(found), found.notes, found.adjustment) == (5849, (), "factors")
    assert (str(found.date[0]), str(found.date[-1])) == ("1998-01-02", "2021-03-31")
    assert [gap[:2] for gap in sessions.gaps(found.date)] == [
        ("2001-09-10", "2001-09-17"),
        ("2006-12-29", "2007-01-03"),
        ("2012-10-26", "2012-10-31"),
    ]
    year, count = np.unique(found.date.astype("datetime64[Y]").astype(np.int64) + 1970, return_counts=True)
    years = dict(zip(year.tolist(), count.tolist(), strict=True))
    assert (years[2001], years[2012], years[2021]) == (248, 250, 61)
    assert all(250 <= count <= 253 for year, count in years.items() if year not in (2001, 2021))


def test_dividends_of_spy_are_the_paid_ones(real_data: Path) -> None:
    """Factors are right if the dividends they stand for are: State Street paid 5.6185 a share in 2019, 1.2331 of it in March."""
    factors = read_factors(real_data / "spy/spy_factors.csv")
    paid = factors.reference[:-1] * (1 - factors.price[:-1] / factors.price[1:])
    year = factors.date[:-1].astype("datetime64[Y]").astype(str)
    assert paid[year == "2019"][0] == pytest.approx(1.2331, abs=2e-4)
    assert paid[year == "2019"].sum() == pytest.approx(5.6185, abs=1e-3)
    raw = read_prices(real_data / "spy/spy_daily.csv")
    found = read_prices(real_data / "spy/spy_daily.csv", real_data / "spy/spy_factors.csv")
    last = np.searchsorted(raw.date, factors.date[1:-1])  # sessions before ex-dividend days
    gained = found.close[last + 1] / found.close[last] - raw.close[last + 1] / raw.close[last]
    # What adjustment adds to the return of an ex-dividend day is the dividend over the close before it.
    np.testing.assert_allclose(gained, paid[1:] / raw.close[last], rtol=0.06)
    same = np.setdiff1d(np.arange(1, len(raw)), last + 1)
    np.testing.assert_allclose((found.close[1:] / found.close[:-1])[same - 1], (raw.close[1:] / raw.close[:-1])[same - 1], rtol=1e-12)
    assert np.mean(found.close[last + 1] / found.close[last] - 1) > np.mean(raw.close[last + 1] / raw.close[last] - 1) + 0.003


def test_the_index_is_read_and_checked(real_data: Path) -> None:
    found = read_prices(real_data / "spy/sp500_index_daily.csv.gz")
    assert (len(found), found.adjustment, found.notes) == (17356, "adjusted close", ())
    assert max(sessions.gaps(found.date, 5)).days == 7
    assert float(np.abs(np.diff(np.log(found.close))).max()) == pytest.approx(0.229, abs=1e-3)  # 19 October 1987
