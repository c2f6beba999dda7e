"""Files that `harness new suite NAME --from FILE` cannot look at say why."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from harness.errors import DataError
from harness_tasks.own.propose.columns import freq_of, look_at

GOOD = "id,t,v\n" + "".join(f"{s},2024-01-{d:02d},{d}\n" for s in "ab" for d in range(1, 31))


def test_a_packed_file_that_is_broken(tmp_path: Path) -> None:
    packed = gzip.compress((GOOD * 50).encode())
    path = tmp_path / "x.csv.gz"
    for data in (packed[:14] + b"\xff" * 26 + packed[40:], packed[: len(packed) // 2], GOOD.encode(), packed[:-8] + bytes(8)):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"x\.csv\.gz: cannot be read \(.+\); wanted a CSV file"):
            look_at(path)
        assert freq_of(path, "t", "id") == ""
    path.write_bytes(packed)
    assert look_at(path).names == ("id", "t", "v")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            GOOD + "a,2024-02-01," + "9" * 200_000 + "\n",
            r"line 62: this row cannot be read \(field larger than .*at most 131,072 characters",
        ),
        (GOOD + 'a,"2024-02-01,1\n' + GOOD * 150, r"line 62: this row cannot be read .*A quote that is never closed"),
        ('id,t,v\na,"2024-01-01,1\na,2024-01-02,2\n', r"line 2: a row begins here and ends in line 3; wanted a quote in it that is closed"),
    ],
)
def test_a_row_that_cannot_be_read(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"x\.csv, {words}"):
        look_at(path)
