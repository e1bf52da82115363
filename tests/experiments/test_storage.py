"""`toylab.save` and `toylab.load`: exact round trips, and files of another kind refused by name."""

import functools
import json
import os
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import toylab
from toylab import SuperpositionConfig, superposition
from toylab.training import store

CONFIG = SuperpositionConfig(n_features=4, sparsity=(0.9, 0.8, 0.1, 0.0), importance_decay=1 / 3,
                             n_steps=20, batch_size=64)  # fmt: skip


@pytest.fixture(scope="module")
def result():
    return superposition.run(CONFIG, 3, n_starts=2, n_records=4)


def assert_same(one, other):
    """Equal structure, types, dtypes, shapes and bits."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert type(a) is type(b)
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


def test_a_run_comes_back_bit_for_bit(result, tmp_path):
    toylab.save(result, tmp_path / "a.npz")
    loaded = toylab.load(tmp_path / "a.npz")
    assert_same(loaded, result)
    assert type(loaded) is type(result)
    assert loaded.config == CONFIG
    assert loaded.config.sparsity == (0.9, 0.8, 0.1, 0.0)
    assert loaded.model.activation == "relu"
    x = jnp.array([0.5, 0.0, 0.25, 1.0])
    np.testing.assert_array_equal(loaded.model(x), result.model(x))


def test_a_loaded_result_can_be_saved_and_differentiated(result, tmp_path):
    toylab.save(result, tmp_path / "a.npz")
    loaded = toylab.load(str(tmp_path / "a.npz"))
    toylab.save(loaded, tmp_path / "b.npz")
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()
    slope = jax.grad(lambda model: model(np.ones(4, np.float32)).sum())(loaded.model)
    assert len(jax.tree.leaves(slope)) == 2


def test_a_sweep_comes_back_with_its_grid(tmp_path):
    cells = toylab.grid(CONFIG.replace(sparsity=0.5), n_hidden=[1, 2], density=[0.1, 0.3],
                        activation=["relu"])  # fmt: skip
    swept = toylab.sweep(functools.partial(superposition.solve, n_starts=2), cells, 0)
    toylab.save(swept, tmp_path / "a.npz")
    loaded = toylab.load(tmp_path / "a.npz")
    assert_same(loaded._replace(config=None), swept._replace(config=None))
    assert loaded.config == cells
    assert [config.n_hidden for config in loaded.config.configs] == [1, 1, 2, 2]


def test_per_feature_axes_and_lists_of_configs_come_back(result, tmp_path):
    cells = toylab.grid(CONFIG, importance=[(1.0, 0.5, 0.25, 0.0), (1.0, 1.0, 1.0, 1.0)])
    listed = (CONFIG, CONFIG.replace(n_hidden=3))
    for config in (cells, listed):
        toylab.save(result._replace(config=config), tmp_path / "a.npz")
        assert toylab.load(tmp_path / "a.npz").config == config


def test_the_file_tells_what_it_holds(result, tmp_path):
    toylab.save(result, tmp_path / "a.npz", command="toylab run superposition")
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["model.W"], result.model.W[...])
        np.testing.assert_array_equal(archive["history.loss"], result.history.loss)
        header = json.loads(archive["header"].tobytes())
    assert header["command"] == "toylab run superposition"
    assert header["tree"]["fields"]["config"]["fields"]["n_features"] == 4
    assert header["fingerprint"]["jax"] == metadata.version("jax")


def test_saving_replaces_an_older_file_and_leaves_nothing_else(result, tmp_path):
    (tmp_path / "a.npz").write_text("older")
    toylab.save(result, tmp_path / "a.npz")
    assert os.listdir(tmp_path) == ["a.npz"]
    assert_same(toylab.load(tmp_path / "a.npz"), result)


def test_a_failed_save_keeps_the_older_file(result, tmp_path, monkeypatch):
    toylab.save(result, tmp_path / "a.npz")
    older = (tmp_path / "a.npz").read_bytes()

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="nothing was saved"):
        toylab.save(result, tmp_path / "a.npz")
    monkeypatch.undo()
    assert (tmp_path / "a.npz").read_bytes() == older
    assert os.listdir(tmp_path) == ["a.npz"]


def test_damage_is_refused_by_name(result, tmp_path):
    path = tmp_path / "a.npz"
    toylab.save(result, path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        where = int(rng.integers(len(data) - 64))
        path.write_bytes(data[:where] + rng.bytes(64) + data[where + 64 :])
        with pytest.raises(toylab.FormatError) as error:
            toylab.load(path)
        assert str(error.value).startswith(f"{path}: ")
    for length in (0, 1, 100, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(toylab.FormatError) as error:
            toylab.load(path)
        assert str(error.value).startswith(f"{path}: ")


def leaf(name):
    return {"is": "numpy", "array": name}


@pytest.mark.parametrize(
    "tree",
    [
        None,
        [],
        {},
        {"is": "History", "fields": {}},
        {"is": "History", "fields": {name: leaf("a") for name in ("step", "loss", "W", "b")}},
        {"is": "SuperpositionResult", "fields": {}},
        {"is": "SuperpositionResult", "fields": {"config": {"is": "os.system"}}},
        {"is": "ToyModel", "fields": {"W": leaf("absent")}},
        {"is": "value", "value": 3},
    ],
)
def test_a_tree_of_something_else_is_refused(tree, tmp_path):
    store.write(tmp_path / "a.npz", {"a": np.zeros(2)}, {"tree": tree})
    with pytest.raises(toylab.FormatError) as error:
        toylab.load(tmp_path / "a.npz")
    assert str(error.value) == f"{tmp_path / 'a.npz'}: does not hold a Result of this version"


def test_a_config_out_of_range_is_refused_with_its_own_text(tmp_path):
    node = {"is": "SuperpositionConfig", "fields": {"sparsity": 2.0}}
    tree = {"is": "SuperpositionResult", "fields": {"config": node}}
    store.write(tmp_path / "a.npz", {}, {"tree": tree})
    with pytest.raises(toylab.FormatError) as error:
        toylab.load(tmp_path / "a.npz")
    assert str(error.value) == (
        f"{tmp_path / 'a.npz'}: sparsity=2.0: must be in [0, 1); 1 means no feature is ever active"
    )


def test_only_results_are_saved(tmp_path):
    with pytest.raises(toylab.ConfigError) as error:
        toylab.save(tmp_path / "a.npz", None)  # type: ignore[arg-type]
    assert (
        str(error.value).endswith(
            ": must be one of ['SuperpositionResult', 'ModularResult'], got PosixPath"
        )
        or os.name == "nt"
    )
    with pytest.raises(TypeError, match="must be one of"):
        toylab.save({"W": 1}, tmp_path / "a.npz")  # type: ignore[arg-type]


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        toylab.load(tmp_path / "absent.npz")
