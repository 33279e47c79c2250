"""What does a device file say? Each figure has its source."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.shared_fields import Count, Document, Record, doc
from feasibility.records.shared_fields import Isa as Isa  # noqa: PLC0414  (part of this module)

Kind: TypeAlias = Literal["phone", "tablet", "sbc", "laptop", "desktop", "server"]
Role: TypeAlias = Literal["foreground", "background", "extension", "headless", "service"]
Allocator: TypeAlias = Literal["glibc", "scudo", "apple", "windows"]
Processor: TypeAlias = Literal["cpu", "gpu"]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]

UNVERIFIED: Final = "unverified"
# Driver, display and fragmentation use some of a GPU's memory.
GPU_USABLE_RATIO: Final = 0.9


class Figure(Record, frozen=True, kw_only=True):
    """One figure of a device and its source."""

    value: Annotated[
        Count, doc("The number. Its unit is the end of the field's name, for example bytes.")
    ]
    source: Annotated[str, doc("Where the figure was read; `unverified` if nobody published it.")]
    note: Annotated[str, doc("How the figure was computed, or a remark.")] = ""

    @property
    def is_verified(self) -> bool:
        """True if the figure was published or measured."""
        return self.source != UNVERIFIED


class Cluster(Record, frozen=True, kw_only=True):
    """CPU cores of one type at one clock."""

    core: Annotated[str, doc("Microarchitecture, for example cortex-a76.")]
    core_count: Annotated[Figure, doc("Number of cores.")]
    clock_hz: Annotated[Figure, doc("Clock under load.")]
    flop_per_cycle: Annotated[
        Figure, doc("fp32 operations per core cycle; a multiply-add counts as 2.")
    ]

    @property
    def core_flops_per_s(self) -> int:
        """Peak fp32 operations per second of one core."""
        return self.clock_hz.value * self.flop_per_cycle.value


class Cpu(Record, frozen=True, kw_only=True):
    """The CPU."""

    soc: Annotated[str, doc("Name of the chip.")]
    clusters: Annotated[tuple[Cluster, ...], doc("Cores by type, fastest first.")]
    features: Annotated[tuple[str, ...], doc("Instruction set extensions that kernels use.")] = ()


class Grant(Record, frozen=True, kw_only=True):
    """Memory limit of one process in one role."""

    role: Annotated[Role, doc("Role of the process.")]
    memory_bytes: Annotated[Figure, doc("Memory that the process may use before it is killed.")]
    reason: Annotated[str, doc("Reason for the limit, as a clause of a sentence.")]


class DeviceMemory(Record, frozen=True, kw_only=True):
    """Main memory."""

    total_bytes: Annotated[Figure, doc("Installed memory.")]
    bandwidth_bytes_per_s: Annotated[Figure | None, doc("Peak rate of the memory bus.")] = None
    grants: Annotated[tuple[Grant, ...], doc("Memory limit of one process, by role.")]


class Gpu(Record, frozen=True, kw_only=True):
    """A graphics processor."""

    name: Annotated[str, doc("Name.")]
    memory_bytes: Annotated[
        Figure | None, doc("Memory of the GPU; null if it shares main memory.")
    ] = None
    bandwidth_bytes_per_s: Annotated[Figure | None, doc("Peak rate of the GPU's memory.")] = None
    fp32_flops_per_s: Annotated[Figure | None, doc("Peak fp32 rate.")] = None
    fp16_flops_per_s: Annotated[Figure | None, doc("Peak fp16 rate of the matrix units.")] = None
    launch_ns: Annotated[Figure | None, doc("Shortest time to start one kernel.")] = None
    context_bytes: Annotated[Figure | None, doc("Memory before the first tensor.")] = None


class Npu(Record, frozen=True, kw_only=True):
    """A neural accelerator. Reports quote published times for it; times are not projected."""

    name: Annotated[str, doc("Name.")]
    int8_ops_per_s: Annotated[Figure | None, doc("Advertised int8 rate.")] = None


class Limits(Record, frozen=True, kw_only=True):
    """Default limits and target of an application on the device."""

    runtime_bytes: Annotated[
        Figure, doc("Resident memory of the runtime and of the program around it.")
    ]
    model_storage_bytes: Annotated[Figure | None, doc("Largest size of a model's files.")] = None
    latency_ns: Annotated[Figure | None, doc("Default target for one inference.")] = None


class Price(Record, frozen=True, kw_only=True):
    """Rent of the machine."""

    hourly_microusd: Annotated[Figure, doc("Price per hour, in millionths of a US dollar.")]
    as_of: Annotated[str, doc("Date of the price, ISO 8601: a month or a day.")]


class Anchor(Record, frozen=True, kw_only=True):
    """A latency that was measured on the device, with the work of the model."""

    model: Annotated[str, doc("File name of the model.")]
    latency_ns: Annotated[int, Meta(gt=0, description="Measured latency.")]
    threads: Annotated[int, Meta(ge=1, description="Threads of the measurement.")] = 1
    runtime: Annotated[str, doc("Runtime of the measurement.")] = "onnxruntime"
    precision: Annotated[Precision, doc("Precision of the arithmetic.")] = "fp32"
    measured_on: Annotated[str, doc("Date, ISO 8601; empty if unknown.")] = ""
    operations: Annotated[
        dict[str, int], doc("Operations by kind of work; a multiply-add counts as 2.")
    ]
    activation_count: Annotated[Count, doc("Elements of activations, read and written.")] = 0
    weight_count: Annotated[Count, doc("Weights that one inference uses many times.")] = 0
    vector_weight_count: Annotated[Count, doc("Weights that one inference uses once.")] = 0
    layer_count: Annotated[Count, doc("Number of layers.")] = 0


class Rates(Record, frozen=True, kw_only=True):
    """Rates for one number of threads, measured with small models on the device."""

    thread_count: Annotated[int, Meta(ge=1, description="Threads of the measurement.")]
    operations_per_s: Annotated[
        dict[str, Figure], doc("Rate by kind of work; a multiply-add counts as 2.")
    ]
    activation_bytes_per_s: Annotated[Figure, doc("Rate of activations between layers, in caches.")]
    bandwidth_bytes_per_s: Annotated[Figure, doc("Rate of data larger than the caches.")]
    layer_ns: Annotated[Figure, doc("Time to start one layer.")]


class MeasuredMachine(Record, frozen=True, kw_only=True):
    """Rates that `devices this` measured; projections for the device use them."""

    runtime: Annotated[str, doc("Runtime, with the name in profiles.")]
    processor: Annotated[str, doc("Processor, with the name in profiles.")]
    core_count: Annotated[int, Meta(ge=1, description="Cores that a process could use.")]
    cache_bytes: Annotated[Figure | None, doc("Last cache before main memory.")] = None
    rates: Annotated[tuple[Rates, ...], doc("Rates by number of threads, one thread first.")]


class Device(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/device/1"):
    """A device where a model may run."""

    id: Annotated[str, doc("Id, also the name of the file.")]
    name: Annotated[str, doc("Display name.")]
    kind: Annotated[Kind, doc("Kind of device.")]
    aliases: Annotated[tuple[str, ...], doc("Other names that users type.")] = ()
    os: Annotated[str, doc("Operating system.")]
    isa: Annotated[Isa, doc("Instruction set.")]
    allocator: Annotated[
        Allocator, doc("Allocator of the C library; retained memory depends on it.")
    ]
    runs_on: Annotated[Processor, doc("Processor that runs the models.")] = "cpu"
    role: Annotated[Role, doc("Default role of the process.")]
    cpu: Annotated[Cpu | None, doc("Processor; null for an accelerator.")] = None
    memory: Annotated[DeviceMemory | None, doc("Main memory; null for an accelerator.")] = None
    gpu: Annotated[Gpu | None, doc("Graphics processor.")] = None
    npu: Annotated[Npu | None, doc("Neural accelerator.")] = None
    limits: Annotated[Limits, doc("Default limits and target of an application.")]
    power_mw: Annotated[Figure | None, doc("Highest power under load, in milliwatts.")] = None
    price: Annotated[Price | None, doc("Rent; null if unknown.")] = None
    runtimes: Annotated[tuple[str, ...], doc("Runtimes that are used on the device.")] = ()
    anchors: Annotated[tuple[Anchor, ...], doc("Latencies measured on the device.")] = ()
    measured: Annotated[MeasuredMachine | None, doc("Rates that `devices this` measured.")] = None
    origin: Annotated[str, doc("Path of the device file; empty if there is none.")] = ""

    def grant(self, role: Role | None = None) -> Grant | None:
        """Memory limit of a process in this role; the device's role by default.

        A role that the file does not have gets its smallest limit, because it is unlikely
        to get more than the known roles.
        """
        if self.memory is None or not self.memory.grants:
            return None
        wanted = role or self.role
        for grant in self.memory.grants:
            if grant.role == wanted:
                return grant
        return min(self.memory.grants, key=lambda grant: grant.memory_bytes.value)

    def usable_bytes(self, role: Role | None = None) -> int | None:
        """Memory for a model and its runtime: the GPU's own memory, else the limit of the role."""
        if self.runs_on == "gpu" and self.gpu is not None and self.gpu.memory_bytes is not None:
            return round(self.gpu.memory_bytes.value * GPU_USABLE_RATIO)
        grant = self.grant(role)
        return grant.memory_bytes.value if grant else None


class Catalogue(Document, frozen=True, kw_only=True, tag="feasibility/catalogue/1"):
    """The result of `devices list` and of `devices validate FILE`."""

    devices: Annotated[tuple[Device, ...], doc("The devices.")]
