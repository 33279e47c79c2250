"""What is the answer for a model? Verdicts with typed reasons, and a recommendation.

The code that decides fills codes and figures. The sentences (`text`, `reasons_text`, `summary`,
`reason`, `changes`, `settled_by`) are added by the renderer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.changes import ChangeCode
from feasibility.records.device import Role
from feasibility.records.intervals import (
    BytesInterval,
    CostInterval,
    DurationInterval,
    EnergyInterval,
    Network,
    RatioInterval,
)
from feasibility.records.profile import Profile
from feasibility.records.proof import DeviceProof
from feasibility.records.rows import Shown, figures_of
from feasibility.records.shared_fields import Bytes, Count, Document, Nanoseconds, Record, doc
from feasibility.records.workload import EngineName

Verdict: TypeAlias = Literal["fits", "tight", "fits-with-changes", "does-not-fit", "undecided"]
Where: TypeAlias = Literal["on-device", "on-device-with-changes", "split", "cloud", "undecided"]
Part: TypeAlias = Literal[
    "memory", "latency", "storage", "operators", "rate", "realtime", "demands", "request", "uplink"
]
ReasonCode: TypeAlias = Literal[
    "within-limit",
    "over-limit",
    "limit-inside-interval",
    "no-limit",
    "not-known",
    "operators-available",
    "operators-not-checked",
    "operators-missing",
    "operators-x86-only",
    "several-servers",
    "no-network-allowed",
    "inputs-private",
    "external-data",
    "steady-allocator",
]
ActionCode: TypeAlias = Literal[
    "time-on-device",
    "time-in-file",
    "more-runs",
    "measure-memory",
    "prove-memory",
    "measure-network",
]
SystemName: TypeAlias = Literal["android", "ios", "macos", "windows", "linux"]


class MemoryLimit(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Who sets the memory limit of a process."""

    source: Annotated[
        Literal["option", "system", "gpu"],
        doc("option: set by the user; system: the operating system; gpu: the GPU's memory."),
    ]
    system: Annotated[SystemName | None, doc("Operating system.")] = None
    role: Annotated[Role | None, doc("Role that the limit is for.")] = None
    asked_role: Annotated[
        Role | None, doc("Requested role, if the device has no limit for it.")
    ] = None
    total_bytes: Annotated[Bytes | None, doc("Memory of the device or GPU.")] = None
    is_estimate: Annotated[bool, doc("True if nobody published the limit.")] = False


class Reason(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The finding for one part of a verdict. Figures that do not apply are left out."""

    code: Annotated[ReasonCode, doc("Code of the finding.")]
    part: Annotated[Part, doc("Part of the verdict, for example memory.")]
    verdict: Annotated[Verdict, doc("Verdict of this part alone.")]
    score: Annotated[int, Meta(ge=0, le=100, description="Score of this part alone.")]
    device: Annotated[str, doc("Device id.")] = ""
    actual_low_bytes: Annotated[Bytes | None, doc("Lower end of memory or storage.")] = None
    actual_high_bytes: Annotated[Bytes | None, doc("Upper end of memory or storage.")] = None
    budget_bytes: Annotated[Bytes | None, doc("Limit of memory or storage.")] = None
    unchanged_bytes: Annotated[Bytes | None, doc("Likely memory without the change.")] = None
    actual_low_ns: Annotated[Nanoseconds | None, doc("Lower end of the time.")] = None
    actual_high_ns: Annotated[Nanoseconds | None, doc("Upper end of the time.")] = None
    budget_ns: Annotated[Nanoseconds | None, doc("Target; for a rate, time per inference.")] = None
    is_budget_asked: Annotated[bool, doc("True if the user set the target or limit.")] = False
    rate_per_s: Annotated[float | None, doc("Inferences per second.")] = None
    server_low_count: Annotated[Count | None, doc("Lowest number of servers needed.")] = None
    server_high_count: Annotated[Count | None, doc("Highest number of servers needed.")] = None
    upload_bytes: Annotated[Bytes | None, doc("Bytes sent per request.")] = None
    is_upload_given: Annotated[
        bool, doc("True if the user set upload_bytes; false for raw tensors.")
    ] = False
    network: Annotated[str, doc("Name of the network.")] = ""
    phase: Annotated[Literal["load", "run"] | None, doc("Phase with the highest memory.")] = None
    memory_limit: Annotated[MemoryLimit | None, doc("Who sets the limit.")] = None
    operators: Annotated[tuple[str, ...], doc("Operators that the finding is about.")] = ()
    runtime: Annotated[str, doc("Runtime, as in --runtime.")] = ""
    changes: Annotated[
        tuple[ChangeCode, ...], doc("Changes of the model that are meant; `fit` makes them.")
    ] = ()
    text: Annotated[str, doc("The finding as a sentence.")] = ""


class Storage(Record, frozen=True, kw_only=True):
    """Size of the model's files and its limit."""

    needed_bytes: Annotated[Bytes, doc("Model file and external data.")]
    budget_bytes: Annotated[Bytes | None, doc("Limit.")] = None


class DeviceAssessment(Record, frozen=True, kw_only=True):
    """One model on one device."""

    device: Annotated[str, doc("Device id.")]
    name: Annotated[str, doc("Device name.")]
    kind: Annotated[str, doc("Device kind, for example phone.")]
    verdict: Annotated[Verdict, doc("Worst verdict of all parts.")]
    score: Annotated[int, Meta(ge=0, le=100, description="Lowest score of all parts.")]
    score_parts: Annotated[
        dict[str, int],
        doc(
            "Score by part, 0 to 100: memory, latency, storage, operators; rate and realtime "
            "if requested; for servers also demands (no network, or private inputs), request "
            "(with the network) and uplink."
        ),
    ] = {}
    reasons: Annotated[tuple[Reason, ...], doc("One reason per part, lowest score first.")] = ()
    reasons_text: Annotated[tuple[str, ...], doc("The reasons as sentences.")] = ()
    memory: Annotated[BytesInterval, doc("Memory on the device.")]
    latency: Annotated[DurationInterval, doc("Latency on the device.")]
    storage: Annotated[Storage, doc("Storage on the device.")]
    utilisation: Annotated[
        RatioInterval | None,
        doc("Share of the time in which the device computes at the requested rate."),
    ] = None
    realtime: Annotated[RatioInterval | None, doc("Real-time factor, if requested.")] = None
    energy: Annotated[EnergyInterval | None, doc("Energy of one inference, if known.")] = None
    missing_operators: Annotated[
        tuple[str, ...], doc("Operators that the runtime does not have.")
    ] = ()
    memory_change: Annotated[Reason | None, doc("Change that makes the memory fit, if any.")] = None
    changes: Annotated[tuple[str, ...], doc("Changes that make the model fit, as sentences.")] = ()
    proof: Annotated[
        DeviceProof | None, doc("A run under the device's memory limit; null without --prove.")
    ] = None


class Candidate(Record, frozen=True, kw_only=True):
    """One device or server where the model could run, for comparison with the others."""

    where: Annotated[Where, doc("Where the model runs, for example on-device or cloud.")]
    device: Annotated[str, doc("Device id.")]
    name: Annotated[str, doc("Device name.")]
    verdict: Annotated[Verdict, doc("Verdict, network and requirements included.")]
    reasons: Annotated[
        tuple[Reason, ...], doc("Reasons from network and requirements; for servers only.")
    ] = ()
    reasons_text: Annotated[tuple[str, ...], doc("The reasons as sentences.")] = ()
    latency: Annotated[DurationInterval, doc("Time from request to response, network included.")]
    network_time: Annotated[
        DurationInterval | None, doc("Time of the network alone; null for a local device.")
    ] = None
    upload_bytes: Annotated[Bytes | None, doc("Bytes sent; null if unknown.")] = 0
    is_upload_given: Annotated[
        bool, doc("True if the user set upload_bytes; false for raw tensors.")
    ] = False
    download_bytes: Annotated[Bytes | None, doc("Bytes received; null if unknown.")] = 0
    memory_high_bytes: Annotated[Bytes | None, doc("Upper end of the memory needed.")] = None
    storage_bytes: Annotated[Bytes, doc("Bytes stored on the user's device.")] = 0
    energy: Annotated[
        EnergyInterval | None, doc("Energy per inference without the radio; null if unknown.")
    ] = None
    cost_per_1000: Annotated[
        CostInterval | None, doc("Cost of 1,000 requests; null without a price.")
    ] = None
    server_count: Annotated[
        Count | None,
        doc("Highest number of servers needed; null for a local device or if unknown."),
    ] = None
    hourly_microusd: Annotated[
        Count | None, doc("Cost of all these servers per hour, in millionths of a US dollar.")
    ] = None
    works_offline: Annotated[bool, doc("True if no network is needed.")] = True
    data_leaves_device: Annotated[bool, doc("True if inputs are sent to a server.")] = False


class Action(Record, frozen=True, kw_only=True):
    """A measurement that turns `undecided` into an answer."""

    code: Annotated[ActionCode, doc("What to do.")]
    device: Annotated[str, doc("Device id.")]
    text: Annotated[str, doc("The action in one sentence.")] = ""


class Alternative(Record, frozen=True, kw_only=True):
    """Another device or server that was considered."""

    where: Annotated[Where, doc("Where the model runs, for example on-device or cloud.")]
    device: Annotated[str | None, doc("Device id.")] = None
    reason: Annotated[str, doc("Why it was not chosen.")] = ""


class Placement(Record, frozen=True, kw_only=True):
    """The one recommendation for a model."""

    where: Annotated[Where, doc("Where the model runs, for example on-device or cloud.")]
    device: Annotated[str | None, doc("Id of the best device or server.")] = None
    summary: Annotated[str, doc("The recommendation as one sentence.")] = ""
    reasons: Annotated[
        tuple[Reason, ...], doc("All obstacles of all devices, and the reasons for the best one.")
    ] = ()
    reasons_text: Annotated[
        tuple[str, ...], doc("The reasons as sentences that begin with the device.")
    ] = ()
    alternatives: Annotated[tuple[Alternative, ...], doc("Other devices and servers.")] = ()
    candidates: Annotated[tuple[Candidate, ...], doc("All devices and servers, best first.")] = ()
    network: Annotated[Network | None, doc("Network to the server; null without a server.")] = None
    actions: Annotated[tuple[Action, ...], doc("Measurements that settle `undecided`.")] = ()
    settled_by: Annotated[tuple[str, ...], doc("The actions as sentences.")] = ()


class ModelAssessment(Shown, Record, frozen=True, kw_only=True):
    """One model on all checked devices."""

    profile: Annotated[Profile, doc("Profile of the model.")]
    runtime: Annotated[str, doc("Runtime on the devices, as in --runtime.")] = "onnxruntime"
    threads: Annotated[Count | None, doc("Requested threads; null: the fastest of 1 to 4.")] = None
    devices: Annotated[tuple[DeviceAssessment, ...], doc("One result per device.")]
    placement: Annotated[Placement, doc("The recommendation.")]
    other_engines: Annotated[
        tuple[EngineName, ...],
        doc(
            "Other engines that are installed here and read the model; `compare MODEL --engines` "
            "measures it with them. Empty for saved figures."
        ),
    ] = ()

    def _usual_rows(self) -> list[dict[str, Any]]:
        """One row per device."""
        model = self.profile.model.name
        return [{"model": model, **figures_of(found)} for found in self.devices]


class Failure(Record, frozen=True, kw_only=True):
    """A model that could not be assessed."""

    path: Annotated[str, doc("Path as the user typed it.")]
    message: Annotated[str, doc("What happened and why.")]
    hint: Annotated[str, doc("What to do.")] = ""


class Assessment(Document, frozen=True, kw_only=True, tag="feasibility/assessment/2"):
    """The answer of `check`."""

    models: Annotated[tuple[ModelAssessment, ...], doc("One result per model.")]
    errors: Annotated[tuple[Failure, ...], doc("Models that failed.")] = ()

    def _usual_rows(self) -> list[dict[str, Any]]:
        """One row per model and device."""
        return [row for model in self.models for row in model.to_rows()]
