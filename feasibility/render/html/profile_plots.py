"""Which plots show a profile? Memory over time and its parts, times, operators, a roofline."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from feasibility.records.anatomy import ArenaPeak, Timeline
from feasibility.records.facts import OperatorClass
from feasibility.records.profile import Latency, OperatorProfile, Profile
from feasibility.render.html.plots import (
    Axis,
    Guide,
    Mark,
    Plot,
    Scale,
    Series,
    bytes_scale,
    significant,
    thinned,
    time_scale,
)
from feasibility.render.reports.anatomy import PARTS
from feasibility.render.reports.sections import name_text, node_text
from feasibility.units import (
    format_bytes,
    format_count,
    format_duration,
    format_number,
)

_POINT_LIMIT: Final = 400
_TYPE_LIMIT: Final = 12
# With fewer runs, no distribution is plotted.
_LEAST_RUN_COUNT: Final = 20
# Work is known by class of operators, time by type: types whose name has the word are the class.
_FAMILIES: Final[tuple[tuple[str, tuple[str, ...], frozenset[OperatorClass]], ...]] = (
    ("convolutions", ("Conv",), frozenset({"conv", "depthwise_conv", "pointwise_conv"})),
    ("matrix products", ("MatMul", "Gemm"), frozenset({"matmul"})),
    ("attention", ("Attention",), frozenset({"attention"})),
    ("recurrent", ("LSTM", "GRU", "RNN"), frozenset({"recurrent"})),
)
_WHOLE: Final = "whole model"


def profile_plots(profile: Profile) -> Iterator[Plot]:
    """All plots for which the profile has figures."""
    if profile.timeline is not None and profile.timeline.at_ns:
        yield timeline_plot(profile.timeline)
    if profile.anatomy is not None:
        yield anatomy_plot(profile)
    yield from arena_plots(profile)
    if profile.latency is not None and profile.latency.samples_ns:
        yield from latency_plots(profile.latency)
    yield from operator_plots(profile.operators)
    yield from roofline_plots(profile)


def timeline_plot(timeline: Timeline) -> Plot:
    """Resident and allocated memory over time, the phases, and the node at the arena's peak."""
    times, sizes = time_scale(timeline.at_ns), bytes_scale(timeline.resident_bytes)
    begins = [phase.begin_ns for phase in timeline.phases]

    def phase_at(ns: int) -> str:
        index = bisect_right(begins, ns) - 1
        return timeline.phases[index].name if index >= 0 else ""

    series = [sizes.series("resident", "area", timeline.resident_bytes)]
    if timeline.allocated_bytes is not None:
        series.append(sizes.series("allocated", "area", timeline.allocated_bytes))
    if timeline.arena_peak is not None:
        series += _peak_series(timeline, timeline.arena_peak, sizes)
    return Plot(
        "memory over time",
        "time",
        tuple(f"{format_duration(ns)}, {phase_at(ns)}" for ns in timeline.at_ns),
        tuple(series),
        sizes.axis("memory"),
        times.axis("time since the start of imports"),
        places=tuple(significant(ns / times.factor) for ns in timeline.at_ns),
        marks=(
            *(
                Mark(
                    "x",
                    significant(phase.begin_ns / times.factor),
                    phase.name,
                    significant(phase.end_ns / times.factor),
                )
                for phase in timeline.phases
            ),
            Mark("y", significant(timeline.baseline_bytes / sizes.factor), "baseline"),
        ),
        remarks=(
            "one process, steady allocator, baseline included; recording makes the phases longer",
        ),
    )


def _peak_series(timeline: Timeline, peak: ArenaPeak, sizes: Scale) -> Iterator[Series]:
    """The point of highest memory in the first run, with the node at the arena's peak."""
    runs = [phase for phase in timeline.phases if phase.name == "first-run"]
    within = [
        index
        for index, ns in enumerate(timeline.at_ns)
        if runs and runs[0].begin_ns <= ns < runs[0].end_ns
    ]
    if not within:
        return
    highest = max(within, key=timeline.resident_bytes.__getitem__)
    text = f"{node_text(peak.node, peak.op_type)}: {format_bytes(peak.in_use_bytes)} of arena"
    count = len(timeline.at_ns)
    values = [None] * count
    yield Series(
        "node at the arena's peak",
        "points",
        (*values[:highest], sizes.of(timeline.resident_bytes[highest]), *values[highest + 1 :]),
        tuple(text if index == highest else "" for index in range(count)),
        "strong",
    )


def anatomy_plot(profile: Profile) -> Plot:
    """The parts of memory after loading and at the inference peak, stacked."""
    anatomy = profile.anatomy
    assert anatomy is not None
    moments = {"after loading": anatomy.loaded}
    if anatomy.inference_peak is not None:
        moments["inference peak"] = anatomy.inference_peak
    sizes = bytes_scale([parts.total_bytes for parts in moments.values()])
    found = {label: [getattr(each, name) for each in moments.values()] for name, label in PARTS}
    return Plot(
        "where the memory is",
        "moment",
        tuple(moments),
        tuple(sizes.series(label, "bars", each) for label, each in found.items() if any(each)),
        sizes.axis("memory above the baseline"),
        is_stacked=True,
        is_horizontal=True,
    )


def arena_plots(profile: Profile) -> Iterator[Plot]:
    """Arena in use after each node of the first run."""
    known = [
        (number, item, item.arena_in_use_bytes)
        for number, item in enumerate(profile.operators, 1)
        if item.arena_in_use_bytes is not None
    ]
    if len(known) < 2 or not any(size for _, _, size in known):
        return
    chosen = [known[index] for index in thinned([size for _, _, size in known], _POINT_LIMIT)]
    sizes = bytes_scale([size for _, _, size in chosen])
    yield Plot(
        "arena in use after each node of the first run",
        "node",
        tuple(f"{number}: {node_text(item.node, item.op_type)}" for number, item, _ in chosen),
        (sizes.series("arena in use", "area", [size for _, _, size in chosen]),),
        sizes.axis("arena in use"),
        Axis("nodes in execution order"),
        places=tuple(float(number) for number, _, _ in chosen),
        remarks=("prepacked weights included",),
    )


def latency_plots(latency: Latency) -> Iterator[Plot]:
    """The time of each run in order, and the distribution of many runs."""
    samples = latency.samples_ns
    drawn = thinned(samples, _POINT_LIMIT)
    times = time_scale(samples)
    named = (("median", latency.median_ns), ("p95", latency.p95_ns), ("p99", latency.p99_ns))
    shown = {ns: name for name, ns in reversed(named) if ns is not None}
    yield Plot(
        "time of each run",
        "run",
        tuple(f"run {index + 1}" for index in drawn),
        (times.series("time", "points", [samples[index] for index in drawn]),),
        times.axis("time of one run"),
        Axis("run"),
        places=tuple(float(index + 1) for index in drawn),
        marks=tuple(
            Mark("y", significant(ns / times.factor), f"{name} {format_duration(ns)}")
            for ns, name in shown.items()
        ),
        remarks=(f"{len(drawn)} of {len(samples)} runs: the slowest one of each group",)
        if len(drawn) < len(samples)
        else (),
    )
    if len(samples) >= _LEAST_RUN_COUNT and min(samples) < max(samples):
        yield _histogram(samples)


def _histogram(samples: Sequence[int]) -> Plot:
    """Histogram of the run times; the number of bins is the square root of the number of runs."""
    low, high, count = min(samples), max(samples), math.ceil(math.sqrt(len(samples)))
    ends = [low + (high - low) * index // count for index in range(count + 1)]
    classes = Counter(min((ns - low) * count // (high - low), count - 1) for ns in samples)
    counts = tuple(classes[index] for index in range(count))
    return Plot(
        "distribution of the times",
        "time of one run",
        tuple(f"{format_duration(low)} to {format_duration(high)}" for low, high in pairwise(ends)),
        (Series("runs", "bars", tuple(map(float, counts)), tuple(map(str, counts))),),
        Axis("runs"),
        Axis("time of one run"),
    )


def operator_plots(operators: Sequence[OperatorProfile]) -> Iterator[Plot]:
    """Time, and bytes read and written, per operator type."""
    times = _by_type(operators, per_run_ns)
    if any(times.values()):
        yield _type_plot(
            "time by operator type", times, time_scale(list(times.values())), "time of one run"
        )
    moved = _by_type(operators, lambda item: item.bytes or 0)
    if any(moved.values()):
        yield _type_plot(
            "bytes read and written by operator type",
            moved,
            bytes_scale(list(moved.values())),
            "inputs, weights and outputs",
        )


def _by_type(
    operators: Sequence[OperatorProfile], figure: Callable[[OperatorProfile], int]
) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for item in operators:
        found[item.op_type] += figure(item)
    return found


def _type_plot(title: str, figures: Mapping[str, int], scale: Scale, axis: str) -> Plot:
    ordered = sorted(figures.items(), key=lambda pair: -pair[1])
    shown = [(name_text(name, 32), figure) for name, figure in ordered[:_TYPE_LIMIT]]
    rest = sum(figure for _, figure in ordered[_TYPE_LIMIT:])
    if rest:
        shown.append((f"{len(ordered) - _TYPE_LIMIT} other types", rest))
    return Plot(
        title,
        "operator",
        tuple(name for name, _ in shown),
        (scale.series(axis, "bars", [figure for _, figure in shown]),),
        scale.axis(axis),
        is_horizontal=True,
    )


def per_run_ns(item: OperatorProfile) -> int:
    """Time of the node in one run."""
    return item.total_ns // max(item.run_count, 1)


def roofline_plots(profile: Profile) -> Iterator[Plot]:
    """Speed against operations per byte, for the families of operators whose work is known."""
    found = {
        name: (flops, moved, ns)
        for name, flops, moved, ns in _work(profile)
        if flops and moved and ns
    }
    if len(found) < 2:
        return
    speeds = {name: flops * 1e9 / ns for name, (flops, _, ns) in found.items()}
    intensities = {name: flops / moved for name, (flops, moved, _) in found.items()}
    rates = {name: moved * 1e9 / ns for name, (_, moved, ns) in found.items()}
    top_speed, top_rate = max(speeds.values()), max(rates.values())
    # From a factor of three left of the points to a factor of three right of them.
    left, right = min(intensities.values()) / 3, max(intensities.values()) * 3
    ridge = min(max(top_speed / top_rate, left), right)
    texts = tuple(
        f"{format_count(speeds[name], 'FLOP/s')} at {format_number(intensities[name], 'FLOP/B')}"
        for name in found
    )
    roof = f"highest rates: {format_count(top_speed, 'FLOP/s')}, {format_bytes(round(top_rate))}/s"
    corners = (
        (left, left * top_rate),
        (ridge, min(ridge * top_rate, top_speed)),
        (right, top_speed),
    )
    yield Plot(
        "roofline",
        "operators",
        tuple(found),
        (
            Series(
                "speed",
                "points",
                tuple(significant(speeds[name] / 1e9) for name in found),
                texts,
            ),
        ),
        Axis("speed, GFLOP/s", is_log=True),
        Axis("operations per byte, FLOP/B", is_log=True),
        places=tuple(significant(intensities[name]) for name in found),
        shows_labels=True,
        guides=(Guide(roof, tuple((significant(x), significant(y / 1e9)) for x, y in corners)),),
        remarks=(
            "line: highest speed and highest byte rate of these operators; the limits of the "
            "processor are higher",
            "operations and bytes: from the model file; times: measured",
        ),
    )


def _work(profile: Profile) -> Iterator[tuple[str, int, int, int]]:
    """Name, operations, bytes and nanoseconds of each family and of the whole model."""
    model, taken = profile.model, set[int]()
    for name, words, classes in _FAMILIES:
        members = [
            (index, item)
            for index, item in enumerate(profile.operators)
            if index not in taken and any(word in item.op_type for word in words)
        ]
        taken.update(index for index, _ in members)
        yield (
            name,
            sum(model.flops_by_class.get(each, 0) for each in classes),
            sum(model.moved_bytes_by_class.get(each, 0) for each in classes),
            sum(per_run_ns(item) for _, item in members),
        )
    yield (
        _WHOLE,
        sum(model.flops_by_class.values()),
        sum(model.moved_bytes_by_class.values()),
        sum(map(per_run_ns, profile.operators)),
    )
