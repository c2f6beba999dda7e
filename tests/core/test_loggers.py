"""Loggers of a training: real runs of each, read back; what is missing, fails or is secret."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness import StoreError, UsageError
from harness.loggers import KINDS, Logger, open_logger, read_names, require
from harness.loggers.plain import flat, without_secrets

PARAMS = {"optimizer": {"name": "adamw", "betas": [0.9, 0.95]}, "steps": 12, "max_tokens": 8, "api_key": "sk-1234567"}


def needs(name: str) -> pytest.MarkDecorator:
    kind = KINDS[name]
    return pytest.mark.skipif(find_spec(kind.module) is None, reason=f"{kind.module} is not installed; type: pip install {kind.install}")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of what the user of these tests has set; what loggers set is taken back."""
    ours = ("MLFLOW_", "WANDB_")
    for name in [name for name in os.environ if name.startswith(ours)]:
        monkeypatch.delenv(name)
    yield
    for name in [name for name in os.environ if name.startswith(ours)]:
        del os.environ[name]


def opened(names: str, folder: Path, **more: Any) -> Logger:
    return open_logger(names, project="proj", run_name="first", folder=folder, params=PARAMS, notes="a try", **more)


def written(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_a_row_for_each_step(tmp_path: Path) -> None:
    with opened("csv", tmp_path / "deep" / "run") as logger:
        path = tmp_path / "deep" / "run" / "curve.csv"
        assert path.read_text() == "step\n", "it is there before the first step"
        logger.log(1, {"loss": 0.1 + 0.2, "windows": 4})
        logger.log(2, {"loss": np.float32(0.5), "lr": np.array(1e-3), "said": "text", "what": object()})
        assert len(written(path)) == 2, "each step is on the disk at once"
        logger.log(2, {"val": float("nan")})
        logger.log(3, {"loss": 1})
    rows = written(path)
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[0] == {"step": "1", "loss": "0.30000000000000004", "windows": "4", "lr": "", "val": ""}
    assert rows[1] == {"step": "2", "loss": "0.5", "windows": "", "lr": "0.001", "val": "nan"}
    assert rows[2]["loss"] == "1"


def test_csv_goes_on_from_a_step(tmp_path: Path) -> None:
    with opened("csv", tmp_path) as logger:
        for step in range(1, 6):
            logger.log(step, {"loss": step / 8})
    before = written(tmp_path / "curve.csv")
    with opened("csv", tmp_path, step=3) as logger:
        logger.log(4, {"loss": 9.0})
    assert written(tmp_path / "curve.csv") == [*before[:3], {"step": "4", "loss": "9.0"}]
    with opened("csv", tmp_path):
        pass
    assert written(tmp_path / "curve.csv") == [], "a training from the start begins anew"


@needs("tensorboard")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    with opened("tensorboard", tmp_path) as logger:
        logger.log(1, {"loss": 0.5})
        logger.log(2, {"loss": 0.25, "val": 1.5})
        logger.finish("done", {"val": 1.5})
    with opened("tensorboard", tmp_path, step=1) as logger:
        logger.log(2, {"loss": 0.125})
    found, begun = [], []
    for file in sorted((tmp_path / "tensorboard").iterdir()):
        for event in LegacyEventFileLoader(str(file)).Load():
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            begun += [event.step] * event.HasField("session_log")
    assert sorted(found) == sorted([(1, "loss", 0.5), (2, "loss", 0.25), (2, "val", 1.5), (2, "final/val", 1.5), (2, "loss", 0.125)])
    assert begun == [2], "TensorBoard forgets what came after the step that was gone on from"


@needs("mlflow")
def test_mlflow_writes_a_run_into_a_folder(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("steps: 12\n")
    with opened("mlflow", tmp_path / "run") as logger:
        logger.log(1, {"loss": 0.5, "MASE[0.5]": 2})
        logger.log(2, {"loss": 0.25})
        logger.finish("done", {"best": 0.125}, [tmp_path / "recipe.yaml", tmp_path / "absent"])
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "run" / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("proj")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status, run.data.tags["mlflow.note.content"]) == ("first", "FINISHED", "a try")
    assert run.data.metrics == {"loss": 0.25, "MASE_0.5_": 2.0, "best": 0.125}
    assert run.data.params == {"optimizer.name": "adamw", "optimizer.betas": "[0.9, 0.95]", "steps": "12", "max_tokens": "8"}
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")] == [(1, 0.5), (2, 0.25)]
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == ["recipe.yaml"]
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


class Server:
    """As much of MLflow's REST interface as a run needs; when it is `full`, it answers 500."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.full = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such experiment"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path.rpartition("/2.0/mlflow/")[2], body))
                if outer.full:
                    self.answer(507, {"error_code": "INTERNAL_ERROR", "message": f"no room left, said {self.headers['Authorization']}"})
                elif self.path.endswith("runs/create"):
                    self.answer(200, {"run": {"info": {"run_id": "r1", "run_uuid": "r1", "experiment_id": "7", "status": "RUNNING"}}})
                else:
                    self.answer(200, {"experiment_id": "7"})

            def answer(self, code: int, body: Mapping[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@needs("mlflow")
def test_mlflow_writes_to_the_server_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret-token")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    said: list[str] = []
    logger = opened("csv,mlflow", tmp_path, say=said.append)
    logger.log(1, {"loss": 0.5})
    sent = dict(server.asked)
    assert sent["experiments/create"]["name"] == "mine"
    assert sent["runs/create"]["run_name"] == "first"
    assert [(m["key"], m["value"], m["step"]) for m in sent["runs/log-batch"]["metrics"]] == [("loss", 0.5, 1)]
    assert not (tmp_path / "mlruns").exists()
    server.full = True
    logger.log(2, {"loss": 0.25})
    asked = len(server.asked)
    logger.log(3, {"loss": 0.125})
    assert len(server.asked) == asked, "a logger that failed is not asked again"
    assert logger.names == ("csv",)
    (text,) = said
    assert text.startswith("the logger mlflow failed and is left out from here on: ") and "no room left" in text
    assert "secret-token" not in text and "***" in text
    logger.finish()
    assert [row["loss"] for row in written(tmp_path / "curve.csv")] == ["0.5", "0.25", "0.125"], "the others go on"


@needs("mlflow")
def test_a_server_that_does_not_answer_is_told_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    address = server.address.replace("://", "://ann:hunter22@")
    server.http.server_close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UsageError, match=r"the logger mlflow could not be started: .*wanted MLFLOW_TRACKING_URI of a server") as caught:
        opened("csv,mlflow", tmp_path)
    assert "hunter22" not in str(caught.value)


WANDB = """
import json, os, sys, warnings
warnings.simplefilter("error")
from pathlib import Path
from harness.loggers import open_logger
folder = Path(sys.argv[1])
params = {"steps": 12, "api_key": "sk-1234567", "note": "as " + os.environ["WANDB_API_KEY"]}
with open_logger("wandb", project="proj", run_name="first", folder=folder, params=params, notes="a try") as logger:
    logger.log(1, {"loss": 0.5})
    logger.log(2, {"loss": 0.25, "val": 1.5})
    logger.finish("done", {"best": 0.125}, [folder / "recipe[1].yaml"])
print(json.dumps([logger.names, os.environ["WANDB_ERROR_REPORTING"]]))
"""


@needs("wandb")
def test_wandb_writes_a_run_offline(tmp_path: Path) -> None:
    (tmp_path / "recipe[1].yaml").write_text("steps: 12\n")
    own = {"WANDB_API_KEY": "k" * 40, "WANDB_CACHE_DIR": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path), "WANDB_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-c", WANDB, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **own})
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout), done.stderr) == ([["wandb"], "false"], "")
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    (file,) = run.glob("*.wandb")
    kept = file.read_bytes()
    for text in (b"proj", b"first", b"a try", b"loss", b"0.25", b"best", b"0.125", b"steps"):
        assert text in kept, text
    assert (run / "files" / "recipe[1].yaml").read_text() == "steps: 12\n"
    everything = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert b"sk-1234567" not in everything and b"k" * 40 not in everything


class Recording:
    """A logger that writes down what it is told, and fails when it is told to."""

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.told: list[Any] = []
        self.fails, self.error = fails, error or OSError(28, "No space left on device")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append((step, dict(values)))
        if self.fails == "log":
            raise self.error

    def finish(self, status: str, metrics: Mapping[str, float], artifacts: Sequence[Path]) -> None:
        self.told.append((status, dict(metrics), [path.name for path in artifacts]))
        if self.fails == "finish":
            raise self.error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(3), RuntimeError("gone")])
def test_a_logger_that_fails_ends_nothing(error: BaseException) -> None:
    said: list[str] = []
    bad, good, last = Recording("log", error), Recording(), Recording("finish", error)
    logger = Logger({"bad": bad, "good": good, "last": last}, said.append)
    logger.log(1, {"loss": 1.0})
    logger.log(2, {"loss": 2.0})
    assert logger.names == ("good", "last") and len(said) == 1 and "the logger bad failed" in said[0]
    assert bad.told == [(1, {"loss": 1.0}), ("failed", {}, [])], "it is closed once, and left alone"
    logger.finish("done", {"best": 1.0})
    logger.finish("failed")
    assert good.told[-1] == ("done", {"best": 1.0}, []) and len(good.told) == 3
    assert len(said) == 2 and "the logger last failed" in said[1]


def test_how_a_training_ends_is_written() -> None:
    ends = []
    for raised in (None, KeyboardInterrupt, ValueError):
        sink = Recording()
        try:
            with Logger({"x": sink}, print):
                if raised is not None:
                    raise raised
        except (KeyboardInterrupt, ValueError):
            pass
        ends.append(sink.told[-1][0])
    assert ends == ["done", "interrupted", "failed"]
    sink = Recording("log", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt), Logger({"x": sink}, print) as logger:
        logger.log(1, {"loss": 1})
    assert sink.told[-1][0] == "interrupted", "Ctrl-C is no failure of a logger"


def test_what_is_missing_is_told_with_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.loggers.logger.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"the logger mlflow needs a package that is not installed; type: pip install mlflow-skinny$"):
        require("csv,mlflow")
    with pytest.raises(UsageError, match=r"wandb and tensorboard needs packages .* type: pip install wandb tensorboard$"):
        opened("csv,wandb,tensorboard", tmp_path / "run")
    assert not (tmp_path / "run").exists(), "nothing was begun"
    with pytest.raises(UsageError, match=r"no logger 'mlfow'; wanted csv, tensorboard, mlflow, wandb.*Did you mean 'mlflow'"):
        read_names("csv,mlfow")
    assert opened("", tmp_path).names == ()


def test_a_logger_that_cannot_be_opened_closes_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Recording()
    monkeypatch.setattr("harness.loggers.local.Csv", lambda start: first)

    def broken(start: object) -> None:
        raise StoreError("could not write it")

    monkeypatch.setattr("harness.loggers.local.TensorBoard", broken)
    with pytest.raises(UsageError, match="the logger tensorboard could not be started: could not write it; wanted a folder"):
        opened("csv,tensorboard", tmp_path)
    assert first.told == [("failed", {}, [])]


def test_a_package_of_another_shape_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(__spec__=SimpleNamespace()))
    monkeypatch.setitem(sys.modules, "mlflow.entities", SimpleNamespace(Metric=1, Param=2))
    with pytest.raises(UsageError, match="the logger mlflow could not be started: AttributeError"):
        opened("mlflow", tmp_path)


def test_secrets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SERVICE_KEY", "abcdef123")
    monkeypatch.setenv("SHORT_KEY", "ab")
    assert without_secrets("abcdef123 at https://me:pw@host/x, ab") == "*** at https://***@host/x, ab"
    found = flat({"a": {"password": "x", "hf.token": "x", "OPENAI_API_KEY": "x", "tokenizer": "t", "keep": "y abcdef123"}, "none": None})
    assert found == {"a.tokenizer": "t", "a.keep": "y ***", "none": "None"}


def test_importing_the_interface_imports_no_logger() -> None:
    source = "import sys, harness.loggers; print([m for m in ('mlflow', 'wandb', 'tensorboard', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
