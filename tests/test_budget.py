"""Costs beyond the limits are refused with the predicted number, before any work."""

import numpy as np
import pytest

from toylab import BudgetError, ConfigError, SuperpositionConfig, grid, superposition, sweep
from toylab.budget import Cost, available_bytes, require_within_budget


def refused(cost):
    with pytest.raises(BudgetError) as caught:
        require_within_budget(cost, "n=3")
    return str(caught.value)


def test_texts_name_the_prediction_the_limit_and_the_way_out(monkeypatch):
    monkeypatch.setenv("TOYLAB_MAX_GB", "2")
    monkeypatch.setenv("TOYLAB_MAX_HOURS", "0.5")
    assert refused(Cost(3e9, 0)) == (
        "n=3: would need about 3 GB of memory, more than the limit of 2 GB; reduce it, "
        "or set TOYLAB_MAX_GB"
    )
    assert refused(Cost(0, 1e5)) == (
        "n=3: would take about 1e+05 seconds, more than the limit of 1800; reduce it, "
        "or set TOYLAB_MAX_HOURS"
    )
    require_within_budget(Cost(1.9e9, 1799), "n=3")


@pytest.mark.parametrize("text", ["-1", "0", "many", "nan"])
def test_a_bad_limit_is_refused(monkeypatch, text):
    monkeypatch.setenv("TOYLAB_MAX_GB", text)
    with pytest.raises(ConfigError) as caught:
        require_within_budget(Cost(0, 0), "x")
    assert str(caught.value) == f"TOYLAB_MAX_GB={text!r}: must be a positive number"


def test_available_memory_is_positive_and_finite():
    assert 1e6 < available_bytes() < 1e15


def test_endless_training_is_refused_with_its_seconds():
    config = SuperpositionConfig(n_steps=2**31 - 1)
    with pytest.raises(BudgetError, match=r"would take about .* seconds"):
        superposition.run(config, 0)


def test_huge_records_are_refused_with_their_gigabytes(monkeypatch):
    monkeypatch.setenv("TOYLAB_MAX_GB", "4")
    config = SuperpositionConfig(n_features=4096, n_hidden=4096, n_steps=1000)
    with pytest.raises(BudgetError, match=r"would need about .* GB"):
        superposition.run(config, 0, n_records=1000)


def test_a_sweep_adds_its_cells_up(monkeypatch):
    monkeypatch.setenv("TOYLAB_MAX_HOURS", "0.01")
    configs = grid(SuperpositionConfig(n_steps=10_000), sparsity=list(np.linspace(0, 0.9, 100)))
    with pytest.raises(BudgetError, match="a sweep of 100 cells: would take about"):
        sweep(superposition.run, configs, 0)
