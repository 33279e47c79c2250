"""Which nodes and which allocations need the memory and the time of a measured model?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from feasibility.records.profile import OperatorProfile, Profile
from feasibility.records.workload import Fill
from feasibility.render.reports.sections import (
    Bar,
    Column,
    Row,
    Section,
    name_text,
    share_text,
    table,
)
from feasibility.units import format_bytes, format_count, format_duration

TOP_COUNT = 10

_PHASES = {"load": "loading", "inference": "running"}


def operator_time_section(profile: Profile, count: int = TOP_COUNT) -> Section | None:
    """The nodes that take most time, as the runtime ran them."""
    operators = profile.operators
    if not operators:
        return None
    total_ns = sum(map(_per_run_ns, operators))
    top = sorted(operators, key=_per_run_ns, reverse=True)[:count]
    largest_ns = max(_per_run_ns(top[0]), 1)
    grid = table(
        top,
        (Column("node", min_width=16), lambda item: name_text(item.node, 48)),
        (Column("operator"), lambda item: name_text(item.op_type, 24)),
        (Column("time", "right"), lambda item: format_duration(_per_run_ns(item))),
        (Column("share", "right"), lambda item: share_text(_per_run_ns(item), total_ns)),
        (Column("", rank=1), lambda item: Bar(_per_run_ns(item) / largest_ns)),
    )
    remarks = (*_rest_remarks(operators, top), _types_text(operators, total_ns))
    return Section("nodes by time in one run", grid=grid, remarks=remarks)


def operator_memory_section(profile: Profile) -> Section | None:
    """The nodes that read and write most bytes."""
    operators = [item for item in profile.operators if item.bytes is not None]
    if not operators:
        return None
    top = sorted(operators, key=lambda item: item.bytes or 0, reverse=True)[:TOP_COUNT]
    grid = table(
        top,
        (Column("node", min_width=16), lambda item: name_text(item.node, 48)),
        (Column("operator"), lambda item: name_text(item.op_type, 24)),
        (Column("inputs, outputs, weights", "right"), lambda item: format_bytes(item.bytes)),
    )
    title = "nodes by bytes read and written in one run"
    return Section(title, grid=grid, remarks=_rest_remarks(operators, top))


def allocation_section(profile: Profile) -> Section | None:
    """Memory in use at the peak of each phase, by function of the allocator."""
    uses = sorted(profile.allocations, key=lambda use: -use.peak_bytes)
    if not uses:
        return None
    shown = [
        use for phase in _PHASES for use in [one for one in uses if one.phase == phase][:TOP_COUNT]
    ]
    grid = table(
        shown,
        (Column("phase"), lambda use: _PHASES[use.phase]),
        (
            Column("function", min_width=12),
            lambda use: name_text(use.allocator, 30) + " (mapping)" * use.is_mapping,
        ),
        (Column("size at the peak", "right"), lambda use: format_bytes(use.peak_bytes)),
        (Column("allocations", "right"), lambda use: format_count(use.allocation_count)),
    )
    remarks = ("memray counts whole mappings, the kernel only touched pages",)
    return Section("allocations at the peak of each phase (memray)", grid=grid, remarks=remarks)


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


def _rest_remarks(
    operators: Sequence[OperatorProfile], shown: Sequence[OperatorProfile]
) -> tuple[str, ...]:
    count = len(operators) - len(shown)
    return (f"{count} more nodes with --json",) if count else ()


def workload_section(profile: Profile) -> Section:
    """The inputs and how often the model ran."""
    workload = profile.workload
    rows = [
        Row(
            name_text(item.name, 24),
            name_text(f"{item.dtype} {'x'.join(map(str, item.shape)) or 'scalar'}", 60)
            + f", {_fill_text(item.fill)}"
            + (f" ({name_text(item.fill.reason, 120)})" if item.fill.reason else ""),
        )
        for item in workload.inputs[:TOP_COUNT]
    ]
    runs = f"{workload.warmup_count} warm-up, {workload.run_count} measured; seed {workload.seed}"
    return Section("inputs and runs", (*rows, Row("runs", runs)))


def _fill_text(fill: Fill) -> str:
    texts = {
        "uniform": f"random from {fill.low:g} to {fill.high:g}",
        "integers": f"random whole numbers from {fill.low:g} to {fill.high:g}",
        "constant": f"every element {fill.low:g}",
        "file": f"from {name_text(fill.path or 'a file')}",
    }
    return texts.get(fill.kind, "empty")
