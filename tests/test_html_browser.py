"""The page in a real browser: no error, no request, every plot drawn, names stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks._chromium import PROGRAM, browser_tab
from feasibility.records.assessment import Assessment
from feasibility.render.html.page import render_page
from tests import samples
from tests.html_samples import HOSTILE, read_page, records, with_names

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed"),
]

# Plots are drawn when they come into view.
SCROLL_THROUGH = """(async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += 500) {
    scrollTo(0, y);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20)));
  }
  return [...document.querySelectorAll("canvas")].map((each) => each.width);
})()"""
DEVICES = """[...document.querySelectorAll(".data-table")]
  .find((each) => each.querySelector("h3").textContent === "models and devices")"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("hostile", ["", HOSTILE[0]], ids=["names", "hostile names"])
def test_a_browser_shows_the_page(tmp_path: Path, width: int, hostile: str) -> None:
    """The script runs under the policy of the page, draws all plots and requests nothing."""
    shown = list(records().values())
    if hostile:
        shown = [with_names(record, hostile) for record in shown]
    path = tmp_path / "page.html"
    path.write_bytes(render_page(shown))
    with browser_tab(tmp_path / "browser") as tab:
        tab.open(path.as_uri(), width)
        widths = tab.evaluate(SCROLL_THROUGH)
        assert len(widths) == len(read_page(path.read_bytes()).data["plots"])
        assert min(widths) > 200
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.evaluate("document.querySelectorAll('img, svg[onload]').length") == 0
        assert tab.errors == []
        assert tab.requests == [path.as_uri()]


def test_tables_are_sorted_filtered_and_paged_and_plots_are_read_with_keys(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    models = tuple(samples.model_assessment(f"model-{number:02}.onnx") for number in range(20))
    path.write_bytes(render_page([replace(samples.assessment(), models=models)]))
    with browser_tab(tmp_path / "browser") as tab:
        tab.open(path.as_uri(), 1280)
        rows = f"[...({DEVICES}).querySelectorAll('tbody tr')].map((row) => row.innerText)"
        count = f"({DEVICES}).querySelector('.count').textContent"
        assert len(tab.evaluate(rows)) == 25
        assert tab.evaluate(count) == "1 to 25 of 100"
        tab.evaluate(f"({DEVICES}).querySelectorAll('.tools button')[1].click()")
        assert tab.evaluate(count) == "26 to 50 of 100"
        # The fourth column is the time; figures are sorted by size, and unknown ones are last.
        tab.evaluate(f"({DEVICES}).querySelectorAll('th button')[3].click()")
        assert "60 to 140 ms" in tab.evaluate(rows)[0]
        tab.evaluate(f"({DEVICES}).querySelectorAll('th button')[3].click()")
        assert tab.evaluate(f"({DEVICES}).querySelectorAll('th')[3].ariaSort") == "descending"
        tab.evaluate(
            f"(() => {{ const box = ({DEVICES}).querySelector('input'); box.value = 'MODEL-07'; "
            "box.dispatchEvent(new Event('input')); })()"
        )
        assert tab.evaluate(count) == "1 to 5 of 5"
        tab.evaluate("document.querySelector('canvas').scrollIntoView()")
        tab.evaluate("new Promise((done) => setTimeout(done, 500))")
        tab.evaluate(
            "document.querySelector('canvas').dispatchEvent("
            "new KeyboardEvent('keydown', {key: 'ArrowDown'}))"
        )
        reading = tab.evaluate("document.querySelector('.reading').textContent")
        assert reading.startswith("Raspberry Pi Zero 2 W: does not fit 238 to 280 MiB, likely")
        assert tab.errors == []


def test_ten_thousand_rows_open(tmp_path: Path) -> None:
    """A page of a whole fleet has all rows in one paged table."""
    path = tmp_path / "page.html"
    one = samples.model_assessment()
    models = (replace(one, devices=one.devices * 2),) * 1000
    path.write_bytes(render_page([Assessment(tool_version="0.1.0", models=models)]))
    with browser_tab(tmp_path / "browser") as tab:
        tab.open(path.as_uri(), 1280)
        text = tab.evaluate(f"({DEVICES}).querySelector('.count').textContent")
        assert text == "1 to 25 of 10000"
        assert tab.errors == []
