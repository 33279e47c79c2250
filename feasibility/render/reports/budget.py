"""What does the report of `budget check` say? Limits, their outcomes and what changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from feasibility.records.budget import (
    BudgetLine,
    BudgetReport,
    Growth,
    ModelBudget,
    Outcome,
    Source,
    Unit,
)
from feasibility.render.reports.sections import (
    NOT_KNOWN,
    Column,
    Grid,
    Report,
    Section,
    Tone,
    counted,
    known,
    name_text,
    notice_section,
)
from feasibility.text import limited
from feasibility.units import (
    format_bytes,
    format_change,
    format_change_range,
    format_count,
    format_duration,
)

OUTCOME_TEXT: Final[dict[Outcome, str]] = {
    "pass": "kept",
    "fail": "BROKEN",
    "inconclusive": "undecided",
    "skipped": "skipped",
}
OUTCOME_TONE: Final[dict[Outcome, Tone]] = {
    "pass": "good",
    "fail": "bad",
    "inconclusive": "caution",
    "skipped": "faint",
}
SOURCE_TEXT: Final[dict[Source, str]] = {
    "measured": "measured now",
    "cached": "measured before",
    "unchanged": "unchanged",
    "static": "not run",
}
# Names of metrics whose keys are not enough.
_METRIC_TEXT: Final = {
    "flops": "FLOPs",
    "peak": "peak memory",
    "resident": "resident after loading",
    "drift": "drift of outputs",
}
_KIND_TEXT: Final = {
    "operator": "operator",
    "operator-time": "time in",
    "initializer": "initializer",
    "phase": "phase",
}
PROBLEM_OUTCOMES: Final = ("fail", "inconclusive")
# A report of more models names those that keep to their budgets in one row each.
_DETAILED_MODEL_COUNT: Final = 3


def budget_check_report(report: BudgetReport, *, all_lines: bool = False) -> Report:
    """The sum, the limits, why some are not kept, and what changed."""
    is_bad = report.is_broken or bool(report.errors)
    changed = (
        Section(f"what changed in {name_text(model.model)}", grid=growth_grid(model.growth))
        for model in sorted_models(report)
        if model.growth
    )
    limits = Section(
        summary_text(report),
        grid=limit_grid(report, all_lines=all_lines) if report.models else None,
        remarks=reason_lines(report),
        tone="bad" if is_bad else "good",
    )
    notices = [notice for model in report.models for notice in model.notices]
    return (limits, *changed, notice_section(notices))


def limit_grid(report: BudgetReport, *, all_lines: bool) -> Grid:
    """One row per limit; of many models only limits that are not kept, unless all are wanted."""
    columns = (
        Column("model", min_width=24),
        Column("limit on"),
        Column("baseline", "right", rank=2),
        Column("now", "right"),
        Column("change", "right", rank=1),
        Column("limit", "right"),
        Column(""),
    )
    in_full = all_lines or len(report.models) <= _DETAILED_MODEL_COUNT
    models = sorted_models(report)
    rows = [row for model in models for row in _model_rows(model, in_full=in_full)]
    return Grid(
        columns, tuple(cells for cells, _ in rows), tuple(tone for _, tone in rows), tone_column=6
    )


def _model_rows(model: ModelBudget, *, in_full: bool) -> list[tuple[tuple[str, ...], Tone]]:
    """Rows of one model with their tones, its name in the first."""
    shown = [line for line in model.lines if in_full or line.outcome in PROBLEM_OUTCOMES]
    rows = []
    for line in shown:
        figures = figure_text(line.baseline, line.unit), figure_text(line.actual, line.unit)
        texts = change_text(line), bound_text(line), OUTCOME_TEXT[line.outcome]
        rows.append(((metric_text(line.metric), *figures, *texts), OUTCOME_TONE[line.outcome]))
    rest = [line for line in model.lines if line not in shown]
    if rest:
        count = counted(len(rest), "more limit" if shown else "limit")
        skipped = sum(line.outcome == "skipped" for line in rest)
        what = f"kept, {skipped} skipped" if skipped else "kept"
        what = "skipped" if skipped == len(rest) else what
        rows.append(((count, "", SOURCE_TEXT[model.source], "", "", what), "good"))
    names = (name_text(model.model, 60), *[""] * len(rows))
    return [((name, *cells), tone) for name, (cells, tone) in zip(names, rows, strict=False)]


def metric_text(metric: str) -> str:
    """Name of a metric in reports."""
    if "." in metric:
        return name_text(metric.replace("devices.", "verdict.").replace(".", " on "), 40)
    return _METRIC_TEXT.get(metric, name_text(metric.replace("_", " "), 40))


def figure_text(figure: int | None, unit: Unit | None) -> str:
    """A figure with its unit; empty if not known."""
    form = format_bytes if unit == "bytes" else format_duration if unit == "ns" else format_count
    return known(figure, form, "")


def change_text(line: BudgetLine) -> str:
    """Growth over the baseline in percent, with its interval where there is one."""
    if line.low_ratio is not None and line.high_ratio is not None:
        return format_change_range(line.low_ratio, line.high_ratio)
    if line.unit is not None and line.actual is None and line.outcome == "pass":
        return "unchanged"
    if not line.baseline or line.actual is None:
        return ""
    return format_change(line.actual / line.baseline)


def bound_text(line: BudgetLine) -> str:
    """A limit as it was written, with its figure if it is relative."""
    text = name_text(line.limit_text, 30)
    if line.limit is None or not text.startswith(("+", "device:")):
        return text
    return f"{figure_text(line.limit, line.unit)} ({text})"


def sentence_of(line: BudgetLine) -> str:
    """A limit and its outcome in one sentence, without the model's name."""
    metric = metric_text(line.metric)
    now, bound = figure_text(line.actual, line.unit), bound_text(line)
    if line.actual is None:
        head = f"{metric}: {OUTCOME_TEXT[line.outcome].lower()}"
    elif line.outcome == "fail":
        head = f"{metric} is {now}, more than {bound}"
    else:
        head = f"{metric} is {now}, the limit is {bound}"
    before = figure_text(line.baseline, line.unit)
    change = change_text(line)
    compared = f"; it was {before} ({change})" if before and change else ""
    return f"{head}{compared}" + (f"; {name_text(line.reason, 300)}" if line.reason else "")


def reason_lines(report: BudgetReport) -> tuple[str, ...]:
    """Reasons of limits that are not kept, each with its models."""
    reasons: dict[str, list[str]] = {}
    for model in report.models:
        for line in model.lines:
            if line.reason and line.outcome != "pass":
                key = f"{metric_text(line.metric)}: {name_text(line.reason, 300)}"
                reasons.setdefault(key, []).append(name_text(model.model))
    if len(report.models) == 1:
        return tuple(reasons)
    return tuple(f"{limited(names, 1)}, {reason}" for reason, names in reasons.items())


def growth_grid(growth: Iterable[Growth]) -> Grid:
    """Causes of a change: before, after, difference."""
    columns = (
        Column("what changed", min_width=20),
        Column("before", "right"),
        Column("after", "right"),
        Column("change", "right"),
    )
    return Grid(columns, tuple(growth_cells(part) for part in growth))


def growth_cells(part: Growth) -> tuple[str, str, str, str]:
    """A part's name, its figures before and after, and the difference."""
    has_weights = part.kind == "operator" and part.unit == "bytes"
    kind = "weights of" if has_weights else _KIND_TEXT[part.kind]
    name = name_text(part.name.removeprefix("ai.onnx:"), 60)
    before = "new" if part.before == 0 else figure_text(part.before, part.unit) or NOT_KNOWN
    after = figure_text(part.after, part.unit) if part.after else "gone"
    difference = part.after - (part.before or 0)
    change = f"{'+' if difference > 0 else ''}{figure_text(difference, part.unit)}"
    return f"{kind} {name}", before, after, "" if part.before is None else change


def summary_text(report: BudgetReport) -> str:
    """The whole report in one sentence."""
    outcomes = [model.outcome for model in report.models]
    total = counted(len(outcomes), "model")
    parts = []
    if broken := outcomes.count("fail"):
        parts.append(f"{broken} of {total} {'breaks its' if broken == 1 else 'break their'} budget")
    if undecided := outcomes.count("inconclusive"):
        parts.append(f"{undecided} undecided")
    if report.errors:
        parts.append(f"{len(report.errors)} could not be checked")
    if not parts:
        parts.append(f"{total} within budget")
    return f"{', '.join(parts)}; baseline: {name_text(report.baseline, 80)}"


def sorted_models(report: BudgetReport) -> tuple[ModelBudget, ...]:
    """The models, those with broken budgets first."""
    rank = {"fail": 0, "inconclusive": 1, "pass": 2, "skipped": 3}
    return tuple(sorted(report.models, key=lambda model: (rank[model.outcome], model.model)))
