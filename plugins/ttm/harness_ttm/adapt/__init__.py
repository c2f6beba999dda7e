"""Adapting a network to data: fine-tuning on a task's training part, and test-time training on each window's own context. Needs torch.

- `finetune(model, train, budget, seed, Settings(mode=…, part=…))`: modes full, finetune, few-shot.
- `TTTForecaster(model, config, part=…, steps=…, lr=…)`: mode ttt; `predict(batch)`.
- `harness_ttm.part` says which parameters are trained, `harness_ttm.adapt.lora` has the low-rank factors and their files.
"""

from __future__ import annotations

from harness_ttm.adapt import lora
from harness_ttm.adapt.finetune import Finetuned, finetune
from harness_ttm.adapt.gate import WEIGHTS
from harness_ttm.adapt.parts import choose, linear_names, weights_digest
from harness_ttm.adapt.problem import PointProblem, SeasonProblem
from harness_ttm.adapt.rate import LearningRate, lr_find
from harness_ttm.adapt.settings import Settings
from harness_ttm.adapt.ttt import Adapted, TTTForecaster
from harness_ttm.adapt.windows import Augmentation
from harness_ttm.part import LINEARS, Part, parse_part

__all__ = [
    "LINEARS",
    "WEIGHTS",
    "Adapted",
    "Augmentation",
    "Finetuned",
    "LearningRate",
    "Part",
    "PointProblem",
    "SeasonProblem",
    "Settings",
    "TTTForecaster",
    "choose",
    "finetune",
    "linear_names",
    "lora",
    "lr_find",
    "parse_part",
    "weights_digest",
]
