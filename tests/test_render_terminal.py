"""Terminal reports: what they look like, and what never gets into them."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from feasibility.records.profile import Profile
from feasibility.render.reports.check import check_report
from feasibility.render.reports.devices import catalogue_report, device_report
from feasibility.render.reports.inspect import inspect_report
from feasibility.render.reports.measure import measure_report
from feasibility.render.reports.sections import Bar, Column, Grid, Report
from feasibility.render.terminal.bar import bar_text
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.layout import print_report
from feasibility.render.terminal.text_lines import make_console
from tests import samples
from tests.snapshot import assert_matches_snapshot


def printed(report: Callable[..., Report]) -> Callable[..., None]:
    """What prints a report of a record on a console."""

    def render(record: object, console: Console, **options: bool) -> None:
        print_report(console, report(record, **options))

    return render


render_assessment = printed(check_report)
REPORTS = {
    "check": (render_assessment, samples.assessment),
    "check-many": (render_assessment, samples.assessment_of_many),
    "inspect": (printed(inspect_report), samples.facts),
    "measure": (printed(measure_report), samples.profile),
}


def drawn(
    record: object,
    render: Callable[..., None],
    *,
    width: int = 80,
    encoding: str = "utf-8",
    details: bool = False,
) -> str:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", newline="\n")
    console = make_console(stream)
    console.width = width
    render(record, console, details=details)
    stream.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("details", [False, True], ids=["first-screen", "details"])
@pytest.mark.parametrize("report", REPORTS)
def test_report_looks_as_it_did(report: str, details: bool) -> None:
    render, sample = REPORTS[report]
    suffix = "-details" if details else ""
    assert_matches_snapshot(f"{report}{suffix}.txt", drawn(sample(), render, details=details))


def test_report_in_ascii_looks_as_it_did() -> None:
    text = drawn(samples.assessment_of_many(), render_assessment, encoding="ascii")
    assert text.isascii()
    assert_matches_snapshot("check-many-ascii.txt", text)


def test_devices_look_as_they_did() -> None:
    for name, sections in (
        ("devices.txt", catalogue_report(samples.devices())),
        ("device.txt", device_report(samples.devices()[0])),
    ):
        assert_matches_snapshot(name, drawn(sections, printed(lambda report, details: report)))


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("report", REPORTS)
def test_no_line_is_wider_than_the_terminal(report: str, width: int) -> None:
    render, sample = REPORTS[report]
    lines = drawn(sample(), render, width=width, details=True).splitlines()
    assert [line for line in lines if cell_len(line) > width] == []


@pytest.mark.parametrize("report", REPORTS)
def test_no_line_ends_in_blanks(report: str) -> None:
    render, sample = REPORTS[report]
    lines = drawn(sample(), render, details=True).splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_first_screen_is_one_screen() -> None:
    assert len(drawn(samples.assessment(), render_assessment).splitlines()) <= 32


def test_colour_only_repeats_what_words_say() -> None:
    plain = drawn(samples.assessment(), render_assessment)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    with console.capture() as capture:
        render_assessment(samples.assessment(), console)
    coloured = capture.get()
    assert "\x1b[" in coloured
    assert _without_escapes(coloured) == plain


def test_a_pipe_gets_no_escapes_even_from_a_wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    stream = io.StringIO()
    console = make_console(stream)
    assert console.width == 80
    render_assessment(samples.assessment(), console)
    assert "\x1b" not in stream.getvalue()


def test_columns_sets_the_width_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "101")
    assert make_console(io.StringIO()).width == 101


@pytest.mark.parametrize("columns", ["", "0", "wide", "-3"])
def test_a_senseless_columns_means_80(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert make_console(io.StringIO()).width == 80


def test_what_was_not_measured_is_not_zero() -> None:
    bare = msgspec.structs.replace(
        samples.profile(), memory=None, latency=None, operators=(), allocations=()
    )
    text = drawn(bare, printed(measure_report), details=True)
    assert text.count("not measured") == 2
    assert " 0 B" not in text


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("name", samples.HOSTILE_NAMES)
def test_hostile_names_are_harmless(report: str, name: str) -> None:
    render, sample = REPORTS[report]
    _assert_harmless(drawn(_renamed(sample(), name), render, details=True))


@settings(max_examples=15)
@given(name=st.text(st.characters(), max_size=300))
def test_no_name_is_harmful(name: str) -> None:
    for render, sample in REPORTS.values():
        _assert_harmless(drawn(_renamed(sample(), name), render, details=True))


@settings(max_examples=15)
@given(name=st.text(st.characters(), max_size=100))
def test_no_name_breaks_an_ascii_terminal(name: str) -> None:
    text = drawn(_renamed(samples.assessment(), name), render_assessment, encoding="ascii")
    assert text.isascii()


def test_markup_in_a_name_stays_text() -> None:
    text = drawn(_renamed(samples.profile(), "[red]x[/red] :skull:"), printed(measure_report))
    assert "[red]x[/red] :skull:" in text


@given(
    filled=st.floats(0, 5),
    width=st.integers(1, 40),
    ascii_only=st.booleans(),
)
def test_a_bar_fills_its_width(filled: float, width: int, ascii_only: bool) -> None:
    text = bar_text(Bar(filled), width, ascii_only=ascii_only)
    assert cell_len(text) == width
    assert text.isascii() == ascii_only


@pytest.mark.parametrize(
    ("filled", "expected"),
    [
        (None, "        "),
        (0.0, "........"),
        (0.01, "#......."),
        (0.5, "####...."),
        (0.99, "#######."),
        (1.0, "########"),
        (1.01, "#######>"),
    ],
)
def test_bar_shows_its_share(filled: float | None, expected: str) -> None:
    assert bar_text(Bar(filled), 8, ascii_only=True) == expected


def test_a_bar_shows_eighths() -> None:
    assert bar_text(Bar(0.5 + 1 / 16), 8, ascii_only=False) == "████▌···"


def test_a_grid_that_is_too_wide_continues_below() -> None:
    columns = (Column("model"), *(Column(f"device {number}") for number in range(6)))
    grid = Grid(columns, (("m", *"abcdef"),), splits=True)
    stream = io.StringIO()
    console = make_console(stream)
    console.width = 40
    print_grid(console, grid)
    assert stream.getvalue().splitlines() == [
        "  model  device 0  device 1  device 2",
        "  m      a         b         c",
        "  model  device 3  device 4  device 5",
        "  m      d         e         f",
    ]


def _renamed(record: object, name: str) -> Any:
    """The record with every string in it that is a name, a path or a message replaced."""
    if isinstance(record, msgspec.Struct):
        return msgspec.structs.replace(
            record,
            **{
                field.name: _renamed_field(field.name, getattr(record, field.name), name)
                for field in msgspec.structs.fields(record)
            },
        )
    if isinstance(record, tuple):
        return tuple(_renamed(item, name) for item in record)
    if isinstance(record, dict):
        return {(name if isinstance(key, str) else key): value for key, value in record.items()}
    return record


# Fields whose values are chosen by this program, not by a model, a file or a user.
_OWN_WORDS = {
    "format", "verdict", "where", "method", "kind", "phase", "allocator", "peak_source",
    "op_class", "tool_version", "measured_at", "sha256",
}  # fmt: skip


def _renamed_field(field: str, value: object, name: str) -> object:
    if field in _OWN_WORDS:
        return value
    if isinstance(value, str):
        return name
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        return tuple(name for _ in value)
    return _renamed(value, name)


def _assert_harmless(text: str) -> None:
    allowed = {"\n"}
    harmful = {
        character
        for character in text
        if character not in allowed
        and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    }
    assert harmful == set()
    assert max(map(cell_len, text.splitlines())) <= 80


def _without_escapes(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_samples_are_valid_records() -> None:
    data = msgspec.json.encode(samples.profile())
    assert msgspec.json.decode(data, type=Profile) == samples.profile()
