"""The first rows of an Arrow file, as `datasets` saves them: a stream, or a file with an index."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from harness.errors import DataError

__all__ = ["SUFFIX", "first_rows"]

SUFFIX = ".arrow"


def first_rows(path: Path, count: int) -> pa.RecordBatch | None:
    """Up to so many rows of the first batch that has any; None where none has.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with pa.memory_map(str(path)) as mapped:
            indexed = mapped.read(6) == b"ARROW1"
            mapped.seek(0)
            if indexed:
                file = pa.ipc.open_file(mapped)
                batches = (file.get_batch(i) for i in range(file.num_record_batches))
            else:
                batches = iter(pa.ipc.open_stream(mapped))
            for batch in batches:
                if batch.num_rows:
                    batch.validate(full=True)
                    return batch.slice(0, count)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}); wanted a whole Arrow file") from None
    return None
