"""The accuracy of projections as rows."""

from __future__ import annotations

from collections.abc import Sequence

from feasibility.records.accuracy import Accuracy, AccuracyLine, Scope
from feasibility.render.view import Column, Grid, counted, name_text

HEADINGS: tuple[tuple[Scope, str], ...] = (
    ("all", "rows"),
    ("kind", "kind of device"),
    ("runtime", "runtime"),
)
_COLUMNS = ("count", "chips", "median error", "90 % within", "in 1.5x", "in 2x", "in interval")


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
    """What the table is over, and what it leaves out."""
    how = (
        "each row projected by a fit that never saw its device (model, runtime)"
        if accuracy.is_held_out
        else f"coefficients of {accuracy.calibrated_on}, fitted to "
        f"{counted(accuracy.calibrated_row_count, 'row')}"
    )
    scored = counted(accuracy.scored_count, "row")
    remarks = [f"{name_text(accuracy.source)}: {scored} of {accuracy.row_count}; {how}"]
    if accuracy.seen_count:
        remarks.append(
            f"{counted(accuracy.seen_count, 'row')} of them are in the tables that the "
            "coefficients were fitted to: their error says nothing about unseen rows"
        )
    remarks += [
        f"left out: {counted(count, 'row')} {name_text(reason)}"
        for reason, count in accuracy.left_out.items()
        if count
    ]
    return tuple(remarks)


def _cells(line: AccuracyLine) -> tuple[str, ...]:
    return (
        name_text(line.subject),
        str(line.row_count),
        str(line.chip_count),
        _percent(line.median_error_ratio),
        f"{line.p90_factor_ratio:.2f}x",
        _percent(line.within_1_5_ratio),
        _percent(line.within_2_ratio),
        _percent(line.coverage_ratio),
    )


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %"
