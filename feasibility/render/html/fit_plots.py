"""Which plots show the answer of `fit`? Before and after, and all candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from feasibility.records.fit import Fit, FitCandidate, FitFigures
from feasibility.render.html.plots import (
    Colour,
    Mark,
    Plot,
    Scale,
    Series,
    bytes_scale,
    significant,
    time_scale,
)
from feasibility.render.reports.fit_candidates import short_text
from feasibility.units import format_bytes, format_duration

_FIGURES: Final[tuple[tuple[str, Callable[[FitFigures], int | None]], ...]] = (
    ("load peak", lambda each: each.load_peak_bytes),
    ("inference peak", lambda each: each.inference_peak_bytes),
    ("must stay", lambda each: each.floor_bytes),
    ("files", lambda each: each.file_bytes),
)
_TIMES: Final[tuple[tuple[str, Callable[[FitFigures], int | None]], ...]] = (
    ("loading", lambda each: each.load_ns),
    ("one run", lambda each: each.median_ns),
)
_COLOURS: Final[dict[str, Colour]] = {
    "as it is": "strong",
    "chosen": "",
    "meets": "good",
    "misses": "caution",
    "failed": "bad",
    "modelled": "faint",
}


def fit_plots(fit: Fit) -> Iterator[Plot]:
    """Figures before and after with their targets, and time against memory of candidates."""
    shown = fit.chosen or fit.nearest
    before = fit.baseline.measured
    after = None if shown is None or not shown.changes else shown.measured
    if before is not None:
        name = "nearest" if fit.chosen is None else "changed"
        pair = {"as it is": before} | ({} if after is None else {name: after})
        wanted = fit.requirements
        # With a device, targets are compared there and not with these figures.
        is_here = wanted.device is None
        sizes = (
            ("target: memory", wanted.memory_bytes),
            ("target: must stay", wanted.floor_bytes),
            ("target: files", wanted.size_bytes),
        )
        memory = bytes_scale([figure(each) for _, figure in _FIGURES for each in pair.values()])
        yield _pair_plot(
            "memory and files", "size", pair, _FIGURES, memory, sizes if is_here else ()
        )
        times = time_scale([figure(each) for _, figure in _TIMES for each in pair.values()])
        latency = (("target: one run", wanted.latency_ns),)
        yield _pair_plot("times", "time", pair, _TIMES, times, latency if is_here else ())
    yield from _candidate_plots(fit)


def _pair_plot(
    title: str,
    axis: str,
    pair: dict[str, FitFigures],
    figures: tuple[tuple[str, Callable[[FitFigures], int | None]], ...],
    scale: Scale,
    targets: tuple[tuple[str, int | None], ...],
) -> Plot:
    return Plot(
        title,
        "figure",
        tuple(name for name, _ in figures),
        tuple(
            scale.series(name, "bars", [figure(each) for _, figure in figures])
            for name, each in pair.items()
        ),
        scale.axis(axis),
        marks=tuple(
            Mark("x", significant(limit / scale.factor), f"{name} {scale.text(limit)}")
            for name, limit in targets
            if limit is not None
        ),
        is_horizontal=True,
    )


def _candidate_plots(fit: Fit) -> Iterator[Plot]:
    """Time against memory of everything that was measured here."""
    measured = [
        (each, each.measured)
        for each in (fit.baseline, *fit.candidates)
        if each.measured is not None and each.measured.median_ns
    ]
    if len({figures.peak_bytes for _, figures in measured}) < 2:
        return
    sizes = bytes_scale([figures.peak_bytes for _, figures in measured])
    times = time_scale([figures.median_ns for _, figures in measured])
    groups = dict.fromkeys(_group(each, fit) for each, _ in measured)
    series = tuple(
        Series(
            group,
            "points",
            tuple(
                times.of(figures.median_ns) if _group(each, fit) == group else None
                for each, figures in measured
            ),
            tuple(
                f"{format_duration(figures.median_ns)}, {format_bytes(figures.peak_bytes)}"
                if _group(each, fit) == group
                else ""
                for each, figures in measured
            ),
            _COLOURS[group],
        )
        for group in groups
    )
    target = fit.requirements.memory_bytes if fit.requirements.device is None else None
    yield Plot(
        "time of one run against memory, measured here",
        "candidate",
        tuple(short_text(each) for each, _ in measured),
        series,
        times.axis("time of one run"),
        sizes.axis("memory"),
        places=tuple(significant(figures.peak_bytes / sizes.factor) for _, figures in measured),
        shows_labels=True,
        marks=()
        if target is None
        else (Mark("x", significant(target / sizes.factor), f"target {format_bytes(target)}"),),
    )


def _group(candidate: FitCandidate, fit: Fit) -> str:
    """Group of points with one colour: the model as it is, the chosen candidate, or a status."""
    if not candidate.changes:
        return "as it is"
    if fit.chosen is not None and candidate.changes == fit.chosen.changes:
        return "chosen"
    return candidate.status
