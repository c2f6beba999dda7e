"""Small networks of the three kinds with random weights, by the library's own classes and written as it writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from chronos.chronos2 import Chronos2Model
from chronos.chronos2.config import Chronos2CoreConfig
from chronos.chronos_bolt import ChronosBoltModelForForecasting

DECILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
LEVELS = [0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99]


def grown(network: Any, folder: Path) -> Path:
    """Weights far from a new network's, whose forecasts all look alike, in a folder that the library writes."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for name, value in network.named_parameters():
            torch.nn.init.normal_(value, std=0.3) if value.ndim > 1 else torch.nn.init.normal_(value, mean=float("norm" in name), std=0.1)
    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(folder)
    return folder


def t5_folder(folder: Path) -> Path:
    options = {
        "tokenizer_class": "MeanScaleUniformBins", "tokenizer_kwargs": {"low_limit": -15.0, "high_limit": 15.0}, "n_tokens": 64,
        "n_special_tokens": 2, "pad_token_id": 0, "eos_token_id": 1, "use_eos_token": True, "model_type": "seq2seq", "context_length": 512,
        "prediction_length": 64, "num_samples": 20, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    }  # fmt: skip
    config = transformers.T5Config(
        vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_decoder_layers=1, num_heads=2, feed_forward_proj="relu",
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    config.chronos_config, config.chronos_pipeline_class = options, "ChronosPipeline"
    return grown(transformers.T5ForConditionalGeneration(config), folder)


def bolt_folder(folder: Path) -> Path:
    options = {"context_length": 2048, "prediction_length": 64, "quantiles": DECILES, "use_reg_token": True}
    config = transformers.T5Config(
        vocab_size=2, d_model=16, d_kv=4, d_ff=16, num_layers=2, num_decoder_layers=2, num_heads=4, feed_forward_proj="relu",
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, reg_token_id=1,
    )  # fmt: skip
    config.chronos_config = options | {"input_patch_size": 16, "input_patch_stride": 16}
    config.chronos_pipeline_class, config.architectures = "ChronosBoltPipeline", ["ChronosBoltModelForForecasting"]
    return grown(ChronosBoltModelForForecasting(config), folder)


def second_folder(folder: Path) -> Path:
    config = Chronos2CoreConfig(d_model=16, d_kv=4, d_ff=16, num_layers=2, num_heads=4, reg_token_id=1)
    config.chronos_config = {
        "context_length": 8192, "input_patch_size": 16, "input_patch_stride": 16, "output_patch_size": 16, "max_output_patches": 64,
        "quantiles": LEVELS, "time_encoding_scale": 8192, "use_arcsinh": True, "use_reg_token": True,
    }  # fmt: skip
    config.chronos_pipeline_class, config.architectures = "Chronos2Pipeline", ["Chronos2Model"]
    return grown(Chronos2Model(config), folder)
