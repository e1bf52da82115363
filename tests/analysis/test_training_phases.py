"""Borders of the phases: curves small enough to read, a published run, loops, symmetries."""

import math

import numpy as np
import pytest

from toylab.analysis import training_phases as tp
from toylab.errors import ConfigError, ConfigTypeError

STEP = [0, 10, 20, 30]
GROKS = ([5, 1, 4, 7], [5, 8, 3, 0.1], [0, 0, 0.6, 1])


def phases(*curves, step=STEP, p=113):
    return tuple(int(x) for x in tp.training_phases(step, *curves, p))


def test_phases_by_hand():
    assert phases(*GROKS) == (10, 10, 30)


def test_the_five_recorded_steps_of_a_fast_run():
    """Seed 1 of the fast setting at p = 113, at some of its recorded steps, the last one at 500."""
    found = phases(
        [4.77, 1.54, 5.80, 7.87, 6.25],
        [4.77, 8.09, 1.96, 0.32, 0.010],
        [0.009, 0.16, 0.39, 0.91, 1.0],
        step=[0, 60, 160, 220, 400],
    )
    assert found == (60, 60, 400)


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        (([5, 4, 3, 2], [5, 6, 7, 8], [0, 0, 0, 0]), (-1, -1, -1)),  # learns by heart to the end
        (([5, 1, 4, 7], [1, 1, 1, 0.1], [0, 0, 0, 0.98]), (10, -1, -1)),  # never worse than blind
        (([1, 5, 4, 7], [5, 4, 5, 0.1], [1, 1, 1, 1]), (0, 20, 0)),
        (([5, 1, 4, 7], [5, 4, 1, 5], [0, 1, 1, 0]), (10, -1, -1)),  # a spike at the end
        (([5, 1, 1, 7], [5, 4, 1, 5.0], [0, 1, 0.5, 0.99]), (10, -1, 30)),  # the first minimum
    ],
)
def test_what_does_not_end_is_never(curves, expected):
    assert phases(*curves) == expected


def test_blind_guessing_is_the_logarithm_of_p():
    for p in (7, 113):
        at, below = math.log(p), math.log(p) - 1e-6
        assert phases(GROKS[0], [9, at, below, 1], GROKS[2], p=p)[1] == 10
        assert phases(GROKS[0], [9, below, below, 1], GROKS[2], p=p)[1] == 0


def by_loop(step, accuracy, level):
    """The two rules, record by record."""
    first = next((s for s, x in zip(step, accuracy, strict=True) if x >= level), -1)
    holding = -1
    for s, x in zip(reversed(step), reversed(accuracy), strict=True):
        if x < level:
            break
        holding = s
    return first, holding


def test_first_steps_by_hand():
    accuracy = [0.2, 0.99, 0.7, 1.0]
    assert int(tp.first_step_at([0, 5, 10, 15], accuracy, 0.9)) == 5
    assert int(tp.first_step_holding([0, 5, 10, 15], accuracy, 0.9)) == 15
    assert (
        int(tp.first_step_at([3], [0.5], 0.5)) == int(tp.first_step_holding([3], [0.5], 0.5)) == 3
    )
    assert (
        int(tp.first_step_at([3], [0.4], 0.5)) == int(tp.first_step_holding([3], [0.4], 0.5)) == -1
    )


def test_first_steps_against_loops_for_stacks_of_curves():
    accuracy = np.random.default_rng(0).random((4, 50, 6)) ** 0.2
    step = [1, 2, 4, 8, 16, 32]
    for level in (0.0, 0.8, 1.0):
        expected = [[by_loop(step, list(row), level) for row in block] for block in accuracy]
        first = tp.first_step_at(step, accuracy, level)
        holding = tp.first_step_holding(step, accuracy, level)
        np.testing.assert_array_equal(np.stack([first, holding], axis=-1), expected)


def test_seeds_are_leading_axes():
    curves = [np.stack([curve, curve[::-1]]) for curve in map(np.array, GROKS)]
    found = tp.training_phases(STEP, *curves, 113)
    assert [field.shape for field in found] == [(2,)] * 3
    for seed in range(2):
        one = tp.training_phases(STEP, *[curve[seed] for curve in curves], 113)
        assert [int(field[seed]) for field in found] == [int(field) for field in one]


def test_relabelled_steps_relabel_the_borders():
    assert phases(*GROKS, step=[7, 100, 101, 5000]) == (100, 100, 5000)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: tp.training_phases([0, 1], [1, 2, 3], [1, 2], [0, 1], 5),
            ConfigError,
            "excluded_loss=[3]: must have one value a record, [..., 2]",
        ),
        (
            lambda: tp.training_phases([0, 1], [1, 2], [1, np.nan], [0, 1], 5),
            ConfigError,
            "test_loss[1]=nan: must be finite and in [0, inf]",
        ),
        (
            lambda: tp.training_phases([0, 1], [1, 2], [1, 2], [0, 1], 1),
            ConfigError,
            "p=1: must be an integer >= 2",
        ),
        (
            lambda: tp.first_step_at([0, 1], [0.5, 1.5], 0.5),
            ConfigError,
            "accuracy[1]=1.5: must be in [0, 1]",
        ),
        (
            lambda: tp.first_step_holding([0, 1], [0.5, 1.0], 2),
            ConfigError,
            "level=2: must be in [0, 1]",
        ),
        (
            lambda: tp.first_step_at([0, 0.5], [0.5, 1.0], 1),
            ConfigError,
            "step=[0.0, 0.5]: must be one row of ascending whole numbers, at least one",
        ),
        (
            lambda: tp.first_step_at([5, 5], [0.5, 1.0], 1),
            ConfigError,
            "step=[5.0, 5.0]: must be one row of ascending whole numbers, at least one",
        ),
        (
            lambda: tp.first_step_at([], [], 1),
            ConfigError,
            "step=[]: must be one row of ascending whole numbers, at least one",
        ),
        (
            lambda: tp.first_step_at([0], ["x"], 1),
            ConfigTypeError,
            "accuracy=['x']: must be real numbers",
        ),
    ],
)
def test_bad_curves_are_refused(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
