"""The HTML page: everything is there, hostile names stay text, nothing is requested."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from feasibility.records.assessment import Assessment, Failure
from feasibility.render.html.blocks import RECORD_TYPES, Block, blocks_of
from feasibility.render.html.page import (
    SIZE_LIMIT_BYTES,
    STATIC_ROW_LIMIT,
    asset,
    library_source,
    render_page,
)
from feasibility.render.html.profile_plots import latency_plots
from feasibility.render.reports.sections import Section
from tests import samples
from tests.html_samples import (
    HOSTILE,
    Page,
    model_assessment,
    read_page,
    records,
    source_hash,
    with_names,
)
from tests.projection_samples import latency
from tests.samples import HOSTILE_NAMES

RECORDS = records()
# The library as its authors published it: version and SHA-256 of chart.umd.min.js of the package.
LIBRARY_VERSION = "4.6.1"
LIBRARY_SHA256 = "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2"

ALLOWED_TAGS = {
    "html", "head", "meta", "title", "style", "body", "nav", "ul", "li", "a", "span", "main",
    "section", "header", "h1", "h2", "h3", "div", "table", "thead", "tbody", "tr", "th", "td",
    "p", "figure", "figcaption", "canvas", "details", "summary", "footer", "script",
    "svg", "rect", "line",
}  # fmt: skip


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {name: read_page(render_page([record])) for name, record in RECORDS.items()}


def words_of(sections: Iterable[Section]) -> Iterable[str]:
    """Every text that a report shows."""
    for section in sections:
        yield from (section.title, *section.remarks)
        yield from (text for row in section.rows for text in (row.label, row.text))
        if section.grid is not None:
            yield from (column.title for column in section.grid.columns)
            yield from (cell for row in section.grid.rows for cell in row if isinstance(cell, str))


def shown_in(block: Block) -> Iterable[str]:
    yield block.title
    yield from words_of((*block.lead, *block.rest, *block.more))
    for plot in block.plots:
        yield plot.title
        yield from words_of([Section(grid=plot.grid(), remarks=plot.remarks)])
    for table in (*block.tables, *block.nodes):
        yield from (table.title, *table.remarks)
        yield from (cell.text for row in table.rows for cell in row)


@pytest.mark.parametrize("name", RECORDS)
def test_every_section_is_readable_without_a_script(name: str, pages: dict[str, Page]) -> None:
    """Titles, rows, tables, remarks and the numbers behind each plot are in the HTML."""
    text = pages[name].text
    words = {
        re.sub(r"\s+", " ", word).strip()
        for block in blocks_of(RECORDS[name])
        for word in shown_in(block)
    }
    assert len(words) > 20
    assert {word for word in words if word not in text} == set()


@pytest.mark.parametrize("name", RECORDS)
def test_the_data_has_every_plot_and_table(name: str, pages: dict[str, Page]) -> None:
    """The script finds one description per drawing area, in the order of the page."""
    blocks = list(blocks_of(RECORDS[name]))
    data = pages[name].data
    plots = [plot.title for block in blocks for plot in block.plots]
    assert [plot["title"] for plot in data["plots"]] == plots
    assert sum(tag == "canvas" for tag, _ in pages[name].tags) == len(plots)
    tables = [table for block in blocks for table in (*block.tables, *block.nodes)]
    assert [[column["title"] for column in table["columns"]] for table in data["tables"]] == [
        [title for title, _ in table.columns] for table in tables
    ]
    for found, table in zip(data["tables"], tables, strict=True):
        assert all(len(column["rows"]) == len(table.rows) for column in found["columns"])


def test_an_assessment_shows_its_models_and_failures(pages: dict[str, Page]) -> None:
    """Several models have one table of all devices, and models that failed are named."""
    assert "models and devices" in pages["check-many"].text
    assert "models that were not assessed" in pages["check-many"].text
    assert "broken.onnx" in pages["check-many"].text
    titles = [plot["title"] for plot in pages["check"].data["plots"]]
    assert titles == [
        "memory per device",
        "time per device",
        "memory over time",
        "where the memory is",
        "arena in use after each node of the first run",
        "time of each run",
        "distribution of the times",
        "time by operator type",
        "bytes read and written by operator type",
        "roofline",
    ]


HOSTILE_CASES = [
    *(("check", hostile) for hostile in (*HOSTILE, *HOSTILE_NAMES)),
    *((name, HOSTILE[1]) for name in RECORDS),
]


@pytest.mark.parametrize(("name", "hostile"), HOSTILE_CASES, ids=range(len(HOSTILE_CASES)))
def test_hostile_names_stay_text(name: str, hostile: str) -> None:
    """No name of a model, a device, a node or a path becomes a tag, an attribute or code."""
    page = read_page(render_page([with_names(RECORDS[name], hostile)]))
    assert {tag for tag, _ in page.tags} <= ALLOWED_TAGS
    attributes = [(key, value) for _, found in page.tags for key, value in found.items()]
    assert [key for key, _ in attributes if key.startswith("on") or key == "src"] == []
    links = [value for key, value in attributes if key == "href"]
    assert [each for each in links if not re.fullmatch(r"#part-\d+", each or "")] == []
    assert page.blocks["script"][2] == asset("page.js")
    assert len(page.blocks["script"]) == 3
    assert "<" not in page.blocks["script"][0]
    assert page.data["plots"]
    if hostile.isascii() and hostile.isprintable() and len(hostile) < 30 and hostile:
        assert hostile in page.text


def test_the_policy_allows_the_texts_of_the_page_only(pages: dict[str, Page]) -> None:
    """The policy names the hashes of the style and both scripts, and allows no request."""
    page = pages["check"]
    (style,), (_, library, script) = page.blocks["style"], page.blocks["script"]
    assert page.policy.split("; ") == [
        "default-src 'none'",
        f"script-src {source_hash(library)} {source_hash(script)}",
        f"style-src {source_hash(style)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    first = [tag for tag, _ in page.tags]
    assert first.index("meta") < first.index("style") < first.index("script")
    assert not any("style" in attributes for _, attributes in page.tags)


def test_the_page_names_no_address(pages: dict[str, Page]) -> None:
    """Nothing in the page, its style or its script is loaded from elsewhere."""
    page = pages["check"]
    (style,), (_, library, script) = page.blocks["style"], page.blocks["script"]
    assert re.findall(r"url\(|@import|@font-face", style) == []
    assert (
        re.findall(r"fetch|XMLHttp|import|innerHTML|https?://(?!www\.w3\.org/2000/svg)", script)
        == []
    )
    assert "sourceMappingURL" not in library
    assert "MIT License" in library


def test_the_library_is_the_published_one() -> None:
    """The file is unchanged, cannot end its element, and its version is the documented one."""
    text = asset("chart.umd.min.js")
    assert hashlib.sha256(text.encode()).hexdigest() == LIBRARY_SHA256
    assert f"Chart.js v{LIBRARY_VERSION}" in text
    assert "</script" not in text
    assert "<!--" not in text
    assert library_source().startswith("/*!")


@pytest.mark.parametrize("name", ["page.css", "page.js", "chart.LICENSE.md"])
def test_own_files_cannot_end_their_element(name: str) -> None:
    """The hash must match the text that a browser reads: no carriage return, no end tag."""
    text = asset(name)
    assert re.findall(r"\r|</|<!--", text) == []


def test_five_models_on_ten_devices_are_small_enough() -> None:
    """The page can be sent by mail."""
    models = tuple(on_ten_devices(model_assessment(f"model-{number}.onnx")) for number in range(5))
    page = render_page([Assessment(tool_version="0.1.0", models=models)])
    assert len(page) <= SIZE_LIMIT_BYTES
    assert len(read_page(page).data["plots"]) == 5 * 10


def test_pages_of_many_models_keep_the_first_table_and_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parts that would make the file too large are left out, and the page says so."""
    monkeypatch.setattr("feasibility.render.html.page.SIZE_LIMIT_BYTES", 600_000)
    models = tuple(on_ten_devices(model_assessment(f"model-{number}.onnx")) for number in range(30))
    page = render_page([Assessment(tool_version="0.1.0", models=models)])
    parsed = read_page(page)
    devices = next(
        table for table in parsed.data["tables"] if table["columns"][1]["title"] == "device"
    )
    assert len(devices["columns"][0]["rows"]) == 300
    assert f"The first {STATIC_ROW_LIMIT} of 300 rows" in parsed.text
    assert "Further parts are left out" in parsed.text
    assert len(page) <= 600_000
    assert 2 < len([tag for tag, found in parsed.tags if found.get("class") == "block"]) < 31


def test_models_that_failed_are_on_a_page_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("feasibility.render.html.page.SIZE_LIMIT_BYTES", 600_000)
    models = tuple(on_ten_devices(model_assessment(f"model-{number}.onnx")) for number in range(30))
    failed = Failure(path="broken.onnx", message="Cannot read it", hint="export it again")
    record = Assessment(tool_version="0.1.0", models=models, errors=(failed,))
    text = read_page(render_page([record])).text
    assert "Further parts are left out" in text
    assert "broken.onnx" in text


def test_the_list_of_parts_counts_for_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feasibility.render.html.page.SIZE_LIMIT_BYTES", 400_000)
    name = "n" * 180
    records = [
        Assessment(tool_version="0.1.0", models=(model_assessment(f"{name}{number}.onnx"),))
        for number in range(60)
    ]
    page = render_page(records)
    assert len(page) <= 400_000
    assert "Further parts are left out" in read_page(page).text


def test_many_runs_are_drawn_as_few_points() -> None:
    samples = tuple(range(1_000_000, 1_020_000))
    plot = next(latency_plots(replace(latency(1_000_000), samples_ns=samples)))
    assert (len(plot.series[0].values), plot.labels[-1]) == (400, "run 20000")
    assert plot.remarks == ("400 of 20000 runs: the slowest one of each group",)


def test_several_records_are_one_page_in_their_order() -> None:
    page = read_page(render_page(list(RECORDS.values())))
    kinds = [
        found["id"]
        for tag, found in page.tags
        if tag == "section" and found.get("class") == "block"
    ]
    assert kinds == [f"part-{number}" for number in range(len(kinds))]
    assert page.text.index("budget check") > page.text.index("fit")


def test_every_record_type_has_a_page() -> None:
    assert {type(record) for record in RECORDS.values()} == set(RECORD_TYPES)


def test_an_assessment_without_models_has_a_page() -> None:
    page = read_page(render_page([Assessment(tool_version="0.1.0", models=())]))
    assert "no models" in page.text


def test_figures_that_were_not_measured_are_left_out() -> None:
    """A profile of another program may have nothing but a median."""
    profile = samples.profile()
    bare = replace(
        profile, memory=None, latency=None, operators=(), allocations=(), default_allocator=None
    )
    page = read_page(render_page([bare]))
    assert page.data == {"plots": [], "tables": []}


def on_ten_devices(model: Any) -> Any:
    devices = tuple(
        replace(found, name=f"{found.name} {number}", device=f"{found.device}_{number}")
        for number in range(2)
        for found in model.devices
    )
    return msgspec.structs.replace(model, devices=devices)
