"""Whether a model still says what its reference says."""

from __future__ import annotations

from feasibility.budget.bench import Bench
from feasibility.budget.config import DriftRule
from feasibility.records.budget import BudgetLine, Outcome

_NOTHING_TO_COMPARE = (
    "outputs are not recorded: name a reference, or compare with a revision by --against REV"
)


def drift_line(rule: DriftRule, bench: Bench, reference: Bench | None) -> BudgetLine:
    """The line on a model's outputs, both models run now unless it is known.

    Args:
        rule: How far they may lie apart.
        bench: The model.
        reference: What it is compared with, opened; None if there is nothing.

    Raises:
        FeasibilityError: One of the models does not load or run.
    """
    if reference is None:
        return _line(rule, "inconclusive", _NOTHING_TO_COMPARE)
    ratio = _ratio(bench, reference)
    if ratio == float("inf"):
        return _line(rule, "fail", "outputs differ in number or shape, or are not finite")
    outcome: Outcome = "pass" if ratio <= rule.limit_ratio else "fail"
    told = f"outputs differ by up to {100 * ratio:.2g} % of the largest"
    return _line(rule, outcome, told if outcome == "fail" else "")


def _ratio(bench: Bench, reference: Bench) -> float:
    if bench.digest == reference.digest:
        return 0.0
    key = b"\0".join((bench.key, reference.key))
    known = bench.store.get("drift", key, float)
    if known is not None:
        return known
    from feasibility.measure.output_drift import drift_ratio

    ratio = drift_ratio(reference.trials.outputs(), bench.trials.outputs())
    if ratio != float("inf"):  # which JSON cannot hold
        bench.store.put("drift", key, ratio)
    return ratio


def _line(rule: DriftRule, outcome: Outcome, reason: str) -> BudgetLine:
    return BudgetLine(
        metric="drift",
        limit_text=f"{100 * rule.limit_ratio:g}%",
        outcome=outcome,
        reason=reason,
        line_number=rule.line,
    )
