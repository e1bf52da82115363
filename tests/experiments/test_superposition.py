"""Known optima, closed forms, and the two ways to reach them."""

import functools

import numpy as np
import pytest

from toylab import (
    ConfigError,
    DivergedError,
    SuperpositionConfig,
    expected_loss,
    grid,
    sample_features,
    superposition,
    sweep,
)
from toylab.analysis.superposition import feature_dimensionality, n_represented

PENTAGON = SuperpositionConfig(n_features=5, n_hidden=2, density=0.05)


def monte_carlo(W, b, config, n=10**6, seed=99):
    """(mean, standard error) of the loss from numpy's own generator, independent features only."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(n, config.n_features)) * (
        rng.uniform(size=(n, config.n_features)) < config.density
    )
    error = x - np.maximum(
        x @ np.asarray(W, float).T @ np.asarray(W, float) + np.asarray(b, float), 0
    )
    losses = (error**2 * config.importances).mean(axis=1)
    return losses.mean(), losses.std() / np.sqrt(n)


@pytest.fixture(scope="module")
def pentagon():
    return superposition.solve(PENTAGON, 0, n_starts=8)


def test_five_sparse_features_make_a_regular_pentagon(pentagon):
    """Every dimensionality 2/5, gaps of 72 degrees; loss 0.001776 +- 0.0000066 by sampling."""
    W = np.asarray(pentagon.model.W, float)
    np.testing.assert_allclose(feature_dimensionality(W), 0.4, atol=0.003)
    angles = np.sort(np.degrees(np.arctan2(W[1], W[0])))
    np.testing.assert_allclose(np.diff(angles), 72, atol=1)
    assert float(pentagon.loss) == pytest.approx(0.001776, abs=2e-5)


def test_exact_loss_agrees_with_a_million_samples(pentagon):
    for config in (
        PENTAGON,
        PENTAGON.replace(density=0.5, importance_decay=0.7),
        PENTAGON.replace(sparsity=0.0),
    ):
        result = pentagon if config is PENTAGON else superposition.solve(config, 0)
        mean, error = monte_carlo(result.model.W, result.model.b, config)
        assert float(expected_loss(result.model.W, result.model.b, config)) == pytest.approx(
            mean, abs=3 * error
        )


@pytest.mark.parametrize(("n_features", "below", "above"), [(5, 0.222, 0.228), (6, 0.065, 0.071)])
def test_where_the_polygon_drops_a_corner(n_features, below, above):
    """The pentagon wins below density 0.225 +- 0.003 and the hexagon below 0.068 +- 0.003."""
    config = SuperpositionConfig(n_features=n_features, n_hidden=2)
    best = sweep(
        functools.partial(superposition.solve, n_starts=128),
        grid(config, density=[below, above]),
        0,
    )
    assert n_represented(best.model.W).tolist() == [n_features, n_features - 1]


@pytest.mark.parametrize(("n_features", "n_hidden"), [(3, 2), (4, 3)])
def test_one_pair_shares_a_dimension_and_the_rest_stay_alone(n_features, n_hidden):
    """One antipodal pair (D = 1/2 each), not a triangle or a tetrahedron."""
    config = SuperpositionConfig(n_features=n_features, n_hidden=n_hidden, density=0.05)
    best = superposition.solve(config, 0, n_starts=32)
    expected = [0.5, 0.5] + [1.0] * (n_features - 2)
    np.testing.assert_allclose(np.sort(feature_dimensionality(best.model.W)), expected, atol=0.01)


def test_antipodal_pair_has_its_closed_form_loss():
    """2 to 1 with equal importance: p^2 / 6 for each feature (wattenberg/superposition)."""
    config = SuperpositionConfig(n_features=2, n_hidden=1, density=0.1)
    pair = expected_loss([[1.0, -1.0]], [0.0, 0.0], config)
    assert float(pair) == pytest.approx(0.1**2 / 6, rel=1e-4)
    assert float(superposition.solve(config, 0).loss) <= float(pair) * 1.0001


def test_linear_models_keep_the_most_important_features():
    """PCA: the rest is lost, and each lost feature costs importance * Var x, with p/3 - p^2/4."""
    config = SuperpositionConfig(
        n_features=5, n_hidden=2, density=0.3, importance_decay=0.7, activation="linear"
    )
    result = superposition.solve(config, 0)
    variance = 0.3 / 3 - 0.3**2 / 4
    assert float(result.loss) == pytest.approx(
        variance * sum(0.7**i for i in (2, 3, 4)) / 5, rel=1e-3
    )
    gram = np.asarray(result.model.W).T @ np.asarray(result.model.W)
    # The loss is flat to second order: 1e-3 of it allows sqrt(1e-3) in the weights.
    np.testing.assert_allclose(gram, np.diag([1, 1, 0, 0, 0]), atol=np.sqrt(1e-3))


def test_training_reaches_what_the_solver_finds(pentagon):
    trained = superposition.run(PENTAGON, 0, n_starts=4)
    assert float(trained.loss) == pytest.approx(float(pentagon.loss), rel=0.005)
    assert float(trained.loss) == float(np.min(trained.start_losses))


def test_larger_models_are_scored_on_held_out_examples():
    config = SuperpositionConfig(n_features=20, n_hidden=5, density=0.2, n_steps=200)
    result = superposition.run(config, 0)
    mean, error = monte_carlo(result.model.W, result.model.b, config, n=200_000)
    spread = error * np.sqrt(200_000 / 65_536)
    assert float(result.loss) == pytest.approx(mean, abs=4 * np.hypot(error, spread))


def test_records_lead_to_the_result():
    config = PENTAGON.replace(n_steps=100)
    result = superposition.run(config, 0, n_starts=2, n_records=5)
    assert result.history.step.tolist() == [20, 40, 60, 80, 100]
    assert result.history.W.shape == (5, 2, 5)
    np.testing.assert_array_equal(result.history.W[-1], result.model.W)
    np.testing.assert_array_equal(result.history.b[-1], result.model.b)
    plain = superposition.run(config, 0, n_starts=2)
    np.testing.assert_array_equal(plain.model.W, result.model.W)
    assert plain.history.W.shape == (0, 2, 5)


def test_no_steps_give_the_untrained_model():
    config = PENTAGON.replace(n_steps=0, n_features=200, n_hidden=100)
    W = np.asarray(superposition.run(config, 0).model.W)
    # Xavier: 20,000 normal numbers of variance 2 / 300, known to 1 % (one standard error).
    assert W.var() == pytest.approx(2 / 300, rel=0.05)
    assert not np.asarray(superposition.run(config, 0).model.b).any()


def test_divergence_names_its_step_alone_and_is_stored_in_a_sweep():
    """Each step multiplies the weights by 1 - learning_rate * weight_decay = -99."""
    config = PENTAGON.replace(
        learning_rate=10.0, weight_decay=10.0, n_steps=400, schedule="constant", activation="linear"
    )
    with pytest.raises(DivergedError) as caught:
        superposition.run(config, 0)
    swept = sweep(
        superposition.run, [config, PENTAGON.replace(n_steps=400, activation="linear")], 0
    )
    steps = swept.first_bad_step.tolist()
    assert steps[0] >= 0
    assert steps[1] == -1
    assert str(caught.value).startswith(
        "learning_rate=10: the loss or its gradient stopped being finite at step "
    )
    assert config.to_json() in str(caught.value)
    assert np.isfinite(np.asarray(swept.model.W)).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: superposition.solve(PENTAGON.replace(n_features=9), 0),
            "n_features=9: solve enumerates all active sets and takes at most 8 features; "
            "use toylab.superposition.run, which samples",
        ),
        (
            lambda: expected_loss(np.zeros((2, 9)), np.zeros(9), PENTAGON.replace(n_features=9)),
            "n_features=9: expected_loss enumerates all active sets and takes at most 8 features; "
            "use toylab.superposition.run, which samples",
        ),
        (
            lambda: expected_loss(np.zeros((2, 4)), np.zeros(5), PENTAGON),
            "W, b=shapes (2, 4), (5,): must be [n_hidden, 5] and [5] for n_features=5",
        ),
        (
            lambda: superposition.solve(PENTAGON, 0, n_starts=0),
            "n_starts=0: must be an integer in 1..4096",
        ),
        (
            lambda: superposition.run(PENTAGON, 0, n_starts=True),
            "n_starts=True: must be an integer in 1..4096",
        ),
        (
            lambda: superposition.run(PENTAGON, 0, n_records=-1),
            "n_records=-1: must be an integer in 0..1000",
        ),
        (
            lambda: superposition.run(PENTAGON.replace(n_hidden=0), 0),
            "n_hidden=0: must be an integer in 1..4096",
        ),
        (
            lambda: superposition.run(PENTAGON.replace(density=1e-6), 0),
            "density=1e-06: samples resolve densities from 0.0001 on; use a smaller sparsity, "
            "or solve, which does not sample",
        ),
        (
            lambda: superposition.solve(None, 0),
            "config=None: must be a SuperpositionConfig, got NoneType",
        ),
        (
            lambda: expected_loss([[np.nan] * 5] * 2, [0] * 5, PENTAGON),
            "W=float32[2, 5] with nan at [0, 0]: must be finite",
        ),
        (
            lambda: sample_features(PENTAGON, 0, 0),
            "n=0: must be an integer in 1..13421772 for n_features=5",
        ),
        (
            lambda: sample_features(PENTAGON, 0, 2.0),
            "n=2.0: must be an integer in 1..13421772 for n_features=5",
        ),
    ],
)
def test_bad_calls_are_refused(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text


def test_public_samples_are_rows():
    x = np.asarray(sample_features(PENTAGON, 0, 50_000))
    assert x.shape == (50_000, 5)
    np.testing.assert_allclose((x > 0).mean(axis=0), 0.05, atol=5 * np.sqrt(0.05 * 0.95 / 50_000))


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"grouping": "correlated", "group_size": 4, "values": "signed", "sparsity": 0.9}, 0.01),
        ({"sparsity": (0.0,) * 4 + (0.999,) * 4}, 0.01),
        ({"sparsity": 0.5}, 0.005),
    ],
)
def test_eight_dense_or_grouped_features_are_scored_within_a_percent(fields, limit):
    """The hardest cases for the nodes: much mass on sets of four active features."""
    config = SuperpositionConfig(n_features=8, n_hidden=3, **fields)
    result = superposition.solve(config, 0)
    W, b = np.asarray(result.model.W, float), np.asarray(result.model.b, float)
    x = np.asarray(sample_features(config, 5, 10**6), float)
    losses = ((x - np.maximum(x @ W.T @ W + b, 0)) ** 2).mean(axis=1)
    error = 3 * losses.std() / 1000
    assert float(result.loss) == pytest.approx(losses.mean(), abs=error + limit * losses.mean())


def test_results_have_the_documented_shapes():
    result = superposition.solve(PENTAGON.replace(n_hidden=3, n_features=4), 0, n_starts=3)
    assert (result.model.W.shape, result.model.b.shape) == ((3, 4), (4,))
    assert (result.start_losses.shape, result.loss.shape, result.first_bad_step.shape) == (
        (3,),
        (),
        (),
    )
    assert result.config == PENTAGON.replace(n_hidden=3, n_features=4)
