"""How large is the HTML page of `check`, and how fast does a headless Chromium open it?

    python -m benchmarks.html_pages

The models are the recorded ones of the zoo, repeated with other names for larger pages. Opening
ends when the page is loaded, its tables are made, and the plots that are in view are drawn.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from benchmarks._chromium import browser_tab
from benchmarks._common import print_table
from feasibility import __version__
from feasibility.catalogue.load_catalogue import load_catalogue
from feasibility.decide.recommendation import assess_model
from feasibility.decide.requirements import Requirements
from feasibility.json_documents import read_document
from feasibility.paths import devices_dir, profiles_dir
from feasibility.records.assessment import Assessment
from feasibility.records.profile import Profile
from feasibility.render.html.page import SIZE_LIMIT_BYTES, render_page
from feasibility.render.reports.assessment_texts import with_sentences

ROUND_COUNT = 5
DEVICE_COUNT = 10
MODEL_COUNTS = (5, 1000)
_READY = """new Promise((done) => requestAnimationFrame(() => setTimeout(
  () => done(performance.now()), 0)))"""


def main() -> None:
    """Print one row per number of models."""
    profiles = [read_document(path, Profile) for path in sorted((profiles_dir() / "zoo").glob("*"))]
    devices = load_catalogue(devices_dir())[:DEVICE_COUNT]
    models = [with_sentences(assess_model(each, devices, Requirements(), ())) for each in profiles]
    rows = []
    for count in MODEL_COUNTS:
        named = tuple(
            replace(
                model,
                profile=replace(
                    model.profile, model=replace(model.profile.model, name=f"model-{number}.onnx")
                ),
            )
            for number, model in enumerate((models * count)[:count])
        )
        start = time.perf_counter()
        page = render_page([Assessment(tool_version=__version__, models=named)])
        rendering_s = time.perf_counter() - start
        opening_ms = median(opened_ms(page) for _ in range(ROUND_COUNT))
        rows.append(
            (
                f"{count} models, {DEVICE_COUNT} devices",
                f"{len(page) / 1e6:.2f}",
                f"{rendering_s:.2f}",
                f"{opening_ms:.0f}",
            )
        )
    print_table(("page", "size, MB", "rendering, s", "opening, ms"), rows)
    print(f"limits: {SIZE_LIMIT_BYTES / 1e6} MB, 1000 ms for 5 models")


def opened_ms(page: bytes) -> float:
    """Milliseconds from the start of the navigation to the first frame with tables and plots."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "page.html"
        path.write_bytes(page)
        with browser_tab(Path(folder) / "browser") as tab:
            tab.open(path.as_uri(), 1280)
            return float(tab.evaluate(_READY))


if __name__ == "__main__":
    main()
