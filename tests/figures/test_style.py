"""Palette, style and files of figures."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from toylab.errors import ConfigError, FormatError
from toylab.figures.palette import CATEGORIES, INK, MUTED, PAPER, RULE, rounded
from toylab.figures.style import (
    blank_figure,
    caption,
    log_axis,
    new_figure,
    read_metadata,
    save_figure,
    strip,
    styled,
)

FORMATS = ("png", "svg", "pdf")
NASTY = {"text": 'a (b) \\ "c" </dc:description> é 𝄞\nd', "n": 3, "list": [0.1, None, True]}

DRAW = """
import sys
import numpy as np
from toylab.figures.palette import rounded
from toylab.figures.style import caption, new_figure, save_figure, styled

@styled
def draw():
    figure, axes = new_figure(1, 2)
    axes[0, 0].plot(rounded(np.linspace(0, 1, 7) ** 2), label="squares")
    axes[0, 0].legend()
    axes[0, 1].pcolormesh(np.arange(12.0).reshape(3, 4), rasterized=True)
    return caption(figure, "A title with WᵀW", "What it shows.")

save_figure(draw(), sys.argv[1] + "/figure", {"seed": 0})
"""


@styled
def draw(values: tuple[float, ...] = (1.0, 2.0, 4.0)) -> Figure:
    figure, axes = new_figure(1, 1)
    axes[0, 0].plot(values, marker="o")
    return caption(figure, "Title", "Text alternative")


def test_two_fresh_processes_write_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for number, folder in enumerate(folders):
        folder.mkdir()
        subprocess.run([sys.executable, "-W", "error", "-c", DRAW, str(folder)], check=True,
                       env={"PYTHONHASHSEED": str(number), "PATH": ""}, cwd=folder)
    for form in FORMATS:
        one, two = ((folder / f"figure.{form}").read_bytes() for folder in folders)
        assert one == two, form


def test_saving_again_and_saving_one_format_alone_give_the_same_bytes(tmp_path: Path) -> None:
    figure = draw()
    save_figure(figure, tmp_path / "first", {})
    save_figure(figure, tmp_path / "again", {})
    save_figure(draw(), tmp_path / "alone", {}, formats=("pdf",))
    for form in FORMATS:
        first, again = (tmp_path / f"{name}.{form}" for name in ("first", "again"))
        assert first.read_bytes() == again.read_bytes()
    assert (tmp_path / "alone.pdf").read_bytes() == (tmp_path / "first.pdf").read_bytes()


def test_threads_draw_the_same_figure(tmp_path: Path) -> None:
    def work(number: int) -> bytes:
        return save_figure(draw(), tmp_path / str(number), {}, formats=("svg",))[0].read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(8)))) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_metadata_comes_back_as_it_was(tmp_path: Path, form: str) -> None:
    [path] = save_figure(draw(), tmp_path / "a.b", NASTY, formats=(form,))  # type: ignore[arg-type]
    assert path == tmp_path / f"a.b.{form}"
    assert read_metadata(path) == NASTY


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3))
def test_any_text_survives_in_each_kind_of_file(tmp_path_factory: pytest.TempPathFactory,
                                                metadata: dict[str, str]) -> None:
    folder = tmp_path_factory.getbasetemp()
    for path in save_figure(blank_figure(1.0, 1.0), folder / "any", metadata):
        assert read_metadata(path) == metadata


def test_files_without_metadata_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("hello")
    with pytest.raises(FormatError) as error:
        read_metadata(plain)
    assert str(error.value) == f"{plain}: must be a PNG, SVG or PDF file that toylab wrote"
    Figure().savefig(foreign := tmp_path / "foreign.png")
    with pytest.raises(FormatError) as error:
        read_metadata(foreign)
    assert str(error.value) == f"{foreign}: must be a PNG, SVG or PDF file that toylab wrote"
    [png] = save_figure(draw(), tmp_path / "cut", {"a": 1}, formats=("png",))
    png.write_bytes(png.read_bytes()[:20])
    with pytest.raises(FormatError) as error:
        read_metadata(png)
    assert str(error.value).startswith(f"{png}: is damaged (")
    svg = tmp_path / "odd.svg"
    svg.write_text("<svg><dc:description>{oops</dc:description></svg>")
    with pytest.raises(FormatError) as error:
        read_metadata(svg)
    assert str(error.value) == (f"{svg}: is damaged (Expecting property name enclosed in double "
                                "quotes: line 1 column 2 (char 1))")


def test_another_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        save_figure(draw(), tmp_path / "x", {}, formats=("png", "gif"))  # type: ignore[arg-type]
    assert str(error.value) == "formats='gif': must be among ['png', 'svg', 'pdf']"
    assert list(tmp_path.iterdir()) == []


def test_an_svg_speaks_to_a_screen_reader(tmp_path: Path) -> None:
    figure = caption(blank_figure(2.0), "Loss < 1 & falling", "One  line,\n two <words>.")
    [path] = save_figure(figure, tmp_path / "x", {}, formats=("svg",))
    root = ET.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{space}title", f"{space}desc"]
    assert [child.text for child in root][:2] == ["Loss < 1 & falling", "One line, two <words>."]


def test_files_carry_no_date_and_no_program(tmp_path: Path) -> None:
    for path in save_figure(draw(), tmp_path / "x", {}):
        content = path.read_bytes()
        for word in (b"Matplotlib", b"matplotlib.org", b"CreationDate", b"dc:date"):
            assert word not in content, (path.suffix, word)


def test_settings_of_the_process_change_nothing_and_stay(tmp_path: Path) -> None:
    save_figure(draw(), tmp_path / "plain", {})
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": "mine"}):
        before = dict(mpl.rcParams)
        save_figure(draw(), tmp_path / "other", {})
        assert dict(mpl.rcParams) == before
    for form in FORMATS:
        assert (tmp_path / f"plain.{form}").read_bytes() == (
            tmp_path / f"other.{form}").read_bytes()


def test_the_figures_room_never_loads_pyplot() -> None:
    code = "import sys, toylab.figures.book; sys.exit('matplotlib.pyplot' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_categories_are_those_of_okabe_and_ito() -> None:
    """Okabe and Ito 2008, figure 16, given there in 0..255: all but black."""
    published = {(0, 114, 178), (230, 159, 0), (0, 158, 115), (213, 94, 0), (204, 121, 167),
                 (86, 180, 233), (240, 228, 66)}
    ours = {tuple(int(c[i:i + 2], 16) for i in (1, 3, 5)) for c in CATEGORIES}
    assert ours == published
    assert not {INK, MUTED, RULE, PAPER} & set(CATEGORIES)


def test_rounded_keeps_five_significant_digits() -> None:
    values = np.array([[0.123456, -98765.4], [0.0, 1.000004e-9], [np.inf, -12345678.0]])
    expected = [[0.12346, -98765.0], [0.0, 1.0e-9], [np.inf, -12346000.0]]
    assert rounded(values).tolist() == expected
    assert np.isnan(rounded(np.nan))
    assert rounded(1.0).shape == ()
    assert rounded(2 / 3, digits=2) == 0.67


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_rounded_is_idempotent_and_close(value: float) -> None:
    once = rounded(value)
    assert rounded(once) == once
    assert abs(once - value) <= 0.5001e-4 * abs(value)


@pytest.mark.parametrize(("values", "expected"), [
    ([1.0, 20.0], [1, 2, 5, 10, 20]), ([0.01, 1.0], [0.01, 0.03, 0.1, 0.3, 1]),
    ([0.001, 1.0], [0.001, 0.01, 0.1, 1]), ([3.0], []), ([], [1, 2, 5, 10]),
    ([0.0, np.nan, 1.0, 10.0], [1, 2, 5, 10])])
def test_log_axis_has_round_ticks(values: list[float], expected: list[float]) -> None:
    _, axes = new_figure()
    log_axis(axes[0, 0], "x", values)
    assert axes[0, 0].get_xscale() == "log"
    assert axes[0, 0].get_xticks().tolist() == pytest.approx(expected)


def test_caption_and_strip_return_what_they_change() -> None:
    figure, axes = new_figure(2, 3)
    assert axes.shape == (2, 3)
    assert caption(figure, "T", "A") is figure
    assert (figure.get_suptitle(), figure.get_label()) == ("T", "A")
    assert strip(axes[0, 0]) is axes[0, 0]
    assert not axes[0, 0].spines["left"].get_visible()
    assert axes[0, 0].get_xticks().tolist() == []
