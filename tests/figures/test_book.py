"""The book: its machinery on made-up entries, and what every real entry must have."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

from toylab import SuperpositionConfig, SuperpositionResult, grid, superposition
from toylab.errors import ConfigError
from toylab.figures.book import BOOK, parameters, run_book, select
from toylab.figures.entry import Check, Entry
from toylab.figures.gallery import inline_svg
from toylab.figures.learning import Attacks, Learning
from toylab.figures.packing import RandomDirections
from toylab.figures.starts import Branches
from toylab.figures.style import caption, new_figure, read_metadata, styled
from toylab.figures.superposition import Comparison
from toylab.figures.superposition_evidence import (
    Directions,
    Recipe,
    attacked,
    branched,
    compared,
    level_share,
    made,
    plateau_share,
    rank_correlation,
    recorded,
)


class Numbers(NamedTuple):
    """Data of an entry: some values [3] and the seed they came from."""

    values: np.ndarray
    seed: int


def seed_of(key: jax.Array) -> int:
    return int(jax.random.key_data(key)[-1])


def count(config: Any, key: jax.Array) -> Numbers:
    return Numbers(np.array([1.0, 2.0, 3.0]) + seed_of(key), seed_of(key))


@styled
def line(data: Numbers) -> Figure:
    figure, axes = new_figure(1, 1)
    axes[0, 0].plot(data.values)
    return caption(figure, "A line <&>", f'Three "points" of seed {data.seed}.')


def entry(id: str = "sum", chapter: str = "sums", upper: float = 100.0, seeds: int = 3,
          quick: bool = True) -> Entry:
    checks = (Check("the sum", lambda data: data.values.sum(), 0.0, upper),
              Check("the seed", lambda data: data.seed, 0, 10))
    return Entry(id, chapter, f"Title of {id} <b>", "Gauss 1785", "Caption & more.",
                 SuperpositionConfig(n_steps=7), count, line, "The sum is small.", checks, seeds,
                 quick)


FAKE = (entry(), entry("product", quick=False), entry("fails", "proofs", upper=7.0))


class Page(HTMLParser):
    """Collects tags, attributes and text; complains about tags that do not match."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def test_outcomes_say_what_was_measured(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    outcomes = run_book([], tmp_path / "new" / "folder", book=FAKE,
                        progress=lambda done, total: steps.append((done, total)))
    assert [(o.id, o.passed, o.seeds, o.holds) for o in outcomes] == [
        ("sum", 3, 3, True), ("product", 3, 3, True), ("fails", 1, 3, False)]
    assert outcomes[0].statement == "The sum is small."
    assert outcomes[0].measured == "the sum 9 (6..12); the seed 1 (0..2)"
    assert outcomes[0].values.tolist() == [[6, 0], [9, 1], [12, 2]]
    assert outcomes[0].seconds > 0
    assert steps == [(i, 9) for i in range(1, 10)]


def test_files_hold_the_first_seed_and_say_how_they_were_made(tmp_path: Path) -> None:
    [outcome] = run_book(["sum"], tmp_path, book=FAKE)
    names = [f"sum.{form}" for form in ("png", "svg", "pdf", "npz")]
    assert [file.name for file in outcome.files] == names
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(
        [*names, "book.csv", "index.html"])
    for file in outcome.files[:3]:
        facts = read_metadata(file)
        assert (facts["id"], facts["seed"], facts["source"]) == ("sum", 0, "Gauss 1785")
        assert facts["command"] == "toylab book sum --out DIR"
        assert facts["config"]["n_steps"] == 7
    with np.load(outcome.files[3], allow_pickle=False) as data:
        assert data["values"].tolist() == [1, 2, 3]
        assert data["seed"] == 0


def test_the_table_lists_every_number(tmp_path: Path) -> None:
    run_book(["fails"], tmp_path, book=FAKE)
    with (tmp_path / "book.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "check", "seed", "lower", "upper", "measured", "holds"]
    assert rows[1:3] == [["fails", "the sum", "0", "0.0", "7.0", "6", "True"],
                         ["fails", "the sum", "1", "0.0", "7.0", "9", "False"]]
    assert len(rows) == 7


def test_every_file_is_the_same_twice(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        run_book(["sum", "fails"], tmp_path / folder, book=FAKE)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 10
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_measure_that_is_nan_fails(tmp_path: Path) -> None:
    broken = entry()._replace(checks=(Check("nothing", lambda data: float("nan"), 0.0, 1.0),))
    [outcome] = run_book([], tmp_path, book=(broken,))
    assert outcome.passed == 0
    assert not outcome.holds


def test_an_entry_may_need_fewer_seeds_than_it_tries(tmp_path: Path) -> None:
    [all_of_them] = run_book(["fails"], tmp_path, book=FAKE)
    [lenient] = select(["fails"], book=FAKE)
    [one_of_them] = run_book([], tmp_path, book=(lenient._replace(needed=1),))
    assert (all_of_them.holds, all_of_them.rate) == (False, "1 of 3 seeds")
    assert (one_of_them.holds, one_of_them.rate) == (True, "1 of 3 seeds, 1 needed")
    assert "✓ holds, 1 of 3 seeds, 1 needed:" in (tmp_path / "index.html").read_text("utf-8")


def test_an_interval_includes_its_ends() -> None:
    check = Check("x", float, 0.25, 0.5)
    assert [check.holds(x) for x in (0.25, 0.5, 0.24, 0.51)] == [True, True, False, False]


def test_the_gallery_is_sound_self_contained_and_marks_failures(tmp_path: Path) -> None:
    run_book([], tmp_path, book=FAKE)
    text = (tmp_path / "index.html").read_text("utf-8")
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {"sum", "product", "fails"} <= set(ids)
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {"#sum", "sum.png", "sum.svg", "sum.pdf", "sum.npz"} <= links
    assert not re.search(r'(src|href)="(https?:|//)|@import|url\((?!#)', text)
    labels = [attrs.get("aria-label") for tag, attrs in page.tags if tag == "svg"]
    assert labels == ['A line <&>. Three "points" of seed 0.'] * 3
    words = " ".join(page.text.split())
    assert "2 of 3 statements hold." in words
    assert "✓ holds, 3 of 3 seeds: The sum is small." in words
    assert "✗ fails, 1 of 3 seeds: The sum is small." in words
    assert "Caption & more. Source: Gauss 1785." in words
    assert "Title of fails <b>" in words
    assert "toylab book fails --out DIR" in words
    assert "n_steps=7" in words
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_an_inline_svg_follows_the_theme_and_shares_no_id() -> None:
    svg = ('<?xml version="1.0"?><svg role="img" width="432pt" height="2.5pt" viewBox="0 0 1 1">\n'
           ' <title>T</title><desc>a "b"</desc><metadata>m</metadata><g id="p1" '
           'clip-path="url(#c)"><use xlink:href="#d" style="fill: #1b1f24; stroke: #ffffff"/></g>'
           '</svg>')
    assert inline_svg(svg, "x").split() == [
        "<svg", 'role="img"', 'aria-label="T.', "a", '&quot;b&quot;"', 'viewBox="0', "0", "1",
        '1">', "<g", 'id="x-p1"', 'clip-path="url(#x-c)"><use', 'xlink:href="#x-d"',
        'style="fill:', "var(--ink);", "stroke:", 'var(--paper)"/></g></svg>']


@pytest.mark.parametrize(("names", "quick", "expected"), [
    ([], False, ["sum", "product", "fails"]), ([], True, ["sum", "fails"]),
    (["sums"], False, ["sum", "product"]), (["sums"], True, ["sum"]),
    (["fails", "sum", "sum"], False, ["sum", "fails"]), (["product"], True, ["product"]),
    (["proofs", "sum"], False, ["sum", "fails"])])
def test_selection(names: list[str], quick: bool, expected: list[str]) -> None:
    assert [e.id for e in select(names, quick, FAKE)] == expected


def test_an_unknown_name_is_answered_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        run_book(["sum", "prodct"], tmp_path / "none", book=FAKE)
    assert str(error.value) == (
        "figure='prodct': did you mean 'product'? must be a chapter (sums, proofs) or a figure "
        "(sum, product, fails)")
    assert not (tmp_path / "none").exists()


def test_parameters_are_plain_json() -> None:
    config = SuperpositionConfig(n_features=2, n_hidden=1)
    plan = grid(config, density=[0.5, 1.0])
    plain = parameters(Recipe(plan, 4))
    assert plain["n_starts"] == 4
    assert plain["experiment"] == "solve"
    assert plain["config"]["axes"] == {"density": [0.5, 1.0]}
    assert plain["config"]["config"]["n_features"] == 2
    assert parameters((config, Directions(3, (4, 5)))) == [
        parameters(config), {"n_features": 3, "n_hidden": [4, 5]}]


def test_every_entry_is_complete() -> None:
    ids = [e.id for e in BOOK]
    assert len(set(ids)) == len(ids) >= 19
    assert not set(ids) & {e.chapter for e in BOOK}
    for e in BOOK:
        assert re.fullmatch(r"[a-z0-9-]+", e.id)
        assert e.seeds >= 2, e.id
        assert e.checks, e.id
        for text in (e.title, e.source, e.caption, e.statement):
            assert len(text) > 10, e.id
        for text in (e.title, e.caption, e.statement):
            assert text[0].isupper() or text[0].isdigit(), e.id
        for check in e.checks:
            assert check.lower <= check.upper, (e.id, check.name)
        assert len({check.name for check in e.checks}) == len(e.checks), e.id


def untrained(e: Entry, build: Callable[..., SuperpositionResult]) -> Any:
    """Data of the kind that an entry computes, without computing it."""
    if isinstance(e.config, Directions):
        cosines = np.random.default_rng(0).uniform(-1, 1, (len(e.config.n_hidden), 300))
        return RandomDirections(e.config.n_features, np.array(e.config.n_hidden),
                                cosines.astype(np.float32))
    found = build(e.config.config, min(e.config.n_starts, 8))
    rng = np.random.default_rng(1)
    if e.compute is recorded:
        config = e.config.config
        W = rng.normal(size=(40, config.n_hidden, config.n_features))
        return Learning(config, np.arange(1, 41), W, rng.uniform(1, 2, 40))
    if e.compute is attacked:
        return Attacks(np.geomspace(0.1, 1, 9), np.linspace(3, 1, 9), rng.uniform(0, 3, 9))
    if e.compute is compared:
        return Comparison(found, found)
    if e.compute is branched:
        losses = rng.uniform(1, 1.1, (9, len(found.loss)))
        n = e.config.config.config.n_features
        return Branches(n, 2, np.array(e.config.config.axes[0][1]), losses,
                        np.where(losses < 1.05, n, n - 1))
    assert e.compute is made
    return found


@pytest.mark.parametrize("name", [e.id for e in BOOK if e.chapter == "superposition"])
def test_every_entry_draws_and_measures_its_kind_of_data(
        name: str, random_result: Callable[..., SuperpositionResult]) -> None:
    [e] = select([name])
    data = untrained(e, random_result)
    figure = e.figure(data)
    figure.draw_without_rendering()
    title = figure._suptitle  # type: ignore[attr-defined]
    assert 0 <= title.get_window_extent().x0 < title.get_window_extent().x1 <= figure.bbox.x1
    assert figure.get_label()
    values = [float(check.measure(data)) for check in e.checks]
    # Arbitrary weights form none of the shapes: a statement that holds for them says nothing.
    assert not all(check.holds(v) for check, v in zip(e.checks, values, strict=True))


def test_recipes_are_run_as_they_say() -> None:
    config = SuperpositionConfig(n_features=2, n_hidden=1, n_steps=2, batch_size=4)
    alone = made(Recipe(config, 2, superposition.run), jax.random.key(0))
    assert alone.start_losses.shape == (2,)
    plan = grid(config, density=[0.5, 1.0])
    both = compared(Recipe(plan, 1, superposition.run), jax.random.key(0))
    assert (both.linear.model.activation, both.relu.model.activation) == ("linear", "relu")
    assert both.relu.loss.shape == (2,)
    starts = branched(Recipe(plan, 3, superposition.run), jax.random.key(0))
    assert starts.losses.shape == starts.kept.shape == (3, 2)
    assert starts.density.tolist() == [0.5, 1.0]
    assert len({row.tobytes() for row in starts.losses}) == 3
    with pytest.raises(TypeError) as error:
        compared(Recipe(config), jax.random.key(0))
    assert str(error.value) == "recipe.config: must be a Grid, got SuperpositionConfig"


def test_an_attack_on_a_projection_and_on_a_pair(
        result: Callable[..., SuperpositionResult]) -> None:
    """A step of 0.1 along a feature costs 0.01 in its output; along a pair (1, -1)/√2 it moves the
    hidden value by 0.1 √2, which costs 0.02 as long as both features are silent."""
    config = SuperpositionConfig(n_features=2, n_hidden=2, sparsity=0.999)

    def rise(W: Any) -> float:
        return float(attacked(Recipe(config, 1, lambda *_, **__: result(config, W)),
                              jax.random.key(0)).rise[0])

    assert rise([[1.0, 0.0], [0.0, 1.0]]) == pytest.approx(1.0, abs=1e-3)
    assert rise([[1.0, -1.0], [0.0, 0.0]]) == pytest.approx(2.0, abs=0.02)
    assert rise([[0.0, 0.0], [0.0, 0.0]]) == 0.0
    unequal = config.replace(importance=(1.0, 0.5))
    found = attacked(Recipe(unequal, 1, lambda *_, **__: result(unequal, np.eye(2))),
                     jax.random.key(0))
    assert found.rise[0] == pytest.approx(1.0, abs=1e-3)
    assert (found.density[0], found.features_per_dim[0]) == (pytest.approx(0.001), 1.0)


def test_a_recorded_training_is_scored_on_the_same_examples() -> None:
    config = SuperpositionConfig(n_features=2, n_hidden=1, n_steps=200, batch_size=4)
    learning = recorded(Recipe(config, 1, superposition.run), jax.random.key(0))
    assert learning.step.tolist() == list(range(2, 201, 2))
    assert learning.W.shape == (100, 1, 2)
    assert learning.loss[-1] < learning.loss[0]
    plan = grid(config, density=[0.5, 1.0])
    with pytest.raises(TypeError) as error:
        recorded(Recipe(plan), jax.random.key(0))
    assert str(error.value) == "recipe.config: must be a config, got Grid"


def test_shares_of_levels_and_plateaus(result: Callable[..., SuperpositionResult]) -> None:
    config = SuperpositionConfig(n_features=2, n_hidden=2)
    pair, bent = [[1.0, -1.0], [0.0, 0.0]], [[1.0, 0.8], [0.0, 0.6]]  # D = 1/2 and 1/1.64 = 0.61
    weak = [[1.0, 0.0], [0.0, 0.4]]  # one kept feature, alone
    learning = Learning(config, np.arange(4), np.array([bent, pair, weak, bent]), np.zeros(4))
    assert level_share(learning, 0.0, 0.5) == 0.5
    assert level_share(learning, 0.5, 1.0) == pytest.approx(1 / 3)
    plan = grid(config, density=[0.1, float(np.sqrt(0.1)), 1.0])
    # m/|W|² is 1/2, 1/2 and 1: within 10 % over half the range and a tenth of the other half.
    norms = np.array([2.0, 2.0, np.sqrt(2.0)])[:, None, None] / np.sqrt(2)
    found = result(plan, norms * np.eye(2)[None])
    assert plateau_share(found) == pytest.approx(0.55, abs=2e-3)


def test_rank_correlation_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    attacks = Attacks(np.ones(9), rng.normal(size=9), rng.normal(size=9))
    expected, _ = stats.spearmanr(attacks.features_per_dim, attacks.rise)
    assert rank_correlation(attacks) == pytest.approx(expected)


def test_a_real_entry_holds(tmp_path: Path) -> None:
    [outcome] = run_book(["random-directions"], tmp_path)
    assert outcome.holds, outcome.measured
    Page((tmp_path / "index.html").read_text("utf-8"))
