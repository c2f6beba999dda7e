"""The parameters of the models, checked when a model is made, in whichever mode. Imports neither torch nor timesfm."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from harness import UsageError
from harness.errors import PluginError
from harness.parameters import check_device, check_gpu, choice, positive, truth, whole
from harness_timesfm.cards import INSTALL, INSTALL_XREG

__all__ = ["XREG_MODES", "Settings3", "Settings25", "needs"]

XREG_MODES = ("xreg + timesfm", "timesfm + xreg")
PARTS = "lora:RANK as in lora:8, head, layers:COUNT as in layers:4, or all"


@dataclass(frozen=True)
class Settings25:
    """What `TimesFM25` may be given; it says what each means."""

    context: int
    per_core_batch_size: int | None
    use_continuous_quantile_head: bool | None
    force_flip_invariance: bool
    normalize_inputs: bool
    infer_is_positive: bool
    fix_quantile_crossing: bool
    torch_compile: bool
    covariates: str
    ridge: float
    past: str
    part: str
    learning_rate: float | None
    steps: int
    train_context: int
    train_batch: int
    device: str

    def __post_init__(self) -> None:
        """Raises:
        UsageError: a value that makes no sense.
        """
        model = "timesfm-2.5"
        for name in ("context", "steps", "train_context", "train_batch"):
            whole(model, name, getattr(self, name))
        if self.per_core_batch_size is not None:
            whole(model, "per_core_batch_size", self.per_core_batch_size)
        for name in ("force_flip_invariance", "normalize_inputs", "infer_is_positive", "fix_quantile_crossing", "torch_compile"):
            truth(model, name, getattr(self, name))
        if self.use_continuous_quantile_head is not None:
            truth(model, "use_continuous_quantile_head", self.use_continuous_quantile_head)
        if self.covariates and self.xreg_mode not in XREG_MODES:
            raise UsageError(f"{model}: covariates got {self.covariates!r}; wanted {' or '.join(map(repr, XREG_MODES))}, or '' for none")
        if isinstance(self.ridge, bool) or not isinstance(self.ridge, int | float) or not 0 <= self.ridge < 1e12:
            raise UsageError(f"{model}: ridge got {self.ridge!r}; wanted a number of at least 0")
        if self.past not in ("", "lagged") or (self.past and not self.covariates):
            wanted = "'lagged' together with covariates=xreg+timesfm or covariates=timesfm+xreg, or '' for none"
            raise UsageError(f"{model}: past got {self.past!r} with covariates={self.covariates!r}; wanted {wanted}")
        if self.learning_rate is not None:
            positive(model, "learning_rate", self.learning_rate, 1)
        if not isinstance(self.part, str) or not re.fullmatch(r"(lora|layers):[1-9][0-9]{0,3}|head|all", self.part):
            raise UsageError(f"{model}: part got {self.part!r}; wanted {PARTS}")
        check_device(model, self.device)

    @property
    def xreg_mode(self) -> str:
        """`covariates` in the library's spelling: it may be written without spaces, which a command line finds easier."""
        return " + ".join(word.strip() for word in str(self.covariates).split("+"))


@dataclass(frozen=True)
class Settings3:
    """What `TimesFM3` may be given; it says what each means."""

    context: int
    joint: bool
    covariates: bool
    per_core_batch_size: int | None
    use_symmetric_averaging: bool
    make_positive: bool
    use_znorm: bool
    padding_mode: str
    device: str

    def __post_init__(self) -> None:
        """Raises:
        UsageError: a value that makes no sense.
        """
        model = "timesfm-3"
        whole(model, "context", self.context)
        if self.per_core_batch_size is not None:
            whole(model, "per_core_batch_size", self.per_core_batch_size)
        for name in ("joint", "covariates", "use_symmetric_averaging", "make_positive", "use_znorm"):
            truth(model, name, getattr(self, name))
        choice(model, "padding_mode", self.padding_mode, ("none", "edge"))
        check_device(model, self.device)


def needs(model: str, *, xreg: bool = False, device: str = "cpu") -> None:
    """Say what must be installed, before weights are read.

    Raises:
        PluginError: a package is missing; says what to type.
        UsageError: torch sees no GPU.
    """
    wanted = {"torch": INSTALL, "timesfm": INSTALL} | ({"jax": INSTALL_XREG, "sklearn": INSTALL_XREG} if xreg else {})
    for package, line in wanted.items():
        if importlib.util.find_spec(package) is None:
            what = f"{model} with covariates=" if line == INSTALL_XREG else model
            raise PluginError(f"{what} needs the package {package!r}, which is not installed. Type: {line}")
    check_gpu(model, device)
