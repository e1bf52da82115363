"""Models to look at."""

from __future__ import annotations

import pytest

from toylab.experiments import superposition
from toylab.experiments.superposition import SuperpositionConfig
from toylab.pages.superposition_model import View, view_of


def _solved(n_starts: int = 2, **fields: object) -> View:
    config = SuperpositionConfig(**fields)  # type: ignore[arg-type]
    return view_of(superposition.solve(config, 3, n_starts=n_starts), 3)


@pytest.fixture(scope="session")
def pentagon() -> View:
    """Five features in two dimensions, all kept."""
    return _solved()


@pytest.fixture(scope="session")
def square() -> View:
    """Five features in two dimensions, of unequal importance, one of them dropped."""
    return _solved(sparsity=0.7, importance_decay=0.9)


@pytest.fixture(scope="session")
def solid() -> View:
    """Six features in three dimensions."""
    return _solved(n_features=6, n_hidden=3)


@pytest.fixture(scope="session")
def sampled() -> View:
    """Ten features in four dimensions, trained on samples."""
    config = SuperpositionConfig(n_features=10, n_hidden=4, n_steps=300, importance_decay=0.9)
    return view_of(superposition.run(config, 3, n_starts=2), 3)
