"""The registered models: which network they load, and what they do in each mode. Imports neither torch nor onnxruntime."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from harness import Batch, Forecast, Unsupported, UsageError
from harness.budget import parse_budget
from harness.files import expanded
from harness.parameters import check_device, whole
from harness_ttm.config import TTMConfig, read_config
from harness_ttm.part import is_rate, parse_part
from harness_ttm.shipped import SHIPPED, needs_torch

if TYPE_CHECKING:
    from harness_ttm.adapt import Finetuned
    from harness_ttm.forecaster import SeasonForecaster
    from harness_ttm.published import PublishedTTM
    from harness_ttm.season_head import SeasonTTM

__all__ = ["TTM", "TTMBlend", "TTMRelease"]


class Forecaster(Protocol):
    """What forecasts for a model."""

    notes: dict[str, Any]

    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H]."""
        ...


class Loaded:
    """A model of some weights. `notes` is what the harness keeps beside each result, and clears between them."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.forecaster: Forecaster
        self.ran_on = ""  # what runs the network, as in "onnxruntime 1.32.0"

    def use(self, forecaster: Forecaster, ran_on: str) -> None:
        """Forecast with this from now on; it notes what it does in the model's own notes."""
        forecaster.notes = self.notes
        self.forecaster, self.ran_on = forecaster, ran_on

    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] in the unit of the context."""
        forecast = self.forecaster.predict(batch)
        self.notes["runtime"] = self.ran_on
        return forecast

    def load_season(self, weights: str | None, runtime: str, device: str) -> SeasonForecaster:
        """Take up season-fold weights."""
        from harness_ttm.forecaster import SeasonForecaster
        from harness_ttm.runtime import choose_network

        folder = folder_of(weights)
        config = read_config(folder)
        check_device("ttm", device)
        if not config.season_fold:
            raise UsageError(f"weights={weights} is a published release, a point model; wanted weights of harness train, or model ttm-r2")
        network, ran_on = choose_network(folder, runtime, device)
        forecaster = SeasonForecaster(network, config)
        self.use(forecaster, ran_on)
        return forecaster


class Trained(Loaded):
    """What is trained in modes with training, and how.

    Args:
        part: head, decoder, bias, lora:r, all; "" is the mode's default.
        learning_rate: at its peak; "auto" looks for one, None is the mode's default.
        steps: of test-time training for each window; None is its default.
        device: cpu, cuda or cuda:N.

    Raises:
        UsageError: a value that makes no sense, in whichever mode.
    """

    def __init__(self, part: str, learning_rate: float | str | None, steps: int | None, device: str) -> None:
        super().__init__()
        if not isinstance(part, str):
            raise UsageError(f"got part {part!r}; wanted head, decoder, bias, all, or lora:RANK as in lora:4")
        if part:
            parse_part(part)
        if learning_rate not in (None, "auto") and not is_rate(learning_rate):
            raise UsageError(f"got learning_rate {learning_rate!r}; wanted a number above 0, as in 0.001, or auto")
        if steps is not None:
            whole("ttm", "steps", steps)
        self.part, self.learning_rate, self.steps, self.device = part, learning_rate, steps, check_device("ttm", device)
        self.trained: Finetuned | None = None

    def copy(self) -> Self:
        """The same model with notes of its own, to be trained."""
        made = copy.copy(self)
        made.notes, made.trained = {}, None
        return made

    def tune(self, model: Any, train: Batch, budget: str, seed: int, mode: str) -> Any:
        """A network trained from another one's weights, or from nothing; see `harness_ttm.adapt.finetune`."""
        from harness_ttm import adapt
        from harness_ttm.chunks import on_device

        settings = adapt.Settings(mode=mode, part=self.part, learning_rate=self.learning_rate)
        result = adapt.finetune(on_device(model, self.device), train, budget, seed, settings)
        self.trained = result
        self.notes |= {**result.notes, "trained by": torch_version(self.device)}
        return result.model

    def tune_release(self, release: PublishedTTM, train: Batch, budget: str, seed: int, mode: str) -> PublishedTTM:
        """A published release whose network that suits the horizon is trained, taken into use.

        Raises:
            Unsupported: mode `ttt`.
        """
        if mode == "ttt":
            raise Unsupported("test-time training is for season-fold weights; published releases have finetune, few-shot:p and full")
        tuned = release.with_network(self.tune(release.network_for(train), train, budget, seed, mode))
        self.use(tuned, self.ran_on)
        return tuned

    def save(self, folder: Path) -> None:
        """Write the adapted weights as config.json and model.safetensors, which `weights=` takes; low-rank factors beside them, in a folder
        `adapter`, which `adapter=` takes.

        Raises:
            Unsupported: nothing was trained that could be kept.
        """
        if self.trained is None:
            raise Unsupported("nothing was trained that can be kept; weights are saved in the modes finetune, few-shot:p and full")
        from harness_ttm.weights import save

        save(self.trained.model, folder)
        if self.trained.adapter is not None:
            from harness_ttm.adapt import lora

            lora.save(self.trained.adapter, folder / "adapter")


class TTM(Trained):
    """The season-fold TinyTimeMixer, zero-shot or adapted: `harness_ttm.forecaster`, `harness_ttm.adapt`.

    Args:
        weights: a folder with config.json and model.safetensors; None is the shipped model. The folder of a published release is
            forecast with as ttm-r1 and ttm-r2 do.
        runtime: auto, torch or onnx: `harness_ttm.runtime`.
        adapter: a folder with low-rank factors that `save` or peft wrote for these weights; they are merged into them.
        part, learning_rate, steps, device: see `Trained`.
    """

    def __init__(
        self,
        weights: str | None = None,
        runtime: str = "auto",
        adapter: str | None = None,
        part: str = "",
        learning_rate: float | str | None = None,
        steps: int | None = None,
        device: str = "cpu",
    ) -> None:
        super().__init__(part, learning_rate, steps, device)
        self.folder, self.adapter = folder_of(weights), adapter
        self.release: PublishedTTM | None = None
        season = read_config(self.folder).season_fold
        check_runtime(runtime, device, torch_alone=not season or adapter is not None)
        if not season:
            if adapter is not None:
                raise UsageError(f"got adapter={adapter} with a published release; wanted season-fold weights")
            self.release = published(str(self.folder), device=device)
            self.use(self.release, torch_version(device))
        elif adapter is None:
            self.load_season(weights, runtime, device)
        else:
            needs_torch("adapter=")
            model, config = self.load()
            self.use(season_forecaster(model, config, device), torch_version(device))

    def load(self) -> tuple[SeasonTTM, TTMConfig]:
        """The season-fold network on the CPU, with the adapter in it."""
        from harness_ttm.season_head import SeasonTTM
        from harness_ttm.weights import load

        model, config = load(self.folder, SeasonTTM)
        if self.adapter is not None:
            from harness_ttm.adapt import lora

            lora.merge(lora.load(model, expanded(self.adapter)))
        return model, config

    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> TTM:
        """A model adapted to the training part (`finetune`, `few-shot:p`), trained from nothing on it (`full`), or that adapts to each
        context (`ttt`). This one stays as it is.

        Args:
            budget: steps or a time of the training; with `ttt` steps for each window, or a time for all windows together.

        Raises:
            Unsupported: `ttt` with the weights of a published release.
        """
        needs_torch("a mode with training")
        tuned = self.copy()
        if self.release is not None:
            tuned.release = tuned.tune_release(self.release, train, budget, seed, mode)
            return tuned
        from harness_ttm import adapt
        from harness_ttm.chunks import on_device

        model, config = self.load()
        forecaster: Forecaster
        if mode == "ttt":
            if isinstance(self.learning_rate, str):
                raise UsageError(f"learning_rate is {self.learning_rate!r}; test-time training wants a number, as in learning_rate=0.001")
            limit = parse_budget(budget)
            options = {"part": self.part, "lr": self.learning_rate, "steps": limit.steps or self.steps, "time_limit": limit.seconds}
            forecaster = adapt.TTTForecaster(on_device(model, self.device), config, **given(options))
        else:
            forecaster = season_forecaster(tuned.tune(model, train, budget, seed, mode), config, self.device)
        tuned.use(forecaster, torch_version(self.device))
        return tuned


class TTMBlend(Loaded):
    """Views of the same weights, blended by back-test on each context: `harness_ttm.blend`. The parameters are those of `TTM`."""

    def __init__(self, weights: str | None = None, runtime: str = "auto", device: str = "cpu") -> None:
        from harness_ttm.blend import BlendForecaster

        super().__init__()
        plain = self.load_season(weights, runtime, device)
        levels = plain.config.quantile_levels
        if any(abs(low + high - 1) > 1e-9 for low, high in zip(levels, reversed(levels), strict=True)):
            raise UsageError(f"weights={weights} forecast the levels {list(levels)}; a blend turns signs, and so wants levels q with 1 − q")
        self.use(BlendForecaster(plain), self.ran_on)


class TTMRelease(Trained):
    """A published release, from weights of one's own: `harness_ttm.published`.

    Args:
        weights: the folder of one network, or of several.
        release: r1 or r2; what is said when weights are missing.
        context_length, padding, in_sample: see `harness_ttm.published.PublishedTTM`.
        part, learning_rate, device: see `Trained`.
    """

    def __init__(
        self,
        weights: str | None,
        release: str,
        context_length: int | None,
        padding: str,
        in_sample: int,
        part: str,
        learning_rate: float | str | None,
        device: str,
    ) -> None:
        super().__init__(part, learning_rate, None, device)
        options = {"context_length": context_length, "padding": padding, "in_sample": in_sample}
        self.release = published(weights, release=release, device=device, **options)
        self.use(self.release, torch_version(device))

    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> TTMRelease:
        """A model whose network that suits the horizon is adapted to the training part, or trained from nothing (`full`).

        Raises:
            Unsupported: mode `ttt`.
        """
        tuned = self.copy()
        tuned.release = tuned.tune_release(self.release, train, budget, seed, mode)
        return tuned


def published(weights: str | None, **options: Any) -> PublishedTTM:
    """The forecaster of a published release; `options` as for `PublishedTTM`."""
    needs_torch("a published release")
    from harness_ttm.published import PublishedTTM

    return PublishedTTM(weights, **options)


def season_forecaster(model: SeasonTTM, config: TTMConfig, device: str) -> Forecaster:
    """A season-fold network on torch as a forecaster."""
    from harness_ttm.forecaster import SeasonForecaster, torch_network

    return SeasonForecaster(torch_network(model, device), config)


def torch_version(device: str) -> str:
    """What runs a network that torch runs: "torch 2.13.0 on cuda"."""
    import torch

    return f"torch {torch.__version__}" + (f" on {device}" if device != "cpu" else "")


def check_runtime(runtime: str, device: str, torch_alone: bool) -> None:
    """Refuse a runtime that does not exist, and onnx for what torch alone runs.

    Raises:
        UsageError: says which to take.
    """
    from harness_ttm.runtime import pick_runtime

    if runtime != "auto" and pick_runtime(SHIPPED, runtime, device) == "onnx" and torch_alone:
        raise UsageError("got runtime=onnx; published releases and adapters run on torch: leave runtime out, or say runtime=torch")


def folder_of(weights: str | None) -> Path:
    """The folder that `weights=` names; the shipped one where it names none."""
    if weights is not None and not isinstance(weights, str | Path):
        raise UsageError(f"got weights {weights!r}; wanted the path of a folder with config.json and model.safetensors")
    try:
        return SHIPPED if weights is None else expanded(weights).resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise UsageError(f"got weights {weights!r}: {error}; wanted the path of a folder") from None


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given: not None, and no empty text."""
    return {k: v for k, v in options.items() if v is not None and v != ""}
