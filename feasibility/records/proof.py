"""What does a proof hold? Runs of a model under memory limits that the kernel enforced."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from feasibility.records.profile import Host, ProfiledModel
from feasibility.records.shared_fields import (
    AllocatorSetting,
    Bytes,
    Count,
    Document,
    Nanoseconds,
    Notice,
    Ratio,
    Record,
    doc,
)
from feasibility.records.workload import Workload

LimitKind: TypeAlias = Literal["cgroup-v2", "cgroup-v1", "systemd-scope", "address-space"]
Outcome: TypeAlias = Literal["survived", "thrashed", "killed"]
EndedBy: TypeAlias = Literal["itself", "oom-killer", "refusal", "crash", "timeout"]
RunPhase: TypeAlias = Literal["start", "import", "load", "inputs", "run", "end"]


class LimitedRun(Record, frozen=True, kw_only=True):
    """One child that loaded and ran the model under one limit, or without a limit."""

    limit_bytes: Annotated[Bytes | None, doc("Limit on the model; null for no limit.")] = None
    enforced_bytes: Annotated[
        Bytes | None,
        doc("Limit that the kernel enforced: limit_bytes plus the baseline, in whole pages."),
    ] = None
    outcome: Annotated[
        Outcome,
        doc(
            "survived: finished; thrashed: slow, reads evicted pages again; killed: did not finish."
        ),
    ]
    ended_by: Annotated[
        EndedBy,
        doc(
            "itself: it finished; oom-killer: the kernel killed it; refusal: an allocation "
            "failed; crash: another signal; timeout: it exceeded the time limit."
        ),
    ]
    phase: Annotated[RunPhase, doc("Phase in which the child ended.")]
    message: Annotated[str, doc("Why the child did not finish; empty if it did.")] = ""
    load_ns: Annotated[Nanoseconds | None, doc("Time to create the session.")] = None
    first_run_ns: Annotated[Nanoseconds | None, doc("Time of the first run.")] = None
    median_ns: Annotated[Nanoseconds | None, doc("Nearest-rank median of the samples.")] = None
    samples_ns: Annotated[tuple[int, ...], doc("Time of each run after warm-up, in order.")] = ()
    latency_ratio: Annotated[Ratio | None, doc("Median divided by the median without a limit.")] = (
        None
    )
    load_ratio: Annotated[
        Ratio | None, doc("Loading time divided by the time without a limit.")
    ] = None
    reread_per_run_bytes: Annotated[
        Bytes | None,
        doc(
            "Bytes of evicted pages that each run after the first read again; null if not counted."
        ),
    ] = None
    refault_bytes: Annotated[Bytes | None, doc("Bytes of evicted pages read again, in total.")] = (
        None
    )
    major_fault_count: Annotated[Count | None, doc("Page faults that waited for the disk.")] = None
    oom_kill_count: Annotated[
        Count | None, doc("Processes that the out-of-memory killer ended.")
    ] = None
    charged_peak_bytes: Annotated[
        Bytes | None, doc("Highest memory charged to the cgroup, baseline and page cache included.")
    ] = None
    wall_ns: Annotated[Nanoseconds, doc("Time from start to end of the child.")]


class DeviceProof(Record, frozen=True, kw_only=True):
    """A run under the memory limit of one device, on this machine."""

    arch: Annotated[str, doc("Instruction set of this machine; the device's may differ.")]
    limit_kind: Annotated[
        LimitKind,
        doc("What enforced the limits. address-space counts requested private memory only."),
    ]
    run: Annotated[LimitedRun, doc("Run under the limit.")]


class Bisection(Record, frozen=True, kw_only=True):
    """Floor and comfort point, each between two limits, in bytes for the model."""

    floor_bytes: Annotated[Bytes | None, doc("Lowest limit that the model survived.")] = None
    killed_bytes: Annotated[Bytes | None, doc("Highest limit below the floor.")] = None
    comfort_bytes: Annotated[Bytes | None, doc("Lowest limit with runs at full speed.")] = None
    slow_bytes: Annotated[Bytes | None, doc("Highest limit below the comfort point.")] = None
    floor_precision_ratio: Annotated[
        Ratio | None, doc("floor_bytes minus killed_bytes, divided by floor_bytes.")
    ] = None
    comfort_precision_ratio: Annotated[
        Ratio | None, doc("comfort_bytes minus slow_bytes, divided by comfort_bytes.")
    ] = None
    predicted_floor_bytes: Annotated[Bytes, doc("Floor, estimated from the run without a limit.")]
    predicted_comfort_bytes: Annotated[
        Bytes, doc("Comfort point, estimated from the run without a limit.")
    ]
    comfort_ratio: Annotated[Ratio, doc("Highest latency ratio that counts as full speed.")]


class Proof(Document, frozen=True, kw_only=True, tag="feasibility/proof/1"):
    """The result of `prove`."""

    measured_at: Annotated[str, doc("UTC time, ISO 8601.")]
    model: Annotated[ProfiledModel, doc("The model.")]
    host: Annotated[Host, doc("The machine and its versions.")]
    workload: Annotated[Workload, doc("Dims, inputs, threads and number of runs.")]
    allocator: Annotated[
        AllocatorSetting, doc("steady: fixed trim threshold; default: glibc's default settings.")
    ]
    limit_kind: Annotated[
        LimitKind,
        doc("What enforced the limits. address-space counts requested private memory only."),
    ]
    memory_bytes: Annotated[Bytes | None, doc("Limit of --memory or --device.")] = None
    device: Annotated[str | None, doc("Device of the limit; null without --device.")] = None
    baseline_bytes: Annotated[
        Bytes, doc("Memory charged before the model is loaded. It is added to every limit.")
    ]
    thrashing_ratio: Annotated[Ratio, doc("Lowest latency ratio that counts as thrashing.")]
    unlimited: Annotated[LimitedRun, doc("Run without a limit.")]
    needed_bytes: Annotated[Bytes, doc("Highest non-evictable memory in the run without a limit.")]
    verdict: Annotated[LimitedRun | None, doc("Run under --memory or --device.")] = None
    runs: Annotated[tuple[LimitedRun, ...], doc("All runs with a limit, in order.")] = ()
    bisection: Annotated[Bisection | None, doc("Floor and comfort point of --bisect.")] = None
    warnings: Annotated[tuple[Notice, ...], doc("Warnings about the figures.")] = ()
