"""Operations counted by hand, and the sizes of the published networks."""

import pytest

from toylab.analysis.certificate_costs import (
    flops_energy,
    flops_pair_forward,
    flops_spectral,
    flops_transformer_forward,
    flops_weights,
)
from toylab.errors import ConfigError
from toylab.models.transformer import Sizes


def test_small_counts_by_hand():
    assert flops_pair_forward(3, 1) == 2 * 9 * (1 + 3 + 1)
    assert flops_weights(3, 2) == 7 * 2 * 2 * 2 * 3
    assert flops_spectral(5) == 1000
    assert flops_energy(5) == 750
    # p = 3, d = 2, one head of 2, m = 3: nine pairs of 4 rows of 6, then 3 neurons on 4 columns.
    pairs = 2 * 9 * (4 * 6 + 3 * 4)
    # W_O on six columns, W_out W_U, and three tokens at two places through W_V and behind it.
    tables = 3 * 2 * (2 * 2 * 6 + 3 * 2 * 3 + 2 * 3 * 2 * (2 + 6))
    assert flops_transformer_forward(Sizes(4, 3, 2, 1, 2, 3)) == pairs + tables == 1476


def test_published_sizes():
    assert flops_pair_forward(113, 256) == pytest.approx(752e6, rel=1e-3)
    assert flops_weights(113, 256) == pytest.approx(104e6, rel=5e-3)
    assert flops_transformer_forward(Sizes(114, 3, 128, 4, 32, 512)) == pytest.approx(
        1.93e9, rel=3e-3
    )
    # Weights alone: about p²/(7m) times less work than all pairs, 7 at p = 113 and 90 at 401.
    for p, gain in ((113, 7), (401, 90)):
        assert flops_pair_forward(p, 256) / flops_weights(p, 256) == pytest.approx(gain, rel=0.04)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: flops_pair_forward(1, 2), "p=1: must be an integer >= 2"),
        (lambda: flops_pair_forward(3, 0), "d_mlp=0: must be an integer >= 1"),
        (lambda: flops_weights(1, 2), "p=1: must be an integer >= 2"),
        (lambda: flops_weights(3, 0), "d_mlp=0: must be an integer >= 1"),
        (lambda: flops_spectral(1), "p=1: must be an integer >= 2"),
        (lambda: flops_energy(1), "p=1: must be an integer >= 2"),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text
