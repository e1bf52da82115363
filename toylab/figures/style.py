"""The one way to make and save a figure; the palette is in `palette`.

Figures are built from `matplotlib.figure.Figure`, never from pyplot, whose global state races
between the threads of the app. Matplotlib reads its settings from a process-wide table while
artists are made and saved; `styled` swaps in matplotlib's defaults plus `STYLE` for that time,
under a lock, so that a user's matplotlibrc changes nothing and two threads never draw at once.

A file is a function of the figure and its metadata alone: no dates, constant identifiers, and
plotted data rounded to five significant digits (`rounded`), which absorbs the last bits of float
arithmetic.
"""

from __future__ import annotations

import functools
import html
import io
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, ParamSpec, get_args

import numpy as np
from matplotlib import style as matplotlib_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import ArrayLike, NDArray

from toylab.errors import ConfigError, FormatError, shown
from toylab.figures.palette import INK, MUTED, PAPER, RULE

__all__ = [
    "STYLE", "WIDTH", "Format", "blank_figure", "caption", "log_axis", "new_figure",
    "read_metadata", "save_figure", "strip", "styled",
]

WIDTH = 6.0  # inches; a phone shows it at about 0.8 of the printed size
PNG_DPI = 200

STYLE: Mapping[str, Any] = {
    "axes.axisbelow": True, "axes.edgecolor": MUTED, "axes.facecolor": PAPER,
    "axes.labelcolor": INK, "axes.labelsize": 9.5, "axes.linewidth": 0.8,
    "axes.spines.right": False, "axes.spines.top": False,
    "axes.titlecolor": INK, "axes.titlelocation": "left", "axes.titlesize": 10,
    "figure.constrained_layout.h_pad": 0.06, "figure.constrained_layout.w_pad": 0.06,
    "figure.facecolor": PAPER, "figure.titlesize": 11, "figure.titleweight": "bold",
    "font.family": "DejaVu Sans", "font.size": 9.5,
    "grid.color": RULE, "grid.linewidth": 0.6,
    "legend.fontsize": 8.5, "legend.frameon": False, "legend.labelcolor": INK,
    "lines.linewidth": 1.6, "lines.markersize": 5, "patch.linewidth": 0.8,
    "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "toylab",
    "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
}

Format = Literal["png", "svg", "pdf"]
P = ParamSpec("P")
_LOCK = threading.RLock()


@contextmanager
def _drawing() -> Iterator[None]:
    with _LOCK, matplotlib_style.context(["default", dict(STYLE)]):
        yield


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a figure function draw in the one style, whatever the process's own settings are."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _drawing():
            return draw(*args, **kwargs)

    return drawn


def blank_figure(height: float, width: float = WIDTH) -> Figure:
    """A figure without axes, of a size in inches, that arranges what is put into it."""
    return Figure(figsize=(width, height), layout="constrained")


def new_figure(rows: int = 1, columns: int = 1, *, height: float = 3.4, width: float = WIDTH,
               **layout: Any) -> tuple[Figure, NDArray[Any]]:
    """An empty figure and its axes.

    Args:
        rows, columns: the grid of axes.
        height, width: of the whole figure, in inches.
        layout: passed to `Figure.subplots`, for instance `width_ratios=[3, 1]`.

    Returns:
        The figure, and an object array [rows, columns] of `matplotlib.axes.Axes`.
    """
    figure = blank_figure(height, width)
    return figure, figure.subplots(rows, columns, squeeze=False, **layout)


def caption(figure: Figure, title: str, alt: str) -> Figure:
    """Give a figure its title, which states the finding, and its text alternative for a reader.

    Returns:
        The same figure; `figure.get_suptitle()` and `figure.get_label()` read both back.
    """
    figure.suptitle(title, x=0.02, ha="left")
    figure.set_label(" ".join(alt.split()))
    return figure


def strip(axes: Axes) -> Axes:
    """Take ticks and frame off axes that show a shape and not a scale; returns them."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    return axes


def log_axis(axes: Axes, which: Literal["x", "y"], values: ArrayLike) -> None:
    """Make one axis logarithmic over positive values, with round ticks in plain numbers."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    numbers = np.asarray(values, dtype=np.float64).ravel()
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    low, high = (numbers.min(), numbers.max()) if numbers.size else (1.0, 10.0)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1.0,) if high / low > 300 else (1.0, 3.0) if high / low > 30 else (1.0, 2.0, 5.0)
    ticks = np.sort(np.outer(powers, steps).ravel())
    axis.set_ticks(ticks[(ticks > 0.98 * low) & (ticks < 1.02 * high)])
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def save_figure(figure: Figure, path: str | Path, metadata: Mapping[str, Any],
                formats: Sequence[Format] = get_args(Format)) -> tuple[Path, ...]:
    """Write a figure to `path`.png, .svg and .pdf with its metadata inside.

    The same figure and metadata give the same bytes in every process on one machine with the same
    versions. The layout is frozen at the first save, so that the formats agree with one another.

    Args:
        figure: as a figure function returns it.
        path: without an extension; its folder must exist.
        metadata: JSON-able values that say how to make the figure again.
        formats: some of png, svg, pdf.

    Returns:
        The files written, in the order of `formats`.

    Raises:
        ConfigError: for another format.
    """
    for name in formats:
        if name not in get_args(Format):
            raise ConfigError(f"formats={shown(name)}: must be among {list(get_args(Format))}")
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"), allow_nan=False)
    files = []
    with _drawing():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for name in formats:
            file = Path(f"{path}.{name}")
            file.write_bytes(_encode(figure, name, text))
            files.append(file)
    return tuple(files)


def _encode(figure: Figure, form: Format, text: str) -> bytes:
    """The bytes of one format, every field that names a date or a program left out."""
    title, alt = figure.get_suptitle(), str(figure.get_label())
    entries: dict[Format, dict[str, str | None]] = {
        "png": {"Software": None, "Title": title, "Description": text, "Comment": alt},
        "svg": {"Date": None, "Creator": None, "Description": text},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None, "Title": title,
                "Subject": alt, "Keywords": text},
    }
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=PNG_DPI, metadata=entries[form])
    if form != "svg":
        return buffer.getvalue()
    spoken = f"<title>{html.escape(title)}</title><desc>{html.escape(alt)}</desc>"
    return re.sub(r"<svg ([^>]*)>", lambda found: f'<svg role="img" {found[1]}>\n {spoken}',
                  buffer.getvalue().decode(), count=1).encode()


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata that `save_figure` put into a PNG, SVG or PDF file.

    Raises:
        FormatError: when the file carries none, or is of another kind.
    """
    content = Path(path).read_bytes()
    try:
        text = _embedded(content)
        metadata = json.loads(text) if text is not None else None
    except (ValueError, OSError, SyntaxError) as error:
        raise FormatError(f"{path}: is damaged ({error})") from None
    if not isinstance(metadata, dict):
        raise FormatError(f"{path}: must be a PNG, SVG or PDF file that toylab wrote")
    return metadata


def _embedded(content: bytes) -> str | None:
    if content.startswith(b"\x89PNG"):
        from PIL import Image  # comes with matplotlib; slow to load, and only this needs it

        with Image.open(io.BytesIO(content)) as image:
            return getattr(image, "text", {}).get("Description")
    if content.startswith(b"%PDF"):
        found = re.search(rb"/Keywords \(((?:[^\\)]|\\.)*)\)", content, re.DOTALL)
        return re.sub(rb"\\(.)", rb"\1", found[1]).decode() if found else None
    found = re.search(rb"<dc:description>(.*?)</dc:description>", content, re.DOTALL)
    return html.unescape(found[1].decode()) if found else None


