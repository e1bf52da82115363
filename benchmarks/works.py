"""The trainings that both sides are given: sizes, densities and importances, in numpy alone.

Densities and importances are those of the public reproductions of Elhage et al. 2022, "Toy Models
of Superposition" (arXiv 2209.10652): `20^-linspace(0, 1, k)`, importance `0.9^i` for 5 features in
2 dimensions, `0.7^i` for 20 in 5, and 1 for 200 in 20.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Work(NamedTuple):
    """One training of several densities.

    Attributes:
        name: "5-2", "20-5" or "200-20".
        n_features: number of features, n.
        n_hidden: hidden dimensions, m.
        n_densities: number of models, one a density from 1 down to 1/20.
        importance_decay: importance of feature i is importance_decay**i.
    """

    name: str
    n_features: int
    n_hidden: int
    n_densities: int
    importance_decay: float

    @property
    def densities(self) -> np.ndarray:
        """P(feature is active) of each model, [n_densities], 1 to 0.05."""
        return 20.0 ** -np.linspace(0.0, 1.0, self.n_densities)

    @property
    def importances(self) -> np.ndarray:
        """Weight of each feature in the loss, [n_features]."""
        return self.importance_decay ** np.arange(self.n_features)


WORKS = {
    work.name: work
    for work in (
        Work("5-2", n_features=5, n_hidden=2, n_densities=10, importance_decay=0.9),
        Work("20-5", n_features=20, n_hidden=5, n_densities=10, importance_decay=0.7),
        Work("200-20", n_features=200, n_hidden=20, n_densities=20, importance_decay=1.0),
    )
}
