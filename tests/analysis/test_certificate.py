"""Certificates by hand, on planted networks, and against exact arithmetic."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.certificate_cases import RECIPES, cases
from benchmarks.certificate_soundness import judge, report
from toylab.analysis.certificate import certify_accuracy, certify_logits
from toylab.analysis.certificate_forward import logit_rows
from toylab.data.modular import answers
from toylab.errors import ConfigError, ConfigTypeError
from toylab.models.mlp import PairMLP, gromov
from toylab.models.transformer import Sizes, Transformer

SIZES = Sizes(d_vocab=6, n_ctx=3, d_model=4, n_heads=2, d_head=2, d_mlp=5)
METHODS = ("exhaustive", "spectral", "energy", "weights")


def hand_network():
    """h(a, b) = (1[a=0] + 2·1[b=1])² and logits (h, 0, -h)."""
    W_a, W_b = jnp.array([[1.0, 0, 0]]), jnp.array([[0.0, 2, 0]])
    return PairMLP(W_a, jnp.array([[1.0], [0], [-1]]), W_b, "quadratic")


def nearly_waves():
    """p = 3, L = 2·1[s = 0], but 1 instead of 2 at the pair (0, 0)."""
    logits = 2.0 * (answers("add", 3)[..., None] == np.arange(3))
    logits[0, 0, 0] = 1
    return logits


def memorised(p, seed=0):
    """Every right answer ahead of normal noise, by a little."""
    generator = np.random.default_rng(seed)
    logits, right = generator.normal(size=(p, p, p)), answers("add", p)[..., None]
    np.put_along_axis(logits, right, -9.0, axis=-1)
    np.put_along_axis(logits, right, logits.max(-1, keepdims=True) + 0.01, axis=-1)
    return logits


def attention(sizes=SIZES, stack=(), **weights):
    """A transformer with normal weights in float32, some replaced."""
    vocab, ctx, d, heads, head, mlp, layers = sizes
    shapes = {
        "W_E": (vocab, d),
        "W_pos": (ctx, d),
        "W_Q": (layers, heads, d, head),
        "W_K": (layers, heads, d, head),
        "W_V": (layers, heads, d, head),
        "W_O": (layers, heads, head, d),
        "W_in": (layers, d, mlp),
        "b_in": (layers, mlp),
        "W_out": (layers, mlp, d),
        "b_out": (layers, d),
        "W_U": (d, vocab),
    }
    draw = np.random.default_rng(0)
    normal = {
        name: (draw.normal(size=(*stack, *shape)) / np.sqrt(d)).astype(np.float32)
        for name, shape in shapes.items()
    }
    return Transformer(**normal | weights)


def test_exhaustive_by_hand():
    # Right: (0, 0) by 1 and (2, 1) by 4, of nine; (0, 1) has 0 for its answer and 9 for another.
    found = certify_accuracy(hand_network())
    assert (found.proven_pairs, found.errors_at_most, found.errors_bound) == (2, 7, 7.0)
    assert found.lower == 2 / 9
    assert found.least_margin == -9
    assert found.radius == pytest.approx(0.5, abs=1e-12)
    assert 0 < found.rounding_bound < 1e-14
    assert found.flops == 2 * 9 * 1 * 5


@pytest.mark.parametrize(
    ("order", "expected"), [(1, 16 / 17), (2, 128 / 289), (4, 2 * (8 / 17) ** 4)]
)
def test_moments_by_hand(order, expected):
    # gap = 17/9; R_s - R_0 = 8/9 at (0, 0), for both rivals, and -1/9 elsewhere.
    found = certify_logits(nearly_waves(), order=order)
    assert found.errors_bound == pytest.approx(expected, rel=2e-6)
    assert (found.errors_at_most, found.lower, found.radius) == (0, 1.0, 0.0)
    assert found.flops == 8 * 27


def test_energy_by_hand():
    # ‖R‖² = 16/27, so 2‖R‖²/gap² = (32/27)(81/289).
    found = certify_logits(nearly_waves(), method="energy")
    assert found.errors_bound == pytest.approx(96 / 289, rel=1e-5)
    assert found.lower == 1


def test_weights_by_hand():
    # One neuron, a = b = (1, 0, 0), u = (2, -1, -1): ‖L‖² = 120, g = (4, -2, -2)/9, ‖R‖² = 352/3.
    W = jnp.array([[1.0, 0, 0]])
    found = certify_accuracy(PairMLP(W, jnp.array([[2.0], [-1], [-1]])), method="weights")
    assert found.errors_bound == pytest.approx(528, rel=1e-5)
    assert (found.lower, found.errors_at_most) == (0.0, 9)
    assert math.isnan(found.least_margin)
    assert math.isnan(found.rounding_bound)


@pytest.mark.parametrize("p", [3, 5, 13, 23])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [1, 2, 8])
def test_analytic_weights_are_proven_right_by_every_method(p, method, order):
    found = certify_accuracy(gromov(p), method=method, order=order)
    assert (found.lower, found.proven_pairs, found.errors_at_most) == (1.0, p * p, 0)
    assert found.errors_bound < 1e-3
    if method != "weights":
        assert found.least_margin == pytest.approx(2 * p, rel=1e-5)
        assert found.rounding_bound < 1e-11
    if method == "exhaustive":
        assert found.radius == pytest.approx(p, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_negated_analytic_weights_are_proven_nothing(method):
    right = gromov(7)
    wrong = PairMLP(right.W_a[...], -right.W_out[...], right.inputs[1], "quadratic")
    found = certify_accuracy(wrong, method=method)
    assert (found.lower, found.proven_pairs, found.errors_at_most) == (0.0, 0, 49)


def test_a_memorised_table_is_right_but_no_wave():
    table = memorised(11)
    assert certify_logits(table, method="exhaustive").lower == 1
    for order in (1, 2, 4, 8):
        assert certify_logits(table, order=order).lower == 0
    assert certify_logits(table, method="energy").lower == 0


def test_the_error_of_a_recorded_table_counts():
    table = 1.0 * (answers("add", 5)[..., None] == np.arange(5))
    for method, small in (("exhaustive", 0.49), ("spectral", 0.4), ("energy", 0.05)):
        assert certify_logits(table, method=method, order=64, error=small).lower == 1
        assert certify_logits(table, method=method, error=0.5).lower == 0
    assert certify_logits(table, method="exhaustive", error=0.49).rounding_bound == 0.49


def test_radius_is_where_the_first_proven_pair_can_fail():
    table = memorised(5)
    table[2, 3, 0] = -9  # the answer of one pair: wrong, and stays wrong
    found = certify_logits(table, method="exhaustive")
    assert found.proven_pairs == 24
    right = answers("add", 5)[..., None] == np.arange(5)
    for size, n_right in ((0.999, 24), (1.001, 0)):
        # Every proven margin is 0.01: the worst move lowers all right logits, raises the others.
        moved = table - size * found.radius * np.where(right, 1, -1)
        assert certify_logits(moved, method="exhaustive").proven_pairs == n_right


def test_what_adds_nothing_changes_nothing():
    table = nearly_waves()
    shifted = table + np.arange(9.0).reshape(3, 3, 1)
    for method in ("exhaustive", "spectral", "energy"):
        plain = certify_logits(table, method=method)
        for same in (shifted, 1024 * table):
            found = certify_logits(same, method=method)
            assert found.proven_pairs == plain.proven_pairs
            assert found.errors_bound == pytest.approx(plain.errors_bound, rel=1e-9)


def test_other_tasks_are_held_against_their_answers():
    for task in ("subtract", "quadratic"):
        right = answers(task, 7)
        table = 1.0 * (right[..., None] == np.arange(7))
        for method in ("exhaustive", "spectral", "energy"):
            assert certify_logits(table, method=method, answers=right).lower == 1
            assert certify_logits(table, method=method).lower < 0.5
    model = gromov(7)
    assert certify_accuracy(model, method="weights", answers=answers("add", 7)).lower == 1


def test_logits_are_those_of_the_transformer():
    p = 19  # more rows than one product takes
    model = attention(SIZES._replace(d_vocab=p + 1, d_mlp=16))
    a, b = np.divmod(np.arange(p * p), p)
    tokens = np.stack([a, b, np.full_like(a, p)], axis=1)
    expected = jax.jit(jax.vmap(jax.tree.map(jnp.asarray, model)))(tokens)[:, 2, :p]
    found = np.stack([row.logits for row in logit_rows(model)])
    np.testing.assert_allclose(found.reshape(p * p, p), expected, atol=1e-5)


def test_attention_only_is_accepted():
    assert 0 <= certify_accuracy(attention(SIZES._replace(d_mlp=0))).lower <= 1


def test_the_largest_weights_accepted_prove_nothing_by_overflow():
    names = ("W_E", "W_V", "W_O", "W_in", "W_out", "W_U")
    model = attention(W_Q=np.zeros((1, 2, 4, 2)))
    huge = {name: 1e29 * np.asarray(getattr(model, name)[...], np.float64) for name in names}
    huge = attention(W_Q=np.zeros((1, 2, 4, 2)), **huge)
    right = np.argmax([row.logits for row in logit_rows(huge)], axis=-1)
    assert certify_accuracy(huge, answers=right).lower == 1
    assert certify_accuracy(huge, answers=right, method="spectral", order=64).lower == 1
    # ‖R‖² and gap² are both beyond the range of floats: inf / inf is no proof.
    assert certify_accuracy(huge, answers=right, method="energy").lower == 0


def test_published_sizes_have_a_tight_bound():
    found = certify_accuracy(attention(Sizes(114, 3, 128, 4, 32, 512)))
    assert found.flops == 1_934_668_346
    assert 1e-13 < found.rounding_bound < 1e-10


@pytest.fixture(scope="module")
def verdicts():
    return [judge(case) for case in cases(5 * len(RECIPES), seed=2)]


def test_no_certificate_proves_more_than_is_true(verdicts):
    assert len(verdicts) >= 60
    assert [verdict for verdict in verdicts if not verdict.sound] == []
    assert ", 0 unsound" in report(verdicts).splitlines()[0]


def test_the_campaign_would_notice(verdicts):
    wrong = verdicts[0]._replace(proven={"exhaustive": verdicts[0].right + 1})
    assert not wrong.sound
    assert not verdicts[0]._replace(error_share=1.001).sound
    assert "1 unsound" in report([wrong])
    assert "UNSOUND Verdict(" in report([wrong])


def test_the_campaign_has_right_and_wrong_networks_and_proofs_of_both(verdicts):
    shares = [verdict.right / verdict.n_pairs for verdict in verdicts]
    assert min(shares) == 0
    assert max(shares) == 1
    assert sum(0.2 < share < 0.8 for share in shares) >= 10
    for name in ("spectral 4", "energy", "weights"):
        assert any(v.proven.get(name, 0) == v.right == v.n_pairs for v in verdicts), name
        assert any(0 < v.proven.get(name, 0) < v.right for v in verdicts), name


def test_rounding_bounds_are_not_absurd(verdicts):
    plain = [v for v in verdicts if v.kind not in ("ties", "cancellation", "attention_with_ties")]
    assert max(v.bound_share for v in plain) < 1e-11
    for kind, share in (("random_two_layers", 0.02), ("random_attention", 0.0005)):
        assert max(v.error_share for v in plain if v.kind == kind) > share
    # Where nothing but rounding separates the logits nothing is proven, though some are right.
    assert any(v.right and not v.proven["exhaustive"] for v in verdicts if v.kind == "near_ties")


TABLE = np.zeros((3, 3, 3))
NO_FORM = "only one with a closed form; write method='spectral' or method='exhaustive'"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: certify_accuracy([]),
            ConfigTypeError,
            "model=list: must be a PairMLP or a Transformer",
        ),
        (
            lambda: certify_accuracy(gromov(3), method="spectrl"),
            ConfigError,
            "method='spectrl': did you mean 'spectral'? must be one of "
            "['exhaustive', 'spectral', 'energy', 'weights']",
        ),
        (
            lambda: certify_accuracy(gromov(3), method=2),
            ConfigTypeError,
            "method=2: must be a str, got int",
        ),
        (
            lambda: certify_accuracy(gromov(3), order=65),
            ConfigError,
            "order=65: must be an integer in 1..64",
        ),
        (
            lambda: certify_accuracy(
                PairMLP(np.ones((2, 3)), np.ones((3, 2)), None, "relu"), method="weights"
            ),
            ConfigError,
            "method='weights' of a relu network: must be a quadratic PairMLP, the " + NO_FORM,
        ),
        (
            lambda: certify_accuracy(attention(), method="weights"),
            ConfigError,
            "method='weights' of a transformer network: must be a quadratic PairMLP, the "
            + NO_FORM,
        ),
        (
            lambda: certify_accuracy(gromov(3), method="weights", answers=answers("multiply", 3)),
            ConfigError,
            "method='weights' of another task: must be a + b mod p, the " + NO_FORM,
        ),
        (
            lambda: certify_accuracy(PairMLP(np.ones((2, 3)), np.full((3, 2), jnp.nan))),
            ConfigError,
            "W_out[0, 0]=nan: must be finite and in [-1e+30, 1e+30]",
        ),
        (
            lambda: certify_accuracy(PairMLP(np.full((2, 3), jnp.inf), np.ones((3, 2)))),
            ConfigError,
            "W_a[0, 0]=inf: must be finite and in [-1e+30, 1e+30]",
        ),
        (
            lambda: certify_accuracy(PairMLP(np.full((2, 3), 2e30), np.ones((3, 2)))),
            ConfigError,
            "W_a[0, 0]=2e+30: must be in [-1e+30, 1e+30]",
        ),
        (
            lambda: certify_accuracy(PairMLP(np.ones((2, 4)), np.ones((3, 2)))),
            ConfigError,
            "W_a[2, 4], W_b[2, 4], W_out[3, 2]: must be [d_mlp, p], [d_mlp, p] and [p, d_mlp]",
        ),
        (
            lambda: certify_accuracy(PairMLP(np.ones((1, 1)), np.ones((1, 1)))),
            ConfigError,
            "p=1: must be an integer in 2..1000",
        ),
        (
            lambda: certify_accuracy(PairMLP(np.ones((5, 2, 3)), np.ones((5, 3, 2)))),
            ConfigError,
            "model=PairMLP with W_out[5, 3, 2]: must be one model, W_out [p, d_mlp]; "
            "certify_history takes a stack with a leading axis of records",
        ),
        (
            lambda: certify_accuracy(attention(stack=(2,))),
            ConfigError,
            "model=Transformer with W_E[2, 6, 4]: must be one model, W_E [p + 1, d_model]; "
            "certify_history takes a stack with a leading axis of records",
        ),
        (
            lambda: certify_accuracy(attention(SIZES._replace(n_layers=2))),
            ConfigError,
            "model=Transformer with n_layers=2, n_ctx=3: "
            "must have one layer and read three tokens, `a b =`",
        ),
        (
            lambda: certify_accuracy(attention(SIZES._replace(d_vocab=2))),
            ConfigError,
            "p=1: must be an integer in 2..1000",
        ),
        (
            lambda: certify_accuracy(attention(b_in=np.ones((1, 1)))),
            ConfigError,
            "b_in[1, 1]: must be [1, 5], as W_E, W_pos, W_Q and W_in say",
        ),
        (
            lambda: certify_accuracy(attention(W_U=np.full((4, 6), jnp.nan))),
            ConfigError,
            "W_U[0, 0]=nan: must be finite and in [-1e+30, 1e+30]",
        ),
        (
            lambda: certify_logits(TABLE, method="weights"),
            ConfigError,
            "method='weights': must be one of ['exhaustive', 'spectral', 'energy']",
        ),
        (
            lambda: certify_logits(TABLE[0]),
            ConfigError,
            "logits of shape [3, 3]: must be [p, p, p] with p >= 2",
        ),
        (
            lambda: certify_logits(1.0),
            ConfigError,
            "logits of shape []: must be [p, p, p] with p >= 2",
        ),
        (
            lambda: certify_logits(TABLE + np.nan),
            ConfigError,
            "logits[0, 0, 0]=nan: must be finite and in [-1e+100, 1e+100]",
        ),
        (
            lambda: certify_logits(TABLE, error=-1.0),
            ConfigError,
            "error=-1.0: must be in [0, 1e+100]",
        ),
        (
            lambda: certify_logits(TABLE, answers=np.zeros((3, 3))),
            ConfigTypeError,
            "answers=float64[3, 3]: must be integers",
        ),
        (
            lambda: certify_logits(TABLE, answers=[[0, 1], [1, 0]]),
            ConfigError,
            "answers=int64[2, 2]: must be [3, 3], indexed [a, b]",
        ),
        (
            lambda: certify_logits(TABLE, answers=np.full((3, 3), 3)),
            ConfigError,
            "answers=int64[3, 3] from 3 to 3: must be in 0..2",
        ),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert type(caught.value) is error
    assert str(caught.value) == text


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_numbers_that_float64_rounds_are_refused(dtype):
    table = np.full((3, 3, 3), 2**53, dtype)
    a, b = np.divmod(np.arange(9), 3)
    table[a, b, (a + b) % 3] = 2**53 + 1  # float64 has no such number
    with pytest.raises(ConfigError, match=f"^logits of {np.dtype(dtype)}: must be numbers that"):
        certify_logits(table, method="exhaustive")
    assert certify_logits(table - dtype(2**53), method="exhaustive").lower == 1


def test_an_error_for_each_row_is_refused():
    with pytest.raises(ConfigError, match=r"^error of shape \[3\]: must be one number"):
        certify_logits(np.zeros((3, 3, 3)), error=[0.0, 0.1, 0.2])


def test_a_result_is_not_a_model():
    from toylab import ModularConfig, modular

    result = modular.run(ModularConfig(p=5, d_model=4, n_heads=1, d_mlp=4, n_steps=0), 0)
    with pytest.raises(ConfigTypeError, match=r"write result\.model"):
        certify_accuracy(result)
