"""Which figures does a model have before and after its changes, beside their targets?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from feasibility.records.fit import Figure, Fit, FitCandidate, FitTargets
from feasibility.render.reports.drift_texts import drift_percent
from feasibility.render.reports.sections import Column, Grid, known, name_text
from feasibility.units import (
    format_bytes,
    format_change,
    format_duration,
    format_factor,
    format_number,
)

_FAR_RATIO: Final = 100.0
_NONE: Final = "-"


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
        "memory, device",
        format_bytes,
        lambda candidate: candidate.device_memory_bytes,
        ("memory",),
    ),
    _Line(
        "time, device",
        format_duration,
        lambda candidate: candidate.device_latency_ns,
        ("latency",),
    ),
)


def figures_grid(fit: Fit) -> Grid:
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
        memory = [f"{memory[0]} + runtime"]
    if wanted.device_limit_bytes is not None:
        memory.append(format_bytes(wanted.device_limit_bytes))
    figures: dict[Figure, str | None] = {
        "memory": ", ".join(memory) or None,
        "floor": known(wanted.floor_bytes, unknown=""),
        "latency": known(wanted.latency_ns, format_duration, unknown=""),
        "latency_ratio": ""
        if wanted.latency_ratio is None
        else format_factor(wanted.latency_ratio),
        "size": known(wanted.size_bytes, unknown=""),
        "drift": "" if wanted.drift_ratio is None else format_number(100 * wanted.drift_ratio, "%"),
    }
    return {figure: f"at most {text}" for figure, text in figures.items() if text}


def figure_remarks(fit: Fit) -> Iterator[str]:
    """What the figures include, and how they were measured."""
    yield "memory: highest resident memory, without the baseline (Python and the runtime)"
    if fit.baseline_allocator == "default":
        yield (
            "peaks as it is: default allocator, which varies by up to 20 %; other memory: steady "
            "allocator"
        )
    if fit.requirements.device is not None:
        yield (
            f"on the device ({name_text(fit.requirements.device)}): projected; upper end of "
            "memory with the runtime, and likely time"
        )
