"""Operators that a model may use, and that a provider may run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from feasibility.budget.config import OperatorRule
from feasibility.measure.measure_options import PROVIDERS
from feasibility.records.budget import BudgetLine, Snapshot
from feasibility.text import safe_text

_EVERYTHING = "*"
_NAMED_COUNT = 5


def operator_lines(rules: Sequence[OperatorRule], snapshot: Snapshot) -> tuple[BudgetLine, ...]:
    """A line for each rule: fails with the operators that it does not allow."""
    return tuple(_line(rule, snapshot) for rule in rules)


def _line(rule: OperatorRule, snapshot: Snapshot) -> BudgetLine:
    used = _used(rule.provider, snapshot)
    refused = [name for name in used if not _is_allowed(name, rule.allowed)]
    where = "the model uses" if rule.provider is None else f"{rule.provider} runs"
    return BudgetLine(
        metric="operators" if rule.provider is None else f"operators.{rule.provider}",
        limit_text=safe_text(", ".join(rule.allowed) or "none", 60),
        outcome="fail" if refused else "pass",
        reason=f"{where} {_listed(refused)}, which the budget does not allow" if refused else "",
        line_number=rule.line,
    )


def _used(provider: str | None, snapshot: Snapshot) -> list[str]:
    if provider is None:
        return [share.op_type for share in snapshot.operators]
    full = PROVIDERS.get(provider.lower(), provider)
    return sorted({item.op_type for item in snapshot.operator_times if item.provider == full})


def _is_allowed(name: str, allowed: Iterable[str]) -> bool:
    return bool({_EVERYTHING, name, name.rpartition(":")[2]}.intersection(allowed))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(safe_text(name.removeprefix("ai.onnx:"), 60) for name in names[:_NAMED_COUNT])
    more = len(names) - _NAMED_COUNT
    return f"{shown} and {more} more" if more > 0 else shown
