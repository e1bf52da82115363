"""The superposition page in a real browser: what a hand, an eye and an address bar meet."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Visit = Callable[..., Any]

TEXTS = """() => [...document.querySelectorAll('[data-testid=stMain] *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
               && e.getClientRects().length)
  .map(e => [parseFloat(getComputedStyle(e).fontSize), e.textContent.slice(0, 40)])"""
OUTSIDE = """() => [...document.querySelectorAll(
    '[data-testid=stMain] :is(p, h1, h2, svg, button)')]
  .filter(e => e.getBoundingClientRect().width > 0
               && (e.getBoundingClientRect().right > innerWidth + 1
                   || e.getBoundingClientRect().left < -1))
  .map(e => e.outerHTML.slice(0, 80))"""
CONTRAST = """() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const app = document.querySelector('[data-testid=stApp]');
  const paper = light(getComputedStyle(app).backgroundColor);
  const ratios = [...document.querySelectorAll(
      'svg.marks .role-axis-label text, svg.marks .mark-text:not(.role-axis-label) text')]
    .map(e => getComputedStyle(e).fill)
    .filter(c => c.startsWith('rgb') && !c.includes('255, 255, 255'))  // white stands on dark cells
    .map(c => light(c)).map(l => (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05));
  return [paper, Math.min(...ratios), ratios.length];
}"""


def number(page: Any, label: str) -> str:
    metric = page.get_by_test_id("stMetric").filter(has_text=label)
    return metric.get_by_test_id("stMetricValue").inner_text()


def wait_for_number(page: Any, label: str, text: str) -> None:
    metric = page.get_by_test_id("stMetric").filter(has_text=label)
    metric.get_by_test_id("stMetricValue").get_by_text(text, exact=True).wait_for()


def test_the_page_opens_on_the_pentagon_and_describes_its_pictures(visit: Visit) -> None:
    page = visit()
    assert number(page, "Shape") == "pentagon"
    assert page.locator("svg.marks .mark-symbol.role-mark path").count() == 5
    pictures = page.locator("[role=graphics-document]").all()
    labels = [picture.get_attribute("aria-label") for picture in pictures]
    assert len(labels) == 5
    assert labels[0].startswith("5 feature vectors, shape: pentagon. Lengths 1.1")
    assert all(len(label) > 40 for label in labels)


def test_the_keyboard_moves_a_slider_and_the_address_holds_the_view(visit: Visit) -> None:
    page = visit()
    slider = page.get_by_role("slider", name="Sparsity")
    slider.focus()
    for _ in range(25):
        page.keyboard.press("ArrowLeft")
    wait_for_number(page, "Shape", "square")
    assert number(page, "Represented") == "4 of 5"
    page.wait_for_url(re.compile(r"sparsity=0\.7(&|$)"))
    loss = number(page, "Loss")
    again = visit(page.url.partition("?")[2])
    assert number(again, "Shape") == "square"
    assert number(again, "Loss") == loss
    assert again.get_by_role("slider", name="Sparsity").get_attribute("aria-valuetext") == "0.70"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_legible_in_both_themes(visit: Visit, theme: str) -> None:
    paper, contrast, n_texts = visit(theme=theme).evaluate(CONTRAST)
    assert (paper < 0.05) == (theme == "dark")
    assert n_texts > 20
    assert contrast >= 3.0


@pytest.mark.parametrize("query", ["", "n_features=12&n_hidden=5&n_starts=1&importance_decay=0.9"])
def test_a_phone_shows_everything(visit: Visit, query: str) -> None:
    page = visit(query, width=390)
    main = page.get_by_test_id("stMain")
    assert main.evaluate("e => e.scrollWidth") <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(OUTSIDE) == []
    assert [text for text in page.evaluate(TEXTS) if text[0] < 11] == []


def test_downloads(visit: Visit) -> None:
    page = visit()

    def fetch(label: str) -> bytes:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=label, exact=True).click()
        return Path(waiting.value.path()).read_bytes()

    assert fetch("PNG").startswith(b"\x89PNG")
    assert fetch("CSV").startswith(b"feature,norm,represented,")
    assert b"toylab.superposition.solve(config, 0, n_starts=8)" in fetch("Python")
    assert number(page, "Shape") == "pentagon"


def test_a_bad_address_is_answered_in_words_and_cleaned(visit: Visit) -> None:
    page = visit("n_features=abc&sparsity=1.5&n_hidden=2&n_hidden=3")
    said = page.get_by_test_id("stAlert").inner_text()
    assert "n_features='abc': must be an int" in said
    assert "sparsity=1.5: must be in [0, 1); 1 means no feature is ever active" in said
    assert "n_hidden='3': n_hidden is given twice" in said
    assert number(page, "Shape") == "pentagon"
    assert "=" not in page.url
