"""What a reader takes along, made when the button is pressed and not before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["button", "figure_bytes", "file_bytes"]

MIME = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf", "csv": "text/csv",
        "npz": "application/octet-stream", "py": "text/x-python"}


def button(label: str, name: str, make: Callable[[], bytes | str]) -> None:
    """A button that makes a file `name` and hands it to the browser; the page stays as it is."""
    st.download_button(label, make, name, MIME[name.rpartition(".")[2]], key=f"download {name}",
                       on_click="ignore", icon=":material/download:")


def figure_bytes(figure: Figure, form: Any, facts: dict[str, Any]) -> bytes:
    """The figure as a PNG, SVG or PDF file with the `facts` that make it again inside."""
    from toylab.figures.style import save_figure  # matplotlib: slow, and rarely needed

    return file_bytes(lambda path: save_figure(figure, path.with_suffix(""), facts, [form]), form)


def file_bytes(write: Callable[[Path], object], form: str) -> bytes:
    """The bytes of what `write` writes to a path that ends in `form`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file.{form}"
        write(path)
        return path.read_bytes()
