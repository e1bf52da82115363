"""The basis and its summaries: values by hand, numpy's FFT and loops, what must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis import fourier as f
from toylab.errors import ConfigError, ConfigTypeError


def cos(k, p):
    return np.cos(2 * np.pi * k * np.arange(p) / p)


def sin(k, p):
    return np.sin(2 * np.pi * k * np.arange(p) / p)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def fft_energy(W):
    """|F|^2 over p of both signs of each frequency, by numpy's transform in float64."""
    p = W.shape[-2]
    spectrum = np.abs(np.fft.fft(W.astype(np.float64), axis=-2)) ** 2 / p
    return 2 * spectrum[..., 1 : (p - 1) // 2 + 1, :].sum(-1)


def test_basis_of_two_and_three_by_hand():
    np.testing.assert_allclose(f.fourier_basis(2) * np.sqrt(2), [[1, 1], [1, -1]], atol=1e-6)
    expected = [
        [3**-0.5] * 3,
        np.sqrt(2 / 3) * np.array([1, -0.5, -0.5]),
        [0, 0.5**0.5, -(0.5**0.5)],
    ]
    np.testing.assert_allclose(f.fourier_basis(3), expected, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 12, 59, 96, 113])
def test_basis_is_orthonormal_for_odd_and_even_p(p):
    rows = f.basis_rows(p)
    np.testing.assert_allclose(rows @ rows.T, np.eye(p), atol=1e-13)
    np.testing.assert_allclose(f.fourier_basis(p), rows, atol=1e-7)
    assert f.fourier_basis(p).dtype == jnp.float32


@pytest.mark.parametrize("p", [11, 12])
def test_basis_rows_are_constant_then_cosine_and_sine_of_each_frequency(p):
    F = np.asarray(f.fourier_basis(p))
    np.testing.assert_allclose(F @ np.ones(p), np.eye(p)[0] * np.sqrt(p), atol=1e-5)
    for k in range(1, (p - 1) // 2 + 1):
        np.testing.assert_allclose(F @ cos(k, p), np.eye(p)[2 * k - 1] * np.sqrt(p / 2), atol=1e-5)
        np.testing.assert_allclose(F @ sin(k, p), np.eye(p)[2 * k] * np.sqrt(p / 2), atol=1e-5)
    if p % 2 == 0:
        np.testing.assert_allclose(F @ cos(p // 2, p), np.eye(p)[-1] * np.sqrt(p), atol=1e-5)


def test_basis_rows_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        f.basis_rows(5)[0] = 0.0


@pytest.mark.parametrize(
    ("p", "error", "text"),
    [
        (0, ConfigError, "p=0: must be an integer >= 1"),
        (2.0, ConfigTypeError, "p=2.0: must be an int, got float"),
    ],
)
def test_basis_refuses_what_is_no_modulus(p, error, text):
    with pytest.raises(error) as caught:
        f.fourier_basis(p)
    assert str(caught.value) == text


def test_energy_by_hand():
    np.testing.assert_allclose(f.frequency_energy(cos(2, 5)[:, None]), [0, 2.5], atol=1e-6)
    np.testing.assert_allclose(f.frequency_norm(2 * cos(1, 8)[:, None]), [4, 0, 0], atol=1e-6)
    phase = np.cos(2 * np.pi * 3 * np.arange(7) / 7 + 1.1)  # the phase is not seen
    np.testing.assert_allclose(f.frequency_energy(phase[:, None]), [0, 0, 3.5], atol=1e-6)


@pytest.mark.parametrize("shape", [(13, 4), (2, 10, 3), (2, 2, 3, 1), (2, 5)])
def test_energy_against_the_fft(shape):
    W = normal(0, *shape)
    np.testing.assert_allclose(f.frequency_energy(W), fft_energy(W), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(f.frequency_norm(W), np.sqrt(fft_energy(W)), rtol=1e-4, atol=1e-6)


def test_energies_add_up_to_the_variance_over_numbers():
    W = normal(1, 59, 8)
    expected = np.square(W - W.mean(0)).sum()
    np.testing.assert_allclose(f.frequency_energy(W).sum(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "change",
    [lambda W: np.roll(W, 3, axis=0), lambda W: W[::-1], lambda W: W + 5, lambda W: W[:, ::-1]],
    ids=["shift", "reverse", "constant", "permute columns"],
)
def test_energy_does_not_see_shifts_reversals_constants_and_column_order(change):
    W = normal(2, 17, 6)
    np.testing.assert_allclose(
        f.frequency_energy(change(W).copy()), f.frequency_energy(W), rtol=1e-3, atol=1e-4
    )


def test_energy_outside_by_hand_and_against_the_fft():
    W = (2 * cos(1, 9) + cos(2, 9))[:, None]
    assert float(f.energy_outside(W, [1])) == pytest.approx(0.2, rel=1e-5)
    assert float(f.energy_outside(W, [2, 1])) == pytest.approx(0.0, abs=1e-6)
    assert float(f.energy_outside(W + 1, [1, 2])) == pytest.approx(9 / 31.5, rel=1e-5)
    assert float(f.energy_outside(np.zeros((5, 2)), [1])) == 0.0
    W = normal(3, 3, 12, 4)
    expected = 1 - fft_energy(W)[:, [0, 3]].sum(1) / np.square(W).sum((1, 2))
    np.testing.assert_allclose(f.energy_outside(W, [1, 4]), expected, rtol=1e-4)


def test_energy_outside_keeps_its_precision_near_zero():
    W = (cos(3, 113) + 1e-4 * cos(5, 113))[:, None]
    assert float(f.energy_outside(W, [3])) == pytest.approx(1e-8, rel=1e-2)


def test_gini_by_hand():
    assert float(f.gini([1, 2, 3, 4])) == pytest.approx(0.25)
    assert float(f.gini([7.0, 7.0, 7.0])) == pytest.approx(0.0, abs=1e-7)
    assert float(f.gini([0, 0, 9, 0])) == pytest.approx(3 / 4)
    assert float(f.gini(np.zeros(4))) == 0.0


def test_gini_is_half_the_relative_mean_difference():
    x = np.abs(normal(4, 3, 20)).astype(np.float64)
    differences = np.abs(x[:, :, None] - x[:, None, :]).sum((1, 2))
    np.testing.assert_allclose(f.gini(x), differences / (2 * 20 * x.sum(1)), rtol=1e-5)


def test_gini_sees_neither_order_nor_scale():
    x = np.abs(normal(5, 12))
    np.testing.assert_allclose(f.gini(x), f.gini(1e4 * x[::-1].copy()), rtol=1e-5)


def test_gini_refuses_negative_shares():
    with pytest.raises(ConfigError) as caught:
        f.gini([1.0, -1.0])
    assert str(caught.value) == "x with -1: must not be negative"


def test_participation_by_hand():
    assert float(f.inverse_participation_ratio(cos(1, 7) + cos(2, 7))) == pytest.approx(1 / 2)
    both = 2 * cos(1, 7) + sin(2, 7) + 3  # the constant is left out
    assert float(f.inverse_participation_ratio(both)) == pytest.approx(17 / 25, rel=1e-5)
    assert float(f.inverse_participation_ratio(np.full(7, 0.0))) == 0.0
    impulse = np.eye(11)[4]  # all frequencies alike
    assert float(f.inverse_participation_ratio(impulse)) == pytest.approx(1 / 5, rel=1e-5)


def test_participation_against_the_fft_and_at_tiny_weights():
    W = normal(6, 2, 30, 23)
    A2 = np.abs(np.fft.rfft(W.astype(np.float64)))[..., 1:] ** 2
    expected = (A2**2).sum(-1) / A2.sum(-1) ** 2
    np.testing.assert_allclose(f.inverse_participation_ratio(W), expected, rtol=1e-4)
    np.testing.assert_allclose(f.inverse_participation_ratio(1e-12 * W), expected, rtol=1e-4)


def test_participation_of_a_single_frequency_is_one_at_any_phase():
    angles = 2 * np.pi * 4 * np.arange(23) / 23
    W = np.stack([np.cos(angles + phase) for phase in (0.0, 0.7, 2.5)])
    np.testing.assert_allclose(f.inverse_participation_ratio(W), 1.0, rtol=1e-5)


MEASURES = [
    (f.frequency_energy, lambda p: (p, 4), lambda p: ((p - 1) // 2,)),
    (f.frequency_norm, lambda p: (p, 4), lambda p: ((p - 1) // 2,)),
    (lambda W: f.energy_outside(W, [1]), lambda p: (p, 4), lambda p: ()),
    (f.gini, lambda p: (p,), lambda p: ()),
    (f.inverse_participation_ratio, lambda p: (p,), lambda p: ()),
]


@pytest.mark.parametrize(("measure", "given", "returned"), MEASURES)
@pytest.mark.parametrize("p", [7, 10])
def test_shapes_leading_axes_and_traces(measure, given, returned, p):
    x = jnp.abs(normal(7, 2, 3, *given(p)))
    assert jax.eval_shape(measure, x[0, 0]).shape == returned(p)
    one_by_one = np.stack([[measure(cell) for cell in row] for row in x])
    for batched in (measure(x), jax.jit(measure)(x), jax.vmap(jax.vmap(measure))(x)):
        np.testing.assert_allclose(batched, one_by_one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: f.frequency_energy(np.ones(3)), "W=float32[3]: must have the shape [..., p, d]"),
        (lambda: f.gini(1.0), "x=float32[]: must have the shape [..., n]"),
        (
            lambda: f.inverse_participation_ratio(np.ones((2, 0), np.float32)),
            "W=float32[2, 0]: must have the shape [..., p]",
        ),
    ],
)
def test_wrong_shapes_are_refused(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value).startswith(text)
