"""What each certificate costs: floating-point operations, a product and a sum counting as two.

Counted is what grows with p² or m², the bound of the rounding error included; exponentials, the
softmax and the search for the largest rival are left out (below 2 % at the published sizes).
"""

from __future__ import annotations

from toylab.analysis.arguments import integer
from toylab.models.transformer import Sizes

__all__ = [
    "flops_energy",
    "flops_pair_forward",
    "flops_spectral",
    "flops_transformer_forward",
    "flops_weights",
]


def flops_pair_forward(p: int, d_mlp: int) -> int:
    """All p² pairs of a two-layer network: 2p²m (p + 2).

    Per pair 2m for the input sum and the activation, 2mp for the logits, 2m for their error bound.

    Args:
        p: the modulus. d_mlp: m, neurons.

    Raises:
        ConfigError: `p=1: must be an integer >= 2`; `d_mlp=0: must be an integer >= 1`.

    Example: 752 MFLOP for p = 113, m = 256.
    """
    p, m = integer("p", p, 2), integer("d_mlp", d_mlp, 1)
    return 2 * p * p * m * (p + 2)


def flops_transformer_forward(sizes: Sizes) -> int:
    """All p² pairs of the one-layer transformer, by tables.

    Pairs: 2p² [(3H + 1)(m + p) + m(p + 1)] for H heads: rows of the tables added up, then the
    neurons' logits and error bound. Tables: 6 [D d (m + p) + m d p + 2p D (d + m + p)] with
    D = H d_head, three products each (values, two for the radius).

    Args:
        sizes: of the transformer; p = d_vocab - 1.

    Example: 1.93 GFLOP for p = 113, d = 128, four heads of 32, m = 512; position by position and
        without tables or error bounds the '=' alone takes 2p² (Dm + Dp + mp) = 3.5 GFLOP.
    """
    p, d, heads, m = sizes.d_vocab - 1, sizes.d_model, sizes.n_heads, sizes.d_mlp
    width, inner = m + p, heads * sizes.d_head
    pairs = 2 * p * p * ((3 * heads + 1) * width + m * (p + 1))
    return pairs + 6 * (inner * d * width + m * d * p + 2 * p * inner * (d + width))


def flops_spectral(p: int) -> int:
    """From the logits' table to a moment of any order: 8p³.

    Class means, differences to the right answer, from the gap, rounding margin, positive part,
    quotient, power and sum: one operation each for every entry of the table.

    Example: 11.5 MFLOP for p = 113, beside the forward pass that makes the table.
    """
    return 8 * integer("p", p, 2) ** 3


def flops_energy(p: int) -> int:
    """From the logits' table to the residual's norm: 6p³.

    Class means, pair means, two differences, square and sum for every entry of the table.

    Example: 8.7 MFLOP for p = 113.
    """
    return 6 * integer("p", p, 2) ** 3


def flops_weights(p: int, d_mlp: int) -> int:
    """Seven Gram matrices of m vectors in p dimensions: 14 m² p.

    Left out: 15 m² for the bracket, 15 m p log₂ p for the transforms.

    Example: 104 MFLOP for p = 113, m = 256, where all pairs take 752.
    """
    p, m = integer("p", p, 2), integer("d_mlp", d_mlp, 1)
    return 14 * m * m * p
