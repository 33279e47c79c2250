"""How is a budget report written as annotations of a pull request on GitHub?

Source: docs.github.com, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feasibility.records.budget import BudgetReport
from feasibility.render.ci.problems import problems
from feasibility.render.reports.budget import summary_text

_TEXT_ESCAPES: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY_ESCAPES: Final = str.maketrans(
    {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"}
)


def render_annotations(report: BudgetReport) -> bytes:
    """One command per broken or undecided limit, and a notice with the summary."""
    lines = []
    for problem in problems(report):
        properties = {"file": report.config, "line": str(problem.line), "title": problem.title}
        kind = "error" if problem.is_error else "warning"
        lines.append(_command(kind, properties, problem.text))
    lines.append(_command("notice", {"title": "feasibility budget"}, summary_text(report)))
    return "".join(f"{line}\n" for line in lines).encode()


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    fields = ",".join(
        f"{key}={value.translate(_PROPERTY_ESCAPES)}" for key, value in properties.items()
    )
    return f"::{name} {fields}::{text.translate(_TEXT_ESCAPES)}"
