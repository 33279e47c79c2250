"""Which problems does a budget report have, for formats that list problems one by one?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from feasibility.records.budget import BudgetReport
from feasibility.render.reports.budget import PROBLEM_OUTCOMES, metric_text, sentence_of
from feasibility.render.reports.sections import name_text


@dataclass(frozen=True, slots=True)
class Problem:
    """A limit that is not kept, or a model that could not be checked.

    Args:
        rule: Stable identifier of its kind.
        line: Line in the budget file; 1 for the whole file.
        is_error: True if it fails the check.
    """

    rule: str
    title: str
    text: str
    model: str
    line: int
    is_error: bool

    @property
    def fingerprint(self) -> str:
        """The same in every check as long as the problem lasts."""
        parts = "\0".join((self.rule, self.model, str(self.line)))
        return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def problems(report: BudgetReport) -> tuple[Problem, ...]:
    """Broken limits, undecided ones and models that failed, in the order of the report."""
    found = [
        Problem(
            rule=f"budget/{line.metric.partition('.')[0]}",
            title=f"{'Budget broken' if line.outcome == 'fail' else 'Budget undecided'}: "
            f"{metric_text(line.metric)}",
            text=f"{name_text(model.model)}: {sentence_of(line)}",
            model=model.model,
            line=max(line.line_number, 1),
            is_error=line.outcome == "fail" or report.strict,
        )
        for model in report.models
        for line in model.lines
        if line.outcome in PROBLEM_OUTCOMES
    ]
    found += [
        Problem(
            rule="budget/error",
            title="Budget not checked",
            text=name_text("; ".join(filter(None, (failure.message, failure.hint))), 600),
            model=failure.model,
            line=1,
            is_error=True,
        )
        for failure in report.errors
    ]
    return tuple(found)
