"""Radii against exact arithmetic, and the trusted functions of numpy against decimals."""

import decimal
import math
from fractions import Fraction

import numpy as np
import pytest

from toylab.analysis import rounding as r

SIZES = (1e-12, 1.0, 1e12)


def fractions(array):
    return np.array([Fraction(x) for x in np.ravel(array).tolist()], object).reshape(
        np.shape(array)
    )


def contains(ball, exact):
    middle, radius = fractions(ball.middle), fractions(ball.radius)
    return all(
        abs(x - m) <= q for x, m, q in zip(exact.flat, middle.flat, radius.flat, strict=True)
    )


def anything(generator, *shape):
    return generator.normal(size=shape) * generator.choice(SIZES, shape)


def uncertain(generator, *shape):
    """A ball, and an exact point on its edge or inside."""
    middle, radius = anything(generator, *shape), abs(anything(generator, *shape)) * 1e-9
    where = generator.choice([-1.0, 0.0, 1.0], shape)
    return r.Ball(middle, radius), fractions(middle) + fractions(radius) * fractions(where)


def test_gamma_by_hand():
    assert r.gamma(1) == pytest.approx(2.0**-53, rel=1e-12, abs=0)
    assert r.gamma(512) == pytest.approx(5.684e-14, rel=1e-3, abs=0)


def test_upward_stays_above_what_it_is_given():
    assert r.upward(0.0) > 0
    assert r.upward(1.0) == 1 + 2.0**-20


@pytest.mark.parametrize("seed", range(20))
def test_a_product_of_matrices_stays_in_its_ball(seed):
    generator = np.random.default_rng(seed)
    (left, x), (right, y) = uncertain(generator, 3, 7), uncertain(generator, 7, 2)
    assert contains(r.multiply(left, right), x @ y)
    product = r.multiply(r.exact(left.middle), r.exact(right.middle))
    assert contains(product, fractions(left.middle) @ fractions(right.middle))
    # Not absurd: with exact factors the radius is at most 7 roundings of the absolute values.
    limit = 8 * r.UNIT * (abs(left.middle) @ abs(right.middle))
    assert np.all(product.radius <= limit)


@pytest.mark.parametrize("seed", range(20))
def test_a_sum_stays_in_its_ball(seed):
    generator = np.random.default_rng(seed)
    balls, points = zip(*(uncertain(generator, 4, 5) for _ in range(3)), strict=True)
    assert contains(r.add(*balls), sum(points))
    row, point = uncertain(generator, 1, 5)
    assert contains(r.add(balls[0], row), points[0] + point)


def test_a_root_in_the_denominator_stays_in_its_ball():
    generator = np.random.default_rng(0)
    ball, point = uncertain(generator, 50)
    for n in (2, 3, 32):
        scaled = r.scale(ball, 1 / math.sqrt(n))
        with decimal.localcontext(prec=60):
            root = decimal.Decimal(n).sqrt()
            exact = [Fraction(decimal.Decimal(1) / root) * x for x in point]
        assert contains(scaled, np.array(exact, object))


def decimal_softmax(scores):
    with decimal.localcontext(prec=60, Emin=-400):  # smaller weights are 0
        numbers = [decimal.Decimal(x.numerator) / x.denominator for x in scores]
        weight = [(x - max(numbers)).exp() for x in numbers]
        return [Fraction(x / sum(weight)) for x in weight]


def test_softmax_by_hand():
    ball = r.softmax(r.exact(np.array([[0.0, 0.0], [math.log(3), 0.0]])))
    np.testing.assert_allclose(ball.middle, [[0.5, 0.5], [0.75, 0.25]], rtol=1e-15)
    assert ball.radius[0] == pytest.approx(2.1 * 0.5 * (1.01 * 8 + 3) * 2.0**-53, rel=1e-4, abs=0)


@pytest.mark.parametrize("size", [0.1, 3.0, 40.0, 2000.0, 1e9])
def test_softmax_stays_in_its_ball(size):
    generator = np.random.default_rng(1)
    for _ in range(20):
        middle = size * generator.normal(size=3)
        radius = abs(middle) * 10.0 ** generator.uniform(-17, -1)
        point = fractions(middle) + fractions(radius * generator.choice([-1, 0, 1], 3))
        exact = np.array(decimal_softmax(point), object)
        assert contains(r.softmax(r.Ball(middle, radius)), exact)


def test_softmax_of_exact_scores_counts_the_rounded_difference():
    generator = np.random.default_rng(2)
    for _ in range(200):
        scores = np.append(generator.uniform(-60, -30, 5), 20.3)
        exact = np.array(decimal_softmax(fractions(scores)), object)
        assert contains(r.softmax(r.exact(scores)), exact)


def test_softmax_of_unknown_scores_claims_only_a_share():
    ball = r.softmax(r.Ball(np.array([5.0, 0.0]), np.array([1.0, 1.0])))
    np.testing.assert_array_equal(ball.radius, [1.01, 1.01])


def test_exp_keeps_to_the_trusted_units_in_the_last_place():
    x = np.concatenate([np.linspace(-700, 0, 20001), -np.logspace(-18, 2, 2001)])
    found = np.exp(x)
    with decimal.localcontext(prec=40):
        pairs = zip(found.tolist(), x.tolist(), np.spacing(found).tolist(), strict=True)
        ulps = [
            abs(decimal.Decimal(y) - decimal.Decimal(z).exp()) / decimal.Decimal(unit)
            for y, z, unit in pairs
        ]
    assert max(ulps) <= r.EXP_ULPS / 2  # half of what is trusted


@pytest.mark.parametrize("p", [5, 64, 113, 401, 997])
def test_transforms_keep_to_the_trusted_error(p):
    generator = np.random.default_rng(p)
    x = anything(generator, p).astype(np.longdouble)
    turn = 2 * np.pi * np.longdouble(1) / p
    # π as a float is off by 1.2e-16: its next digits, to long double
    turn += 2 * np.longdouble(1.2246467991473532e-16) / p
    angle = turn * (np.outer(np.arange(p), np.arange(p)) % p).astype(np.longdouble)
    real, imaginary = np.cos(angle) @ x, -np.sin(angle) @ x
    found = np.fft.fft(x.astype(np.float64))
    error = np.hypot(found.real - real, found.imag - imaginary)
    share = np.linalg.norm(error.astype(float)) / np.linalg.norm(np.abs(found))
    assert share < r.FFT_ERROR / 20
    back = np.fft.irfft(np.fft.rfft(x.astype(np.float64)), p)
    assert np.linalg.norm(back - x.astype(float)) < r.FFT_ERROR / 10 * np.linalg.norm(
        x.astype(float)
    )
