"""Is a model within its limits if it is not run? Checked by modelled memory and file facts."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from feasibility.budget.drift_and_device_rules import device_bound
from feasibility.budget.judge_limit import Finding
from feasibility.budget.metrics import METRICS
from feasibility.budget.parse_limit import Limit
from feasibility.predict.projected_memory import Phases, Range, from_graph, modelled_on
from feasibility.records.budget import BudgetLine, Metric, Snapshot
from feasibility.records.profile import ProfiledModel
from feasibility.runners.host import this_isa
from feasibility.text import safe_text
from feasibility.units import format_bytes_range

NOT_CHECKED: Final = "not checked, because --static runs nothing"


def limits_isa(baseline: Snapshot | None) -> str:
    """Instruction set of the memory limits: from the baseline, else from this machine."""
    if baseline is not None and baseline.conditions is not None:
        return baseline.conditions.arch
    return this_isa()


def static_line(metric: Metric, limit: Limit, model: ProfiledModel, isa: str) -> BudgetLine:
    """The line about a limit that normally needs a run; modelled memory decides absolute limits.

    The limit passes or fails if the whole interval of the modelled figure is on one side of it.
    """
    bound = limit.value if limit.kind == "absolute" else None
    if limit.kind == "device":
        bound = device_bound(limit.device, metric)
    there = modelled_on(model, isa)
    figure = None if there is None else _figure(metric, from_graph(model, there))
    if bound is None or figure is None:
        finding = Finding("skipped", NOT_CHECKED)
    elif figure.high <= bound:
        finding = Finding("pass")
    else:
        ends = format_bytes_range(round(figure.low), round(figure.high))
        finding = Finding(
            "fail" if figure.low > bound else "inconclusive",
            f"modelled for {safe_text(isa, 20)}, {ends}; without --static, memory is measured",
        )
    return BudgetLine(
        metric=metric,
        limit_text=limit.text,
        unit=METRICS[metric].unit,
        limit=bound,
        actual=None if finding.outcome == "skipped" or figure is None else round(figure.likely),
        outcome=finding.outcome,
        reason=finding.reason,
        line_number=limit.line,
    )


def not_checked(line: BudgetLine) -> BudgetLine:
    """The line about a rule that needs a run."""
    return replace(line, outcome="skipped", reason=NOT_CHECKED)


def _figure(metric: Metric, phases: Phases) -> Range | None:
    """The modelled figure for a metric; None if the model of memory has no such figure."""
    modelled: dict[Metric, Range] = {
        "peak": phases.peak,
        "load_peak": phases.load,
        "inference_peak": phases.run,
    }
    return modelled.get(metric)
