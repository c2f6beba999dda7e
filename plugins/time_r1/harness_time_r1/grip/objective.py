"""The objective of GRIP as one formula, for checks and for reading; `harness_time_r1.grip.trainer` has trl compute the same.

Axes: G answers of one prompt, L tokens of an answer, padded; `mask` [G, L] is 1 where there is a token.

    J = Σ_i w_i · mean_t min(r·A_i, clip(r, 1 − ε, 1 + ε)·A_i) − β · 1/G Σ_i mean_t (e^d − d − 1)

with r = π/π_old of a token, d = log π_ref − log π, A_i the advantage and w_i the weight of an answer, Σ w = 1. Weights do not touch the
distance to the reference: it holds all answers alike. With w = 1/G this is GRPO.
"""

from __future__ import annotations

from typing import Any

__all__ = ["clipped", "distance", "loss"]


def clipped(logp: Any, old: Any, advantage: Any, epsilon: float = 0.2) -> Any:
    """What a token gains: min(r·A, clip(r, 1 − ε, 1 + ε)·A). Tensors of one shape, or such that broadcast."""
    ratio = (logp - old).exp()
    return (ratio * advantage).minimum(ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def distance(logp: Any, reference: Any) -> Any:
    """The k3 estimate of KL(π‖π_ref) at a token: e^d − d − 1, d = log π_ref − log π; never below 0."""
    apart = reference - logp
    return apart.exp() - apart - 1


def loss(logp: Any, old: Any, reference: Any, mask: Any, advantages: Any, weights: Any, *, epsilon: float = 0.2, beta: float = 0.04) -> Any:
    """−J, a scalar tensor.

    Args:
        logp, old, reference: [G, L] log-probabilities of the tokens under the policy, the one that drew them, the reference.
        mask: [G, L]. A row without a token counts 0.
        advantages, weights: [G], see `harness_time_r1.grip.sampling`.
    """
    count = mask.sum(-1).clamp(min=1)
    gain = (clipped(logp, old, advantages[:, None], epsilon) * mask).sum(-1) / count  # [G]
    apart = (distance(logp, reference) * mask).sum(-1) / count  # [G]
    return beta * apart.mean() - (weights * gain).sum()
