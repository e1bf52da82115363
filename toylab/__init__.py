"""toylab: a laboratory of toy models for mechanistic interpretability.

    config ──check()──▶ run(config, key) ──▶ Result ──▶ figure(result)
       └── grid(config, **axes) ──▶ sweep(run, configs, key) ──▶ Result with leading axes

Importing this package loads neither matplotlib nor streamlit; figures are in `toylab.figures`.
"""

from toylab.analysis.certificate import Certificate, certify_accuracy
from toylab.analysis.fourier import fourier_basis
from toylab.analysis.logit_spectrum import key_frequencies
from toylab.analysis.progress_measures import excluded_loss, restricted_loss
from toylab.analysis.superposition import feature_dimensionality, interference, welch_bound
from toylab.errors import BudgetError, ConfigError, DivergedError, FormatError
from toylab.experiments import modular, superposition
from toylab.experiments.modular import ModularConfig, ModularResult
from toylab.experiments.storage import load, save
from toylab.experiments.superposition import (
    SuperpositionConfig,
    SuperpositionResult,
    expected_loss,
    sample_features,
)
from toylab.training.grid import Grid, grid
from toylab.training.sweep import cell_key, sweep

__all__ = [
    "BudgetError",
    "Certificate",
    "ConfigError",
    "DivergedError",
    "FormatError",
    "Grid",
    "ModularConfig",
    "ModularResult",
    "SuperpositionConfig",
    "SuperpositionResult",
    "cell_key",
    "certify_accuracy",
    "excluded_loss",
    "expected_loss",
    "feature_dimensionality",
    "fourier_basis",
    "grid",
    "interference",
    "key_frequencies",
    "load",
    "modular",
    "restricted_loss",
    "sample_features",
    "save",
    "superposition",
    "sweep",
    "welch_bound",
]
