"""Parts of the logits against their definition, projected pair by pair in float64."""

import jax
import numpy as np
import pytest

from toylab.analysis import logit_parts as lp
from toylab.analysis.logit_spectrum import answer_table, logit_spectrum


def sums(p):
    n = np.arange(p)
    return (n[:, None] + n[None]) % p


def random_logits(seed, p):
    return np.random.default_rng(seed).normal(size=(p, p, p)).astype(np.float32)


def projected(L, keys, t):
    """C = sum u u^T L / |u|^2 over the p^2 pairs, with no use of how t comes about."""
    p = len(t)
    flat, found = np.asarray(L, np.float64).reshape(p * p, p), 0.0
    for k in keys:
        for u in (np.cos(2 * np.pi * k * t.ravel() / p), np.sin(2 * np.pi * k * t.ravel() / p)):
            found = found + np.outer(u, u @ flat) / (u @ u)
    return np.reshape(found, (p, p, p))


@pytest.mark.parametrize(("p", "keys"), [(11, [2, 5]), (12, [1, 3, 5]), (7, [3])])
def test_key_part_through_the_table_is_the_projection_over_all_pairs(p, keys):
    L = random_logits(0, p)
    expected = projected(L, keys, sums(p))
    np.testing.assert_allclose(lp.key_part(L, keys), expected, atol=1e-5)
    table = lp.key_table(answer_table(L), keys)
    np.testing.assert_allclose(np.asarray(table)[sums(p)], expected, atol=1e-5)


def test_key_part_of_another_operation():
    p, n = 7, np.arange(7)
    products = n[:, None] * n[None] % p
    L = random_logits(1, p)
    np.testing.assert_allclose(
        lp.key_part(L, [1, 2], products), projected(L, [1, 2], products), atol=1e-5
    )


def test_key_part_by_hand():
    p, n = 9, np.arange(9)
    added = np.cos(2 * np.pi * (n[:, None] + n[None]) / p)
    subtracted = np.cos(2 * np.pi * (n[:, None] - n[None]) / p)
    L = np.repeat((added + subtracted)[..., None], p, axis=2)
    np.testing.assert_allclose(lp.key_part(L, [1]), np.repeat(added[..., None], p, 2), atol=1e-6)
    np.testing.assert_allclose(lp.key_part(L, [2]), np.zeros((p, p, p)), atol=1e-6)


def test_key_table_by_hand():
    p, n = 7, np.arange(7)
    wave = np.cos(2 * np.pi * (sums(p)[..., None] - n[None, None]) / p)
    expected = np.cos(2 * np.pi * (n[:, None] - n[None]) / p)
    np.testing.assert_allclose(lp.key_table(answer_table(wave), [1]), expected, atol=1e-6)


def test_key_part_is_a_projection_and_parts_of_different_keys_add_up():
    L = random_logits(2, 11)
    both = lp.key_part(L, [1, 4])
    np.testing.assert_allclose(lp.key_part(both, [1, 4]), both, atol=1e-5)
    np.testing.assert_allclose(lp.key_part(L - both, [1, 4]), np.zeros(L.shape), atol=1e-5)
    np.testing.assert_allclose(lp.key_part(L, [1]) + lp.key_part(L, [4]), both, atol=1e-5)


def test_all_frequencies_leave_what_does_not_depend_on_the_sum_and_the_mean():
    p, L = 7, random_logits(3, 7)
    everything = np.asarray(lp.key_part(L, np.ones(3, bool))) + L.mean((0, 1))[None, None]
    for t in range(p):
        rows = L[sums(p) == t]
        np.testing.assert_allclose(
            everything[sums(p) == t], np.broadcast_to(rows.mean(0), rows.shape), atol=1e-5
        )


def test_answers_on_which_a_wave_vanishes_take_no_part():
    L = random_logits(4, 5)
    part = np.asarray(lp.key_part(L, [1], np.zeros((5, 5), int)))  # cos = 1 and sin = 0 everywhere
    np.testing.assert_allclose(part, np.broadcast_to(L.mean((0, 1)), L.shape), atol=1e-6)


def test_cosine_logits_by_hand():
    p, n = 5, np.arange(5)
    s = sums(p)[..., None] - n[None, None]
    L = 3 * np.cos(2 * np.pi * s / p) + 5
    np.testing.assert_allclose(lp.cosine_logits(L, [1, 2]), L - 5, atol=1e-5)
    np.testing.assert_allclose(lp.cosine_logits(L, [2]), 0 * L, atol=1e-5)


@pytest.mark.parametrize("p", [9, 10])
def test_cosine_logits_against_least_squares(p):
    L, s = random_logits(5, p), sums(p)[..., None] - np.arange(p)[None, None]
    waves = np.stack([np.cos(2 * np.pi * k * s / p).ravel() for k in (1, 3)], axis=1)
    centred = L - L.mean((0, 1), keepdims=True, dtype=np.float64)
    centred -= centred.mean(2, keepdims=True)
    fit, *_ = np.linalg.lstsq(waves, centred.ravel(), rcond=None)
    np.testing.assert_allclose(
        lp.cosine_logits(L, [1, 3]), (waves @ fit).reshape(L.shape), atol=1e-5
    )


def test_cosine_logits_hold_the_cosine_share():
    L = random_logits(6, 11)
    found = logit_spectrum(L)
    kept = np.square(lp.cosine_logits(L, [2, 3])).sum() / found.total
    assert float(kept) == pytest.approx(float(found.cosine_share[1:3].sum()), rel=1e-4)


@pytest.mark.parametrize("part", [lp.key_part, lp.cosine_logits])
def test_keys_as_numbers_as_a_mask_and_under_a_trace(part):
    p, L = 9, random_logits(7, 9)
    expected = np.asarray(part(L, [2, 4]))
    assert expected.shape == (p, p, p)
    mask = np.array([False, True, False, True])
    for found in (
        part(L, mask),
        part(L, mask.astype(np.float32)),
        part(L, [4, 2, 2]),
        jax.jit(part)(L, mask),
        jax.jit(part)(L, np.array([2, 4])),
        jax.vmap(part, (0, None))(L[None], mask)[0],
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(part(L, []), np.zeros((p, p, p)))
    np.testing.assert_allclose(part(L, 0.5 * mask), expected / 2, atol=1e-6)
