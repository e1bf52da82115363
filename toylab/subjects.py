"""What `toylab run` and `toylab sweep` can be told to do: the experiments, by name.

A subject says which config its words fill, what is called, which pictures are drawn and what is
printed. Everything heavy is imported when it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from toylab.config import Config
from toylab.errors import ConfigError, shown

if TYPE_CHECKING:
    from toylab.training.grid import Grid

__all__ = ["SUBJECTS", "Drawings", "Subject"]

Drawings = Mapping[str, Callable[[Any], Any]]
MAX_LINES = 20


class Subject(Protocol):
    """One experiment of the command line."""

    def config(self) -> type[Config]:
        """The class whose fields the `key=value` words fill."""
        ...

    def experiment(self, method: str | None, n_starts: int | None) -> Callable[..., Any]:
        """What is called with (config, seed); raises ConfigError for an option it does not take."""
        ...

    def run_drawings(self) -> Drawings:
        """Name -> figure function of one Result."""
        ...

    def sweep_drawings(self, grid: Grid[Any]) -> Drawings:
        """Name -> figure function of a swept Result."""
        ...

    def summary(self, result: Any) -> Iterator[str]:
        """What to print of a Result, one line for each cell."""
        ...


class Superposition:
    """Sparse features through a bottleneck."""

    def config(self) -> type[Config]:
        from toylab.experiments.superposition_config import SuperpositionConfig

        return SuperpositionConfig

    def experiment(self, method: str | None, n_starts: int | None) -> Callable[..., Any]:
        from toylab.experiments import superposition

        chosen = superposition.solve if method == "solve" else superposition.run
        return chosen if n_starts is None else functools.partial(chosen, n_starts=n_starts)

    def run_drawings(self) -> Drawings:
        from toylab.figures.geometry import hidden_geometry
        from toylab.figures.superposition import feature_bars, gram_and_bias

        return {"geometry": hidden_geometry, "gram": gram_and_bias, "features": feature_bars}

    def sweep_drawings(self, grid: Grid[Any]) -> Drawings:
        from toylab.figures.geometry import hidden_geometry
        from toylab.figures.maps import sweep_map
        from toylab.figures.superposition import dimensionality_against_density, gram_and_bias

        drawings: dict[str, Any] = {"geometry": hidden_geometry, "gram": gram_and_bias}
        if [name for name, _ in grid.axes] in (["sparsity"], ["density"]):
            drawings["dimensionality"] = dimensionality_against_density
        if len(grid.axes) == 2:
            drawings["map"] = sweep_map
        return drawings

    def summary(self, result: Any) -> Iterator[str]:
        from toylab.analysis.polytopes import name_polytope
        from toylab.figures.cells import cells

        found = cells(result)
        for cell in found[:MAX_LINES]:
            shape = name_polytope(cell.W)
            kept = f"{shape.n_vertices} of {cell.config.n_features} features represented"
            label = f"{cell.label}: " if cell.label else ""
            yield f"{label}loss {cell.loss:.6g}, {kept}: {shape.name}"
        if len(found) > MAX_LINES:
            yield f"... and {len(found) - MAX_LINES} more"


class Modular:
    """Arithmetic modulo p."""

    def config(self) -> type[Config]:
        from toylab.experiments.modular_config import ModularConfig

        return ModularConfig

    def experiment(self, method: str | None, n_starts: int | None) -> Callable[..., Any]:
        from toylab.experiments import modular

        for name, value in (("method", method), ("starts", n_starts)):
            if value is not None:
                raise ConfigError(
                    f"{name}={shown(value)}: modular trains one network from one start; write "
                    "--seed, or seed=0,1,2 in a sweep"
                )
        return modular.run

    def run_drawings(self) -> Drawings:
        from toylab.figures.fourier import logit_fit, neuron_waves, spectrum, training_story

        return {
            "story": training_story,
            "spectrum": spectrum,
            "neurons": neuron_waves,
            "logits": logit_fit,
        }

    def sweep_drawings(self, grid: Grid[Any]) -> Drawings:
        from toylab.figures.fourier import grokking_sweep

        return {"grokking": grokking_sweep}

    def summary(self, result: Any) -> Iterator[str]:
        from toylab.figures.modular_cells import cells, memorised_at

        found = cells(result)
        for cell in found[:MAX_LINES]:
            label = f"{cell.label}: " if cell.label else ""
            keys = " ".join(map(str, cell.key_frequencies)) or "none"
            yield (
                f"{label}test accuracy {cell.test_accuracy[-1]:.4f}, "
                f"loss {cell.test_loss[-1]:.3g}; training pairs {_known(memorised_at(cell))}, "
                f"test pairs {_known(cell.phases.cleaned)}; key frequencies {keys}"
                + (" (no test pairs: these are the training pairs')" * (not _tested(cell)))
            )
        if len(found) > MAX_LINES:
            yield f"... and {len(found) - MAX_LINES} more"


def _known(step: Any) -> str:
    """From when on 99 % of some pairs are right."""
    return "never known" if int(step) < 0 else f"known from step {int(step)}"


def _tested(cell: Any) -> bool:
    return cell.config.n_train < cell.config.p**2


SUBJECTS: Mapping[str, Subject] = {"superposition": Superposition(), "modular": Modular()}
