"""The places where a model could run, in figures that can be compared."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from feasibility.records.base import Bytes, Count, Method, Nanoseconds, Ratio, Record

Verdict: TypeAlias = Literal["fits", "tight", "fits-with-changes", "does-not-fit", "undecided"]
Where: TypeAlias = Literal["on-device", "on-device-with-changes", "split", "cloud", "undecided"]


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
    runtime: Annotated[
        str, Meta(description="Runtime that the time is for; empty for a network's.")
    ] = ""
    threads: Annotated[
        Count | None, Meta(description="Threads that the time is for; null on a GPU.")
    ] = None
    anchor_count: Annotated[
        Count, Meta(description="Models timed on the device itself that correct the figures.")
    ] = 0
    explanation: Annotated[str, Meta(description="How the figures were obtained.")] = ""


class RatioInterval(Record, frozen=True, kw_only=True):
    """A share or a factor that is known to lie between two ends."""

    low_ratio: Annotated[Ratio, Meta(description="Lower end.")]
    high_ratio: Annotated[Ratio, Meta(description="Upper end.")]


class EnergyInterval(Record, frozen=True, kw_only=True):
    """Energy of one inference: what the machine draws, for as long as it takes."""

    low_uj: Annotated[Count, Meta(description="Lower end, in microjoules.")]
    high_uj: Annotated[Count, Meta(description="Upper end, in microjoules.")]
    explanation: Annotated[str, Meta(description="The power it rests on, and its source.")] = ""


class CostInterval(Record, frozen=True, kw_only=True):
    """What 1,000 requests cost on a server, in millionths of a US dollar."""

    low_microusd: Annotated[Count, Meta(description="Lower end: a server that is never idle.")]
    high_microusd: Annotated[Count, Meta(description="Upper end.")]
    explanation: Annotated[str, Meta(description="The price it rests on, its date and source.")] = (
        ""
    )


class NetworkRange(Record, frozen=True, kw_only=True):
    """One figure of a network at its worst, as usual, and at its best."""

    worst: Annotated[Count, Meta(description="As bad as it commonly gets.")]
    usual: Annotated[Count, Meta(description="What to expect.")]
    best: Annotated[Count, Meta(description="As good as it commonly gets.")]


class Network(Record, frozen=True, kw_only=True):
    """The way from a device to a server."""

    name: Annotated[str, Meta(description="Name for people, for example Wi-Fi.")]
    up_bits_per_s: Annotated[NetworkRange, Meta(description="Uplink of the device.")]
    down_bits_per_s: Annotated[NetworkRange, Meta(description="Downlink of the device.")]
    round_trip_ns: Annotated[NetworkRange, Meta(description="There and back without payload.")]
    source: Annotated[str, Meta(description="Where the figures come from, or `unverified`.")]
    is_assumed: Annotated[bool, Meta(description="True if no network was named.")] = False


class Candidate(Record, frozen=True, kw_only=True):
    """One place where the model could run, with everything that tells it from the others."""

    where: Annotated[Where, Meta(description="Kind of place.")]
    device: Annotated[str, Meta(description="Device id.")]
    name: Annotated[str, Meta(description="Device name.")]
    verdict: Annotated[
        Verdict, Meta(description="The answer, the network and all requirements included.")
    ]
    reasons: Annotated[
        tuple[str, ...], Meta(description="What the network and the requirements say to it.")
    ] = ()
    latency: Annotated[
        DurationInterval, Meta(description="From the request to the answer, network included.")
    ]
    network_time: Annotated[
        DurationInterval | None, Meta(description="The network's part; null on a device.")
    ] = None
    upload_bytes: Annotated[
        Bytes | None, Meta(description="Inputs sent per request; 0 on a device, null unknown.")
    ] = 0
    is_upload_given: Annotated[
        bool, Meta(description="True if somebody gave what is sent; false for plain tensors.")
    ] = False
    download_bytes: Annotated[
        Bytes | None, Meta(description="Outputs fetched per request; 0 on a device, null unknown.")
    ] = 0
    memory_high_bytes: Annotated[
        Bytes | None, Meta(description="Upper end of memory where it runs.")
    ] = None
    storage_bytes: Annotated[
        Bytes, Meta(description="What the user's device downloads and stores for it.")
    ] = 0
    energy: Annotated[
        EnergyInterval | None,
        Meta(description="Per inference where it runs, a radio not included; null unknown."),
    ] = None
    cost_per_1000: Annotated[
        CostInterval | None, Meta(description="Of 1,000 requests; null where no price is known.")
    ] = None
    server_count: Annotated[
        Count | None,
        Meta(description="Servers that the rate takes at most; null on a device or unknown."),
    ] = None
    hourly_microusd: Annotated[
        Count | None,
        Meta(description="What they cost per hour, in millionths of a US dollar; null unknown."),
    ] = None
    works_offline: Annotated[bool, Meta(description="True if it needs no network.")] = True
    data_leaves_device: Annotated[bool, Meta(description="True if inputs are sent away.")] = False
