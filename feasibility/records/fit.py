"""What does `fit` answer? The changes that it tried, their figures, and the ones to deploy."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from feasibility.records.changes import ChangeCode
from feasibility.records.drift import Drift
from feasibility.records.profile import Host, ProfiledModel
from feasibility.records.proof import Outcome
from feasibility.records.rows import figures_of
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
from feasibility.records.workload import RuntimeSettings, Workload

CandidateStatus: TypeAlias = Literal["modelled", "failed", "misses", "meets"]
Figure: TypeAlias = Literal[
    "memory", "floor", "latency", "latency_ratio", "size", "drift", "operators"
]


class FitTargets(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The targets of the user; without a target, the field is missing."""

    memory_bytes: Annotated[
        Bytes | None, doc("Highest resident memory while loading and running, above the baseline.")
    ] = None
    floor_bytes: Annotated[
        Bytes | None, doc("Highest memory that the kernel cannot evict, above the baseline.")
    ] = None
    latency_ns: Annotated[Nanoseconds | None, doc("Median latency.")] = None
    latency_ratio: Annotated[
        Ratio | None, doc("Median latency, divided by that of the unchanged model.")
    ] = None
    size_bytes: Annotated[Bytes | None, doc("Size of all files together.")] = None
    drift_ratio: Annotated[
        Ratio | None, doc("Largest difference of an output, divided by its largest value.")
    ] = None
    device: Annotated[str | None, doc("Device whose memory limit applies.")] = None
    device_limit_bytes: Annotated[
        Bytes | None, doc("Memory limit of the device, for the model and its runtime.")
    ] = None

    @property
    def enforced_bytes(self) -> int | None:
        """The lower target of memory, under which the kernel can run a model; None without one."""
        limits = [each for each in (self.memory_bytes, self.floor_bytes) if each is not None]
        return min(limits, default=None)


class FitFigures(Record, frozen=True, kw_only=True):
    """Figures of the model with one set of changes, on this machine."""

    load_peak_bytes: Annotated[Bytes, doc("Highest resident memory during loading.")]
    inference_peak_bytes: Annotated[Bytes, doc("Highest resident memory during the runs.")]
    floor_bytes: Annotated[Bytes | None, doc("Memory that the kernel cannot evict.")] = None
    file_bytes: Annotated[Bytes | None, doc("Size of all files together.")] = None
    load_ns: Annotated[Nanoseconds | None, doc("Time to create the session.")] = None
    median_ns: Annotated[Nanoseconds | None, doc("Median latency.")] = None
    latency_ratio: Annotated[
        Ratio | None,
        doc("Median latency, divided by that of the unchanged model; measured in turns."),
    ] = None

    @property
    def peak_bytes(self) -> int:
        """Highest resident memory while loading and running."""
        return max(self.load_peak_bytes, self.inference_peak_bytes)


class FitCandidate(Record, frozen=True, kw_only=True):
    """The model with one set of changes."""

    changes: Annotated[tuple[ChangeCode, ...], doc("Changes; empty for the model as it is.")]
    status: Annotated[
        CandidateStatus,
        doc(
            "modelled: it did not run; failed: it does not load or run, or the kernel kills it "
            "under the memory targets; misses, meets: it was measured, and misses a target or "
            "meets all."
        ),
    ]
    modelled: Annotated[FitFigures | None, doc("Figures computed from the graph.")] = None
    measured: Annotated[FitFigures | None, doc("Measured figures; null if it did not run.")] = None
    drift: Annotated[Drift | None, doc("Difference of the outputs.")] = None
    device_memory_bytes: Annotated[
        Bytes | None, doc("Upper end of memory on the device, with its runtime.")
    ] = None
    device_latency_ns: Annotated[Nanoseconds | None, doc("Likely latency on the device.")] = None
    missed: Annotated[dict[Figure, float], doc("Missed targets: figure divided by target.")] = {}
    float_nodes: Annotated[
        tuple[str, ...], doc("Nodes that stay in float, because their values drift first.")
    ] = ()
    is_beaten: Annotated[
        bool | None,
        doc("True if another candidate is at least as good in every figure; null if not run."),
    ] = None
    message: Annotated[str, doc("Why the candidate failed.")] = ""


class Offer(Record, frozen=True, kw_only=True):
    """A smaller workload or more threads, which only the user can decide on."""

    dims: Annotated[dict[str, int], doc("Sizes of open dims, if they are smaller.")] = {}
    role: Annotated[
        str, doc("What the smaller dim counts, for example samples or frames; may be empty.")
    ] = ""
    threads: Annotated[Count | None, doc("Number of intra-op threads, if there are more.")] = None
    changes: Annotated[tuple[ChangeCode, ...], doc("Changes that the offer needs too.")] = ()
    memory_bytes: Annotated[
        Bytes | None, doc("Peak; modelled for a smaller workload; null for threads on a device.")
    ] = None
    latency_ns: Annotated[
        Nanoseconds | None,
        doc("Latency with these threads: measured here, or projected for the device."),
    ] = None


class Fit(Document, frozen=True, kw_only=True, tag="feasibility/fit/1"):
    """The answer of `fit`."""

    measured_at: Annotated[str, doc("UTC time, ISO 8601.")]
    model: Annotated[ProfiledModel, doc("The original model.")]
    host: Annotated[Host, doc("The machine and its versions.")]
    workload: Annotated[Workload, doc("Dims, inputs and threads.")]
    requirements: Annotated[FitTargets, doc("The targets.")]
    baseline: Annotated[FitCandidate, doc("The model as it is.")]
    baseline_allocator: Annotated[
        AllocatorSetting, doc("Allocator of the peaks of the model as it is.")
    ] = "steady"
    candidates: Annotated[
        tuple[FitCandidate, ...], doc("Changed models, in the order of the search.")
    ] = ()
    chosen: Annotated[
        FitCandidate | None, doc("The candidate to deploy; null if none meets the targets.")
    ] = None
    nearest: Annotated[
        FitCandidate | None, doc("If none meets the targets: the one that misses them least.")
    ] = None
    settings: Annotated[RuntimeSettings, doc("Settings of the chosen candidate.")] = (
        RuntimeSettings()
    )
    proof_outcome: Annotated[
        Outcome | None,
        doc("Run of the chosen candidate under the memory target, enforced by the kernel."),
    ] = None
    loads_on: Annotated[
        tuple[str, ...], doc("Instruction sets on which the result was loaded and run.")
    ] = ()
    offers: Annotated[
        tuple[Offer, ...],
        doc("Smaller workloads or more threads with which it would meet the targets."),
    ] = ()
    files: Annotated[tuple[str, ...], doc("Files written, relative to the folder.")] = ()
    folder: Annotated[str, doc("Folder of the files; empty if none was written.")] = ""
    is_complete: Annotated[bool, doc("False if time ran out or the search was stopped.")] = True
    warnings: Annotated[tuple[Notice, ...], doc("Warnings about these figures.")] = ()

    def _usual_rows(self) -> list[dict[str, Any]]:
        """One row per candidate, that without changes first."""
        return [figures_of(each) for each in (self.baseline, *self.candidates)]
