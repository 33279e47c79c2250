"""Which plots show a comparison? Ratios with their intervals, memory, parts, operators, times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from feasibility.records.comparison import ComparedFigure, Comparison, PartMoment
from feasibility.render.html.plots import (
    Axis,
    Mark,
    Plot,
    Scale,
    Series,
    bytes_scale,
    significant,
    time_scale,
)
from feasibility.render.reports.anatomy import PARTS
from feasibility.render.reports.compare_figures import FIGURES
from feasibility.render.reports.sections import name_text
from feasibility.units import format_factor, format_number_range

_TYPE_LIMIT: Final = 10
_MOMENTS: Final[dict[PartMoment, str]] = {
    "loaded": "after loading",
    "inference-peak": "at the inference peak",
}
_PART_NAMES: Final = {name.removesuffix("_bytes"): label for name, label in PARTS}


def comparison_plots(comparison: Comparison) -> Iterator[Plot]:
    """The figures before and after, and what makes the difference."""
    figures = [each for each in comparison.figures if not each.lows]
    yield from _ratio_plots(comparison, figures)
    memory = [each for each in figures if each.unit == "bytes" and each.name != "file_size"]
    if memory:
        yield _value_plot("memory", "memory", comparison, memory, bytes_scale(_values(memory)))
    times = [each for each in figures if each.unit == "ns"]
    if times:
        yield _value_plot("times", "time", comparison, times, time_scale(_values(times)))
    for moment in _MOMENTS:
        yield from _part_plots(comparison, moment)
    yield from _operator_plots(comparison)
    yield from _sample_plots(comparison)


def _values(figures: Sequence[ComparedFigure]) -> list[int | None]:
    return [value for each in figures for value in each.values]


def _labels(comparison: Comparison) -> tuple[str, ...]:
    """Letter and last part of the path of each subject, or what differs in one model's settings."""
    paths = [each.path.rstrip("/").rpartition("/")[2] for each in comparison.subjects]
    engines = [each.workload.engine or each.workload.runtime for each in comparison.subjects]
    recipes = [each.workload.recipe for each in comparison.subjects]
    columns: tuple[list[str], ...] = (paths, engines, recipes)
    names = next((each for each in columns if len(set(each)) == len(each)), paths)
    return tuple(
        f"{each.label}: {name_text(name, 32)}"
        for each, name in zip(comparison.subjects, names, strict=True)
    )


def _ratio_plots(comparison: Comparison, figures: Sequence[ComparedFigure]) -> Iterator[Plot]:
    """Figures divided by those of A; a bar is the 95 % confidence interval."""
    shown = [
        each
        for each in figures
        if any(one is not None and one.value_ratio for one in each.differences)
    ]
    if not shown:
        return
    series = []
    for index, label in enumerate(_labels(comparison)[1:]):
        colour = f"c{index + 1}"
        found = [each.differences[index] for each in shown]
        ratios = [None if one is None else one.value_ratio for one in found]
        intervals = [
            (one.low_ratio, one.high_ratio)
            if one is not None and one.low_ratio and one.high_ratio
            else None
            for one in found
        ]
        if any(intervals):
            series.append(
                Series(
                    f"{label}, 95 % confidence",
                    "intervals",
                    tuple(
                        each and (significant(each[0]), significant(each[1])) for each in intervals
                    ),
                    tuple(
                        "" if each is None else f"{format_number_range(*each)}x"
                        for each in intervals
                    ),
                    colour,
                )
            )
        series.append(
            Series(
                label,
                "points",
                tuple(significant(each) if each else None for each in ratios),
                tuple(format_factor(each) if each else "" for each in ratios),
                colour,
            )
        )
    yield Plot(
        "figures divided by those of A",
        "figure",
        tuple(FIGURES[each.name] for each in shown),
        tuple(series),
        Axis("ratio; less than 1 is lower than A", is_log=True),
        marks=(Mark("x", 1.0, "A"),),
        is_horizontal=True,
    )


def _value_plot(
    title: str, axis: str, comparison: Comparison, figures: Sequence[ComparedFigure], scale: Scale
) -> Plot:
    """Figures of one unit in groups, one bar per subject."""
    return Plot(
        title,
        "figure",
        tuple(FIGURES[each.name] for each in figures),
        tuple(
            scale.series(label, "bars", [each.values[index] for each in figures])
            for index, label in enumerate(_labels(comparison))
        ),
        scale.axis(axis),
        is_horizontal=True,
    )


def _part_plots(comparison: Comparison, moment: PartMoment) -> Iterator[Plot]:
    """The parts of memory of each subject, stacked."""
    parts = [
        each
        for each in comparison.parts
        if each.moment == moment and each.part in _PART_NAMES and any(each.sizes)
    ]
    if not parts:
        return
    labels = _labels(comparison)
    sums = [sum(each.sizes[index] or 0 for each in parts) for index in range(len(labels))]
    scale = bytes_scale(sums)
    yield Plot(
        f"where the memory is {_MOMENTS[moment]}",
        "model",
        labels,
        tuple(scale.series(_PART_NAMES[each.part], "bars", each.sizes) for each in parts),
        scale.axis("memory above the baseline"),
        is_stacked=True,
        is_horizontal=True,
    )


def _operator_plots(comparison: Comparison) -> Iterator[Plot]:
    """Time of operator types in all subjects, largest difference first."""
    operators = comparison.operators[:_TYPE_LIMIT]
    times = [[None if use is None else use.time_ns for use in each.uses] for each in operators]
    if not any(ns for row in times for ns in row):
        return
    scale = time_scale([ns for row in times for ns in row])
    yield Plot(
        "time by operator type",
        "operator",
        tuple(name_text(each.op_type, 32) for each in operators),
        tuple(
            scale.series(label, "bars", [row[index] for row in times])
            for index, label in enumerate(_labels(comparison))
        ),
        scale.axis("time of one run"),
        is_horizontal=True,
        remarks=("largest difference first; each model was profiled once",),
    )


def _sample_plots(comparison: Comparison) -> Iterator[Plot]:
    """Times of the runs of all subjects, sorted, so that whole distributions can be compared."""
    samples = [
        () if each.latency is None else tuple(sorted(each.latency.samples_ns))
        for each in comparison.subjects
    ]
    count = max(map(len, samples))
    if sum(map(bool, samples)) < 2 or count < 2:
        return
    scale = time_scale([ns for each in samples for ns in each])
    yield Plot(
        "times of the runs, sorted",
        "run",
        tuple(f"run {number}" for number in range(1, count + 1)),
        tuple(
            scale.series(label, "points", (*each, *[None] * (count - len(each))))
            for label, each in zip(_labels(comparison), samples, strict=True)
        ),
        scale.axis("time of one run"),
        Axis("runs, fastest first"),
        places=tuple(float(number) for number in range(1, count + 1)),
    )
