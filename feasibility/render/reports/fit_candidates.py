"""Which candidates did `fit` try? One row per candidate, and a plot of those that were measured."""

from __future__ import annotations

from typing import Final

from feasibility.records.fit import CandidateStatus, Figure, Fit, FitCandidate
from feasibility.render.reports.change_texts import CHANGE_TEXTS, main_changes
from feasibility.render.reports.drift_texts import ROUNDING_RATIO, drift_percent
from feasibility.render.reports.sections import (
    Column,
    Grid,
    LatencyPlot,
    Section,
    Tone,
    counted,
    known,
    name_text,
    table,
)
from feasibility.units import format_bytes, format_duration

_FIGURES: Final[dict[Figure, str]] = {
    "memory": "memory",
    "floor": "must stay",
    "latency": "time",
    "latency_ratio": "time",
    "size": "files",
    "drift": "drift",
    "operators": "operators",
}
_TONES: Final[dict[CandidateStatus, Tone]] = {
    "meets": "good",
    "misses": "plain",
    "failed": "caution",
    "modelled": "faint",
}
_NONE: Final = "-"


def candidates_section(fit: Fit, *, details: bool) -> Section | None:
    """The model as it is and each candidate; without details, only those that ran."""
    if not fit.candidates:
        return None
    every = [fit.baseline, *fit.candidates]
    shown = [each for each in every if details or each.status != "modelled"]
    hidden = len(every) - len(shown)
    remarks = []
    if any("steady-allocator" in each.changes for each in shown):
        remarks.append("all changed models run with the steady allocator")
    if any(_is_timed_alone(each) for each in shown):
        remarks.append("~ measured in one process, not in turns, because it misses another target")
    if _stars(fit):
        remarks.append("* no other row is at least as good in every figure")
    if hidden:
        remarks.append(f"{counted(hidden, 'candidate')} only modelled; --details lists them")
    remarks += [
        f"{short_text(each)}: {name_text(each.message, 300)}"
        for each in shown
        if each.status == "failed"
    ]
    if fit.requirements.device is not None:
        remarks.insert(0, "memory and time: projected for the device; must stay: measured here")
    return Section("candidates", grid=_grid(shown, fit), remarks=tuple(remarks))


def _stars(fit: Fit) -> bool:
    """Whether some measured candidates are beaten and others not; else marks say nothing."""
    return {True, False} <= {each.is_beaten for each in (fit.baseline, *fit.candidates)}


def _grid(shown: list[FitCandidate], fit: Fit) -> Grid:
    """One row per candidate; on a narrow terminal, figures without a target are left out first."""
    wanted = fit.requirements
    stars = _stars(fit)

    def name(candidate: FitCandidate) -> str:
        return (
            f"{short_text(candidate)}*"
            if stars and candidate.is_beaten is False
            else short_text(candidate)
        )

    return table(
        shown,
        (Column("changes", min_width=34), name),
        (Column("memory", "right"), lambda each: _memory_text(each, fit)),
        (
            Column("must stay", "right", rank=0 if wanted.floor_bytes else 2),
            lambda each: known(
                getattr(each.measured or each.modelled, "floor_bytes", None), unknown=_NONE
            ),
        ),
        (Column("time", "right"), lambda each: _time_text(each, fit)),
        (
            Column("files", "right", rank=0 if wanted.size_bytes else 3),
            lambda each: known(getattr(each.measured, "file_bytes", None), unknown=_NONE),
        ),
        (Column("drift", "right", rank=1), _short_drift),
        (Column("result"), lambda each: _result_text(each, fit)),
        tone=lambda each: _TONES[each.status],
        tone_column=6,
    )


def short_text(candidate: FitCandidate) -> str:
    """Changes in few words."""
    names = [CHANGE_TEXTS[code].short for code in main_changes(candidate.changes)]
    return ", ".join(names) or "as it is"


def _memory_text(candidate: FitCandidate, fit: Fit) -> str:
    if fit.requirements.device is not None:
        return known(candidate.device_memory_bytes, unknown=_NONE)
    figures = candidate.measured or candidate.modelled
    return _NONE if figures is None else format_bytes(figures.peak_bytes)


def _time_text(candidate: FitCandidate, fit: Fit) -> str:
    figures = candidate.measured
    if figures is None or figures.median_ns is None:
        return _NONE
    if fit.requirements.device is not None:
        is_compared = figures.latency_ratio is not None
        time = candidate.device_latency_ns if is_compared else None
        return known(time, format_duration, unknown=_NONE)
    return f"{'~' * _is_timed_alone(candidate)}{format_duration(figures.median_ns)}"


def _is_timed_alone(candidate: FitCandidate) -> bool:
    figures = candidate.measured
    return figures is not None and figures.median_ns is not None and figures.latency_ratio is None


def _short_drift(candidate: FitCandidate) -> str:
    drift = candidate.drift
    if drift is None:
        return _NONE
    if drift.is_identical:
        return "none"
    below = "<" if drift.relative_ratio < ROUNDING_RATIO else ""
    return f"{below}{drift_percent(drift.relative_ratio)}"


def _result_text(candidate: FitCandidate, fit: Fit) -> str:
    if fit.chosen is not None and candidate.changes == fit.chosen.changes:
        return "chosen"
    if candidate.status == "misses":
        return f"misses {missed_text(candidate)}"
    return candidate.status


def missed_text(candidate: FitCandidate) -> str:
    """The figures that miss their targets."""
    return ", ".join(dict.fromkeys(_FIGURES[figure] for figure in candidate.missed))


def plot_section(fit: Fit) -> Section | None:
    """Time against memory of what was measured; None with fewer than three points."""
    measured = [
        each.measured for each in (fit.baseline, *fit.candidates) if each.measured is not None
    ]
    points = tuple((each.peak_bytes, each.median_ns) for each in measured if each.median_ns)
    if len({memory for memory, _ in points}) < 3:
        return None
    return Section("time of one run against memory, both measured here", plot=LatencyPlot(points))
