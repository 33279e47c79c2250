"""Which plots show runs under limits, budgets and facts of a file?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from feasibility.records.budget import BudgetReport, Outcome
from feasibility.records.facts import ModelFacts
from feasibility.records.proof import Outcome as RunOutcome
from feasibility.records.proof import Proof
from feasibility.render.html.plots import (
    Axis,
    Colour,
    Mark,
    Plot,
    Series,
    bytes_scale,
    significant,
    time_scale,
)
from feasibility.render.reports.budget import OUTCOME_TEXT, figure_text, metric_text, sorted_models
from feasibility.render.reports.prove import outcome_text
from feasibility.render.reports.sections import name_text
from feasibility.units import format_bytes, format_count

_TYPE_LIMIT: Final = 12
_LINE_LIMIT: Final = 40
_RUN_COLOURS: Final[dict[RunOutcome, Colour]] = {
    "survived": "good",
    "thrashed": "caution",
    "killed": "bad",
}
_BUDGET_COLOURS: Final[dict[Outcome, Colour]] = {
    "pass": "good",
    "fail": "bad",
    "inconclusive": "caution",
    "skipped": "faint",
}


def proof_plots(proof: Proof) -> Iterator[Plot]:
    """Time of one run against the memory limit; a run that was killed is at time 0."""
    runs = sorted(
        (run for run in proof.runs if run.limit_bytes is not None),
        key=lambda run: run.limit_bytes or 0,
    )
    if len(runs) < 2:
        return
    sizes = bytes_scale([run.limit_bytes for run in runs])
    times = time_scale([run.median_ns for run in runs])
    found = proof.bisection
    points = (
        () if found is None else (("floor", found.floor_bytes), ("comfort", found.comfort_bytes))
    )
    yield Plot(
        "time of one run against the memory limit",
        "limit",
        tuple(format_bytes(run.limit_bytes) for run in runs),
        tuple(
            Series(
                outcome,
                "points",
                tuple(
                    (times.of(run.median_ns) or 0.0) if run.outcome == outcome else None
                    for run in runs
                ),
                tuple(outcome_text(run) if run.outcome == outcome else "" for run in runs),
                colour,
            )
            for outcome, colour in _RUN_COLOURS.items()
            if any(run.outcome == outcome for run in runs)
        ),
        times.axis("time of one run"),
        sizes.axis("limit for the model", is_log=True),
        places=tuple(significant((run.limit_bytes or 0) / sizes.factor) for run in runs),
        marks=tuple(
            Mark("x", significant(size / sizes.factor), f"{name} {format_bytes(size)}")
            for name, size in points
            if size is not None
        ),
        remarks=("a run that was killed has no time and is drawn at 0",),
    )


def budget_plots(report: BudgetReport) -> Iterator[Plot]:
    """Each figure as a share of its limit, broken budgets first."""
    lines = [
        (model, line, line.actual / line.limit)
        for model in sorted_models(report)
        for line in model.lines
        if line.actual is not None and line.limit
    ]
    shown = sorted(lines, key=lambda each: -each[2])[:_LINE_LIMIT]
    if not shown:
        return
    is_many = len(report.models) > 1
    outcomes = dict.fromkeys(line.outcome for _, line, _ in shown)
    rest = len(lines) - len(shown)
    yield Plot(
        "figures as shares of their limits",
        "limit",
        tuple(
            f"{name_text(model.model, 32)}: " * is_many + metric_text(line.metric)
            for model, line, _ in shown
        ),
        tuple(
            Series(
                OUTCOME_TEXT[outcome],
                "bars",
                tuple(
                    significant(100 * share) if line.outcome == outcome else None
                    for _, line, share in shown
                ),
                tuple(
                    f"{figure_text(line.actual, line.unit)} of {figure_text(line.limit, line.unit)}"
                    if line.outcome == outcome
                    else ""
                    for _, line, _ in shown
                ),
                _BUDGET_COLOURS[outcome],
            )
            for outcome in outcomes
        ),
        Axis("share of the limit, %"),
        marks=(Mark("x", 100.0, "limit"),),
        is_stacked=True,
        is_horizontal=True,
        remarks=(f"{rest} more limits are in the table above",) if rest else (),
    )


def facts_plots(facts: ModelFacts) -> Iterator[Plot]:
    """Work and weights per operator type, and modelled memory per instruction set."""
    worked = [each for each in facts.operators if each.flops][:_TYPE_LIMIT]
    if worked:
        largest = max(each.flops or 0 for each in worked)
        unit, factor = next(
            pair for pair in (("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)) if largest >= pair[1]
        )
        yield Plot(
            "operations by operator type",
            "operator",
            tuple(name_text(each.op_type, 32) for each in worked),
            (
                Series(
                    "operations of one run",
                    "bars",
                    tuple(significant((each.flops or 0) / factor) for each in worked),
                    tuple(format_count(each.flops or 0, "FLOP") for each in worked),
                ),
            ),
            Axis(f"operations of one run, {unit}FLOP"),
            is_horizontal=True,
        )
    memory = facts.modelled_memory
    if memory:
        sizes = bytes_scale([each.peak_bytes for each in memory])
        yield Plot(
            "modelled memory",
            "instruction set",
            tuple(name_text(each.isa) for each in memory),
            (
                sizes.series("while loading", "bars", [each.load_peak_bytes for each in memory]),
                sizes.series("after loading", "bars", [each.resident_bytes for each in memory]),
                sizes.series(
                    "while running", "bars", [each.inference_peak_bytes for each in memory]
                ),
            ),
            sizes.axis("memory above the baseline"),
            is_horizontal=True,
        )
