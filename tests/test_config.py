"""Configs check themselves, answer in full sentences, and survive the journey through JSON."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toylab import ConfigError, SuperpositionConfig
from toylab.config import did_you_mean
from toylab.errors import ConfigTypeError, shown

FIELDS = (
    "n_features, n_hidden, sparsity, importance, importance_decay, activation, values, grouping, "
    "group_size, learning_rate, weight_decay, n_steps, batch_size, schedule, density"
)

BAD = [
    ({"n_features": 0}, "n_features=0: must be an integer in 1..4096"),
    ({"n_features": -1}, "n_features=-1: must be an integer in 1..4096"),
    ({"n_features": 5.0}, "n_features=5.0: must be an int, got float"),
    ({"n_features": "5"}, "n_features='5': must be an int, got str"),
    ({"n_features": True}, "n_features=True: must be an int, got bool"),
    ({"n_features": 10**9}, "n_features=1000000000: must be an integer in 1..4096"),
    ({"sparsity": 10**400}, "sparsity=inf: must be finite and in [0, 1)"),
    ({"n_hidden": 0}, "n_hidden=0: must be an integer in 1..4096"),
    ({"sparsity": 1.0}, "sparsity=1.0: must be in [0, 1); 1 means no feature is ever active"),
    ({"sparsity": 1.1}, "sparsity=1.1: must be in [0, 1); 1 means no feature is ever active"),
    ({"sparsity": -0.1}, "sparsity=-0.1: must be in [0, 1); 1 means no feature is ever active"),
    ({"sparsity": float("nan")}, "sparsity=nan: must be finite and in [0, 1)"),
    ({"sparsity": float("inf")}, "sparsity=inf: must be finite and in [0, 1)"),
    ({"sparsity": None}, "sparsity=None: must be a number, got NoneType"),
    (
        {"sparsity": (0.5, 0.5, 0.5, 1.0, 0.5)},
        "sparsity[3]=1.0: must be in [0, 1); 1 means no feature is ever active",
    ),
    ({"importance": (1, 2, 3, 4)}, "importance=(1.0, 2.0, 3.0, 4.0): has 4 values, n_features=5"),
    ({"importance": (1, 1, -1, 1, 1)}, "importance[2]=-1.0: must be in [0, 1e+06]"),
    (
        {"importance": (1, 1, float("nan"), 1, 1)},
        "importance[2]=nan: must be finite and in [0, 1e+06]",
    ),
    ({"importance": 0.0}, "importance=0.0: must be positive for at least one feature"),
    ({"batch_size": 0}, "batch_size=0: must be an integer in 1..131072"),
    ({"n_steps": -1}, "n_steps=-1: must be an integer in 0..2147483647"),
    ({"learning_rate": 0}, "learning_rate=0.0: must be in (0, 10]"),
    ({"learning_rate": -1.0}, "learning_rate=-1.0: must be in (0, 10]"),
    ({"learning_rate": "a"}, "learning_rate='a': must be a number, got str"),
    ({"weight_decay": -1e-3}, "weight_decay=-0.001: must be in [0, 10]"),
    (
        {"activation": "rellu"},
        "activation='rellu': did you mean 'relu'? must be one of ['relu', 'gelu', 'linear']",
    ),
    ({"activation": 3}, "activation=3: must be a str, got int"),
    ({"group_size": 2}, "group_size=2: must divide n_features=5"),
    ({"group_size": 6}, "group_size=6: must divide n_features=5"),
    (
        {"grouping": "anticorrelated", "group_size": 5, "sparsity": 0.5},
        "sparsity=0.5: the densities of one anticorrelated group must sum to at most 1, not 2.5; "
        "use a sparsity of at least 0.8",
    ),
    (
        {"n_features": 0, "sparsity": 2.0, "schedule": "linear"},
        "n_features=0: must be an integer in 1..4096\n"
        "sparsity=2.0: must be in [0, 1); 1 means no feature is ever active\n"
        "schedule='linear': must be one of ['cosine', 'constant']",
    ),
]


@pytest.mark.parametrize(("fields", "text"), BAD, ids=[str(f)[:40] for f, _ in BAD])
def test_bad_values_are_refused_with_their_full_text(fields, text):
    with pytest.raises(ConfigError) as caught:
        SuperpositionConfig(**fields).check()
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "fields", [{"n_features": 5.0}, {"n_features": True}, {"learning_rate": "a"}]
)
def test_wrong_types_are_type_errors_too(fields):
    with pytest.raises(TypeError):
        SuperpositionConfig(**fields).check()
    with pytest.raises(ConfigTypeError):
        SuperpositionConfig(**fields).check()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"sparcity": 0.5},
            "sparcity: unknown field of SuperpositionConfig; did you mean 'sparsity'? "
            f"fields: {FIELDS}",
        ),
        ({"sparsity": 0.5, "density": 0.5}, "density=0.5: sparsity is given as well; give one"),
    ],
)
def test_constructor_refuses_unknown_and_double_fields(given, text):
    with pytest.raises(ConfigError) as caught:
        SuperpositionConfig(**given)
    assert str(caught.value) == text


def test_constructor_takes_keywords_only():
    with pytest.raises(ConfigTypeError) as caught:
        SuperpositionConfig(5, 2)  # type: ignore[misc]
    assert str(caught.value) == (
        "SuperpositionConfig(5, ...): takes keyword arguments only; write n_features=..."
    )


def test_edges_are_accepted():
    SuperpositionConfig(sparsity=0.0).check()
    SuperpositionConfig(sparsity=0).check()
    SuperpositionConfig(n_steps=0).check()
    config = SuperpositionConfig(n_features=3, n_hidden=5).check()
    assert config.notices() == ["n_hidden=5: exceeds n_features=3; no superposition is possible"]
    assert SuperpositionConfig().notices() == []


def test_density_is_another_spelling_of_sparsity():
    assert SuperpositionConfig(density=0.05).sparsity == 0.95
    assert SuperpositionConfig(density=(0.1, 0.2), n_features=2).sparsity == (0.9, 0.8)
    assert SuperpositionConfig(sparsity=0.5).replace(density=0.1).sparsity == 0.9
    np.testing.assert_allclose(SuperpositionConfig(sparsity=0.9).density, [0.1] * 5)


@pytest.mark.parametrize("density", [jnp.float32(0.25), np.array(0.25), np.float64(0.25)])
def test_arrays_of_density_are_complemented_too(density):
    assert SuperpositionConfig(density=density).check().sparsity == 0.75
    assert SuperpositionConfig(density=[density] * 2, n_features=2).check().sparsity == (0.75, 0.75)


@pytest.mark.parametrize(
    ("density", "text"),
    [
        ("a", "density='a': must be a number, got str"),
        (True, "density=True: must be a number, got bool"),
        (1.5, "density=1.5: must be in (0, 1]"),
        (float("nan"), "density=nan: must be in (0, 1]"),
    ],
)
def test_bad_densities_are_refused_by_their_own_name(density, text):
    with pytest.raises(ConfigError) as caught:
        SuperpositionConfig(density=density)
    assert str(caught.value) == text


def test_importances_are_the_formula():
    config = SuperpositionConfig(n_features=3, importance=(1, 2, 4), importance_decay=0.5)
    np.testing.assert_allclose(config.importances, [1, 1, 1])


def test_numpy_and_lists_become_plain_values():
    config = SuperpositionConfig(
        n_features=np.int64(2), sparsity=np.array([0.5, 0.25]), importance=[1, 2]
    ).check()
    assert config.sparsity == (0.5, 0.25)
    assert config.importance == (1.0, 2.0)
    assert type(config.n_features) is int


def test_json_round_trip_is_canonical():
    config = SuperpositionConfig(n_features=3, sparsity=(0.1, 0.2, 0.7), activation="gelu")
    text = config.to_json()
    assert SuperpositionConfig.from_json(text).to_json() == text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert config.fingerprint() == SuperpositionConfig.from_json(text).fingerprint()
    assert config.fingerprint() != config.replace(n_hidden=1).fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"n_features": NaN}', "config: NaN is not allowed; numbers must be finite"),
        ('{"n_hidden": 1, "n_hidden": 2}', "config: a key occurs twice"),
        ("[1]", "config='[1]': must be a JSON object of fields"),
        (
            "{",
            "config='{': is not JSON (Expecting property name enclosed in double quotes: "
            "line 1 column 2 (char 1))",
        ),
        ("[" * 100_000, "config='" + "[" * 76 + "...: is nested too deeply"),
        ('{"n": 1}', f"n: unknown field of SuperpositionConfig; fields: {FIELDS}"),
    ],
)
def test_bad_json_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        SuperpositionConfig.from_json(text)
    assert str(caught.value) == message


def test_key_value_words():
    config = SuperpositionConfig.from_strings(
        {"n_features": "3", "density": "0.1", "importance": "1:0.5:0.25", "activation": "linear"}
    )
    assert (config.n_features, config.sparsity, config.activation) == (3, 0.9, "linear")
    assert config.importance == (1.0, 0.5, 0.25)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"n_features": "abc"}, "n_features='abc': must be an int"),
        ({"n_features": "5:6"}, "n_features='5:6': must be a single value"),
        ({"learning_rate": ""}, "learning_rate='': must be a number"),
        (
            {"n_features": "1e9", "sparcity": "1"},
            "n_features='1e9': must be an int\n"
            "sparcity: unknown field of SuperpositionConfig; did you mean 'sparsity'? "
            f"fields: {FIELDS}",
        ),
        ({"n_steps": "x" * 10**5}, "n_steps='" + "x" * 76 + "...: must be an int"),
    ],
)
def test_bad_words_are_refused(words, message):
    with pytest.raises(ConfigError) as caught:
        SuperpositionConfig.from_strings(words)
    assert str(caught.value) == message


def test_numbers_are_leaves_and_sizes_are_static():
    leaves = jax.tree.leaves(SuperpositionConfig(sparsity=0.25, learning_rate=0.5))
    assert sorted(leaves) == [0.0, 0.25, 0.5, 1.0, 1.0]
    stacked = jax.tree.map(
        lambda *v: jnp.stack(v), SuperpositionConfig(), SuperpositionConfig(sparsity=0.5)
    )
    doubled = jax.vmap(lambda c: c.sparsity * c.n_hidden)(stacked)
    np.testing.assert_allclose(doubled, [1.9, 1.0], rtol=1e-6)


def test_check_lets_tracers_pass():
    assert jax.jit(lambda c: c.check().sparsity)(SuperpositionConfig(sparsity=0.5)) == 0.5


def test_suggestions_and_cut_values():
    assert did_you_mean("relo", ["relu", "gelu"]) == "did you mean 'relu'? "
    assert did_you_mean("zzz", ["relu"]) == ""
    assert shown("a" * 100) == "'" + "a" * 76 + "..."
