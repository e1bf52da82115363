"""Running experiments: one cell or a grid, through the same compiled program of constant shape.

XLA's bits depend on the shapes that it compiles, not on the values beside a cell. So every cell,
also when it is run alone, goes through the same microbatch of a constant, padded shape: `sweep`
then gives each cell the bits that it has alone, in any grid, in any order and on any number of
devices.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from toylab.budget import Cost, require_within_budget
from toylab.config import Config, did_you_mean
from toylab.errors import ConfigError, ConfigTypeError, shown
from toylab.training.grid import Grid

__all__ = ["Compute", "Experiment", "Plan", "Progress", "as_key", "cell_key", "experiment", "sweep"]

Device = Any  # jax.Device, which type checkers take for a variable
C = TypeVar("C", bound=Config)
R = TypeVar("R", bound=NamedTuple)


class Progress(Protocol):
    """Called from time to time with the work done and the whole; raise in it to stop."""

    def __call__(self, done: int, total: int) -> None: ...


class Compute(NamedTuple):
    """What one cell computes, in stages between which the host may look up.

    Module-level functions of arrays, so that equal shapes compile once:
        begin: (problem, key) -> state
        advance: (problem, state, until) -> state, called with each of the plan's targets
        observe: (problem, state) -> record, kept after each target
        end: (problem, state) -> outcome
        options: XLA's options for `advance` and `observe`, as (name, value); left out where the
            compiler does not know them all.
    """

    begin: Callable[[Any, jax.Array], Any]
    advance: Callable[[Any, Any, jax.Array], Any]
    observe: Callable[[Any, Any], Any]
    end: Callable[[Any, Any], Any]
    options: tuple[tuple[str, str], ...] = ()


class Plan(NamedTuple):
    """One cell, made ready on the host.

    Attributes:
        problem: a pytree of arrays of constant, padded shape, with its choices as static data.
        compute: the stages.
        targets: the values of `until`, ascending.
        microbatch: how many cells share one compiled call.
        finish: (outcome, records) of this cell as numpy arrays -> Result; cuts the padding off.
        cost: what the cell needs, for the budget.
        refuse: raises for a Result that a lone run must not return (in a sweep it is returned as it
            is).
    """

    problem: Any
    compute: Compute
    targets: tuple[int, ...]
    microbatch: int
    finish: Callable[[Any, list[Any]], Any]
    cost: Cost = Cost(0.0, 0.0)
    refuse: Callable[[Any], None] | None = None


class Experiment(Generic[C, R]):
    """A named computation: called with a config and a key it returns a Result.

    Made by the `experiment` decorator from a function that plans it. The key is a JAX key or an int
    seed in 0..4294967295; further keywords are those of the planning function. `progress` is told
    the work done, and `watch` is given each record as it is made.
    """

    def __init__(self, plan: Callable[..., Plan]):
        functools.update_wrapper(self, plan)
        self.plan = plan

    def planned(self, config: C, options: Mapping[str, Any]) -> Plan:
        """The plan of one cell; an unknown option is refused with the nearest known one."""
        known = list(inspect.signature(self.plan).parameters)[1:]
        for name in options:
            if name not in known:
                raise ConfigError(
                    f"{name}: unknown option; {did_you_mean(name, known)}"
                    f"options: {', '.join(known)}"
                )
        return self.plan(config, **options)

    def __call__(
        self,
        config: C,
        key: jax.Array | int,
        *,
        progress: Progress | None = None,
        watch: Callable[[Any], None] | None = None,
        **options: Any,
    ) -> R:
        key = as_key(key)
        plan = self.planned(config, options)
        require_within_budget(plan.cost, shown(config.to_json()))
        [result] = _execute(
            [plan],
            np.asarray(jax.random.key_data(key))[None],
            jax.local_devices()[:1],
            progress,
            watch,
        )
        if plan.refuse is not None:
            plan.refuse(result)
        return jax.tree.map(jnp.asarray, result._replace(config=None))._replace(
            config=result.config
        )


def experiment(plan: Callable[..., Plan]) -> Experiment[Any, Any]:
    """Turn a function (config, **options) -> `Plan` into an `Experiment`."""
    return Experiment(plan)


def as_key(key: jax.Array | int) -> jax.Array:
    """A typed JAX key from a key or from an int seed.

    Raises:
        ConfigError: a seed outside 0..4294967295 (2^32 more would give the same key), or not a key.
    """
    if (
        isinstance(key, jax.Array)
        and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        and key.ndim == 0
    ):
        if jax.random.key_data(key).shape != (2,):
            raise ConfigError(
                f"seed={shown(key)}: must be a threefry key; write jax.random.key(seed)"
            )
        return key
    if isinstance(key, bool) or not isinstance(key, int | np.integer):
        raise ConfigTypeError(
            f"seed={shown(key)}: must be an int or a key of jax.random.key, "
            f"got {type(key).__name__}"
        )
    if not 0 <= key < 2**32:
        raise ConfigError(f"seed={shown(key)}: must be an integer in 0..4294967295")
    return jax.random.key(int(key))


def cell_key(key: jax.Array | int, config: Config) -> jax.Array:
    """The key that `sweep` gives to the cell of `config`: fold_in of the config's stable number.

    It depends on nothing else, so a cell keeps its key when its grid grows.
    """
    return jax.random.wrap_key_data(jnp.asarray(_cell_words(as_key(key), [config])[0]))


def _cell_words(key: jax.Array, configs: Sequence[Config]) -> np.ndarray:
    """The words of the cells' keys, uint32 [cells, 2]."""
    numbers = np.array([int(config.fingerprint()[:8], 16) for config in configs], np.uint32)
    return np.asarray(jax.random.key_data(_fold_in(key, numbers)))


_fold_in = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))


def sweep(
    run: Callable[..., R],
    configs: Grid[Any] | Sequence[Config],
    key: jax.Array | int,
    *,
    devices: Sequence[Device] | None = None,
    progress: Progress | None = None,
    each: Callable[[int, R], None] | None = None,
) -> R:
    """Run every cell of a grid; cell i has the bits of `run(config_i, cell_key(key, config_i))`.

    Args:
        run: an `Experiment`, or `functools.partial` of one with options
            (`partial(toylab.superposition.solve, n_starts=16)`).
        configs: a `Grid`, or a list of configs (one axis).
        key: a JAX key or an int seed.
        devices: where to run, all local devices if None; the results do not depend on it.
        progress: called with (stages done, stages in all).
        each: called with a cell's number, row-major, and its own Result as soon as it is done;
            cells of equal sizes come together, not always in order.

    Returns:
        The Result of `run` with the grid's axes in front of every array, and the grid as `.config`.
        When sizes differ between cells, arrays are filled with zeros up to the largest.

    Raises:
        ConfigError: a cell that is not valid, or cells whose results have different structures.
    """
    planner, options = _planner(run)
    key = as_key(key)
    cells = configs.configs if isinstance(configs, Grid) else tuple(configs)
    if not cells:
        raise ConfigError("configs=[]: nothing to sweep")
    checked = [config.check() for config in cells]
    plans = [planner.planned(config, options) for config in checked]
    words = _cell_words(key, checked)
    _require_sweep_within_budget(plans, len(devices or jax.local_devices()))
    results = _execute(plans, words, list(devices or jax.local_devices()), progress, each=each)
    shape = configs.shape if isinstance(configs, Grid) else (len(cells),)
    whole = configs if isinstance(configs, Grid) else tuple(checked)
    return _stacked(results, shape)._replace(config=whole)


def _require_sweep_within_budget(plans: list[Plan], n_devices: int) -> None:
    widest = max(plan.cost.n_bytes for plan in plans) * n_devices
    seconds = sum(plan.cost.seconds for plan in plans)
    require_within_budget(Cost(widest, seconds), f"a sweep of {len(plans)} cells")


def _planner(run: Callable[..., Any]) -> tuple[Experiment[Any, Any], dict[str, Any]]:
    if isinstance(run, functools.partial) and isinstance(run.func, Experiment) and not run.args:
        return run.func, run.keywords
    if isinstance(run, Experiment):
        return run, {}
    raise ConfigTypeError(
        f"run={shown(run)}: must be an Experiment, such as toylab.superposition.run, "
        "or functools.partial of one with keywords"
    )


def _execute(
    plans: list[Plan],
    words: np.ndarray,
    devices: list[Device],
    progress: Progress | None,
    watch: Callable[[Any], None] | None = None,
    each: Callable[[int, Any], None] | None = None,
) -> list[Any]:
    """Group the cells that share a program, run each group in microbatches, finish each cell."""
    groups: dict[Any, list[int]] = {}
    for index, plan in enumerate(plans):
        groups.setdefault(_program(plan), []).append(index)
    calls = [
        (members[i : i + plans[members[0]].microbatch * len(devices)])
        for members in groups.values()
        for i in range(0, len(members), plans[members[0]].microbatch * len(devices))
    ]
    total = sum(len(plans[call[0]].targets) + 1 for call in calls)
    results: list[Any] = [None] * len(plans)
    done = 0
    for call in calls:
        report = None if progress is None else functools.partial(_report, progress, done, total)
        outcomes = _run_call([plans[i] for i in call], words[call], devices, report, watch)
        for i, (outcome, records) in zip(call, outcomes, strict=True):
            results[i] = plans[i].finish(outcome, records)
            if each is not None:
                each(i, results[i])
        done += len(plans[call[0]].targets) + 1
    return results


def _report(progress: Progress, before: int, total: int, stages: int) -> None:
    progress(before + stages, total)


def _program(plan: Plan) -> Any:
    """Plans with equal values here run through one compiled program."""
    leaves, structure = jax.tree.flatten(plan.problem)
    return (
        plan.compute,
        plan.targets,
        plan.microbatch,
        structure,
        tuple((np.shape(leaf), np.result_type(leaf)) for leaf in leaves),
    )


def _run_call(
    plans: list[Plan],
    words: np.ndarray,
    devices: list[Device],
    report: Callable[[int], None] | None,
    watch: Callable[[Any], None] | None,
) -> list[tuple[Any, list[Any]]]:
    """One microbatch on each device, all at work at once: dispatching does not wait.

    Each device runs the program of a lone run. (One program over all devices is compiled with
    other fusions, and has other bits.)
    """
    first, size = plans[0], plans[0].microbatch
    begin, advance, observe, end = _compiled(first.compute, size)[:4]
    parts = [slice(i, min(i + size, len(plans))) for i in range(0, len(plans), size)]
    put = [
        jax.device_put(_batch([plan.problem for plan in plans[part]], words[part], size), device)
        for part, device in zip(parts, devices, strict=False)
    ]
    states = [begin(problem, seeds) for problem, seeds in put]

    def collect(stage: Callable[..., Any]) -> list[Any]:
        """What a stage returns for each cell, on the host."""
        found = [stage(problem, state) for (problem, _), state in zip(put, states, strict=True)]
        return [
            cell
            for outcome, part in zip(jax.device_get(found), parts, strict=True)
            for cell in _cells(outcome, size, part.stop - part.start)
        ]

    records = []
    for done, target in enumerate(first.targets, start=1):
        until: Any = np.full(size, target, np.int32) if size > 1 else np.int32(target)
        states = [
            advance(problem, state, until) for (problem, _), state in zip(put, states, strict=True)
        ]
        records.append(collect(observe))
        if watch is not None:
            watch(records[-1][0])
        if report is not None:
            report(done)
    outcomes = collect(end)
    if report is not None:
        report(len(first.targets) + 1)
    return [(outcome, [record[i] for record in records]) for i, outcome in enumerate(outcomes)]


def _batch(problems: list[Any], words: np.ndarray, size: int) -> tuple[Any, np.ndarray]:
    """The arguments of one microbatch; missing cells are filled with the first one's copy."""
    if size == 1:
        return problems[0], words[0]
    missing = size - len(problems)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *problems, *problems[:1] * missing)
    return stacked, np.concatenate([words, words[:1].repeat(missing, axis=0)])


def _cells(outcome: Any, size: int, count: int) -> list[Any]:
    """The first `count` cells of what a microbatch returned."""
    if size == 1:
        return [outcome]
    return [jax.tree.map(lambda leaf, i=i: leaf[i], outcome) for i in range(count)]


@functools.cache
def _compiled(compute: Compute, microbatch: int) -> Compute:
    """The four stages for a microbatch; a single cell has no leading axis."""

    def compiled(stage: Callable[..., Any], options: dict[str, str] | None = None) -> Any:
        lone = jax.vmap(stage) if microbatch > 1 else lambda *args: stage(*args)
        return jax.jit(lone, compiler_options=options)

    def begin(problem: Any, words: jax.Array) -> Any:
        return compute.begin(problem, jax.random.wrap_key_data(words))

    options = _understood(compute.options)
    advance, observe = (compiled(f, options) for f in (compute.advance, compute.observe))
    return Compute(compiled(begin), advance, observe, compiled(compute.end))


@functools.cache
def _understood(options: tuple[tuple[str, str], ...]) -> dict[str, str] | None:
    """The options, if there are any and this compiler knows them."""
    if not options:
        return None
    try:
        jax.jit(lambda x: x, compiler_options=dict(options)).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return dict(options)


def _stacked(results: list[Any], shape: tuple[int, ...]) -> Any:
    """Results of single cells -> one Result with `shape` in front of every array."""
    bare = [result._replace(config=None) for result in results]
    structure = jax.tree.structure(bare[0])
    if any(jax.tree.structure(result) != structure for result in bare[1:]):
        raise ConfigError(
            "configs: the cells give models of different kinds; sweep each kind by itself"
        )
    return jax.tree.map(lambda *leaves: _filled(leaves, shape), *bare)


def _filled(leaves: tuple[Any, ...], shape: tuple[int, ...]) -> jax.Array:
    sizes = {np.shape(leaf) for leaf in leaves}
    inner = tuple(max(size) for size in zip(*sizes, strict=True))
    whole = np.zeros((len(leaves), *inner), np.result_type(leaves[0]))
    for index, leaf in enumerate(leaves):
        whole[(index, *(slice(n) for n in np.shape(leaf)))] = leaf
    return jnp.asarray(whole.reshape(*shape, *inner))
