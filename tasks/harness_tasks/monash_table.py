"""The table of the Monash archive: 30 datasets in 58 files.

Sources, and what is taken from each:

* R. Godahewa et al., "Monash Time Series Forecasting Archive", NeurIPS 2021 Datasets and Benchmarks, table 1: domains, numbers of series,
  which datasets have gaps. Its numbers are of datasets; those of the files of M1 and M3 are from the tables of the R package Mcomp 2.8, of
  M4 from the competition (S. Makridakis et al. 2020), of Tourism from the data card of `Monash-University/monash_tsf`: they add up to the
  paper's 1001, 3003, 100000 and 1311. A file of another frequency or without gaps has the same series.
* `experiments/fixed_horizon.R` of rakshitha123/TSForecasting: files, horizons, which forecasts are rounded, which files were evaluated.
* `experiments/fixed_horizon_functions.R` there: seasonalities of frequencies.
* Zenodo numbers and file names: `datasets/tsf_dataset_names.py` of sktime 1.2, `dataset/repository/_tsf_datasets.py` of gluonts and
  the data card's `monash_tsf.py`, which agree; of `temperature_rain`, which sktime leaves out, the last one and a record page.
* Files say a horizon in `@horizon` where a competition set it: M1, M3, M4, Tourism, NN5 daily, Kaggle web traffic daily; then that of the
  file counts. `cif_2016` has an attribute `horizon` for each series: 12 in 57 of them, 6 in 15. The others have the horizon of the script.

None is not known: nobody evaluated the two of 4 seconds, London smart meters or wind farms, so they have no horizon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.errors import UsageError, suggest
from harness.monash import alias

__all__ = ["MONASH", "SEASONALITY", "MonashRow", "monash_row"]

SEASONALITY: Mapping[str | None, tuple[float, ...]] = MappingProxyType(
    {
        "4_seconds": (21_600, 151_200, 7_889_400),
        "minutely": (1_440, 10_080, 525_960),
        "10_minutes": (144, 1_008, 52_596),
        "15_minutes": (96, 672, 35_064),
        "half_hourly": (48, 336, 17_532),
        "hourly": (24, 168, 8_766),
        "daily": (7,),
        "weekly": (365.25 / 7,),
        "monthly": (12,),
        "quarterly": (4,),
        "yearly": (1,),
        None: (1,),
    }
)
"""The archive's seasons of each frequency, in steps: day, week, year, as far as a frequency has them."""

RECORDS = "https://zenodo.org/records"
GAPS, FILLED = "_with_missing", "_without_missing"


@dataclass(frozen=True)
class MonashRow:
    """One file of the archive.

    Attributes:
        name: the file's, without what is the same in all: "m4_hourly", "kaggle_web_traffic_without_missing".
        family: the dataset that it is a variant of, 30 in all: "m4", "web_traffic".
        domain: as the paper has it.
        frequency: the archive's word; None where the file says none (`m3_other`).
        horizon: H of the paper's protocol; None = it was not evaluated. A file with gaps has that of its filled twin.
        zenodo: the record that has it.
        series: how many it holds.
        rounded: whether forecasts are rounded to whole numbers before they are scored (`integer_conversion`).
        evaluated: whether the archive's experiments have it.
        horizon_in_file: whether the file says H: in `@horizon`, or for each series (`cif_2016`).
    """

    name: str
    family: str
    domain: str
    frequency: str | None
    horizon: int | None
    zenodo: int
    series: int
    rounded: bool = False
    evaluated: bool = True
    horizon_in_file: bool = False

    @property
    def file(self) -> str:
        """ "kaggle_web_traffic_dataset_without_missing_values.tsf"."""
        for mark in (GAPS, FILLED):
            if self.name.endswith(mark):
                return f"{self.name.removesuffix(mark)}_dataset{mark}_values.tsf"
        return f"{self.name}_dataset.tsf"

    @property
    def folder(self) -> str:
        """What listings call it."""
        return self.name

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a user may call it: by its name, by the dataset's, all of whose files that means, or by the file's."""
        return (self.name, self.family, self.file, self.file.removesuffix(".tsf"))

    @property
    def url(self) -> str:
        """Where the archive has it, as a .zip with the file in it."""
        return f"{RECORDS}/{self.zenodo}/files/{self.file.removesuffix('.tsf')}.zip"

    @property
    def freq(self) -> str:
        """As `harness.frequency` writes it; yearly where the file says none, as in the archive's own experiments."""
        return alias(self.frequency or "yearly")

    @property
    def seasonality(self) -> tuple[float, ...]:
        return SEASONALITY[self.frequency]

    @property
    def season_length(self) -> int:
        """m of the archive's MASE: the shortest season; R takes the 52.18 weeks of a year as a lag of 52."""
        return int(min(self.seasonality))

    @property
    def missing(self) -> bool:
        """Whether it is the variant with gaps."""
        return self.name.endswith(GAPS)


R, F, C = {"rounded": True}, {"evaluated": False}, {"horizon_in_file": True}

Row = MonashRow

# fmt: off
MONASH: tuple[MonashRow, ...] = (
    Row("m1_yearly",                           "m1",                  "Multiple",  "yearly",      6,    4656193, 181, **C),
    Row("m1_quarterly",                        "m1",                  "Multiple",  "quarterly",   8,    4656154, 203, **C),
    Row("m1_monthly",                          "m1",                  "Multiple",  "monthly",     18,   4656159, 617, **C),
    Row("m3_yearly",                           "m3",                  "Multiple",  "yearly",      6,    4656222, 645, **C),
    Row("m3_quarterly",                        "m3",                  "Multiple",  "quarterly",   8,    4656262, 756, **C),
    Row("m3_monthly",                          "m3",                  "Multiple",  "monthly",     18,   4656298, 1428, **C),
    Row("m3_other",                            "m3",                  "Multiple",  None,          8,    4656335, 174, **C),
    Row("m4_yearly",                           "m4",                  "Multiple",  "yearly",      6,    4656379, 23000, **C),
    Row("m4_quarterly",                        "m4",                  "Multiple",  "quarterly",   8,    4656410, 24000, **C),
    Row("m4_monthly",                          "m4",                  "Multiple",  "monthly",     18,   4656480, 48000, **C),
    Row("m4_weekly",                           "m4",                  "Multiple",  "weekly",      13,   4656522, 359, **C),
    Row("m4_daily",                            "m4",                  "Multiple",  "daily",       14,   4656548, 4227, **C),
    Row("m4_hourly",                           "m4",                  "Multiple",  "hourly",      48,   4656589, 414, **C),
    Row("tourism_yearly",                      "tourism",             "Tourism",   "yearly",      4,    4656103, 518, **C),
    Row("tourism_quarterly",                   "tourism",             "Tourism",   "quarterly",   8,    4656093, 427, **C),
    Row("tourism_monthly",                     "tourism",             "Tourism",   "monthly",     24,   4656096, 366, **C),
    Row("cif_2016",                            "cif_2016",            "Banking",   "monthly",     12,   4656042, 72, **C),
    Row("london_smart_meters_with_missing",    "london_smart_meters", "Energy",    "half_hourly", None, 4656072, 5560, **F),
    Row("london_smart_meters_without_missing", "london_smart_meters", "Energy",    "half_hourly", None, 4656091, 5560, **F),
    Row("australian_electricity_demand",       "australian_electricity_demand","Energy",    "half_hourly", 336,  4659727, 5),
    Row("wind_farms_minutely_with_missing",    "wind_farms",          "Energy",    "minutely",    None, 4654909, 339, **F),
    Row("wind_farms_minutely_without_missing", "wind_farms",          "Energy",    "minutely",    None, 4654858, 339, **F),
    Row("dominick",                            "dominick",            "Sales",     "weekly",      8,    4654802, 115704),
    Row("bitcoin_with_missing",                "bitcoin",             "Economic",  "daily",       30,   5121965, 18, **F),
    Row("bitcoin_without_missing",             "bitcoin",             "Economic",  "daily",       30,   5122101, 18),
    Row("pedestrian_counts",                   "pedestrian_counts",   "Transport", "hourly",      24,   4656626, 66, **R),
    Row("vehicle_trips_with_missing",          "vehicle_trips",       "Transport", "daily",       30,   5122535, 329, **R, **F),
    Row("vehicle_trips_without_missing",       "vehicle_trips",       "Transport", "daily",       30,   5122537, 329, **R),
    Row("kdd_cup_2018_with_missing",           "kdd_cup_2018",        "Nature",    "hourly",      168,  4656719, 270, **F),
    Row("kdd_cup_2018_without_missing",        "kdd_cup_2018",        "Nature",    "hourly",      168,  4656756, 270),
    Row("weather",                             "weather",             "Nature",    "daily",       30,   4654822, 3010),
    Row("nn5_daily_with_missing",              "nn5",                 "Banking",   "daily",       56,   4656110, 111, **F, **C),
    Row("nn5_daily_without_missing",           "nn5",                 "Banking",   "daily",       56,   4656117, 111, **C),
    Row("nn5_weekly",                          "nn5",                 "Banking",   "weekly",      8,    4656125, 111),
    Row("kaggle_web_traffic_with_missing",     "web_traffic",         "Web",       "daily",       59,   4656080, 145063, **R, **F, **C),
    Row("kaggle_web_traffic_without_missing",  "web_traffic",         "Web",       "daily",       59,   4656075, 145063, **R, **C),
    Row("kaggle_web_traffic_weekly",           "web_traffic",         "Web",       "weekly",      8,    4656664, 145063, **R),
    Row("solar_10_minutes",                    "solar",               "Energy",    "10_minutes",  1008, 4656144, 137),
    Row("solar_weekly",                        "solar",               "Energy",    "weekly",      5,    4656151, 137),
    Row("electricity_hourly",                  "electricity",         "Energy",    "hourly",      168,  4656140, 321, **R),
    Row("electricity_weekly",                  "electricity",         "Energy",    "weekly",      8,    4656141, 321, **R),
    Row("car_parts_with_missing",              "car_parts",           "Sales",     "monthly",     12,   4656022, 2674, **R, **F),
    Row("car_parts_without_missing",           "car_parts",           "Sales",     "monthly",     12,   4656021, 2674, **R),
    Row("fred_md",                             "fred_md",             "Economic",  "monthly",     12,   4654833, 107),
    Row("traffic_hourly",                      "traffic",             "Transport", "hourly",      168,  4656132, 862),
    Row("traffic_weekly",                      "traffic",             "Transport", "weekly",      8,    4656135, 862),
    Row("rideshare_with_missing",              "rideshare",           "Transport", "hourly",      168,  5122114, 2304, **F),
    Row("rideshare_without_missing",           "rideshare",           "Transport", "hourly",      168,  5122232, 2304),
    Row("hospital",                            "hospital",            "Health",    "monthly",     12,   4656014, 767, **R),
    Row("covid_deaths",                        "covid_deaths",        "Nature",    "daily",       30,   4656009, 266, **R),
    Row("temperature_rain_with_missing",       "temperature_rain",    "Nature",    "daily",       30,   5129073, 32072, **F),
    Row("temperature_rain_without_missing",    "temperature_rain",    "Nature",    "daily",       30,   5129091, 32072),
    Row("sunspot_with_missing",                "sunspot",             "Nature",    "daily",       30,   4654773, 1, **R, **F),
    Row("sunspot_without_missing",             "sunspot",             "Nature",    "daily",       30,   4654722, 1, **R),
    Row("saugeenday",                          "saugeen",             "Nature",    "daily",       30,   4656058, 1),
    Row("us_births",                           "us_births",           "Nature",    "daily",       30,   4656049, 1, **R),
    Row("solar_4_seconds",                     "solar_4_seconds",     "Energy",    "4_seconds",   None, 4656027, 1, **F),
    Row("wind_4_seconds",                      "wind_4_seconds",      "Energy",    "4_seconds",   None, 4656032, 1, **F),
)
# fmt: on


def monash_row(name: str) -> MonashRow:
    """The row of a file, by its name or the file's own: "saugeenday", "saugeenday_dataset.tsf".

    Raises:
        UsageError: no such file; says what is near.
    """
    found = next((row for row in MONASH if name in (row.name, row.file)), None)
    if found is None:
        raise UsageError(f"the Monash archive has no file {name!r}.{suggest(name, [row.name for row in MONASH])}")
    return found
