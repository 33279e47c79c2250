"""What does a report say about memory: where it is, and how it changes over time?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.records.anatomy import Anatomy, ArenaPeak, MemoryParts, Timeline
from feasibility.records.facts import ActivationPeak
from feasibility.records.profile import Profile
from feasibility.render.reports.sections import (
    AreaPlot,
    Bar,
    Cell,
    Column,
    Grid,
    Report,
    Section,
    counted,
    name_text,
    node_text,
    share_text,
    table,
)
from feasibility.units import format_bytes, format_bytes_range, format_change, format_duration

TENSOR_COUNT: Final = 6
PARTS: Final = (
    ("weights_bytes", "weights"),
    ("prepacked_bytes", "weights, prepacked"),
    ("arena_in_use_bytes", "arena, in use"),
    ("arena_idle_bytes", "arena, held and not in use"),
    ("inputs_bytes", "inputs"),
    ("objects_bytes", "graph, kernels, other heap"),
    ("retained_bytes", "retained by the allocator"),
    ("transient_bytes", "freed after the runs"),
    ("model_file_bytes", "model files, evictable"),
    ("library_bytes", "library pages"),
    ("unattributed_bytes", "not attributed"),
)
SETTINGS: Final = {"arena-off": "arena off", "prepacking-off": "prepacking off"}


def anatomy_sections(profile: Profile) -> Report:
    """Where the memory is and how it got there, as far as it was measured."""
    return (
        parts_section(profile),
        timeline_section(profile.timeline),
        arena_section(profile),
        arena_plot_section(profile),
    )


def parts_section(profile: Profile) -> Section | None:
    """The kernel's figures divided, each part with a bar."""
    anatomy = profile.anatomy
    if anatomy is None:
        return None
    moments = [anatomy.loaded] + ([anatomy.inference_peak] if anatomy.inference_peak else [])
    rows = [_part_row(name, label, moments) for name, label in PARTS]
    total = ("total", *(format_bytes(each.total_bytes) for each in moments), "")
    titles = ("after loading", "inference peak")
    columns = (
        Column("", min_width=16),
        *(Column(title, align="right") for title in titles[: len(moments)]),
        Column("", rank=1),
    )
    return Section(
        "where the memory is, above the baseline",
        grid=Grid(columns, (*(row for row in rows if row is not None), total)),
        remarks=(
            *_allocation_remarks(anatomy),
            *(
                f"{SETTINGS[effect.setting]}: {format_bytes(effect.load_peak_bytes)} to load, "
                f"{format_bytes(effect.resident_bytes)} after loading, "
                f"{format_bytes(effect.inference_peak_bytes)} to run"
                for effect in anatomy.settings
            ),
        ),
    )


def _part_row(name: str, label: str, moments: Sequence[MemoryParts]) -> tuple[Cell, ...] | None:
    """One part at each moment; None if it is always empty, except the unattributed rest."""
    sizes = [getattr(parts, name) for parts in moments]
    if not any(sizes) and name != "unattributed_bytes":
        return None
    total = moments[-1].total_bytes
    return (
        label,
        *(format_bytes(size) if size else "-" for size in sizes),
        Bar(sizes[-1] / total if total else None),
    )


def _allocation_remarks(anatomy: Anatomy) -> tuple[str, ...]:
    """How requested memory becomes the memory that the kernel counts."""
    remarks = []
    if anatomy.requested_bytes is not None and anatomy.allocated_bytes is not None:
        added = anatomy.allocated_bytes - anatomy.requested_bytes
        text = f"allocated after loading (memray): {format_bytes(anatomy.requested_bytes)}"
        if added > 0:
            text += f"; headers and rounding add {format_bytes(added)}"
        if anatomy.untouched_bytes:
            text += f"; never touched: {format_bytes(anatomy.untouched_bytes)}"
        remarks.append(text)
    if anatomy.mapped_bytes:
        remarks.append(
            f"mapped files: {format_bytes(anatomy.mapped_bytes)}; only touched pages count"
        )
    low, high = anatomy.default_retained_low_bytes, anatomy.default_retained_high_bytes
    if low is not None and high is not None and high:
        remarks.append(
            f"the default allocator retains {format_bytes_range(low, high)} instead of "
            f"{format_bytes(anatomy.loaded.retained_bytes)}"
        )
    return tuple(remarks)


def timeline_section(timeline: Timeline | None) -> Section | None:
    """Resident and allocated memory of the process over time, and the phases."""
    if timeline is None or not timeline.at_ns:
        return None
    end = max(timeline.at_ns[-1], *(phase.end_ns for phase in timeline.phases), 1)
    plot = AreaPlot(
        starts=tuple(ns / end for ns in timeline.at_ns),
        heights=timeline.resident_bytes,
        inner=timeline.allocated_bytes or (),
        marks=tuple((phase.begin_ns / end, phase.name) for phase in timeline.phases),
        top=format_bytes(max(timeline.resident_bytes)),
        legend=("allocated", "resident") if timeline.allocated_bytes is not None else (),
    )
    grid = table(
        timeline.phases,
        (Column("phase"), lambda phase: phase.name),
        (Column("time", "right"), lambda each: format_duration(each.end_ns - each.begin_ns)),
        (Column("peak resident", "right"), lambda it: format_bytes(it.resident_peak_bytes)),
        (Column("peak allocated", "right"), lambda it: format_bytes(it.allocated_peak_bytes)),
    )
    remarks = ("one process, steady allocator; recording makes the phases longer",)
    return Section("memory over time, baseline included", plot=plot, grid=grid, remarks=remarks)


def arena_plot_section(profile: Profile) -> Section | None:
    """Arena in use after each node, in the order in which they ran."""
    peak = _arena_peak(profile)
    sizes = [item.arena_in_use_bytes for item in profile.operators]
    known = [max(0, size - peak.prepacked_bytes) for size in sizes if size is not None and peak]
    if len(known) != len(sizes) or not any(known):
        return None
    plot = AreaPlot(
        starts=tuple(index / len(known) for index in range(len(known))),
        heights=tuple(known),
        inner=(),
        marks=((0.0, f"nodes 1 to {len(known)} in execution order"),),
        top=format_bytes(max(known)),
        line_count=6,
    )
    title = "arena in use after each node of the first run, without prepacked weights"
    return Section(title, plot=plot)


def arena_section(profile: Profile) -> Section | None:
    """The node at which most of the arena was in use, and which tensors held it."""
    peak = _arena_peak(profile)
    if peak is None or not peak.in_use_bytes:
        return None
    total = peak.in_use_bytes
    grid = table(
        peak.tensors[:TENSOR_COUNT],
        (Column("output of", min_width=16), lambda item: name_text(item.producer, 48)),
        (Column("operator"), lambda item: name_text(item.op_type, 24)),
        (Column("size", "right"), lambda item: format_bytes(item.size_bytes)),
        (Column("share", "right"), lambda item: share_text(item.size_bytes, total)),
    )
    remarks = (_held_text(peak), _static_text(profile.model.activation_peak, peak))
    return Section(
        f"arena in use in the first run: at most {format_bytes(total)}, at "
        f"{node_text(peak.node, peak.op_type)}",
        grid=grid if grid.rows else None,
        remarks=tuple(filter(None, remarks)),
    )


def _arena_peak(profile: Profile) -> ArenaPeak | None:
    return None if profile.timeline is None else profile.timeline.arena_peak


def _held_text(peak: ArenaPeak) -> str:
    parts = []
    if peak.scratch_bytes:
        parts.append(f"scratch memory of the node: {format_bytes(peak.scratch_bytes)}")
    rest = peak.tensors[TENSOR_COUNT:]
    if rest:
        size = sum(tensor.size_bytes for tensor in rest)
        parts.append(f"{counted(len(rest), 'smaller output')}: {format_bytes(size)}")
    return "; ".join(parts)


def _static_text(static: ActivationPeak | None, peak: ArenaPeak) -> str:
    """The peak that `inspect` estimates from the graph, beside the measured one."""
    if static is None or not static.peak_bytes:
        return ""
    inputs = sum(tensor.size_bytes for tensor in static.tensors if tensor.producer == "input")
    text = (
        f"estimated from the graph (inspect): {format_bytes(static.peak_bytes)} at "
        f"{name_text(static.node, 48)}; measured: {format_bytes(peak.in_use_bytes)} "
        f"({format_change(peak.in_use_bytes / static.peak_bytes)})"
    )
    if inputs:
        text += f"; the estimate counts {format_bytes(inputs)} of inputs, the arena does not"
    return text
