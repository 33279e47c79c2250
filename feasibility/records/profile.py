"""What was measured on one machine, with one workload."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from feasibility.records.anatomy import Anatomy, Timeline
from feasibility.records.base import (
    Bytes,
    Count,
    Method,
    Nanoseconds,
    Notice,
    Record,
    TensorSpec,
)
from feasibility.records.facts import ActivationPeak, ModelledMemory, OperatorClass
from feasibility.records.workload import Workload


class ProfiledModel(Record, frozen=True, kw_only=True):
    """The model that was measured."""

    name: Annotated[str, Meta(description="File name.")]
    path: Annotated[str, Meta(description="Path as it was given.")]
    format: Annotated[Literal["onnx", "ort"], Meta(description="File format.")] = "onnx"
    sha256: Annotated[str | None, Meta(description="Digest of the model file.")] = None
    file_bytes: Annotated[Bytes, Meta(description="Size of the model file itself.")]
    external_bytes: Annotated[Bytes, Meta(description="Size of its external data files.")] = 0
    parameter_count: Annotated[Count | None, Meta(description="Initializer elements.")] = None
    initializer_bytes: Annotated[Bytes | None, Meta(description="Initializer bytes.")] = None
    largest_initializer_bytes: Annotated[
        Bytes | None, Meta(description="Bytes of the largest initializer.")
    ] = None
    generated_bytes: Annotated[
        Bytes, Meta(description="Bytes of weights that the graph makes itself.")
    ] = 0
    weight_bytes_by_operator: Annotated[
        dict[str, int], Meta(description="Initializer bytes by the operator that reads them.")
    ] = {}
    node_count: Annotated[Count | None, Meta(description="Nodes.")] = None
    opset: Annotated[int | None, Meta(description="Version of the default operator set.")] = None
    flops: Annotated[
        Count | None, Meta(description="Operations of one inference, multiply-adds as 2.")
    ] = None
    macs: Annotated[Count | None, Meta(description="Multiply-adds of one inference.")] = None
    moved_bytes: Annotated[Bytes | None, Meta(description="Bytes moved by all nodes.")] = None
    flops_by_class: Annotated[
        dict[OperatorClass, int], Meta(description="Operations by operator class.")
    ] = {}
    moved_bytes_by_class: Annotated[
        dict[OperatorClass, int], Meta(description="Bytes moved by operator class.")
    ] = {}
    node_count_by_class: Annotated[
        dict[OperatorClass, int], Meta(description="Nodes by operator class.")
    ] = {}
    weight_dtype: Annotated[
        str | None, Meta(description="Element type that holds most initializer bytes.")
    ] = None
    custom_operators: Annotated[
        tuple[str, ...], Meta(description="Operators no standard build has, as domain:name.")
    ] = ()
    operator_types: Annotated[
        tuple[str, ...], Meta(description="Operator types used, as domain:name.")
    ] = ()
    inputs: Annotated[tuple[TensorSpec, ...], Meta(description="Declared inputs.")] = ()
    outputs: Annotated[tuple[TensorSpec, ...], Meta(description="Declared outputs.")] = ()
    per_iteration: Annotated[
        bool, Meta(description="True if a loop was counted as one iteration.")
    ] = False
    activation_peak: Annotated[
        ActivationPeak | None, Meta(description="Static activation peak.")
    ] = None
    modelled_memory: Annotated[
        tuple[ModelledMemory, ...],
        Meta(description="Memory per instruction set, modelled; empty if the graph is not known."),
    ] = ()


class Host(Record, frozen=True, kw_only=True):
    """The machine and the versions that figures belong to."""

    cpu: Annotated[str, Meta(description="Processor name.")]
    arch: Annotated[str, Meta(description="Instruction set, for example x86_64 or aarch64.")]
    core_count: Annotated[Count | None, Meta(description="Cores this process may use.")]
    memory_bytes: Annotated[Bytes | None, Meta(description="Physical memory.")]
    device: Annotated[
        str, Meta(description="Name of the device, where the source of the figures tells it.")
    ] = ""
    os: Annotated[str, Meta(description="Operating system and kernel.")]
    python: Annotated[str, Meta(description="Python version of the child.")]
    libraries: Annotated[dict[str, str], Meta(description="Library versions in the child.")] = {}
    libc: Annotated[str, Meta(description="C library, which brings the allocator.")] = ""


class Memory(Record, frozen=True, kw_only=True):
    """Memory of one allocator mode, in bytes above the baseline unless it says otherwise."""

    allocator: Annotated[
        Literal["steady", "default"],
        Meta(description="steady: trim threshold fixed, figures repeat; default: as it comes."),
    ]
    peak_source: Annotated[
        Literal["vmhwm", "sampled"],
        Meta(description="The kernel's own high-water mark, or sampling where it is not allowed."),
    ] = "vmhwm"
    baseline_bytes: Annotated[
        Bytes, Meta(description="Resident memory of the child before the session is created.")
    ]
    load_peak_bytes: Annotated[Bytes, Meta(description="Highest resident memory while loading.")]
    resident_bytes: Annotated[Bytes, Meta(description="Resident memory after loading.")]
    resident_anonymous_bytes: Annotated[
        Bytes, Meta(description="The part of it that cannot be evicted.")
    ]
    resident_file_bytes: Annotated[
        Bytes, Meta(description="The part of it that is backed by files.")
    ]
    inference_peak_bytes: Annotated[
        Bytes | None, Meta(description="Highest resident memory over all runs.")
    ] = None
    inference_anonymous_bytes: Annotated[
        Bytes | None, Meta(description="Anonymous memory after the runs.")
    ] = None
    inference_file_bytes: Annotated[
        Bytes | None, Meta(description="File-backed memory after the runs.")
    ] = None
    inference_pss_bytes: Annotated[
        Bytes | None,
        Meta(description="Proportional set size after the runs, less that of the baseline."),
    ] = None
    inference_private_dirty_bytes: Annotated[
        Bytes | None,
        Meta(description="Private dirty memory after the runs, less that of the baseline."),
    ] = None
    floor_bytes: Annotated[
        Bytes | None,
        Meta(
            description="Most that could not be evicted at any time, loading included; "
            "below it, killed."
        ),
    ] = None
    comfort_bytes: Annotated[
        Bytes | None,
        Meta(
            description="Enough for the floor and for runs with all file pages they touch; "
            "below it, thrashing."
        ),
    ] = None
    allocated_load_peak_bytes: Annotated[
        Bytes | None, Meta(description="Bytes requested from allocators at the peak of loading.")
    ] = None
    allocated_resident_bytes: Annotated[
        Bytes | None, Meta(description="Bytes requested and not freed after loading.")
    ] = None
    allocated_inference_peak_bytes: Annotated[
        Bytes | None, Meta(description="Bytes requested at the peak of the runs.")
    ] = None
    retained_bytes: Annotated[
        Bytes | None, Meta(description="Freed by the program and kept by the C allocator.")
    ] = None
    arena_held_bytes: Annotated[
        Bytes | None, Meta(description="Held by the runtime's arena after the runs.")
    ] = None
    arena_in_use_peak_bytes: Annotated[
        Bytes | None, Meta(description="Most bytes of the arena in use at any node.")
    ] = None


class DefaultAllocator(Record, frozen=True, kw_only=True):
    """Range of memory with the C library's defaults, from several fresh children.

    Each end is the lowest or highest child moved outwards by 1/(n-1) of the range, because
    the extremes of a few children lie inside those of all.
    """

    repeat_count: Annotated[Count, Meta(description="Children that were measured.")]
    load_peak_low_bytes: Annotated[Bytes, Meta(description="Lower end of the load peak.")]
    load_peak_high_bytes: Annotated[Bytes, Meta(description="Upper end of the load peak.")]
    resident_low_bytes: Annotated[
        Bytes, Meta(description="Lower end of the resident memory after load.")
    ]
    resident_high_bytes: Annotated[
        Bytes, Meta(description="Upper end of the resident memory after load.")
    ]
    inference_peak_low_bytes: Annotated[
        Bytes | None, Meta(description="Lower end of the inference peak.")
    ] = None
    inference_peak_high_bytes: Annotated[
        Bytes | None, Meta(description="Upper end of the inference peak.")
    ] = None


class GpuMemory(Record, frozen=True, kw_only=True):
    """Memory that one process held on a GPU, in bytes."""

    name: Annotated[str, Meta(description="The GPU.")]
    total_bytes: Annotated[Bytes, Meta(description="Its memory.")]
    scope: Annotated[
        Literal["process", "device"],
        Meta(
            description="process: the driver told this process's own memory; device: only that "
            "of all, from which what was used before is taken."
        ),
    ]
    context_bytes: Annotated[
        Bytes | None,
        Meta(description="The context and the libraries: what a model of one operator held."),
    ] = None
    load_peak_bytes: Annotated[Bytes, Meta(description="Most while loading, context included.")]
    resident_bytes: Annotated[Bytes, Meta(description="After loading, context included.")]
    inference_peak_bytes: Annotated[Bytes, Meta(description="Most while running, all included.")]
    weights_bytes: Annotated[
        Bytes | None, Meta(description="After loading, less the context: weights in the arena.")
    ] = None
    workspace_bytes: Annotated[
        Bytes, Meta(description="What running added: activations and workspace.")
    ]


class Latency(Record, frozen=True, kw_only=True):
    """Times of one session in one process; percentiles are nearest-rank.

    Only the median is there always: other programs' figures may hold no more.
    """

    load_ns: Annotated[Nanoseconds | None, Meta(description="Creating the session.")] = None
    first_run_ns: Annotated[Nanoseconds | None, Meta(description="The first run.")] = None
    samples_ns: Annotated[
        tuple[int, ...], Meta(description="Every measured run after the warm-up, in order.")
    ] = ()
    min_ns: Annotated[Nanoseconds | None, Meta(description="Fastest run.")] = None
    median_ns: Annotated[Nanoseconds, Meta(description="Nearest-rank median.")]
    mean_ns: Annotated[Nanoseconds | None, Meta(description="Arithmetic mean, rounded.")] = None
    stdev_ns: Annotated[
        Nanoseconds | None, Meta(description="Sample standard deviation, rounded.")
    ] = None
    p90_ns: Annotated[Nanoseconds | None, Meta(description="90th percentile.")] = None
    p95_ns: Annotated[Nanoseconds | None, Meta(description="95th percentile.")] = None
    p99_ns: Annotated[Nanoseconds | None, Meta(description="99th percentile.")] = None
    median_low_ns: Annotated[
        Nanoseconds | None,
        Meta(description="Lower end of the 95 % confidence interval of the median."),
    ] = None
    median_high_ns: Annotated[
        Nanoseconds | None,
        Meta(description="Upper end of the 95 % confidence interval of the median."),
    ] = None


class OperatorProfile(Record, frozen=True, kw_only=True):
    """Time and memory of one node as the runtime ran it, after its own optimisation."""

    node: Annotated[str, Meta(description="Node name in the optimised graph; untrusted text.")]
    op_type: Annotated[str, Meta(description="Operator, fused ones included.")]
    provider: Annotated[str, Meta(description="Execution provider that ran it.")]
    call_count: Annotated[Count, Meta(description="Calls over the profiled runs.")]
    total_ns: Annotated[Nanoseconds, Meta(description="Time of all these calls.")]
    flops: Annotated[Count | None, Meta(description="Operations per call where known.")] = None
    bytes: Annotated[
        Bytes | None, Meta(description="Bytes of its inputs, weights and outputs, per call.")
    ] = None
    arena_in_use_bytes: Annotated[
        Bytes | None, Meta(description="Arena bytes in use after this node.")
    ] = None
    run_count: Annotated[Count, Meta(description="Runs of the model these calls come from.")] = 1


class AllocatorUse(Record, frozen=True, kw_only=True):
    """What memray saw in one phase through one kind of allocator call."""

    phase: Annotated[Literal["load", "inference"], Meta(description="Phase.")]
    allocator: Annotated[str, Meta(description="Call, for example posix_memalign.")]
    peak_bytes: Annotated[Bytes, Meta(description="Bytes of it at the phase's high-water mark.")]
    allocation_count: Annotated[Count, Meta(description="Allocations alive at that moment.")]
    is_mapping: Annotated[
        bool, Meta(description="True for file and anonymous mappings, which are not heap.")
    ] = False


class Profile(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/profile/1"):
    """One model measured on one machine with one workload."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    measured_at: Annotated[str, Meta(description="UTC time, ISO 8601.")]
    method: Annotated[
        Method, Meta(description="Whether the figures were measured or measured under emulation.")
    ] = "measured"
    runner: Annotated[
        str,
        Meta(description="Where it was measured, as --on takes it; local for the same machine."),
    ] = "local"
    source: Annotated[
        str,
        Meta(
            description="Other program that took the figures, and the file they were read from; "
            "empty where feasibility took them."
        ),
    ] = ""
    model: Annotated[ProfiledModel, Meta(description="The model.")]
    host: Annotated[Host, Meta(description="The machine.")]
    workload: Annotated[Workload, Meta(description="The conditions.")]
    memory: Annotated[Memory | None, Meta(description="Steady memory figures.")] = None
    gpu: Annotated[
        GpuMemory | None, Meta(description="Memory on the GPU; null on other providers.")
    ] = None
    process_peak_bytes: Annotated[
        Bytes | None,
        Meta(
            description="Highest resident memory of the whole process, its runtime included, "
            "where another program measured only that; null otherwise."
        ),
    ] = None
    default_allocator: Annotated[
        DefaultAllocator | None, Meta(description="Range with the C library's defaults.")
    ] = None
    anatomy: Annotated[Anatomy | None, Meta(description="Where the memory is.")] = None
    timeline: Annotated[Timeline | None, Meta(description="How it got there.")] = None
    latency: Annotated[Latency | None, Meta(description="Times.")] = None
    operators: Annotated[
        tuple[OperatorProfile, ...], Meta(description="Nodes in execution order.")
    ] = ()
    allocations: Annotated[
        tuple[AllocatorUse, ...], Meta(description="What memray counted, by phase and call.")
    ] = ()
    warnings: Annotated[tuple[Notice, ...], Meta(description="What to know first.")] = ()
