"""Figures of superposition draw the numbers of their results, and survive odd ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from scipy import stats

from toylab import SuperpositionConfig, SuperpositionResult, grid
from toylab.errors import ConfigError
from toylab.figures.cells import cells, density_of, spaced, sweep_of
from toylab.figures.geometry import hidden_geometry, shape_of
from toylab.figures.learning import Attacks, Learning, learning_curves, vulnerability
from toylab.figures.maps import phase_diagram, phase_map, sweep_map
from toylab.figures.packing import RandomDirections, random_directions
from toylab.figures.starts import (
    Branches,
    density_of_one_feature,
    geometry_crossing,
    success_rate,
    wilson,
)
from toylab.figures.style import save_figure
from toylab.figures.superposition import (
    Comparison,
    dimensionality_against_density,
    feature_bars,
    gram_and_bias,
    linear_against_relu,
)

Build = Callable[..., SuperpositionResult]
Polygon = Callable[..., np.ndarray]

# The table of known optima: best exact loss with all five features kept and with one dropped.
CROSSING_DENSITY = np.array([0.210, 0.220, 0.225, 0.230, 0.240])
PENTAGON = np.array([0.017153, 0.018450, 0.019093, 0.019753, 0.021089])
SQUARE = np.array([0.017582, 0.018590, 0.019100, 0.019614, 0.020651])


def five(values: Any) -> np.ndarray:
    """An independent rounding to five significant digits."""
    return np.vectorize(lambda value: float(f"{value:.5g}"))(np.asarray(values, float))


def numbers(values: Any) -> list[Any]:
    """What an artist holds, as plain numbers; its accessors promise less than they return."""
    return np.asarray(values).tolist()


def rectangles(axes: Axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def points(axes: Axes, index: int = 0) -> np.ndarray:
    found = [c for c in axes.collections if isinstance(c, PathCollection)]
    return np.asarray(found[index].get_offsets())


def table_branches() -> Branches:
    losses = np.stack([PENTAGON, SQUARE])
    kept = np.array([[5] * 5, [4] * 5])
    return Branches(5, 2, CROSSING_DENSITY, losses, kept)


def dimensionality(W: np.ndarray) -> np.ndarray:
    """D_i by its definition, one feature at a time."""
    values = []
    for w in W.T:
        norm = np.sqrt(w @ w)
        values.append(0.0 if norm == 0 else norm ** 2 / sum(((w / norm) @ v) ** 2 for v in W.T))
    return np.array(values)


def test_cells_of_a_padded_sweep_have_their_own_sizes(result: Build) -> None:
    plan = grid(SuperpositionConfig(), n_features=[2, 3], n_hidden=[1, 2])
    W = np.arange(24, dtype=float).reshape(2, 2, 2, 3)
    found = cells(result(plan, W))
    assert [cell.W.shape for cell in found] == [(1, 2), (2, 2), (1, 3), (2, 3)]
    assert found[1].W.tolist() == [[6, 7], [9, 10]]
    assert [cell.label for cell in found][:2] == [
        "n_features 2, n_hidden 1", "n_features 2, n_hidden 2"]
    assert sweep_of(result(plan, W)).shape == (2, 2)


def test_labels_name_densities_words_and_the_feature_that_varies(random_result: Build) -> None:
    base = SuperpositionConfig(n_features=2, n_hidden=1, group_size=2)
    plan = grid(base, sparsity=[0.0, 0.95], grouping=["correlated", "hierarchical"])
    assert [cell.label for cell in cells(random_result(plan))] == [
        "density 1, grouping correlated", "density 1, grouping hierarchical",
        "density 0.05, grouping correlated", "density 0.05, grouping hierarchical"]
    plan = grid(base, importance=[(1.0, 0.5), (1.0, 2.0)])
    assert [cell.label for cell in cells(random_result(plan))] == [
        "importance of 2: 0.5", "importance of 2: 2"]
    plan = grid(base, sparsity=[(0.5, 0.9), (0.7, 0.9)])
    assert [cell.label for cell in cells(random_result(plan))] == [
        "density of 1: 0.5", "density of 1: 0.3"]
    mixed = (base, base.replace(n_hidden=2))
    assert [cell.label for cell in cells(random_result(mixed))] == ["2 in 1", "2 in 2"]
    assert [cell.label for cell in cells(random_result((base, base.replace(sparsity=0.5))))] == [
        "cell 1", "cell 2"]
    assert cells(random_result(base))[0].label == ""


def test_spaced_keeps_both_ends(random_result: Build) -> None:
    found = cells(random_result(grid(SuperpositionConfig(), n_features=list(range(1, 11)))))
    assert [cell.config.n_features for cell in spaced(found, 4)] == [1, 4, 7, 10]
    assert len(spaced(found, 99)) == 10
    assert density_of(SuperpositionConfig(sparsity=(0.5, 0.9, 0.9, 0.9, 0.8))) == pytest.approx(0.2)


def test_geometry_draws_each_column_of_w(result: Build, polygon: Polygon) -> None:
    plan = grid(SuperpositionConfig(importance_decay=0.9), sparsity=[0.8, 0.95])
    W = np.stack([polygon(4, 5, 1.0123456789), polygon(5, 5)])
    figure = hidden_geometry(result(plan, W))
    for axes, matrix in zip(figure.axes[:2], W, strict=True):
        assert points(axes).tolist() == five(matrix.astype(np.float32).T).tolist()
    assert [axes.get_title() for axes in figure.axes[:2]] == ["density 0.2", "density 0.05"]
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["square, 1 dropped", "pentagon"]
    assert figure.get_suptitle() == "5 features in 2 dimensions: square → pentagon"
    assert figure.get_label() == ("5 feature vectors in 2 hidden dimensions, 2 panels. density "
                                  "0.2: square, 1 dropped; density 0.05: pentagon.")


def test_geometry_in_three_dimensions_is_a_rotation(random_result: Build) -> None:
    found = random_result(SuperpositionConfig(n_features=6, n_hidden=3))
    W = np.asarray(found.model.W[...])
    drawn = points(hidden_geometry(found).axes[0])
    assert drawn.shape == (6, 2)
    # Two orthonormal rows: the picture is W seen from some side, not stretched.
    rows, residual, *_ = np.linalg.lstsq(W.T, drawn, rcond=None)
    assert residual.max() < 1e-7
    np.testing.assert_allclose(rows.T @ rows, np.eye(2), atol=1e-3)


def test_features_of_one_set_share_a_colour_and_their_cosines_are_told(result: Build) -> None:
    config = SuperpositionConfig(n_features=4, grouping="correlated", group_size=2)
    found = result(config, [[1, 0, 1, -0.6], [0, 1, 0, 0.8]])
    figure = hidden_geometry(found)
    [dots] = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    colours = np.asarray(dots.get_facecolor())
    assert colours[0].tolist() == colours[1].tolist() != colours[2].tolist()
    assert shape_of(cells(found)[0]) == "cos within sets -0.60 to 0.00"


def test_gram_figure_draws_the_gram_matrix_bias_and_norms(result: Build) -> None:
    W = np.array([[1.0, -0.5, 0.25], [0.0, 1.0, -1.5]])
    b = np.array([-0.123456789, 0.2, 0.0])
    config = SuperpositionConfig(n_features=3)
    matrix, bias, bars = gram_and_bias(result(config, W, b)).axes[:3]
    expected = [[1.0, -0.5, 0.25], [-0.5, 1.25, -1.625], [0.25, -1.625, 2.3125]]
    assert numbers(matrix.images[0].get_array()) == expected
    assert np.ravel(numbers(bias.images[0].get_array())).tolist() == [-0.12346, 0.2, 0.0]
    widths = [patch.get_width() for patch in rectangles(bars)]
    assert widths == five([1.0, np.sqrt(1.25), np.sqrt(2.3125)]).tolist()
    low, high = matrix.images[0].get_clim()
    assert low == -high == -2.3125


def test_linear_stands_before_the_relu_models(random_result: Build) -> None:
    plan = grid(SuperpositionConfig(n_features=4), sparsity=[0.0, 0.9])
    linear, relu = random_result(plan, seed=1), random_result(plan, seed=2)
    figure = linear_against_relu(Comparison(linear, relu))
    heat = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in heat] == [
        "linear, any density", "ReLU, density 1", "ReLU, density 0.1"]
    W = five(np.asarray(linear.model.W[...])[0])
    np.testing.assert_allclose(numbers(heat[0].images[0].get_array()), W.T @ W, rtol=1e-4,
                               atol=1e-6)


def test_feature_bars_of_a_pentagon(result: Build, polygon: Polygon) -> None:
    figure = feature_bars(result(SuperpositionConfig(), polygon(5, 5)))
    interference, closest, share = figure.axes
    heights = [[bar.get_height() for bar in rectangles(axes)] for axes in figure.axes]
    assert heights[0] == pytest.approx([np.sqrt(1.5)] * 5, abs=1e-4)  # sqrt(n/m - 1): a tight frame
    assert heights[1] == pytest.approx([np.cos(np.pi / 5)] * 5, abs=1e-4)
    assert heights[2] == pytest.approx([0.4] * 5, abs=1e-4)
    assert numbers(interference.lines[0].get_ydata())[0] == five(np.sqrt(1.5))
    assert numbers(closest.lines[0].get_ydata())[0] == five(np.sqrt(3 / 8))  # Welch: (5-2)/(2·4)
    levels = {numbers(line.get_ydata())[0] for line in share.lines}
    assert levels == {1, 3 / 4, 2 / 3, 1 / 2, 2 / 5, 3 / 8}
    assert figure.get_suptitle() == "5 of 5 features share 2 dimensions"


def test_dimensionality_is_drawn_over_inverse_density(random_result: Build) -> None:
    found = random_result(grid(SuperpositionConfig(n_features=4), density=[0.5, 1.0, 0.125]))
    above, below = dimensionality_against_density(found).axes
    W = np.asarray(found.model.W[...], float)
    order = [2, 0, 1]  # by density
    assert numbers(above.lines[0].get_xdata()) == [8, 2, 1]
    np.testing.assert_allclose(numbers(above.lines[0].get_ydata()),
                               [2 / np.sum(W[i] ** 2) for i in order], rtol=2e-4)
    drawn = points(below)
    assert drawn[:, 0].tolist() == [8] * 4 + [2] * 4 + [1] * 4
    expected = np.concatenate([dimensionality(W[i]) for i in order])
    np.testing.assert_allclose(drawn[:, 1], expected, rtol=2e-4)


def phase_sweep(result: Build) -> SuperpositionResult:
    """2→1 at two densities and three importances, with one cell in the wrong phase."""
    plan = grid(SuperpositionConfig(n_features=2, n_hidden=1),
                importance=[(1.0, 0.5), (1.0, 1.5), (1.0, 4.0)], density=[1.0, 0.1])
    ignored, own, pair = [[1.0, 0.0]], [[0.0, 1.0]], [[1.0, -1.0]]
    W = np.array([[ignored, pair], [own, pair], [pair, pair]])
    # Summed over features: r/12 or 1/12 dense, (1+r)/600 sparse; the mean is half of it.
    loss = np.array([[0.5 / 12, 1.5 / 600], [1 / 12, 2.5 / 600], [5 / 6, 5 / 600]]) / 2
    return result(plan, W, loss=loss)


def test_phase_diagram_draws_categories_ratios_and_the_published_boundary(result: Build) -> None:
    found = phase_sweep(result)
    field = phase_map(found)
    assert field.density.tolist() == [0.1, 1.0]
    assert field.importance.tolist() == [0.5, 1.5, 4.0]
    assert field.found.tolist() == [[2, 0], [2, 1], [2, 2]]
    assert field.expected.tolist() == [[2, 0], [2, 1], [2, 1]]
    assert field.agreement == pytest.approx(5 / 6)
    np.testing.assert_allclose(field.ratio, [[1, 1], [1, 1], [1, 10]], rtol=1e-4)
    figure = phase_diagram(found)
    left, right = figure.axes[:2]
    drawn = [next(c for c in axes.collections if isinstance(c, QuadMesh)) for axes in (left, right)]
    assert numbers(drawn[0].get_array()) == field.found.tolist()
    assert numbers(drawn[1].get_array()) == field.ratio.tolist()
    assert "83.3 %" in figure.get_suptitle()
    lines = np.concatenate([path.vertices for c in left.collections if not isinstance(c, QuadMesh)
                            for path in c.get_paths()])
    p, r = lines.T
    pair = p < 4 / 7 - 0.01  # the boundary of superposition; beyond it r = 1 divides the rest
    assert pair.sum() > 20
    np.testing.assert_allclose(p[pair], np.where(r < 1, 4 * r / (2 + 5 * r), 4 / (5 + 2 * r))[pair],
                               rtol=0.02)
    np.testing.assert_allclose(r[p > 4 / 7 + 0.03], 1.0, rtol=0.03)


def test_three_to_two_never_superposes_the_most_important(result: Build) -> None:
    plan = grid(SuperpositionConfig(n_features=3), importance=[(1.0, 1.0, 2.0)], density=[0.1])
    assert phase_map(result(plan, np.zeros((1, 1, 2, 3)))).expected.tolist() == [[1]]


def test_sweep_map_draws_the_asked_quantity_over_the_asked_axes(random_result: Build) -> None:
    plan = grid(SuperpositionConfig(n_features=4), n_hidden=[1, 2, 3], sparsity=[0.5, 0.75])
    found = random_result(plan)
    image = sweep_map(found, "loss").axes[0].images[0]
    assert numbers(image.get_array()) == five(found.loss).tolist()
    axes = sweep_map(found, "loss", x="n_hidden", y="sparsity").axes[0]
    assert numbers(axes.images[0].get_array()) == five(found.loss).T.tolist()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("n_hidden", "density")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "3"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.5", "0.25"]
    assert [text.get_text() for text in axes.texts] == [
        f"{value:.3g}" for value in five(found.loss).T.ravel()]


def test_sweep_map_measures_models(result: Build) -> None:
    plan = grid(SuperpositionConfig(n_features=3, n_hidden=1), n_steps=[1, 2])
    found = result(plan, [[[1.0, -1.0, 0.0]], [[2.0, 0.0, 0.0]]])

    def drawn(quantity: Any) -> list[float]:
        return np.ravel(numbers(sweep_map(found, quantity).axes[0].images[0].get_array())).tolist()

    assert drawn("n_represented") == [2, 1]
    assert drawn("mean_interference") == [1, 0]
    assert drawn("max_coherence") == [1, 0]
    assert drawn("dims_per_feature") == [0.5, 0.25]


def test_sweep_map_holds_further_axes_at_their_first_value(random_result: Build) -> None:
    plan = grid(SuperpositionConfig(n_features=4), n_steps=[1, 2], density=[0.5, 1.0],
                n_hidden=[1, 2, 3])
    found = random_result(plan)
    drawn = numbers(sweep_map(found, "loss", y="density").axes[0].images[0].get_array())
    assert drawn == five(found.loss)[0].tolist()


def test_sweep_map_refuses_unknown_names(random_result: Build) -> None:
    found = random_result(grid(SuperpositionConfig(), n_hidden=[1, 2], density=[0.5, 1.0]))
    with pytest.raises(ConfigError) as error:
        sweep_map(found, "los")  # type: ignore[arg-type]
    assert str(error.value) == (
        "quantity='los': did you mean 'loss'? must be one of ['mean_interference', "
        "'n_represented', 'loss', 'dims_per_feature', 'max_coherence']")
    with pytest.raises(ConfigError) as error:
        sweep_map(found, x="n_hiden")
    assert str(error.value) == ("x='n_hiden': did you mean 'n_hidden'? must be an axis of the "
                                "sweep, one of ['n_hidden', 'density']")
    with pytest.raises(ConfigError) as error:
        sweep_map(found, x="density", y="sparsity")
    assert str(error.value) == "x='density', y='sparsity': must be two different axes"


def test_wilson_agrees_with_scipy() -> None:
    for hits, trials in ((5, 100), (0, 7), (7, 7), (500, 1000)):
        expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
        assert wilson(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)


def test_success_rate_counts_starts_within_one_percent(random_result: Build) -> None:
    found = random_result(grid(SuperpositionConfig(), density=[0.1, 1.0]), n_starts=4)
    starts = np.array([[1.0, 1.009, 1.02, 2.0], [3.0, 3.0, 3.0, 3.6]])
    figure = success_rate(found._replace(start_losses=starts))
    left, right = figure.axes
    [bars] = left.containers
    assert isinstance(bars, ErrorbarContainer)
    data = bars.lines[0]
    assert numbers(data.get_xdata()) == [0.1, 1.0]
    assert numbers(data.get_ydata()) == [50.0, 75.0]
    ranks = [numbers(line.get_ydata()) for line in right.lines]
    assert ranks == [pytest.approx([0, 0.9, 2, 100]), pytest.approx([0, 0, 0, 20])]
    assert figure.get_suptitle() == "5 features in 2: 50 to 75 % of single starts find the best"


def test_the_crossing_of_known_optima_is_where_it_was_published() -> None:
    branches = table_branches()
    assert branches.crossing() == pytest.approx(0.225, abs=0.003)
    assert branches.best(5).tolist() == PENTAGON.tolist()
    figure = geometry_crossing(branches)
    left, right = figure.axes
    floor = np.minimum(PENTAGON, SQUARE)
    for line, losses in zip(left.lines, (PENTAGON, SQUARE), strict=False):
        np.testing.assert_allclose(numbers(line.get_ydata()), 100 * (losses / floor - 1), rtol=1e-4)
    assert numbers(left.lines[2].get_xdata())[0] == five(branches.crossing())
    assert [numbers(line.get_ydata()) for line in right.lines] == [[50.0] * 5] * 2
    assert figure.get_suptitle() == "5 features in 2: the best geometry changes at density 0.225"


def test_a_crossing_is_interpolated_and_may_be_missing() -> None:
    losses = np.array([[1.0, 1.0, 5.0], [2.0, 3.0, 3.0]])
    branches = Branches(2, 1, np.array([1.0, 2.0, 3.0]), losses, np.array([[2] * 3, [1] * 3]))
    assert branches.crossing() == 2.5  # the gap goes from -2 to 2
    one_kind = branches._replace(kept=np.full((2, 3), 2))
    assert np.isnan(one_kind.crossing())
    assert "nowhere in this range" in geometry_crossing(one_kind).get_suptitle()


def test_one_varied_feature_is_drawn_against_its_relative_density(result: Build) -> None:
    plan = grid(SuperpositionConfig(n_features=2, n_hidden=1),
                density=[(0.01, 0.1), (0.1, 0.1), (0.2, 0.1)])
    W = np.array([[[0.0, 1.0]], [[-0.9, 1.0]], [[-1.0, 1.0]]])
    axes = density_of_one_feature(result(plan, W)).axes[0]
    others, varied = axes.lines
    assert numbers(varied.get_xdata()) == pytest.approx([0.1, 1, 2])
    assert numbers(varied.get_ydata()) == pytest.approx([0, 0.9, 1])
    assert numbers(others.get_ydata()) == [1, 1, 1]


def test_random_directions_are_drawn_with_their_bounds() -> None:
    rng = np.random.default_rng(0)
    cosines = np.clip(rng.normal(size=(2, 45)) / np.array([[2.0], [10.0]]), -1, 1)
    data = RandomDirections(10, np.array([4, 100]), cosines.astype(np.float32))
    left, right = random_directions(data).axes
    outline = left.patches[0]
    assert isinstance(outline, StepPatch)
    values, edges, _ = outline.get_data()
    assert np.sum(values * np.diff(edges)) == pytest.approx(1.0, abs=1e-4)
    drawn = {line.get_label(): line for line in right.lines}
    expected = five(np.abs(cosines.astype(np.float32)).max(axis=1))
    assert numbers(drawn["random, drawn"].get_ydata()) == expected.tolist()
    d, bound = (np.asarray(a) for a in drawn["Welch bound"].get_data())
    np.testing.assert_allclose(bound, np.sqrt(np.maximum(10 - d, 0) / (d * 9)), rtol=1e-4)
    guaranteed = np.asarray(drawn["guaranteed (JL)"].get_ydata())
    np.testing.assert_allclose(guaranteed, np.minimum(2 * np.sqrt(np.log(10) / d), 1), rtol=1e-4)


def test_learning_curves_draw_every_feature_and_the_loss() -> None:
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 2, 4))
    config = SuperpositionConfig(n_features=4)
    data = Learning(config, np.array([10, 100, 1000]), W, np.array([0.3, 0.2, 0.123456]))
    above, below = learning_curves(data).axes
    drawn = np.array([line.get_ydata() for line in above.lines[:4]])
    np.testing.assert_allclose(drawn, np.array([dimensionality(one) for one in W]).T, rtol=1e-4)
    assert numbers(below.lines[0].get_ydata()) == [0.3, 0.2, 0.12346]
    assert numbers(below.lines[0].get_xdata()) == [10, 100, 1000]


def test_vulnerability_is_drawn_beside_the_features_per_dimension() -> None:
    data = Attacks(np.array([1.0, 0.25]), np.array([1.0, 2.0]), np.array([1.0, 1.9]))
    left, right = vulnerability(data).axes
    assert numbers(left.lines[0].get_xydata()) == [[1, 1], [4, 1.9]]
    assert numbers(left.lines[1].get_xydata()) == [[1, 1], [4, 2]]
    assert points(right).tolist() == [[1, 1], [2, 1.9]]


def test_learning_and_attacks_without_numbers_are_drawn() -> None:
    config = SuperpositionConfig(n_features=1, n_hidden=1)
    one = Learning(config, np.array([5]), np.zeros((1, 1, 1)), np.array([np.nan]))
    assert title_fits(learning_curves(one))
    odd = Attacks(np.array([0.5]), np.array([np.inf]), np.array([np.nan]))
    assert title_fits(vulnerability(odd))


ODD = {
    "one model": grid(SuperpositionConfig(), density=[0.1]),
    "one by many": grid(SuperpositionConfig(), density=[0.1], n_hidden=[1, 2, 3]),
    "one feature": grid(SuperpositionConfig(n_features=1, n_hidden=1), density=[0.1, 1.0]),
    "wide": grid(SuperpositionConfig(n_features=2, n_hidden=5), density=[0.1, 1.0]),
    "many features": grid(SuperpositionConfig(n_features=60, n_hidden=9), density=[0.1, 1.0]),
    "many models": grid(SuperpositionConfig(), density=list(np.linspace(0.1, 1.0, 15))),
    "unequal": grid(SuperpositionConfig(sparsity=(0.1, 0.2, 0.3, 0.4, 0.5)), n_hidden=[1, 2]),
}
FIGURES: dict[str, Callable[[SuperpositionResult], Figure]] = {
    "geometry": hidden_geometry, "gram": gram_and_bias, "bars": feature_bars, "map": sweep_map,
    "dimensionality": dimensionality_against_density, "starts": success_rate,
    "one": density_of_one_feature, "linear": lambda r: linear_against_relu(Comparison(r, r)),
}


def title_fits(figure: Figure) -> bool:
    figure.draw_without_rendering()
    title = figure._suptitle  # type: ignore[attr-defined]
    return bool(title.get_window_extent().x1 <= figure.bbox.x1)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", FIGURES)
def test_odd_sweeps_are_drawn(random_result: Build, name: str, odd: str) -> None:
    figure = FIGURES[name](random_result(ODD[odd]))
    assert title_fits(figure)
    assert figure.get_label()


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e30])
@pytest.mark.parametrize("name", FIGURES)
def test_weights_that_are_nothing_or_not_finite_are_drawn(
        tmp_path: Path, result: Build, name: str, value: float) -> None:
    plan = grid(SuperpositionConfig(), density=[0.1, 1.0])
    W = np.ones((2, 2, 5))
    W[1] = value
    figure = FIGURES[name](result(plan, W, loss=np.array([np.nan, 1.0])))
    save_figure(figure, tmp_path / "x", {}, formats=("svg",))
    if np.isnan(value) and name == "geometry":
        assert figure.axes[1].get_title() == "density 1 (not finite)"


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_phase_diagram_of_one_odd_cell_is_drawn(tmp_path: Path, result: Build,
                                                  value: float) -> None:
    plan = grid(SuperpositionConfig(n_features=2, n_hidden=1), importance=[(1.0, 2.0)],
                density=[0.5])
    found = result(plan, np.full((1, 1, 1, 2), value), loss=np.array([[np.nan]]))
    save_figure(phase_diagram(found), tmp_path / "x", {}, formats=("png",))


def test_a_single_run_has_every_figure(tmp_path: Path, random_result: Build) -> None:
    found = random_result(SuperpositionConfig())
    for name in FIGURES:
        assert title_fits(FIGURES[name](found)), name
