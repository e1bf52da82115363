"""A history is the certificates of its records."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis.certificate import certify_accuracy
from toylab.analysis.certificate_history import certify_history
from toylab.data.modular import answers
from toylab.errors import ConfigError, ConfigTypeError
from toylab.models.mlp import PairMLP, gromov
from toylab.models.transformer import Transformer

P = 7


def records():
    """Analytic weights, less and less disturbed; the last is the plain design."""
    model, draw = gromov(P), np.random.default_rng(0)
    noise = draw.normal(size=(P, model.W_out.shape[1])).astype(np.float32)
    W_out = np.stack([model.W_out[...] + size * noise for size in (4.0, 1.0, 0.5, 0.2, 0.0)])
    W_a, W_b = (np.repeat(np.asarray(W)[None], len(W_out), axis=0) for W in model.inputs)
    return PairMLP(jnp.asarray(W_a), jnp.asarray(W_out), jnp.asarray(W_b), "quadratic")


def test_each_record_is_its_own_certificate():
    models = records()
    found = certify_history(models, orders=(2, 8))
    for record in range(5):
        model = jax.tree.map(lambda leaf, at=record: leaf[at], models)
        assert found.exhaustive[record] == certify_accuracy(model).lower
        assert found.energy[record] == certify_accuracy(model, method="energy").lower
        for i, order in enumerate((2, 8)):
            spectral = certify_accuracy(model, method="spectral", order=order)
            assert found.spectral[record, i] == spectral.lower


def test_certified_accuracy_rises_as_noise_falls():
    found = certify_history(records())
    assert found.spectral.shape == (5, 3)
    for curve in (found.exhaustive, found.energy, *found.spectral.T):
        assert curve[-1] == 1
        assert np.all(np.diff(curve) >= 0)
    assert np.all(found.spectral <= found.exhaustive[:, None])
    assert np.all(found.energy <= found.exhaustive)
    assert found.spectral[0, 0] < 0.5 < found.spectral[2, 2]


def test_negated_weights_by_hand():
    model = gromov(P)
    W_out = jnp.stack([model.W_out[...], -model.W_out[...]])
    W_a, W_b = (jnp.stack([W, W]) for W in model.inputs)
    found = certify_history(PairMLP(W_a, W_out, W_b))
    for curve in (found.exhaustive, found.energy, *found.spectral.T):
        np.testing.assert_array_equal(curve, [1, 0])


def test_a_stack_of_transformers():
    draw = np.random.default_rng(0)
    heads = dict.fromkeys(("W_Q", "W_K", "W_V"), (1, 2, 4, 2))
    shapes = heads | {
        "W_E": (P + 1, 4),
        "W_pos": (3, 4),
        "W_O": (1, 2, 2, 4),
        "W_in": (1, 4, 4),
        "b_in": (1, 4),
        "W_out": (1, 4, 4),
        "b_out": (1, 4),
        "W_U": (4, P + 1),
    }
    models = Transformer(**{name: draw.normal(size=(2, *size)) for name, size in shapes.items()})
    found = certify_history(models, orders=(), answers=answers("subtract", P))
    assert found.spectral.shape == (2, 0)
    first = jax.tree.map(lambda leaf: leaf[0], models)
    expected = certify_accuracy(first, answers=answers("subtract", P)).lower
    assert found.exhaustive[0] == expected


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: certify_history([gromov(3)]),
            ConfigTypeError,
            "models=list: must be a PairMLP or a Transformer",
        ),
        (
            lambda: certify_history(gromov(3)),
            ConfigError,
            "model=PairMLP with W_out[8]: must be one model, W_out [p, d_mlp]; "
            "certify_history takes a stack with a leading axis of records",
        ),
        (
            lambda: certify_history(records(), orders=(2, 0)),
            ConfigError,
            "orders=0: must be an integer in 1..64",
        ),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == text
