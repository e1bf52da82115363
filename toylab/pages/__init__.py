"""The pages of the app, in the order of its menu.

A page is a module with NAME (for the menu), PATH (for the address) and `show()`: it turns widgets
into a config, hands that to a shared job, and draws what comes back. Adding it to PAGES is all.
"""

from pathlib import Path

from toylab.pages import figures, modular, superposition, sweep

__all__ = ["ICON", "PAGES"]

PAGES = (superposition, sweep, modular, figures)
ICON = Path(__file__).with_name("icon.svg")
