"""How parent and worker talk: JSON headers over a socket, arrays as Arrow in shared memory.

Each direction has two regions of anonymous memory, used in turn, so that one batch is written while the other is read. A region is an
unlinked file that both processes map: when both are gone, however they went, so is the memory.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket
import struct
import tempfile
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import from_numpy, rows, to_numpy
from harness.forecast import F32, F64, Batch, Ragged
from harness.types import Event

if TYPE_CHECKING:
    from harness.stored import Stored

__all__ = [
    "DEPTH",
    "Closed",
    "Link",
    "Region",
    "read_batch",
    "read_forecast",
    "read_stored",
    "write_batch",
    "write_forecast",
    "write_stored",
]

DEPTH = 2
"""Batches in flight: one is predicted while the next is prepared."""

HEADER = struct.Struct("<I")
LARGEST = 1 << 26
"""No message is longer; arrays do not travel in messages."""


class Closed(Exception):
    """The other side is gone."""


class Region:
    """A growing piece of memory shared through a file descriptor."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            fd = _anonymous()
        self.fd = fd
        self._map: mmap.mmap | None = None

    def view(self, size: int, grow: bool = False) -> memoryview:
        """The first `size` bytes; `grow` makes the memory larger first where needed."""
        if self._map is None or len(self._map) < size:
            if grow and os.fstat(self.fd).st_size < size:
                # Half as much again, so that slowly growing batches do not remap each time.
                os.ftruncate(self.fd, max(size + size // 2, 1 << 16))
            self._map = mmap.mmap(self.fd, os.fstat(self.fd).st_size)
        return memoryview(self._map)[:size]

    def close(self) -> None:
        """Give the memory back; a second call does nothing, as the number may be another file's by then."""
        self._map = None
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("harness")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Link:
    """A socket that carries JSON messages, each behind its length."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, message: dict[str, Any]) -> None:
        """Send a message.

        Raises:
            Closed: the other side is gone.
        """
        body = json.dumps(message).encode()
        try:
            self.sock.sendall(HEADER.pack(len(body)) + body)
        except OSError as error:
            raise Closed from error

    def ready(self, seconds: float) -> bool:
        """Wait at most so long for the other side to write, or to go; return whether there is something to receive."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def receive(self, deadline: float | None = None) -> dict[str, Any]:
        """Wait for a message until `deadline` (time.monotonic).

        Raises:
            TimeoutError: the deadline passed.
            Closed: the other side is gone.
        """
        (size,) = HEADER.unpack(self._exactly(HEADER.size, deadline))
        if size > LARGEST:
            raise Closed(f"a message of {size} bytes: something else has written into the connection")
        message: dict[str, Any] = json.loads(self._exactly(size, deadline))
        return message

    def _exactly(self, size: int, deadline: float | None) -> bytes:
        parts: list[bytes] = []
        while size:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            try:
                part = self.sock.recv(min(size, 1 << 20))
            except TimeoutError:
                raise
            except OSError as error:
                raise Closed from error
            finally:
                self.sock.settimeout(None)
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _write(region: Region, batch: pa.RecordBatch) -> int:
    size = pa.MockOutputStream()
    with pa.ipc.new_stream(size, batch.schema) as stream:
        stream.write_batch(batch)
    total = int(size.size())
    sink = pa.FixedSizeBufferWriter(pa.py_buffer(region.view(total, grow=True)))
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    sink.close()
    return total


def _read(region: Region, size: int) -> pa.RecordBatch:
    return pa.ipc.open_stream(pa.py_buffer(region.view(size))).read_next_batch()


def _list(ragged: Ragged) -> pa.Array:
    return pa.LargeListArray.from_arrays(from_numpy(ragged.offsets), from_numpy(ragged.values))


def _ragged(column: pa.Array) -> Ragged:
    # Copied: a model may keep or change what it was given, and the region is written again two batches later.
    return Ragged(to_numpy(column.values).copy(), to_numpy(column.offsets).copy())


def write_batch(region: Region, batch: Batch) -> dict[str, Any]:
    """Put a batch into the region; return the header that describes it."""
    columns = {
        "context": _list(batch.contexts),
        "start": from_numpy(batch.starts.astype("datetime64[s]")),
        "group": from_numpy(batch.group),
        "window_id": from_numpy(batch.window_ids),
        "seed": from_numpy(batch.seeds),
        **{f"past_{k}": _list(past) for k, past in enumerate(batch.past_covariates)},
        **{f"known_{k}": _list(known) for k, known in enumerate(batch.known_covariates)},
        **({} if batch.thresholds is None else {"threshold": from_numpy(batch.thresholds)}),
    }
    size = _write(region, pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns)))
    return {
        "size": size,
        "freq": batch.freq,
        "horizon": batch.horizon,
        "levels": batch.quantile_levels.tolist(),
        "season_length": batch.season_length,
        "past": len(batch.past_covariates),
        "known": len(batch.known_covariates),
        "past_names": list(batch.past_names),
        "event": None if batch.event is None else asdict(batch.event),
        "context_limit": batch.context_limit,
        "dataset": batch.dataset,
        "domain": batch.domain,
    }


def read_batch(region: Region, header: dict[str, Any]) -> Batch:
    """Take a batch out of the region."""
    columns = _read(region, header["size"])
    return Batch(
        contexts=_ragged(columns.column("context")),
        starts=to_numpy(columns.column("start")).copy(),
        freq=header["freq"],
        horizon=header["horizon"],
        quantile_levels=np.asarray(header["levels"], np.float64),
        season_length=header["season_length"],
        group=to_numpy(columns.column("group")).copy(),
        window_ids=to_numpy(columns.column("window_id")).copy(),
        seeds=to_numpy(columns.column("seed")).copy(),
        past_covariates=tuple(_ragged(columns.column(f"past_{k}")) for k in range(header["past"])),
        known_covariates=tuple(_ragged(columns.column(f"known_{k}")) for k in range(header["known"])),
        past_names=tuple(header["past_names"]),
        event=None if header["event"] is None else Event(**header["event"]),
        thresholds=None if header["event"] is None else to_numpy(columns.column("threshold")).copy(),
        context_limit=header["context_limit"],
        dataset=header.get("dataset", ""),
        domain=header.get("domain", ""),
    )


def write_stored(region: Region, stored: Stored) -> dict[str, Any]:
    """Put what other models forecast, as far as it is no file, into the region; return the header that describes it."""
    header, columns = stored.message()
    return {**header, "size": _write(region, columns)}


def read_stored(region: Region, header: dict[str, Any]) -> Stored:
    """Take that out of the region."""
    from harness.stored import Stored  # only here: it costs the import of Parquet

    return Stored.read(header, _read(region, header["size"]))


def write_forecast(
    region: Region,
    quantiles: F32,
    mean: F32,
    crossings: NDArray[np.int32],
    interval: F64 | None,
    probability: F64 | None,
    fallback: F32 | None = None,
) -> dict[str, Any]:
    """Put quantiles [N, Q, H], means [N, H], crossings [N], perhaps interval [N, 2, H], the event's probability [N] and the shares that
    are not the model's own [N] into the region; return the header.
    """
    n, q, h = quantiles.shape
    columns = [
        rows(quantiles),  # [N, Q·H]
        rows(mean),  # [N, H]
        from_numpy(crossings),
    ]
    names = ["quantiles", "mean", "crossings"]
    if interval is not None:
        columns.append(rows(interval))  # [N, 2·H]
        names.append("interval")
    if probability is not None:
        columns.append(from_numpy(probability))
        names.append("probability")
    if fallback is not None:
        columns.append(from_numpy(fallback))
        names.append("fallback")
    return {"size": _write(region, pa.RecordBatch.from_arrays(columns, names=names)), "shape": [n, q, h]}


def read_forecast(region: Region, header: dict[str, Any]) -> tuple[F32, F32, dict[str, Any]]:
    """Quantiles [N, Q, H], means [N, H] and {"crossings": [N], "interval": [N, 2, H] or None, "probability": [N] or None, "fallback": [N]
    or None}: views of the region, valid until it is written again. What a worker with an older core does not send is None.
    """
    n, q, h = header["shape"]
    columns = _read(region, header["size"])
    quantiles = to_numpy(columns.column("quantiles").values).reshape(n, q, h)  # [N, Q, H]
    mean = to_numpy(columns.column("mean").values).reshape(n, h)  # [N, H]
    sent = "interval" in columns.schema.names
    interval = to_numpy(columns.column("interval").values).reshape(n, 2, h) if sent else None  # [N, 2, H]
    one = {name: to_numpy(columns.column(name)) if name in columns.schema.names else None for name in ("probability", "fallback")}
    return quantiles, mean, {"crossings": to_numpy(columns.column("crossings")), "interval": interval, **one}
