"""Loggers that write files on this machine: a table, and events for TensorBoard."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.files import write_whole

if TYPE_CHECKING:
    from harness.loggers.contract import Number, Start, Status

__all__ = ["Csv", "TensorBoard"]


class Csv:
    """`curve.csv`: a row a step, a column a name; a number that a step lacks is empty. On the disk after each step."""

    def __init__(self, start: Start) -> None:
        self.path = start.folder / "curve.csv"
        self.rows: list[dict[str, str]] = []
        self.names = ["step"]
        if start.step and self.path.is_file():
            self._take_up(start.step)
        self._write()

    def _take_up(self, step: int) -> None:
        """The rows of a training that goes on, up to the step that it goes on from."""
        with self.path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            for row in reader:
                if (row.get("step") or "").isdecimal() and int(row["step"]) <= step:
                    self.rows.append({name: text for name, text in row.items() if name and text})
        self.names = list(dict.fromkeys(["step", *(name for row in self.rows for name in row)]))

    def log(self, step: int, values: Mapping[str, Number]) -> None:
        written = {name: repr(value) for name, value in values.items()}
        again = bool(self.rows) and self.rows[-1]["step"] == str(step)
        new = [name for name in written if name not in self.names]
        if again:
            self.rows[-1].update(written)
        else:
            self.rows.append({"step": str(step), **written})
        self.names += new
        if again or new:
            self._write()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, self.names, lineterminator="\n").writerow(self.rows[-1])

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.path, text.getvalue())

    def finish(self, status: Status, metrics: Mapping[str, Number], artifacts: Sequence[Path]) -> None:
        del status, metrics, artifacts  # each step is in the file already


class TensorBoard:
    """`tensorboard/`: scalars by step, the outcome's numbers as `final/…`. Needs the package tensorboard alone, not torch."""

    def __init__(self, start: Start) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer: Any = EventFileWriter(str(start.folder / "tensorboard"))
        self._step = start.step
        if start.step:  # has TensorBoard forget what the training before wrote beyond this step
            self._writer.add_event(Event(wall_time=time.time(), step=start.step + 1, session_log=SessionLog(status=SessionLog.START)))

    def log(self, step: int, values: Mapping[str, Number]) -> None:
        self._step = step
        made = self._summary(value=[self._summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=made))
        self._writer.flush()

    def finish(self, status: Status, metrics: Mapping[str, Number], artifacts: Sequence[Path]) -> None:
        del status, artifacts
        try:
            if metrics:
                self.log(self._step, {f"final/{name}": value for name, value in metrics.items()})
        finally:
            self._writer.close()
