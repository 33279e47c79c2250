"""How is a budget report written in Markdown, for a pull request or a job's summary page?

The first line is a marker in an HTML comment. The program that posts the report replaces the
comment with this marker, so that a pull request has only one.
"""

from __future__ import annotations

from typing import Final

from feasibility.records.budget import BudgetReport
from feasibility.render.ci.problems import problems
from feasibility.render.reports.budget import growth_grid, limit_grid, sorted_models, summary_text
from feasibility.render.reports.sections import Grid, counted, name_text
from feasibility.text import markdown_text

MARKER: Final = "<!-- feasibility-budget -->"
# A comment on GitHub holds 65536 characters.
_GROWTH_ROWS: Final = 16


def render_markdown(report: BudgetReport) -> bytes:
    """The summary in bold, problems as a list, the tables in sections that unfold."""
    sign = "❌" if report.is_broken or report.errors else "✅"
    parts = [MARKER, f"### {sign} Model budgets", f"**{markdown_text(summary_text(report))}**"]
    found = problems(report)
    if found:
        parts.append("\n".join(f"- {markdown_text(problem.text)}" for problem in found))
    if report.models:
        table = _table(limit_grid(report, all_lines=True))
        parts.append(_unfolding(f"All limits of {counted(len(report.models), 'model')}", table))
    parts += [
        _unfolding(
            f"What changed in {markdown_text(name_text(model.model))}",
            _table(growth_grid(model.growth[:_GROWTH_ROWS])),
        )
        for model in sorted_models(report)
        if model.growth
    ]
    parts.append(f"<sub>feasibility {markdown_text(report.tool_version)}</sub>")
    return ("\n\n".join(parts) + "\n").encode()


def _table(grid: Grid) -> str:
    lines = [
        [column.title for column in grid.columns],
        ["---"] * len(grid.columns),
        *([markdown_text(str(cell)) for cell in row] for row in grid.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _unfolding(title: str, body: str) -> str:
    # Without the empty line, Markdown would not read the body.
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"
