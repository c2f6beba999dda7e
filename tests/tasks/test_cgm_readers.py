"""Every layout from a small file made by hand, every defect with its file and line, and the real sets where they are."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from harness.errors import DataError
from harness_tasks.cgm.layouts import LAYOUTS
from harness_tasks.cgm.readings import Events, Readings, Report
from harness_tasks.cgm.tables import read_glucose
from harness_tasks.cgm.units import MGDL_PER_MMOL

Put = Callable[[str, str], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


def stamps(readings: Readings) -> list[str]:
    return [str(t).replace("T", " ") for t in readings.time]


def rows(events: Events | None) -> list[tuple[int, str, str, float | None]]:
    """Subject, begin, end and amount of each event; None for an unknown amount, so that rows can be compared."""
    assert events is not None
    amounts = [None if np.isnan(a) else round(float(a), 4) for a in events.amount]
    return list(zip(events.subject.tolist(), map(str, events.begin), map(str, events.end), amounts, strict=True))


IGLU = "id,time,gl\nb,2015-06-06 16:55:27,107\nb,2015-06-06 16:50:27,103\na,2015-06-06 17:00:00,99.5\n"


def test_iglu(put: Put) -> None:
    got = read_glucose(put("x.csv", IGLU))
    assert got.names == got.patients == ("b", "a")
    assert [str(a.dtype) for a in (got.subject, got.time, got.glucose)] == ["int32", "datetime64[s]", "float32"]
    assert got.subject.tolist() == [0, 0, 1]
    assert stamps(got) == ["2015-06-06 16:50:27", "2015-06-06 16:55:27", "2015-06-06 17:00:00"]  # in order of time
    assert got.glucose.tolist() == [103, 107, 99.5]
    assert (got.report.layout, got.report.unit, got.report.unit_from) == ("iglu", "mg/dL", "the values")
    assert (got.report.rows, got.report.readings, got.report.dropped, got.meals) == (3, 3, {}, None)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_endings_and_packing_change_nothing(tmp_path: Path, separator: str, ending: str, packed: bool, mark: str) -> None:
    data = (mark + IGLU).replace(",", separator).replace("\n", ending).encode()
    path = tmp_path / ("x.csv.gz" if packed else "x.csv")
    path.write_bytes(gzip.compress(data) if packed else data)
    got = read_glucose(path)
    assert got.glucose.tolist() == [103, 107, 99.5]
    assert got.names == ("b", "a")


def test_parquet_with_typed_columns(tmp_path: Path) -> None:
    times = pa.array([1433609427600, None, 1433609727000])
    table = pa.table({
        "id": pa.array([7, 7, 7]).dictionary_encode(),
        "time": times.cast(pa.timestamp("ms")),
        "gl": pa.array([100, 110, None], pa.int32()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    got = read_glucose(tmp_path / "x.parquet")
    assert (got.names, stamps(got)) == (("7",), ["2015-06-06 16:50:28", "2015-06-06 16:55:27"])
    assert (got.report.dropped, got.report.absent) == ({"no time": 1}, 1)
    text = pa.table({"id": ["a"], "time": ["2015-06-06 16:50:27"], "gl": ["High"]})
    pq.write_table(pa.concat_tables([text, pa.table({"id": ["a"], "time": ["2015-06-06 16:55:27"], "gl": ["90"]})]), tmp_path / "t.parquet")
    assert read_glucose(tmp_path / "t.parquet").glucose.tolist() == [401, 90]


def test_hall_with_its_meals(put: Put) -> None:
    path = put("hall.csv", "id,time,gl,diagnosis\ns1,2014-02-03 08:42:12,93.0,diabetic\ns2,2014-02-03 08:42:12,95,none\n")
    meals = "id,meal,mealtime\ns2,CF 1,2016-09-23 15:10:00\nother,PB 1,2016-09-27 14:40:00\n"
    put("hall_meals.csv", meals)
    got = read_glucose(path)
    assert got.report.layout == "hall"
    assert rows(got.meals) == [(1, "2016-09-23T15:10:00", "2016-09-23T15:10:00", None)]
    assert got.meals is not None and got.meals.recorded.tolist() == [False, True]
    assert any("1 meals of subjects without a reading" in note for note in got.report.notes)
    assert any("hall_meals.csv" in note for note in got.report.notes)
    named = read_glucose(path, meals=put("other.csv", "id,time,carbs\ns1,2014-02-03 09:00,40\n"))
    assert rows(named.meals) == [(0, "2014-02-03T09:00:00", "2014-02-03T09:00:00", 40.0)]


def test_shanghai_recordings_of_one_patient(put: Put) -> None:
    names = ["T1DM_1002_0_20210504", "T1DM_1002_1_20210521", "T2DM_2000_0_20201230"]
    got = read_glucose(put("s.csv", "id,time,gl\n" + "".join(f"{n},2021-05-04 10:59:00,120\n" for n in names)))
    assert got.report.layout == "shanghai"
    assert (got.names, got.patients) == (tuple(names), ("T1DM_1002", "T1DM_1002", "T2DM_2000"))


def test_glucobench_takes_no_dose_from_its_lines(put: Put) -> None:
    text = "id,time,gl,fast_insulin,slow_insulin\n1.0,2014-10-01 19:29:00,172.8,6.0,0.0\n1.0,2014-10-01 19:34:00,169.2,5.83,0.0\n"
    got = read_glucose(put("d.csv", text))
    assert (got.report.layout, dict(got.covariates), got.meals) == ("glucobench", {}, None)
    assert got.report.notes == ("columns left aside: fast_insulin, slow_insulin",)
    hall = read_glucose(put("h.csv", "id,time,gl,insulin,diagnosis\na,2014-10-01 19:29:00,172,6,x\n"))
    assert (hall.report.layout, dict(hall.covariates)) == ("glucobench", {})
    weinstock = read_glucose(put("w.csv", ',id,time,gl\n0,a,2014-10-01 19:29:00,172\n1,a,"2014-10-01 19:34:00",171\n'))
    assert (weinstock.report.layout, len(weinstock)) == ("iglu", 2)


JAEB = (
    "RecID|ParentHDeviceUploadsID|PtID|SiteID|DeviceDtTmDaysFromEnroll|DeviceTm|DexInternalDtTmDaysFromEnroll|DexInternalTm|RecordType|GlucoseValue\n"
    "1|1|263|15|-6|05:35:41|-6|12:37:02|CGM|162.00\n"
    "2|1|263|15|0|00:00:00|0|00:00:00|CGM|100.00\n"
    "3|1|263|15|0|00:05:00|0|00:05:00|CGM|39.00\n"
    "4|1|263|15|0|00:05:00|0|00:05:00|CGM|41.00\n"
    "5|3|101|15|1|12:30:00|1|12:30:00|Calibration|155.00\n"
    "6|3|101|15|1|1:35 PM|1|12:30:00|CGM|155.00\n"
    "7|3|101|15||12:40:00|1|12:30:00|CGM|155.00\n"
)


def test_jaeb(put: Put) -> None:
    got = read_glucose(put("HDeviceCGM.txt", JAEB))
    assert got.report.layout == "jaeb"
    assert stamps(got) == [
        "1999-12-26 05:35:41",
        "2000-01-01 00:00:00",
        "2000-01-01 00:05:00",
        "2000-01-01 00:05:00",
        "2000-01-02 13:35:00",
    ]
    assert got.glucose.tolist() == [162, 100, 39, 41, 155]
    assert got.report.dropped == {"RecordType Calibration": 1, "no time": 1}
    assert (got.report.rows, got.report.duplicates, got.report.unit_from) == (7, 1, "the layout")


def test_jaeb_with_insulin_and_carbohydrates_beside_it(put: Put) -> None:
    """Equal rows of two uploads are one; an extended bolus is of unknown amount; 101 has no row: nothing of its insulin is kept."""
    path = put("Data Tables/HDeviceCGM.txt", JAEB)
    put(
        "Data Tables/HDeviceBolus.txt",
        "RecID|ParentHDeviceUploadsID|PtID|SiteID|DeviceDtTmDaysFromEnroll|DeviceTm|BolusType|Normal|Extended|Duration\n"
        "1|1|263|15|0|00:03:00|Normal|2.5||\n2|2|263|15|0|00:03:00|Normal|2.5||\n3|1|263|15|0|00:04:00|Dual|1.0|2.0|60\n"
        "4|1|263|15|0|00:04:30|Normal|0||\n5|1|999|15|0|00:04:00|Normal|9||\n",
    )
    put(
        "Data Tables/HDeviceWizard.txt",
        "RecID|PtId|DeviceDtTmDaysFromEnroll|DeviceTm|BgInput|CarbInput\n1|263|0|00:01:00|120|45\n2|263|0|00:02:00|120|0\n3|101|1|13:00:00||\n",
    )
    got = read_glucose(path)
    day = "2000-01-01T"
    assert rows(got.covariates["bolus"]) == [
        (0, day + "00:03:00", day + "00:03:00", 2.5),
        (0, day + "00:04:00", day + "00:04:00", None),
    ]
    assert rows(got.meals) == [(0, day + "00:01:00", day + "00:01:00", 45.0)]
    assert got.meals is not None and got.meals.recorded.tolist() == [True, False]
    assert got.covariates["bolus"].recorded.tolist() == [True, False]
    assert "1 bolus of subjects without a reading are left out" in got.report.notes
    put("Data Tables/HDeviceWizard.txt", "RecID|PtId|DeviceDtTmDaysFromEnroll|DeviceTm\n1|263|0|00:01:00\n")
    with pytest.raises(DataError, match=r"HDeviceWizard.txt: has no column 'CarbInput'; its columns are RecID, PtId"):
        read_glucose(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("|CGM|39.00", "|CGM|?", r"line 4: GlucoseValue is '\?'"),
        ("|0|00:05:00|0|00:05:00|CGM|41", "|0|0:5|0|00:05:00|CGM|41", r"line 5: DeviceTm is '0:5'; wanted a time of day such as 16:50:27"),
        ("1:35 PM", "13:35 PM", r"line 7: DeviceTm is '13:35 PM'; wanted a time of day that exists"),
        ("|-6|05:35:41", "|-6.5|05:35:41", r"line 2: DeviceDtTmDaysFromEnroll is -6.5; wanted whole days"),
        ("|-6|05:35:41", "|99999|05:35:41", r"line 2: DeviceDtTmDaysFromEnroll is 99999"),
    ],
)
def test_jaeb_defects(put: Put, old: str, new: str, message: str) -> None:
    assert old in JAEB
    with pytest.raises(DataError, match=message):
        read_glucose(put("x.txt", JAEB.replace(old, new)))


CLARITY = (
    "\ufeffIndex,Timestamp (YYYY-MM-DDThh:mm:ss),Event Type,Event Subtype,Patient Info,Device Info,Source Device ID,Glucose Value (mg/dL),"
    "Insulin Value (u),Carb Value (grams),Duration (hh:mm:ss),Glucose Rate of Change (mg/dL/min),Transmitter Time (Long Integer),"
    "Transmitter ID\r\n"
    '"1","","FirstName","","Ada","","","","","","","",""\r\n'
    '"2","","Alert","High","","","iOS G7","200","","","","",""\r\n'
    '"3","2024-05-01T08:00:00","EGV","","","","iOS G7","112","","","","","1","8A"\r\n'
    '"4","2024-05-01T08:05:00","EGV","Low","","","iOS G7","Low","","","","","2","8A"\r\n'
    '"5","2024-05-01T08:10:00","EGV","High","","","iOS G7","High","","","","","3","8A"\r\n'
    '"6","2024-05-01T08:11:00","Carbs","","","","iOS G7","","","45","","",""\r\n'
    '"7","2024-05-01T08:12:00","Insulin","Fast-Acting","","","iOS G7","","4.5","","","",""\r\n'
    '"8","2024-05-01T08:13:00","Insulin","Long-Acting","","","iOS G7","","20","","","",""\r\n'
    '"9","2024-05-01T08:14:00","Calibration","","","","iOS G7","100","","","","","","8A"\r\n'
)


def test_clarity_with_rows_that_lack_the_last_field(put: Put) -> None:
    got = read_glucose(put("Clarity_Export_1.csv", CLARITY))
    assert (got.report.layout, got.names) == ("clarity", ("Clarity_Export_1",))
    assert got.glucose.tolist() == [112, 39, 401]
    assert (got.report.low, got.report.high) == (1, 1)
    assert read_glucose(put("c.csv", CLARITY), limits=(40, 400)).glucose.tolist() == [112, 40, 400]
    at = "2024-05-01T08:1"
    assert rows(got.meals) == [(0, at + "1:00", at + "1:00", 45.0)]
    assert rows(got.covariates["bolus"]) == [(0, at + "2:00", at + "2:00", 4.5)]
    assert rows(got.covariates["basal"]) == [(0, at + "3:00", at + "3:00", 20.0)]
    assert got.report.dropped == {
        f"Event Type {kind}": n for kind, n in (("Alert", 1), ("Calibration", 1), ("Carbs", 1), ("FirstName", 1), ("Insulin", 2))
    }
    assert got.report.unit_from == "the column name 'Glucose Value (mg/dL)'"


def test_clarity_in_mmol(put: Put) -> None:
    got = read_glucose(put("c.csv", CLARITY.replace("(mg/dL)", "(mmol/L)").replace('"112"', '"6.2"')))
    np.testing.assert_allclose(got.glucose, [6.2 * MGDL_PER_MMOL, 39, 401], rtol=1e-6)
    assert got.report.unit == "mmol/L"


LIBRE = (
    "Glucose Data,Generated on,20-05-2026 10:00 UTC,Generated by,Ada L\n"
    "Device,Serial Number,Device Timestamp,Record Type,Historic Glucose mmol/L,Scan Glucose mmol/L,Non-numeric Rapid-Acting Insulin,"
    "Rapid-Acting Insulin (units),Non-numeric Food,Carbohydrates (grams),Carbohydrates (servings),Long-Acting Insulin Value (units),Notes\n"
    "FreeStyle LibreLink,A,20-05-2026 08:15,0,5.6,,,,,,,,\n"
    'FreeStyle LibreLink,A,20-05-2026 08:00,0,"5,4",,,,,,,,\n'
    "FreeStyle LibreLink,A,20-05-2026 08:20,1,,6.1,,,,,,,\n"
    "FreeStyle LibreLink,A,20-05-2026 08:30,4,,,,2.5,,,,,\n"
    "FreeStyle LibreLink,A,20-05-2026 08:31,5,,,,,1,,,,\n"
    "FreeStyle LibreLink,A,20-05-2026 08:32,5,,,,,,30,,12,\n"
)


def test_libreview(put: Put) -> None:
    got = read_glucose(put("libre.csv", LIBRE))
    assert (got.report.layout, stamps(got)) == ("libreview", ["2026-05-20 08:00:00", "2026-05-20 08:15:00"])
    np.testing.assert_allclose(got.glucose, np.array([5.4, 5.6]) * MGDL_PER_MMOL, rtol=1e-6)
    assert [r[3] for r in rows(got.meals)] == [None, 30.0]
    assert ([r[3] for r in rows(got.covariates["bolus"])], [r[3] for r in rows(got.covariates["basal"])]) == ([2.5], [12.0])
    assert got.report.dropped == {"Record Type 1": 1, "Record Type 4": 1, "Record Type 5": 2}


def test_libreview_in_american_dates(put: Put) -> None:
    text = LIBRE.replace("20-05-2026", "05-20-2026").replace("08:15", "08:15 PM")
    assert stamps(read_glucose(put("l.csv", text)))[1] == "2026-05-20 20:15:00"
    unclear = put("u.csv", LIBRE.replace("20-05-2026", "03-04-2026"))
    with pytest.raises(DataError, match=r"u\.csv, line 3: Device Timestamp is '03-04-2026 08:15'; .*dates='dmy' or dates='mdy'"):
        read_glucose(unclear)
    assert stamps(read_glucose(unclear, dates="dmy"))[0] == "2026-04-03 08:00:00"
    assert stamps(read_glucose(unclear, dates="mdy"))[0] == "2026-03-04 08:00:00"


def brist1d(cells: list[tuple[str, str, list[str]]], future: bool = True) -> str:
    """BrisT1D rows: participant, time, and the 72 values of six hours, the oldest first, then one an hour ahead."""
    lags = [f"{h}:{m:02d}" for h in range(5, -1, -1) for m in range(55, -1, -5)]
    header = ["id", "p_num", "time", *(f"bg-{lag}" for lag in lags), *(f"insulin-{lag}" for lag in lags), *(f"carbs-{lag}" for lag in lags)]
    lines = [",".join([*header, "bg+1:00"] if future else header)]
    for i, (who, when, values) in enumerate(cells):
        insulin = ["0.05"] * 71 + ["1.5"]
        carbs = [""] * 71 + ["30" if when == "06:10:00" else ""]
        lines.append(",".join([f"{who}_{i}", who, when, *values[:72], *insulin, *carbs, *(values[72:] if future else [])]))
    return "\n".join(lines) + "\n"


def test_brist1d_histories_are_laid_over_each_other(put: Put) -> None:
    curve = [f"{6 + 3 * np.sin(i / 9):.1f}" for i in range(400)]

    def row(who: str, at: int) -> tuple[str, str, list[str]]:
        """The row whose time is 06:10 plus `at` steps: its last value is curve[71 + at]."""
        minutes = 370 + 5 * at
        return who, f"{minutes // 60 % 24:02d}:{minutes % 60:02d}:00", [*curve[at : at + 72], curve[at + 83]]

    hole = row("p01", 4)
    hole[2][10] = ""  # what one row does not tell, another does
    path = put("train.csv", brist1d([row("p01", 0), hole, row("p01", 5), row("p01", 220), row("p02", 0)]))
    got = read_glucose(path)
    assert (got.report.layout, got.names, got.report.unit) == ("brist1d", ("p01", "p02"), "mmol/L")
    mine = got.subject == 0
    one = replace(got, subject=got.subject[mine], time=got.time[mine], glucose=got.glucose[mine])
    # Three rows hang together: 72 + 5 values, and one an hour after each. The fourth begins 18 hours later: another piece.
    first = np.flatnonzero(one.time < one.time[0] + np.timedelta64(12, "h"))
    at = sorted({*range(77), 83, 87, 88})
    np.testing.assert_allclose(one.glucose[first], np.array([float(curve[i]) for i in at]) * MGDL_PER_MMOL, rtol=1e-6)
    assert ((one.time[first] - one.time[0]).astype(int) // 300).tolist() == at
    assert str(one.time[0]).endswith("T00:15:00")
    assert one.time[len(first)] - one.time[len(first) - 1] >= np.timedelta64(24, "h")
    assert len(one) == len(at) + 73
    assert got.report.rows == 73 * 5 - 1 and got.report.readings + got.report.dropped["the same moment in another row"] == 73 * 5 - 1
    assert any("5 rows of 2 participants in 3 pieces" in note for note in got.report.notes)
    insulin = got.covariates["insulin"]
    assert insulin.amount.max() == 1.5 and insulin.recorded.all()
    assert [r[3] for r in rows(got.meals)] == [30.0, 30.0]


def test_brist1d_joins_only_what_agrees(put: Put) -> None:
    flat, other = ["7.0"] * 73, ["9.0"] * 73
    joined = read_glucose(put("a.csv", brist1d([("p01", "23:55:00", flat), ("p01", "00:05:00", flat)])))
    assert len(joined) == 72 + 2 + 2  # over midnight
    apart = read_glucose(put("b.csv", brist1d([("p01", "23:55:00", flat), ("p01", "00:05:00", other)])))
    assert len(apart) == 2 * 73
    assert np.diff(apart.time).max() >= np.timedelta64(24, "h")
    test = read_glucose(put("c.csv", brist1d([("p01", "23:55:00", flat), ("p01", "23:55:00", flat)], future=False)))
    assert len(test) == 2 * 72


OHIO = """<?xml version="1.0" encoding="UTF-8"?>
<patient id="559" weight="99" insulin_type="Novalog">
  <glucose_level>
    <event ts="07-12-2021 01:17:00" value="101"/>
    <event ts="07-12-2021 01:22:00" value="98"/>
    <event ts="07-12-2021 04:22:00" value="98"/>
  </glucose_level>
  <finger_stick><event ts="07-12-2021 01:20:00" value="300"/></finger_stick>
  <basal><event ts="07-12-2021 01:00:00" value="0.6"/><event ts="07-12-2021 03:00:00" value="1.2"/></basal>
  <temp_basal><event ts_begin="07-12-2021 01:30:00" ts_end="07-12-2021 02:00:00" value="0"/></temp_basal>
  <bolus>
    <event ts_begin="07-12-2021 01:20:00" ts_end="07-12-2021 01:20:00" type="normal" dose="4.2" bwz_carb_input="45"/>
    <event ts_begin="07-12-2021 02:20:00" ts_end="07-12-2021 02:50:00" type="square" dose="2"/>
  </bolus>
  <meal><event ts="07-12-2021 01:15:00" type="Lunch" carbs="45"/></meal>
</patient>
"""


def test_ohio(put: Put) -> None:
    got = read_glucose(put("559-ws-training.xml", OHIO))
    assert (got.report.layout, got.names) == ("ohio", ("559",))
    assert stamps(got)[0] == "2021-12-07 01:17:00"  # day first
    assert got.glucose.tolist() == [101, 98, 98]
    day = "2021-12-07T"
    assert rows(got.meals) == [(0, day + "01:15:00", day + "01:15:00", 45.0)]
    assert rows(got.covariates["bolus"]) == [(0, day + "01:20:00", day + "01:20:00", 4.2), (0, day + "02:20:00", day + "02:50:00", 2.0)]
    assert rows(got.covariates["basal"]) == [  # 0.6 U/h for 30 minutes, none for 30, 0.6 for an hour, 1.2 up to the last reading
        (0, day + "01:00:00", day + "01:30:00", 0.3),
        (0, day + "02:00:00", day + "03:00:00", 0.6),
        (0, day + "03:00:00", day + "04:22:00", 1.64),
    ]


def test_a_folder_joins_the_files_of_a_patient(put: Put) -> None:
    put("o/559-ws-training.xml", OHIO)
    put("o/559-ws-testing.xml", OHIO.replace("07-12-2021", "08-12-2021"))
    put("o/570-ws-training.xml", OHIO.replace('id="559"', 'id="570"').replace("<meal><event", "<meal><other"))
    folder = put("o/readme.md", "").parent
    got = read_glucose(folder)
    assert got.names == ("559", "570")
    assert got.subject.tolist() == [0] * 6 + [1] * 3
    assert (len(got.report.sources), got.report.rows, len(rows(got.meals))) == (3, 9, 2)
    assert got.meals is not None and got.meals.recorded.tolist() == [True, True]  # 570 keeps meals and had none
    deep = put("p/2018/train/559-ws-training.xml", OHIO).parents[2]
    put("p/2020/test/570-ws-testing.xml", OHIO.replace('id="559"', 'id="570"'))
    put("p/readme.txt", "not XML")
    assert read_glucose(deep, layout="ohio").names == ("559", "570")  # as it is handed out
    put("o/x.csv", IGLU)
    with pytest.raises(DataError, match=r"o: holds files of the layouts iglu, ohio; wanted one"):
        read_glucose(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OHIO.replace("</patient>", ""), r"line 17: no element found; wanted whole XML"),
        (OHIO.replace("<patient ", "<people ").replace("</patient", "</people"), r"line 2: begins with <people>; wanted <patient"),
        ('<!DOCTYPE patient [<!ENTITY a "b">]>' + OHIO.split("\n", 1)[1], r"line 1: a DOCTYPE or an entity"),
        (
            OHIO.replace('<?xml version="1.0" encoding="UTF-8"?>', '<!DOCTYPE patient SYSTEM "http://example.com/x.dtd">'),
            "line 1: a DOCTYPE",
        ),
        (OHIO.replace("07-12-2021 01:22:00", "31-11-2021 01:22:00"), r"line 5: ts is '31-11-2021 01:22:00'; wanted a day that exists"),
        (OHIO.replace('value="98"', 'value="9x"', 1), r"line 5: value is '9x'; wanted a number, Low or High or nothing"),
        (OHIO.replace('dose="2"', 'dose="two"'), r"line 13: dose is 'two'"),
        (OHIO.replace("glucose_level", "glucose"), r"has no <glucose_level> with events"),
    ],
)
def test_ohio_defects(put: Put, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_glucose(put("559.xml", text))
    assert "559.xml" in str(caught.value)


def test_long_by_usual_names(put: Put) -> None:
    header = "Subject ID;Timestamp;Sensor Glucose (mmol/L);Bolus (U);basal;carbs (g);steps\n"
    text = header + "1;2020-01-01T00:00:00;5,5;1,5;0;;9\n1;2020-01-01T00:05:00;NA;0;;20;9\n"
    got = read_glucose(put("x.csv", text))
    assert (got.report.layout, got.report.unit_from) == ("long", "the column name 'Sensor Glucose (mmol/L)'")
    np.testing.assert_allclose(got.glucose, [5.5 * MGDL_PER_MMOL, np.nan], rtol=1e-6)
    assert got.report.absent == 1
    assert [r[3] for r in rows(got.covariates["bolus"])] == [1.5]
    assert rows(got.covariates["basal"]) == [] and got.covariates["basal"].recorded.tolist() == [True]  # a written 0 is a record
    assert [r[3] for r in rows(got.meals)] == [20.0]
    assert got.report.notes == ("columns left aside: steps",)


@pytest.mark.parametrize(
    ("header", "layout", "given"),
    [
        ("bolus,carbs", "long", {"bolus"}),
        ("insulin", "long", {"insulin"}),
        ("meal,steps", "long", set()),
        ("insulin,BMI", "glucobench", set()),  # a fasting blood value there
        ("fast_insulin,calories", "glucobench", set()),
    ],
)
def test_doses_beside_gl_are_read_and_what_is_known_of_the_person_is_not(put: Put, header: str, layout: str, given: set[str]) -> None:
    row = ",".join(["2"] * len(header.split(",")))
    got = read_glucose(put("x.csv", f"id,time,gl,{header}\na,2020-01-01 00:00:00,100,{row}\na,2020-01-01 00:05:00,101,{row}\n"))
    assert (got.report.layout, set(got.covariates)) == (layout, given)
    assert (got.meals is not None) == bool({"carbs", "meal"} & set(header.split(",")))


def test_long_by_the_callers_names(put: Put) -> None:
    text = "who,day,clock,reading,food\nx,01/02/2020,1:05 PM,120,\nx,01/02/2020,12:10 AM,130,soup\n"
    path = put("x.csv", text)
    with pytest.raises(DataError, match=r"x\.csv: has the columns who, day, clock, reading, food; wanted .* columns="):
        read_glucose(path)
    names = {"id": "who", "date": "day", "time": "clock", "glucose": "reading", "meal": "food"}
    got = read_glucose(path, columns=names, dates="dmy")
    assert stamps(got) == ["2020-02-01 00:10:00", "2020-02-01 13:05:00"]
    assert rows(got.meals) == [(0, "2020-02-01T00:10:00", "2020-02-01T00:10:00", None)]
    alone = read_glucose(path, columns={**names, "id": ""}, dates="dmy")
    assert alone.names == ("x",)
    with pytest.raises(DataError, match=r"no column 'wh'.*Did you mean 'who'"):
        read_glucose(path, columns={**names, "id": "wh"})
    with pytest.raises(ValueError, match=r"columns names glukose; wanted some of id, date"):
        read_glucose(path, columns={**names, "glukose": "reading"})


def test_two_layouts_or_two_columns_that_fit_are_refused(put: Put) -> None:
    both = "id,time,gl,PtID,DeviceDtTmDaysFromEnroll,DeviceTm,RecordType,GlucoseValue\na,2020-01-01 00:00,100,1,0,00:00:00,CGM,100\n"
    path = put("x.csv", both)
    with pytest.raises(DataError, match=r"two layouts, glucobench and jaeb; wanted one\. Pass one of them as layout"):
        read_glucose(path)
    assert read_glucose(path, layout="jaeb").names == ("1",)
    with pytest.raises(DataError, match=r"both 'bg' and 'cgm' may be the glucose; wanted one"):
        read_glucose(put("y.csv", "patient,time,bg,cgm\na,2020-01-01 00:00,100,100\n"))
    with pytest.raises(DataError, match=r"has no column|wanted those of the layout hall"):
        read_glucose(put("z.csv", IGLU), layout="hall")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("id,time,gl\n", "has the header id, time, gl and no row"),
        ("\n\n", "begins with an empty line"),
        (IGLU.replace("107", "1o7"), r"line 2: gl is '1o7'; wanted a number, Low or High or nothing"),
        (IGLU.replace("99.5", "inf"), r"line 4: gl is 'inf'"),
        (IGLU.replace("2015-06-06 17:00:00", "2015-02-30 17:00:00"), r"line 4: time is '2015-02-30 17:00:00'; wanted a day that exists"),
        (IGLU.replace("2015-06-06 17:00:00", "2015-06-06 24:00:00"), r"line 4: .* wanted a time of day that exists"),
        (IGLU.replace("2015-06-06 17:00:00", "noon"), r"line 4: time is 'noon'; wanted a date and a time such as"),
        (IGLU.replace("2015-06-06 17:00:00", "0215-06-06 17:00:00"), r"line 4: .* wanted a year of four digits from 1900 to 2100"),
        (IGLU.replace("2015-06-06 17:00:00", "06-06-2015 17:00:00"), r"line 4: .* wanted the year in front, as in other rows"),
        (
            IGLU.replace(" 16:55:27", "").replace(" 16:50:27", ""),
            r"line 2: time is the date '2015-06-06' without a time; wanted a time of day",
        ),
        (IGLU + "a,2015-06-06 17:05:00\n", r"line 5: 2 fields; wanted 3, as in the header"),
        (IGLU + "\n\n\na,2015-06-06 17:05:00,x\n", r"line 8: gl is 'x'"),  # blank lines are counted and no rows
        (IGLU + '"a",2015-06-06 17:05:00,"9\n9"\n', r"line 6: gl is '9\\n9'"),
        (IGLU.replace("103", "0.9").replace("107", "1.1").replace("99.5", "1"), r"pass unit='mg/dL' or unit='mmol/L'"),
        (IGLU.replace("103", "").replace("107", "").replace("99.5", "NA"), r"has 3 readings and no glucose value among them"),
        ("id,time,gl\n,2015-06-06 17:05:00,100\n", r"none of 1 rows is a reading \(\{'no subject': 1\}\)"),
        (IGLU.replace("gl\n", "glucose mmol/L\n").replace("id", "patient"), r"says mmol/L, but the values \(median 103\) are mg/dL"),
        ("id,time,gl,gl\na,2015-06-06 17:05:00,100,100\n", r"the column 'gl' 2 times"),
        ("patient,time,gl,carbs\na,2015-06-06 17:05:00,100,-3\n", r"line 2: carbs is -3; wanted an amount of at least 0"),
    ],
)
def test_defects_name_the_file_and_the_line(put: Put, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_glucose(put("broken.csv", text))
    assert "broken.csv" in str(caught.value)


def test_defects_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(IGLU.replace("b,", "Bö,").encode("latin-1"))
    with pytest.raises(DataError, match=r"x\.csv, line 2: has bytes that are not utf-8; .* The first is 0xf6"):
        read_glucose(path)
    path.write_bytes(b"id,time,gl\n" + b"a,2015-06-06 17:05:00,100\n" * 12 + b"B\xf6,2015-06-06 17:05:00,100\n")
    with pytest.raises(DataError, match=r"x\.csv, line 14: has bytes that are not utf-8; .* The first is 0xf6"):
        read_glucose(path)
    packed = tmp_path / "x.csv.gz"
    packed.write_bytes(gzip.compress(IGLU.encode() * 50)[:-20])
    with pytest.raises(DataError, match=r"x\.csv\.gz: cannot be read .*cut short"):
        read_glucose(packed)
    broken = bytearray(gzip.compress(IGLU.encode() * 50))
    broken[20:60] = b"\xff" * 40  # the stream, not its frame: zlib has an error of its own
    packed.write_bytes(bytes(broken))
    with pytest.raises(DataError, match=r"x\.csv\.gz: cannot be read \(.*\); wanted a CSV file\. Is it damaged or cut short"):
        read_glucose(packed)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"x\.parquet: cannot be read"):
        read_glucose(tmp_path / "x.parquet")
    pq.write_table(pa.table({"id": ["a"], "time": ["2020-01-01 00:00:00"], "gl": [float("inf")]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"y\.parquet, row 1: gl is infinite"):
        read_glucose(tmp_path / "y.parquet")
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"is a workbook; .* Save its sheet as CSV"):
        read_glucose(tmp_path / "x.xlsx")
    for missing in (tmp_path / "no.csv", tmp_path / "no.xml"):
        with pytest.raises(DataError, match="no such file"):
            read_glucose(missing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no file that ends in"):
        read_glucose(tmp_path / "empty")


def test_a_clarity_export_cut_short(put: Put) -> None:
    with pytest.raises(DataError, match=r"line 10: 8 fields; wanted 14"):
        read_glucose(put("c.csv", CLARITY[: CLARITY.rindex('"100"')] + '"1'))


def test_lines_of_a_clarity_export_are_those_of_the_file(put: Put) -> None:
    with pytest.raises(DataError, match=r"line 5: Glucose Value \(mg/dL\) is 'Lower'"):
        read_glucose(put("c.csv", CLARITY.replace('"Low","","","iOS G7","Low"', '"Low","","","iOS G7","Lower"')))
    with pytest.raises(DataError, match=r"line 8: Insulin Value \(u\) is '4.5u'"):
        read_glucose(put("c.csv", CLARITY.replace('"4.5"', '"4.5u"')))


def test_arguments(put: Put) -> None:
    path = put("x.csv", IGLU)
    for argument in ({"unit": "mmol"}, {"layout": "igloo"}, {"dates": "ydm"}, {"layout": "iglu", "columns": {"id": "id"}}):
        with pytest.raises(ValueError, match="wanted one of"):
            read_glucose(path, **argument)
    with pytest.raises(DataError, match=r"the caller says mmol/L, but the values \(median 103\) are mg/dL"):
        read_glucose(path, unit="mmol/L")
    low = put("low.csv", IGLU.replace("103", "25").replace("107", "26").replace("99.5", "24"))
    assert read_glucose(low, unit="mg/dL").glucose.tolist() == [25, 26, 24]


def test_what_is_dropped_is_counted(put: Put) -> None:
    more = "a,2015-06-06 17:05:00,1200\na,2015-06-06 17:10:00,0\n,2015-06-06 17:05:00,90\nb,,90\na,2015-06-06 17:00:00,101\na,2015-06-07,\n"
    report = read_glucose(put("x.csv", IGLU + more), unit="mg/dL").report
    assert report.dropped == {"glucose outside (0, 1000] mg/dL": 2, "no subject": 1, "no time": 1}
    assert (report.rows, report.readings, report.absent, report.duplicates) == (9, 5, 1, 1)
    assert report.notes == ("1 dates without a time were read as midnight",)
    text = "\n".join(report.lines())
    for part in ("9 rows", "5 readings", "dropped 1: no time", "repeated stamps: 1", "unit mg/dL, from the caller"):
        assert part in text
    with pytest.raises(ValueError, match="a report of 3 rows accounts for 1 kept and 1 dropped"):
        Report(("x",), "iglu", 3, 1, dropped={"why": 1})


@pytest.mark.parametrize("zone", ["Z", "+02:00"])
def test_a_zone_is_left_aside_and_two_are_refused(put: Put, zone: str) -> None:
    got = read_glucose(put("x.csv", IGLU.replace(":27,", f":27{zone},").replace("17:00:00,", f"17:00:00{zone},")))
    assert stamps(got)[0] == "2015-06-06 16:50:27"
    midnight = ", and nights begin at midnight of it" if zone == "Z" else ""
    assert got.report.notes == (f"clock times as written; the zone {zone} is left aside{midnight}",)
    for other in ("-05:00", ""):  # two zones; with and without one
        with pytest.raises(DataError, match=r"y\.csv, line \d: time is '2015.*all in one zone or all without any"):
            read_glucose(put("y.csv", IGLU.replace(":27,", f":27{zone},").replace("17:00:00,", f"17:00:00{other},")))


def test_fractions_are_rounded_the_same_by_both_ways(put: Put) -> None:
    plain = IGLU.replace(":27,", ":27.985,").replace("17:00:00", "17:00:59.499")
    slow = plain.replace(",10", "Z,10").replace(",99", "Z,99")
    want = ["2015-06-06 16:50:28", "2015-06-06 16:55:28", "2015-06-06 17:00:59"]
    assert stamps(read_glucose(put("x.csv", plain))) == stamps(read_glucose(put("y.csv", slow))) == want


def people(rows: dict[str, list[float]], header: str = "id,time,gl") -> str:
    """A table in which each has these readings, five minutes apart."""
    stamp = np.datetime64("2022-05-01T00:00:00")
    lines = [
        f"{who},{str(stamp + np.timedelta64(5 * k, 'm')).replace('T', ' ')},{value:g}"
        for who, values in rows.items()
        for k, value in enumerate(values)
    ]
    return "\n".join([header, *lines]) + "\n"


def test_a_subject_in_the_other_unit_is_refused_however_few_the_rows(put: Put) -> None:
    """Under one row in a hundred, so the file's percentiles do not show it."""
    many = {f"p{k}": [100.0 + i % 90 for i in range(300)] for k in range(4)}
    few = [5.5, 6.1, 7.0, 12.3]
    table = people({"p0": many["p0"], "mm": few, **many})
    assert table.splitlines()[301].startswith("mm,")
    with pytest.raises(
        DataError, match=r"x\.csv: glucose is in mg/dL, but that of .* only be mmol/L: mm \(4 readings of 5.5 to 12.3, from line 302 on\)"
    ):
        read_glucose(put("x.csv", table))
    small = {who: [round(v / 18, 1) for v in values] for who, values in many.items()}
    mgdl = people({**small, "us": [90.0, 140.0]}, "id,time,glucose mmol/L")
    with pytest.raises(DataError, match=r"in mmol/L, but .* can only be mg/dL: us \(2 readings of 90 to 140, from line 1202 on\)"):
        read_glucose(put("y.csv", mgdl))
    # Neither one unit alone nor both: these go with the file.
    for values in ([22.0, 25.0, 30.0], [0.0, 0.0], [41.0, 44.0]):
        assert "odd" in read_glucose(put("z.csv", people({**many, "odd": [*values, 100.0] if values == [0.0, 0.0] else values}))).names
    with_zeros = people({**many, "odd": [0.0, 0.0, *few]})
    with pytest.raises(DataError, match=r"only be mmol/L: odd \(4 readings of 5.5"):  # 0 is no reading in any unit
        read_glucose(put("z.csv", with_zeros), unit="mg/dL")


@pytest.mark.parametrize(("unit", "scale"), [("mg/dL", 1.0), ("mmol/L", 18.0182)])
@pytest.mark.parametrize("begin", [0, 170, 370])
def test_a_stretch_of_the_other_unit_inside_a_subject_is_refused(put: Put, unit: str, scale: float, begin: int) -> None:
    """30 of 3200 rows, too few for percentiles: labels of 4 mg/dL, or rows left out, without a word."""
    rng = np.random.default_rng(begin)
    values = {who: np.round(rng.uniform(70, 200, 400) / scale, 1) for who in "abcdefgh"}
    stretch = slice(begin, begin + 30)
    values["b"][stretch] = np.round(values["b"][stretch] / 18.0182 if scale == 1 else values["b"][stretch] * 18.0182, 1)
    text = people({who: each.tolist() for who, each in values.items()})
    other = "mmol/L" if scale == 1 else "mg/dL"
    said = rf"x\.csv: glucose is in {unit}, told by the values, .* b \(30 readings of [\d.]+ to [\d.]+, from line {402 + begin} on\)"
    with pytest.raises(DataError, match=rf"{said}; wanted one unit in a file\. Write those that are in {other} in {unit}, .* no reading$"):
        read_glucose(put("x.csv", text))
    with pytest.raises(DataError, match=r"told by the caller.*If all of the file is in .*, pass unit="):
        read_glucose(put("x.csv", text), unit=unit)


def test_single_slips_are_left_out_and_told(put: Put) -> None:
    values = [100.0 + i % 90 for i in range(400)]
    for at in (7, 50, 200):
        values[at] = 5.5
    text = people({"b": values[:3], "a": values})
    got = read_glucose(put("x.csv", text))
    assert got.glucose.min() == 100 and len(got) == 400
    assert dict(got.report.dropped) == {"glucose below 20 mg/dL": 3}
    (note,) = got.report.notes
    assert note.startswith("3 single readings below 20 mg/dL in ") and note.endswith("x.csv are left out, the first of 5.5 at line 12")
    values[300] = 5.5  # a fourth
    with pytest.raises(DataError, match=r"these subjects have .* below 20 mg/dL, .*: a \(4 readings of 5.5, from line 12 on\)"):
        read_glucose(put("x.csv", people({"b": values[:3], "a": values})))
    values[50] = values[200] = values[300] = 100.0
    values[8] = 4.4
    with pytest.raises(DataError, match=r"a \(2 readings of 4.4 to 5.5, from line 12 on\)"):  # one after the other
        read_glucose(put("x.csv", people({"b": values[:3], "a": values})))
    small = [round(v / 18, 1) for v in values]
    small[7:9] = 0.4, 6.0
    got = read_glucose(put("y.csv", people({"a": small}, "id,time,glucose mmol/L")))
    assert dict(got.report.dropped) == {"glucose outside 1.1 to 33.4 mmol/L": 1} and got.glucose.min() > 70


def berlin(begin: str, minutes: int = 15, rows: int = 400) -> pa.Array:
    """Stamps with the zone of Berlin, evenly spaced in UTC."""
    at = np.datetime64(begin, "s") + np.arange(rows) * np.timedelta64(minutes, "m")
    return pa.array(at).cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s", "Europe/Berlin"))


def test_typed_stamps_are_held_to_the_rule_of_text(tmp_path: Path) -> None:
    """A zone is set aside and noted; two, as where clocks change, are refused."""

    def read(times: pa.Array) -> Readings:
        table = pa.table({"id": ["a"] * len(times), "time": times, "gl": [100.0 + i % 50 for i in range(len(times))]})
        pq.write_table(table, tmp_path / "x.parquet")
        return read_glucose(tmp_path / "x.parquet")

    got = read(berlin("2024-07-01T00:00:00"))
    assert stamps(got)[0] == "2024-07-01 02:00:00"
    assert got.report.notes == ("clock times as written; the zone Europe/Berlin is left aside",)
    universal = read(berlin("2024-07-01T00:00:00").cast(pa.timestamp("s", "UTC")))
    assert stamps(universal)[0] == "2024-07-01 00:00:00"
    assert universal.report.notes == ("clock times as written; the zone UTC is left aside, and nights begin at midnight of it",)
    for begin, said, other in (
        ("2024-10-26T00:00:00", r"row 101: time is '2024-10-27 02:00:00\+01:00'", r"\+02:00"),
        ("2024-03-30T00:00:00", r"row 101: time is '2024-03-31 03:00:00\+02:00'", r"\+01:00"),
    ):
        with pytest.raises(DataError, match=rf"x\.parquet, {said}; wanted local clock times, all in one zone .* the zone {other}$"):
            read(berlin(begin))


@pytest.mark.parametrize("minutes", [1, 5, 15])
def test_an_hour_that_clocks_repeat_is_noted(put: Put, minutes: int) -> None:
    def table(begin: str, turned: bool) -> str:
        times = pc.local_timestamp(berlin(begin, minutes, 2 * 1440 // minutes)).to_pylist()
        lines = [f"{who},{at},{100 + k % 50}" for who in "ab" for k, at in enumerate(times)]
        return "\n".join(["id,time,gl", *(lines[::-1] if turned else lines)]) + "\n"

    for turned in (False, True):
        (note,) = read_glucose(put("x.csv", table("2024-10-26T00:02:13", turned))).report.notes
        assert note.startswith("clocks seem to go back an hour in ") and ", 2 times, first at line " in note
        assert "2024-10-27 02:0" in note
        assert read_glucose(put("x.csv", table("2024-03-30T00:02:13", turned))).report.notes == ()
    mixed = IGLU.replace("16:55:27", "01:55:27").replace("16:50:27", "01:05:27")  # in no order: it rises at another place
    shuffled = mixed + "b,2015-06-06 01:50:27,99\nb,2015-06-05 12:50:27,99\nb,2015-06-06 12:50:27,99\nb,2015-06-07 12:50:27,99\n"
    assert read_glucose(put("y.csv", shuffled)).report.notes == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("20150606 16:50", "20150606 16:55"),
        ("20150606T165000", "20150606T165500"),
        ("06-Jun-2015 16:50:00", "6 june 2015 4:55 PM"),
        ("1433609400", "1433609700"),
        ("1433609400000", "1433609700000"),
    ],
)
def test_other_ways_to_write_a_time(put: Put, first: str, second: str) -> None:
    text = f"id,time,gl\na,{first},100\na,,100\na,{second},101\n"
    for dates in ("", "dmy") if "un" in first else ("",):
        got = read_glucose(put("x.csv", text), dates=dates)
        assert stamps(got) == ["2015-06-06 16:50:00", "2015-06-06 16:55:00"] and got.report.dropped == {"no time": 1}
    zone = ("clock times as written; the zone UTC, of seconds since 1970 is left aside, and nights begin at midnight of it",)
    assert got.report.notes == (zone if first.startswith("14") else ())


@pytest.mark.parametrize("pair", [("1433609400", "1433609700000"), ("1433609400", "2015-06-06 16:55:00"), ("14336094", "14336097")])
def test_numbers_that_are_no_stamps(put: Put, pair: tuple[str, str]) -> None:
    with pytest.raises(DataError, match=r"x\.csv, line \d: time is '\d+'; wanted a"):
        read_glucose(put("x.csv", f"id,time,gl\na,{pair[0]},100\na,{pair[1]},101\n"))


def test_limits_written_as_below_and_above(put: Put) -> None:
    got = read_glucose(put("x.csv", IGLU.replace("107", "<40").replace("99.5", "> 400")))
    assert got.glucose.tolist() == [103, 39, 401] and (got.report.low, got.report.high) == (1, 1)
    with pytest.raises(DataError, match="gl is '<70'; wanted a number, Low or High or nothing"):
        read_glucose(put("x.csv", IGLU.replace("107", "<70")))


@pytest.mark.parametrize("column", ["event", "Events"])
def test_events_that_are_called_meals_are_such(put: Put, column: str) -> None:
    said = ["", "Lunch", "exercise", "snacks", "", "exercise", "lunch skipped", "MEAL", ""]
    lines = [f"a,2022-05-01 08:{5 * k:02d}:00,{100 + k},{text}" for k, text in enumerate(said)]
    got = read_glucose(put("x.csv", "\n".join([f"id,time,gl,{column}", *lines]) + "\n"))
    assert got.report.layout == "long"
    assert [at for _, at, _, _ in rows(got.meals)] == [f"2022-05-01T08:{m}:00" for m in ("05", "15", "35")]
    assert got.report.notes == ("events that are no meals are left aside: exercise (2), lunch skipped (1)",)
    with_meals = [f"{line},{'x' if k == 8 else ''},{30 if k == 1 else ''}" for k, line in enumerate(lines)]
    both = read_glucose(put("y.csv", "\n".join([f"id,time,gl,{column},meal,carbs", *with_meals]) + "\n"))
    assert [grams for *_, grams in rows(both.meals)] == [30.0, None, None, None]
    none = [line.replace("Lunch", "run").replace("snacks", "").replace("MEAL", "") for line in lines]
    assert read_glucose(put("z.csv", "\n".join([f"id,time,gl,{column}", *none]) + "\n")).meals is None


def test_rows_of_other_kinds_do_not_shift_the_lines_of_a_subject(put: Put) -> None:
    header = "PtID|DeviceDtTmDaysFromEnroll|DeviceTm|RecordType|GlucoseValue"
    text = people({"a": [100.0 + i % 50 for i in range(600)], "b": [6.0, 7.0, 8.0]}, header)
    lines = [line.split(",") for line in text.splitlines()[1:]]
    rows = [f"{who}|{int(at[8:10])}|{at[11:]}|{'Calibration' if k % 3 == 0 else 'CGM'}|{value}" for k, (who, at, value) in enumerate(lines)]
    with pytest.raises(DataError, match=r"b \(2 readings of 7 to 8, from line 603 on\)"):
        read_glucose(put("HDeviceCGM.txt", "\n".join([header, *rows]) + "\n"))


def test_suffixes_in_capitals(tmp_path: Path) -> None:
    (tmp_path / "A.CSV").write_text(IGLU)
    (tmp_path / "b.Csv.GZ").write_bytes(gzip.compress(IGLU.replace("b,", "c,").encode()))
    pq.write_table(pa.table({"id": ["d"], "time": ["2020-01-01 00:00:00"], "gl": [100.0]}), tmp_path / "C.PARQUET")
    (tmp_path / "D.XML").write_text(
        '<patient id="559"><glucose_level><event ts="01-01-2020 00:00:00" value="100"/></glucose_level></patient>'
    )
    assert read_glucose(tmp_path / "D.XML").names == ("559",)
    (tmp_path / "D.XML").unlink()
    assert set(read_glucose(tmp_path).names) == {"a", "b", "c", "d"}


def test_readings_check_themselves(put: Put) -> None:
    got = read_glucose(put("x.csv", IGLU))
    wrong = {"subject": got.subject[::-1]}, {"glucose": got.glucose[:1]}, {"names": ("a", "a")}, {"patients": ("a",)}
    for change in wrong:
        with pytest.raises(ValueError, match="wanted"):
            Readings(**{**vars(got), **change})


def test_every_layout_is_told_from_every_other() -> None:
    headers = {
        "iglu": (["id", "time", "gl"], {"id": "a"}),
        "shanghai": (["id", "time", "gl"], {"id": "T2DM_2000_0_20201230"}),
        "hall": (["id", "time", "gl", "diagnosis"], {}),
        "glucobench": (["id", "time", "gl", "Age"], {}),
        "jaeb": (JAEB.split("\n")[0].split("|"), {}),
        "clarity": (CLARITY.split("\r\n")[0].split(","), {}),
        "libreview": (LIBRE.split("\n")[1].split(","), {}),
        "brist1d": (brist1d([]).split("\n")[0].split(","), {}),
    }
    assert {*headers, "long"} == set(LAYOUTS)
    for name, (names, first) in headers.items():
        assert [one.name for one in LAYOUTS.values() if one.name != "long" and one.fits(names, first)] == [name]


@pytest.mark.parametrize(
    ("file", "layout", "subjects", "patients", "readings", "absent", "span"),
    [
        ("hall2018.csv", "hall", 19, 19, 34890, 0, (41, 303)),
        ("iglu5.csv", "iglu", 5, 5, 13866, 0, (50, 400)),
        ("shanghai.csv.gz", "shanghai", 125, 112, 128170, 13, (39, 500)),
    ],
)
def test_the_real_sets(
    real_data: Path, file: str, layout: str, subjects: int, patients: int, readings: int, absent: int, span: tuple[float, float]
) -> None:
    path = real_data / "cgm" / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    got = read_glucose(path)
    assert (got.report.layout, got.report.unit, got.report.unit_from) == (layout, "mg/dL", "the values")
    assert (len(got.names), len(set(got.patients))) == (subjects, patients)
    assert (len(got), got.report.rows, got.report.absent, dict(got.report.dropped)) == (readings, readings, absent, {})
    assert span[0] <= np.nanmin(got.glucose) and np.nanmax(got.glucose) <= span[1]
    if layout == "hall":
        assert got.meals is not None and len(got.meals) == 9 and got.meals.recorded.sum() == 3
    plain = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [line.split(",")[:3] for line in plain.decode().splitlines()[1:]]  # beside a plain loop
    sums: dict[str, float] = {}
    for name, _, value in rows:
        sums[name] = sums.get(name, 0.0) + float(value or 0)
    mine = np.bincount(got.subject, np.nan_to_num(got.glucose.astype(np.float64)))
    np.testing.assert_allclose(mine, [sums[name] for name in got.names], rtol=1e-6)
