"""Small trainings modulo 11: steps, measures and sweeps against independent computations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import toylab
from toylab import ModularConfig, modular
from toylab.analysis.progress_measures import cross_entropies, excluded_loss, restricted_loss
from toylab.data.modular import answers
from toylab.errors import BudgetError, ConfigError, ConfigTypeError, DivergedError
from toylab.experiments.modular_forward import float32_losses
from toylab.experiments.pair_mlp import unordered_loss, unordered_pairs

SMALL = ModularConfig(
    p=11, train_fraction=0.6, d_model=16, n_heads=2, d_mlp=24, n_steps=12, record_every=5
)
MLP = SMALL.replace(architecture="mlp", init_scale=0.5)


@pytest.fixture(scope="module")
def small():
    return modular.run(SMALL, 3)


def whole_forward(model, pairs):
    """Logits at '=' of every pair [n, 2], by the model's own forward pass."""
    tokens = jnp.concatenate([pairs, jnp.full((len(pairs), 1), 11)], axis=1)
    return jax.vmap(model)(tokens)[:, 2]


def test_steps_are_those_of_a_plain_loop(small):
    pairs = jnp.stack(jnp.divmod(small.train_pairs, 11), axis=1)
    right = jnp.asarray(answers("add", 11)).ravel()[small.train_pairs]
    model = jax.tree.map(lambda leaf: leaf[0], small.snapshots)
    rate = lambda step: 1e-2 * jnp.minimum(step / 10, 1.0)  # noqa: E731
    optimizer = optax.adamw(rate, b1=0.9, b2=0.98, eps=1e-8, weight_decay=2.0)
    state = optimizer.init(model)

    @jax.jit
    def step(model, state):
        def loss(model):
            scores = jax.nn.log_softmax(whole_forward(model, pairs), axis=1)
            return -jnp.take_along_axis(scores, right[:, None], axis=1).mean()

        updates, state = optimizer.update(jax.grad(loss)(model), state, model)
        return optax.apply_updates(model, updates), state

    for _ in range(12):
        model, state = step(model, state)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=3e-5), model, small.model)


def test_records_and_shapes(small):
    assert small.step.tolist() == [0, 5, 10, 12]
    assert small.train_pairs.shape == (72,)
    assert small.snapshots.W_E.shape == (4, 12, 16)
    assert small.progress.share.shape == (4, 5)
    assert int(small.first_bad_step) == -1
    for name in ("train_loss", "test_loss", "train_accuracy", "test_accuracy"):
        assert getattr(small, name).shape == (4,)
    assert modular.logits(small.model).shape == (11, 11, 11)
    assert modular.neurons(small.model).shape == (11, 11, 24)


@pytest.mark.parametrize("config", [SMALL, MLP, MLP.replace(inputs="separate")])
def test_measures_are_those_of_the_snapshots(config):
    result = modular.run(config, 3)
    keys = toylab.key_frequencies(modular.logits(result.model))
    np.testing.assert_array_equal(result.key_frequencies, keys)
    right = np.asarray(answers("add", 11)).ravel()
    for i in range(len(result.step)):
        model = jax.tree.map(lambda leaf, i=i: leaf[i], result.snapshots)
        logits = np.asarray(modular.logits(model), float).reshape(121, 11)
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(121), right]
        trained = np.isin(np.arange(121), result.train_pairs)
        close = {"rtol": 2e-5, "atol": 2e-6}
        np.testing.assert_allclose(result.train_loss[i], losses[trained].mean(), **close)
        np.testing.assert_allclose(result.test_loss[i], losses[~trained].mean(), **close)
        hits = logits.argmax(1) == right
        np.testing.assert_allclose(result.test_accuracy[i], hits[~trained].mean(), rtol=1e-6)
        cube = modular.logits(model)
        restricted = restricted_loss(cube, keys)
        excluded = excluded_loss(cube, keys, result.train_pairs)
        np.testing.assert_allclose(result.progress.restricted_loss[i], restricted, **close)
        np.testing.assert_allclose(result.progress.excluded_loss[i], excluded, **close)
        norm = sum(float((np.asarray(W, float) ** 2).sum()) for W in jax.tree.leaves(model))
        np.testing.assert_allclose(result.progress.weight_norm[i], norm, rtol=1e-5)


def test_cells_of_a_sweep_are_lone_runs():
    cells = toylab.grid(SMALL, seed=[0, 1], weight_decay=[0.5, 2.0])
    swept = toylab.sweep(modular.run, cells, 7)
    assert swept.test_loss.shape == (2, 2, 4)
    config = SMALL.replace(seed=1, weight_decay=0.5)
    lone = modular.run(config, toylab.cell_key(7, config))
    np.testing.assert_array_equal(swept.model.W_in[1, 0], lone.model.W_in[...])
    np.testing.assert_array_equal(swept.test_loss[1, 0], lone.test_loss)
    assert not np.array_equal(swept.train_pairs[0, 0], swept.train_pairs[1, 0])


def test_each_unordered_pair_once_is_the_same_training():
    tied = SMALL.replace(architecture="mlp", init_scale=0.5, train_fraction=0.9)
    assert tied.unordered
    result = modular.run(tied, 3)
    a, b = np.divmod(np.asarray(result.train_pairs), 11)
    first = jax.tree.map(lambda leaf: leaf[0], result.snapshots)
    logits = modular.logits(first)[a, b]
    losses = cross_entropies(logits, jnp.asarray((a + b) % 11))
    np.testing.assert_allclose(result.train_loss[0], losses.mean(), rtol=1e-6)
    separate = jax.grad(lambda W: cross_entropies(_logits(W, first, a, b), (a + b) % 11).mean())
    rows = unordered_pairs(answers("add", 11), result.train_pairs)
    once = jax.grad(lambda m: unordered_loss(m, rows))(first)
    np.testing.assert_allclose(once.W_a[...], separate(first.W_a[...]), atol=1e-6)


def _logits(W_a, model, a, b):
    return jax.nn.relu(W_a[:, a] + W_a[:, b]).T @ model.W_out[...].T


def test_seed_splits_and_starts_anew():
    two = [modular.run(SMALL.replace(n_steps=0, seed=seed), 3) for seed in (0, 1)]
    assert not np.array_equal(two[0].train_pairs, two[1].train_pairs)
    assert not np.array_equal(two[0].model.W_E[...], two[1].model.W_E[...])


def test_watching_sees_each_record():
    seen = []
    result = modular.run(SMALL, 3, watch=seen.append)
    assert [int(record.step) for record in seen] == [0, 5, 10, 12]
    np.testing.assert_array_equal([record.test_loss for record in seen], result.test_loss)


def test_all_pairs_leave_no_test(small):
    result = modular.run(SMALL.replace(train_fraction=1.0, n_steps=2), 0)
    np.testing.assert_array_equal(result.test_loss, result.train_loss)


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "subtract"},
        {"optimizer": "sgd", "weight_decay": 0.0, "learning_rate": 0.1},
        {"drop_step": 4},
        {"loss": "float32"},
        {"architecture": "mlp", "activation": "quadratic", "init_scale": 0.1},
        {"architecture": "mlp", "initialisation": "one_frequency", "init_scale": 0.02},
        {"p": 12, "modulus": "any"},
    ],
)
def test_every_choice_runs(fields):
    result = modular.run(SMALL.replace(n_steps=10, **fields), 0)
    assert np.isfinite(result.test_loss).all()
    assert result.train_loss[-1] < result.train_loss[0]


def test_the_result_survives_the_disk(small, tmp_path):
    toylab.save(small, tmp_path / "r.npz")
    back = toylab.load(tmp_path / "r.npz")
    assert back.config == small.config
    assert jax.tree.structure(back.snapshots) == jax.tree.structure(small.snapshots)
    jax.tree.map(np.testing.assert_array_equal, back._replace(config=0), small._replace(config=0))


def test_the_accurate_form_keeps_its_digits():
    logits = np.zeros((3, 5), np.float32)
    logits[:, 2] = [0.0, 20.0, 60.0]
    right = jnp.array([2, 2, 2])
    exact = np.log1p(4 * np.exp(-logits[:, 2].astype(float)))
    np.testing.assert_allclose(cross_entropies(jnp.asarray(logits), right), exact, rtol=1e-5)
    plain = np.asarray(float32_losses(jnp.asarray(logits), right))
    np.testing.assert_allclose(plain[0], exact[0], rtol=1e-6)
    assert plain[1] == 0.0
    assert exact[1] > 8e-9


def test_divergence_is_said():
    config = SMALL.replace(
        optimizer="sgd", learning_rate=10.0, weight_decay=0.0, n_steps=60, warmup=0, init_scale=30.0
    )
    with pytest.raises(DivergedError, match="learning_rate=10: the loss or its gradient stopped"):
        modular.run(config, 0)
    cells = toylab.grid(config, seed=[0])
    assert int(toylab.sweep(modular.run, cells, 0).first_bad_step[0]) >= 0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"p": 12}, "p=12: must be a prime, since frequencies that share a factor with p cannot "
                    'tell all answers apart; write modulus="any" to study that'),
        ({"n_heads": 3}, "n_heads=3: must divide d_model=16"),
        ({"activation": "quadratic"}, "activation='quadratic': a transformer takes 'relu' alone; "
                                      'write architecture="mlp"'),
        ({"initialisation": "one_frequency"},
         "initialisation='one_frequency': a transformer takes 'random' alone; "
         'write architecture="mlp"'),
        ({"train_fraction": 0.0}, "train_fraction=0.0: must be in (0, 1]"),
        ({"task": "subtract", "architecture": "mlp"},
         "task='subtract': a tied network gives (a, b) and (b, a) one answer; write "
         'inputs="separate"'),
        ({"p": 12, "modulus": "any", "architecture": "mlp", "initialisation": "one_frequency"},
         "p=12: must be odd for initialisation='one_frequency'"),
        ({"p": 2}, "p=2: must be an integer in 3..512"),
        ({"n_steps": 10**6, "record_every": 1},
         "record_every=1: makes 1000001 records; at most 10000, so at least 101"),
    ],
)  # fmt: skip
def test_bad_configs_are_refused(fields, text):
    with pytest.raises(ConfigError) as caught:
        modular.run(SMALL.replace(**fields), 0)
    assert str(caught.value) == text


def test_other_things_are_refused():
    with pytest.raises(ConfigTypeError, match="config=None: must be a ModularConfig, got NoneType"):
        modular.run(None, 0)
    with pytest.raises(ConfigTypeError, match="must be a Transformer or a PairMLP, got ndarray"):
        modular.logits(np.zeros(3))
    with pytest.raises(BudgetError):
        modular.run(SMALL.replace(p=509, d_mlp=16_384, n_steps=10**6, record_every=200), 0)


def test_a_network_of_a_sweep_over_p_is_cut_to_its_own_size() -> None:
    config = ModularConfig(p=11, d_model=8, n_heads=2, d_mlp=12, n_steps=2, record_every=2)
    plan = toylab.grid(config, p=[11, 13])
    swept = toylab.sweep(modular.run, plan, 0)
    first = jax.tree.map(lambda W: W[0], swept.model)
    cut = modular.own_size(first, plan.configs[0])
    alone = modular.run(plan.configs[0], toylab.cell_key(0, plan.configs[0])).model
    assert first.W_E.shape == (14, 8)
    assert cut.W_E.shape == (12, 8)
    np.testing.assert_array_equal(modular.logits(cut), modular.logits(alone))
