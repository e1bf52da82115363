"""The one palette and the one rounding of what is drawn, free of matplotlib for the app."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BLUE", "CATEGORIES", "DIVERGING", "GREEN", "INK", "MUTED", "ORANGE", "PAPER", "PURPLE", "RULE",
    "SEQUENTIAL", "SKY", "VERMILLION", "YELLOW", "rounded",
]

# Okabe and Ito, "Color universal design" (2008), without its black: the text has it.
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW = CATEGORIES = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
SEQUENTIAL = "cividis"
DIVERGING = "RdBu"
# The gallery finds these four in an SVG and replaces them by variables of its light or dark theme.
INK, MUTED, RULE, PAPER = "#1B1F24", "#5B6470", "#CFD4DA", "#FFFFFF"


def rounded(values: ArrayLike, digits: int = 5) -> NDArray[np.float64]:
    """The values to so many significant digits; NaN and infinities stay.

    Worked value: 0.123456 becomes 0.12346.

    Args:
        values: any shape.
        digits: significant decimal digits, at least 1.

    Returns:
        The same shape, float64.
    """
    array = np.asarray(values, dtype=np.float64)
    texts = (f"{value:.{digits - 1}e}" for value in array.ravel())
    return np.fromiter((float(text) for text in texts), np.float64, array.size).reshape(array.shape)
