"""Figures of waves in two layers and of proofs draw the numbers of networks that are known."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from toylab import ModularConfig
from toylab.analysis.certificate_history import CertifiedHistory
from toylab.figures.modular_theory import (
    QUADRATIC,
    excess,
    neuron_story,
    priced,
    proven_over_training,
    rule,
    steps_behind,
)
from toylab.figures.neuron_phases import NeuronStory, lottery, neuron_phases
from toylab.figures.proofs import Priced, ProvenTraining, price_of_proof, proven_training

P, K = 13, 6
SMALL = ModularConfig(
    p=P, train_fraction=1.0, architecture="mlp", activation="quadratic", init_scale=0.1, d_mlp=16,
    learning_rate=1e-3, weight_decay=0.0, n_steps=20, record_every=10,
)  # fmt: skip


def planted(**changes: Any) -> NeuronStory:
    """Four neurons: frequencies 2, 2, 5, 5; aligned in the end, not before."""
    facts: dict[str, Any] = {
        "config": SMALL.replace(d_mlp=4), "step": np.array([0, 10, 20]),
        "misalignment": np.array([0.6, 0.3, 0.01]), "participation": np.array([0.2, 0.5, 0.9]),
        "phi": np.array([[0.0, 1.0, 2.0, 3.0], [0.1, 0.2, 0.3, 3.0]]),
        "psi": np.array([[1.0, 1.0, 1.0, 1.0], [0.2, 0.4, 0.6, 6.0]]),
        "frequency": np.array([2, 2, 5, 5]), "agreement": 1.0, "aligned": 0.75,
        "symmetry": np.arange(4 * K).reshape(4, K) / 24, "foretold": np.array([0.75, 0.5, 0.25, 0]),
        "leader": np.array([0.25, 0.5, 1.0]), "magnitude": np.arange(3 * K).reshape(3, K) / 20.0,
    }  # fmt: skip
    return NeuronStory(**(facts | changes))


def bars(axes: Any, side: str) -> list[float]:
    return [getattr(bar, f"get_{side}")() for bar in axes.patches if isinstance(bar, Rectangle)]


def test_phases_are_drawn_as_they_are() -> None:
    figure = neuron_phases(planted())
    phases, curves, groups, symmetry = figure.axes
    before, after = (np.asarray(dots.get_offsets()) for dots in phases.collections)
    np.testing.assert_allclose(before, [[0, 1], [2, 1], [4, 1], [6, 1]])
    # Twice 3.0 is 6.0: the point of the last neuron lies on the diagonal as well.
    np.testing.assert_allclose(after, [[0.2, 0.2], [0.4, 0.4], [0.6, 0.6], [6, 6]])
    assert [line.get_ydata()[-1] for line in curves.lines] == [0.9, 0.01]
    assert bars(groups, "height") == [0, 2, 0, 0, 2, 0]
    assert len(symmetry.collections) == 4
    assert figure.get_suptitle() == "Training turns 75 % of the neurons to ψ = 2φ"
    assert "0 to 2 neurons have each frequency" in str(figure.get_label())


def test_the_lottery_shows_every_rule_and_the_race() -> None:
    figure = lottery(planted())
    race, lead, rules = figure.axes
    assert len(race.lines) == K
    assert race.get_title(loc="left") == "waves α of a neuron: k = 2 beats k = 6"
    assert lead.lines[0].get_ydata().tolist() == [25, 50, 100]
    assert bars(rules, "width") == [75, 50, 25, 0]
    assert rule("magnitude")(planted()) == 25.0
    same = lottery(planted(frequency=np.array([6, 2, 5, 5])))
    assert same.axes[0].get_title(loc="left") == "waves α of a neuron: k = 6 wins"


def test_a_story_is_read_off_the_weights() -> None:
    story = neuron_story(SMALL, jax.random.key(3))
    assert story.step.tolist() == [0, 10, 20]
    assert story.phi.shape == story.psi.shape == (2, 16)
    assert story.magnitude.shape == (3, K)
    assert story.leader[-1] == 1.0  # at the end the largest wave is the final one
    assert neuron_story(SMALL, jax.random.key(3)) is story
    # The final frequency of the first neuron, by a transform of its own.
    from toylab import modular

    model: Any = modular.run(SMALL, jax.random.key(3)).model
    spectrum = np.fft.rfft(np.asarray(model.W_a[0], float))[1:]
    assert story.frequency[0] == np.argmax(np.abs(spectrum)) + 1
    assert story.phi[1, 0] == pytest.approx(np.angle(spectrum[story.frequency[0] - 1]), abs=1e-4)
    assert story.magnitude[-1, 0] == pytest.approx(2 / P * abs(spectrum[0]), rel=1e-4)


def history(**changes: Any) -> ProvenTraining:
    """Four records of 100 pairs."""
    facts: dict[str, Any] = {
        "config": SMALL.replace(p=10, modulus="any"), "step": np.array([0, 10, 20, 30]),
        "accuracy": np.array([0.1, 0.5, 0.9, 1.0]), "test_accuracy": np.array([0.1, 0.2, 0.9, 1.0]),
        "proven": CertifiedHistory(
            np.array([0.1, 0.5, 0.9, 1.0]),
            np.array([[0, 0, 0], [0, 0, 0.2], [0.1, 0.4, 0.8], [0.3, 0.8, 1.0]]), np.zeros(4)),
    }  # fmt: skip
    return ProvenTraining(**(facts | changes))


def test_proofs_over_training() -> None:
    figure = proven_training(history())
    [axes] = figure.axes
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in axes.lines]
    assert ends == [100, 100, 30, 80, 100, 0]  # right, all pairs, q = 2, 4, 8, energy
    assert figure.get_suptitle() == "From its waves alone, 80 % of the answers are proven right"
    assert excess(history()) == 0.0
    assert excess(history(accuracy=np.array([0.1, 0.5, 0.88, 1.0]))) == pytest.approx(2.0)
    assert steps_behind(history()) == 10.0
    assert math.isnan(steps_behind(history(test_accuracy=np.zeros(4))))


def test_no_bound_is_above_the_accuracy_of_a_small_network() -> None:
    config = SMALL.replace(
        architecture="transformer", activation="relu", d_model=8, n_heads=2, train_fraction=0.5
    )
    data = proven_over_training(config, jax.random.key(0))
    assert data.proven.spectral.shape == (3, 3)
    assert data.accuracy.shape == data.test_accuracy.shape == (3,)
    assert excess(data) <= 0.5


def test_prices_of_proofs() -> None:
    methods = ("exhaustive", "energy", "weights")
    data = Priced(QUADRATIC, methods, np.array([2e8, 3e8, 5e7]), np.array([1, 0.6, 0.6]),
                  np.ones(3), 1.0)  # fmt: skip
    figure = price_of_proof(data)
    proven, cost, growth = figure.axes
    assert bars(proven, "width") == [100, 60, 60]
    assert bars(cost, "width") == [200, 300, 50]
    # 2 p² m (p + 2) and 14 m² p, at p = 401 with 256 neurons.
    assert [float(line.get_ydata()[-1]) for line in growth.lines] == pytest.approx(
        [2 * 401**2 * 256 * 403, 14 * 256**2 * 401], rel=1e-4
    )
    assert figure.get_suptitle().startswith("Reading the weights costs 4.0 times less")


def test_all_proofs_hold_for_planted_weights() -> None:
    found = priced(SMALL.replace(inputs="separate"), jax.random.key(0))
    assert found.methods[-2:] == ("energy", "weights")
    assert found.planted.tolist() == [1.0] * 6
    assert np.all(found.lower <= found.accuracy + 1e-9)
    assert jnp.isfinite(found.flops).all()
