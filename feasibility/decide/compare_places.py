"""All places where a model could run, side by side, the cloud with its network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

from feasibility.decide.cloud import SERVER, cloud_path, is_network_wider, judge_cloud
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import interval_verdict, verdict_rank
from feasibility.decide.server_cost import by_price, hourly_cost, request_cost, servers_needed
from feasibility.records.assessment import DeviceAssessment
from feasibility.records.comparison import Candidate, DurationInterval, Where
from feasibility.records.device import Device
from feasibility.records.profile import Profile

_NO_TIME: Final = 2**62
# The catalogue, and the folder of the user's own devices.
_DEVICES_FOLDER: Final = "devices"


def compare_places(
    profile: Profile,
    pairs: Sequence[tuple[Device, DeviceAssessment]],
    requirements: Requirements,
) -> tuple[Candidate, ...]:
    """Every device that was asked for as a candidate, best first.

    Args:
        profile: The model, whose inputs a server would have to be sent.
        pairs: The devices with what was found out about them.
        requirements: What it must keep.
    """
    found = [
        _in_cloud(profile, device, assessment, requirements)
        if device.kind == SERVER
        else _on_device(assessment)
        for device, assessment in pairs
    ]
    return tuple(sorted(found, key=_order))


def settled_by(
    devices: Sequence[Device],
    assessments: Sequence[DeviceAssessment],
    candidates: Sequence[Candidate],
    model: str,
) -> tuple[str, ...]:
    """What would settle each place that is too close to call, best first.

    Args:
        devices: Where it may run.
        assessments: What was found out about each of them.
        candidates: The same places side by side.
        model: File name of the model.
    """
    by_device = {found.device: found for found in assessments}
    listed = {device.id for device in devices if _is_listed(device)}
    return tuple(
        sentence
        for candidate in candidates
        if candidate.verdict == "undecided"
        for sentence in _settling(
            candidate, by_device[candidate.device], model, is_listed=candidate.device in listed
        )
    )


def _on_device(found: DeviceAssessment) -> Candidate:
    where: Where = "on-device-with-changes" if found.verdict == "fits-with-changes" else "on-device"
    return Candidate(
        where=where,
        device=found.device,
        name=found.name,
        verdict=found.verdict,
        latency=found.latency,
        memory_high_bytes=found.memory.high_bytes,
        storage_bytes=found.storage.needed_bytes,
        energy=found.energy,
    )


def _in_cloud(
    profile: Profile, server: Device, found: DeviceAssessment, requirements: Requirements
) -> Candidate:
    path = cloud_path(profile, found.latency, requirements)
    said = sorted(judge_cloud(path, requirements), key=lambda finding: finding.score)
    return Candidate(
        where="cloud",
        device=found.device,
        name=found.name,
        verdict=found.verdict,
        reasons=tuple(finding.reason for finding in said),
        latency=path.total,
        network_time=path.way,
        upload_bytes=path.payload.upload_bytes,
        download_bytes=path.payload.download_bytes,
        memory_high_bytes=found.memory.high_bytes,
        energy=found.energy,
        cost_per_1000=request_cost(server, found.latency, requirements),
        server_count=servers_needed(found.latency, requirements),
        hourly_microusd=hourly_cost(server, found.latency, requirements),
        is_upload_given=path.payload.is_upload_given,
        works_offline=False,
        data_leaves_device=True,
    )


def _is_listed(device: Device) -> bool:
    """Whether a device is found by its id: those of the catalogue and the user's own are."""
    return not device.origin or PurePath(device.origin).parent.name == _DEVICES_FOLDER


def _timing(found: DeviceAssessment, model: str, *, is_listed: bool) -> str:
    """How the time there is told."""
    if found.latency.method == "measured":
        return "take more runs with --runs, or state another --latency"
    if is_listed:
        command = f"feasibility devices calibrate {found.device} --measured {model}=TIME"
        return f"time it on the {found.name}: `{command}`"
    return (
        f"time it on the {found.name} and give its time with `--measured TIMES.toml`, in which "
        f'stands [{found.device}] and "{model}" = "TIME"'
    )


def _settling(
    candidate: Candidate, found: DeviceAssessment, model: str, *, is_listed: bool
) -> tuple[str, ...]:
    """What to do about one place that is too close to call."""
    sentences = []
    memory, name = found.memory, found.name
    # More servers do what one does not.
    streams = (found.realtime, None if candidate.where == "cloud" else found.utilisation)
    is_time_open = _is_open(found.latency) or any(
        ratio is not None and interval_verdict(ratio.low_ratio, ratio.high_ratio, 1) == "undecided"
        for ratio in streams
    )
    is_request_open = candidate.where == "cloud" and _is_open(candidate.latency)
    is_network_open = is_request_open and is_network_wider(
        candidate.network_time, candidate.latency
    )
    if is_time_open or (is_request_open and not is_network_open):
        sentences.append(_timing(found, model, is_listed=is_listed))
    if memory.low_bytes is None or memory.high_bytes is None:
        sentences.append(f"measure its memory for the {name}: `feasibility measure {model}`")
    elif (
        memory.budget_bytes is not None
        and interval_verdict(memory.low_bytes, memory.high_bytes, memory.budget_bytes)
        == "undecided"
    ):
        sentences.append(
            f"run it under the limit of the {name}: `feasibility prove {model} --device "
            f"{found.device}`"
        )
    if is_network_open or (candidate.where == "cloud" and not sentences):
        sentences.append(f"measure the network to the {name} and give --network UP/DOWN/RTT")
    return tuple(sentences)


def _is_open(latency: DurationInterval) -> bool:
    """True if the budget lies inside the interval, or the interval is not known."""
    low, high, budget = latency.low_ns, latency.high_ns, latency.budget_ns
    if low is None or high is None:
        return True
    return budget is not None and interval_verdict(low, high, budget) == "undecided"


def _order(candidate: Candidate) -> tuple[int, bool, tuple[bool, int], int]:
    likely_ns, price = candidate.latency.likely_ns, candidate.hourly_microusd
    is_rented = candidate.where == "cloud" and candidate.verdict in ("fits", "tight")
    return (
        -verdict_rank(candidate.verdict),
        candidate.where == "cloud",
        by_price(price) if is_rented else (False, 0),
        _NO_TIME if likely_ns is None else likely_ns,
    )
