"""Which plots show verdicts? Memory and time per device as intervals, beside their limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from feasibility.records.assessment import DeviceAssessment, ModelAssessment, Verdict
from feasibility.render.html.plots import Colour, Plot, Scale, Series, bytes_scale, time_scale
from feasibility.render.reports.sections import name_text
from feasibility.render.reports.verdict_table import VERDICT_TONE, shown_latency, verdict_text
from feasibility.units import format_bytes_range, format_duration_range


def assessment_plots(model: ModelAssessment) -> Iterator[Plot]:
    """Memory and time per device as intervals, beside limits and targets."""
    devices = model.devices
    memory = [found.memory for found in devices]
    sizes = bytes_scale([each.high_bytes for each in memory])
    if any(each.likely_bytes is not None for each in memory):
        yield _interval_plot(
            "memory per device",
            devices,
            sizes,
            [(each.low_bytes, each.likely_bytes, each.high_bytes) for each in memory],
            [each.budget_bytes for each in memory],
            ("memory", "limit", format_bytes_range),
            ("the runtime is included",),
        )
    shown = [shown_latency(found, model) for found in devices]
    times = [time for time, _, _ in shown]
    has_network = any(is_included for _, _, is_included in shown)
    scale = time_scale([each.high_ns or each.low_ns for each in times])
    if any(each.low_ns is not None for each in times):
        yield _interval_plot(
            "time per device",
            devices,
            scale,
            [(each.low_ns, each.likely_ns, each.high_ns) for each in times],
            [each.budget_ns for each in times],
            ("time", "target", format_duration_range),
            ("servers: the network is included",) if has_network else (),
        )


def _interval_plot(
    title: str,
    devices: Sequence[DeviceAssessment],
    scale: Scale,
    figures: Sequence[tuple[int | None, int | None, int | None]],
    limits: Sequence[int | None],
    words: tuple[str, str, Callable[[int, int], str]],
    remarks: tuple[str, ...],
) -> Plot:
    """One row per device: the interval in the colour of its verdict, likely value and limit."""
    axis, limit, range_text = words
    verdicts = dict.fromkeys(found.verdict for found in devices)
    series = [
        Series(
            verdict_text(verdict),
            "intervals",
            tuple(
                scale.interval(low, high) if found.verdict == verdict else None
                for found, (low, _, high) in zip(devices, figures, strict=True)
            ),
            tuple(
                range_text(low, high)
                if found.verdict == verdict and low is not None and high is not None
                else ""
                for found, (low, _, high) in zip(devices, figures, strict=True)
            ),
            _verdict_colour(verdict),
        )
        for verdict in verdicts
    ]
    series.append(scale.series("likely", "points", [likely for _, likely, _ in figures], "strong"))
    if any(each is not None for each in limits):
        series.append(scale.series(limit, "points", limits, "bad"))
    return Plot(
        title,
        "device",
        tuple(name_text(found.name, 32) for found in devices),
        tuple(series),
        scale.axis(axis, is_log=True),
        is_horizontal=True,
        remarks=remarks,
    )


def _verdict_colour(verdict: Verdict) -> Colour:
    tone = VERDICT_TONE[verdict]
    return "" if tone == "plain" else tone
