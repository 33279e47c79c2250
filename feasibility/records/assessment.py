"""What the figures mean for a device, and what to do."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from feasibility.records.base import Bytes, Count, Method, Record
from feasibility.records.comparison import (
    Candidate,
    DurationInterval,
    EnergyInterval,
    Network,
    RatioInterval,
    Verdict,
    Where,
)
from feasibility.records.profile import Profile
from feasibility.records.proof import DeviceProof

__all__ = (
    "Alternative",
    "Assessment",
    "BytesInterval",
    "Candidate",
    "DeviceAssessment",
    "DurationInterval",
    "EnergyInterval",
    "Failure",
    "ModelAssessment",
    "Network",
    "Placement",
    "RatioInterval",
    "Storage",
    "Verdict",
    "Where",
)


class BytesInterval(Record, frozen=True, kw_only=True):
    """Memory on a device against what its system grants."""

    low_bytes: Annotated[Bytes | None, Meta(description="Lower end.")] = None
    likely_bytes: Annotated[Bytes | None, Meta(description="Most likely value.")] = None
    high_bytes: Annotated[Bytes | None, Meta(description="Upper end.")] = None
    budget_bytes: Annotated[Bytes | None, Meta(description="What the model may use.")] = None
    runtime_bytes: Annotated[
        Bytes | None, Meta(description="Part of the figures that is the runtime's own footprint.")
    ] = None
    method: Annotated[Method, Meta(description="Where the figures come from.")] = "projected"
    explanation: Annotated[str, Meta(description="What the figures are made of.")] = ""


class Storage(Record, frozen=True, kw_only=True):
    """File size against the storage that an app may ask for."""

    needed_bytes: Annotated[Bytes, Meta(description="Model file and external data.")]
    budget_bytes: Annotated[Bytes | None, Meta(description="What is acceptable.")] = None


class DeviceAssessment(Record, frozen=True, kw_only=True):
    """One model on one device."""

    device: Annotated[str, Meta(description="Device id.")]
    name: Annotated[str, Meta(description="Device name.")]
    kind: Annotated[str, Meta(description="Device kind, for example phone.")]
    verdict: Annotated[Verdict, Meta(description="The answer.")]
    score: Annotated[int, Meta(ge=0, le=100, description="0 hopeless, 100 with room to spare.")]
    score_parts: Annotated[
        dict[str, int],
        Meta(
            description="Score of memory, latency, storage and operators and, where they were "
            "asked for, of rate and realtime; for servers also of demands, request (over the "
            "network) and uplink; 0 to 100."
        ),
    ] = {}
    reasons: Annotated[tuple[str, ...], Meta(description="Why, in plain words with numbers.")] = ()
    memory: Annotated[BytesInterval, Meta(description="Memory there.")]
    latency: Annotated[DurationInterval, Meta(description="Latency there.")]
    storage: Annotated[Storage, Meta(description="Storage there.")]
    utilisation: Annotated[
        RatioInterval | None,
        Meta(description="Share of the time that it computes at the rate asked for."),
    ] = None
    realtime: Annotated[
        RatioInterval | None,
        Meta(description="Latency by the signal that one inference covers; above 1 it lags."),
    ] = None
    energy: Annotated[
        EnergyInterval | None, Meta(description="Energy of one inference there; null unknown.")
    ] = None
    missing_operators: Annotated[
        tuple[str, ...], Meta(description="Operators the runtime there does not have.")
    ] = ()
    changes: Annotated[
        tuple[str, ...], Meta(description="Changes that would make it fit, as sentences.")
    ] = ()
    proof: Annotated[
        DeviceProof | None,
        Meta(description="A run under what the device leaves the model; null without --prove."),
    ] = None


class Alternative(Record, frozen=True, kw_only=True):
    """Another place that was considered."""

    where: Annotated[Where, Meta(description="Kind of place.")]
    device: Annotated[str | None, Meta(description="Device id.")] = None
    reason: Annotated[str, Meta(description="Why it was not chosen.")] = ""


class Placement(Record, frozen=True, kw_only=True):
    """The one recommendation for a model."""

    where: Annotated[Where, Meta(description="Kind of place.")]
    device: Annotated[str | None, Meta(description="Device id of the best place.")] = None
    summary: Annotated[str, Meta(description="The recommendation as one sentence.")] = ""
    reasons: Annotated[tuple[str, ...], Meta(description="Why, in plain words.")] = ()
    alternatives: Annotated[tuple[Alternative, ...], Meta(description="Other places.")] = ()
    candidates: Annotated[
        tuple[Candidate, ...], Meta(description="All places side by side, best first.")
    ] = ()
    network: Annotated[
        Network | None, Meta(description="The network that was counted with; null without one.")
    ] = None
    settled_by: Annotated[
        tuple[str, ...], Meta(description="What would settle what is too close to call.")
    ] = ()


class ModelAssessment(Record, frozen=True, kw_only=True):
    """One model on all devices that were asked for."""

    profile: Annotated[Profile, Meta(description="What was measured.")]
    runtime: Annotated[
        str, Meta(description="Runtime that times on devices were asked for, as a key.")
    ] = "onnxruntime"
    threads: Annotated[
        Count | None,
        Meta(description="Threads asked for on devices; null for the best number up to four."),
    ] = None
    devices: Annotated[tuple[DeviceAssessment, ...], Meta(description="Per device.")]
    placement: Annotated[Placement, Meta(description="The recommendation.")]


class Failure(Record, frozen=True, kw_only=True):
    """A model that could not be assessed."""

    path: Annotated[str, Meta(description="Path as it was given.")]
    message: Annotated[str, Meta(description="What happened and why.")]
    hint: Annotated[str, Meta(description="What to do.")] = ""


class Assessment(
    Record, frozen=True, kw_only=True, tag_field="schema", tag="feasibility/assessment/1"
):
    """The answer of `check`."""

    tool_version: Annotated[str, Meta(description="Version of feasibility that wrote this.")]
    models: Annotated[tuple[ModelAssessment, ...], Meta(description="Per model.")]
    errors: Annotated[tuple[Failure, ...], Meta(description="Models that failed.")] = ()
