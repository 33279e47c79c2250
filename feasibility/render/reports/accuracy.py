"""What does the report of `devices validate` say? The errors of projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feasibility.records.accuracy import Accuracy, AccuracyLine, Scope
from feasibility.render.reports.sections import Column, Grid, Report, Section, counted, name_text
from feasibility.text import safe_text
from feasibility.units import format_factor, format_percent

HEADINGS: tuple[tuple[Scope, str], ...] = (
    ("all", "rows"),
    ("kind", "kind of device"),
    ("runtime", "runtime"),
)
_COLUMNS = ("count", "chips", "median error", "90 % within", "in 1.5x", "in 2x", "in interval")
_REASON_LIMIT = 3000


def accuracy_report(accuracy: Accuracy) -> Report:
    """The error by group, by kind of device and by runtime, then what the figures include."""
    grids = (
        Section(grid=accuracy_grid(accuracy, scope, heading))
        for scope, heading in HEADINGS
        if any(line.scope == scope for line in accuracy.lines)
    )
    return (*grids, Section(remarks=accuracy_remarks(accuracy)))


def accuracy_grid(accuracy: Accuracy, scope: Scope, heading: str) -> Grid:
    """One row per group of the scope."""
    columns = (
        Column(heading, shrinks=True, min_width=25),
        *(Column(title, align="right", title_width=8) for title in _COLUMNS),
    )
    return Grid(columns, accuracy_cells(accuracy, scope))


def accuracy_cells(accuracy: Accuracy, scope: Scope) -> tuple[tuple[str, ...], ...]:
    """The cells of every group of the scope."""
    return tuple(_cells(line) for line in accuracy.lines if line.scope == scope)


def column_titles() -> Sequence[str]:
    """Headings of the figures."""
    return _COLUMNS


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
        f"{what}: {counted(count, 'row')} {safe_text(reason, _REASON_LIMIT)}"
        for reason, count in counts.items()
        if count
    ]


def _cells(line: AccuracyLine) -> tuple[str, ...]:
    return (
        name_text(line.subject),
        str(line.row_count),
        str(line.chip_count),
        format_percent(line.median_error_ratio),
        format_factor(line.p90_factor_ratio),
        format_percent(line.within_1_5_ratio),
        format_percent(line.within_2_ratio),
        format_percent(line.coverage_ratio),
    )
