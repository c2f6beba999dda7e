"""Tiny checkpoints with random weights, by the library's own classes, in the layout of each version."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

SMALL = {"embed_dim": 16, "nlayers": 1, "dist_embed_num_blocks": 1, "dist_embed_num_heads": 2, "dist_embed_num_inducing_points": 8}
SMALL |= {"feat_agg_num_blocks": 1, "feat_agg_num_heads": 2, "feat_agg_num_cls_tokens": 2, "icl_num_heads": 2, "decoder_head_dim": 8}
SIZES: dict[str, dict[str, int]] = {
    # 0 classes: a regressor. -1 would be taken for a number of classes.
    "tabpfn_v2": {"max_num_classes": 0, "emsize": 24, "nlayers": 2, "nhead": 2},
    "tabpfn_v3": {"max_num_classes": 0, "decoder_num_heads": 2, **SMALL},
    "tabpfn_v3_5": {"max_num_classes": 10, "decoder_num_heads": 2, **SMALL},
}
BARS = 100


def checkpoint(architecture: str, path: Path) -> Path:
    """A checkpoint with random weights and bars from -4 to 4 standard deviations, in the layout of its version."""
    import harness_tabpfn_ts.network  # noqa: F401  (sets the library's environment before it is imported)
    import torch
    from tabpfn.architectures import ARCHITECTURES
    from tabpfn.architectures.shared.bar_distribution import FullSupportBarDistribution
    from tabpfn.checkpoint import save_as_safetensors
    from tabpfn.constants import ModelVersion
    from tabpfn.inference_config import InferenceConfig

    kind = ARCHITECTURES[architecture]
    config, unknown = kind.parse_config({**SIZES[architecture], "num_buckets": BARS})
    assert not unknown
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind.get_architecture(config)
        with torch.no_grad():  # as it begins, its blocks add nothing, and the answer would not depend on the table
            for weight in network.parameters():
                weight.add_(torch.randn_like(weight) * 0.05)
    state = dict(network.state_dict())
    borders = torch.cat([torch.tensor([-100.0]), torch.linspace(-4, 4, BARS - 1), torch.tensor([100.0])])
    whole: dict[str, Any] = {"state_dict": state, "config": asdict(config)}
    if architecture == "tabpfn_v2":
        state |= {f"criterion.{k}": v for k, v in FullSupportBarDistribution(borders).state_dict().items()}
    else:
        state |= {k: borders for k in state if k.endswith("regression_borders")}
        later = InferenceConfig.get_default("regression", ModelVersion.V2_5)
        whole |= {"architecture_name": architecture, "inference_config": asdict(later)}
    (save_as_safetensors if path.suffix == ".safetensors" else torch.save)(whole, path)
    return path
