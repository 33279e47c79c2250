"""The terminal report of `budget check`: a table of limits, then what grew."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from feasibility.records.budget import BudgetReport
from feasibility.render.rows.budget import (
    growth_grid,
    limit_grid,
    reason_lines,
    sorted_models,
    summary_text,
)
from feasibility.render.rows.rows import name_text, notice_rows
from feasibility.render.terminal.grid import print_grid
from feasibility.render.terminal.layout import print_heading, print_remarks, print_rows
from feasibility.render.terminal.text_lines import TONE_STYLES, print_hanging


def render_budget_report(
    report: BudgetReport, console: Console, *, all_lines: bool = False
) -> None:
    """Print the limits, why some are not kept, what accounts for it, and the sum of it all."""
    if report.models:
        print_grid(console, limit_grid(report, all_lines=all_lines), indent=0)
        print_remarks(console, reason_lines(report))
    for model in sorted_models(report):
        if model.growth:
            console.print()
            print_heading(console, f"what changed in {name_text(model.model)}")
            print_grid(console, growth_grid(model.growth))
    notices = {row.text: row for model in report.models for row in notice_rows(model.notices)}
    if notices:
        console.print()
        print_rows(console, notices.values())
    console.print()
    tone = TONE_STYLES["bad" if report.is_broken or report.errors else "good"]
    print_hanging(console, Text(), Text(summary_text(report), style=tone))
