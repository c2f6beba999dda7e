"""The registered models: which network they load, and what they do in each mode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness import Batch, Forecast, Unsupported, UsageError
from harness.errors import PluginError
from harness_ttm.cards import SHIPPED, TORCH
from harness_ttm.config import TTMConfig

__all__ = ["TTM", "TTMBlend"]


class TTM:
    """The season-fold TinyTimeMixer, zero-shot or adapted.

    Args:
        weights: a folder with config.json and model.safetensors; None is the shipped model. The folder of a published release is a point
            model and is loaded as such.
        runtime: auto, torch or onnx: `harness_ttm.runtime`.
        part: what is trained in modes with training: head, decoder, bias, lora:r, all; "" is the mode's default.
        learning_rate: of that training; "auto" looks for one, None is the mode's default.
        steps: of test-time training; None is its default.
        device: cpu or cuda.
    """

    def __init__(
        self,
        weights: str | None = None,
        runtime: str = "auto",
        part: str = "",
        learning_rate: float | str | None = None,
        steps: int | None = None,
        device: str = "cpu",
    ) -> None:
        self.folder = SHIPPED if weights is None else Path(weights).expanduser().resolve()
        self.part, self.learning_rate, self.steps, self.device = part, learning_rate, steps, device
        self.notes: dict[str, Any] = {}
        self.trained: Any = None  # the adapted network, once there is one
        self.ran_on = ""  # what runs the network, as in "onnxruntime 1.32.0"
        self.config = TTMConfig.load(config_file(self.folder))
        self.forecaster: Any = self._season(runtime) if self.config.season_fold else self._point()

    def _season(self, runtime: str) -> Any:
        from harness_ttm.forecaster import SeasonForecaster
        from harness_ttm.runtime import choose_network

        network, self.ran_on = choose_network(self.folder, runtime, self.device)
        return SeasonForecaster(network, self.config)

    def _point(self) -> Any:
        try:
            from harness_ttm.published import load_point_model

            model = load_point_model(self.folder)
        except ModuleNotFoundError as error:
            raise PluginError(f"a published release needs the package '{error.name}', which is not installed. Type: {TORCH}") from None
        model.notes = self.notes  # one dictionary, which the harness clears between cells
        return model

    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] at the deciles; the rules are those of `harness_ttm.forecaster`."""
        forecast: Forecast = self.forecaster.predict(batch)
        if (own := getattr(self.forecaster, "notes", self.notes)) is not self.notes:
            self.notes.update(own)
        if self.ran_on:
            self.notes["runtime"] = self.ran_on
        return forecast

    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> TTM:
        """Adapt to the training part (`finetune`, `few-shot:p`), train from nothing on it (`full`), or on each context (`ttt`).

        Raises:
            Unsupported: the weights are those of a published release.
        """
        if not self.config.season_fold:
            raise Unsupported("only season-fold weights are trained here; the published releases are zero-shot")
        try:
            import torch
        except ModuleNotFoundError as error:
            raise PluginError(f"modes with training need the package '{error.name}', which is not installed. Type: {TORCH}") from None
        from harness_ttm import adapt
        from harness_ttm.forecaster import SeasonForecaster, torch_network
        from harness_ttm.season_weights import load

        model = load(self.folder)
        if mode == "ttt":
            if isinstance(self.learning_rate, str):
                raise UsageError(f"learning_rate is {self.learning_rate!r}; test-time training wants a number, as in learning_rate=0.001")
            options: dict[str, Any] = {"part": self.part, "lr": self.learning_rate, "steps": self.steps}
            self.forecaster = adapt.TTTForecaster(model, self.config, **given(options))
        else:
            options = {"part": self.part, "learning_rate": self.learning_rate}
            result = adapt.finetune(model, train, budget, seed, mode=mode, **given(options))
            self.trained = result.model
            self.notes.update(result.notes)
            self.forecaster = SeasonForecaster(torch_network(self.trained), self.config)
        self.ran_on = f"torch {torch.__version__}"
        return self

    def save(self, folder: Path) -> None:
        """Write the adapted weights as config.json and model.safetensors, which `weights=` takes.

        Raises:
            Unsupported: nothing was trained.
        """
        from harness_ttm.season_weights import save

        if self.trained is None:
            raise Unsupported("nothing was trained, so there is nothing to save: use --mode finetune, few-shot:p or full")
        save(self.trained, folder)


class TTMBlend(TTM):
    """Views of the same weights, blended by back-test on each context: `harness_ttm.blend`."""

    def __init__(self, weights: str | None = None, runtime: str = "auto", device: str = "cpu") -> None:
        from harness_ttm.blend import BlendForecaster

        super().__init__(weights, runtime, device=device)
        if not self.config.season_fold:
            raise ValueError(f"weights={weights} holds a point model; ttm-blend wants weights of a season-fold model")
        self.forecaster = BlendForecaster(self.forecaster)
        self.forecaster.notes = self.notes

    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> TTM:
        """Raise `Unsupported`: the blend is of weights as they are."""
        del train, budget, seed, mode
        raise Unsupported("the blend has no mode with training; train ttm, and blend what was saved: -M ttm-blend:weights=FOLDER")


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given: not None, and no empty text."""
    return {k: v for k, v in options.items() if v is not None and v != ""}


def config_file(folder: Path) -> Path:
    """The folder's config.json.

    Raises:
        ValueError: there is none, or it is no JSON.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"weights={folder} has no config.json; wanted a folder with config.json and model.safetensors")
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); wanted the config.json that was saved with the weights") from None
    return path
