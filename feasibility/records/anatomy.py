"""Where is the memory of a model, and how does it change over time? Parts and timeline."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from feasibility.records.shared_fields import Bytes, Nanoseconds, Record, doc

ChangedSetting: TypeAlias = Literal["prepacking-off", "arena-off"]
TimelinePhaseName: TypeAlias = Literal[
    "import", "load", "parse", "optimise", "prepack", "inputs", "first-run", "runs"
]


class MemoryParts(Record, frozen=True, kw_only=True):
    """One figure of the kernel, divided into parts that add up to it exactly."""

    total_bytes: Annotated[Bytes, doc("Resident memory above the baseline, counted by the kernel.")]
    weights_bytes: Annotated[
        Bytes, doc("Tensors that exist after loading, without prepacked weights.")
    ] = 0
    prepacked_bytes: Annotated[Bytes, doc("Prepacked weights: copies in a kernel's layout.")] = 0
    arena_in_use_bytes: Annotated[
        Bytes, doc("Arena in use at its peak, without prepacked weights.")
    ] = 0
    arena_idle_bytes: Annotated[Bytes, doc("Other memory that the arena touched.")] = 0
    inputs_bytes: Annotated[Bytes, doc("Inputs of the runs.")] = 0
    objects_bytes: Annotated[Bytes, doc("Heap without tensors: graph, kernels, names.")] = 0
    retained_bytes: Annotated[Bytes, doc("Freed by the program and kept by the allocator.")] = 0
    transient_bytes: Annotated[Bytes, doc("Allocated during the runs and freed by their end.")] = 0
    model_file_bytes: Annotated[Bytes, doc("Mapped pages of the model's files; evictable.")] = 0
    library_bytes: Annotated[Bytes, doc("Library pages touched after the baseline.")] = 0
    unattributed_bytes: Annotated[Bytes, doc("The rest, which no instrument explains.")] = 0


class SettingEffect(Record, frozen=True, kw_only=True):
    """Memory with one setting changed, in bytes above the baseline."""

    setting: Annotated[ChangedSetting, doc("The setting: prepacking off, or arena off.")]
    load_peak_bytes: Annotated[Bytes, doc("Highest resident memory while loading.")]
    resident_bytes: Annotated[Bytes, doc("Resident memory after loading.")]
    resident_anonymous_bytes: Annotated[Bytes, doc("Anonymous part of memory after loading.")]
    inference_peak_bytes: Annotated[Bytes, doc("Highest resident memory during the runs.")]
    inference_anonymous_bytes: Annotated[Bytes, doc("Anonymous memory after the runs.")]


class Anatomy(Record, frozen=True, kw_only=True):
    """Where the memory is, after loading and at the inference peak, with the steady allocator."""

    loaded: Annotated[MemoryParts, doc("Resident memory after loading, in parts.")]
    inference_peak: Annotated[MemoryParts | None, doc("Inference peak, in parts.")] = None
    allocated_bytes: Annotated[
        Bytes | None,
        doc("Bytes in use on the heap after loading, with headers and rounding; null if unknown."),
    ] = None
    requested_bytes: Annotated[
        Bytes | None, doc("Bytes requested and not freed after loading, counted by memray.")
    ] = None
    mapped_bytes: Annotated[
        Bytes | None, doc("Full size of mappings after loading, touched or not.")
    ] = None
    untouched_bytes: Annotated[Bytes | None, doc("Bytes allocated, but never written.")] = None
    default_retained_low_bytes: Annotated[
        Bytes | None, doc("Least memory that the default allocator retains after loading.")
    ] = None
    default_retained_high_bytes: Annotated[
        Bytes | None, doc("Most memory that the default allocator retains after loading.")
    ] = None
    settings: Annotated[tuple[SettingEffect, ...], doc("Memory with one setting changed.")] = ()


class TimelinePhase(Record, frozen=True, kw_only=True):
    """One phase of a child that loads and runs the model."""

    name: Annotated[
        TimelinePhaseName,
        doc("The phase. Loading is `parse`, `optimise` and `prepack` if the log has them."),
    ]
    begin_ns: Annotated[Nanoseconds, doc("Beginning of the phase on the timeline.")]
    end_ns: Annotated[Nanoseconds, doc("End of the phase on the timeline.")]
    resident_peak_bytes: Annotated[Bytes, doc("Highest resident memory in the phase.")]
    allocated_peak_bytes: Annotated[Bytes | None, doc("Highest heap use; null if not counted.")] = (
        None
    )


class HeldTensor(Record, frozen=True, kw_only=True):
    """A block of the arena at its peak."""

    producer: Annotated[str, doc("Node that took the block; untrusted text.")]
    op_type: Annotated[str, doc("Operator of that node.")]
    size_bytes: Annotated[Bytes, doc("Bytes, rounded up by the arena.")]


class ArenaPeak(Record, frozen=True, kw_only=True):
    """The node at which the arena was fullest in the first run, without prepacked weights."""

    node: Annotated[str, doc("Node in the optimised graph; untrusted text.")]
    op_type: Annotated[str, doc("Operator of that node.")]
    in_use_bytes: Annotated[Bytes, doc("Highest use of the arena while the node ran.")]
    prepacked_bytes: Annotated[Bytes, doc("Prepacked weights: in use before the first node.")] = 0
    scratch_bytes: Annotated[Bytes, doc("Part that this node took and freed itself.")] = 0
    tensors: Annotated[
        tuple[HeldTensor, ...],
        doc("Tensors in the arena at its peak, largest first. Names were found by size."),
    ] = ()


class Timeline(Record, frozen=True, kw_only=True):
    """Memory of one child over time, baseline included, with the steady allocator."""

    baseline_bytes: Annotated[Bytes, doc("Resident memory of the child before it loads the model.")]
    phases: Annotated[tuple[TimelinePhase, ...], doc("Phases in order, without gaps.")]
    at_ns: Annotated[tuple[int, ...], doc("Time of each point, from the start of imports.")]
    resident_bytes: Annotated[
        tuple[int, ...], doc("Resident memory at each point: the maximum of its time slice.")
    ]
    allocated_bytes: Annotated[
        tuple[int, ...] | None, doc("Bytes in use on the heap at each point; null if not counted.")
    ] = None
    arena_peak: Annotated[ArenaPeak | None, doc("The node at which the arena was fullest.")] = None
