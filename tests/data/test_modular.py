"""Answers by hand, and the split."""

import jax
import numpy as np
import pytest

from toylab.data.modular import answers, is_prime, n_train, split


@pytest.mark.parametrize(
    ("task", "a", "b", "right"),
    [("add", 4, 3, 2), ("subtract", 1, 3, 3), ("multiply", 4, 3, 2), ("quadratic", 2, 3, 4)],
)
def test_answers_by_hand(task, a, b, right):
    table = answers(task, 5)
    assert table.shape == (5, 5)
    assert table.dtype == np.int32
    assert table[a, b] == right


def test_published_number_of_training_pairs():
    assert n_train(113, 0.3) == 3830  # Nanda et al. 2023, the released code
    assert n_train(23, 1.0) == 529
    assert n_train(10, 0.29) == 29  # 0.29 * 100 is 28.999... in binary
    assert n_train(3, 1e-6) == 1


def test_every_pair_is_in_one_part(key):
    parts = split(11, 0.4, key)
    assert parts.train.shape == (48,)
    both = np.concatenate([parts.train, parts.test])
    assert sorted(both) == list(range(121))
    assert (np.diff(np.asarray(parts.train)) > 0).all()
    other = split(11, 0.4, jax.random.key(1))
    assert set(parts.train.tolist()) != set(other.train.tolist())


def test_every_pair_is_equally_likely():
    counts = np.zeros(25)
    draw = jax.jit(jax.vmap(lambda k: split(5, 0.4, k).train))
    np.add.at(counts, np.asarray(draw(jax.random.split(jax.random.key(0), 2000))).ravel(), 1)
    # Binomial(2000, 0.4) has standard deviation 22; five of them over 25 counts.
    assert np.abs(counts - 800).max() < 110


def test_primes():
    assert [n for n in range(30) if is_prime(n)] == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert is_prime(113)
    assert not is_prime(121)
