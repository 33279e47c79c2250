"""What a model did under limits on its memory that were enforced, not computed."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Bytes, Count, Nanoseconds, Notice, Ratio, Record
from feasibility.records.profile import Host, ProfiledModel
from feasibility.records.workload import Workload

LimitKind: TypeAlias = Literal["cgroup-v2", "cgroup-v1", "systemd-scope", "address-space"]
Outcome: TypeAlias = Literal["survived", "thrashed", "killed"]
EndedBy: TypeAlias = Literal["itself", "oom-killer", "refusal", "crash", "timeout"]
RunPhase: TypeAlias = Literal["start", "import", "load", "inputs", "run", "end"]
ProofAllocator: TypeAlias = Literal["steady", "default"]


class LimitedRun(Record, frozen=True, kw_only=True):
    """One fresh process that loaded and ran the model under one limit, or under none."""

    limit_bytes: Annotated[
        Bytes | None, Meta(description="What the model might use; null for no limit.")
    ] = None
    enforced_bytes: Annotated[
        Bytes | None,
        Meta(description="What the kernel enforced: the baseline added, in whole pages."),
    ] = None
    outcome: Annotated[
        Outcome,
        Meta(
            description="survived; thrashed: alive, but slower than the thrashing ratio because "
            "evicted pages had to be read again; killed: it did not come through."
        ),
    ]
    ended_by: Annotated[
        EndedBy,
        Meta(
            description="itself: it came through; oom-killer: the kernel; refusal: an allocation "
            "failed; crash: another signal; timeout: it was ended here."
        ),
    ]
    phase: Annotated[RunPhase, Meta(description="The phase in which it ended.")]
    message: Annotated[
        str, Meta(description="What it or the kernel said of its end; empty if it came through.")
    ] = ""
    load_ns: Annotated[Nanoseconds | None, Meta(description="Creating the session.")] = None
    first_run_ns: Annotated[Nanoseconds | None, Meta(description="The first run.")] = None
    median_ns: Annotated[
        Nanoseconds | None, Meta(description="Nearest-rank median of the runs after warming up.")
    ] = None
    samples_ns: Annotated[
        tuple[int, ...], Meta(description="Every run after warming up, in order.")
    ] = ()
    latency_ratio: Annotated[
        Ratio | None, Meta(description="Its median latency to that without a limit.")
    ] = None
    load_ratio: Annotated[
        Ratio | None, Meta(description="Its loading time to that without a limit.")
    ] = None
    reread_per_run_bytes: Annotated[
        Bytes | None,
        Meta(
            description="File pages that were evicted and read again, per run after the first; "
            "null where this kernel does not count them."
        ),
    ] = None
    refault_bytes: Annotated[
        Bytes | None, Meta(description="The same over its whole life, loading included.")
    ] = None
    major_fault_count: Annotated[
        Count | None, Meta(description="Page faults that waited for the disk.")
    ] = None
    oom_kill_count: Annotated[
        Count | None, Meta(description="Processes that the kernel killed for memory.")
    ] = None
    charged_peak_bytes: Annotated[
        Bytes | None,
        Meta(description="Highest charge of its group, baseline and page cache included."),
    ] = None
    wall_ns: Annotated[Nanoseconds, Meta(description="From its start to its end.")]


class DeviceProof(Record, frozen=True, kw_only=True):
    """What became of a model under what one device leaves it, on the machine that measured."""

    arch: Annotated[
        str, Meta(description="Instruction set it ran on, which may not be the device's.")
    ]
    limit_kind: Annotated[LimitKind, Meta(description="What enforced the limit.")]
    run: Annotated[LimitedRun, Meta(description="The run under the limit.")]


class Bisection(Record, frozen=True, kw_only=True):
    """The limits between which a model changes its behaviour, in bytes for the model."""

    floor_bytes: Annotated[Bytes | None, Meta(description="Lowest limit that it came through.")] = (
        None
    )
    killed_bytes: Annotated[
        Bytes | None,
        Meta(description="Highest limit below it that it did not come through, killed or stuck."),
    ] = None
    comfort_bytes: Annotated[
        Bytes | None,
        Meta(description="Lowest limit at which its latency stayed within the comfort ratio."),
    ] = None
    slow_bytes: Annotated[
        Bytes | None,
        Meta(description="Highest limit below it that slowed the model down or killed it."),
    ] = None
    floor_precision_ratio: Annotated[
        Ratio | None, Meta(description="Gap between floor and killed, to the floor.")
    ] = None
    comfort_precision_ratio: Annotated[
        Ratio | None, Meta(description="Gap between comfort and slow, to the comfort point.")
    ] = None
    predicted_floor_bytes: Annotated[
        Bytes, Meta(description="Floor by the figures of the run without a limit.")
    ]
    predicted_comfort_bytes: Annotated[
        Bytes, Meta(description="Comfort point by the figures of the run without a limit.")
    ]
    comfort_ratio: Annotated[
        Ratio, Meta(description="Latency that counts as comfortable, to that without a limit.")
    ]


class Proof(Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/proof/1"):
    """The answer of `prove`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    measured_at: Annotated[str, Meta(description="UTC time, ISO 8601.")]
    model: Annotated[ProfiledModel, Meta(description="The model.")]
    host: Annotated[Host, Meta(description="The machine.")]
    workload: Annotated[Workload, Meta(description="The conditions.")]
    allocator: Annotated[
        ProofAllocator,
        Meta(description="steady: the C library's trim threshold fixed; default: as it comes."),
    ]
    limit_kind: Annotated[
        LimitKind,
        Meta(
            description="What enforced the limits. All but address-space count memory in use, "
            "page cache included; address-space counts private memory that was asked for."
        ),
    ]
    memory_bytes: Annotated[
        Bytes | None, Meta(description="The limit that was asked for; null with --bisect alone.")
    ] = None
    device: Annotated[
        str | None, Meta(description="The device whose budget it is; null if it was given.")
    ] = None
    baseline_bytes: Annotated[
        Bytes,
        Meta(description="Charged before the session was created; added to every limit."),
    ]
    thrashing_ratio: Annotated[
        Ratio, Meta(description="Latency from which a run counts as thrashing, to unlimited.")
    ]
    unlimited: Annotated[LimitedRun, Meta(description="The run without a limit.")]
    needed_bytes: Annotated[
        Bytes,
        Meta(description="Most memory at once that cannot be evicted, by the unlimited run."),
    ]
    verdict: Annotated[
        LimitedRun | None, Meta(description="The run under the limit that was asked for.")
    ] = None
    runs: Annotated[tuple[LimitedRun, ...], Meta(description="All limited runs, in order.")] = ()
    bisection: Annotated[
        Bisection | None, Meta(description="Floor and comfort point; null without --bisect.")
    ] = None
    warnings: Annotated[tuple[Notice, ...], Meta(description="What to know first.")] = ()
