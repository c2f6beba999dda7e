"""What a user may set of the event model, and the shape that follows where nothing is set. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from harness import UsageError
from harness.parameters import check_device, positive, truth, whole
from harness_patchtst.parameters import Shape

__all__ = ["NAME", "EventSettings", "event_shape"]

NAME = "patchtst_event"
USUAL_CONTEXT, MOST_CONTEXT = 80, 1024
"""Steps that are seen where neither the user nor the task says, and at most."""
PATCHES = 9
"""About so many patches, each half over the next: work grows with patches times channels."""


@dataclass(frozen=True)
class EventSettings:
    """The parameters of the model; `PatchTSTEvent` describes them."""

    weights: str | None
    context_length: int | None
    patch_length: int | None
    patch_stride: int | None
    d_model: int
    layers: int
    heads: int
    dropout: float
    learning_rate: float
    batch_size: int
    max_steps: int
    patience: int
    covariates: bool
    gate: bool
    device: str

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UsageError: says which, what was got, what was wanted.
        """
        if self.weights is not None and not isinstance(self.weights, str):
            raise UsageError(f"{NAME}: weights got {self.weights!r}; wanted the path of a folder that a trained model was saved to")
        for name, least in (("context_length", 4), ("patch_length", 2), ("patch_stride", 1)):
            if getattr(self, name) is not None:
                whole(NAME, name, getattr(self, name), least, MOST_CONTEXT)
        for name in ("d_model", "layers", "heads", "batch_size", "max_steps", "patience"):
            whole(NAME, name, getattr(self, name))
        if self.d_model % self.heads or self.d_model % 2:
            raise UsageError(f"{NAME}: d_model got {self.d_model} with {self.heads} heads; wanted an even multiple of the number of heads")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise UsageError(f"{NAME}: dropout got {self.dropout!r}; wanted a number from 0 up to 1, without 1 itself")
        positive(NAME, "learning_rate", self.learning_rate, 1)
        for name in ("covariates", "gate"):
            truth(NAME, name, getattr(self, name))
        check_device(NAME, self.device)


def event_shape(settings: EventSettings, limit: int) -> Shape:
    """What the network sees: the context that is set, else that of the task (`limit`, 0 = it has none), else 80 steps.

    Raises:
        UsageError: patches that leave steps out, or are longer than the context.

    >>> from harness_patchtst.event_model import PatchTSTEvent
    >>> event_shape(PatchTSTEvent().settings, 256)
    Shape(context=256, patch=50, stride=25)
    """
    context = settings.context_length or min(limit or USUAL_CONTEXT, MOST_CONTEXT)
    stride = settings.patch_stride or (max(1, settings.patch_length // 2) if settings.patch_length else max(1, context // (PATCHES + 1)))
    patch = settings.patch_length or min(2 * stride, context - 1)
    if patch >= context or stride > patch:
        raise UsageError(
            f"{NAME}: a context of {context} steps, patches of {patch} every {stride}; wanted patches shorter than the context and no "
            f"step between them: set patch_length and patch_stride, or leave both out"
        )
    return Shape(context, patch, stride)
