"""Which nodes and which allocations need the memory and the time of a measured model?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from feasibility.records.profile import AllocatorUse, OperatorProfile, Profile
from feasibility.render.reports.sections import (
    Bar,
    Column,
    Grid,
    Row,
    Section,
    name_text,
    share_text,
)
from feasibility.units import format_bytes, format_count, format_duration

TOP_COUNT = 10

_PHASES = (("load", "loading"), ("inference", "running"))


def operator_time_section(profile: Profile, count: int = TOP_COUNT) -> Section | None:
    """The nodes that take most time, as the runtime ran them."""
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
        "nodes by time in one run", grid=Grid(columns, rows), remarks=tuple(filter(None, remarks))
    )


def operator_memory_section(profile: Profile, count: int = TOP_COUNT) -> Section | None:
    """The nodes that read and write most bytes."""
    operators = [item for item in profile.operators if item.bytes is not None]
    if not operators:
        return None
    top = sorted(operators, key=lambda item: item.bytes or 0, reverse=True)[:count]
    rows = tuple(
        (name_text(item.node, 48), name_text(item.op_type, 24), format_bytes(item.bytes or 0))
        for item in top
    )
    columns = (
        Column("node", shrinks=True, min_width=16),
        Column("operator"),
        Column("inputs, outputs, weights", align="right"),
    )
    return Section(
        "nodes by bytes read and written in one run",
        grid=Grid(columns, rows),
        remarks=tuple(filter(None, (_rest_text(len(operators) - len(top), "nodes"),))),
    )


def allocation_section(profile: Profile) -> Section | None:
    """Memory in use at the peak of each phase, by function of the allocator."""
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
        Column("phase"),
        Column("function", shrinks=True, min_width=12),
        Column("size at the peak", align="right"),
        Column("allocations", align="right"),
    )
    return Section(
        "allocations at the peak of each phase (memray)",
        grid=Grid(columns, rows),
        remarks=("memray counts whole mappings, the kernel only touched pages",),
    )


def _of_phase(uses: Sequence[AllocatorUse], phase: str) -> tuple[AllocatorUse, ...]:
    return tuple(use for use in uses if use.phase == phase)[:TOP_COUNT]


def _per_run_ns(item: OperatorProfile) -> int:
    return item.total_ns // max(item.run_count, 1)


def _types_text(operators: Sequence[OperatorProfile], total_ns: int) -> str:
    """The operator types that take most of the time, in a line."""
    by_type: dict[str, int] = defaultdict(int)
    for item in operators:
        by_type[item.op_type] += _per_run_ns(item)
    top = sorted(by_type.items(), key=lambda pair: -pair[1])[:4]
    shares = (f"{name_text(name, 24)} {share_text(ns, total_ns)}" for name, ns in top)
    return f"by operator type: {', '.join(shares)}"


def _rest_text(count: int, noun: str) -> str:
    return f"{count} more {noun} with --json" if count > 0 else ""


def workload_section(profile: Profile) -> Section:
    """The inputs and how often the model ran."""
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
    runs = f"{workload.warmup_count} warm-up, {workload.run_count} measured; seed {workload.seed}"
    return Section("inputs and runs", (*rows, Row("runs", runs)))


def _fill_text(kind: str, low: float, high: float, path: str | None) -> str:
    if kind == "uniform":
        return f"random from {low:g} to {high:g}"
    if kind == "integers":
        return f"random whole numbers from {low:g} to {high:g}"
    if kind == "constant":
        return f"every element {low:g}"
    if kind == "file":
        return f"from {name_text(path or 'a file')}"
    return "empty"
