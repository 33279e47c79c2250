"""What does the report of `fit` say? The change to make, its figures, and what was tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from feasibility.records.changes import ChangeCode
from feasibility.records.fit import CandidateStatus, Figure, Fit, FitCandidate, FitFigures
from feasibility.records.proof import Outcome
from feasibility.render.reports.change_texts import CHANGE_TEXTS, changes_text
from feasibility.render.reports.drift_texts import ROUNDING_RATIO, drift_percent, drift_text
from feasibility.render.reports.model_and_machine import host_text, workload_text
from feasibility.render.reports.sections import (
    Column,
    Grid,
    LatencyPlot,
    Report,
    Row,
    Section,
    Tone,
    assumption_rows,
    counted,
    known,
    name_text,
    notice_section,
    table,
)
from feasibility.units import (
    format_bytes,
    format_change,
    format_duration,
    format_factor,
    format_number,
)

_FIGURES: Final[dict[Figure, str]] = {
    "memory": "memory",
    "floor": "must stay",
    "latency": "time",
    "latency_ratio": "time",
    "size": "size",
    "drift": "drift",
    "operators": "operators",
}
_TONES: Final[dict[CandidateStatus, Tone]] = {
    "meets": "good",
    "misses": "plain",
    "failed": "caution",
    "modelled": "faint",
}
_PROOFS: Final[dict[Outcome, str]] = {
    "survived": "ran under this limit, enforced by the kernel, without a slowdown",
    "thrashed": "survived under this limit, enforced by the kernel, but thrashes: evicted pages "
    "are read again in every run",
    "killed": "killed under this limit: the kernel counts page tables and library pages too",
}
_FAR_RATIO: Final = 100.0


def fit_report(fit: Fit, *, details: bool = False) -> Report:
    """The answer and its figures, the candidates, and with details all of them."""
    rows = (
        *_answer_rows(fit),
        *_next_rows(fit),
        Row("measured", f"on {host_text(fit.host)}, {workload_text(fit.workload)}"),
        *assumption_rows(fit.workload.assumptions),
    )
    return (
        Section(f"{name_text(fit.model.name, 200)}  {headline(fit)}", rows),
        _changes_section(fit),
        _candidates_section(fit, details=details),
        _plot_section(fit),
        notice_section(fit.warnings),
    )


def headline(fit: Fit) -> str:
    """The answer in a line."""
    if fit.chosen is not None and not fit.chosen.changes:
        return "FITS as it is"
    if fit.chosen is not None:
        return f"FITS with {changes_text(fit.chosen.changes)}"
    if not fit.is_complete:
        return "NOT FOUND before the search ended"
    return "DOES NOT FIT with any change that was tried"


def search_text(
    changes: Iterable[ChangeCode], nearest: FitCandidate | None, seconds_left: float
) -> str:
    """What a search does now, for the progress display."""
    text = changes_text(code for code in changes if code != "steady-allocator")
    if nearest is not None and nearest.measured is not None:
        text += f"; best so far {format_bytes(nearest.measured.peak_bytes)}"
    return f"{text}; {max(0, round(seconds_left))} s left"


def _answer_rows(fit: Fit) -> Iterator[Row]:
    yield Row("target", _targets_text(fit))
    shown = fit.chosen or fit.nearest
    if shown is None:
        yield Row("as is", _figures_text(fit.baseline))
        return
    if fit.chosen is None:
        yield Row("nearest", f"{changes_text(shown.changes)}: {_misses_text(shown)}", "bad")
    if fit.chosen is not None and shown.changes:
        yield Row("why", _why_text(fit, shown))
    if shown.changes:
        yield Row("as is", _figures_text(fit.baseline))
    yield Row("then" if shown.changes else "as is", _figures_text(shown))
    if shown.drift is not None:
        is_rounding = shown.drift.relative_ratio < ROUNDING_RATIO
        remark = "other kernels add in another order"
        is_explained = is_rounding and not _has_other_arithmetic(shown)
        yield Row("outputs", drift_text(shown.drift, remark if is_explained else ""))
    if shown.float_nodes:
        names = ", ".join(name_text(name, 48) for name in shown.float_nodes)
        yield Row("in float", f"{names}, because their values drift first")
    if fit.proof_outcome is not None:
        limit = min(
            each
            for each in (fit.requirements.memory_bytes, fit.requirements.floor_bytes)
            if each is not None
        )
        tone: Tone = "good" if fit.proof_outcome == "survived" else "caution"
        yield Row("proof", f"{format_bytes(limit)}: {_PROOFS[fit.proof_outcome]}", tone)
    if len(fit.loads_on) > 1:
        yield Row("loads on", f"{' and '.join(fit.loads_on)} (emulated)")


def _why_text(fit: Fit, chosen: FitCandidate) -> str:
    """Why this candidate, in one sentence."""
    before = [*fit.candidates[: [each.changes for each in fit.candidates].index(chosen.changes)]]
    measured = [each for each in before if each.status == "misses"]
    text = "it asks least of all changes that meet the targets"
    if measured:
        last = measured[-1]
        return f"{text}; {changes_text(last.changes)} misses {_missed_text(last)}"
    if before:
        known = [each.modelled.peak_bytes for each in before if each.modelled is not None]
        if known:
            return f"{text}; smaller changes leave at least {format_bytes(min(known))} (modelled)"
    return text


def _targets_text(fit: Fit) -> str:
    wanted = fit.requirements
    parts = []
    if wanted.memory_bytes is not None:
        parts.append(f"memory at most {format_bytes(wanted.memory_bytes)}")
    if wanted.floor_bytes is not None:
        parts.append(f"at most {format_bytes(wanted.floor_bytes)} must stay in memory")
    if wanted.latency_ns is not None:
        parts.append(f"time at most {format_duration(wanted.latency_ns)}")
    if wanted.latency_ratio is not None:
        parts.append(f"time at most {format_factor(wanted.latency_ratio)} of that as it is")
    if wanted.size_bytes is not None:
        parts.append(f"files at most {format_bytes(wanted.size_bytes)}")
    if wanted.drift_ratio is not None:
        parts.append(f"drift at most {format_number(100 * wanted.drift_ratio, '%')}")
    if wanted.device is not None:
        parts.append(f"limits of {name_text(wanted.device, 40)}")
    return "; ".join(parts)


def _figures_text(candidate: FitCandidate) -> str:
    figures = candidate.measured
    if figures is None:
        return "not measured"
    parts = [
        f"{format_bytes(figures.load_peak_bytes)} to load",
        f"{format_bytes(figures.inference_peak_bytes)} to run",
    ]
    if figures.floor_bytes is not None:
        parts.append(f"{format_bytes(figures.floor_bytes)} must stay")
    if figures.median_ns is not None:
        time = format_duration(figures.median_ns)
        if candidate.changes and figures.latency_ratio is not None:
            time += f" per run ({format_factor(figures.latency_ratio)})"
        parts.append(time)
    if figures.file_bytes is not None:
        parts.append(f"{format_bytes(figures.file_bytes)} on disk")
    if candidate.device_memory_bytes is not None:
        there = f"on the device up to {format_bytes(candidate.device_memory_bytes)}"
        if candidate.device_latency_ns is not None:
            there += f" with its runtime, likely {format_duration(candidate.device_latency_ns)}"
        parts.append(there)
    return ", ".join(parts)


def _has_other_arithmetic(candidate: FitCandidate) -> bool:
    return any(code.startswith(("int", "fp")) for code in candidate.changes)


def _misses_text(candidate: FitCandidate) -> str:
    parts = [
        f"{_FIGURES[figure]} is "
        + ("out of reach" if ratio >= _FAR_RATIO else f"{format_change(ratio)} over the target")
        for figure, ratio in candidate.missed.items()
    ]
    return "; ".join(parts)


def _next_rows(fit: Fit) -> Iterator[Row]:
    if fit.folder:
        yield Row("files", f"{name_text(fit.folder, 200)}: {', '.join(fit.files)}")
    elif fit.chosen is not None and fit.chosen.changes:
        yield Row("next", "write the files and the loading code with -o DIR")
    if fit.chosen is None and not fit.is_complete:
        yield Row("next", "go on with a longer --max-time; measured candidates are kept")
    for offer in fit.offers:
        dims = " ".join(f"--dim {name_text(name, 40)}={size}" for name, size in offer.dims.items())
        yield Row(
            "possible",
            f"with {dims}, if you can live with it: {format_bytes(offer.memory_bytes)} "
            f"({changes_text(offer.changes)}; modelled)",
        )


def _changes_section(fit: Fit) -> Section | None:
    if fit.chosen is None or not fit.chosen.changes:
        return None
    rows = tuple(
        Row(
            CHANGE_TEXTS[code].title,
            f"{CHANGE_TEXTS[code].effect}. Cost: {CHANGE_TEXTS[code].cost}",
        )
        for code in fit.chosen.changes
    )
    return Section("what changes", rows)


def _candidates_section(fit: Fit, *, details: bool) -> Section:
    every = [fit.baseline, *fit.candidates]
    shown = [each for each in every if details or each.status != "modelled"]
    hidden = len(every) - len(shown)
    remarks = (
        [f"{counted(hidden, 'candidate')} only modelled; --details lists them"] if hidden else []
    )
    if any(each.is_beaten is False for each in shown):
        remarks.append("* no other is as good in memory, time, size and drift at once")
    if any("steady-allocator" in each.changes for each in shown):
        remarks.insert(0, "changed models run with the trim threshold fixed")
    remarks += [
        f"{changes_text(each.changes)}: {name_text(each.message, 300)}"
        for each in shown
        if each.status == "failed"
    ]
    return Section("candidates", grid=_grid(shown, fit), remarks=tuple(remarks))


def _grid(shown: list[FitCandidate], fit: Fit) -> Grid:
    def figure(candidate: FitCandidate) -> FitFigures | None:
        return candidate.measured or candidate.modelled

    return table(
        shown,
        (Column("changes", min_width=24), _short_text),
        (
            Column("memory", "right"),
            lambda each: known(found.peak_bytes if (found := figure(each)) else None, unknown="-"),
        ),
        (
            Column("must stay", "right"),
            lambda each: known(found.floor_bytes if (found := figure(each)) else None, unknown="-"),
        ),
        (Column("time", "right"), _time_text),
        (
            Column("files", "right", rank=2),
            lambda each: known(each.measured.file_bytes if each.measured else None, unknown="-"),
        ),
        (Column("drift", "right", rank=1), _short_drift),
        (Column("result"), lambda each: _result_text(each, fit)),
        tone=lambda each: _TONES[each.status],
        tone_column=6,
    )


def _short_text(candidate: FitCandidate) -> str:
    """Changes in few characters, without those that another one includes."""
    included: set[ChangeCode] = set()
    if "optimised-offline" in candidate.changes:
        included.add("external-data")
    if "prepacked-offline" in candidate.changes:
        included.add("optimised-offline")
    names = [CHANGE_TEXTS[code].short for code in candidate.changes if code not in included]
    text = " ".join(filter(None, names)) or changes_text(candidate.changes)
    return f"{text} *" if candidate.is_beaten is False else text


def _time_text(candidate: FitCandidate) -> str:
    figures = candidate.measured
    return (
        "-" if figures is None or figures.median_ns is None else format_duration(figures.median_ns)
    )


def _short_drift(candidate: FitCandidate) -> str:
    drift = candidate.drift
    if drift is None:
        return "-"
    return (
        "none"
        if drift.is_identical
        else f"<{drift_percent(ROUNDING_RATIO)}"
        if (drift.relative_ratio < ROUNDING_RATIO)
        else drift_percent(drift.relative_ratio)
    )


def _result_text(candidate: FitCandidate, fit: Fit) -> str:
    if fit.chosen is not None and candidate.changes == fit.chosen.changes:
        return "chosen"
    if candidate.status == "misses":
        return f"misses {_missed_text(candidate)}"
    return candidate.status


def _missed_text(candidate: FitCandidate) -> str:
    return ", ".join(dict.fromkeys(_FIGURES[figure] for figure in candidate.missed))


def _plot_section(fit: Fit) -> Section | None:
    """Time against memory of what was measured; None with fewer than three points."""
    measured = [
        each.measured for each in (fit.baseline, *fit.candidates) if each.measured is not None
    ]
    points = tuple((each.peak_bytes, each.median_ns) for each in measured if each.median_ns)
    if len({memory for memory, _ in points}) < 3:
        return None
    return Section("time of one run against memory, measured", plot=LatencyPlot(points))
