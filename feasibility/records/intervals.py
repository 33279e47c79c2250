"""What does a projected figure hold? Memory, time, energy and cost as intervals; the network."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from feasibility.records.shared_fields import Bytes, Count, Method, Nanoseconds, Ratio, Record, doc

MemoryBasisCode: TypeAlias = Literal[
    "same-isa", "other-isa", "graph", "gpu", "measured-gpu", "whole-process", "not-measured"
]
LatencyBasisCode: TypeAlias = Literal[
    "fitted", "measured-rates", "host-latency", "unknown-work", "unknown-work-gpu", "no-processor"
]


WideningCode: TypeAlias = Literal["other runtime", "other model", "estimated work"]


class MemoryBasis(Record, frozen=True, kw_only=True):
    """The figures and the method that a memory figure was computed with."""

    code: Annotated[MemoryBasisCode, doc("Method of the computation.")]
    isa: Annotated[str, doc("Instruction set of the device.")] = ""
    measured_isa: Annotated[str, doc("Instruction set that was measured.")] = ""
    measured_on: Annotated[str, doc("Measured GPU, or program that measured.")] = ""
    load_bytes: Annotated[Bytes | None, doc("Likely memory while loading.")] = None
    run_bytes: Annotated[Bytes | None, doc("Likely memory while running.")] = None
    load_change_bytes: Annotated[
        int | None, doc("Modelled difference between the instruction sets while loading.")
    ] = None
    run_change_bytes: Annotated[
        int | None, doc("Modelled difference between the instruction sets while running.")
    ] = None
    parts_bytes: Annotated[dict[str, int], doc("Parts of the memory while running, by name.")] = {}
    is_default_allocator: Annotated[
        bool, doc("True if the upper end is for glibc's default allocator.")
    ] = False


class BytesInterval(Record, frozen=True, kw_only=True):
    """Memory on a device and its limit."""

    low_bytes: Annotated[Bytes | None, doc("Lower end.")] = None
    likely_bytes: Annotated[Bytes | None, doc("Most likely value.")] = None
    high_bytes: Annotated[Bytes | None, doc("Upper end.")] = None
    budget_bytes: Annotated[Bytes | None, doc("Limit for the model and its runtime.")] = None
    runtime_bytes: Annotated[Bytes | None, doc("Memory of the runtime itself.")] = None
    method: Annotated[Method, doc("How the figures were obtained.")] = "projected"
    basis: Annotated[MemoryBasis | None, doc("How the figures were computed.")] = None
    explanation: Annotated[str, doc("The basis in sentences.")] = ""


class NpuTimes(Record, frozen=True, kw_only=True):
    """Published times of models with the same name on the NPU of a device."""

    low_ns: Annotated[Nanoseconds, doc("Fastest time.")]
    high_ns: Annotated[Nanoseconds, doc("Slowest time.")]
    runtime: Annotated[str, doc("Runtime of the fastest time.")]
    precision: Annotated[str, doc("Precision of the fastest time.")]


class LatencyBasis(Record, frozen=True, kw_only=True):
    """How a projected time was computed and corrected."""

    code: Annotated[LatencyBasisCode, doc("Method of the computation.")]
    precision: Annotated[str, doc("Precision: fp32, fp16 or int8.")] = ""
    gpu: Annotated[str, doc("Name of the GPU; empty on a CPU.")] = ""
    unknown_runtime: Annotated[str, doc("Requested runtime, if unknown on this processor.")] = ""
    asked_thread_count: Annotated[
        Count | None, doc("Requested threads, if the device has fewer cores.")
    ] = None
    host_ratio: Annotated[
        Ratio, doc("Factor for a model that ran slower here than its work explains.")
    ] = 1.0
    anchor_ratio: Annotated[Ratio | None, doc("Correction from times measured on the device.")] = (
        None
    )
    other_anchor_count: Annotated[
        Count, doc("Number of these times with another runtime, precision or threads.")
    ] = 0
    is_loop_counted_once: Annotated[bool, doc("True if a loop of unknown length counts once.")] = (
        False
    )
    npu: Annotated[NpuTimes | None, doc("Published times on the NPU.")] = None
    widenings: Annotated[
        tuple[WideningCode, ...], doc("Reasons why the interval is wider than usual.")
    ] = ()


class DurationInterval(Record, frozen=True, kw_only=True):
    """Latency of one inference and its target."""

    low_ns: Annotated[Nanoseconds | None, doc("Lower end of the interval.")] = None
    likely_ns: Annotated[Nanoseconds | None, doc("Most likely value.")] = None
    high_ns: Annotated[Nanoseconds | None, doc("Upper end of the interval.")] = None
    budget_ns: Annotated[Nanoseconds | None, doc("Target.")] = None
    is_budget_default: Annotated[bool, doc("True if the target is the device's default.")] = False
    confidence_ratio: Annotated[
        Ratio | None, doc("Share of true values that the interval should contain.")
    ] = None
    method: Annotated[Method, doc("How the figures were obtained.")] = "projected"
    runtime: Annotated[str, doc("Runtime of this time; empty for a network.")] = ""
    threads: Annotated[Count | None, doc("Threads of this time; null on a GPU.")] = None
    anchor_count: Annotated[
        Count, doc("Number of times measured on the device that correct the figures.")
    ] = 0
    unknown_cores: Annotated[
        tuple[str, ...], doc("Core types of the device that have no published rows in the fit.")
    ] = ()
    basis: Annotated[LatencyBasis | None, doc("How the figures were computed.")] = None
    explanation: Annotated[str, doc("The basis in sentences.")] = ""


class RatioInterval(Record, frozen=True, kw_only=True):
    """Interval of a share or of a factor."""

    low_ratio: Annotated[Ratio, doc("Lower end.")]
    high_ratio: Annotated[Ratio, doc("Upper end.")]


class EnergyInterval(Record, frozen=True, kw_only=True):
    """Energy of one inference: power of the machine times latency."""

    low_uj: Annotated[Count, doc("Lower end, in microjoules.")]
    high_uj: Annotated[Count, doc("Upper end, in microjoules.")]
    power_mw: Annotated[Count, doc("Highest power of the machine.")] = 0
    power_source: Annotated[str, doc("Source of the power.")] = ""
    explanation: Annotated[str, doc("Power and its source, in a sentence.")] = ""


class CostInterval(Record, frozen=True, kw_only=True):
    """Cost of 1,000 requests on a server, in millionths of a US dollar."""

    low_microusd: Annotated[Count, doc("Lower end: the server is never idle.")]
    high_microusd: Annotated[Count, doc("Upper end.")]
    hourly_microusd: Annotated[Count, doc("Price of one server per hour.")] = 0
    price_source: Annotated[str, doc("Source and date; empty for a price from --price.")] = ""
    rate_per_s: Annotated[
        float | None, doc("Requested rate for the upper end; null: no rate requested.")
    ] = None
    explanation: Annotated[str, doc("Price and its source, in a sentence.")] = ""


class NetworkRange(Record, frozen=True, kw_only=True):
    """One figure of a network: worst, usual and best."""

    worst: Annotated[Count, doc("Worst common value.")]
    usual: Annotated[Count, doc("Usual value.")]
    best: Annotated[Count, doc("Best common value.")]


class Network(Record, frozen=True, kw_only=True):
    """The network between a device and a server."""

    name: Annotated[str, doc("Display name, for example Wi-Fi.")]
    up_bits_per_s: Annotated[NetworkRange, doc("Uplink of the device.")]
    down_bits_per_s: Annotated[NetworkRange, doc("Downlink of the device.")]
    round_trip_ns: Annotated[NetworkRange, doc("Round trip without payload.")]
    source: Annotated[str, doc("Source of the figures, or `unverified`.")]
    is_assumed: Annotated[bool, doc("True if the user named no network.")] = False
