"""What does the report of `measure` say? Memory and time of one model on one machine.

The tables show which nodes and which allocations need them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from feasibility.records.profile import DefaultAllocator, Latency, Memory, OperatorProfile, Profile
from feasibility.records.workload import Fill
from feasibility.render.reports.anatomy import SETTINGS, anatomy_sections
from feasibility.render.reports.drift_texts import drift_text
from feasibility.render.reports.model_and_machine import (
    baseline_text,
    host_row,
    model_row,
    reserve_row,
)
from feasibility.render.reports.sections import (
    Bar,
    Column,
    Report,
    Row,
    Section,
    assumption_rows,
    assumption_section,
    name_text,
    notice_section,
    shape_text,
    share_text,
    table,
)
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_bytes_range,
    format_count,
    format_duration,
    format_margin,
)

TOP_COUNT: Final = 10
_FIRST_SCREEN_COUNT: Final = 5
# A smaller saving may be chance.
_LEAST_SAVING_RATIO: Final = 0.005
_PHASES: Final = {"load": "loading", "inference": "running"}


def measure_report(profile: Profile, *, details: bool = False) -> Report:
    """What the model is, its memory, its times and its slowest nodes; all nodes with details."""
    head = (
        model_row(profile),
        host_row(profile),
        reserve_row(profile),
        *savings_rows(profile),
        *_conversion_rows(profile),
    )
    assumed = assumption_rows(profile.workload.assumptions)
    return (
        Section(name_text(profile.model.name, 200), (*head, *assumed)),
        *(
            profile_details(profile)
            if details
            else (
                memory_section(profile),
                time_section(profile.latency),
                operator_time_section(profile, _FIRST_SCREEN_COUNT),
            )
        ),
        notice_section(profile.warnings),
    )


def _conversion_rows(profile: Profile) -> tuple[Row, ...]:
    """What the conversion for the engine took, and that its outputs are right."""
    found = profile.conversion
    if found is None:
        return ()
    cost = f"{format_duration(found.duration_ns)}, at most {format_bytes(found.peak_bytes)}"
    return (
        Row("converted", f"in {cost} of memory; {format_bytes(found.file_bytes)} of files"),
        Row("outputs", f"against ONNX Runtime: {drift_text(found.drift)}"),
    )


def profile_details(profile: Profile) -> Report:
    """Memory and where it is, nodes, allocations, inputs and assumptions."""
    return (
        memory_section(profile),
        *anatomy_sections(profile),
        allocation_section(profile),
        operator_memory_section(profile),
        time_section(profile.latency),
        operator_time_section(profile),
        workload_section(profile),
        assumption_section(profile.workload.assumptions),
    )


def savings_rows(profile: Profile) -> tuple[Row, ...]:
    """What each setting of the runtime that was tried would save."""
    memory, anatomy = profile.memory, profile.anatomy
    if memory is None or anatomy is None or not anatomy.settings:
        return ()
    texts = []
    for effect in anatomy.settings:
        peaks = (
            ("while loading", memory.load_peak_bytes, effect.load_peak_bytes),
            ("while running", memory.inference_peak_bytes or 0, effect.inference_peak_bytes),
        )
        saved = [
            f"{format_bytes(before - after)} {when}"
            for when, before, after in peaks
            if before - after > _LEAST_SAVING_RATIO * before
        ]
        texts.append(f"{SETTINGS[effect.setting]} saves {' and '.join(saved) or 'nothing'}")
    return (Row("settings", "; ".join(texts)),)


def memory_section(profile: Profile) -> Section | None:
    """Every memory figure with what it includes."""
    memory = profile.memory
    if memory is None:
        return None
    comfort = "with less, the process is slow: evicted file pages are read again"
    if memory.comfort_bytes == memory.floor_bytes:
        comfort = "equal to the floor: below it, the process is killed"
    rows = [
        _figure_row("load peak", memory.load_peak_bytes, "highest while loading"),
        Row(
            "after loading",
            f"{format_bytes(memory.resident_bytes)}: "
            f"{format_bytes(memory.resident_anonymous_bytes)} anonymous, "
            f"{format_bytes(memory.resident_file_bytes)} file-backed",
        ),
        _figure_row("inference peak", memory.inference_peak_bytes, "highest during the runs"),
        _figure_row("floor", memory.floor_bytes, "with less, the process is killed"),
        _figure_row("comfort", memory.comfort_bytes, comfort),
    ]
    if profile.default_allocator is not None:
        rows.append(Row("default allocator", _default_range_text(profile.default_allocator)))
    title = f"memory above the baseline of {baseline_text(memory, profile)}"
    return Section(title, tuple(rows), remarks=(_memory_remark(memory),))


def _figure_row(label: str, size_bytes: int | None, words: str) -> Row:
    """A figure and what it is; without the words where there is none."""
    return Row(label, format_bytes(size_bytes) + (f"; {words}" if size_bytes is not None else ""))


def _memory_remark(memory: Memory) -> str:
    """How the figures were measured."""
    if memory.peak_source == "sampled":
        return "peaks are sampled: this kernel cannot reset its high-water mark"
    if memory.allocator == "default":
        return "default allocator: another run may need more or less"
    return "kernel high-water marks; steady allocator (glibc with a fixed trim threshold)"


def _default_range_text(default: DefaultAllocator) -> str:
    load = format_bytes_range(default.load_peak_low_bytes, default.load_peak_high_bytes)
    resident = format_bytes_range(default.resident_low_bytes, default.resident_high_bytes)
    text = f"{load} to load, {resident} after loading"
    low, high = default.inference_peak_low_bytes, default.inference_peak_high_bytes
    if low is not None and high is not None:
        text += f", {format_bytes_range(low, high)} to run"
    return f"{text} (in {default.repeat_count} processes)"


def time_section(latency: Latency | None) -> Section:
    """Every time with what it is."""
    if latency is None:
        return Section("time", (Row("", NOT_MEASURED),))
    count = len(latency.samples_ns)
    median = format_duration(latency.median_ns) + (f" of {count} runs" if count else "")
    low, high = latency.median_low_ns, latency.median_high_ns
    if low is not None and high is not None and latency.median_ns:
        half = max(high - latency.median_ns, latency.median_ns - low)
        median += f"; 95 % confidence: {format_margin(half / latency.median_ns)}"
    percentiles = (("p90 ", latency.p90_ns), ("p95 ", latency.p95_ns), ("p99 ", latency.p99_ns))
    texts = {
        "median": median,
        "mean": _joined(("", latency.mean_ns), ("standard deviation ", latency.stdev_ns)),
        "percentiles": _joined(("fastest ", latency.min_ns), *percentiles),
        "first run": _joined(
            ("", latency.first_run_ns), after=", not included in the figures above"
        ),
        "loading": _joined(("", latency.load_ns), after=", to create the session"),
    }
    # Figures of other programs may hold only the median.
    return Section("time of one run", tuple(Row(*item) for item in texts.items() if item[1]))


def _joined(*times: tuple[str, int | None], after: str = "") -> str:
    """The known times, each behind its words; empty without one."""
    known = ", ".join(f"{words}{format_duration(ns)}" for words, ns in times if ns is not None)
    return f"{known}{after}" if known else ""


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
            name_text(f"{item.dtype} {shape_text(item.shape)}", 60)
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
