"""A device as its catalogue file describes it, each figure with its source."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Isa as Isa  # noqa: PLC0414  (part of this module)
from feasibility.records.base import Record

Kind: TypeAlias = Literal["phone", "tablet", "sbc", "laptop", "desktop", "server"]
Role: TypeAlias = Literal["foreground", "background", "extension", "headless", "service"]
Allocator: TypeAlias = Literal["glibc", "scudo", "apple", "windows"]
Processor: TypeAlias = Literal["cpu", "gpu"]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]

UNVERIFIED: Final = "unverified"
# Driver, display and fragmentation keep some of a GPU's memory from one process.
GPU_USABLE_RATIO: Final = 0.9


class Figure(Record, frozen=True, kw_only=True):
    """One number of a device and where it was read."""

    value: Annotated[int, Meta(ge=0, description="The number, in the unit its field's name ends.")]
    source: Annotated[
        str, Meta(description="Where it was read, or `unverified` where that is not known.")
    ]
    note: Annotated[str, Meta(description="How it follows from the source, or a caveat.")] = ""

    @property
    def is_verified(self) -> bool:
        """True if somebody published the number or measured it."""
        return self.source != UNVERIFIED


class Cluster(Record, frozen=True, kw_only=True):
    """CPU cores of one kind at one clock."""

    core: Annotated[str, Meta(description="Microarchitecture, for example cortex-a76.")]
    core_count: Annotated[Figure, Meta(description="Cores.")]
    clock_hz: Annotated[Figure, Meta(description="Clock under load.")]
    flop_per_cycle: Annotated[
        Figure, Meta(description="fp32 operations per core and cycle, a multiply-add as 2.")
    ]

    @property
    def core_flops_per_s(self) -> int:
        """Peak fp32 operations per second of one core."""
        return self.clock_hz.value * self.flop_per_cycle.value


class Cpu(Record, frozen=True, kw_only=True):
    """The processor that the default provider runs on."""

    soc: Annotated[str, Meta(description="Chip.")]
    clusters: Annotated[tuple[Cluster, ...], Meta(description="Cores by kind, fastest first.")]
    features: Annotated[
        tuple[str, ...], Meta(description="Instruction set extensions that kernels use.")
    ] = ()


class Grant(Record, frozen=True, kw_only=True):
    """Memory that the system leaves to one process in one role."""

    role: Annotated[Role, Meta(description="What the process is to the system.")]
    memory_bytes: Annotated[Figure, Meta(description="What it may use before it is killed.")]
    reason: Annotated[str, Meta(description="Why that much, as a clause of a sentence.")]


class DeviceMemory(Record, frozen=True, kw_only=True):
    """Main memory."""

    total_bytes: Annotated[Figure, Meta(description="Memory that is fitted.")]
    bandwidth_bytes_per_s: Annotated[
        Figure | None, Meta(description="Peak transfer rate of the memory bus.")
    ] = None
    grants: Annotated[tuple[Grant, ...], Meta(description="What one process gets, by role.")]


class Gpu(Record, frozen=True, kw_only=True):
    """A graphics processor."""

    name: Annotated[str, Meta(description="Name.")]
    memory_bytes: Annotated[
        Figure | None, Meta(description="Its own memory; null where it shares the main memory.")
    ] = None
    bandwidth_bytes_per_s: Annotated[
        Figure | None, Meta(description="Peak transfer rate of its memory.")
    ] = None
    fp32_flops_per_s: Annotated[Figure | None, Meta(description="Peak fp32 rate.")] = None
    fp16_flops_per_s: Annotated[
        Figure | None, Meta(description="Peak dense fp16 rate, matrix units included.")
    ] = None
    launch_ns: Annotated[
        Figure | None, Meta(description="Time that starting one kernel takes at least.")
    ] = None
    context_bytes: Annotated[
        Figure | None, Meta(description="Memory a process needs before the first tensor.")
    ] = None


class Npu(Record, frozen=True, kw_only=True):
    """A neural accelerator; what it can run is looked up, not computed."""

    name: Annotated[str, Meta(description="Name.")]
    int8_ops_per_s: Annotated[Figure | None, Meta(description="Advertised int8 rate.")] = None


class Limits(Record, frozen=True, kw_only=True):
    """What an application on the device is held to unless its author says otherwise."""

    runtime_bytes: Annotated[
        Figure, Meta(description="Resident memory of the runtime's library and its caller.")
    ]
    model_storage_bytes: Annotated[
        Figure | None, Meta(description="Storage that a model may take; null for no limit.")
    ] = None
    latency_ns: Annotated[
        Figure | None, Meta(description="Latency that one inference may take; null for no limit.")
    ] = None


class Price(Record, frozen=True, kw_only=True):
    """What a machine like this is rented for."""

    hourly_microusd: Annotated[Figure, Meta(description="Per hour, in millionths of a US dollar.")]
    as_of: Annotated[str, Meta(description="Date it was read, ISO 8601; a month will do.")]


class Anchor(Record, frozen=True, kw_only=True):
    """One model that was measured on the device itself, with the work it does there."""

    model: Annotated[str, Meta(description="File name of the model.")]
    latency_ns: Annotated[int, Meta(gt=0, description="Latency that was measured.")]
    threads: Annotated[int, Meta(ge=1, description="Threads it was measured with.")] = 1
    runtime: Annotated[str, Meta(description="Runtime it was measured with.")] = "onnxruntime"
    precision: Annotated[Precision, Meta(description="Arithmetic that was done.")] = "fp32"
    measured_on: Annotated[str, Meta(description="Date, ISO 8601; empty if not stated.")] = ""
    operations: Annotated[
        dict[str, int], Meta(description="Operations by kind of work, multiply-adds as 2.")
    ]
    activation_count: Annotated[
        int, Meta(ge=0, description="Elements of activations read and written.")
    ] = 0
    weight_count: Annotated[int, Meta(ge=0, description="Weights used many times each.")] = 0
    vector_weight_count: Annotated[int, Meta(ge=0, description="Weights used once.")] = 0
    layer_count: Annotated[int, Meta(ge=0, description="Layers that are dispatched.")] = 0


class Rates(Record, frozen=True, kw_only=True):
    """What one number of threads sustains on the device, measured with small models there."""

    thread_count: Annotated[int, Meta(ge=1, description="Threads they were measured with.")]
    operations_per_s: Annotated[
        dict[str, Figure],
        Meta(description="Operations by kind of work, a multiply-add as 2, per second."),
    ]
    activation_bytes_per_s: Annotated[
        Figure, Meta(description="Activations moved between layers, in caches.")
    ]
    bandwidth_bytes_per_s: Annotated[Figure, Meta(description="What no cache holds.")]
    layer_ns: Annotated[Figure, Meta(description="Dispatching one layer.")]


class MeasuredMachine(Record, frozen=True, kw_only=True):
    """What was measured on the device itself, from which projections for it are made."""

    runtime: Annotated[str, Meta(description="Runtime, as profiles name it.")]
    processor: Annotated[str, Meta(description="Processor, as profiles of it name it.")]
    core_count: Annotated[int, Meta(ge=1, description="Cores a process could use.")]
    cache_bytes: Annotated[
        Figure | None, Meta(description="Last cache before main memory; null unknown.")
    ] = None
    rates: Annotated[
        tuple[Rates, ...], Meta(description="Rates by number of threads, one thread first.")
    ]


class Device(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/device/1"):
    """One place where a model might run."""

    id: Annotated[str, Meta(description="Identifier, also the file name.")]
    name: Annotated[str, Meta(description="Name for people.")]
    kind: Annotated[Kind, Meta(description="What sort of device it is.")]
    aliases: Annotated[tuple[str, ...], Meta(description="Other names people type.")] = ()
    os: Annotated[str, Meta(description="Operating system.")]
    isa: Annotated[Isa, Meta(description="Instruction set.")]
    allocator: Annotated[
        Allocator, Meta(description="C library allocator, which decides how much is kept.")
    ]
    runs_on: Annotated[
        Processor, Meta(description="Processor that models are projected to run on.")
    ] = "cpu"
    role: Annotated[Role, Meta(description="Role of the process unless another is asked for.")]
    cpu: Annotated[Cpu | None, Meta(description="Processor; null for a bare accelerator.")] = None
    memory: Annotated[
        DeviceMemory | None, Meta(description="Main memory; null for a bare accelerator.")
    ] = None
    gpu: Annotated[Gpu | None, Meta(description="Graphics processor.")] = None
    npu: Annotated[Npu | None, Meta(description="Neural accelerator.")] = None
    limits: Annotated[Limits, Meta(description="What an application is held to.")]
    power_mw: Annotated[
        Figure | None, Meta(description="Most it draws under load, in milliwatts; null unknown.")
    ] = None
    price: Annotated[Price | None, Meta(description="What renting it costs; null unknown.")] = None
    runtimes: Annotated[tuple[str, ...], Meta(description="Runtimes people use on it.")] = ()
    anchors: Annotated[
        tuple[Anchor, ...], Meta(description="Models that were measured on the device itself.")
    ] = ()
    measured: Annotated[
        MeasuredMachine | None,
        Meta(description="What `devices this` measured on it; null if it never ran there."),
    ] = None
    origin: Annotated[str, Meta(description="File it was read from; empty if made in memory.")] = ""

    def grant(self, role: Role | None = None) -> Grant | None:
        """What the system leaves to a process in this role.

        A role that the file does not mention gets the smallest of those that it does:
        a system that restricts any process restricts an unusual one no less.
        """
        if self.memory is None or not self.memory.grants:
            return None
        wanted = role or self.role
        for grant in self.memory.grants:
            if grant.role == wanted:
                return grant
        return min(self.memory.grants, key=lambda grant: grant.memory_bytes.value)

    def usable_bytes(self, role: Role | None = None) -> int | None:
        """What a model and its runtime may use there: of a GPU's own memory, else of the grant."""
        if self.runs_on == "gpu" and self.gpu is not None and self.gpu.memory_bytes is not None:
            return round(self.gpu.memory_bytes.value * GPU_USABLE_RATIO)
        grant = self.grant(role)
        return grant.memory_bytes.value if grant else None
