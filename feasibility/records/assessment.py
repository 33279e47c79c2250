"""What the figures mean for a device, and what to do."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Bytes, Method, Nanoseconds, Ratio, Record
from feasibility.records.profile import Profile

Verdict: TypeAlias = Literal["fits", "tight", "fits-with-changes", "does-not-fit", "undecided"]
Where: TypeAlias = Literal["on-device", "on-device-with-changes", "split", "cloud", "undecided"]


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


class DurationInterval(Record, frozen=True, kw_only=True):
    """Latency of one inference on a device against its budget."""

    low_ns: Annotated[Nanoseconds | None, Meta(description="Lower end of the interval.")] = None
    likely_ns: Annotated[Nanoseconds | None, Meta(description="Most likely value.")] = None
    high_ns: Annotated[Nanoseconds | None, Meta(description="Upper end of the interval.")] = None
    budget_ns: Annotated[Nanoseconds | None, Meta(description="What it may take.")] = None
    confidence_ratio: Annotated[
        Ratio | None, Meta(description="Share of cases the interval is meant to cover.")
    ] = None
    method: Annotated[Method, Meta(description="Where the figures come from.")] = "projected"
    explanation: Annotated[str, Meta(description="How the figures were obtained.")] = ""


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
        dict[str, int], Meta(description="Score of memory, latency, storage, operators, 0 to 100.")
    ] = {}
    reasons: Annotated[tuple[str, ...], Meta(description="Why, in plain words with numbers.")] = ()
    memory: Annotated[BytesInterval, Meta(description="Memory there.")]
    latency: Annotated[DurationInterval, Meta(description="Latency there.")]
    storage: Annotated[Storage, Meta(description="Storage there.")]
    missing_operators: Annotated[
        tuple[str, ...], Meta(description="Operators the runtime there does not have.")
    ] = ()
    changes: Annotated[
        tuple[str, ...], Meta(description="Changes that would make it fit, as sentences.")
    ] = ()


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


class ModelAssessment(Record, frozen=True, kw_only=True):
    """One model on all devices that were asked for."""

    profile: Annotated[Profile, Meta(description="What was measured.")]
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
