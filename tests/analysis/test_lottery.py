"""The race of waves: constants of the motion, the closed blow-up time, and who wins."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from toylab.analysis import lottery as lt
from toylab.analysis.lottery import Race
from toylab.errors import ConfigError


def starts(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return Race(*rng.rayleigh(size=(2, n)), rng.uniform(-np.pi, np.pi, n))


def blow_up_by_carlson(alpha, beta, D):
    """The formula of the docstring with scipy's roots and R_F, in float64."""
    A, C, v0 = alpha**2 - 2 * beta**2, alpha**2 * beta * math.sin(D), beta**2
    roots = np.roots([4, 4 * A, A * A, -C * C])
    top = np.argmax(np.where(abs(roots.imag) < 1e-7 * abs(roots).max(), roots.real, -np.inf))
    v1, others = roots[top].real, np.delete(roots, top)
    out = special.elliprf(max(v0 - v1, 0.0), *(v0 - others)).real / 2
    return out if math.cos(D) >= 0 else special.elliprf(0.0, *(v1 - others)).real - out


def polar_velocity(_, state):
    """He et al.'s equations as they are printed."""
    alpha, beta, D = state
    return [
        2 * alpha * beta * math.cos(D),
        alpha**2 * math.cos(D),
        -(4 * beta + alpha**2 / beta) * math.sin(D),
    ]


def test_conserved_by_hand():
    A, C = lt.conserved(Race(*map(jnp.float32, (2.0, 1.0, math.pi / 6))))
    assert (float(A), float(C)) == pytest.approx((2.0, 2.0), rel=1e-6)


def test_the_constants_of_the_motion_stay():
    start = Race(*(jnp.asarray(field, jnp.float32) for field in starts()))
    path = lt.decoupled_dynamics(start)
    size = np.hypot(path.alpha, path.beta)
    first, later = lt.conserved(start), lt.conserved(Race(*path[1:]))
    for power, before, after in zip((2, 3), first, later, strict=True):
        drift = np.abs(after - before[None]) / size**power
        assert drift.max() < 1e-5


def test_the_straight_solution():
    """α = √2 β, D = 0: α(t) = α / (1 - √2 α t)."""
    path = lt.decoupled_dynamics(Race(0.2, 0.2 / math.sqrt(2), 0.0), 100)
    t, alpha = np.asarray(path.time, float), np.asarray(path.alpha)
    np.testing.assert_allclose(alpha, 0.2 / (1 - math.sqrt(2) * 0.2 * t), rtol=2e-3)
    np.testing.assert_allclose(path.misalignment, 0.0, atol=1e-6)
    assert t[0] == 0.0
    assert (np.diff(t) >= 0).all()


@pytest.mark.parametrize("start", [(1.0, 0.5, 2.0), (0.3, 1.0, -3.0), (1.0, 1e-3, 1.0)])
def test_paths_against_scipy(start):
    path = lt.decoupled_dynamics(Race(*start), 60)
    t = np.asarray(path.time, float)
    solved = integrate.solve_ivp(
        polar_velocity, (0, t[-1]), start, t_eval=t, rtol=1e-10, atol=1e-12, method="LSODA"
    )
    alpha, beta, D = solved.y
    np.testing.assert_allclose(path.alpha, alpha, rtol=1e-3)
    np.testing.assert_allclose(path.beta, beta, rtol=1e-3, atol=1e-4)
    assert np.abs(np.angle(np.exp(1j * (path.misalignment - D)))).max() < 2e-3


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ((math.sqrt(2), 1.0, 0.0), 0.5),
        # β' = 1 + 2β² from β = 0.
        ((1.0, 0.0, 0.3), math.pi / (2 * math.sqrt(2))),
        # α² = 2β², D = ±π/2: v' = 4 √(v³ - 1) from v = 1, a beta function.
        ((math.sqrt(2), 1.0, math.pi / 2), special.beta(1 / 6, 1 / 2) / 12),
        ((math.sqrt(2), 1.0, -math.pi / 2), special.beta(1 / 6, 1 / 2) / 12),
        ((0.0, 1.0, 0.3), math.inf),
        ((0.0, 0.0, 0.0), math.inf),
    ],
)
def test_blow_up_times_by_hand(start, expected):
    assert float(lt.blow_up_time(Race(*start))) == pytest.approx(expected, rel=1e-5)


def test_an_opposed_start_waits_long():
    assert float(lt.blow_up_time(Race(math.sqrt(2), 1.0, math.pi))) > 3.0


def test_blow_up_time_against_carlson_in_float64():
    start = starts(1000, seed=1)
    expected = [blow_up_by_carlson(*one) for one in zip(*start, strict=True)]
    np.testing.assert_allclose(lt.blow_up_time(start), expected, rtol=5e-4)


def test_blow_up_time_against_the_integrator():
    start = starts(200, seed=2)
    path = lt.decoupled_dynamics(start, 600)
    np.testing.assert_allclose(path.time[-1], lt.blow_up_time(start), rtol=1e-3)


def test_blow_up_time_scales_and_mirrors():
    """Magnitudes times s make everything 1/s as long; the sign of D does not matter."""
    alpha, beta, D = starts(100, seed=3)
    time = lt.blow_up_time(Race(alpha, beta, D))
    for scale in (1e-6, 1e6):
        scaled = lt.blow_up_time(Race(scale * alpha, scale * beta, D))
        np.testing.assert_allclose(scale * scaled, time, rtol=1e-4)
    np.testing.assert_allclose(lt.blow_up_time(Race(alpha, beta, -D)), time, rtol=1e-4)


def test_time_passes_along_a_path():
    """From a point of the path the blow-up is nearer by the time that has passed."""
    start = starts(50, seed=4)
    path = lt.decoupled_dynamics(start, 20)
    left = lt.blow_up_time(Race(path.alpha[-1], path.beta[-1], path.misalignment[-1]))
    np.testing.assert_allclose(path.time[-1] + left, lt.blow_up_time(start), rtol=1e-3)


def neuron(p, alphas, phis, betas, psis):
    """One neuron's weights, W_in [1, p] and W_out [p, 1]."""
    turns = 2 * np.pi * np.outer(np.arange(1, len(alphas) + 1), np.arange(p)) / p
    read = np.asarray(alphas) @ np.cos(turns + np.asarray(phis)[:, None])
    written = np.asarray(betas) @ np.cos(turns + np.asarray(psis)[:, None])
    return read[None], written[:, None]


def test_race_of_planted_waves():
    start = lt.race(*neuron(7, [1, 2, 3], [0.5, 0, -1], [3, 2, 1], [0.7, 0.4, 1.0]))
    np.testing.assert_allclose(start.alpha, [[1, 2, 3]], atol=1e-5)
    np.testing.assert_allclose(start.beta, [[3, 2, 1]], atol=1e-5)
    np.testing.assert_allclose(start.misalignment, [[0.3, -0.4, -3.0]], atol=1e-4)


def test_each_rule_by_hand():
    """Frequency 1 is best aligned, 2 most strongly driven, 3 largest, and 4 first to blow up.

    Blow-up times by scipy's R_F: 1.007, 0.904, 1.745, 0.809; α²β cos D: 0.245, 0.336, -2.2, -0.06.
    """
    alphas, betas, D = [0.7, 0.75, 1.5, 1.4], [0.5, 0.6, 1.0, 0.03], [0.0, 0.1, 3.0, 2.9]
    weights = neuron(9, alphas, [0, 0, 0, 0], betas, [-d for d in D])
    times = lt.blow_up_time(lt.race(*weights))[0]
    np.testing.assert_allclose(times, [1.007, 0.904, 1.745, 0.809], atol=1e-3)
    for winner, rule in enumerate(("phase", "drive", "magnitude", "first"), start=1):
        assert lt.predict_winner(*weights, rule).tolist() == [winner]


def test_a_large_wave_that_is_well_aligned_wins_by_every_rule():
    weights = neuron(7, [0.1, 3, 0.1], [0, 1, 0], [0.1, 3, 0.1], [1.0, 2.0, -1.0])
    assert [lt.predict_winner(*weights, rule).tolist() for rule in lt.RULES] == [[2]] * 4


def test_predictions_do_not_see_scale_or_the_order_of_neurons():
    rng = np.random.default_rng(5)
    W_in, W_out = rng.normal(size=(20, 11)), rng.normal(size=(11, 20))
    order = rng.permutation(20)
    for rule in lt.RULES:
        found = lt.predict_winner(W_in, W_out, rule)
        moved = lt.predict_winner(0.01 * W_in[order], 0.01 * W_out[:, order], rule)
        np.testing.assert_array_equal(moved, found[order])


def gradient_flow(W_in, W_out, p, n_steps, dt):
    """Euler steps down the mean cross-entropy of the quadratic network, in float64."""
    pairs = np.indices((p, p)).reshape(2, -1)
    X = np.eye(p)[pairs[0]] + np.eye(p)[pairs[1]]
    Y = np.eye(p)[pairs.sum(0) % p]
    for _ in range(n_steps):
        before = X @ W_in.T
        logits = before**2 @ W_out.T
        push = (special.softmax(logits, axis=1) - Y) / p**2
        back = (push @ W_out) * 2 * before
        W_in, W_out = W_in - dt * back.T @ X, W_out - dt * push.T @ before**2
    return W_in, W_out


def test_one_small_wave_moves_as_the_decoupled_dynamics_say():
    """Gradient flow of the full network for a time t is the printed equations for t/p."""
    p, first = 11, (0.02, 0.015, 1.2)
    weights = neuron(p, [0, first[0]], [0, 0.4], [0, first[1]], [0, 0.8 - first[2]])
    t = 30 * p
    later = lt.race(*gradient_flow(*weights, p, 1500, t / 1500))
    solved = integrate.solve_ivp(polar_velocity, (0, t / p), first, rtol=1e-9, atol=1e-12).y[:, -1]
    assert abs(solved[2] - first[2]) > 0.5  # it has moved
    found = [float(field[0, 1]) for field in later]
    np.testing.assert_allclose(found, solved, rtol=0.02)


def test_the_first_to_blow_up_wins_the_training():
    """Forty neurons under gradient flow: far more hits than the 1/3 of chance."""
    p, rng = 7, np.random.default_rng(0)
    W_in, W_out = 0.01 * rng.normal(size=(40, p)), 0.01 * rng.normal(size=(p, 40))
    trained, _ = gradient_flow(W_in, W_out, p, 3000, 0.5)
    final = np.abs(np.fft.rfft(trained, axis=1))[:, 1:].argmax(1) + 1
    assert float(lt.hit_rate(lt.predict_winner(W_in, W_out), final)) > 0.8


def test_hit_rate_by_hand():
    assert float(lt.hit_rate([1, 2, 3], [1, 2, 4])) == pytest.approx(2 / 3)
    assert lt.hit_rate(np.ones((2, 4)), np.ones((2, 4))).tolist() == [1, 1]


def test_the_race_can_be_traced():
    W_in, W_out = np.ones((2, 5, 7)), np.ones((2, 7, 5))
    found = jax.eval_shape(jax.jit(lt.predict_winner), W_in, W_out)
    assert (found.shape, found.dtype) == ((2, 5), jnp.int32)
    path = jax.eval_shape(lambda s: lt.decoupled_dynamics(s, 9), lt.race(W_in, W_out))
    assert [field.shape for field in path] == [(10, 2, 5, 3)] * 4


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: lt.predict_winner(np.ones((2, 5)), np.ones((5, 2)), "luck"),
            "rule='luck': must be one of ['first', 'drive', 'magnitude', 'phase']",
        ),
        (
            lambda: lt.blow_up_time(Race(-1.0, 1.0, 0.0)),
            "alpha with -1: must not be negative",
        ),
        (
            lambda: lt.decoupled_dynamics(Race([1.0], [-2.0], [0.0])),
            "beta with -2: must not be negative",
        ),
        (
            lambda: lt.blow_up_time(Race([1.0, 2.0], [1.0], [0.0])),
            "start=[[1], [2]]: alpha, beta and misalignment must have one shape",
        ),
        (
            lambda: lt.decoupled_dynamics(Race(1.0, 1.0, 0.0), 0),
            "n_steps=0: must be an integer >= 1",
        ),
        (
            lambda: lt.decoupled_dynamics(Race(1.0, 1.0, 0.0), step=1.0),
            "step=1.0: must be in (0, 0.5]",
        ),
        (
            lambda: lt.hit_rate([1, 2], [1, 2, 3]),
            "final=int32[3]: must have the shape [2]",
        ),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text
