"""Models to look at."""

from __future__ import annotations

from typing import Any

import pytest

from toylab.experiments import superposition
from toylab.experiments.superposition import SuperpositionConfig
from toylab.pages.superposition_model import View, view_of


def _view(method: Any, **fields: Any) -> View:
    return view_of(method(SuperpositionConfig(**fields), 3, n_starts=2), 3)


@pytest.fixture(scope="session")
def pentagon() -> View:
    """Five features in two dimensions, all kept."""
    return _view(superposition.solve)


@pytest.fixture(scope="session")
def square() -> View:
    """Five features in two dimensions, of unequal importance, one of them dropped."""
    return _view(superposition.solve, sparsity=0.7, importance_decay=0.9)


@pytest.fixture(scope="session")
def solid() -> View:
    """Six features in three dimensions."""
    return _view(superposition.solve, n_features=6, n_hidden=3)


@pytest.fixture(scope="session")
def sampled() -> View:
    """Ten features in four dimensions, trained on samples."""
    return _view(superposition.run, n_features=10, n_hidden=4, n_steps=300, importance_decay=0.9)
