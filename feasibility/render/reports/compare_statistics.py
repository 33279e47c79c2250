"""How do the times of one run vary? Statistics of one process per subject."""

from __future__ import annotations

from typing import Final

from feasibility.records.comparison import ComparedSubject, Comparison
from feasibility.records.profile import Latency
from feasibility.render.reports.sections import Column, Section, known, table
from feasibility.units import SECOND_NS, format_duration, format_margin, format_number

_UNKNOWN: Final = "-"


def statistics_section(comparison: Comparison) -> Section | None:
    """Runs per second, mean, deviation, median and 99th percentile; None without times."""
    timed = [each for each in comparison.subjects if each.latency is not None]
    if not timed:
        return None
    signal_ns = comparison.signal_ns
    factor = (
        (Column("real-time factor", "right"), lambda each: _factor_text(each, signal_ns or 1)),
    )
    grid = table(
        timed,
        (Column(""), lambda each: each.label),
        (Column("per second", "right"), lambda each: _rate_text(_latency(each))),
        (Column("mean", "right"), lambda each: known(_latency(each).mean_ns, format_duration)),
        (Column("deviation", "right"), lambda each: _deviation_text(_latency(each))),
        (Column("median", "right"), lambda each: format_duration(_latency(each).median_ns)),
        (Column("99th %", "right"), lambda each: known(_latency(each).p99_ns, format_duration)),
        *(factor if signal_ns is not None else ()),
    )
    remarks = ["times of the runs of one process per model, not in turns"]
    if signal_ns is not None:
        remarks.append(
            f"real-time factor: median divided by {format_duration(signal_ns)} of signal"
        )
    return Section("statistics of one run", grid=grid, remarks=tuple(remarks))


def _latency(subject: ComparedSubject) -> Latency:
    assert subject.latency is not None
    return subject.latency


def _rate_text(latency: Latency) -> str:
    mean_ns = latency.mean_ns or latency.median_ns
    return format_number(SECOND_NS / mean_ns) if mean_ns else _UNKNOWN


def _deviation_text(latency: Latency) -> str:
    if latency.stdev_ns is None or not latency.mean_ns:
        return _UNKNOWN
    return format_margin(latency.stdev_ns / latency.mean_ns)


def _factor_text(subject: ComparedSubject, signal_ns: int) -> str:
    return format_number(_latency(subject).median_ns / signal_ns)
