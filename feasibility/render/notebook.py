"""How does a record look in a notebook? The sections of its report as HTML tables.

All text comes from models and files, so all text is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import Any, Final

import msgspec

from feasibility.records.assessment import Assessment, ModelAssessment
from feasibility.records.comparison import Comparison
from feasibility.records.facts import ModelFacts
from feasibility.records.fit import Fit
from feasibility.records.profile import Profile
from feasibility.records.rows import Shown
from feasibility.render.reports.check import check_report
from feasibility.render.reports.compare import compare_report
from feasibility.render.reports.fit import fit_report
from feasibility.render.reports.inspect import inspect_report
from feasibility.render.reports.measure import measure_report
from feasibility.render.reports.sections import Bar, Cell, Grid, Report, Row, Section
from feasibility.units import format_percent

_REPORTS: Final[dict[type[msgspec.Struct], Callable[[Any], Report]]] = {
    ModelFacts: inspect_report,
    Profile: measure_report,
    Assessment: check_report,
    ModelAssessment: lambda model: check_report(Assessment(tool_version="", models=(model,))),
    Comparison: compare_report,
    Fit: fit_report,
}


def show_in_notebooks() -> None:
    """Lets notebooks show records as reports."""
    Shown.views.update({kind: _viewer(report) for kind, report in _REPORTS.items()})


def _viewer(report: Callable[[Any], Report]) -> Callable[[msgspec.Struct], str]:
    return lambda record: report_html(report(record))


def report_html(report: Report) -> str:
    """The sections of a report, each with its title, rows, table and remarks."""
    parts = (part for section in report if section is not None for part in _section(section))
    return f"<div>{''.join(parts)}</div>"


def _section(section: Section) -> Iterator[str]:
    if section.title:
        yield f"<h4>{escape(section.title)}</h4>"
    if section.rows:
        yield f"<table>{''.join(map(_row, section.rows))}</table>"
    if section.grid is not None:
        yield _table(section.grid)
    for remark in section.remarks:
        yield f"<p><small>{escape(remark)}</small></p>"


def _row(row: Row) -> str:
    return f"<tr><th>{escape(row.label)}</th><td>{escape(row.text)}</td></tr>"


def _table(grid: Grid) -> str:
    titles = "".join(f"<th>{escape(column.title)}</th>" for column in grid.columns)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in grid.rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Bar):
        return "" if cell.filled_ratio is None else escape(format_percent(cell.filled_ratio))
    return escape(cell)
