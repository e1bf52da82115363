"""The pages of sweeps and of the book in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Visit = Callable[..., Any]

# Streamlit looks for itself below the page's own address first.
PROBE = re.compile(r"/(sweep|figures)/_stcore/(health|host-config)$")
SMALL = "cells=4&n_features=4&n_hidden=2&n_starts=2"
OUTSIDE = """() => [...document.querySelectorAll(
    '[data-testid=stMain] :is(p, h1, h2, svg, img, button)')]
  .filter(e => e.getBoundingClientRect().width > 0
               && (e.getBoundingClientRect().right > innerWidth + 1
                   || e.getBoundingClientRect().left < -1))
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """Opens a page; afterwards nothing may have gone wrong or left this machine."""
    contexts, wrong = [], []

    def open_page(path: str, width: int = 1400, theme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning")
                and not PROBE.search(said.location["url"])
                and wrong.append(f"{said.type}: {said.text}")
            ),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:", "blob:"))
                or wrong.append(f"request to {request.url}")
            ),
        )
        page.goto(f"{address}/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def whole(page: Any) -> Any:
    """The sweep page when its map is complete."""
    page.get_by_text("The code of this view").wait_for()
    page.locator("svg.marks .mark-rect.role-mark path").nth(7).wait_for()
    return page


def test_a_cell_of_the_map_opens_as_its_own_page(visit: Visit) -> None:
    page = whole(visit(f"sweep?{SMALL}"))
    picture = page.locator("[role=graphics-document]").first
    assert "8 of 8 models are there" in picture.get_attribute("aria-label")
    page.locator("svg.marks .mark-rect.role-mark path").last.click()
    opener = page.get_by_role("link", name=re.compile("^Open 4 features in "))
    opener.wait_for()
    words = opener.inner_text()
    opener.click()
    page.get_by_text(re.compile("^How many features fit into")).wait_for()
    page.get_by_text("The code of this view").wait_for()
    sparsity = re.search(r"sparsity ([0-9.]+)", words)[1]  # type: ignore[index]
    assert f"sparsity={sparsity}" in page.url
    assert "n_features=4" in page.url
    assert page.get_by_test_id("stAlert").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", [f"sweep?{SMALL}", "figures?figure=random-directions"])
def test_a_phone_shows_everything(visit: Visit, path: str, theme: str) -> None:
    page = visit(path, width=390, theme=theme)
    if path.startswith("sweep"):
        whole(page)
    else:
        page.get_by_role("button", name="Make this figure").click()
        page.get_by_text("The statement holds for seed 0").wait_for()
        assert len(page.locator("[data-testid=stHtml] img").get_attribute("alt")) > 40
    assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth") <= 390
    assert page.evaluate(OUTSIDE) == []


def test_the_book_is_chosen_from_by_address_and_by_hand(visit: Visit) -> None:
    page = visit("figures?figure=pentagon")
    page.get_by_role("heading", name=re.compile("a regular pentagon")).wait_for()
    page.get_by_role("combobox", name=re.compile("Figure")).fill("Most neurons")
    page.get_by_role("option", name=re.compile("Most neurons have one frequency")).click()
    page.get_by_role("heading", name="Most neurons have one frequency").wait_for()
    page.wait_for_url(re.compile("figure=neuron-clusters"))
    assert page.get_by_test_id("stAlert").count() == 0
