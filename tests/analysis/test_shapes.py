"""Coordinates against angles and counts that textbooks give."""

import math
from collections import Counter

import numpy as np
import pytest

from toylab.analysis import shapes as sh
from toylab.errors import ConfigError

GOLDEN = (1 + math.sqrt(5)) / 2


def cosine_counts(vertices):
    """How many pairs of vertices have each cosine, rounded to six decimals."""
    gram = vertices.T @ vertices
    pairs = gram[np.triu_indices(len(gram), 1)]
    return dict(Counter(np.round(pairs + 0.0, 6).tolist()))


@pytest.mark.parametrize(
    ("vertices", "expected"),
    [
        (sh.polygon(3), {-0.5: 3}),
        (sh.polygon(4), {0.0: 4, -1.0: 2}),
        (sh.polygon(5), {round((GOLDEN - 1) / 2, 6): 5, round(-GOLDEN / 2, 6): 5}),
        (sh.polygon(6), {0.5: 6, -0.5: 6, -1.0: 3}),
        (sh.simplex(1), {-1.0: 1}),
        (sh.simplex(3), {round(-1 / 3, 6): 6}),
        (sh.simplex(7), {round(-1 / 7, 6): 28}),
        (sh.cross_polytope(3), {0.0: 12, -1.0: 3}),
        (sh.cube(), {round(1 / 3, 6): 12, round(-1 / 3, 6): 12, -1.0: 4}),
        (sh.icosahedron(), {round(5**-0.5, 6): 30, round(-(5**-0.5), 6): 30, -1.0: 6}),
        (
            sh.dodecahedron(),
            {
                round(math.sqrt(5) / 3, 6): 30,
                round(1 / 3, 6): 60,
                round(-1 / 3, 6): 60,
                round(-math.sqrt(5) / 3, 6): 30,
                -1.0: 10,
            },
        ),
    ],
)
def test_cosines_between_vertices(vertices, expected):
    found = cosine_counts(vertices)
    assert {abs(k) if k == 0 else k: n for k, n in found.items()} == expected


def test_the_uniform_antiprism_has_sixteen_equal_edges():
    vertices = sh.square_antiprism()
    lengths = np.linalg.norm(vertices[:, :, None] - vertices[:, None, :], axis=0)
    between = np.sort(lengths[np.triu_indices(8, 1)])
    np.testing.assert_allclose(between[:16], between[0], rtol=1e-12)
    assert between[16] > 1.3 * between[0]
    assert vertices[2, 0] == pytest.approx(0.5111, abs=1e-4)


def test_the_antiprism_at_one_over_root_three_is_a_tight_frame():
    vertices = sh.square_antiprism(1 / math.sqrt(3))
    np.testing.assert_allclose(vertices @ vertices.T, 8 / 3 * np.eye(3), atol=1e-12)
    other = sh.square_antiprism()
    assert np.abs(other @ other.T - 8 / 3 * np.eye(3)).max() > 0.1


@pytest.mark.parametrize("k", [*range(1, 14), 20])
def test_shapes_are_unit_columns_that_span_their_dimension(k):
    for shape in sh.shapes(k):
        assert shape.vertices.shape[1] == k
        np.testing.assert_allclose(np.linalg.norm(shape.vertices, axis=0), 1.0, rtol=1e-12)
        assert np.linalg.matrix_rank(shape.vertices) == len(shape.vertices)


@pytest.mark.parametrize(
    ("k", "names"),
    [
        (1, ["singleton"]),
        (2, ["2 singletons", "digon"]),
        (3, ["3 singletons", "triangle"]),
        (4, ["4 singletons", "tetrahedron", "square"]),
        (5, ["5 singletons", "4-simplex", "pentagon", "triangular bipyramid"]),
        (6, ["6 singletons", "5-simplex", "hexagon", "octahedron"]),
        (7, ["7 singletons", "6-simplex", "heptagon", "pentagonal bipyramid"]),
        (13, ["13 singletons", "12-simplex", "13-gon"]),
    ],
)
def test_names_of_the_shapes(k, names):
    assert [shape.name for shape in sh.shapes(k)] == names


def test_shared_vertices_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        sh.shapes(5)[0].vertices[0, 0] = 2.0


def test_orthogonal_sum_is_block_diagonal():
    found = sh.orthogonal_sum(sh.simplex(1), np.array([[2.0]]))
    np.testing.assert_allclose(np.abs(found), [[1, 1, 0], [0, 0, 2]])
    assert found[0, 0] == -found[0, 1]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["triangle", "digon", "digon"], "triangle + 2 digons"),
        (["tetrahedron", "tetrahedron"], "2 tetrahedra"),
        (["4-simplex", "4-simplex", "singleton"], "2 4-simplices + singleton"),
        (["irregular", "irregular"], "2 irregular"),
    ],
)
def test_sum_name(names, text):
    assert sh.sum_name(names) == text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sh.shapes(0), "n_vertices=0: must be an integer >= 1"),
        (lambda: sh.polygon(0), "k=0: must be an integer >= 1"),
        (lambda: sh.simplex(0), "d=0: must be an integer >= 1"),
        (lambda: sh.cross_polytope(-2), "d=-2: must be an integer >= 1"),
        (lambda: sh.square_antiprism(1.0), "height=1.0: must be in (0, 1)"),
    ],
)
def test_sizes_out_of_range(call, text):
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == text
