"""Season-fold weights on disk: config.json and model.safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from harness_ttm.config import TTMConfig
from harness_ttm.season_head import SeasonTTM

__all__ = ["load", "save"]


def load(folder: Path) -> SeasonTTM:
    """The network of a folder, in evaluation mode.

    Raises:
        ValueError: the weights cannot be read, or are not those of the configuration; says which differ.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    model = SeasonTTM(TTMConfig.load(folder / "config.json"))
    try:
        state = load_file(path)
        model.load_state_dict(state)
    except FileNotFoundError:
        raise ValueError(f"{folder} has no model.safetensors; wanted a folder with config.json and model.safetensors") from None
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({error}); it may be cut short: copy it again") from None
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the weights that its config.json describes: {error}") from None
    return model.eval()


def save(model: SeasonTTM, folder: Path) -> None:
    """Write config.json and model.safetensors, each whole or not at all."""
    from safetensors.torch import save as to_bytes

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    (folder / "model.safetensors.tmp").write_bytes(to_bytes(state))  # save_file would leave it unreadable for others
    (folder / "model.safetensors.tmp").replace(folder / "model.safetensors")
    text = json.dumps(model.config.to_dict(), indent=1) + "\n"
    (folder / "config.json.tmp").write_text(text, encoding="utf-8")
    (folder / "config.json.tmp").replace(folder / "config.json")
