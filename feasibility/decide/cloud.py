"""The way to a server and back: how long a request takes, and what speaks against sending it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec

from feasibility.decide import wording
from feasibility.decide.constraints import Finding
from feasibility.decide.network import (
    ASSUMED_NETWORK,
    PRESETS,
    Payload,
    network_time,
    transfer_ns,
)
from feasibility.decide.payload import payload_of
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import SCORE_FULL, SCORE_UNKNOWN, interval_score, interval_verdict
from feasibility.records.comparison import DurationInterval, Network
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.units import SECOND_NS, format_duration

SERVER: Final = "server"
# The target of a server file is half of what people wait for; the network has the other half.
PATH_TARGET_RATIO: Final = 2

# Rates from here on are written without decimals.
_WHOLE_RATE: Final = 100


class CloudPath(NamedTuple):
    """A request to a server.

    Args:
        network: The way there; None where there is none.
        payload: What is sent and fetched.
        way: Time of the network alone; None where there is none.
        total: Network and server together, with the budget of both.
    """

    network: Network | None
    payload: Payload
    way: DurationInterval | None
    total: DurationInterval


def cloud_path(profile: Profile, there: DurationInterval, requirements: Requirements) -> CloudPath:
    """The request that a device would send to a server.

    Args:
        profile: The model, whose inputs would be sent.
        there: Latency on the server, with its target.
        requirements: What it must keep.
    """
    network, payload = counted_network(requirements), _payload(profile, requirements)
    budget_ns = _path_budget_ns(there, requirements)
    if network is None:
        total = DurationInterval(budget_ns=budget_ns, explanation="There is no network.")
        return CloudPath(None, payload, None, total)
    way = network_time(network, payload)
    total = DurationInterval(
        low_ns=_sum(there.low_ns, way.low_ns),
        likely_ns=_sum(there.likely_ns, way.likely_ns),
        high_ns=_sum(there.high_ns, way.high_ns),
        budget_ns=budget_ns,
        confidence_ratio=there.confidence_ratio,
        explanation=f"Network: {way.explanation} Server: {there.explanation}",
    )
    return CloudPath(network, payload, way, total)


def _payload(profile: Profile, requirements: Requirements) -> Payload:
    payload = payload_of(profile)
    if requirements.upload_bytes is None:
        return payload
    return Payload(requirements.upload_bytes, payload.download_bytes, is_upload_given=True)


def with_network(requirements: Requirements, devices: Iterable[Device]) -> Requirements:
    """The requirements with the network that is assumed, where one has to be judged.

    Somebody who asks for servers alone, or for no time, is not judged by a network that
    nobody named.
    """
    times = (requirements.latency_budget_ns, requirements.rate_per_s, requirements.realtime_ns)
    asks_for_time = any(time is not None for time in times)
    if not asks_for_time or all(device.kind == SERVER for device in devices):
        return requirements
    return replace(requirements, network=counted_network(requirements))


def counted_network(requirements: Requirements) -> Network | None:
    """The network that was named, one that is assumed if none was, or None if there is none."""
    if requirements.network is not None:
        return requirements.network
    if requirements.is_offline:
        return None
    return msgspec.structs.replace(PRESETS[ASSUMED_NETWORK], is_assumed=True)


def judge_cloud(path: CloudPath, requirements: Requirements) -> tuple[Finding, ...]:
    """What the demands and the network say to sending requests away."""
    demands = []
    if requirements.is_offline:
        demands.append("it has to work without a network")
    if requirements.is_private:
        demands.append("its inputs may not leave the device")
    # One finding for each part, because the points are kept by part.
    found = [Finding("demands", "does-not-fit", 0, " and ".join(demands))] if demands else []
    network, budget_ns = requirements.network, path.total.budget_ns
    if network is None:
        return tuple(found)
    if budget_ns is not None:
        found.append(_judge_request(path, network, budget_ns))
    rate = _highest_rate_per_s(requirements)
    if rate is not None:
        found.append(_judge_uplink(path.payload, network, rate))
    return tuple(found)


def _highest_rate_per_s(requirements: Requirements) -> float | None:
    """Requests per second that the rate or the signal makes; None if neither was given."""
    signal_ns = requirements.realtime_ns
    rates = (requirements.rate_per_s, None if signal_ns is None else SECOND_NS / signal_ns)
    return max((rate for rate in rates if rate is not None), default=None)


def _path_budget_ns(there: DurationInterval, requirements: Requirements) -> int | None:
    """What request and answer may take together; None if it is not judged."""
    if requirements.network is None:
        return None
    if requirements.latency_budget_ns is not None:
        return requirements.latency_budget_ns
    if requirements.network.is_assumed or there.budget_ns is None:
        return None
    return PATH_TARGET_RATIO * there.budget_ns


def _sum(there: int | None, way: int | None) -> int | None:
    return None if there is None or way is None else there + way


def is_network_wider(way: DurationInterval | None, total: DurationInterval) -> bool:
    """True if the network leaves more of a request's time open than the server does."""
    if way is None or way.low_ns is None or total.low_ns is None:
        return False
    if way.high_ns is None or total.high_ns is None:
        return way.high_ns is None
    return 2 * (way.high_ns - way.low_ns) > total.high_ns - total.low_ns


def _judge_request(path: CloudPath, network: Network, budget_ns: int) -> Finding:
    total = path.total
    target = f"the target is {format_duration(budget_ns)}"
    if total.low_ns is None or total.high_ns is None:
        reason = f"how long a request over {network.name} takes is not known; {target}"
        return Finding("request", "undecided", SCORE_UNKNOWN, reason)
    verdict = interval_verdict(total.low_ns, total.high_ns, budget_ns)
    span = wording.duration_span(total.low_ns, total.high_ns)
    reason = f"a request over {network.name}, {path.payload.upload_text} up, takes {span}"
    if verdict == "does-not-fit":
        reason += f", too slow: {target}"
    elif verdict == "undecided":
        settling = (
            "measuring the network" if is_network_wider(path.way, total) else "timing it there"
        )
        reason += f" and {target}; too close to call, {settling} would settle it"
    else:
        reason += f"; {target}"
    score = interval_score(total.low_ns, total.high_ns, budget_ns)
    return Finding("request", verdict, score, reason)


def _judge_uplink(payload: Payload, network: Network, rate_per_s: float) -> Finding:
    """Whether the uplink carries the inputs of a stream."""
    upload_bytes = payload.upload_bytes
    if upload_bytes is None:
        reason = "the size of its inputs is not known, so whether a network carries them is not"
        return Finding("uplink", "undecided", SCORE_UNKNOWN, reason)
    often = f"{rate_per_s:.0f}" if rate_per_s >= _WHOLE_RATE else f"{rate_per_s:.3g}"
    each = f"{payload.upload_text} {often} times per second"
    period_ns, up = SECOND_NS / rate_per_s, network.up_bits_per_s
    if upload_bytes == 0:
        return Finding("uplink", "fits", SCORE_FULL, "there is nothing to send")
    low, high = transfer_ns(upload_bytes, up.best), transfer_ns(upload_bytes, up.worst)
    verdict = interval_verdict(low, high, period_ns)
    score = interval_score(low, high, period_ns)
    if verdict == "does-not-fit":
        reason = f"sending {each} is more than {network.name} carries"
    elif verdict == "undecided":
        reason = (
            f"sending {each} may be more than {network.name} carries; too close to call, "
            "measuring the network would settle it"
        )
    else:
        reason = f"sending {each} is within what {network.name} carries"
    return Finding("uplink", verdict, score, reason)
