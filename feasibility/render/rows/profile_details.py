"""What the instruments saw inside a profile: operators, allocations, spread of the runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from feasibility.records.profile import AllocatorUse, Memory, OperatorProfile, Profile
from feasibility.render.rows.rows import Bar, Column, Grid, Row, Section, name_text, share_text
from feasibility.units import format_bytes, format_count, format_duration

TOP_COUNT = 10
HISTOGRAM_BIN_COUNT = 8

_PHASES = (("load", "loading"), ("inference", "running"))


def operator_time_section(profile: Profile, count: int = TOP_COUNT) -> Section | None:
    """The nodes that take most time per inference, as the runtime ran them."""
    operators = profile.operators
    if not operators:
        return None
    total_ns = sum(map(_per_run_ns, operators))
    top = sorted(operators, key=_per_run_ns, reverse=True)[:count]
    largest_ns = _per_run_ns(top[0])
    rows = tuple(
        (
            name_text(item.node, 48),
            name_text(item.op_type, 24),
            format_duration(_per_run_ns(item)),
            share_text(_per_run_ns(item), total_ns),
            Bar(_per_run_ns(item) / largest_ns if largest_ns else 0.0),
        )
        for item in top
    )
    columns = (
        Column("node", shrinks=True, min_width=16),
        Column("operator"),
        Column("time", align="right"),
        Column("share", align="right"),
        Column("", rank=1),
    )
    remarks = (_rest_text(len(operators) - len(top), "nodes"), _types_text(operators, total_ns))
    return Section(
        "nodes by time per inference",
        grid=Grid(columns, rows),
        remarks=tuple(filter(None, remarks)),
    )


def operator_memory_section(profile: Profile, count: int = TOP_COUNT) -> Section | None:
    """The nodes that handle most bytes, with what the arena held after them."""
    operators = [item for item in profile.operators if item.bytes is not None]
    if not operators:
        return None
    top = sorted(operators, key=lambda item: item.bytes or 0, reverse=True)[:count]
    rows = tuple(
        (
            name_text(item.node, 48),
            name_text(item.op_type, 24),
            format_bytes(item.bytes or 0),
            "" if item.arena_in_use_bytes is None else format_bytes(item.arena_in_use_bytes),
        )
        for item in top
    )
    columns = (
        Column("node", shrinks=True, min_width=16),
        Column("operator"),
        Column("in, out, weights", align="right"),
        Column("arena in use", align="right", rank=1),
    )
    return Section(
        "nodes by memory",
        grid=Grid(columns, rows),
        remarks=tuple(filter(None, (_rest_text(len(operators) - len(top), "nodes"),))),
    )


def allocation_section(profile: Profile) -> Section | None:
    """What was asked of allocators, by phase and kind of call, against what the kernel saw."""
    uses = sorted(profile.allocations, key=lambda use: -use.peak_bytes)
    if not uses:
        return None
    rows = tuple(
        (
            noun,
            name_text(use.allocator, 30) + (" (mapping)" if use.is_mapping else ""),
            format_bytes(use.peak_bytes),
            format_count(use.allocation_count),
        )
        for phase, noun in _PHASES
        for use in _of_phase(uses, phase)
    )
    columns = (
        Column("while"),
        Column("asked through", shrinks=True, min_width=12),
        Column("at the peak", align="right"),
        Column("allocations", align="right"),
    )
    return Section(
        "allocations at the high-water mark of each phase, as memray counts them",
        grid=Grid(columns, rows),
        remarks=_reconciliation(profile.memory),
    )


def _of_phase(uses: Sequence[AllocatorUse], phase: str) -> tuple[AllocatorUse, ...]:
    return tuple(use for use in uses if use.phase == phase)[:TOP_COUNT]


def _reconciliation(memory: Memory | None) -> tuple[str, ...]:
    if memory is None:
        return ()
    remarks = ["a mapping counts in full here, and for the kernel only as far as it is touched"]
    if memory.retained_bytes is not None:
        remarks.append(
            f"{format_bytes(memory.retained_bytes)} freed by the program, kept by the C allocator"
        )
    if memory.arena_held_bytes is not None and memory.arena_in_use_peak_bytes is not None:
        remarks.append(
            f"the runtime's arena holds {format_bytes(memory.arena_held_bytes)} and had at most "
            f"{format_bytes(memory.arena_in_use_peak_bytes)} in use"
        )
    return tuple(remarks)


@dataclass(frozen=True, slots=True)
class Bin:
    """Samples from `low_ns` to `high_ns`, the last bin inclusive."""

    low_ns: int
    high_ns: int
    count: int


def histogram(samples_ns: Sequence[int], bin_count: int = HISTOGRAM_BIN_COUNT) -> tuple[Bin, ...]:
    """Bins of equal width over all samples; one bin where they are all equal."""
    if not samples_ns:
        return ()
    low_ns, high_ns = min(samples_ns), max(samples_ns)
    span_ns = high_ns - low_ns
    bin_count = max(1, min(bin_count, span_ns))
    counts = [0] * bin_count
    for sample_ns in samples_ns:
        index = (sample_ns - low_ns) * bin_count // span_ns if span_ns else 0
        counts[min(index, bin_count - 1)] += 1
    edges = [low_ns + span_ns * index // bin_count for index in range(bin_count + 1)]
    return tuple(map(Bin, edges, edges[1:], counts))


def distribution_section(profile: Profile) -> Section | None:
    """How the measured runs spread."""
    if profile.latency is None or not profile.latency.samples_ns:
        return None
    bins = histogram(profile.latency.samples_ns)
    most = max(item.count for item in bins)
    rows = tuple(
        (
            format_duration(item.low_ns),
            format_duration(item.high_ns),
            str(item.count),
            Bar(item.count / most),
        )
        for item in bins
    )
    columns = (
        Column("from", align="right"),
        Column("to", align="right"),
        Column("runs", align="right"),
        Column(""),
    )
    return Section("spread of the measured runs", grid=Grid(columns, rows))


def _per_run_ns(item: OperatorProfile) -> int:
    return item.total_ns // max(item.run_count, 1)


def _types_text(operators: Sequence[OperatorProfile], total_ns: int) -> str:
    """The operator types that take most of the time, in a line."""
    by_type: dict[str, int] = defaultdict(int)
    for item in operators:
        by_type[item.op_type] += _per_run_ns(item)
    top = sorted(by_type.items(), key=lambda pair: -pair[1])[:4]
    shares = (f"{name_text(name, 24)} {share_text(ns, total_ns)}" for name, ns in top)
    return f"by operator: {', '.join(shares)}"


def _rest_text(count: int, noun: str) -> str:
    return f"{count} more {noun}; all of them with --json" if count > 0 else ""


def workload_section(profile: Profile) -> Section:
    """What was fed to the model and how often."""
    workload = profile.workload
    rows = [
        Row(
            name_text(item.name, 24),
            name_text(f"{item.dtype} {'x'.join(map(str, item.shape)) or 'scalar'}", 60)
            + f", {_fill_text(item.fill.kind, item.fill.low, item.fill.high, item.fill.path)}"
            + (f" ({name_text(item.fill.reason, 120)})" if item.fill.reason else ""),
        )
        for item in workload.inputs[:TOP_COUNT]
    ]
    runs = f"{workload.warmup_count} to warm up, {workload.run_count} measured"
    rows.append(Row("runs", f"{runs}, seed {workload.seed}"))
    return Section("fed to the model", tuple(rows))


def _fill_text(kind: str, low: float, high: float, path: str | None) -> str:
    if kind == "uniform":
        return f"random from {low:g} to {high:g}"
    if kind == "integers":
        return f"random whole numbers from {low:g} to {high:g}"
    if kind == "constant":
        return f"every element {low:g}"
    if kind == "file":
        return f"from {name_text(path or 'a file')}"
    return "left empty"
