"""The config of the modular-arithmetic experiments, and the settings that the chapter uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from toylab.config import Config, choice, config, integer, real
from toylab.data.modular import is_prime, n_train

__all__ = ["FAST", "HE", "LIVE", "PUBLISHED", "SETTLED", "ModularConfig"]


@config
class _Sums(Config):
    """Which sums, and which of them are trained on."""

    p: int = integer(default=113, low=3, high=512)
    modulus: Literal["prime", "any"] = choice(default="prime", options=("prime", "any"))
    task: Literal["add", "subtract", "multiply", "quadratic"] = choice(
        default="add", options=("add", "subtract", "multiply", "quadratic")
    )
    train_fraction: float = real(default=0.3, low=0, high=1, low_open=True)
    seed: int = integer(default=0, low=0, high=2**32 - 1)


@config
class _Network(Config):
    """What is trained."""

    architecture: Literal["transformer", "mlp"] = choice(
        default="transformer", options=("transformer", "mlp")
    )
    d_model: int = integer(default=128, low=1, high=2048)
    n_heads: int = integer(default=4, low=1, high=256)
    d_mlp: int = integer(default=512, low=1, high=16_384)
    activation: Literal["relu", "quadratic"] = choice(
        default="relu", options=("relu", "quadratic")
    )
    inputs: Literal["tied", "separate"] = choice(default="tied", options=("tied", "separate"))
    initialisation: Literal["random", "one_frequency"] = choice(
        default="random", options=("random", "one_frequency")
    )
    init_scale: float = real(default=1.0, low=0, high=1e3)


@config
class _Optimisation(Config):
    """How it is trained, and how often looked at."""

    optimizer: Literal["adamw", "sgd"] = choice(default="adamw", options=("adamw", "sgd"))
    learning_rate: float = real(default=1e-2, low=0, high=10, low_open=True)
    weight_decay: float = real(default=2.0, low=0, high=100)
    warmup: int = integer(default=10, low=0, high=2**31 - 1)
    drop_step: int = integer(default=0, low=0, high=2**31 - 1)
    drop_factor: float = real(default=0.3, low=0, high=1)
    loss: Literal["accurate", "float32"] = choice(
        default="accurate", options=("accurate", "float32")
    )
    n_steps: int = integer(default=500, low=0, high=2**31 - 1)
    record_every: int = integer(default=10, low=1, high=2**31 - 1)


@config
class ModularConfig(_Optimisation, _Network, _Sums):
    """A network that learns arithmetic modulo p from a part of all pairs, full batch.

    Attributes:
        p: the modulus, 3..512; a prime unless modulus="any". With a composite p, a frequency that
            shares a factor with p cannot tell all answers apart.
        task: add (a + b), subtract (a - b), multiply (a b) or quadratic (a^2 + a b + b^2).
        train_fraction: share of the p^2 pairs that are trained on, in (0, 1].
        architecture: transformer (one layer, tokens `a b =`) or mlp (two layers on one-hot pairs).
        d_model, n_heads: of the transformer; d_model is a multiple of n_heads. d_mlp: neurons.
        activation: relu, or quadratic (mlp alone).
        inputs: of the mlp: tied (both numbers go through one table, as if their one-hot vectors
            were added) or separate.
        initialisation, init_scale: random (normal; transformer 1/sqrt(d_model), mlp 1/sqrt(p)) or
            one_frequency (mlp alone), times init_scale.
        optimizer: adamw (b1 0.9, b2 0.98) or sgd. weight_decay: on every parameter, decoupled.
        learning_rate: reached after `warmup` steps, the first of which has rate 0; from step
            `drop_step` on multiplied by `drop_factor` (0: never).
        loss: accurate (softplus form) or float32 (log-softmax), the same number in exact
            arithmetic; the second one stalls below 1e-7.
        n_steps: training steps. record_every: steps between two records.
        seed: folded into the key of a run, so that seeds can be the axis of a grid.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 3; He et al. 2026 (arXiv 2602.16849). The
    defaults grok in some 250 steps where the published rates need thousands.
    """

    @property
    def n_train(self) -> int:
        """How many pairs are trained on: the integer part of train_fraction * p^2."""
        return n_train(self.p, self.train_fraction)

    @property
    def record_steps(self) -> tuple[int, ...]:
        """The steps after which a record is made: 0, record_every, ..., and the last one."""
        return (*range(0, self.n_steps, self.record_every), self.n_steps)

    @property
    def _one_table(self) -> bool:
        return self.architecture == "mlp" and self.inputs == "tied"

    @property
    def unordered(self) -> bool:
        """Whether a step computes each unordered pair once: a tied mlp with most pairs in it."""
        return self._one_table and 2 * self.n_train > self.p * (self.p + 1)

    def relations(self) -> Iterator[str]:
        """Primes, heads that divide the width, and choices of the other architecture."""
        if self.modulus == "prime" and not is_prime(self.p):
            yield (
                f"p={self.p}: must be a prime, since frequencies that share a factor with p cannot "
                'tell all answers apart; write modulus="any" to study that'
            )
        if self.architecture == "transformer":
            if self.d_model % self.n_heads:
                yield f"n_heads={self.n_heads}: must divide d_model={self.d_model}"
            for name, fixed in (("activation", "relu"), ("initialisation", "random")):
                if getattr(self, name) != fixed:
                    yield (
                        f"{name}={getattr(self, name)!r}: a transformer takes {fixed!r} alone; "
                        'write architecture="mlp"'
                    )
        if self.initialisation == "one_frequency" and self.p % 2 == 0:
            yield f"p={self.p}: must be odd for initialisation='one_frequency'"
        if self._one_table and self.task == "subtract":
            yield (
                "task='subtract': a tied network gives (a, b) and (b, a) one answer; write "
                'inputs="separate"'
            )
        if len(self.record_steps) > 10_000:
            yield (
                f"record_every={self.record_every}: makes {len(self.record_steps)} records; at "
                f"most 10000, so at least {-(-self.n_steps // 9998)}"
            )


PUBLISHED = ModularConfig(learning_rate=1e-3, weight_decay=1.0, n_steps=14_000, record_every=100)
"""Nanda et al. 2023 (their curves end at 40,000 steps; the story is told by 14,000)."""

FAST = ModularConfig()
"""The same network and data at ten times the rate and twice the decay: the story in 500 steps."""

SETTLED = FAST.replace(n_steps=600, drop_step=250)
"""FAST with the rate lowered to 3e-3 at step 250: the last errors go."""

LIVE = ModularConfig(p=59, train_fraction=0.4, weight_decay=3.0, n_steps=400)
"""A smaller modulus, for a reader who watches."""

HE = ModularConfig(
    p=23,
    train_fraction=1.0,
    architecture="mlp",
    activation="quadratic",
    init_scale=0.1,
    learning_rate=5e-5,
    weight_decay=0.0,
    n_steps=5000,
    record_every=100,
)
"""He et al. 2026, run quad_random: two layers, x^2, all pairs of p = 23."""
