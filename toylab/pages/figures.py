"""The page of the book: every figure, what it must show, and the figure made before your eyes."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Any

import streamlit as st

from toylab.errors import BudgetError, ConfigError, DivergedError
from toylab.pages import controls, downloads
from toylab.pages.figures_model import SEED, Made, entries, make

if TYPE_CHECKING:
    from toylab.figures.entry import Entry

__all__ = ["NAME", "PATH", "show"]

NAME, PATH = "Figures", "figures"
INTRODUCTION = (
    "Every figure of the book comes with a statement that it must show and with the numbers that "
    "decide whether it does. Choose one, and make it here."
)
NOT_SHOWN = (
    "A figure is drawn for one seed. The book tries its statement on several, and says on how many "
    "it holds: a rate is a part of the finding."
)


def show() -> None:
    """Draw the page."""
    book = entries()
    st.title("What do the figures claim, and does it hold?", anchor=False)
    st.markdown(INTRODUCTION)
    entry, seed = _chosen(book)
    st.header(entry.title, anchor=False)
    st.markdown(controls.plain(entry.statement))
    made = _made(entry, seed)
    if made is not None:
        _draw(entry, seed, made)
    st.caption(controls.plain(f"{entry.caption} Source: {entry.source}."))
    st.header("What this does not show", anchor=False)
    st.markdown(NOT_SHOWN)
    st.markdown("The same on the command line, for all of its seeds:")
    st.code(f"toylab book {entry.id} --out book", language="bash")


def _chosen(book: dict[str, Entry]) -> tuple[Entry, int]:
    """The figure and the seed, as the address has them."""
    address = st.query_params.get("figure")
    if address is not None and address not in book:
        st.error(controls.plain(f"figure='{address}': no figure of the book"))
        del st.query_params["figure"]
    elif address is not None and "entry" not in st.session_state:
        st.session_state["entry"] = address
    left, right = st.columns([3, 1], gap="medium")
    name = left.selectbox(
        "Figure",
        list(book),
        format_func=lambda name: f"{book[name].chapter.capitalize()}: {book[name].title}",
        key="entry",
    )
    st.query_params["figure"] = name
    with right:
        seed = controls.draw(SEED)
    return book[name], seed


def _made(entry: Entry, seed: int) -> Made | None:
    """The figure, when the reader has asked for it; None before, or with the reason on the page."""
    wanted = st.session_state.setdefault("figures asked for", set())
    if st.button("Make this figure", key="make", type="primary", icon=":material/play_arrow:"):
        wanted.add((entry.id, seed))
    if (entry.id, seed) not in wanted:
        return None
    try:
        return make(entry.id, seed)
    except (BudgetError, ConfigError, DivergedError) as error:
        st.error(controls.plain(str(error)))
        return None


def _draw(entry: Entry, seed: int, made: Made) -> None:
    picture = base64.b64encode(made.svg).decode()
    st.html(
        f'<img src="data:image/svg+xml;base64,{picture}" alt="{html.escape(made.alt)}" '
        'style="max-width:100%;background:white;border-radius:6px;padding:4px">'
    )
    verdict = "holds" if made.holds else "does not hold"
    colour: Any = "green" if made.holds else "orange"
    st.badge(f"The statement {verdict} for seed {seed}", color=colour)
    st.table(
        [
            {
                "Measured": line.name,
                "Allowed": line.allowed,
                f"Seed {seed}": f"{line.value:.4g}",
                "": "✓" if line.holds else "✗",
            }
            for line in made.lines
        ]
    )
    with st.container(horizontal=True):
        for form in ("png", "svg", "pdf"):
            downloads.button(form.upper(), f"{entry.id}.{form}", lambda f=form: made.files[f])
