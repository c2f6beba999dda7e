"""Loggers of a training: its numbers as CSV, for TensorBoard, MLflow or Weights & Biases, behind one small interface.

    with open_logger("csv,mlflow", project="my-models", run_name="first", params=recipe, folder=folder) as logger:
        for step in range(1, 101):
            logger.log(step, {"loss": loss})
        logger.finish("done", {"best": best}, artifacts=[folder / "recipe.yaml"])

Packages are imported when a logger is opened. What is missing, or a server that does not answer, is an error before the training begins;
afterwards a logger that fails is named once and left out, and the training goes on. Nothing leaves this machine unless the user's own
environment says so: MLflow writes into a folder unless MLFLOW_TRACKING_URI is set, Weights & Biases is offline unless WANDB_MODE is set.
"""

from __future__ import annotations

from harness.loggers.logger import KINDS, Logger, open_logger, read_names, require

__all__ = ["KINDS", "Logger", "open_logger", "read_names", "require"]
