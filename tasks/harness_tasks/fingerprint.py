"""A hash of a dataset's content, and a small cache of such hashes so that gigabytes are hashed once.

The hash covers values, lengths, starts, frequency, item ids and shape; how the files are cut into shards and record batches, padded or
compressed does not enter it. The cache is keyed by path, size and modification time of every shard; a cache that cannot be read or
written costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import to_numpy
from harness.cache import load_cached, store_cached
from harness.errors import DataError
from harness.forecast import F32
from harness.series import Channels, SeriesSet

__all__ = ["cached_fingerprint", "fingerprint", "runs", "unchanged"]

VERSION = 1  # of the hash; another one makes every cached hash stale
CACHE = "fingerprints.json"
BLOCK = 1 << 22  # values in one piece, 16 MiB


def runs(channels: Channels) -> Iterator[F32]:
    """Views of the values, channel after channel, neighbours joined, in pieces of at most 4 Mi values. Copies nothing."""
    if len(channels) == 0:
        return
    end = channels.begin + channels.length
    edge = (np.diff(channels.chunk) != 0) | (channels.begin[1:] != end[:-1])  # [C - 1] where a channel does not follow on the last
    first = np.concatenate([[0], np.flatnonzero(edge) + 1])
    last = np.concatenate([first[1:], [len(channels)]]) - 1
    for a, b in zip(first.tolist(), last.tolist(), strict=True):
        values = channels.chunks[channels.chunk[a]][int(channels.begin[a]) : int(end[b])]
        for low in range(0, len(values), BLOCK):
            yield values[low : low + BLOCK]


def fingerprint(series: SeriesSet) -> str:
    """32 hexadecimal digits (blake2b); equal for equal series, whatever files they lie in. NaN and null are the same."""
    digest = blake2b(digest_size=16)
    ids = series.item_ids if isinstance(series.item_ids, pa.Array) else series.item_ids.combine_chunks()
    head = {"version": VERSION, "items": series.items, "variates": series.variates, "past": series.past_count, "freq": series.freq}
    digest.update(json.dumps(head, sort_keys=True).encode())
    digest.update(series.starts.astype("datetime64[s]").astype("<i8").tobytes())
    digest.update(to_numpy(pc.binary_length(ids)).astype("<i8").tobytes())
    digest.update("".join(ids.to_pylist()).encode())
    if series.times is not None:
        digest.update(series.times.astype("datetime64[s]").astype("<i8").tobytes())
    for channels in (series.target, series.past, series.known):
        if channels is not None:
            digest.update(channels.length.astype("<i8").tobytes())
            for values in runs(channels):
                digest.update(np.ascontiguousarray(values, "<f4").view(np.uint8).data)
    return digest.hexdigest()


def unchanged(shards: Sequence[Path]) -> Callable[[], None]:
    """A function that raises DataError once a file is not the one that it was at this moment: mapped values change with their file."""

    def stamps() -> list[tuple[int, int, int]]:
        found = [path.stat() for path in shards]
        return [(s.st_size, s.st_mtime_ns, s.st_ino) for s in found]

    before = stamps()

    def check() -> None:
        try:
            same = stamps() == before
        except OSError:
            same = False
        if not same:
            raise DataError(
                f"the files in {shards[0].parent} changed while they were read; let nobody write there and run the same command again"
            )

    return check


def cached_fingerprint(series: SeriesSet, folder: Path, files: Sequence[Path]) -> str:
    """The fingerprint of `series`, read from `files` in `folder`; computed when a file is not the one it was computed from."""
    key = str(folder.resolve())
    stats = [(file.name, file.stat()) for file in files]
    stamp = [VERSION, *([name, stat.st_size, stat.st_mtime_ns] for name, stat in stats)]
    entry = load_cached(CACHE).get(key)
    if isinstance(entry, dict) and entry.get("stamp") == stamp and isinstance(entry.get("fingerprint"), str):
        return str(entry["fingerprint"])
    value = fingerprint(series)
    with contextlib.suppress(OSError):
        store_cached(CACHE, {**load_cached(CACHE), key: {"stamp": stamp, "fingerprint": value}})
    return value
