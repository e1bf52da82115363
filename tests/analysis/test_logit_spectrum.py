"""The logits' waves: planted cases, the definition by brute force in float64, symmetries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab.analysis import logit_spectrum as ls
from toylab.errors import ConfigError, ConfigTypeError


def offset(p):
    """(a + b - c) mod p as [p, p, p]."""
    n = np.arange(p)
    return (n[:, None, None] + n[None, :, None] - n[None, None, :]) % p


def wave(p, k, s=None, shift=0.0):
    return np.cos(2 * np.pi * k * (offset(p) if s is None else s) / p + shift)


def noise(seed, p, size=1.0):
    return size * np.random.default_rng(seed).normal(size=(p, p, p))


def planted(p, keys, size=0.3, seed=0):
    """Key waves, noise, a bias for each output and one for each pair."""
    generator = np.random.default_rng(seed + 100)
    waves = sum((3 + i) * wave(p, k) for i, k in enumerate(keys))
    biases = generator.normal(size=p)[None, None] + 2 * generator.normal(size=(p, p))[..., None]
    return (waves + noise(seed, p, size) + biases).astype(np.float32)


def centred(L):
    L = np.asarray(L, np.float64)
    L = L - L.mean((0, 1), keepdims=True)
    return L - L.mean(2, keepdims=True)


def explained_by_regression(L, k, s=None):
    """The share of |Lc|^2 in the p^3 vectors cos w_k s and sin w_k s, one after the other."""
    p, Lc = len(L), centred(L)
    parts = [
        np.vdot(Lc, u) ** 2 / np.vdot(u, u)
        for u in (wave(p, k, s), wave(p, k, s, shift=-np.pi / 2))
    ]
    return np.array(parts) / np.vdot(Lc, Lc)


def test_one_cosine_by_hand():
    found = ls.logit_spectrum(3 * wave(5, 1))
    np.testing.assert_allclose(found.energy, [9 * 125 / 2, 0], atol=1e-3)
    np.testing.assert_allclose(found.share, [1, 0], atol=1e-5)
    np.testing.assert_allclose(found.cosine_share, [1, 0], atol=1e-5)
    np.testing.assert_allclose(found.amplitude, [3, 0], atol=1e-6)
    np.testing.assert_allclose(
        found.class_means, 3 * np.cos(2 * np.pi * np.arange(5) / 5), atol=1e-6
    )
    assert float(found.total) == pytest.approx(9 * 125 / 2, rel=1e-6)


def test_class_means_of_the_indicator_by_hand():
    p = 7
    np.testing.assert_allclose(
        ls.class_means(1.0 * (offset(p) == 0)), [1 - 1 / p] + [-1 / p] * (p - 1), atol=1e-6
    )


def test_the_indicator_has_all_frequencies_alike():
    share = np.asarray(ls.logit_spectrum((offset(11) == 0).astype(np.float32)).share)
    np.testing.assert_allclose(share, 1 / 5, rtol=1e-4)


def test_a_shifted_wave_is_energy_but_no_cosine():
    found = ls.logit_spectrum(wave(9, 2, shift=0.5))
    np.testing.assert_allclose(found.share, [0, 1, 0, 0], atol=1e-5)
    np.testing.assert_allclose(found.cosine_share[1], np.cos(0.5) ** 2, rtol=1e-5)
    np.testing.assert_allclose(found.amplitude[1], np.cos(0.5), rtol=1e-5)


@pytest.mark.parametrize("p", [11, 12])
def test_spectrum_against_regression_on_all_logits(p):
    L = planted(p, [1, 4])
    found = ls.logit_spectrum(L)
    parts = np.array([explained_by_regression(L, k) for k in range(1, (p - 1) // 2 + 1)])
    np.testing.assert_allclose(found.share, parts.sum(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.cosine_share, parts[:, 0], rtol=1e-4, atol=1e-6)
    assert float(found.total) == pytest.approx(np.square(centred(L)).sum(), rel=1e-5)
    masks = [centred(L)[offset(p) == s].mean() for s in range(p)]
    np.testing.assert_allclose(found.class_means, masks, atol=1e-5)


@pytest.mark.parametrize("keys", [[2], [5, 14, 29]], ids=str)
def test_planted_keys_are_found_and_explain_what_they_do(keys):
    """k = K = 29, which a range that ends at p // 2 would miss, is among them."""
    L = planted(59, keys)
    found = ls.key_frequencies(L)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == keys
    expected = sum(explained_by_regression(L, k).sum() for k in keys)
    assert float(ls.fraction_explained(L, keys)) == pytest.approx(expected, rel=1e-5)
    assert expected > 0.95


def test_a_table_learned_by_heart_has_no_keys():
    p, generator = 59, np.random.default_rng(1)
    L = generator.normal(size=(p, p, p))
    L[(offset(p) == 0) & (generator.random((p, p)) < 0.3)[..., None]] += 10
    assert ls.key_frequencies(L).tolist() == []
    assert float(ls.fraction_explained(L, np.ones(29, bool))) < 0.2


@pytest.mark.parametrize(("p", "fraction"), [(23, 0.5), (59, 0.4)])
def test_a_table_without_noise_has_its_fraction_of_every_frequency_alike(p, fraction):
    """At small p that is more than 1 %: a rule on shares alone would call all of them keys."""
    trained = np.random.default_rng(2).random((p, p)) < fraction
    share = np.asarray(ls.logit_spectrum(10.0 * (offset(p) == 0) * trained[..., None]).share)
    np.testing.assert_allclose(share, trained.mean() / ((p - 1) // 2), rtol=0.2)
    assert share.min() > 0.01


def test_the_threshold_is_a_share():
    L = 2 * wave(7, 1) + wave(7, 3)
    np.testing.assert_allclose(ls.logit_spectrum(L).share, [0.8, 0, 0.2], atol=1e-5)
    assert ls.key_frequencies(L).tolist() == [1, 3]
    assert ls.key_frequencies(L, threshold=0.5).tolist() == [1]
    assert ls.key_frequencies(L, threshold=0.9).tolist() == []
    assert float(ls.fraction_explained(L, [1])) == pytest.approx(0.8, rel=1e-5)
    assert float(ls.fraction_explained(L, [])) == 0.0


def test_biases_of_outputs_and_of_pairs_are_no_part_of_the_spectrum():
    p = 13
    L, generator = planted(p, [3]), np.random.default_rng(2)
    biased = L + 30 * generator.normal(size=p)[None, None] + 9 * generator.normal(size=(p, p, 1))
    np.testing.assert_allclose(
        ls.logit_spectrum(biased).share, ls.logit_spectrum(L).share, atol=1e-4
    )
    # With the biases of outputs left in the total, the share would be far lower.
    over_outputs = biased - biased.mean(2, keepdims=True)
    left_in = float(ls.logit_spectrum(biased).energy[2]) / np.square(over_outputs).sum()
    assert left_in < 0.1 < 0.9 < float(ls.fraction_explained(biased, [3]))


def test_logits_without_variance_have_no_share():
    p = 5
    flat = np.broadcast_to(np.arange(p, dtype=np.float32)[None, None], (p, p, p))
    for L in (np.zeros((p, p, p)), flat):
        found = ls.logit_spectrum(L)
        assert all(not np.asarray(field).any() for field in found)
        assert ls.key_frequencies(L).tolist() == []


def test_shifting_the_numbers_changes_nothing():
    L = planted(11, [2, 5])
    shifted = np.roll(L, (3, 4, 7), axis=(0, 1, 2))  # a + 3, b + 4, c + 7
    for before, after in zip(ls.logit_spectrum(L), ls.logit_spectrum(shifted), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_multiplying_the_numbers_permutes_the_frequencies():
    p, m = 11, 3
    L, order = planted(p, [2, 5]), (m * np.arange(p)) % p
    stretched = L[order][:, order][:, :, order]  # at (a, b, c) the logit of (3a, 3b, 3c)
    folded = [min(m * k % p, p - m * k % p) for k in range(1, 6)]
    expected = np.zeros(5)
    expected[np.array(folded) - 1] = ls.logit_spectrum(L).share
    np.testing.assert_allclose(ls.logit_spectrum(stretched).share, expected, atol=1e-5)


def test_another_operation_is_read_by_its_answers():
    p, n = 11, np.arange(11)
    minus, times = (n[:, None] - n[None]) % p, (n[:, None] * n[None]) % p
    L = planted(p, [4])
    subtract = L[:, (-n) % p]  # the pair (a, b) of the difference is the pair (a, -b) of the sum
    np.testing.assert_allclose(
        ls.logit_spectrum(subtract, minus).share, ls.logit_spectrum(L).share, atol=1e-5
    )
    assert ls.key_frequencies(subtract, answers=minus).tolist() == [4]
    assert ls.key_frequencies(subtract, 0.1).tolist() == []
    s = (times[..., None] - n[None, None]) % p
    L = wave(p, 2, s) + noise(3, p, 0.5)
    expected = [explained_by_regression(L, k, s).sum() for k in range(1, 6)]
    np.testing.assert_allclose(ls.logit_spectrum(L, times).share, expected, atol=1e-3)
    assert ls.key_frequencies(L, 0.1, times).tolist() == [2]


def test_answer_table_by_hand_and_by_loops():
    p = 7
    exact = ls.answer_table(wave(p, 1))
    n = np.arange(p)
    np.testing.assert_allclose(exact.mean, np.cos(2 * np.pi * (n[:, None] - n) / p), atol=1e-6)
    np.testing.assert_array_equal(exact.pairs, np.full(p, p))
    L, products = noise(4, p), (n[:, None] * n[None]) % p
    found = ls.answer_table(L, products)
    assert np.asarray(found.pairs).tolist() == [13] + [6] * 6
    for t in range(p):
        rows = [L[a, b] for a in range(p) for b in range(p) if a * b % p == t]
        np.testing.assert_allclose(found.mean[t], np.mean(rows, axis=0), atol=1e-5)


def test_answers_that_never_occur_have_an_empty_row():
    table = ls.answer_table(np.ones((3, 3, 3)), np.zeros((3, 3), int))
    np.testing.assert_array_equal(table.pairs, [9, 0, 0])
    np.testing.assert_array_equal(table.mean, [[1] * 3, [0] * 3, [0] * 3])


def test_plane_spectrum_by_hand():
    p, k = 7, 2
    found = ls.plane_spectrum(wave(p, k))
    expected = np.zeros((p, p))
    expected[3:5, 3:5] = p**3 / 8
    np.testing.assert_allclose(found.energy, expected, atol=1e-3)
    np.testing.assert_allclose(found.share, [0, 1, 0], atol=1e-5)
    assert float(found.total) == pytest.approx(p**3 / 2, rel=1e-5)


@pytest.mark.parametrize("p", [7, 8])
def test_plane_spectrum_against_products_of_waves(p):
    L = planted(p, [1, 3], size=2.0)
    found, Lc, n, K = ls.plane_spectrum(L), centred(L), np.arange(p), (p - 1) // 2
    share = np.zeros(K)
    for k in range(1, K + 1):
        waves = [np.cos(2 * np.pi * k * n / p), np.sin(2 * np.pi * k * n / p)]
        for u in waves:
            for v in waves:
                product = np.outer(u, v) / (p / 2)
                share[k - 1] += np.square(np.einsum("ab,abc->c", product, Lc)).sum()
    np.testing.assert_allclose(found.share, share / np.square(Lc).sum(), rtol=1e-4)
    assert float(found.total) == pytest.approx(np.square(Lc).sum(), rel=1e-5)
    assert float(found.energy[0, 0]) == pytest.approx(0, abs=1e-4)


def test_plane_share_includes_waves_of_the_difference():
    p, n = 9, np.arange(9)
    difference = np.cos(2 * np.pi * 2 * (n[:, None] - n[None]) / p)
    L = wave(p, 2) + difference[..., None] * np.cos(n)[None, None]
    np.testing.assert_allclose(ls.plane_spectrum(L).share, [0, 1, 0, 0], atol=1e-5)
    assert float(ls.fraction_explained(L, [2])) < 0.7


def test_plane_spectrum_of_exchanged_inputs_is_transposed():
    L = planted(7, [2], size=1.0)
    found = ls.plane_spectrum(L.transpose(1, 0, 2))
    np.testing.assert_allclose(found.energy, ls.plane_spectrum(L).energy.T, rtol=1e-3, atol=1e-3)


SINGLE = [
    ls.class_means,
    ls.logit_spectrum,
    ls.plane_spectrum,
    ls.answer_table,
    lambda L: ls.fraction_explained(L, [1, 2]),
    lambda L: ls.fraction_explained(L, ls.logit_spectrum(L).share > 0.05),
]


@pytest.mark.parametrize("measure", SINGLE)
def test_snapshots_are_a_vmap_and_traces_agree(measure):
    stack = np.stack([planted(5, [i + 1], seed=i) for i in range(2)])
    one_by_one = jax.tree.map(lambda *leaves: np.stack(leaves), *[measure(L) for L in stack])
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    jax.tree.map(close, jax.vmap(measure)(stack), one_by_one)
    jax.tree.map(lambda got, want: close(got, want[1]), jax.jit(measure)(stack[1]), one_by_one)


@pytest.mark.parametrize("p", [5, 8])
def test_documented_shapes(p):
    K, cube = (p - 1) // 2, jax.ShapeDtypeStruct((p, p, p), jnp.float32)
    shapes = lambda measure: [leaf.shape for leaf in jax.eval_shape(measure, cube)]  # noqa: E731
    assert shapes(ls.logit_spectrum) == [(p,), (K,), (K,), (K,), (K,), ()]
    assert shapes(ls.plane_spectrum) == [(p, p), (K,), ()]
    assert shapes(ls.answer_table) == [(p, p), (p,)]
    assert jax.eval_shape(ls.class_means, cube).shape == (p,)


def test_key_frequencies_need_values():
    with pytest.raises(ConfigTypeError) as caught:
        jax.jit(ls.key_frequencies)(np.zeros((3, 3, 3)))
    assert str(caught.value) == (
        "logits are traced: how many keys there are depends on their values; "
        "use the mask logit_spectrum(logits).share > threshold"
    )
    with pytest.raises(ConfigError) as caught:
        ls.key_frequencies(np.zeros((3, 3, 3)), threshold=1.0)
    assert str(caught.value) == "threshold=1.0: must be in [0, 1)"


@pytest.mark.parametrize("measure", SINGLE)
def test_what_is_no_cube_of_logits_is_refused(measure):
    with pytest.raises(ConfigError) as caught:
        measure(np.ones((5, 5, 4), np.float32))
    assert str(caught.value) == (
        "logits=float32[5, 5, 4]: must have the shape [p, p, p] with p >= 3"
    )
