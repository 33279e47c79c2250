"""Where the memory of a measured model is, and how it got there."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Bytes, Nanoseconds, Record

ChangedSetting: TypeAlias = Literal["prepacking-off", "arena-off"]
TimelinePhaseName: TypeAlias = Literal[
    "import", "load", "parse", "optimise", "prepack", "inputs", "first-run", "runs"
]


class MemoryParts(Record, frozen=True, kw_only=True):
    """The kernel's figure at one moment, divided; the parts add up to the total exactly."""

    total_bytes: Annotated[
        Bytes, Meta(description="Resident memory above the baseline, as the kernel counts it.")
    ]
    weights_bytes: Annotated[
        Bytes,
        Meta(description="Weights in the process's own memory, in the form that nodes read."),
    ] = 0
    prepacked_bytes: Annotated[
        Bytes, Meta(description="Weights that kernels re-laid for themselves while loading.")
    ] = 0
    arena_in_use_bytes: Annotated[
        Bytes, Meta(description="The runtime's arena: what the fullest node had in use.")
    ] = 0
    arena_idle_bytes: Annotated[
        Bytes, Meta(description="The runtime's arena: held and touched beyond that.")
    ] = 0
    inputs_bytes: Annotated[Bytes, Meta(description="Inputs that the caller holds.")] = 0
    objects_bytes: Annotated[
        Bytes,
        Meta(description="Graph, kernels and everything else on the heap that is no tensor."),
    ] = 0
    retained_bytes: Annotated[
        Bytes, Meta(description="Freed by the program and kept by the C allocator.")
    ] = 0
    transient_bytes: Annotated[
        Bytes, Meta(description="Taken during the runs and given back to the kernel by their end.")
    ] = 0
    model_file_bytes: Annotated[
        Bytes, Meta(description="Mapped pages of the model's files; the kernel can evict them.")
    ] = 0
    library_bytes: Annotated[
        Bytes, Meta(description="Pages of libraries touched since the baseline, code and data.")
    ] = 0
    unattributed_bytes: Annotated[
        Bytes, Meta(description="What none of the instruments accounts for.")
    ] = 0


class SettingEffect(Record, frozen=True, kw_only=True):
    """Memory with one setting changed and everything else alike, above the baseline."""

    setting: Annotated[
        ChangedSetting,
        Meta(description="Prepacking of weights switched off, or the runtime's arena."),
    ]
    load_peak_bytes: Annotated[Bytes, Meta(description="Highest resident memory while loading.")]
    resident_bytes: Annotated[Bytes, Meta(description="Resident memory after loading.")]
    resident_anonymous_bytes: Annotated[
        Bytes, Meta(description="The part of it that cannot be evicted.")
    ]
    inference_peak_bytes: Annotated[
        Bytes, Meta(description="Highest resident memory over all runs.")
    ]
    inference_anonymous_bytes: Annotated[
        Bytes, Meta(description="Anonymous memory after the runs.")
    ]


class Anatomy(Record, frozen=True, kw_only=True):
    """Where the memory is after loading and at the inference peak, allocator steady."""

    loaded: Annotated[MemoryParts, Meta(description="After loading.")]
    inference_peak: Annotated[
        MemoryParts | None, Meta(description="At the highest point of all runs.")
    ] = None
    allocated_bytes: Annotated[
        Bytes | None,
        Meta(
            description="In use on the heap after loading as the C library counts it, its own "
            "headers and rounding included; null where it does not tell."
        ),
    ] = None
    requested_bytes: Annotated[
        Bytes | None, Meta(description="The same as memray counts it: what was asked for.")
    ] = None
    mapped_bytes: Annotated[
        Bytes | None,
        Meta(description="Mappings of loading that are kept, in full size whether touched or not."),
    ] = None
    untouched_bytes: Annotated[
        Bytes | None,
        Meta(description="Allocated and never written to, so that no memory stands behind it."),
    ] = None
    default_retained_low_bytes: Annotated[
        Bytes | None,
        Meta(description="Least that the C allocator keeps after loading with its defaults."),
    ] = None
    default_retained_high_bytes: Annotated[
        Bytes | None, Meta(description="Most that it keeps then.")
    ] = None
    settings: Annotated[
        tuple[SettingEffect, ...], Meta(description="Memory with one setting changed.")
    ] = ()


class TimelinePhase(Record, frozen=True, kw_only=True):
    """One phase of a process that loads and runs the model."""

    name: Annotated[
        TimelinePhaseName,
        Meta(
            description="`parse`, `optimise` and `prepack` where the runtime's log tells them "
            "apart, `load` where it does not."
        ),
    ]
    begin_ns: Annotated[Nanoseconds, Meta(description="Its beginning on the timeline.")]
    end_ns: Annotated[Nanoseconds, Meta(description="Its end.")]
    resident_peak_bytes: Annotated[
        Bytes, Meta(description="Highest resident memory that was seen in it.")
    ]
    allocated_peak_bytes: Annotated[
        Bytes | None, Meta(description="Most in use on the heap; null where that is not told.")
    ] = None


class HeldTensor(Record, frozen=True, kw_only=True):
    """Arena memory that one node took and that was still held at the peak."""

    producer: Annotated[str, Meta(description="Node that took it; untrusted text.")]
    op_type: Annotated[str, Meta(description="Operator of that node.")]
    size_bytes: Annotated[Bytes, Meta(description="Bytes, as the arena rounds them.")]


class ArenaPeak(Record, frozen=True, kw_only=True):
    """The node at which the arena was fullest in the first run, prepacked weights left out."""

    node: Annotated[str, Meta(description="Node in the optimised graph; untrusted text.")]
    op_type: Annotated[str, Meta(description="Operator of that node.")]
    in_use_bytes: Annotated[Bytes, Meta(description="Arena in use while it ran, at most.")]
    prepacked_bytes: Annotated[
        Bytes, Meta(description="What was in use before the first node: prepacked weights.")
    ] = 0
    scratch_bytes: Annotated[
        Bytes, Meta(description="The part that this node took and freed itself.")
    ] = 0
    tensors: Annotated[
        tuple[HeldTensor, ...],
        Meta(
            description="Outputs held then, largest first. Which output was freed when follows "
            "from sizes, since the runtime does not name it."
        ),
    ] = ()


class Timeline(Record, frozen=True, kw_only=True):
    """Memory of one process over time; the steady allocator, the whole process."""

    baseline_bytes: Annotated[
        Bytes, Meta(description="Resident memory when the session began to be created.")
    ]
    phases: Annotated[tuple[TimelinePhase, ...], Meta(description="Phases, without gaps.")]
    at_ns: Annotated[
        tuple[int, ...], Meta(description="Time of each point since the libraries' import began.")
    ]
    resident_bytes: Annotated[
        tuple[int, ...],
        Meta(description="Highest resident memory between this point and the next."),
    ]
    allocated_bytes: Annotated[
        tuple[int, ...] | None,
        Meta(description="In use on the heap at that moment; null where the C library is mute."),
    ] = None
    arena_peak: Annotated[
        ArenaPeak | None, Meta(description="The node at which the arena was fullest.")
    ] = None
