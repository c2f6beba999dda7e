"""Loggers that can write to a server, and write into a folder unless the user's environment names one: MLflow, Weights & Biases.

Variables that are not set are set for this process: telemetry and error reports to the makers are off, and a server that does not answer
is given up after some seconds, so that a training does not wait for it for minutes.
"""

from __future__ import annotations

import glob
import math
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from harness.loggers.contract import Number, Start, Status

__all__ = ["MLflow", "Wandb"]

MLFLOW_SET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
WANDB_SET = {"WANDB_ERROR_REPORTING": "false"}
PARAMS_AT_ONCE = 100
"""Parameters in one request that MLflow takes."""


class MLflow:
    """A run of an MLflow experiment, at MLFLOW_TRACKING_URI; without that in the folder `mlruns/`, which `mlflow ui` reads.

    Names of numbers have `_` for what MLflow does not take. The experiment is MLFLOW_EXPERIMENT_NAME, or the project.
    """

    ENDS: ClassVar = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}

    def __init__(self, start: Start) -> None:
        _set(MLFLOW_SET)
        where = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not where:
            where = (start.folder / "mlruns").resolve().as_uri()
            _set({"MLFLOW_ALLOW_FILE_STORE": "true"})  # what a folder needs from version 3.7 on
        entities: Any = import_module("mlflow.entities")
        self._metric = entities.Metric
        self._client: Any = import_module("mlflow").MlflowClient(tracking_uri=where)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or start.project
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known is not None else self._client.create_experiment(name)
        tags = {"mlflow.note.content": start.notes} if start.notes else {}
        self._run = str(self._client.create_run(experiment, run_name=start.run_name, tags=tags).info.run_id)
        self._step = start.step
        params = [entities.Param(_mlflow_name(key)[:250], value) for key, value in start.params.items()]
        for k in range(0, len(params), PARAMS_AT_ONCE):
            self._client.log_batch(self._run, params=params[k : k + PARAMS_AT_ONCE], synchronous=True)

    def log(self, step: int, values: Mapping[str, Number]) -> None:
        self._step, now = step, int(time.time() * 1000)
        metrics = [self._metric(_mlflow_name(name)[:250], float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics, synchronous=True)

    def finish(self, status: Status, metrics: Mapping[str, Number], artifacts: Sequence[Path]) -> None:
        try:
            if metrics:
                self.log(self._step, metrics)
            for path in artifacts:
                self._client.log_artifact(self._run, str(path))
        finally:
            self._client.set_terminated(self._run, self.ENDS[status])


def _mlflow_name(name: str) -> str:
    """A name as MLflow takes it: letters, figures, and _-.:/ and spaces."""
    return re.sub(r"[^\w.:/ -]", "_", name)


class Wandb:
    """A run of Weights & Biases, below `wandb/` and offline unless WANDB_MODE is set: `wandb sync` sends it later.

    WANDB_PROJECT, WANDB_NAME and WANDB_DIR go before what the training says.
    """

    ENDS: ClassVar = {"done": 0, "interrupted": 130, "failed": 1}

    def __init__(self, start: Start) -> None:
        _set(WANDB_SET)
        wandb: Any = import_module("wandb")
        # What is printed stays on the terminal alone; packages, hardware and code of this machine are not taken along.
        quiet = {"silent": True, "console": "off", "disable_git": True, "disable_code": True}
        bare = {"x_disable_stats": True, "x_disable_meta": True, "x_save_requirements": False}
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or start.project,
            name=os.environ.get("WANDB_NAME") or start.run_name,
            notes=start.notes or None,
            dir=os.environ.get("WANDB_DIR") or str(start.folder),
            config=dict(start.params),
            mode=os.environ.get("WANDB_MODE") or "offline",
            reinit="create_new",  # a run of the caller's own goes on beside it
            settings=wandb.Settings(**quiet, **bare),
        )

    def log(self, step: int, values: Mapping[str, Number]) -> None:
        self._run.log(dict(values), step=step)

    def finish(self, status: Status, metrics: Mapping[str, Number], artifacts: Sequence[Path]) -> None:
        try:
            self._run.summary.update({name: value for name, value in metrics.items() if math.isfinite(value)})
            folder = Path(self._run.dir)
            for path in artifacts:  # copied: it would be linked otherwise, and what is synced later may be gone by then
                folder.mkdir(parents=True, exist_ok=True)
                kept = shutil.copy(path, folder)
                self._run.save(glob.escape(str(kept)), base_path=str(folder), policy="now")
        finally:
            self._run.finish(exit_code=self.ENDS[status])


def _set(variables: Mapping[str, str]) -> None:
    """Set the variables that are not set."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
