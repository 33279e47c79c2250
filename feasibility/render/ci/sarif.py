"""How is a budget report written as SARIF 2.1.0, for code scanning services?

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from feasibility.records.budget import BudgetReport
from feasibility.render.ci.problems import Problem, problems
from feasibility.render.reports.budget import metric_text
from feasibility.render.reports.sections import name_text

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_FINGERPRINT: Final = "feasibilityBudget/v1"
_OTHER_RULES: Final = {
    "operators": "operators that a model or provider may use",
    "devices": "required verdict on a device",
    "error": "model that could not be checked",
}


def render_sarif(report: BudgetReport) -> bytes:
    """The report as one SARIF log with one run."""
    found = problems(report)
    rules = sorted({problem.rule for problem in found})
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "feasibility",
                        "semanticVersion": report.tool_version,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "utf16CodeUnits",
                "results": [_result(problem, report, rules) for problem in found],
            }
        ],
    }
    return msgspec.json.format(msgspec.json.encode(log), indent=2) + b"\n"


def _rule(rule: str) -> dict[str, object]:
    metric = rule.removeprefix("budget/")
    text = _OTHER_RULES.get(metric) or metric_text(metric)
    return {
        "id": rule,
        "name": "".join(word.capitalize() for word in metric.split("_")),
        "shortDescription": {"text": f"Budget of the {text}"},
        "defaultConfiguration": {"level": "error"},
    }


def _result(problem: Problem, report: BudgetReport, rules: list[str]) -> dict[str, object]:
    return {
        "ruleId": problem.rule,
        "ruleIndex": rules.index(problem.rule),
        "level": "error" if problem.is_error else "note",
        "message": {"text": problem.text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(report.config, errors="replace")},
                    "region": {"startLine": problem.line},
                },
                "logicalLocations": [{"fullyQualifiedName": name_text(problem.model, 200)}],
            }
        ],
        "partialFingerprints": {_FINGERPRINT: problem.fingerprint},
    }
