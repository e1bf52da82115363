"""Grids refuse what would silently compute the wrong cells."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from toylab import BudgetError, ConfigError, SuperpositionConfig, grid

CONFIG = SuperpositionConfig()


def test_cells_are_row_major():
    g = grid(CONFIG, n_hidden=[1, 2, 3], sparsity=[0.5, 0.9])
    assert g.shape == (3, 2)
    assert [(c.n_hidden, c.sparsity) for c in g.configs] == [
        (1, 0.5),
        (1, 0.9),
        (2, 0.5),
        (2, 0.9),
        (3, 0.5),
        (3, 0.9),
    ]


def test_arrays_ranges_and_aliases_are_axes():
    g = grid(CONFIG, density=np.array([0.5, 0.25]), n_features=range(2, 5))
    assert g.shape == (2, 3)
    assert g.configs[-1].sparsity == 0.75
    pairs = grid(CONFIG.replace(n_features=2), importance=[[1, 0.5], (1, 2)])
    assert [c.importance for c in pairs.configs] == [(1, 0.5), (1, 2)]


def test_json_names_the_axes():
    g = grid(CONFIG, sparsity=[0.5, 0.9])
    assert json.loads(g.to_json())["axes"] == [["sparsity", [0.5, 0.9]]]


@pytest.mark.parametrize(
    ("axes", "text"),
    [
        ({}, "grid: no axis is given; give a field several values, as in n_steps=[100, 200]"),
        ({"sparsity": []}, "sparsity=[]: axis 'sparsity' is empty"),
        (
            {"sparsity": [0.1, 0.5, 0.1]},
            "sparsity: values 0.1 and 0.1 are the same cell (numbers are stored as float32)",
        ),
        (
            {"sparsity": [0.1, 0.100000000001]},
            "sparsity: values 0.1 and 0.100000000001 are the same cell "
            "(numbers are stored as float32)",
        ),
        ({"sparsity": [0.1, float("nan")]}, "sparsity=nan: must be finite and in [0, 1)"),
        ({"sparsity": "0.5"}, "sparsity='0.5': an axis must be a list of values"),
        ({"sparsity": 0.5}, "sparsity=0.5: an axis must be a list of values"),
        (
            {"sparsity": [0.5], "density": [0.5]},
            "grid: axes ['sparsity', 'density'] set the same field twice; give one",
        ),
        ({"n_hidden": [0, 1]}, "n_hidden=0: must be an integer in 1..4096"),
    ],
)
def test_bad_axes_are_refused(axes, text):
    with pytest.raises(ConfigError) as caught:
        grid(CONFIG, **axes)
    assert str(caught.value) == text


def test_values_of_any_type_are_refused_in_words():
    with pytest.raises(ConfigError) as caught:
        grid(CONFIG, sparsity=[{}])
    assert str(caught.value) == "sparsity={}: must be a number, got dict"


def test_jax_scalars_are_values():
    assert grid(CONFIG, density=[jnp.float32(0.5), 0.25]).configs[0].sparsity == 0.5


def test_unknown_axes_get_a_suggestion():
    with pytest.raises(
        ConfigError, match=r"^sparcity: unknown axis; did you mean 'sparsity'\? fields: "
    ):
        grid(CONFIG, sparcity=[0.5])


def test_too_many_cells_are_refused_before_they_are_built():
    values = list(np.linspace(0, 0.99, 1000))
    with pytest.raises(BudgetError) as caught:
        grid(
            CONFIG,
            sparsity=values,
            importance_decay=values,
            learning_rate=list(np.linspace(0.1, 1, 1000)),
        )
    assert str(caught.value) == "grid: 1000000000 cells; at most 1000000 in one grid"
