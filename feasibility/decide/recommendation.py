"""Where should a model run? One recommendation: one of the devices, or the cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from feasibility.decide.cloud_request import assumed_network, with_network
from feasibility.decide.compare_devices import compare_places
from feasibility.decide.constraints import SERVER
from feasibility.decide.energy_and_cost import by_price
from feasibility.decide.requirements import Requirements, runtime_for
from feasibility.decide.score import verdict_rank
from feasibility.decide.settle_undecided import settling_actions
from feasibility.decide.verdict import NO_REQUIREMENTS, assess_place
from feasibility.records.assessment import (
    Alternative,
    Candidate,
    DeviceAssessment,
    ModelAssessment,
    Placement,
    Reason,
    Where,
)
from feasibility.records.device import Device
from feasibility.records.profile import Profile


def assess_model(
    profile: Profile,
    devices: Sequence[Device],
    requirements: Requirements = NO_REQUIREMENTS,
    emulated: Sequence[Profile] = (),
) -> ModelAssessment:
    """The verdict on every device, and where the model should run.

    `emulated` is the same model measured under emulation of other instruction sets, for the
    memory of devices with these.
    """
    requirements = with_network(requirements, devices)
    places = [
        assess_place(profile, device, requirements, _closest(device, emulated))
        for device in devices
    ]
    found = tuple(place.found for place in places)
    candidates = compare_places(places, requirements)
    has_server = any(device.kind == SERVER for device in devices)
    placement = msgspec.structs.replace(
        recommend_placement(found, candidates),
        candidates=candidates,
        network=assumed_network(requirements) if has_server else None,
        actions=settling_actions(places, candidates),
    )
    return ModelAssessment(
        profile=profile,
        runtime=runtime_for(profile, requirements.runtime),
        threads=requirements.threads,
        devices=found,
        placement=placement,
    )


def _closest(device: Device, emulated: Sequence[Profile]) -> Profile | None:
    """The profile of the device's instruction set, of its own core if there is one."""
    if device.runs_on == "gpu":
        return None
    fitting = [profile for profile in emulated if profile.host.arch == device.isa]
    cores = device.cpu.clusters if device.cpu else ()
    core = cores[0].core if cores else ""
    return min(fitting, key=lambda profile: not profile.host.cpu.startswith(core), default=None)


def recommend_placement(
    assessments: Sequence[DeviceAssessment], candidates: Sequence[Candidate] = ()
) -> Placement:
    """Where a model should run, given its verdict on each device.

    A local device comes before a server: it needs no network, and the data stays on it. Among
    equals the best score wins, then the lowest latency; among servers the lowest price comes first.
    """
    ordered = sorted(assessments, key=_order)
    prices = {found.device: found.hourly_microusd for found in candidates}
    local = [found for found in ordered if found.kind != SERVER]
    servers = sorted(
        (found for found in ordered if found.kind == SERVER),
        key=lambda found: _server_order(found, prices.get(found.device)),
    )
    # The best of each group, in the order of preference.
    best: dict[Where, DeviceAssessment | None] = {
        "on-device": _first(local, "fits", "tight"),
        "on-device-with-changes": _first(local, "fits-with-changes"),
        "undecided": _first(local, "undecided"),
        "cloud": _first(servers, "fits", "tight"),
    }
    where: Where = next((where for where, found in best.items() if found), "undecided")
    chosen = best[where]
    others: dict[Where, DeviceAssessment | None] = best | {
        "cloud": best["cloud"] or (servers[0] if servers else None),
        "on-device": _first(local, "does-not-fit"),
    }
    order: tuple[Where, ...] = ("on-device-with-changes", "undecided", "cloud", "on-device")
    return Placement(
        where=where,
        device=chosen.device if chosen else None,
        reasons=tuple(_reasons((*reversed(local), *servers), chosen)),
        alternatives=tuple(
            Alternative(where=other, device=found.device)
            for other in order
            if (found := others[other]) is not None and found is not chosen
        ),
    )


def obstacles(found: DeviceAssessment) -> tuple[Reason, ...]:
    """Every reason that keeps a device from `fits` and `tight`, the lowest score first."""
    return tuple(reason for reason in found.reasons if reason.verdict not in ("fits", "tight"))


def _reasons(
    found: Sequence[DeviceAssessment], chosen: DeviceAssessment | None
) -> Iterator[Reason]:
    """All obstacles, the change that helps, and what decides for the chosen place."""
    for device in found:
        yield from obstacles(device)
        if device.memory_change is not None:
            yield device.memory_change
    if chosen is not None and _fits(chosen):
        yield from chosen.reasons[:1]


def _order(found: DeviceAssessment) -> tuple[int, int, int]:
    likely_ns = found.latency.likely_ns
    speed = likely_ns if likely_ns is not None else 2**62
    return -verdict_rank(found.verdict), -found.score, speed


def _server_order(found: DeviceAssessment, price: int | None) -> tuple[int, tuple[bool, int]]:
    """Servers with the same verdict are ordered by what they cost."""
    return -verdict_rank(found.verdict), by_price(price if _fits(found) else None)


def _first(found: Sequence[DeviceAssessment], *verdicts: str) -> DeviceAssessment | None:
    return next((each for each in found if each.verdict in verdicts), None)


def _fits(found: DeviceAssessment) -> bool:
    return found.verdict in ("fits", "tight")
