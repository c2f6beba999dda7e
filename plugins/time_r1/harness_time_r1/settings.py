"""How the forecaster asks: parameters of the model `time-r1`, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from harness import UsageError
from harness.parameters import choice, positive, truth, whole

__all__ = ["Settings"]

NAME = "time-r1"


@dataclass(frozen=True)
class Settings:
    """See README.md of the plugin, where each is described."""

    samples: int = 5  # answers for each window
    temperature: float = 0.6
    top_p: float = 0.7
    max_tokens: int = 4096  # of an answer, its reasoning included
    context: int = 96  # steps of look-back, at most
    timestamps: str = "shown"  # "shown" | "relative" | "hidden"
    digits: int = 4  # significant digits of the spread of a context
    executor: str = "single"  # "single" | "slow"
    iterations: int = 2  # of "slow", at most
    retries: int = 0  # how often an answer that is no forecast is asked for again
    long_answers: str = "reject"  # "reject" | "cut" to the horizon
    named: bool = True  # whether the prompt names dataset and domain
    dataset: str = ""  # a description instead of the task's own name
    channel: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: says which parameter, what it got, what was wanted.
        """
        for name, most in (("samples", 1000), ("max_tokens", 1_000_000), ("context", 100_000), ("iterations", 20)):
            whole(NAME, name, getattr(self, name), 1, most)
        whole(NAME, "digits", self.digits, 1, 9)
        whole(NAME, "retries", self.retries, 0, 20)
        choice(NAME, "timestamps", self.timestamps, ("shown", "relative", "hidden"))
        choice(NAME, "executor", self.executor, ("single", "slow"))
        choice(NAME, "long_answers", self.long_answers, ("reject", "cut"))
        truth(NAME, "named", self.named)
        positive(NAME, "top_p", self.top_p, 1)
        if self.temperature != 0:
            positive(NAME, "temperature", self.temperature, 10)
        for name in ("dataset", "channel", "unit"):
            if not isinstance(getattr(self, name), str):
                raise UsageError(f"{NAME}: {name} got {getattr(self, name)!r}; wanted a text")
        if self.temperature == 0 and self.samples > 1:
            raise UsageError(
                f"{NAME}: got temperature 0 and samples {self.samples}: all answers to a window would be the same; wanted samples=1, "
                "or a temperature above 0"
            )

    def asked(self) -> dict[str, object]:
        """What decides the text of a prompt, for whoever is to ask in the same way; of `named` and the texts what is not the default."""
        always = {"context": self.context, "timestamps": self.timestamps, "digits": self.digits}
        others = {name: getattr(self, name) for name in ("named", "dataset", "channel", "unit")}
        return {**always, **{name: value for name, value in others.items() if value != getattr(Settings, name)}}

    @property
    def accepted(self) -> frozenset[str]:
        """The kinds of answers (`parser.KINDS`) that count as a forecast."""
        return frozenset({"ok", "long"} if self.long_answers == "cut" else {"ok"})
