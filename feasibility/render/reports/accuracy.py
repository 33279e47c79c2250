"""What does the report of `devices validate` say? The errors of projections."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feasibility.records.accuracy import Accuracy, AccuracyLine, Scope
from feasibility.render.reports.sections import (
    Column,
    Grid,
    Report,
    Section,
    counted,
    name_text,
    table,
)
from feasibility.text import safe_text
from feasibility.units import format_factor, format_percent

HEADINGS: tuple[tuple[Scope, str], ...] = (
    ("all", "rows"),
    ("kind", "kind of device"),
    ("runtime", "runtime"),
    ("instructions", "runtime on processor"),
    ("network", "network"),
    ("without", "formula without"),
)


def accuracy_report(accuracy: Accuracy) -> Report:
    """The error by group, by kind of device and by runtime, then what the figures include."""
    grids = (accuracy_grid(accuracy, scope, heading) for scope, heading in HEADINGS)
    tables = (Section(grid=grid) for grid in grids if grid.rows)
    return (*tables, Section(remarks=accuracy_remarks(accuracy)))


def accuracy_grid(accuracy: Accuracy, scope: Scope, heading: str) -> Grid:
    """One row per group of the scope."""
    figures: dict[str, Callable[[AccuracyLine], str]] = {
        "count": lambda line: str(line.row_count),
        "chips": lambda line: str(line.chip_count),
        "median error": lambda line: format_percent(line.median_error_ratio),
        "90 % within": lambda line: format_factor(line.p90_factor_ratio),
        "in 1.5x": lambda line: format_percent(line.within_1_5_ratio),
        "in 2x": lambda line: format_percent(line.within_2_ratio),
        "in interval": lambda line: format_percent(line.coverage_ratio),
    }
    return table(
        [line for line in accuracy.lines if line.scope == scope],
        (Column(heading, min_width=25), lambda line: name_text(line.subject)),
        *((Column(title, "right", title_width=8), cell) for title, cell in figures.items()),
    )


def accuracy_remarks(accuracy: Accuracy) -> tuple[str, ...]:
    """The rows of the table, and the rows that were left out."""
    how = (
        "each row was projected by a fit that did not see its device (model, runtime)"
        if accuracy.is_held_out
        else f"coefficients of {accuracy.calibrated_on}, fitted to "
        f"{counted(accuracy.calibrated_row_count, 'row')}"
    )
    scored = counted(accuracy.scored_count, "row")
    remarks = [f"{name_text(accuracy.source)}: {scored} of {accuracy.row_count}; {how}"]
    if accuracy.seen_count:
        verb, whose = ("is", "its") if accuracy.seen_count == 1 else ("are", "their")
        remarks.append(
            f"{accuracy.seen_count} of them {verb} in the tables that the coefficients were "
            f"fitted to, so {whose} error is lower than that of unseen rows"
        )
    remarks += _row_counts("compared", accuracy.notes)
    remarks += _row_counts("left out", accuracy.left_out)
    return tuple(remarks)


def _row_counts(what: str, counts: Mapping[str, int]) -> list[str]:
    # The reasons are sentences in which long names are already shortened.
    return [
        f"{what}: {counted(count, 'row')} {safe_text(reason, 3000)}"
        for reason, count in counts.items()
        if count
    ]
