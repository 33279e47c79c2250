"""What does a profile hold? The figures of one model on one machine with one workload."""

from __future__ import annotations

from typing import Annotated, Literal

from feasibility.records.anatomy import Anatomy, Timeline
from feasibility.records.drift import Drift
from feasibility.records.facts import ModelSummary, OperatorClass
from feasibility.records.shared_fields import (
    AllocatorSetting,
    Bytes,
    Count,
    Document,
    Method,
    Nanoseconds,
    Notice,
    Record,
    doc,
)
from feasibility.records.workload import Workload


class ProfiledModel(ModelSummary, frozen=True, kw_only=True):
    """The model that was measured."""

    weight_bytes_by_operator: Annotated[dict[str, int], doc("Weight bytes by operator.")] = {}
    flops_by_class: Annotated[dict[OperatorClass, int], doc("Operations by operator class.")] = {}
    moved_bytes_by_class: Annotated[dict[OperatorClass, int], doc("Bytes moved by class.")] = {}
    node_count_by_class: Annotated[dict[OperatorClass, int], doc("Nodes by operator class.")] = {}
    weight_dtype: Annotated[str | None, doc("Element type of most initializer bytes.")] = None
    operator_types: Annotated[tuple[str, ...], doc("Operator types used, as domain:name.")] = ()


class Host(Record, frozen=True, kw_only=True):
    """The machine that a profile was measured on, and its versions."""

    cpu: Annotated[str, doc("Processor name.")]
    arch: Annotated[str, doc("Instruction set, for example x86_64 or aarch64.")]
    core_count: Annotated[Count | None, doc("Cores that the process may use.")]
    memory_bytes: Annotated[Bytes | None, doc("Physical memory.")]
    device: Annotated[str, doc("Name of the device, if the source of the figures states it.")] = ""
    os: Annotated[str, doc("Operating system and kernel.")]
    python: Annotated[str, doc("Python version of the child.")]
    libraries: Annotated[dict[str, str], doc("Library versions in the child.")] = {}
    libc: Annotated[str, doc("C library, which contains the allocator.")] = ""


class Memory(Record, frozen=True, kw_only=True):
    """Memory with one allocator, in bytes above the baseline unless stated otherwise."""

    allocator: Annotated[
        AllocatorSetting, doc("steady: fixed trim threshold; default: glibc's default settings.")
    ]
    peak_source: Annotated[
        Literal["vmhwm", "sampled"],
        doc("vmhwm: the kernel's high-water mark; sampled: highest value that a thread read."),
    ] = "vmhwm"
    baseline_bytes: Annotated[Bytes, doc("Resident memory of the child before it loads the model.")]
    load_peak_bytes: Annotated[Bytes, doc("Highest resident memory while loading.")]
    resident_bytes: Annotated[Bytes, doc("Resident memory after loading.")]
    resident_anonymous_bytes: Annotated[Bytes, doc("Anonymous part of memory after loading.")]
    resident_file_bytes: Annotated[Bytes, doc("File-backed part of memory after loading.")]
    inference_peak_bytes: Annotated[
        Bytes | None, doc("Highest resident memory during the runs.")
    ] = None
    inference_anonymous_bytes: Annotated[Bytes | None, doc("Anonymous memory after runs.")] = None
    inference_file_bytes: Annotated[Bytes | None, doc("File-backed memory after runs.")] = None
    inference_pss_bytes: Annotated[Bytes | None, doc("Proportional set size after runs.")] = None
    inference_private_dirty_bytes: Annotated[
        Bytes | None, doc("Private dirty memory after the runs, above the baseline.")
    ] = None
    floor_bytes: Annotated[
        Bytes | None,
        doc(
            "Highest anonymous memory, loading included. With a lower limit the process is killed."
        ),
    ] = None
    comfort_bytes: Annotated[
        Bytes | None,
        doc("The higher one of floor and inference peak. With a lower limit the process thrashes."),
    ] = None
    allocated_load_peak_bytes: Annotated[
        Bytes | None, doc("Bytes requested from allocators at the peak of loading.")
    ] = None
    allocated_resident_bytes: Annotated[
        Bytes | None, doc("Bytes requested while loading and not freed.")
    ] = None
    allocated_inference_peak_bytes: Annotated[
        Bytes | None, doc("Bytes requested at the peak of the runs.")
    ] = None
    retained_bytes: Annotated[
        Bytes | None, doc("Bytes that the default allocator retains after loading.")
    ] = None
    arena_held_bytes: Annotated[Bytes | None, doc("Highest number of bytes held by the arena.")] = (
        None
    )
    arena_in_use_peak_bytes: Annotated[
        Bytes | None, doc("Highest number of bytes in use in the arena.")
    ] = None

    @property
    def peak_bytes(self) -> int:
        """Highest resident memory while loading and running."""
        return max(self.load_peak_bytes, self.inference_peak_bytes or self.resident_bytes)


class DefaultAllocator(Record, frozen=True, kw_only=True):
    """Range of memory with the default allocator, from several children.

    The range is wider than the figures of the n children: each end is moved outwards by 1/(n-1) of
    their range, because a few children do not reach the extremes.
    """

    repeat_count: Annotated[Count, doc("Number of children.")]
    load_peak_low_bytes: Annotated[Bytes, doc("Low end of the load peak.")]
    load_peak_high_bytes: Annotated[Bytes, doc("High end of the load peak.")]
    resident_low_bytes: Annotated[Bytes, doc("Low end of resident memory after loading.")]
    resident_high_bytes: Annotated[Bytes, doc("High end of resident memory after loading.")]
    inference_peak_low_bytes: Annotated[Bytes | None, doc("Low end of the inference peak.")] = None
    inference_peak_high_bytes: Annotated[Bytes | None, doc("High end of the inference peak.")] = (
        None
    )


class GpuMemory(Record, frozen=True, kw_only=True):
    """Memory that one process held on a GPU, in bytes."""

    name: Annotated[str, doc("Name of the GPU.")]
    total_bytes: Annotated[Bytes, doc("Memory of the GPU.")]
    scope: Annotated[
        Literal["process", "device"],
        doc("process: memory of this process; device: increase of the whole GPU's memory."),
    ]
    context_bytes: Annotated[
        Bytes | None,
        doc("Memory of CUDA context and libraries, measured with a model of one operator."),
    ] = None
    load_peak_bytes: Annotated[Bytes, doc("Highest memory while loading, context included.")]
    resident_bytes: Annotated[Bytes, doc("Memory after loading, context included.")]
    inference_peak_bytes: Annotated[Bytes, doc("Highest memory while running, context included.")]
    weights_bytes: Annotated[Bytes | None, doc("Memory after loading without the context.")] = None
    workspace_bytes: Annotated[Bytes, doc("Memory that running added: activations and workspace.")]

    @property
    def peak_bytes(self) -> int:
        """Highest memory while loading and running."""
        return max(self.load_peak_bytes, self.inference_peak_bytes)


class Latency(Record, frozen=True, kw_only=True):
    """Times of one process; percentiles are nearest-rank.

    Imported figures may hold the median only.
    """

    load_ns: Annotated[Nanoseconds | None, doc("Time to create the session.")] = None
    first_run_ns: Annotated[Nanoseconds | None, doc("Time of the first run.")] = None
    samples_ns: Annotated[tuple[int, ...], doc("Time of each run after warm-up, in order.")] = ()
    min_ns: Annotated[Nanoseconds | None, doc("Time of the fastest run.")] = None
    median_ns: Annotated[Nanoseconds, doc("Nearest-rank median.")]
    mean_ns: Annotated[Nanoseconds | None, doc("Arithmetic mean, rounded.")] = None
    stdev_ns: Annotated[Nanoseconds | None, doc("Sample standard deviation, rounded.")] = None
    p90_ns: Annotated[Nanoseconds | None, doc("90th percentile.")] = None
    p95_ns: Annotated[Nanoseconds | None, doc("95th percentile.")] = None
    p99_ns: Annotated[Nanoseconds | None, doc("99th percentile.")] = None
    median_low_ns: Annotated[
        Nanoseconds | None, doc("Lower end of the 95 % confidence interval of the median.")
    ] = None
    median_high_ns: Annotated[
        Nanoseconds | None, doc("Upper end of the 95 % confidence interval of the median.")
    ] = None


class OperatorProfile(Record, frozen=True, kw_only=True):
    """Time and memory of one node in the optimised graph."""

    node: Annotated[str, doc("Node name in the optimised graph; untrusted text.")]
    op_type: Annotated[str, doc("Operator, fused ones included.")]
    provider: Annotated[str, doc("Execution provider that ran the node.")]
    call_count: Annotated[Count, doc("Calls in the profiled runs.")]
    total_ns: Annotated[Nanoseconds, doc("Time of all calls together.")]
    flops: Annotated[Count | None, doc("Operations per call, if known.")] = None
    bytes: Annotated[Bytes | None, doc("Bytes of inputs, weights and outputs, per call.")] = None
    arena_in_use_bytes: Annotated[Bytes | None, doc("Arena bytes in use after this node.")] = None
    run_count: Annotated[Count, doc("Number of profiled runs.")] = 1


class AllocatorUse(Record, frozen=True, kw_only=True):
    """Allocations of one kind of call in one phase, counted by memray."""

    phase: Annotated[Literal["load", "inference"], doc("Phase.")]
    allocator: Annotated[str, doc("Call, for example posix_memalign.")]
    peak_bytes: Annotated[Bytes, doc("Bytes of these allocations at the peak of the heap.")]
    allocation_count: Annotated[Count, doc("Number of these allocations.")]
    is_mapping: Annotated[bool, doc("True for mappings, which are not heap.")] = False


class Conversion(Record, frozen=True, kw_only=True):
    """How a model was written in the format of its engine, in processes of their own."""

    duration_ns: Annotated[Nanoseconds, doc("Time of the conversion.")]
    peak_bytes: Annotated[Bytes, doc("Highest memory of the process, its libraries included.")]
    file_bytes: Annotated[Bytes, doc("Size of all files that it wrote.")]
    drift: Annotated[Drift, doc("Outputs against those of ONNX Runtime with the original.")]


class Profile(Document, frozen=True, kw_only=True, tag="feasibility/profile/1"):
    """One model on one machine with one workload, or only read (`method` is projected)."""

    measured_at: Annotated[str, doc("UTC time of the measurement or reading, ISO 8601.")]
    method: Annotated[
        Method,
        doc(
            "measured; emulated: measured under emulation; "
            "projected: not run, figures come from the graph alone."
        ),
    ] = "measured"
    runner: Annotated[str, doc("Runner as --on takes it; local for this machine.")] = "local"
    source: Annotated[str, doc("Program and file of imported figures; otherwise empty.")] = ""
    model: Annotated[ProfiledModel, doc("The model.")]
    host: Annotated[Host, doc("The machine and its versions.")]
    workload: Annotated[Workload, doc("Dims, inputs, threads and number of runs.")]
    memory: Annotated[Memory | None, doc("Memory with the steady allocator.")] = None
    conversion: Annotated[
        Conversion | None, doc("Conversion for the engine; null if it reads the model itself.")
    ] = None
    gpu: Annotated[GpuMemory | None, doc("Memory on the GPU; null for other providers.")] = None
    process_peak_bytes: Annotated[
        Bytes | None,
        doc("Highest resident memory of the whole process, if a report has only this figure."),
    ] = None
    default_allocator: Annotated[
        DefaultAllocator | None, doc("Range of memory with the default allocator.")
    ] = None
    anatomy: Annotated[Anatomy | None, doc("Where the memory is.")] = None
    timeline: Annotated[Timeline | None, doc("Memory over time.")] = None
    latency: Annotated[Latency | None, doc("Times of loading and running.")] = None
    operators: Annotated[tuple[OperatorProfile, ...], doc("Nodes in execution order.")] = ()
    allocations: Annotated[tuple[AllocatorUse, ...], doc("Allocations by phase and call.")] = ()
    warnings: Annotated[tuple[Notice, ...], doc("Warnings about the figures.")] = ()
