"""What does the report of `fit` say? The change to make, its figures, and what was tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from feasibility.records.changes import PRECISIONS, ChangeCode
from feasibility.records.fit import Fit, FitCandidate, Offer
from feasibility.records.proof import Outcome
from feasibility.render.reports.change_texts import CHANGE_TEXTS, changes_text, main_changes
from feasibility.render.reports.drift_texts import ROUNDING_RATIO, drift_percent, drift_text
from feasibility.render.reports.fit_candidates import (
    candidates_section,
    missed_text,
    plot_section,
    short_text,
)
from feasibility.render.reports.fit_figures import figure_remarks, figures_grid
from feasibility.render.reports.model_and_machine import host_text, workload_text
from feasibility.render.reports.sections import (
    NOT_KNOWN,
    Report,
    Row,
    Section,
    Tone,
    answer_section,
    assumption_rows,
    known,
    name_text,
    notice_section,
)
from feasibility.units import format_bytes, format_duration, format_factor

# What a caller does if a dim is smaller. Models do not say how long a sample or a frame is.
_PIECES: Final = "cut longer input into pieces and join the results, which differ near the cuts"
_WORKLOADS: Final = {
    "samples": f"{{}} samples instead of {{}} per run: {_PIECES}",
    "frames": f"{{}} frames instead of {{}} per run: {_PIECES}",
    "sequence": "sequences of {} instead of {}: cut longer ones",
    "batch": "batches of {} instead of {}: run more of them",
    "height": "images with a height of {} instead of {}",
    "width": "images with a width of {} instead of {}",
}
_PROOFS: Final[dict[Outcome, str]] = {
    "survived": "runs without a slowdown",
    "thrashed": "runs, but thrashes: each run reads evicted pages again, so it takes longer than "
    "the time above",
    "killed": "is killed: the kernel also counts page tables and pages of libraries",
}


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
        Section(grid=figures_grid(fit), remarks=tuple(figure_remarks(fit))),
        Section("", rows),
        _changes_section(fit),
        candidates_section(fit, details=details),
        plot_section(fit) if details else None,
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


def _answer_rows(fit: Fit) -> Iterator[Row]:
    """The changes and why, outputs, and the run under the limit."""
    shown = fit.chosen or fit.nearest
    if shown is None:
        return
    if fit.chosen is None:
        yield Row("nearest", f"{_main_text(shown)}: misses {missed_text(shown)}")
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
    limit_bytes = fit.requirements.enforced_bytes
    if fit.proof_outcome is not None and limit_bytes is not None:
        tone: Tone = "good" if fit.proof_outcome == "survived" else "caution"
        limit = f"with {format_bytes(limit_bytes)} above the baseline, enforced by the kernel"
        yield Row("proof", f"{limit}, it {_PROOFS[fit.proof_outcome]}", tone)
    elif fit.chosen is not None and limit_bytes is not None and fit.is_complete:
        yield Row("proof", "none: no run under an enforced limit was possible", "caution")
    if len(fit.loads_on) > 1:
        sets = " and ".join(name_text(isa, 16) for isa in fit.loads_on)
        yield Row("loads on", f"{sets} (emulated)")


def _why_text(fit: Fit, chosen: FitCandidate) -> str:
    """Why this candidate, in one sentence."""
    text = "the smallest change that meets the targets"
    before = fit.candidates[: [each.changes for each in fit.candidates].index(chosen.changes)]
    slower = [
        (each.measured.latency_ratio or 1.0, short_text(each))
        for each in before
        if each.status == "meets" and each.measured is not None
    ]
    if slower:
        ratio, name = min(slower)
        return f"{name} meets the targets too, but is slower (time {format_factor(ratio)})"
    measured = [each for each in before if each.status == "misses"]
    if measured:
        last = measured[-1]
        return f"{text}; the next smaller one ({short_text(last)}) misses {missed_text(last)}"
    modelled = [each.modelled for each in before if each.modelled is not None]
    if modelled and fit.requirements.memory_bytes is not None:
        least = min(each.peak_bytes for each in modelled)
        return f"{text}; smaller ones need {format_bytes(least)} or more (modelled)"
    return text


def _has_other_arithmetic(candidate: FitCandidate) -> bool:
    return any(code in PRECISIONS for code in candidate.changes)


def _next_rows(fit: Fit) -> Iterator[Row]:
    if fit.folder:
        yield Row("files", f"{name_text(fit.folder, 200)}: {', '.join(map(name_text, fit.files))}")
    elif fit.chosen is not None and fit.chosen.changes:
        yield Row("next", "write the files and the loading code: run this again with -o DIR")
    elif fit.chosen is None and not fit.is_complete:
        text = "run this again: measurements are kept. If time ran out, give a longer --max-time"
        yield Row("next", text)
    elif fit.chosen is None:
        yield Row("next", "raise the target, or choose a smaller model or workload")
    yield from (_offer_row(offer, fit) for offer in fit.offers)


def _offer_row(offer: Offer, fit: Fit) -> Row:
    changes = changes_text(main_changes(offer.changes))
    if offer.threads is not None:
        is_there = fit.requirements.device is not None
        how = "projected for the device" if is_there else "measured"
        return Row(
            "more threads",
            f"with --threads {offer.threads}: {known(offer.latency_ns, format_duration)} "
            f"({changes}; {how})",
        )
    dims = " ".join(f"--dim {name_text(name, 40)}={size}" for name, size in offer.dims.items())
    text = f"with {dims}: {known(offer.memory_bytes)} of memory ({changes}; modelled)"
    if offer.role not in _WORKLOADS:
        return Row("smaller", text)
    ((name, size),) = offer.dims.items()
    before = fit.workload.dims.get(name, NOT_KNOWN)
    return Row("smaller", f"{text}; {_WORKLOADS[offer.role].format(size, before)}")


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
