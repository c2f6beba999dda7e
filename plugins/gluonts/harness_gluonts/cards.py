"""The models of `gluonts.torch` and the parameters that each takes. Imports nothing heavy.

A parameter that is not given is what suits the data (`settings`), or the library's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CARDS", "OWN", "SET_BY_US", "Card"]

OWN: Mapping[str, Any] = {"max_epochs": 100, "validation": True, "use_covariates": True, "weights": "", "device": "cpu"}
"""Parameters of every model here that are not the estimator's, with their defaults."""

SET_BY_US = frozenset(
    {
        "freq", "prediction_length", "num_feat_dynamic_real", "dynamic_dims", "past_dynamic_dims",  # from the data
        "trainer_kwargs", "epochs",  # from the budget
        # No static or categorical feature is ever sent, and objects of the library cannot be written on a command line.
        "num_feat_static_cat", "num_feat_static_real", "use_feat_static_cat", "cardinality", "embedding_dimension", "static_dims",
        "static_cardinalities", "dynamic_cardinalities", "past_dynamic_cardinalities", "time_features", "imputation_method",
        "train_sampler", "validation_sampler", "cache_data",
    }
)  # fmt: skip
"""Parameters of estimators that nobody sets by name."""

LOOP = ("lr", "batch_size", "num_batches_per_epoch")
DECAY = ("weight_decay",)
TRANSFORMER = ("d_model", "nhead", "dim_feedforward", "dropout", "activation", "norm_first", "num_encoder_layers")


@dataclass(frozen=True)
class Card:
    """One model.

    Attributes:
        estimator: the class in `gluonts.torch`.
        parameters: names of the estimator's that may be set.
        output: what its forecasts are to the harness: samples, or quantiles (of a distribution, or the levels that it learnt).
        whole: it is told how far a window is from the start of its series, so contexts are not cut.
    """

    name: str
    estimator: str
    summary: str
    parameters: tuple[str, ...]
    output: str = "quantiles"
    org: str = ""
    url: str = ""
    covariates: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda")
    whole: bool = False
    exceptions: Mapping[str, str] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """Every parameter with its default; None is what suits the data, or the library's."""
        return {**dict.fromkeys(self.parameters), **OWN}


CARDS = (
    Card(
        "deepar",
        "DeepAREstimator",
        "DeepAR: a recurrent network that draws sample paths",
        ("context_length", "num_layers", "hidden_size", "dropout_rate", "patience", "distr_output", "scaling", "default_scale", "lags_seq",
         "num_parallel_samples", "nonnegative_pred_samples", *LOOP, *DECAY),
        output="samples",
        org="Amazon",
        url="https://arxiv.org/abs/1704.04110",
        covariates=("known",),
        whole=True,
    ),
    Card(
        "tft",
        "TemporalFusionTransformerEstimator",
        "Temporal Fusion Transformer: learns the quantiles at the task's levels",
        ("context_length", "quantiles", "num_heads", "hidden_dim", "variable_dim", "dropout_rate", "patience", *LOOP, *DECAY),
        org="Google",
        url="https://arxiv.org/abs/1912.09363",
        covariates=("past", "known"),
        exceptions={"crossings": "its levels are learnt one by one and may cross; a run sorts those that do, and counts them"},
    ),
    Card(
        "gluonts-patchtst",
        "PatchTSTEstimator",
        "PatchTST as gluonts has it, with a distribution as its output",
        ("patch_len", "context_length", "stride", "padding_patch", "scaling", "distr_output", *TRANSFORMER, *LOOP, *DECAY),
        org="Princeton University, IBM Research",
        url="https://arxiv.org/abs/2211.14730",
        covariates=("known",),
    ),
    Card(
        "dlinear",
        "DLinearEstimator",
        "DLinear: linear maps of trend and rest, with a distribution as its output",
        ("context_length", "hidden_dimension", "scaling", "distr_output", "kernel_size", *LOOP, *DECAY),
        org="The Chinese University of Hong Kong",
        url="https://arxiv.org/abs/2205.13504",
    ),
    Card(
        "tide",
        "TiDEEstimator",
        "TiDE: a dense encoder and decoder over the context and the calendar",
        ("context_length", "feat_proj_hidden_dim", "encoder_hidden_dim", "decoder_hidden_dim", "temporal_hidden_dim", "distr_hidden_dim",
         "num_layers_encoder", "num_layers_decoder", "decoder_output_dim", "dropout_rate", "num_feat_dynamic_proj", "layer_norm",
         "patience", "scaling", "distr_output", *LOOP, *DECAY),
        org="Google",
        url="https://arxiv.org/abs/2304.08424",
        covariates=("known",),
    ),
    Card(
        "simple-feedforward",
        "SimpleFeedForwardEstimator",
        "a feed-forward network of the context, with a distribution as its output",
        ("context_length", "hidden_dimensions", "distr_output", "batch_norm", *LOOP, *DECAY),
        org="Amazon",
        url="https://ts.gluon.ai",
    ),
    Card(
        "wavenet",
        "WaveNetEstimator",
        "WaveNet: dilated convolutions that draw binned values step by step",
        ("num_bins", "num_residual_channels", "num_skip_channels", "dilation_depth", "num_stacks", "temperature", "seasonality",
         "use_log_scale_feature", "num_parallel_samples", "negative_data", *LOOP, *DECAY),
        output="samples",
        org="DeepMind, Amazon",
        url="https://arxiv.org/abs/1609.03499",
        covariates=("known",),
        whole=True,
    ),
    Card(
        "deepnpts",
        "DeepNPTSEstimator",
        "DeepNPTS: learns how to weigh the values of the context, and draws from them",
        ("context_length", "num_hidden_nodes", "batch_norm", "input_scaling", "dropout_rate", "network_type", "loss_scaling", *LOOP),
        output="samples",
        org="Amazon",
        url="https://arxiv.org/abs/2312.14657",
        covariates=("known",),
        devices=("cpu",),  # its training loop leaves the network where it is made
        whole=True,
    ),
    Card(
        "lagtst",
        "LagTSTEstimator",
        "a Transformer over lagged values, with a distribution as its output",
        ("context_length", "lags_seq", "scaling", "distr_output", *TRANSFORMER, *LOOP, *DECAY),
        org="Amazon",
        url="https://ts.gluon.ai",
    ),
)  # fmt: skip
