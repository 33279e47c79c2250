"""What is a projected figure: memory, time, energy or cost as an interval, and the network."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from feasibility.records.base import Bytes, Count, Method, Nanoseconds, Ratio, Record


class BytesInterval(Record, frozen=True, kw_only=True):
    """Memory on a device and its limit."""

    low_bytes: Annotated[Bytes | None, Meta(description="Lower end.")] = None
    likely_bytes: Annotated[Bytes | None, Meta(description="Most likely value.")] = None
    high_bytes: Annotated[Bytes | None, Meta(description="Upper end.")] = None
    budget_bytes: Annotated[
        Bytes | None, Meta(description="Limit for the model and its runtime.")
    ] = None
    runtime_bytes: Annotated[
        Bytes | None, Meta(description="Part of the figures that the runtime itself takes.")
    ] = None
    method: Annotated[Method, Meta(description="How the figures were obtained.")] = "projected"
    explanation: Annotated[str, Meta(description="What the figures include.")] = ""


class DurationInterval(Record, frozen=True, kw_only=True):
    """Latency of one inference and its target."""

    low_ns: Annotated[Nanoseconds | None, Meta(description="Lower end of the interval.")] = None
    likely_ns: Annotated[Nanoseconds | None, Meta(description="Most likely value.")] = None
    high_ns: Annotated[Nanoseconds | None, Meta(description="Upper end of the interval.")] = None
    budget_ns: Annotated[Nanoseconds | None, Meta(description="Target.")] = None
    is_budget_default: Annotated[
        bool, Meta(description="True if the target is the default of the device file.")
    ] = False
    confidence_ratio: Annotated[
        Ratio | None, Meta(description="Share of cases that the interval should cover.")
    ] = None
    method: Annotated[Method, Meta(description="How the figures were obtained.")] = "projected"
    runtime: Annotated[str, Meta(description="Runtime of this time; empty for a network.")] = ""
    threads: Annotated[Count | None, Meta(description="Threads of this time; null on a GPU.")] = (
        None
    )
    anchor_count: Annotated[
        Count, Meta(description="Models timed on the device itself that correct the figures.")
    ] = 0
    unknown_cores: Annotated[
        tuple[str, ...],
        Meta(description="Cores of the device that the projection was never fitted to."),
    ] = ()
    explanation: Annotated[str, Meta(description="How the figures were obtained.")] = ""


class RatioInterval(Record, frozen=True, kw_only=True):
    """A share or a factor between two ends."""

    low_ratio: Annotated[Ratio, Meta(description="Lower end.")]
    high_ratio: Annotated[Ratio, Meta(description="Upper end.")]


class EnergyInterval(Record, frozen=True, kw_only=True):
    """Energy of one inference: power of the machine times latency."""

    low_uj: Annotated[Count, Meta(description="Lower end, in microjoules.")]
    high_uj: Annotated[Count, Meta(description="Upper end, in microjoules.")]
    power_mw: Annotated[Count, Meta(description="Highest power of the machine.")] = 0
    power_source: Annotated[str, Meta(description="Where the power was read.")] = ""
    explanation: Annotated[str, Meta(description="Power and its source, in a sentence.")] = ""


class CostInterval(Record, frozen=True, kw_only=True):
    """Cost of 1,000 requests on a server, in millionths of a US dollar."""

    low_microusd: Annotated[Count, Meta(description="Lower end: the server is never idle.")]
    high_microusd: Annotated[Count, Meta(description="Upper end.")]
    hourly_microusd: Annotated[Count, Meta(description="Price of one server per hour.")] = 0
    price_source: Annotated[
        str, Meta(description="Source and date of the price; empty if given with --price.")
    ] = ""
    rate_per_s: Annotated[
        float | None, Meta(description="Requests per second of servers with no other work.")
    ] = None
    explanation: Annotated[str, Meta(description="Price and its source, in a sentence.")] = ""


class NetworkRange(Record, frozen=True, kw_only=True):
    """One figure of a network: worst, usual and best."""

    worst: Annotated[Count, Meta(description="Worst that is common.")]
    usual: Annotated[Count, Meta(description="Usual value.")]
    best: Annotated[Count, Meta(description="Best that is common.")]


class Network(Record, frozen=True, kw_only=True):
    """The network between a device and a server."""

    name: Annotated[str, Meta(description="Display name, for example Wi-Fi.")]
    up_bits_per_s: Annotated[NetworkRange, Meta(description="Uplink of the device.")]
    down_bits_per_s: Annotated[NetworkRange, Meta(description="Downlink of the device.")]
    round_trip_ns: Annotated[NetworkRange, Meta(description="Round trip without payload.")]
    source: Annotated[str, Meta(description="Source of the figures, or `unverified`.")]
    is_assumed: Annotated[bool, Meta(description="True if the user named no network.")] = False
