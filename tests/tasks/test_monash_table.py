"""The table of the Monash archive: what it adds up to, and what else in it follows from what."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path

import pytest

from harness import frequency
from harness.errors import UsageError
from harness.monash import ALIASES
from harness_tasks.monash_table import MONASH, SEASONALITY, MonashRow, monash_row
from harness_tasks.tsf import read_tsf

DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
NAMES = [row.name for row in MONASH]

# The paper's table 1, number of series: those of M1, M3, M4 and Tourism are in several files, those of the others in each.
PAPER = {
    "m1": 1001, "m3": 3003, "m4": 100_000, "tourism": 1311, "cif_2016": 72, "london_smart_meters": 5560,
    "australian_electricity_demand": 5, "wind_farms": 339, "dominick": 115_704, "bitcoin": 18, "pedestrian_counts": 66,
    "vehicle_trips": 329, "kdd_cup_2018": 270, "weather": 3010, "nn5": 111, "web_traffic": 145_063, "solar": 137, "electricity": 321,
    "car_parts": 2674, "fred_md": 107, "traffic": 862, "rideshare": 2304, "hospital": 767, "covid_deaths": 266, "temperature_rain": 32_072,
    "sunspot": 1, "saugeen": 1, "us_births": 1, "solar_4_seconds": 1, "wind_4_seconds": 1,
}  # fmt: skip
PARTED = ("m1", "m3", "m4", "tourism")


def test_58_files_of_30_datasets() -> None:
    assert len(MONASH) == len(set(NAMES)) == len({row.file for row in MONASH}) == len({row.zenodo for row in MONASH}) == 58
    assert {row.family for row in MONASH} == set(PAPER)
    assert Counter(row.missing for row in MONASH) == {False: 47, True: 11}  # the paper: eleven datasets have gaps
    frequencies = {family: {row.frequency for row in MONASH if row.family == family} for family in PAPER}
    assert sum(len(words) > 1 for words in frequencies.values()) == 9  # the paper: nine are of several frequencies


@pytest.mark.parametrize("family", PAPER)
def test_numbers_of_series_are_the_papers(family: str) -> None:
    counts = [row.series for row in MONASH if row.family == family]
    assert sum(counts) == PAPER[family] if family in PARTED else set(counts) == {PAPER[family]}


def test_domains_are_the_papers() -> None:
    domains = {family: {row.domain for row in MONASH if row.family == family} for family in PAPER}
    assert all(len(found) == 1 for found in domains.values())
    assert Counter(domain for found in domains.values() for domain in found) == {
        "Energy": 7, "Nature": 7, "Transport": 4, "Multiple": 3, "Banking": 2, "Sales": 2, "Economic": 2, "Tourism": 1, "Web": 1,
        "Health": 1,
    }  # fmt: skip


@pytest.mark.parametrize("row", MONASH, ids=NAMES)
def test_each_row_holds_together(row: MonashRow) -> None:
    assert monash_row(row.name) is monash_row(row.file) is row
    assert row.frequency is None or row.frequency in ALIASES
    assert frequency.normalize(row.freq) == row.freq
    assert row.season_length == int(min(SEASONALITY[row.frequency])) >= 1
    assert (row.horizon is None) <= (not row.evaluated)
    assert row.horizon is None or row.horizon >= 1
    assert row.file.replace("_dataset", "").replace("_values", "") == f"{row.name}.tsf"
    assert row.url == f"https://zenodo.org/records/{row.zenodo}/files/{row.file[:-4]}.zip"


def test_twins_differ_only_in_their_gaps() -> None:
    for row in MONASH:
        if row.missing:
            twin = monash_row(row.name.replace("_with_", "_without_"))
            assert not row.evaluated
            assert dataclasses.replace(row, name=twin.name, zenodo=twin.zenodo, evaluated=twin.evaluated) == twin


def test_what_the_archive_evaluated_and_rounded() -> None:
    assert {row.name for row in MONASH if row.horizon is None} == {
        "london_smart_meters_with_missing", "london_smart_meters_without_missing", "wind_farms_minutely_with_missing",
        "wind_farms_minutely_without_missing", "solar_4_seconds", "wind_4_seconds",
    }  # fmt: skip
    assert sum(row.evaluated for row in MONASH) == 43
    assert {row.name for row in MONASH if row.rounded and row.evaluated} == {
        "kaggle_web_traffic_without_missing", "kaggle_web_traffic_weekly", "car_parts_without_missing", "hospital", "electricity_weekly",
        "electricity_hourly", "us_births", "sunspot_without_missing", "covid_deaths", "vehicle_trips_without_missing", "pedestrian_counts",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "season", "horizon"),
    [
        ("m4_hourly", 24, 48),
        ("nn5_weekly", 52, 8),
        ("m3_other", 1, 8),
        ("solar_10_minutes", 144, 1008),
        ("tourism_monthly", 12, 24),
        ("us_births", 7, 30),
    ],
)
def test_seasons_and_horizons(name: str, season: int, horizon: int) -> None:
    assert (monash_row(name).season_length, monash_row(name).horizon) == (season, horizon)


def test_an_unknown_name_is_answered_with_a_near_one() -> None:
    with pytest.raises(UsageError, match="Did you mean 'tourism_monthly'"):
        monash_row("tourism_monthy")


def test_the_table_agrees_with_a_file_of_the_archive() -> None:
    row = monash_row("saugeenday")
    path = DATA / "monash" / row.file
    if not path.exists():
        pytest.skip(f"no {path}; set HARNESS_TEST_DATA to a folder that has it")
    file = read_tsf(path)
    assert (file.frequency, file.horizon is not None, len(file)) == (row.frequency, row.horizon_in_file, row.series)
