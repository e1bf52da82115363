"""Planted circuits with known answers, loops and least squares in float64, and symmetries."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis import clock_pizza as c
from toylab.errors import ConfigError, ConfigTypeError


def wave(k, p, phase=0.0):
    return np.cos(2 * np.pi * k * np.arange(p) / p + phase)


def circle(k, p):
    return np.stack([wave(k, p), wave(k, p, -np.pi / 2)], axis=1)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rotated(W_E, seed=0, d_model=16):
    """The same points in another basis of a larger space."""
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.normal(size=(d_model, d_model)))[0]
    return (W_E @ turn[: W_E.shape[1]] + generator.normal(size=d_model)).astype(np.float32)


PLANTED = {
    "clock": lambda k, p, a, b, c: math.cos(2 * math.pi * k * (a + b - c) / p),
    "pizza": lambda k, p, a, b, c: (
        abs(math.cos(math.pi * k * (a - b) / p))
        * (
            abs(math.cos(math.pi * k * (a + b - c) / p))
            - abs(math.sin(math.pi * k * (a + b - c) / p))
        )
    ),
    "accompanying": lambda k, p, a, b, c: (
        -math.cos(2 * math.pi * k * (2 * a - c) / p) - math.cos(2 * math.pi * k * (2 * b - c) / p)
    ),
}
FAMILIES = {"clock": c.clock_logits, "pizza": c.pizza_logits, "accompanying": c.accompanying_logits}


def planted_by_loops(family, k, p):
    """The definition at every (a, b, c), not reduced modulo p."""
    triples = itertools.product(range(p), repeat=3)
    return np.array([PLANTED[family](k, p, *triple) for triple in triples]).reshape(p, p, p)


def centred(L):
    L = np.asarray(L, np.float64)
    return L - L.mean((0, 1), keepdims=True) - L.mean(2, keepdims=True) + L.mean()


def share_by_least_squares(L, family, keys):
    target = centred(L).reshape(-1)
    terms = [centred(planted_by_loops(family, k, len(L))).reshape(-1) for k in keys]
    design = np.stack(terms, axis=1)
    fit = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    return fit @ fit / (target @ target)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("p", "k"), [(3, 1), (7, 2), (9, 4)])
def test_planted_logits_against_loops(family, p, k):
    found = FAMILIES[family](p, k)
    np.testing.assert_allclose(found, planted_by_loops(family, k, p), atol=1e-5)
    several = FAMILIES[family](p, [[k, 1]])
    assert several.shape == (1, 2, p, p, p)
    np.testing.assert_array_equal(several[0, 0], found)
    np.testing.assert_array_equal(jax.jit(FAMILIES[family], static_argnums=0)(p, k), found)


def test_planted_logits_by_hand():
    """p = 3, k = 1, at (a, b) = (1, 1), right answer 2, and (0, 1), right answer 1."""
    low = 0.5 - math.sqrt(0.75)
    clock, pizza, accompanying = (f(3, 1) for f in FAMILIES.values())
    np.testing.assert_allclose(clock[1, 1], [-0.5, -0.5, 1], atol=1e-6)
    np.testing.assert_allclose(clock[0, 1], [-0.5, 1, -0.5], atol=1e-6)
    np.testing.assert_allclose(pizza[1, 1], [low, low, 1], atol=1e-6)
    np.testing.assert_allclose(pizza[0, 1], [low / 2, 0.5, low / 2], atol=1e-6)
    np.testing.assert_allclose(accompanying[1, 1], [1, 1, -2], atol=1e-6)
    np.testing.assert_allclose(accompanying[0, 1], [-0.5, 1, -0.5], atol=1e-6)


@pytest.mark.parametrize("family", ["clock", "pizza"])
def test_both_circuits_add_for_every_pair(family):
    p = 11
    answers = np.add.outer(np.arange(p), np.arange(p)) % p
    np.testing.assert_array_equal(FAMILIES[family](p, 3).argmax(2), answers)


def test_correct_logits_by_hand():
    """p = 3: sums and differences of (0, 0), (2, 2), (1, 1) have δ = 0 and σ = 0, 1, 2."""
    logits = np.zeros((3, 3, 3))
    logits[0, 0, 0], logits[2, 2, 1], logits[1, 1, 2], logits[1, 0, 1] = 1, 2, 3, 4
    np.testing.assert_array_equal(c.correct_logits(logits), [[1, 0, 0], [2, 4, 0], [3, 0, 0]])


def test_correct_logits_against_loops_for_any_task():
    p, logits = 7, normal(0, 7, 7, 7)
    a, b = np.mgrid[:p, :p]
    for answers in (None, (a - b) % p, (a * a + a * b + b * b) % p):
        right = (a + b) % p if answers is None else answers
        expected = np.zeros((p, p), np.float32)
        for x, y in itertools.product(range(p), repeat=2):
            expected[(x + y) % p, (x - y) % p] = logits[x, y, right[x, y]]
        np.testing.assert_array_equal(c.correct_logits(logits, answers), expected)


def test_distance_irrelevance_by_hand():
    logits = np.zeros((3, 3, 3), np.float32)
    logits[1, 2, 0] = 1.0
    assert float(c.distance_irrelevance(logits)) == pytest.approx(0.5, rel=1e-5)


def test_distance_irrelevance_of_planted_circuits():
    p = 13
    by_sum = np.add.outer(np.arange(p), np.arange(p)) % p
    right = by_sum[..., None] == np.arange(p)
    uneven = c.clock_logits(p, 2) + right * np.sin(by_sum)[..., None]  # depends on the sum alone
    assert float(c.distance_irrelevance(uneven)) == pytest.approx(1, rel=1e-5)
    assert float(c.distance_irrelevance(c.clock_logits(p, 2))) == 1.0
    assert float(c.distance_irrelevance(np.zeros((p, p, p)))) == 1.0
    pizza = c.pizza_logits(p, 2) + 0.3 * c.pizza_logits(p, 5) + c.accompanying_logits(p, 1)
    assert float(c.distance_irrelevance(pizza)) == pytest.approx(0, abs=1e-5)


def test_distance_irrelevance_against_loops():
    p, logits = 9, normal(1, 9, 9, 9)
    spreads = [
        np.std([logits[a, (a - d) % p, (2 * a - d) % p] for a in range(p)]) for d in range(p)
    ]
    right = [logits[a, b, (a + b) % p] for a in range(p) for b in range(p)]
    expected = np.mean(spreads) / np.std(right)
    assert float(c.distance_irrelevance(logits)) == pytest.approx(expected, rel=1e-5)


def test_distance_irrelevance_ignores_scale_offset_shifts_and_wrong_logits():
    p, logits = 7, normal(2, 7, 7, 7)
    value = float(c.distance_irrelevance(logits))
    a, b = np.mgrid[:p, :p]
    right = ((a + b) % p)[..., None] == np.arange(p)
    shifted = np.roll(logits, (2, 3, 5), axis=(0, 1, 2))
    for same in (1e20 * logits, logits + 40, np.where(right, logits, 9.0), shifted):
        assert float(c.distance_irrelevance(same)) == pytest.approx(value, rel=1e-4)
    swapped = c.distance_irrelevance(logits.transpose(1, 0, 2))
    assert float(swapped) == pytest.approx(value, rel=1e-5)


def test_distance_irrelevance_follows_the_given_answers():
    """The right logit of cos w_k(a - b - c) is constant for subtraction, not for addition."""
    p = 7
    a, b, out = np.ogrid[:p, :p, :p]
    logits = np.cos(2 * np.pi * (a - b - out) / p)
    assert float(c.distance_irrelevance(logits, (a - b)[..., 0] % p)) == 1.0
    assert float(c.distance_irrelevance(logits)) > 0.5


def test_circularity_by_hand():
    p = 11
    assert float(c.circularity(circle(3, p))) == pytest.approx(1, abs=1e-5)
    assert float(c.circularity(rotated(circle(3, p)))) == pytest.approx(1, abs=1e-5)
    two = np.concatenate([2 * circle(1, p), circle(4, p)], axis=1)
    assert float(c.circularity(rotated(two))) == pytest.approx(1, abs=1e-4)
    mixed = (wave(1, p) + wave(2, p))[:, None]
    assert float(c.circularity(mixed)) == pytest.approx(1 / 2, rel=1e-5)
    pair = np.stack([2 * wave(1, p) + wave(2, p), 0.1 * wave(5, p)], axis=1)
    assert float(c.circularity(pair)) == pytest.approx((4 / 5 + 1) / 2, rel=1e-4)
    assert float(c.circularity(np.ones((p, 3)))) == 0.0
    assert float(c.circularity(np.zeros((p, 3)))) == 0.0


def test_circularity_of_equal_circles_is_lower():
    """Five circles of one size: the first four components are arbitrary mixtures of waves."""
    p = 23
    equal = np.concatenate([circle(k, p) for k in range(1, 6)], axis=1)
    noisy = rotated(equal + 1e-3 * normal(3, *equal.shape))
    assert 0.2 < float(c.circularity(noisy)) < 0.95


@pytest.mark.parametrize("p", [9, 10])
def test_circularity_against_loops(p):
    W_E = normal(4, p, 6).astype(np.float64)
    centred_rows = W_E - W_E.mean(0)
    directions = np.linalg.eigh(centred_rows.T @ centred_rows)[1][:, ::-1]
    found = []
    for v in (centred_rows @ directions).T[:4]:
        power = [
            2 * abs(sum(v[j] * np.exp(2j * np.pi * k * j / p) for j in range(p))) ** 2 / (p * v @ v)
            for k in range(1, (p - 1) // 2 + 1)
        ]
        found.append(min(max(power), 1))
    assert float(c.circularity(W_E)) == pytest.approx(np.mean(found), rel=1e-4)


def test_circularity_ignores_rotation_offset_scale_and_relabelling():
    p, W_E = 11, normal(5, 11, 6)
    value = float(c.circularity(W_E))
    renamed = W_E[3 * np.arange(p) % p]  # multiplies every frequency
    for same in (rotated(W_E), 1e20 * W_E, np.roll(W_E, 4, axis=0), renamed):
        assert float(c.circularity(same)) == pytest.approx(value, rel=1e-4)


def test_gradient_symmetricity_of_planted_functions(key):
    """A function of the sum has equal gradients, of the difference opposite ones."""
    p, W_E, out = 7, normal(6, 7, 5), jnp.asarray(normal(7, 5, 7))
    for n_triples in (1, 100):
        symmetric = c.gradient_symmetricity(lambda a, b: jnp.tanh(a + b) @ out, W_E, key, n_triples)
        assert float(symmetric) == pytest.approx(1, abs=1e-5)
    opposite = c.gradient_symmetricity(lambda a, b: jnp.tanh(a - b) @ out, W_E, key)
    assert float(opposite) == pytest.approx(-1, abs=1e-5)
    apart = c.gradient_symmetricity(lambda a, b: a[:1] + b[1:2] + jnp.zeros(p), W_E, key)
    assert float(apart) == 0.0
    blind = c.gradient_symmetricity(lambda a, b: jax.nn.relu(a - a - 1) @ out + b @ out, W_E, key)
    assert float(blind) == 0.0


def test_gradient_symmetricity_by_hand(key):
    """Gradients (3, 4) and (4, 3) at every triple: cosine 24/25."""
    found = c.gradient_symmetricity(
        lambda a, b: (3 * a[0] + 4 * a[1] + 4 * b[0] + 3 * b[1]) * jnp.ones(5), np.ones((5, 2)), key
    )
    assert float(found) == pytest.approx(24 / 25, rel=1e-5)


def test_gradient_symmetricity_against_finite_differences(key):
    """All 27 triples in float64; 20,000 draws come within 4 standard errors of their mean."""
    p, d, step = 3, 4, 1e-6
    W_E, A, B = normal(8, p, d), normal(9, d, p), normal(10, d, p)

    def logits_of(a, b, xp=np):
        return xp.tanh(a @ A + xp.square(b) @ B)

    cosines = []
    for x, y, out in itertools.product(range(p), repeat=3):
        a, b, shifts = W_E[x].astype(np.float64), W_E[y].astype(np.float64), step * np.eye(d)
        of_a = [logits_of(a + h, b)[out] - logits_of(a - h, b)[out] for h in shifts]
        of_b = [logits_of(a, b + h)[out] - logits_of(a, b - h)[out] for h in shifts]
        cosines.append(np.dot(of_a, of_b) / (np.linalg.norm(of_a) * np.linalg.norm(of_b)))
    found = c.gradient_symmetricity(lambda a, b: logits_of(a, b, jnp), W_E, key, 20_000)
    assert abs(float(found) - np.mean(cosines)) < 4 * np.std(cosines) / math.sqrt(20_000)


def test_gradient_symmetricity_is_the_same_in_a_rotated_space_and_for_swapped_inputs(key):
    W_E, out = normal(11, 5, 4), jnp.asarray(normal(12, 4, 5))
    turn = np.linalg.qr(normal(13, 4, 4))[0].astype(np.float32)

    def network(a, b):
        return jnp.tanh(a + 0.3 * b**2) @ out

    value = float(c.gradient_symmetricity(network, W_E, key))
    turned = c.gradient_symmetricity(lambda a, b: network(a @ turn.T, b @ turn.T), W_E @ turn, key)
    assert float(turned) == pytest.approx(value, abs=1e-4)
    traced = jax.jit(lambda W, k: c.gradient_symmetricity(network, W, k))(W_E, key)
    assert float(traced) == pytest.approx(value, abs=1e-5)
    assert 0.05 < abs(value) < 0.95


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_explains_itself(family):
    p, index = 11, list(FAMILIES).index(family)
    logits = 3 * FAMILIES[family](p, 2) - 2 * FAMILIES[family](p, 5) + normal(14, 1, 1, p) + 7
    assert float(c.planted_shares(logits, [2, 5])[index]) == pytest.approx(1, abs=1e-4)
    alone = [c.planted_shares(logits, [k])[index] for k in (2, 5)]
    assert 0.6 < float(alone[0]) < 0.8  # 9/13 of it, the families' own overlaps aside
    assert 0.2 < float(alone[1]) < 0.4


def test_shares_of_a_clock_by_hand():
    """cos w_k s is orthogonal to the accompanying cos w_k δ cos w_k s, and to other frequencies."""
    p = 13
    shares = c.planted_shares(2 * c.clock_logits(p, 1) + c.clock_logits(p, 4), [1])
    assert float(shares.clock) == pytest.approx(4 / 5, rel=1e-5)
    assert float(shares.accompanying) == pytest.approx(0, abs=1e-6)
    assert 0.6 < float(shares.pizza) < 0.66  # about 80.4 % of the 4/5


def test_a_clock_explains_four_fifths_of_a_pizza():
    """256/(9π⁴(1 - 2/π)), the integral over both angles, which a large p approaches."""
    limit = 256 / (9 * math.pi**4 * (1 - 2 / math.pi))
    shares = c.planted_shares(c.pizza_logits(59, 7), [7])
    assert limit == pytest.approx(0.804, abs=5e-4)
    assert float(shares.clock) == pytest.approx(limit, abs=2e-3)
    assert float(shares.pizza) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("p", "keys"), [(3, [1]), (7, [2]), (9, [1, 4]), (9, [1, 2, 3, 4])])
def test_shares_against_least_squares(p, keys):
    logits = normal(15, p, p, p) + np.asarray(c.pizza_logits(p, 1) + c.accompanying_logits(p, 1))
    shares = c.planted_shares(logits, keys)
    for family, found in zip(FAMILIES, shares, strict=True):
        expected = share_by_least_squares(logits, family, keys)
        assert float(found) == pytest.approx(expected, rel=1e-3)


def test_shares_ignore_scale_biases_and_shifts():
    p, logits = 9, normal(16, 9, 9, 9) + np.asarray(c.clock_logits(9, 2))
    shares = c.planted_shares(logits, [2])
    of_outputs, of_pairs = normal(17, 1, 1, p), normal(18, p, p, 1)
    for same in (1e3 * logits, logits + of_outputs + of_pairs, logits.transpose(1, 0, 2)):
        np.testing.assert_allclose(c.planted_shares(same, [2]), shares, rtol=1e-3)
    moved = np.roll(logits, (2, 2, 4), axis=(0, 1, 2))  # a, b and c = a + b move together
    np.testing.assert_allclose(c.planted_shares(moved, [2]), shares, rtol=1e-4)


def test_shares_take_keys_in_any_form_and_traces_agree():
    logits = normal(19, 7, 7, 7)
    shares = c.planted_shares(logits, [1, 3])
    for keys in ([3, 1, 3], [True, False, True], np.array([1.0, 0.0, 1.0])):
        np.testing.assert_allclose(c.planted_shares(logits, keys), shares, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(c.planted_shares)(logits, np.array(keys)), shares, 1e-5)
    each = jax.vmap(lambda mask: c.planted_shares(logits, mask))(jnp.eye(3))
    one_by_one = [c.planted_shares(logits, [k]) for k in (1, 2, 3)]
    np.testing.assert_allclose(np.stack(each, 1), np.array(one_by_one), rtol=1e-5)


def test_shares_without_variance_or_keys_are_zero():
    biases = np.broadcast_to(normal(20, 1, 1, 7), (7, 7, 7))
    for logits in (np.zeros((7, 7, 7)), biases, biases.transpose(0, 2, 1), np.full((7, 7, 7), 0.1)):
        assert [float(x) for x in c.planted_shares(logits, [1, 2])] == [0, 0, 0]
    assert [float(x) for x in c.planted_shares(normal(21, 7, 7, 7), [])] == [0, 0, 0]


EVEN = "p=4: must be odd, or sum and difference do not tell the pair"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: c.correct_logits(np.ones((4, 4, 4))), ConfigError, EVEN),
        (lambda: c.distance_irrelevance(np.ones((4, 4, 4))), ConfigError, EVEN),
        (lambda: c.planted_shares(np.ones((4, 4, 4)), [1]), ConfigError, EVEN),
        (lambda: c.clock_logits(4, 1), ConfigError, EVEN),
        (lambda: c.pizza_logits(1, 1), ConfigError, "p=1: must be an integer >= 3"),
        (lambda: c.clock_logits(5, 3), ConfigError, "frequency=3: must be an integer in 1..2"),
        (
            lambda: c.accompanying_logits(5, 1.0),
            ConfigTypeError,
            "frequency=float32[]: must be an array of integers",
        ),
        (
            lambda: c.planted_shares(np.ones((5, 5, 5)), [0]),
            ConfigError,
            "keys[0]=0: must be an integer in 1..2",
        ),
        (
            lambda: c.distance_irrelevance(np.ones((5, 5), np.float32)),
            ConfigError,
            "logits=float32[5, 5]: must have the shape [p, p, p] with p >= 3",
        ),
        (
            lambda: c.distance_irrelevance(np.ones((3, 3, 3)), np.full((3, 3), 3)),
            ConfigError,
            "answers[0, 0]=3: must be an integer in 0..2",
        ),
        (
            lambda: c.circularity(np.ones(3, np.float32)),
            ConfigError,
            "W_E=float32[3]: must have the shape [p, d_model] with d_model >= 1, p >= 1",
        ),
        (lambda: c.circularity(np.ones((2, 3))), ConfigError, "p=2: must be an integer >= 3"),
        (
            lambda: c.gradient_symmetricity(lambda a, b: a + b, np.ones((5, 3)), jax.random.key(0)),
            ConfigError,
            "logits_of -> float32[3]: must return one logit for each row of W_E, [5]",
        ),
        (
            lambda: c.gradient_symmetricity(
                lambda a, b: a + b, np.ones((3, 3)), jax.random.key(0), 0
            ),
            ConfigError,
            "n_triples=0: must be an integer >= 1",
        ),
    ],
)
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
