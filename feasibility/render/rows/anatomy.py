"""Where a model's memory is and how it got there, as rows and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.records.anatomy import Anatomy, ArenaPeak, MemoryParts, SettingEffect, Timeline
from feasibility.records.facts import ActivationPeak
from feasibility.records.profile import Profile
from feasibility.render.rows.rows import Bar, Cell, Column, Grid, Section, name_text, share_text
from feasibility.units import format_bytes, format_bytes_range, format_change, format_duration

TENSOR_COUNT: Final = 6
_PARTS: Final = (
    ("weights_bytes", "weights, as nodes read them"),
    ("prepacked_bytes", "weights, prepacked by kernels"),
    ("arena_in_use_bytes", "arena, in use"),
    ("arena_idle_bytes", "arena, held and idle"),
    ("inputs_bytes", "inputs"),
    ("objects_bytes", "graph, kernels, other heap"),
    ("retained_bytes", "freed, kept by the C allocator"),
    ("transient_bytes", "given back when the runs ended"),
    ("model_file_bytes", "files of the model, evictable"),
    ("library_bytes", "libraries, touched since"),
    ("unattributed_bytes", "unattributed"),
)
_SETTINGS: Final = {"prepacking-off": "prepacking off", "arena-off": "arena off"}


@dataclass(frozen=True, slots=True)
class Plot:
    """Heights over a span from 0 to 1, with the span's parts named below.

    Args:
        title: What it shows.
        at: Where each height begins, rising.
        heights: The heights.
        inner: Heights within them that are drawn darker; empty where there are none.
        marks: Beginnings of the span's parts with their names.
        top: The greatest height as text.
        legend: What the two shades are; the darker one first.
    """

    title: str
    at: tuple[float, ...]
    heights: tuple[int, ...]
    inner: tuple[int, ...]
    marks: tuple[tuple[float, str], ...]
    top: str
    legend: tuple[str, ...] = ()


def anatomy_section(anatomy: Anatomy | None) -> Section | None:
    """The kernel's figures divided, the larger parts with a bar."""
    if anatomy is None:
        return None
    moments = [anatomy.loaded] + ([anatomy.inference_peak] if anatomy.inference_peak else [])
    rows = [_part_row(name, label, moments) for name, label in _PARTS]
    total = ("as the kernel counts it", *(format_bytes(each.total_bytes) for each in moments), "")
    titles = ("after loading", "inference peak")
    columns = (
        Column("", shrinks=True, min_width=16),
        *(Column(title, align="right") for title in titles[: len(moments)]),
        Column("", rank=1),
    )
    return Section(
        "where the memory is",
        grid=Grid(columns, (*(row for row in rows if row is not None), total)),
        remarks=(*_reconciliation(anatomy), *map(_effect_text, anatomy.settings)),
    )


def _part_row(name: str, label: str, moments: Sequence[MemoryParts]) -> tuple[Cell, ...] | None:
    """One part at each moment; None where it is nothing at any, unless it has to be told."""
    sizes = [getattr(parts, name) for parts in moments]
    if not any(sizes) and name != "unattributed_bytes":
        return None
    total = moments[-1].total_bytes
    return (
        label,
        *(format_bytes(size) if size else "-" for size in sizes),
        Bar(sizes[-1] / total if total else None),
    )


def _reconciliation(anatomy: Anatomy) -> tuple[str, ...]:
    """How what was asked for becomes what the kernel counts."""
    remarks = []
    if anatomy.requested_bytes is not None and anatomy.allocated_bytes is not None:
        added = anatomy.allocated_bytes - anatomy.requested_bytes
        text = f"after loading {format_bytes(anatomy.requested_bytes)} were asked for (memray)"
        if added > 0:
            text += f"; headers and rounding add {format_bytes(added)}"
        if anatomy.untouched_bytes:
            text += f"; {format_bytes(anatomy.untouched_bytes)} of it were never touched"
        remarks.append(text)
    if anatomy.mapped_bytes:
        remarks.append(
            f"{format_bytes(anatomy.mapped_bytes)} are mapped from files and count only as far "
            "as they are touched"
        )
    low, high = anatomy.default_retained_low_bytes, anatomy.default_retained_high_bytes
    if low is not None and high is not None and high:
        remarks.append(
            f"with its defaults the C allocator keeps {format_bytes_range(low, high)} instead of "
            f"{format_bytes(anatomy.loaded.retained_bytes)}"
        )
    return tuple(remarks)


def _effect_text(effect: SettingEffect) -> str:
    return (
        f"with {_SETTINGS[effect.setting]}: {format_bytes(effect.load_peak_bytes)} to load, "
        f"{format_bytes(effect.resident_bytes)} after, "
        f"{format_bytes(effect.inference_peak_bytes)} to run"
    )


def timeline_plot(timeline: Timeline | None) -> Plot | None:
    """Resident and allocated memory of the process over time."""
    if timeline is None or not timeline.at_ns:
        return None
    end = max(timeline.at_ns[-1], *(phase.end_ns for phase in timeline.phases), 1)
    told = timeline.allocated_bytes is not None
    return Plot(
        title="memory over time, the whole process, allocator steady",
        at=tuple(at / end for at in timeline.at_ns),
        heights=timeline.resident_bytes,
        inner=timeline.allocated_bytes or (),
        marks=tuple((phase.begin_ns / end, phase.name) for phase in timeline.phases),
        top=format_bytes(max(timeline.resident_bytes)),
        legend=("allocated", "resident") if told else (),
    )


def phase_grid(timeline: Timeline) -> Grid:
    """Each phase with its length and its highest memory."""
    rows = tuple(
        (
            phase.name,
            format_duration(phase.end_ns - phase.begin_ns),
            format_bytes(phase.resident_peak_bytes),
            format_bytes(phase.allocated_peak_bytes),
        )
        for phase in timeline.phases
    )
    columns = (
        Column("phase"),
        Column("takes", align="right"),
        Column("resident, at most", align="right"),
        Column("allocated, at most", align="right"),
    )
    return Grid(columns, rows)


def arena_plot(profile: Profile) -> Plot | None:
    """Arena in use after each node, in the order in which they ran."""
    peak = _arena_peak(profile)
    sizes = [item.arena_in_use_bytes for item in profile.operators]
    known = [max(0, size - peak.prepacked_bytes) for size in sizes if size is not None and peak]
    if peak is None or len(known) != len(sizes) or not any(known):
        return None
    return Plot(
        title="arena in use after each node of the first run, prepacked weights left out",
        at=tuple(index / len(known) for index in range(len(known))),
        heights=tuple(known),
        inner=(),
        marks=((0.0, f"node 1 to {len(known)} in the order in which they ran"),),
        top=format_bytes(max(known)),
    )


def arena_section(profile: Profile) -> Section | None:
    """The node at which the arena was fullest, what it held then, and what the graph says."""
    peak = _arena_peak(profile)
    if peak is None or not peak.in_use_bytes:
        return None
    rows = tuple(
        (
            name_text(tensor.producer, 48),
            name_text(tensor.op_type, 24),
            format_bytes(tensor.size_bytes),
            share_text(tensor.size_bytes, peak.in_use_bytes),
        )
        for tensor in peak.tensors[:TENSOR_COUNT]
    )
    columns = (
        Column("output of", shrinks=True, min_width=16),
        Column("operator"),
        Column("size", align="right"),
        Column("share", align="right"),
    )
    return Section(
        _peak_title(peak),
        grid=Grid(columns, rows) if rows else None,
        remarks=tuple(
            filter(None, (_held_text(peak), _static_text(profile.model.activation_peak, peak)))
        ),
    )


def _arena_peak(profile: Profile) -> ArenaPeak | None:
    return None if profile.timeline is None else profile.timeline.arena_peak


def _peak_title(peak: ArenaPeak) -> str:
    """`the peak is at /layer1/conv2 (Conv): 6.3 MiB, 37 % of it the output of ...`."""
    title = (
        f"the arena's peak is at {name_text(peak.node, 48)} ({name_text(peak.op_type, 24)}): "
        f"{format_bytes(peak.in_use_bytes)}"
    )
    if peak.tensors:
        largest = peak.tensors[0]
        share = share_text(largest.size_bytes, peak.in_use_bytes)
        title += f", {share} of it the output of {name_text(largest.producer, 48)}"
    return title


def _held_text(peak: ArenaPeak) -> str:
    parts = []
    if peak.scratch_bytes:
        parts.append(f"{format_bytes(peak.scratch_bytes)} are scratch memory of the node itself")
    rest = peak.tensors[TENSOR_COUNT:]
    if rest:
        size = sum(tensor.size_bytes for tensor in rest)
        parts.append(f"{format_bytes(size)} are in {len(rest)} smaller outputs")
    return "; ".join(parts)


def _static_text(static: ActivationPeak | None, peak: ArenaPeak) -> str:
    """The peak that `inspect` finds by liveness, and how far the measured one is from it."""
    if static is None or not static.peak_bytes:
        return ""
    difference = peak.in_use_bytes - static.peak_bytes
    inputs = sum(tensor.size_bytes for tensor in static.tensors if tensor.producer == "input")
    text = (
        f"by liveness (inspect): {format_bytes(static.peak_bytes)} at {name_text(static.node, 48)}"
        f"; measured {format_bytes(abs(difference))} {'more' if difference > 0 else 'less'} "
        f"({format_change(peak.in_use_bytes / static.peak_bytes)})"
    )
    if inputs:
        text += f"; {format_bytes(inputs)} of the former are inputs, which the arena does not hold"
    return text
