"""How is a budget report written as a code quality report of GitLab?

Source: docs.gitlab.com, "Code Quality report format".
"""

from __future__ import annotations

import msgspec

from feasibility.records.budget import BudgetReport
from feasibility.render.ci.problems import problems


def render_code_quality(report: BudgetReport) -> bytes:
    """A JSON list with one issue per broken or undecided limit; empty if all are kept."""
    issues = [
        {
            "description": problem.text,
            "check_name": problem.rule,
            "fingerprint": problem.fingerprint,
            "severity": "major" if problem.is_error else "info",
            "location": {"path": report.config, "lines": {"begin": problem.line}},
        }
        for problem in problems(report)
    ]
    return msgspec.json.format(msgspec.json.encode(issues), indent=2) + b"\n"
