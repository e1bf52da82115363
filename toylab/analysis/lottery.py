"""Which frequency a neuron will take, told from its random start: a race of waves to infinity.

A quadratic neuron of a tied two-layer network starts as a small sum of waves, frequency k with
magnitude α_k and phase φ_k in its input weights and β_k, ψ_k in its output weights. While the
logits are small, the loss is linear in them, and under gradient flow each frequency of each neuron
goes its own way. With z = α e^(iφ), y = β e^(iψ) and D = 2φ - ψ,

    z' = 2 z̄ y,  y' = z²   or   α' = 2αβ cos D,  β' = α² cos D,  D' = -(4β + α²/β) sin D.

The unit of time is p units of gradient flow on the mean cross-entropy. α² - 2β² and α²β sin D are
constant. D = 0 attracts, D = π repels, and all but exceptional starts reach infinity in finite
time. The first frequency to do so outruns the others, which hardly move once the loss falls.

Shapes: α, β and D are [..., K] and frequencies are numbered from 1; see `phase_alignment`.

Source: He et al. 2026, arXiv 2602.16849 (equations of motion, lottery); Carlson 1995, "Numerical
computation of real or complex elliptic integrals" (the integral of the blow-up time).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from toylab.analysis.arguments import Numbers, integer, real
from toylab.analysis.columns import ratio
from toylab.analysis.modular_arguments import real_array
from toylab.analysis.phase_alignment import layers, wrapped
from toylab.config import Rule
from toylab.errors import ConfigError, shown

__all__ = [
    "RULES",
    "LotteryRule",
    "Path",
    "Race",
    "blow_up_time",
    "conserved",
    "decoupled_dynamics",
    "hit_rate",
    "predict_winner",
    "race",
]

LotteryRule = Literal["first", "drive", "magnitude", "phase"]
RULES: tuple[LotteryRule, ...] = ("first", "drive", "magnitude", "phase")


class Race(NamedTuple):
    """Where the frequencies of neurons stand.

    Attributes:
        alpha: [..., K], magnitude of the input waves. beta: of the output waves; both at least 0.
        misalignment: [..., K], D = 2φ - ψ in radians.
    """

    alpha: jax.Array
    beta: jax.Array
    misalignment: jax.Array


class Path(NamedTuple):
    """The decoupled dynamics at n_steps + 1 moments, each frequency by its own clock.

    Attributes:
        time: [n_steps + 1, ...], from 0, rising to the blow-up time.
        alpha, beta, misalignment: [n_steps + 1, ...]; D in (-π, π].
    """

    time: jax.Array
    alpha: jax.Array
    beta: jax.Array
    misalignment: jax.Array


def race(W_in: Numbers, W_out: Numbers) -> Race:
    """The frequencies of each neuron of a tied network: W_in [d_mlp, p], W_out [p, d_mlp].

    Raises:
        ConfigError: as `phase_alignment.layers`.
    """
    read, written = layers(W_in, W_out)
    return Race(read.magnitude, written.magnitude, wrapped(2.0 * read.phase - written.phase))


def conserved(start: Race) -> tuple[jax.Array, jax.Array]:
    """The two constants of the motion, α² - 2β² and α²β sin D, each [..., K].

    Example: α = 2, β = 1, D = π/6 gives 2 and 2.
    """
    alpha, beta, misalignment = start
    return alpha**2 - 2 * beta**2, alpha**2 * beta * jnp.sin(misalignment)


def decoupled_dynamics(start: Race, n_steps: int = 200, step: float = 0.05) -> Path:
    """Integrate z' = 2 z̄ y, y' = z² by Runge-Kutta of fourth order in a clock that never ends.

    The clock τ has dt = dτ/√(α² + β²), so that √(α² + β²) grows no faster than e^(1.155 τ), one
    step suits all magnitudes, and `time` converges to the blow-up time: once D is near 0 it is
    short of it by about 1/(√2 α). The complex form has no 1/β, so β may pass through 0 (D jumps
    by π).

    Args:
        start: any shape [...]. n_steps: at least 1.
        step: of τ, in (0, 0.5]. At 0.05 the constants hold to 1e-5 of the path's own scale.

    Raises:
        ConfigError: n_steps or step out of range, a negative magnitude, shapes that differ.

    Example: α = √2 β and D = 0 stay so, and α(t) = α/(1 - √2 α t) blows up at 1/(√2 α).
    """
    integer("n_steps", n_steps, 1)
    real("step", step, Rule("float", 0.0, 0.5, low_open=True))
    alpha, beta, misalignment = _checked(start)
    first = (jnp.zeros_like(alpha), alpha + 0j, beta * jnp.exp(-1j * misalignment))

    def forward(state: _State, _: None) -> tuple[_State, _State]:
        state = _runge_kutta(state, step)
        return state, state

    _, later = jax.lax.scan(forward, first, None, length=n_steps)
    time, z, y = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)
    return Path(time, jnp.abs(z), jnp.abs(y), wrapped(2 * jnp.angle(z) - jnp.angle(y)))


def blow_up_time(start: Race) -> jax.Array:
    """When α and β reach infinity, by the closed formula.

    With v = β², A = α² - 2β² and C = α²β sin D the motion is v' = ±2 √(v(A + 2v)² - C²), with the
    sign of cos D. Let v₁ be the largest root. For cos D ≥ 0 the time from v₀ to infinity is half of
    Carlson's R_F(v₀ - v₁, v₀ - v₂, v₀ - v₃); for cos D < 0, v first falls to v₁ and turns, which
    takes R_F(0, v₁ - v₂, v₁ - v₃) less that. The other two roots may be complex and enter through
    their sum and product.

    Args:
        start: any shape [...]; α, β ≥ 0.

    Returns:
        [...], above 0, in units of p times gradient flow; inf where α = 0.

    Raises:
        ConfigError: `alpha with -1: must not be negative`, or shapes that differ.

    Example: α = √2, β = 1, D = 0 blows up at 1/2, with D = π never (inf, or large by rounding);
    α = 1, β = 0 at π/(2√2) = 1.1107.
    """
    return _blow_up_time(_checked(start))


@jax.jit
def _blow_up_time(start: Race) -> jax.Array:
    alpha, beta, misalignment = start
    scale = jnp.maximum(alpha, beta)
    alpha, beta = ratio(alpha, scale), ratio(beta, scale)
    v0, A, C = beta**2, alpha**2 - 2 * beta**2, alpha**2 * beta * jnp.sin(misalignment)
    v1 = _largest_root(A, C)
    minus_sum, product = A + v1, A**2 / 4 + v1 * (A + v1)  # of the other two roots

    def others(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(v - v₂) + (v - v₃) and (v - v₂)(v - v₃)."""
        return 2 * v + minus_sum, jnp.maximum(v**2 + v * minus_sum + product, 0.0)

    # v₀ - v₁ from the value of the cubic at v₀, which is (α²β cos D)²: no digits cancel.
    gap = ratio((alpha**2 * beta * jnp.cos(misalignment)) ** 2, 4 * others(v0)[1])
    out = _carlson(gap, *others(v0)) / 2
    there_and_back = _carlson(jnp.zeros_like(gap), *others(v1))
    time = jnp.where(jnp.cos(misalignment) < 0, there_and_back - out, out)
    return jnp.where(alpha > 0, ratio(time, scale), jnp.inf)


def predict_winner(W_in: Numbers, W_out: Numbers, rule: LotteryRule = "first") -> jax.Array:
    """The frequency that each neuron of a tied network will have, told from its starting weights.

    - first: the first to blow up in the decoupled dynamics (`blow_up_time`).
    - drive: the largest α²β cos D, the rate at which the frequency lowers the loss at the start.
    - magnitude: the largest α.
    - phase: the least |D|, which decides the race when all magnitudes are equal.

    Args:
        W_in: [..., d_mlp, p]. W_out: [..., p, d_mlp], before training.
        rule: what to go by.

    Returns:
        int32 [..., d_mlp] in 1..K; to compare with `alignment(...).frequency` after training.

    Raises:
        ConfigError: `rule='luck': must be one of ['first', 'drive', 'magnitude', 'phase']`.

    Source: He et al. 2026 (the phase rule and the contour of the race).
    """
    if complaint := Rule("choice", options=RULES).complaint(rule):
        raise ConfigError(f"rule={shown(rule)}: {complaint[0]}")
    start = race(W_in, W_out)
    alpha, beta, misalignment = start
    if rule == "first":
        score = -blow_up_time(start)
    elif rule == "drive":
        score = alpha**2 * beta * jnp.cos(misalignment)
    else:
        score = alpha if rule == "magnitude" else -jnp.abs(misalignment)
    return jnp.argmax(score, axis=-1) + 1


def hit_rate(predicted: Numbers, final: Numbers) -> jax.Array:
    """The share of neurons whose frequency was foretold; 1/K by chance.

    Args:
        predicted, final: frequencies, int [..., d_mlp].

    Returns:
        [...] in [0, 1].

    Example: (1, 2, 3) against (1, 2, 4) gives 2/3.
    """
    first = real_array("predicted", predicted, ("...", "d_mlp"))
    return (first == real_array("final", final, first.shape)).mean(-1)


def _checked(start: Race) -> Race:
    """`start` as three arrays of one shape, magnitudes not negative."""
    arrays = [real_array(name, field, ("...",)) for name, field in start._asdict().items()]
    if len(shapes := {array.shape for array in arrays}) > 1:
        raise ConfigError(
            f"start={sorted(map(list, shapes))}: alpha, beta and misalignment must have one shape"
        )
    for name, array in zip(("alpha", "beta"), arrays, strict=False):
        if not isinstance(array, Tracer) and (least := float(array.min())) < 0:
            raise ConfigError(f"{name} with {least:g}: must not be negative")
    return Race(*arrays)


_State = tuple[jax.Array, jax.Array, jax.Array]


def _velocity(state: _State) -> _State:
    """d(t, z, y)/dτ."""
    _, z, y = state
    size = jnp.hypot(jnp.abs(z), jnp.abs(y))
    pace = ratio(jnp.ones_like(size), size)
    return pace, 2 * jnp.conj(z) * (y * pace), z * (z * pace)


def _runge_kutta(state: _State, step: float) -> _State:
    k1 = _velocity(state)
    k2 = _velocity(_moved(state, k1, step / 2))
    k3 = _velocity(_moved(state, k2, step / 2))
    k4 = _velocity(_moved(state, k3, step))
    mean = jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4)
    return _moved(state, mean, step)


def _moved(state: _State, velocity: _State, by: float) -> _State:
    return jax.tree.map(lambda x, v: x + by * v, state, velocity)


def _largest_root(A: jax.Array, C: jax.Array) -> jax.Array:
    """The largest root of v(A + 2v)² - C², by Newton's method from above: the cubic is convex."""
    floor = jnp.maximum(-A / 2, 0.0)
    start = floor + jnp.cbrt(C**2 / 4)

    def nearer(_: int, v: jax.Array) -> jax.Array:
        value, slope = v * (A + 2 * v) ** 2 - C**2, (A + 2 * v) * (A + 6 * v)
        return jnp.maximum(v - ratio(value, slope), floor)

    return jax.lax.fori_loop(0, 40, nearer, start)


def _carlson(x: jax.Array, total: jax.Array, product: jax.Array) -> jax.Array:
    """R_F(x, y, z) = ½ ∫₀^∞ dt / √((t+x)(t+y)(t+z)), with y + z and yz given, by duplication."""

    def nearer(_: int, state: _State) -> _State:
        x, total, product = state
        root = jnp.sqrt(product)
        shift = jnp.sqrt(x * (total + 2 * root)) + root
        return (x + shift) / 4, (total + 2 * shift) / 4, (product + shift * (total + shift)) / 16

    x, total, _ = jax.lax.fori_loop(0, 14, nearer, (x, total, product))
    return 1 / jnp.sqrt((x + total) / 3)
