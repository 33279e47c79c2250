"""How long does a request to a server take, and why can a server not be used?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from feasibility.decide.constraints import SERVER, compared, met, not_known, ruled_out
from feasibility.decide.network import (
    ASSUMED_NETWORK,
    PRESETS,
    Transfer,
    network_time,
    raw_tensors,
    sum_known,
    transfer_ns,
)
from feasibility.decide.requirements import Requirements
from feasibility.records.assessment import Reason
from feasibility.records.device import Device
from feasibility.records.intervals import DurationInterval, Network
from feasibility.records.profile import Profile
from feasibility.units import SECOND_NS

# The target in a server's file is half of the waiting time; the network has the other half.
REQUEST_TARGET_RATIO: Final = 2


class CloudRequest(NamedTuple):
    """A request to a server: what is sent, and the time with and without the server's part."""

    transfer: Transfer
    network_time: DurationInterval | None
    total: DurationInterval


def cloud_request(
    profile: Profile, on_server: DurationInterval, requirements: Requirements
) -> CloudRequest:
    """The request that a device would send to a server."""
    transfer = raw_tensors(profile)
    if requirements.upload_bytes is not None:
        transfer = transfer._replace(upload_bytes=requirements.upload_bytes, is_upload_given=True)
    network, budget_ns = assumed_network(requirements), _request_budget_ns(on_server, requirements)
    if network is None:
        return CloudRequest(transfer, None, DurationInterval(budget_ns=budget_ns))
    added = network_time(network, transfer)
    total = DurationInterval(
        low_ns=sum_known([on_server.low_ns, added.low_ns]),
        likely_ns=sum_known([on_server.likely_ns, added.likely_ns]),
        high_ns=sum_known([on_server.high_ns, added.high_ns]),
        budget_ns=budget_ns,
        is_budget_default=requirements.latency_budget_ns is None and budget_ns is not None,
        confidence_ratio=on_server.confidence_ratio,
    )
    return CloudRequest(transfer, added, total)


def with_network(requirements: Requirements, devices: Iterable[Device]) -> Requirements:
    """The requirements with the assumed network, where a network has to be judged.

    An assumed network is not judged if the user asks for servers only, or for no time.
    """
    times = (requirements.latency_budget_ns, requirements.rate_per_s, requirements.realtime_ns)
    asks_for_time = any(time is not None for time in times)
    if not asks_for_time or all(device.kind == SERVER for device in devices):
        return requirements
    return replace(requirements, network=assumed_network(requirements))


def assumed_network(requirements: Requirements) -> Network | None:
    """The network that the user named, else an assumed one; None with --offline."""
    if requirements.network is not None:
        return requirements.network
    if requirements.is_offline:
        return None
    return msgspec.structs.replace(PRESETS[ASSUMED_NETWORK], is_assumed=True)


def judge_request(request: CloudRequest, requirements: Requirements) -> tuple[Reason, ...]:
    """What the requirements and the network say about requests to a server."""
    found = []
    if requirements.is_offline:
        found.append(ruled_out("demands", "no-network-allowed"))
    if requirements.is_private:
        found.append(ruled_out("demands", "inputs-private"))
    network, total = requirements.network, request.total
    if network is None:
        return tuple(found)
    sent = {
        "network": network.name,
        "upload_bytes": request.transfer.upload_bytes,
        "is_upload_given": request.transfer.is_upload_given,
    }
    if total.budget_ns is not None:
        found.append(_judge_time(total, total.budget_ns, sent))
    rate = _highest_rate_per_s(requirements)
    if rate is not None:
        found.append(_judge_uplink(network, rate, sent))
    return tuple(found)


def is_network_wider(request: CloudRequest) -> bool:
    """True if the network has more part in the width of the interval than the server."""
    added, total = request.network_time, request.total
    if added is None or added.low_ns is None or total.low_ns is None:
        return False
    if added.high_ns is None or total.high_ns is None:
        return added.high_ns is None
    return 2 * (added.high_ns - added.low_ns) > total.high_ns - total.low_ns


def _highest_rate_per_s(requirements: Requirements) -> float | None:
    """Requests per second of the rate or the signal; None if neither was given."""
    signal_ns = requirements.realtime_ns
    rates = (requirements.rate_per_s, None if signal_ns is None else SECOND_NS / signal_ns)
    return max((rate for rate in rates if rate is not None), default=None)


def _request_budget_ns(on_server: DurationInterval, requirements: Requirements) -> int | None:
    """Target of request and answer together; None if it is not judged."""
    if requirements.network is None:
        return None
    if requirements.latency_budget_ns is not None:
        return requirements.latency_budget_ns
    if requirements.network.is_assumed or on_server.budget_ns is None:
        return None
    return REQUEST_TARGET_RATIO * on_server.budget_ns


def _judge_time(total: DurationInterval, budget_ns: int, sent: dict[str, Any]) -> Reason:
    figures = sent | {
        "actual_low_ns": total.low_ns,
        "actual_high_ns": total.high_ns,
        "budget_ns": budget_ns,
        "is_budget_asked": not total.is_budget_default,
    }
    if total.low_ns is None or total.high_ns is None:
        return not_known("request", **figures)
    return compared("request", total.low_ns, total.high_ns, budget_ns, **figures)


def _judge_uplink(network: Network, rate_per_s: float, sent: dict[str, Any]) -> Reason:
    """Whether the uplink carries the inputs of a stream."""
    size, period_ns = sent["upload_bytes"], SECOND_NS / rate_per_s
    figures = sent | {"rate_per_s": rate_per_s, "budget_ns": round(period_ns)}
    if size is None:
        return not_known("uplink", **figures)
    if size == 0:
        return met("uplink", "within-limit", **figures)
    rate = network.up_bits_per_s
    low, high = transfer_ns(size, rate.best), transfer_ns(size, rate.worst)
    figures |= {"actual_low_ns": low, "actual_high_ns": high}
    return compared("uplink", low, high, period_ns, **figures)
