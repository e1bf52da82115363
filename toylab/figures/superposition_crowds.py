"""The chapter on superposition, continued: many features, features in sets, learning, attacks."""

from __future__ import annotations

import functools

import numpy as np

from toylab import grid, superposition
from toylab.analysis.packing import max_cosine_quantile
from toylab.analysis.superposition import welch_bound
from toylab.figures.cells import cells, density_of
from toylab.figures.entry import Check, Entry
from toylab.figures.geometry import hidden_geometry
from toylab.figures.learning import learning_curves, vulnerability
from toylab.figures.maps import sweep_map
from toylab.figures.packing import random_directions
from toylab.figures.superposition import dimensionality_against_density, gram_and_bias
from toylab.figures.superposition_evidence import (
    COSINE,
    TMS,
    Directions,
    Recipe,
    across_sets,
    at,
    attacked,
    digon_share,
    drawn,
    entry,
    kept,
    largest_over,
    level_share,
    model,
    pair_cosines,
    plateau_share,
    rank_correlation,
    recorded,
    rise_between,
    variance_error,
)

__all__ = ["CROWDS"]


def _dimensionality(id: str, n_features: int, n_hidden: int, count: int, quick: bool) -> Entry:
    densities = [float(p) for p in np.geomspace(0.1, 1.0, count)]
    return entry(
        id, f"Dimensions per feature rest at one half: {n_features} features in {n_hidden}",
        f"{TMS}, section 5 (there 400 features in 30; 200 in 20 in the published notebook)",
        "Above, hidden dimensions per feature; below, the dimensionality of each feature. Between "
        "the plateau at 1, where each kept feature has a dimension, and the sparse end, where "
        "features crowd beyond any regular shape, lies one at 1/2: antipodal pairs. Of the "
        "published clusters, those at 0 and 1/2 reproduce here; near 2/3, 2/5 and 3/8 lie few "
        "points, near 3/4 hardly any.",
        Recipe(grid(model(n_features, n_hidden), density=densities), 1, superposition.run),
        functools.partial(dimensionality_against_density,
                          title=f"{n_features} features in {n_hidden}: plateaus at 1 and 1/2"),
        "Dimensions per feature stay within 10 % of 1/2 for longer than in a straight fall from 1 "
        "to 1/4, which spends log(0.55/0.45)/log(4) = 0.145 of the range of log density there; and "
        "nine in ten of the features kept there are half of a pair.",
        Check("share of the range within 10 % of 1/2", plateau_share, 0.145, 1.0),
        Check("share of kept features with D = 1/2 ± 0.02 there", digon_share, 0.9, 1.0),
        seeds=2, quick=quick)


CROWDS: tuple[Entry, ...] = (
    _dimensionality("dimensionality", 48, 6, 16, quick=True),
    _dimensionality("dimensionality-large", 200, 20, 20, quick=False),
    entry(
        "correlated", "Correlated features side by side, anticorrelated ones opposite",
        f"{TMS}, section 4 (two sets of two features, S = 0.95)",
        "Left, the two features of a set are active together and stand at right angles, opposite a "
        "feature of the other set; right, they are never active together and share a line.",
        Recipe(grid(model(4, 2, sparsity=0.95, group_size=2),
                    grouping=["correlated", "anticorrelated"])),
        functools.partial(hidden_geometry, title="Correlated at right angles, exclusive opposite"),
        "Within a correlated set |cos| is at most 0.1; within an anticorrelated set cos is at most "
        "-0.95.",
        Check("correlated: largest |cos| within a set",
              at(0, lambda cell: np.abs(pair_cosines(cell)).max()), 0.0, 0.1),
        Check("anticorrelated: largest cos within a set",
              at(1, lambda cell: pair_cosines(cell).max()), -COSINE, -0.95)),
    entry(
        "collapse", "Too dense to be told apart, correlated pairs collapse to one direction",
        f"{TMS}, section 4 (three correlated pairs in two dimensions)",
        "From dense to sparse. At density 0.75 each pair shares one direction, its first "
        "principal component; then one pair after the other opens, and at 0.01 all six stand "
        "apart. The published norm 1/√2 of a collapsed pair needs a dimension for each pair: with "
        "three pairs in two dimensions it is 0.55 to 0.64. The next figure has room.",
        Recipe(grid(model(6, 2, grouping="correlated", group_size=2),
                    density=[0.75, 0.25, 0.15, 0.1, 0.01])),
        functools.partial(hidden_geometry, title="Correlated pairs collapse when dense"),
        "The features of every pair are parallel (cos at least 0.95) at density 0.75, and apart "
        "(cos at most 0.6) at density 0.01.",
        Check("smallest cos in a pair at density 0.75",
              at(0, lambda cell: pair_cosines(cell).min()), 0.95, COSINE),
        Check("largest cos in a pair at density 0.01",
              at(4, lambda cell: pair_cosines(cell).max()), -COSINE, 0.6)),
    entry(
        "collapse-wide", "With a dimension for each pair, collapsed features have norm 1/√2",
        f"{TMS}, section 4, with three dimensions for the three correlated pairs",
        "The two features of a collapsed pair are read out by their sum: W is the direction (1, "
        "1)/√2 of each pair.",
        Recipe(grid(model(6, 3, grouping="correlated", group_size=2), density=[0.75, 0.1])),
        functools.partial(hidden_geometry, title="Three correlated pairs, dense and sparse"),
        "At density 0.75 pairs are parallel (cos at least 0.95) with root mean square norm 1/√2 "
        "within 0.01; at density 0.1 they are orthogonal within 0.1.",
        Check("smallest cos in a pair at density 0.75",
              at(0, lambda cell: pair_cosines(cell).min()), 0.95, COSINE),
        Check("root mean square norm at density 0.75",
              at(0, lambda cell: np.sqrt(np.mean(np.sum(cell.W ** 2, axis=0)))), 0.697, 0.717),
        Check("largest |cos| in a pair at density 0.1",
              at(1, lambda cell: np.abs(pair_cosines(cell)).max()), 0.0, 0.1)),
    entry(
        "sweep-map", "Sparsity makes room, and interference is the rent",
        f"{TMS}, section 2, as a map over density and width",
        "20 features of importance 0.85^i. Mean interference of the features that a model keeps, "
        "over density and number of hidden dimensions.",
        Recipe(grid(model(20, 2, importance_decay=0.85, n_steps=2000), n_hidden=[2, 4, 6, 8],
                    density=[0.01, 0.1, 0.3, 1.0]), 1, superposition.run),
        sweep_map,
        "At density 1 every model keeps exactly as many features as it has dimensions; at density "
        "0.01 every one keeps more.",
        Check("largest | kept - m | at density 1", lambda r: max(
            abs(kept(cell) - cell.config.n_hidden) for cell in cells(r)
            if density_of(cell.config) == 1.0), 0, 0),
        Check("least kept - m at density 0.01", lambda r: min(
            kept(cell) - cell.config.n_hidden for cell in cells(r)
            if density_of(cell.config) < 0.02), 1, 18), seeds=2),
    entry(
        "random-directions", "In many dimensions random directions are nearly orthogonal",
        "Ball 1997, An elementary introduction to modern convex geometry; Welch 1974",
        "Left, cosines of 400 random directions. Right, the largest of them in size: random "
        "directions do about as well as the Johnson-Lindenstrauss argument guarantees, and far "
        "worse than the Welch bound would allow.",
        Directions(400, (3, 10, 30, 100, 300, 1000)), random_directions,
        "The variance of the cosines is 1/d within 3 %, and the largest |cos| is within 15 % of "
        "its median in theory and never below the Welch bound.",
        Check("variance times d, largest deviation from 1", variance_error, 0.0, 0.03),
        Check("largest |cos| / median, least", largest_over(
            lambda n, d: max_cosine_quantile(2 * n, d), min), 0.85, 1.15),
        Check("largest |cos| / median, most", largest_over(
            lambda n, d: max_cosine_quantile(2 * n, d), max), 0.85, 1.15),
        Check("largest |cos| / Welch bound, least", largest_over(welch_bound, min), 1.0, 1e9),
        compute=drawn, seeds=5),
    entry(
        "sets-of-ten", "Large correlated sets become orthogonal bases of their own",
        f"{TMS}, section 4 (two sets of ten in ten dimensions, S = 0.99)",
        "Left, two sets whose features are active together: each set is orthogonal, and "
        "interference falls between the sets, which are seldom active at once. Right, sets of "
        "which at most one feature is active: antipodal pairs, here within a set as well.",
        Recipe(grid(model(20, 10, sparsity=0.99, group_size=10, n_steps=2000),
                    grouping=["correlated", "anticorrelated"]), 1, superposition.run),
        functools.partial(gram_and_bias, title="Interference falls between correlated sets"),
        "Within correlated sets |cos| is at most 0.1, between them it reaches at least 0.5; all 20 "
        "features are kept. Within anticorrelated sets it reaches 0.9.",
        Check("correlated: features kept", at(0, kept), 20, 20),
        Check("correlated: largest |cos| within a set", at(0, lambda c: across_sets(c)[0]), 0, 0.1),
        Check("correlated: largest |cos| between sets", at(0, lambda c: across_sets(c)[1]), 0.5,
              COSINE),
        Check("anticorrelated: largest |cos| within a set", at(1, lambda c: across_sets(c)[0]), 0.9,
              COSINE), quick=False),
    entry(
        "learning", "While a model learns, its features rest at a few levels",
        f"{TMS}, section 6 (there 100 features in 10, one run picked as a good example)",
        "40 equal features in 5 dimensions, density 0.45, constant learning rate. Above, the "
        "dimensionality of each feature; below, the loss on 8192 held-out examples. Features rise "
        "to 1/2 in turn, a pair at a time; a last feature may sit near 3/4 while the rest still "
        "share its dimension.",
        Recipe(model(40, 5, sparsity=0.55, learning_rate=1e-3, schedule="constant", n_steps=20_000),
               1, superposition.run),
        learning_curves,
        "In the second half of training at least 90 % of the kept features have a dimensionality "
        "within 0.03 of 1/2, 2/3, 3/4 or 1; in the first twentieth fewer than 60 % do (21 % would "
        "by chance, for values spread evenly over 0 to 1).",
        Check("share at a level, second half", lambda d: level_share(d, 0.5, 1.0), 0.9, 1.0),
        Check("share at a level, first twentieth", lambda d: level_share(d, 0.0, 0.05), 0.0, 0.6),
        seeds=5, quick=False, compute=recorded),
    entry(
        "attacks", "Superposition makes a model easier to attack",
        f"{TMS}, section 8 (there 100 features in 20); attack of keltin13's reproduction",
        "20 features of importance 0.9^i in 5 dimensions. The attack adds a vector of length 0.1 "
        "along a column of WᵀW. The rise of the loss follows the features per dimension up to "
        "two, and stays there: the worst direction hits one crowded dimension. Part of the rise "
        "is built in, since a model without superposition is a projection.",
        Recipe(grid(model(20, 5, importance_decay=0.9, n_steps=2000),
                    density=[float(p) for p in np.geomspace(0.1, 1.0, 12)]), 3, superposition.run),
        vulnerability,
        "Models with one feature per dimension are as vulnerable as the linear model within 5 %, "
        "those with more than 1.9 at least 1.5 times as much, and the rank correlation with "
        "features per dimension is at least 0.7.",
        Check("rise without superposition, least", rise_between(0.9, 1.02, min), 0.95, 1.05),
        Check("rise without superposition, most", rise_between(0.9, 1.02, max), 0.95, 1.05),
        Check("rise with superposition, least", rise_between(1.9, 9.0, min), 1.5, 9.0),
        Check("rank correlation", rank_correlation, 0.7, 1.0), quick=False, compute=attacked),
)
