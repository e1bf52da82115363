"""The energy bound of a quadratic network from its weights, without looking at a single pair.

L(a, b, c) = Σ_i u_i(c) (a_i(a) + b_i(b))², with u centred over c. Then ‖L‖² is a sum over pairs of
neurons of G_ij = ⟨u_i, u_j⟩ times the sum over all (a, b) of the two squares' product, six products
of Gram matrices; and g, the mean over a + b - c = s, keeps the cross term 2 a_i b_i alone, whose
transform is a product of transforms:

    ‖L‖² = Σ_ij G_ij [p⟨a_i², a_j²⟩ + p⟨b_i², b_j²⟩ + 4⟨a_i, a_j⟩⟨b_i, b_j⟩ + 2 Σa_i² Σb_j²
                      + 4⟨a_i², a_j⟩Σb_j + 4⟨b_i², b_j⟩Σa_j]
    g = (2/p²) IFFT(Σ_i â_i b̂_i conj û_i),    ‖R‖² = ‖L‖² - p² Σ_s g²,    errors ≤ 2‖R‖² / min gap².

Rounding. By Cauchy and Schwarz the sum of absolute values behind ‖L‖² is at most a polynomial in
sums of norms over neurons, so its error bound takes O(m p) work; that of g takes the accuracy of
the transform for granted (`rounding.FFT_ERROR`).

Source: the expansion of the square, by hand; reference numbers in the tests by enumeration.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from toylab.analysis.certificate_forward import PairWeights
from toylab.analysis.certificate_spectral import energy_errors
from toylab.analysis.rounding import FFT_ERROR, UNIT, gamma, upward

__all__ = ["QuadraticEnergy", "errors_by_weights", "quadratic_energy"]


class QuadraticEnergy(NamedTuple):
    """The logits' energy, and the part that the class means explain.

    Attributes:
        total: ‖L‖², L centred over c, within `total_error`.
        class_means: [p] g(s), s = a + b - c mod p, each within `mean_error`.
        residual: ‖R‖² = total - p² Σ_s g², from above, all errors included.
    """

    total: float
    total_error: float
    class_means: np.ndarray
    mean_error: float
    residual: float

    @property
    def least_gap(self) -> float:
        """min_{s≠0} g(0) - g(s), from below."""
        gaps = self.class_means[0] - self.class_means[1:]
        return float(gaps.min() - 2 * upward(self.mean_error))


def quadratic_energy(weights: PairWeights) -> QuadraticEnergy:
    """‖L‖², g and ‖R‖² of the task a + b mod p, by seven Gram matrices and one transform.

    Args:
        weights: of a network whose neurons are squared.

    Example: for Gromov's exact weights g(0) = 2(p-1), g(s) = -2 and ‖R‖² = 0 up to rounding.
    """
    a, b, u = weights.W_a, weights.W_b, weights.W_out.T
    u = u - u.mean(1, keepdims=True)
    total, means = _total(a, b, u), _class_means(a, b, u)
    total_error, mean_error = _errors(a, b, weights.W_out.T)
    p = means.size
    norm = float(np.linalg.norm(means)) * (1 - gamma(p + 10)) - np.sqrt(p) * mean_error
    explained = (p * max(0.0, norm)) ** 2 * (1 - 8 * UNIT)
    above = max(0.0, total + total_error - explained) + gamma(3) * (total + total_error)
    return QuadraticEnergy(total, total_error, means, mean_error, upward(float(above)))


def errors_by_weights(weights: PairWeights) -> float:
    """Upper bound 2‖R‖² / min gap² on the number of wrong pairs, a real number or inf."""
    found = quadratic_energy(weights)
    return energy_errors(found.residual, found.least_gap)


def _total(a: np.ndarray, b: np.ndarray, u: np.ndarray) -> float:
    p, a2, b2 = a.shape[1], a * a, b * b
    bracket = p * (a2 @ a2.T) + p * (b2 @ b2.T) + 4 * (a @ a.T) * (b @ b.T)
    bracket += 2 * a2.sum(1)[:, None] * b2.sum(1)[None]
    bracket += 4 * (a2 @ a.T) * b.sum(1)[None] + 4 * (b2 @ b.T) * a.sum(1)[None]
    return float(((u @ u.T) * bracket).sum(1).sum())


def _class_means(a: np.ndarray, b: np.ndarray, u: np.ndarray) -> np.ndarray:
    p = a.shape[1]
    spectrum = (np.fft.rfft(a) * np.fft.rfft(b) * np.conj(np.fft.rfft(u))).sum(0)
    spectrum[0] = 0  # u is centred: its mean is 0 exactly
    return 2 * np.fft.irfft(spectrum, p) / p**2


def _errors(a: np.ndarray, b: np.ndarray, u: np.ndarray) -> tuple[float, float]:
    """Bounds of the errors of ‖L‖² and of every g(s); u before centring, which its norm bounds.

    ‖L‖²: each term of the sum over i, j passes at most 5p + 2m + 40 roundings (centring and G 3p,
    bracket 2p, the two sums 2m). g: each of three transforms is off by FFT_ERROR √p times a norm,
    centring by γ_{p+3}, products by 16u, the sum over neurons by 2γ_m, the way back by FFT_ERROR.
    """
    m, p = a.shape
    norm_a, norm_b, norm_u = (np.linalg.norm(x, axis=1) for x in (a, b, u))
    square_a, square_b = (np.linalg.norm(x * x, axis=1) for x in (a, b))
    both, root = float(norm_u @ (norm_a * norm_b)), np.sqrt(p)
    on_a, on_b = float(norm_u @ square_a), float(norm_u @ square_b)
    size = p * on_a**2 + p * on_b**2 + 4 * both**2 + 4 * root * (on_a + on_b) * both
    size += 2 * float(norm_u @ norm_a**2) * float(norm_u @ norm_b**2)
    relative = 5 * FFT_ERROR + gamma(p + 3) + 2 * gamma(m) + 20 * UNIT
    mean_error = 2 / root * both * relative
    total_error = gamma(5 * p + 2 * m + 40) * size
    return upward(float(total_error)), upward(float(mean_error))
