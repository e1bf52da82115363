"""A cell has the same bits alone, in any grid, in any order and on any number of devices."""

import functools
import hashlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from toylab import ConfigError, SuperpositionConfig, cell_key, grid, superposition, sweep
from toylab.errors import ConfigTypeError
from toylab.experiments.sampled import TRAINER
from toylab.training import sweep as sweep_module

CONFIG = SuperpositionConfig(n_features=4, n_hidden=2, n_steps=30, batch_size=64)
ONE = jax.local_devices()[:1]
solve_two = functools.partial(superposition.solve, n_starts=2)


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree._replace(config=None))]


def cell(result, *index):
    return jax.tree.map(lambda leaf: leaf[index], result._replace(config=None))


@pytest.mark.parametrize("run", [superposition.run, solve_two], ids=["run", "solve"])
def test_cells_are_the_lone_runs(run):
    g = grid(CONFIG, sparsity=[0.3, 0.9], importance_decay=[0.5, 0.9])
    whole = sweep(run, g, 7)
    for i, config in enumerate(g.configs):
        assert bits(cell(whole, *np.unravel_index(i, g.shape))) == bits(
            run(config, cell_key(7, config))
        )


def test_order_neighbours_and_growth_change_nothing():
    small = sweep(solve_two, [CONFIG, CONFIG.replace(sparsity=0.1)], 3)
    large = sweep(solve_two, [CONFIG.replace(sparsity=s) for s in (0.1, 0.2, 0.3, 0.95, 0.5)], 3)
    assert bits(cell(small, 0)) == bits(cell(large, 3))
    assert bits(cell(small, 1)) == bits(cell(large, 0))


def test_sizes_share_one_program_and_keep_their_bits():
    sweep_module._compiled.cache_clear()
    g = grid(CONFIG, n_hidden=[1, 2, 3, 5], n_features=[3, 4, 8])
    whole = sweep(superposition.run, g, 0, devices=ONE)
    stages = sweep_module._compiled(TRAINER, 1)
    assert stages.advance._cache_size() == 1
    assert whole.model.W.shape == (4, 3, 5, 8)
    for index in [(0, 0), (2, 1), (3, 2)]:
        config = g.configs[np.ravel_multi_index(index, g.shape)]
        alone = superposition.run(config, cell_key(0, config))
        m, n = config.n_hidden, config.n_features
        padded = np.asarray(whole.model.W[index])
        np.testing.assert_array_equal(padded[:m, :n], alone.model.W)
        assert not padded[m:].any()
        assert not padded[:, n:].any()
        assert whole.loss[index] == alone.loss


def test_most_changes_of_a_config_compile_nothing():
    superposition.run(CONFIG, 0)
    stages = sweep_module._compiled(TRAINER, 1)
    before = [stage._cache_size() for stage in stages[:4]]
    for change in (
        {"n_steps": 17},
        {"sparsity": (0.1, 0.2, 0.3, 0.4)},
        {"learning_rate": 0.5},
        {"n_hidden": 3},
        {"n_features": 7},
        {"importance": (1, 2, 3, 4)},
        {"weight_decay": 0.1},
    ):
        superposition.run(CONFIG.replace(**change), 1)
    assert [stage._cache_size() for stage in stages[:4]] == before


DEVICES = """
import hashlib, functools, jax, numpy as np, toylab
assert len(jax.local_devices()) == {n}
config = toylab.SuperpositionConfig(n_features=4, n_hidden=2, n_steps=30, batch_size=64)
for run in (toylab.superposition.run, functools.partial(toylab.superposition.solve, n_starts=2)):
    for size in ({{}}, {{"n_features": 80, "n_hidden": 20}}):
        if size and run is not toylab.superposition.run:
            continue
        r = toylab.sweep(run, toylab.grid(config.replace(**size), sparsity=[0.1, 0.5, 0.9]), 5)
        leaves = jax.tree.leaves(r._replace(config=None))
        print(hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in leaves)).hexdigest())
"""


def hashes_on(n_devices):
    done = subprocess.run(
        [sys.executable, "-c", DEVICES.format(n=n_devices)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": str(n_devices)},
    )
    return done.stdout.split()


def test_one_two_and_eight_devices_give_the_same_bits():
    one = hashes_on(1)
    assert len(set(one)) == 3
    assert hashes_on(2) == one
    assert hashes_on(8) == one


def test_keys_belong_to_configs():
    assert cell_key(0, CONFIG) != cell_key(0, CONFIG.replace(sparsity=0.5))
    assert cell_key(0, CONFIG) != cell_key(1, CONFIG)
    number = int(
        hashlib.sha256(f"SuperpositionConfig {CONFIG.to_json()}".encode()).hexdigest()[:8], 16
    )
    assert cell_key(5, CONFIG) == jax.random.fold_in(jax.random.key(5), number)


def test_progress_counts_up_to_the_whole():
    seen = []
    sweep(
        superposition.run,
        [CONFIG, CONFIG.replace(sparsity=0.5)],
        0,
        devices=ONE,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_progress_may_stop_the_work():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        superposition.run(CONFIG, 0, progress=stop)


@pytest.mark.parametrize(
    ("seed", "text"),
    [
        (-1, "seed=-1: must be an integer in 0..4294967295"),
        (2**32, "seed=4294967296: must be an integer in 0..4294967295"),
        (1.5, "seed=1.5: must be an int or a key of jax.random.key, got float"),
        ("a", "seed='a': must be an int or a key of jax.random.key, got str"),
        (True, "seed=True: must be an int or a key of jax.random.key, got bool"),
    ],
)
def test_bad_seeds_are_refused(seed, text):
    for call in (
        lambda: superposition.run(CONFIG, seed),
        lambda: sweep(superposition.run, [CONFIG], seed),
        lambda: cell_key(seed, CONFIG),
    ):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == text


@pytest.mark.parametrize(
    "call",
    [
        lambda: superposition.solve(CONFIG, 0, n_start=2),
        lambda: sweep(functools.partial(superposition.solve, n_start=2), [CONFIG], 0),
    ],
)
def test_unknown_options_get_a_suggestion(call):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == (
        "n_start: unknown option; did you mean 'n_starts'? options: n_starts"
    )


def test_keys_of_another_generator_are_refused():
    with pytest.raises(
        ConfigError, match=r"must be a threefry key; write jax\.random\.key\(seed\)"
    ):
        superposition.solve(CONFIG, jax.random.key(0, impl="rbg"))


def test_seeds_and_keys_are_the_same_thing():
    assert bits(superposition.solve(CONFIG, 3)) == bits(
        superposition.solve(CONFIG, jax.random.key(3))
    )


def test_what_is_not_an_experiment_is_refused():
    with pytest.raises(ConfigTypeError) as caught:
        sweep(len, [CONFIG], 0)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "run=<built-in function len>: must be an Experiment, such as "
        "toylab.superposition.run, or functools.partial of one with keywords"
    )


def test_empty_and_mixed_sweeps_are_refused():
    with pytest.raises(ConfigError) as caught:
        sweep(superposition.run, [], 0)
    assert str(caught.value) == "configs=[]: nothing to sweep"
    with pytest.raises(ConfigError) as caught:
        sweep(solve_two, grid(CONFIG, activation=["relu", "linear"]), 0)
    assert str(caught.value) == (
        "configs: the cells give models of different kinds; sweep each kind by itself"
    )
