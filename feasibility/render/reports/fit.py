"""What does the report of `fit` say? The change to make, its figures, and what was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from feasibility.records.changes import ChangeCode
from feasibility.records.fit import CandidateStatus, Figure, Fit, FitCandidate, FitTargets
from feasibility.records.proof import Outcome
from feasibility.render.reports.change_texts import (
    CHANGE_TEXTS,
    changes_text,
    has_default_allocator,
    main_changes,
)
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
    answer_section,
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
_PROOFS: Final[dict[Outcome, str]] = {
    "survived": "runs without a slowdown",
    "thrashed": "runs, but thrashes: each run reads evicted pages again, so it takes longer than "
    "the time above",
    "killed": "is killed: the kernel also counts page tables and pages of libraries",
}
_FAR_RATIO: Final = 100.0
_NONE: Final = "-"


def fit_report(fit: Fit, *, details: bool = False) -> Report:
    """The answer and its figures, then the candidates; `details` adds those that did not run."""
    rows = (
        *_answer_rows(fit),
        *_next_rows(fit),
        Row("measured", f"on {host_text(fit.host)}, {workload_text(fit.workload)}"),
        *assumption_rows(fit.workload.assumptions),
    )
    tone: Tone = "good" if fit.chosen is not None else "bad"
    return (
        answer_section(fit.model.name, headline(fit), tone if fit.is_complete else "caution"),
        Section(grid=_figures_grid(fit), remarks=tuple(_figure_remarks(fit))),
        Section("", rows),
        _changes_section(fit),
        _candidates_section(fit, details=details),
        _plot_section(fit) if details else None,
        notice_section(fit.warnings),
    )


def headline(fit: Fit) -> str:
    """The answer in a line."""
    if fit.chosen is not None and not fit.chosen.changes:
        return "FITS as it is"
    if fit.chosen is not None:
        return f"FITS WITH CHANGES: {_main_text(fit.chosen)} ({_price_text(fit.chosen)})"
    if not fit.is_complete:
        return "UNDECIDED: the search ended early and found no change so far"
    return "DOES NOT FIT with any change that was tried"


def _main_text(candidate: FitCandidate) -> str:
    return changes_text(main_changes(candidate.changes))


def _price_text(candidate: FitCandidate) -> str:
    """What the changes do to time and outputs."""
    figures, drift = candidate.measured, candidate.drift
    parts = []
    if figures is not None and figures.latency_ratio is not None:
        parts.append(f"time {format_factor(figures.latency_ratio)}")
    if drift is None:
        parts.append("outputs not compared")
    elif drift.relative_ratio < ROUNDING_RATIO:
        parts.append("same outputs" if drift.is_identical else "same outputs but for rounding")
    else:
        parts.append(f"outputs differ by up to {drift_percent(drift.relative_ratio)}")
    return ", ".join(parts)


def search_text(
    changes: Iterable[ChangeCode], nearest: FitCandidate | None, seconds_left: float
) -> str:
    """What a search does now, for the progress display."""
    text = changes_text(main_changes(tuple(changes)))
    if nearest is not None and nearest.measured is not None:
        text += f"; best so far {format_bytes(nearest.measured.peak_bytes)}"
    return f"{text}; {max(0, round(seconds_left))} s left"


class _Line(NamedTuple):
    """One figure of the model as it is and of a candidate.

    Attributes:
        figures: Targets that are compared with it.
    """

    label: str
    form: Callable[[Any], str]
    value: Callable[[FitCandidate], float | None]
    figures: tuple[Figure, ...] = ()


def _measured(field: str) -> Callable[[FitCandidate], int | None]:
    return lambda candidate: getattr(candidate.measured, field, None)


_TIME: Final = _measured("median_ns")
_HERE: Final = (
    _Line("memory", format_bytes, _measured("peak_bytes"), ("memory",)),
    _Line("  load peak", format_bytes, _measured("load_peak_bytes")),
    _Line("  inference peak", format_bytes, _measured("inference_peak_bytes")),
    _Line("must stay", format_bytes, _measured("floor_bytes"), ("floor",)),
    _Line("time of one run", format_duration, _TIME, ("latency", "latency_ratio")),
    _Line("files", format_bytes, _measured("file_bytes"), ("size",)),
)
_DRIFT: Final = _Line(
    "drift",
    lambda ratio: drift_percent(ratio) if ratio else "none",
    lambda candidate: None if candidate.drift is None else candidate.drift.relative_ratio,
    ("drift",),
)
_THERE: Final = (
    _Line(
        "memory on the device",
        format_bytes,
        lambda candidate: candidate.device_memory_bytes,
        ("memory",),
    ),
    _Line(
        "time on the device",
        format_duration,
        lambda candidate: candidate.device_latency_ns,
        ("latency",),
    ),
)


def _figures_grid(fit: Fit) -> Grid:
    """Figures of the model as it is and of the chosen or nearest candidate, with the targets."""
    shown = fit.chosen or fit.nearest or fit.baseline
    columns = [Column(""), Column("as it is", "right")]
    if shown.changes:
        columns.append(Column("nearest" if fit.chosen is None else "changed", "right"))
        columns.append(Column("ratio", "right"))
    lines = _HERE if fit.requirements.drift_ratio is None else (*_HERE, _DRIFT)
    lines = lines if fit.requirements.device is None else (*_THERE, *lines)
    rows = []
    for line in lines:
        old, new = line.value(fit.baseline), line.value(shown)
        cells = [line.label, _form(line, old)]
        if shown.changes:
            ratio = new / old if old and new is not None else None
            if line.value is _TIME and shown.measured is not None:
                # Measured in turns, which the two times are not.
                ratio = shown.measured.latency_ratio
            cells += [_form(line, new), _NONE if ratio is None else format_factor(ratio)]
        rows.append((*cells, _target_text(fit, shown, line)))
    return Grid((*columns, Column("target")), tuple(rows))


def _form(line: _Line, figure: float | None) -> str:
    return _NONE if figure is None else line.form(figure)


def _target_text(fit: Fit, shown: FitCandidate, line: _Line) -> str:
    """The target of a figure and by how much it is missed; empty without a target.

    With a device, memory and latency are compared there.
    """
    is_there = line in _THERE
    elsewhere = {"memory", "latency"} if fit.requirements.device and not is_there else set()
    texts = {
        figure: text
        for figure, text in _targets(fit.requirements).items()
        if figure in line.figures and figure not in elsewhere
    }
    ratios = [shown.missed[figure] for figure in texts if figure in shown.missed]
    missed = ""
    if ratios:
        far = max(ratios) >= _FAR_RATIO
        # On a device, memory without the runtime is compared, so the share is another one.
        by = "" if is_there else " by far" if far else f" by {format_change(max(ratios))[1:]}"
        missed = f", missed{by}"
    return f"{'; '.join(texts.values())}{missed}"


def _targets(wanted: FitTargets) -> dict[Figure, str]:
    memory = [] if wanted.memory_bytes is None else [format_bytes(wanted.memory_bytes)]
    if memory and wanted.device is not None:
        memory = [f"{memory[0]} without the runtime"]
    if wanted.device_limit_bytes is not None:
        memory.append(format_bytes(wanted.device_limit_bytes))
    figures: dict[Figure, str | None] = {
        "memory": " and ".join(memory) or None,
        "floor": known(wanted.floor_bytes, unknown=""),
        "latency": known(wanted.latency_ns, format_duration, unknown=""),
        "latency_ratio": ""
        if wanted.latency_ratio is None
        else format_factor(wanted.latency_ratio),
        "size": known(wanted.size_bytes, unknown=""),
        "drift": "" if wanted.drift_ratio is None else format_number(100 * wanted.drift_ratio, "%"),
    }
    return {figure: f"at most {text}" for figure, text in figures.items() if text}


def _figure_remarks(fit: Fit) -> Iterator[str]:
    """What the figures include, and how they were measured."""
    yield "memory: highest resident memory, without the baseline (Python and the runtime)"
    if has_default_allocator(fit):
        yield (
            "peaks as it is: default allocator, which varies by up to 20 %; other memory: steady "
            "allocator"
        )
    if fit.requirements.device is not None:
        yield (
            f"on the device ({name_text(fit.requirements.device)}): projected; memory with its "
            "runtime, upper end of the 80 % interval; likely time"
        )


def _answer_rows(fit: Fit) -> Iterator[Row]:
    """The changes and why, outputs, and the run under the limit."""
    shown = fit.chosen or fit.nearest
    if shown is None:
        return
    if fit.chosen is None:
        yield Row("nearest", f"{_main_text(shown)}: misses {_missed_text(shown)}")
    elif shown.changes:
        yield Row("why", _why_text(fit, shown))
    if "operators" in shown.missed:
        yield Row("operators", "the device lacks an operator of the changed model", "bad")
    if shown.drift is not None and shown.changes:
        is_rounding = shown.drift.relative_ratio < ROUNDING_RATIO
        remark = "rounding: other kernels add numbers in another order"
        is_explained = is_rounding and not _has_other_arithmetic(shown)
        yield Row("outputs", drift_text(shown.drift, remark if is_explained else ""))
    if shown.float_nodes:
        names = ", ".join(name_text(name, 48) for name in shown.float_nodes)
        yield Row("in float", f"{names}; their values drift first")
    limits = [
        each
        for each in (fit.requirements.memory_bytes, fit.requirements.floor_bytes)
        if each is not None
    ]
    if fit.proof_outcome is not None and limits:
        tone: Tone = "good" if fit.proof_outcome == "survived" else "caution"
        limit = f"with {format_bytes(min(limits))} above the baseline, enforced by the kernel"
        yield Row("proof", f"{limit}, it {_PROOFS[fit.proof_outcome]}", tone)
    elif fit.chosen is not None and limits and fit.is_complete:
        yield Row("proof", "none: no run under an enforced limit was possible", "caution")
    if len(fit.loads_on) > 1:
        yield Row("loads on", f"{' and '.join(fit.loads_on)} (emulated)")


def _why_text(fit: Fit, chosen: FitCandidate) -> str:
    """Why this candidate, in one sentence."""
    text = "the smallest change that meets the targets"
    before = fit.candidates[: [each.changes for each in fit.candidates].index(chosen.changes)]
    slower = [
        (each.measured.latency_ratio or 1.0, _short_text(each))
        for each in before
        if each.status == "meets" and each.measured is not None
    ]
    if slower:
        ratio, name = min(slower)
        return f"{name} meets the targets too, but is slower (time {format_factor(ratio)})"
    measured = [each for each in before if each.status == "misses"]
    if measured:
        last = measured[-1]
        return f"{text}; the next smaller one ({_short_text(last)}) misses {_missed_text(last)}"
    modelled = [each.modelled for each in before if each.modelled is not None]
    if modelled and fit.requirements.memory_bytes is not None:
        least = min(each.peak_bytes for each in modelled)
        return f"{text}; smaller ones need {format_bytes(least)} or more (modelled)"
    return text


def _has_other_arithmetic(candidate: FitCandidate) -> bool:
    return any(code.startswith(("int", "fp")) for code in candidate.changes)


def _next_rows(fit: Fit) -> Iterator[Row]:
    if fit.folder:
        yield Row("files", f"{name_text(fit.folder, 200)}: {', '.join(fit.files)}")
    elif fit.chosen is not None and fit.chosen.changes:
        yield Row("next", "write the files and the loading code: run this again with -o DIR")
    elif fit.chosen is None and not fit.is_complete:
        yield Row("next", "run this again with a longer --max-time; measurements are kept")
    elif fit.chosen is None:
        yield Row("next", "raise the target, or choose a smaller model or workload")
    for offer in fit.offers:
        dims = " ".join(f"--dim {name_text(name, 40)}={size}" for name, size in offer.dims.items())
        changes = changes_text(main_changes(offer.changes))
        yield Row(
            "smaller",
            f"with {dims}: {format_bytes(offer.memory_bytes)} of memory ({changes}; modelled)",
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


def _candidates_section(fit: Fit, *, details: bool) -> Section | None:
    if not fit.candidates:
        return None
    every = [fit.baseline, *fit.candidates]
    shown = [each for each in every if details or each.status != "modelled"]
    hidden = len(every) - len(shown)
    remarks = []
    if any("steady-allocator" in each.changes for each in shown):
        remarks.append("all changed models run with the trim threshold fixed")
    if any(_is_timed_alone(each) for each in shown):
        remarks.append("~ measured in one process, not in turns, because it misses another target")
    if _stars(fit):
        remarks.append("* no other row is at least as good in every figure")
    if hidden:
        remarks.append(f"{counted(hidden, 'candidate')} only modelled; --details lists them")
    remarks += [
        f"{_short_text(each)}: {name_text(each.message, 300)}"
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
            f"{_short_text(candidate)}*"
            if stars and candidate.is_beaten is False
            else _short_text(candidate)
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


def _short_text(candidate: FitCandidate) -> str:
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
    return Section("time of one run against memory, both measured here", plot=LatencyPlot(points))
