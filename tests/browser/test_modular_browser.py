"""The modular-addition page in a real browser, at its default settings: it groks on sight."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Visit = Callable[..., Any]

# Streamlit looks for itself below the page's own address first.
PROBE = re.compile(r"/modular-addition/_stcore/(health|host-config)$")
IDLE = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
OUTSIDE = """() => [...document.querySelectorAll(
    '[data-testid=stMain] :is(p, h1, h2, svg, button)')]
  .filter(e => e.getBoundingClientRect().width > 0
               && (e.getBoundingClientRect().right > innerWidth + 1
                   || e.getBoundingClientRect().left < -1))
  .map(e => e.outerHTML.slice(0, 80))"""
SMALL_TEXT = """() => [...document.querySelectorAll('[data-testid=stMain] *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
               && e.getClientRects().length && parseFloat(getComputedStyle(e).fontSize) < 11)
  .map(e => e.textContent.slice(0, 40))"""
CONTRAST = """() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const app = document.querySelector('[data-testid=stApp]');
  const paper = light(getComputedStyle(app).backgroundColor);
  const ratios = [...document.querySelectorAll('svg.marks text')]
    .map(e => getComputedStyle(e).fill).filter(c => c.startsWith('rgb'))
    .map(c => light(c)).map(l => (Math.max(l, paper) + 0.05) / (Math.min(l, paper) + 0.05));
  return [paper, Math.min(...ratios), ratios.length];
}"""


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """Opens the page; afterwards nothing may have gone wrong or left this machine."""
    contexts, wrong = [], []

    def open_page(query: str = "", width: int = 1400, theme: str = "light") -> Any:
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
        page.goto(f"{address}/modular-addition?{query}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def metric(page: Any, label: str, which: int = 0) -> str:
    found = page.get_by_test_id("stMetric").filter(has_text=label).nth(which)
    return found.get_by_test_id("stMetricValue").inner_text()


def percent(page: Any, label: str, which: int = 0) -> float:
    return float(metric(page, label, which).rstrip("%\u00a0"))


def comes_true(condition: Callable[[], bool], seconds: float = 30) -> None:
    """The server answers when it has computed: asked until it has, or refused."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def settled(page: Any, n_pictures: int) -> Any:
    """The page when its training has ended and everything is drawn."""
    page.get_by_text("The code of this view").wait_for()
    page.wait_for_function(f"document.querySelectorAll('svg.marks').length === {n_pictures}")
    page.wait_for_function(IDLE)
    return page


def walk_back(page: Any, records: int) -> None:
    slider = page.get_by_role("slider", name="Training step")
    slider.focus()
    for _ in range(records):
        page.keyboard.press("ArrowLeft")


def test_the_default_settings_grok_while_the_reader_watches(visit: Visit) -> None:
    page = visit()
    page.get_by_text("Training: step").wait_for()
    page.wait_for_function("document.querySelectorAll('svg.marks').length === 3")
    page.evaluate("document.querySelectorAll('svg.marks').forEach(e => { e.watched = true; })")
    first = int(metric(page, "Step"))
    page.wait_for_function(
        "first => +document.querySelector('[data-testid=stMetricValue]').innerText > first + 40",
        arg=first,
    )
    # The pictures were moved on, not drawn anew.
    assert page.evaluate("[...document.querySelectorAll('svg.marks')].every(e => e.watched)")
    settled(page, 5)
    assert page.get_by_text("Grokked", exact=True).is_visible()
    assert metric(page, "Step") == "400"
    assert percent(page, "Test pairs right") >= 99
    assert percent(page, "Logits in waves") > 80
    labels = [
        picture.get_attribute("aria-label")
        for picture in page.locator("[role=graphics-document]").all()
    ]
    assert len(labels) == 5
    assert all(len(label) > 40 for label in labels)


def test_the_history_is_dragged_and_waves_are_taken_out(visit: Visit) -> None:
    page = settled(visit(), 5)
    page.evaluate("document.querySelectorAll('svg.marks').forEach(e => { e.watched = true; })")
    walk_back(page, 30)
    page.get_by_test_id("stMetricValue").get_by_text("100", exact=True).wait_for()
    assert page.evaluate("[...document.querySelectorAll('svg.marks')].every(e => e.watched)")
    comes_true(lambda: percent(page, "Test pairs right") < 90)
    early = percent(page, "Test pairs right")
    page.get_by_role("button", name="everything else").click()
    page.get_by_text("points").first.wait_for()
    # The waves alone do better.
    comes_true(lambda: percent(page, "Test pairs right", which=1) > early + 5)
    page.get_by_role("button", name="everything else").click()
    keys = page.get_by_role("button", name=re.compile(r"^k = \d+$")).all()
    assert len(keys) >= 2
    for key in keys:
        key.click()
    comes_true(lambda: percent(page, "Test pairs right", which=1) < 15)
    walk_back(page, 18)
    page.get_by_text("Memorising", exact=True).wait_for()


def test_a_click_chooses_a_neuron(visit: Visit) -> None:
    page = settled(visit(), 5)
    page.get_by_role("radio", name="Neurons").or_(
        page.get_by_role("button", name="Neurons", exact=True)
    ).first.click()
    settled(page, 7)
    number = page.get_by_role("spinbutton", name="Neuron")
    before = number.input_value()
    strip = page.locator("svg.marks").nth(3)
    box = strip.bounding_box()
    began = time.monotonic()
    strip.click(position={"x": 0.9 * box["width"], "y": 0.3 * box["height"]})
    page.wait_for_function(
        "before => document.querySelector('[data-testid=stNumberInputField][aria-label=Neuron]')"
        ".value !== before",
        arg=before,
    )
    assert time.monotonic() - began < 10  # 0.3 s on an idle machine

    def heat() -> str:
        image = page.locator("svg.marks image")
        return image.get_attribute("href") or image.get_attribute("xlink:href")

    before = heat()
    assert before.startswith("data:image/png;base64,")
    page.get_by_text("Order numbers by k·a mod p").click()
    page.get_by_text(re.compile(r"^\d+ a mod 59$")).first.wait_for()
    comes_true(lambda: heat() != before)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_are_legible_in_both_themes(visit: Visit, theme: str) -> None:
    page = settled(visit(theme=theme), 5)
    paper, contrast, n_texts = page.evaluate(CONTRAST)
    assert (paper < 0.05) == (theme == "dark")
    assert n_texts > 40
    assert contrast >= 3.0


def test_a_phone_shows_everything(visit: Visit) -> None:
    page = settled(visit(width=390), 5)
    for panel, n_pictures in (("Answers and their waves", 5), ("Neurons", 7)):
        page.get_by_text(panel, exact=True).first.click()
        settled(page, n_pictures)
        assert page.get_by_test_id("stMain").evaluate("e => e.scrollWidth") <= 390
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(SMALL_TEXT) == []


def test_downloads(visit: Visit) -> None:
    page = settled(visit(), 5)

    def fetch(label: str) -> bytes:
        with page.expect_download() as waiting:
            page.get_by_role("button", name=label, exact=True).click()
        return Path(waiting.value.path()).read_bytes()

    assert fetch("CSV").startswith(b"step,train_loss,test_loss,")
    assert b"toylab.modular.run(config, 0)" in fetch("Python")
    assert fetch("PNG").startswith(b"\x89PNG")


def test_a_reader_may_leave_while_it_trains_and_come_back(visit: Visit) -> None:
    page = visit("seed=4&n_steps=200")
    page.get_by_text(re.compile("Compiling|Training: step")).first.wait_for()
    page.get_by_role("link", name="Superposition").click()
    page.get_by_text("How many features fit").wait_for()
    assert page.get_by_test_id("stAlert").count() == 0
    page.get_by_role("link", name="Modular addition").click()
    settled(page, 5)
    assert metric(page, "Step") == "200"
    assert page.get_by_test_id("stAlert").count() == 0
