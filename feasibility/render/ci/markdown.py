"""Markdown for a comment on a pull request or a job's summary page.

The first line is a marker in an HTML comment: whoever posts the report looks for it and
replaces the comment that has it, so that a pull request carries one.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from feasibility.records.budget import BudgetReport, ModelBudget
from feasibility.render.rows.budget import (
    OUTCOME_TEXT,
    growth_cells,
    line_cells,
    problems,
    sorted_models,
    summary_text,
)
from feasibility.render.rows.rows import name_text

MARKER: Final = "<!-- feasibility-budget -->"

_LIMIT_HEADINGS: Final = ("model", "limit on", "baseline", "now", "change", "limit", "")
_GROWTH_HEADINGS: Final = ("what changed", "before", "after", "change")
# Everything that Markdown could take for markup, mentions of people and issues included.
_MARKUP: Final = "\\`*_{}[]()#+-!|~@:$"
_ENTITIES: Final = str.maketrans({character: f"&#{ord(character)};" for character in _MARKUP})
# A comment on GitHub holds 65536 characters.
_GROWTH_ROWS: Final = 16


def render_markdown(report: BudgetReport) -> bytes:
    """The sum in bold, problems as a list, everything else in a section that unfolds."""
    sign = "❌" if report.is_broken or report.errors else "✅"
    parts = [MARKER, f"### {sign} Model budgets", f"**{_escaped(summary_text(report))}**"]
    found = problems(report)
    if found:
        parts.append("\n".join(f"- {_escaped(problem.text)}" for problem in found))
    rows = [row for model in sorted_models(report) for row in _rows(model)]
    if rows:
        table = _table(_LIMIT_HEADINGS, rows)
        parts.append(_unfolding(f"All limits of {len(report.models)} models", table))
    parts += [
        _unfolding(
            f"What changed in {_escaped(name_text(model.model))}",
            _table(_GROWTH_HEADINGS, _growth_rows(model)),
        )
        for model in sorted_models(report)
        if model.growth
    ]
    parts.append(f"<sub>feasibility {_escaped(report.tool_version)}</sub>")
    return ("\n\n".join(parts) + "\n").encode()


def _rows(model: ModelBudget) -> list[tuple[str, ...]]:
    rows = [
        (name_text(model.model), *line_cells(line)[:5], OUTCOME_TEXT[line.outcome])
        for line in model.lines
    ]
    return [(f"<code>{_escaped(name)}</code>", *map(_escaped, rest)) for name, *rest in rows]


def _growth_rows(model: ModelBudget) -> list[tuple[str, ...]]:
    return [tuple(map(_escaped, growth_cells(part))) for part in model.growth[:_GROWTH_ROWS]]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _unfolding(title: str, body: str) -> str:
    # The empty line makes Markdown of what follows the summary.
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _escaped(text: str) -> str:
    return html.escape(text, quote=False).translate(_ENTITIES)
