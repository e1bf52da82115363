"""Waves planted by hand are found again; each measure has a value by hand and an invariance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis import phase_alignment as pa
from toylab.errors import ConfigError, ConfigTypeError


def wave(p, k, amplitude, phase):
    return amplitude * np.cos(2 * np.pi * k * np.arange(p) / p + phase)


def around(difference):
    """The distance from a multiple of 2π."""
    return np.abs(np.angle(np.exp(1j * np.asarray(difference, float))))


def planted(p=23, m=60, seed=0):
    """Neurons of one frequency and a constant each, and what they were made of."""
    rng = np.random.default_rng(seed)
    k = rng.integers(1, p // 2 + 1, m)
    alpha, beta = rng.uniform(0.1, 2, (2, m))
    phi, psi = rng.uniform(-np.pi, np.pi, (2, m))
    read = [wave(p, *it) + 0.3 for it in zip(k, alpha, phi, strict=True)]
    written = [wave(p, *it) - 0.2 for it in zip(k, beta, psi, strict=True)]
    return np.array(read), np.array(written).T, k, alpha, phi, beta, psi


def test_waves_of_one_hand_made_row():
    found = pa.waves(wave(7, 2, 3.0, 1.0))
    np.testing.assert_allclose(found.magnitude, [0, 3, 0], atol=1e-6)
    assert float(found.phase[1]) == pytest.approx(1.0, abs=1e-6)


def test_waves_against_the_cosine_and_sine_coefficients():
    """α = √(2/p) √(c² + s²) and φ = atan2(-s, c) in the orthonormal basis (He et al.)."""
    p, rows = 11, np.random.default_rng(0).normal(size=(4, 11)).astype(np.float32)
    turns = 2 * np.pi * np.outer(np.arange(1, 6), np.arange(p)) / p
    c, s = (np.sqrt(2 / p) * rows.astype(float) @ f(turns).T for f in (np.cos, np.sin))
    found = pa.waves(rows)
    np.testing.assert_allclose(found.magnitude, np.sqrt(2 / p) * np.hypot(c, s), atol=1e-6)
    assert around(found.phase - np.arctan2(-s, c)).max() < 1e-5


def test_waves_add_up_to_the_row_less_its_mean():
    for p in (7, 8):
        row = np.random.default_rng(1).normal(size=p)
        found = pa.waves(row)
        total = sum(
            wave(p, k + 1, float(a), float(f)) for k, (a, f) in enumerate(zip(*found, strict=True))
        )
        alternating = (-1.0) ** np.arange(p)
        left = row - row.mean() - (p % 2 == 0) * alternating * (row @ alternating) / p
        np.testing.assert_allclose(total, left, atol=1e-5)


def test_a_shift_of_the_numbers_turns_phases_and_leaves_magnitudes():
    rows = np.random.default_rng(2).normal(size=(3, 13))
    before, after = pa.waves(rows), pa.waves(np.roll(rows, -1, axis=1))
    np.testing.assert_allclose(after.magnitude, before.magnitude, atol=1e-6)
    turn = 2 * np.pi * np.arange(1, 7) / 13
    assert around(after.phase - before.phase - turn[None]).max() < 1e-5


def test_planted_neurons_are_recovered():
    W_in, W_out, k, alpha, phi, beta, psi = planted()
    found = pa.alignment(W_in, W_out)
    np.testing.assert_array_equal(found.frequency, k)
    np.testing.assert_array_equal(found.out_frequency, k)
    np.testing.assert_allclose(found.alpha, alpha, atol=1e-5)
    np.testing.assert_allclose(found.beta, beta, atol=1e-5)
    for angle, expected in ((found.phi, phi), (found.psi, psi)):
        assert around(angle - expected).max() < 1e-4
    assert around(found.misalignment - (2 * phi - psi)).max() < 1e-4
    assert np.abs(found.misalignment).max() <= np.float32(np.pi)


def test_alignment_of_one_neuron_by_hand():
    W_in = wave(5, 1, 1.0, 0.5)[None] + wave(5, 2, 0.4, 2.0)[None]
    W_out = (wave(5, 1, 2.0, 0.7) + wave(5, 2, 3.0, 0.0))[:, None]
    found = pa.alignment(W_in, W_out)
    assert found.frequency.tolist() == [1]
    assert found.out_frequency.tolist() == [2]
    assert float(found.misalignment[0]) == pytest.approx(0.3, abs=1e-5)
    assert float(found.beta[0]) == pytest.approx(2.0, abs=1e-5)


def test_alignment_does_not_see_scale_mean_or_the_order_of_neurons():
    W_in, W_out, *_ = planted(seed=1)
    found = pa.alignment(W_in, W_out)
    order = np.random.default_rng(0).permutation(len(W_in))
    other = pa.alignment(5 * W_in[order] + 1, 0.1 * W_out[:, order] - 2)
    np.testing.assert_array_equal(other.frequency, found.frequency[order])
    assert around(other.misalignment - found.misalignment[order]).max() < 1e-4


def test_a_shift_of_the_numbers_keeps_addition_aligned():
    """Renaming x as x - 1 in the input and as x - 2 in the answers is the same task."""
    W_in, W_out, *_ = planted(seed=2)
    moved = pa.alignment(np.roll(W_in, -1, axis=1), np.roll(W_out, -2, axis=0))
    assert around(moved.misalignment - pa.alignment(W_in, W_out).misalignment).max() < 1e-4


def test_leading_axes_pass_through():
    layers = [planted(p=7, m=4, seed=seed)[:2] for seed in range(3)]
    stacked = pa.alignment(*(np.stack(side) for side in zip(*layers, strict=True)))
    for cell, (W_in, W_out) in enumerate(layers):
        for together, alone in zip(stacked, pa.alignment(W_in, W_out), strict=True):
            np.testing.assert_allclose(together[cell], alone, atol=1e-6)
    assert pa.mean_abs_sin(stacked.misalignment).shape == (3,)
    assert pa.aligned_share(stacked.misalignment).shape == (3,)
    assert pa.neurons_per_frequency(stacked.frequency, 3).shape == (3, 3)
    assert pa.phase_symmetry(stacked.phi, stacked.frequency, 3).shape == (3, 4, 3)


def test_measures_of_misalignment_by_hand():
    D = [0.0, np.pi / 2, -np.pi / 6, np.pi]
    assert float(pa.mean_abs_sin(D)) == pytest.approx((0 + 1 + 0.5 + 0) / 4, abs=1e-6)
    assert float(pa.aligned_share(D)) == 0.25
    assert float(pa.aligned_share(D, within=0.6)) == 0.5


def test_measures_of_uniform_misalignment():
    D = np.random.default_rng(0).uniform(-np.pi, np.pi, 40_000)
    assert float(pa.mean_abs_sin(D)) == pytest.approx(2 / np.pi, abs=0.01)
    assert float(pa.aligned_share(D, 0.5)) == pytest.approx(0.5 / np.pi, abs=0.01)
    assert float(pa.mean_abs_sin(-D)) == pytest.approx(float(pa.mean_abs_sin(D)), abs=1e-6)


def test_mean_participation_by_hand():
    W_in = wave(5, 1, 1.0, 0.3)[None]
    W_out = (wave(5, 1, 1.0, 0.0) + wave(5, 2, 1.0, 2.0))[:, None]
    assert float(pa.mean_participation(W_in, W_out)) == pytest.approx(0.75, abs=1e-6)


def test_mean_participation_is_the_quotient_of_fourth_and_squared_moments():
    W_in, W_out = np.random.default_rng(3).normal(size=(2, 9, 11))
    ratios = []
    for rows in (W_in, W_out):
        power = np.abs(np.fft.rfft(rows, axis=1)[:, 1:]) ** 2
        ratios.append(((power**2).sum(1) / power.sum(1) ** 2).mean())
    found = float(pa.mean_participation(W_in, W_out.T))
    assert found == pytest.approx(np.mean(ratios), rel=1e-5)
    assert float(pa.mean_participation(3 * W_in, W_out.T + 1)) == pytest.approx(found, rel=1e-4)


def test_neurons_per_frequency_by_hand():
    found = pa.neurons_per_frequency([1, 3, 3], 3)
    assert found.tolist() == [1, 0, 2]
    assert found.dtype == jnp.int32


def test_phase_symmetry_by_hand():
    quarter = np.pi / 2 * np.arange(4)
    phases, groups = np.concatenate([quarter, [0.7, 0.7]]), [1] * 4 + [3] * 2
    found = pa.phase_symmetry(phases, groups, 3)
    expected = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [1, 0, 1]])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_phase_symmetry_against_complex_means_and_under_a_turn():
    rng = np.random.default_rng(4)
    phases, groups = rng.uniform(-np.pi, np.pi, 50), rng.integers(1, 5, 50)
    found = pa.phase_symmetry(phases, groups, 4)
    for k in range(1, 5):
        mine = phases[groups == k]
        expected = [abs(np.exp(1j * r * mine).mean()) for r in (1, 2, 3, 4)]
        np.testing.assert_allclose(found[:, k - 1], expected, atol=1e-5)
    np.testing.assert_allclose(pa.phase_symmetry(phases + 1.0, groups, 4), found, atol=1e-5)


def test_wrapped_covers_the_half_open_circle():
    angles = jnp.float32([0.0, 1e-3, -3.0, np.pi, -np.pi, 3 * np.pi, 7.0, -7.0])
    found = np.asarray(pa.wrapped(angles))
    np.testing.assert_array_equal(found[:4], angles[:4])
    expected = [np.pi, np.pi, 7 - 2 * np.pi, 2 * np.pi - 7]
    np.testing.assert_allclose(found[4:], expected, atol=1e-6)


def test_everything_can_be_traced():
    W_in, W_out, *_ = planted(p=7, m=4)

    @jax.jit
    def measured(W_in, W_out):
        found = pa.alignment(W_in, W_out)
        return (
            pa.mean_abs_sin(found.misalignment),
            pa.aligned_share(found.misalignment),
            pa.mean_participation(W_in, W_out),
            pa.phase_symmetry(found.phi, found.frequency, 3),
            pa.neurons_per_frequency(found.frequency, 3),
        )

    shapes = [x.shape for x in jax.eval_shape(measured, W_in, W_out)]
    assert shapes == [(), (), (), (4, 3), (3,)]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: pa.waves(np.ones((2, 2))),
            "W=float32[2, 2]: must have the shape [..., p] with p >= 3",
        ),
        (
            lambda: pa.layers(np.ones((3, 5)), np.ones((3, 5))),
            "W_out=float32[3, 5]: must have the shape [5, 3]",
        ),
        (
            lambda: pa.alignment(np.ones(5), np.ones((3, 5))),
            "W_in=float32[5]: must have the shape [..., d_mlp, p] with d_mlp >= 1, p >= 1",
        ),
        (
            lambda: pa.neurons_per_frequency([0, 1], 3),
            "frequency[0]=0: must be an integer in 1..3",
        ),
        (lambda: pa.neurons_per_frequency([1], 0), "K=0: must be an integer >= 1"),
        (lambda: pa.aligned_share([0.0], -1), "within=-1: must be in [0, inf]"),
        (
            lambda: pa.mean_abs_sin([[np.nan]]),
            "misalignment=float32[1, 1] with nan at [0, 0]: must be finite",
        ),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text


def test_words_are_no_phases():
    with pytest.raises(ConfigTypeError) as caught:
        pa.phase_symmetry(["north"], [1], 3)
    assert str(caught.value) == "phase=['north']: must be an array of real numbers"
