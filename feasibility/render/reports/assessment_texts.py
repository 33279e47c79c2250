"""Which sentences does an assessment get? Adds them to what was decided as codes and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from feasibility.records.assessment import (
    ActionCode,
    Alternative,
    Candidate,
    DeviceAssessment,
    ModelAssessment,
    Placement,
    Reason,
    Verdict,
)
from feasibility.records.intervals import Network
from feasibility.records.profile import Profile
from feasibility.render.reports.figure_explanations import (
    cost_explanation,
    energy_explanation,
    latency_explanation,
    memory_explanation,
    network_explanation,
)
from feasibility.render.reports.reasons import reason_text
from feasibility.render.reports.sections import joined, name_text
from feasibility.units import format_duration_range

SERVER: Final = "server"
# More names than this are counted.
_MOST_NAMES: Final = 4
_KINDS: Final = {"sbc": "board"}
_MISSING: Final[dict[ActionCode, str]] = {
    "time-on-device": "one measured time on the {name} is missing",
    "time-in-file": "one measured time on the {name} is missing",
    "more-runs": "the measured time on the {name} is too close to its target",
    "measure-memory": "the memory for the {name} was not measured",
    "prove-memory": "one run under the memory limit of the {name} is missing",
    "measure-network": "measured figures of the network to the {name} are missing",
}
_ACTIONS: Final[dict[ActionCode, str]] = {
    "time-on-device": "measure the model's time on the {name}, then run `feasibility devices "
    "calibrate {device} --measured {model}=TIME`",
    "time-in-file": "measure the model's time on the {name} and give it with `--measured "
    'TIMES.toml`; the file contains [{device}] and "{model}" = "TIME"',
    "more-runs": "take more runs with --runs, or set another --latency",
    "measure-memory": "measure the model's memory for the {name}: `feasibility measure {model}`",
    "prove-memory": "run the model under the memory limit of the {name}: `feasibility prove "
    "{model} --device {device}`",
    "measure-network": "measure the network to the {name} and set --network UP/DOWN/RTT",
}


def with_sentences(model: ModelAssessment) -> ModelAssessment:
    """The assessment with a sentence beside every code."""
    devices = tuple(_device(found, model.profile) for found in model.devices)
    by_device = {found.device: found for found in devices}
    placed = model.placement
    reasons, _ = _with_text(placed.reasons)
    actions = []
    for action in placed.actions:
        names = {"name": by_device[action.device].name, "device": action.device}
        text = _ACTIONS[action.code].format(**names, model=model.profile.model.name)
        actions.append(replace(action, text=text))
    placement = replace(
        placed,
        reasons=reasons,
        reasons_text=tuple(f"{by_device[one.device].name}: {one.text}" for one in reasons),
        candidates=tuple(
            _candidate(found, placed.network, by_device[found.device])
            for found in placed.candidates
        ),
        actions=tuple(actions),
        settled_by=tuple(action.text for action in actions),
    )
    placement = replace(
        placement,
        summary=_summary(devices, placement),
        alternatives=tuple(
            replace(other, reason=_alternative_text(other, placement, by_device))
            for other in placed.alternatives
        ),
    )
    return replace(model, devices=devices, placement=placement)


def device_names(group: Sequence[DeviceAssessment], everyone: Sequence[DeviceAssessment]) -> str:
    """Kinds where a group holds all devices of a kind, else the devices' names."""
    names: list[str] = []
    for kind in dict.fromkeys(found.kind for found in group):
        members = [found for found in group if found.kind == kind]
        if len(members) == sum(found.kind == kind for found in everyone) and len(members) > 1:
            names.append(kind_text(kind, 2))
        else:
            names += [f"the {found.name}" for found in members]
    if len(names) > _MOST_NAMES:
        names = [*names[: _MOST_NAMES - 1], f"{len(names) - _MOST_NAMES + 1} others"]
    return joined(names)


def kind_text(kind: str, count: int) -> str:
    """`board` or `boards`, `phone` or `phones`."""
    name = name_text(_KINDS.get(kind, kind), 20)
    return name if count == 1 else f"{name}s"


def candidate_of(device: str, placed: Placement) -> Candidate | None:
    """The candidate of a device; None where places were not compared."""
    return next((one for one in placed.candidates if one.device == device), None)


def best_server(devices: Iterable[DeviceAssessment], placed: Placement) -> DeviceAssessment | None:
    """The server that the recommendation names, or would name."""
    chosen = {other.device for other in placed.alternatives if other.where == "cloud"}
    if placed.where == "cloud":
        chosen = {placed.device}
    return next((found for found in devices if found.device in chosen), None)


def server_text(server: DeviceAssessment, placed: Placement) -> str:
    """Name of a server, with how many of it the rate needs at most."""
    found = candidate_of(server.device, placed)
    count = None if found is None else found.server_count
    return f"{server.name}, up to {count} of them" if count and count > 1 else server.name


def _with_text(reasons: Iterable[Reason]) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
    """The reasons with their sentences, and the sentences alone."""
    written = tuple(replace(reason, text=reason_text(reason)) for reason in reasons)
    return written, tuple(reason.text for reason in written)


def _device(found: DeviceAssessment, profile: Profile) -> DeviceAssessment:
    energy = found.energy
    reasons, reasons_text = _with_text(found.reasons)
    change, changes = _with_text(() if found.memory_change is None else (found.memory_change,))
    return replace(
        found,
        reasons=reasons,
        reasons_text=reasons_text,
        memory=replace(found.memory, explanation=memory_explanation(found.memory)),
        latency=replace(found.latency, explanation=latency_explanation(found.latency, profile)),
        energy=energy and replace(energy, explanation=energy_explanation(energy)),
        memory_change=change[0] if change else None,
        changes=changes,
    )


def _candidate(found: Candidate, network: Network | None, device: DeviceAssessment) -> Candidate:
    reasons, reasons_text = _with_text(found.reasons)
    latency, network_time, cost = found.latency, found.network_time, found.cost_per_1000
    if found.where != "cloud":
        latency = device.latency
    elif network_time is None or network is None:
        latency = replace(latency, explanation="No network.")
    else:
        text = network_explanation(found, network)
        network_time = replace(network_time, explanation=text)
        latency = replace(
            latency, explanation=f"Network: {text} Server: {device.latency.explanation}"
        )
    return replace(
        found,
        reasons=reasons,
        reasons_text=reasons_text,
        latency=latency,
        network_time=network_time,
        energy=device.energy,
        cost_per_1000=cost and replace(cost, explanation=cost_explanation(cost)),
    )


def _summary(devices: Sequence[DeviceAssessment], placed: Placement) -> str:
    """The recommendation and what it rests on, in one sentence."""
    local = [found for found in devices if found.kind != SERVER]
    label = placed.where.replace("-", " ")
    if placed.where == "cloud":
        server = best_server(devices, placed)
        text = label if server is None else f"{label}: {server_text(server, placed)}"
        return f"{text}; does not fit on {device_names(local, local)}" if local else text
    if placed.where != "undecided":
        verdicts: tuple[Verdict, ...] = ("fits", "tight", "fits-with-changes")
        places = (
            f"{verdict.replace('-', ' ')} on {names}"
            for verdict in verdicts
            if (names := device_names([one for one in local if one.verdict == verdict], local))
        )
        return f"{label}: {'; '.join(places)}"
    if placed.actions:
        # Actions are ordered like the candidates: the best undecided place comes first.
        mine = [one for one in placed.actions if one.device == placed.device] or placed.actions
        name = next(found.name for found in devices if found.device == mine[0].device)
        return f"{label}: {_MISSING[mine[0].code].format(name=name)}"
    return _nowhere_text(local, devices, placed)


def _nowhere_text(
    local: Sequence[DeviceAssessment], devices: Sequence[DeviceAssessment], placed: Placement
) -> str:
    """Why neither a local device nor a server is the answer."""
    server = best_server(devices, placed)
    if server is None:
        return f"does not fit on {device_names(local, local)}" if local else "no device to check"
    if server.verdict == "undecided":
        return f"undecided for the {server.name}"
    candidate = candidate_of(server.device, placed)
    # The worst reason may be about the network or the requirements instead of the server.
    if candidate is None or server.reasons_text[:1] != candidate.reasons_text[:1]:
        return f"does not fit on {device_names(devices, devices)}"
    unfit = f"does not fit on {device_names(local, local)}; " if local else ""
    return f"{unfit}cloud ({server.name}) not possible: {candidate.reasons_text[0]}"


def _alternative_text(
    other: Alternative, placed: Placement, by_device: dict[str, DeviceAssessment]
) -> str:
    found = by_device[other.device or ""]
    if other.where == "on-device-with-changes":
        return f"possible on the {found.name} with a change: {''.join(found.changes[:1])}"
    if other.where == "cloud" and found.verdict in ("fits", "tight"):
        return f"{found.name}: {_cloud_text(found, placed)}"
    return f"{found.name}: {''.join(found.reasons_text[:1])}"


def _cloud_text(server: DeviceAssessment, placed: Placement) -> str:
    found = candidate_of(server.device, placed)
    latency = server.latency if found is None else found.latency
    if latency.low_ns is None or latency.high_ns is None:
        time = "fits"
    else:
        time = f"takes {format_duration_range(latency.low_ns, latency.high_ns)}"
        time += " without the network" if found is None else " with the network"
    return f"{time}; needs a network, and inputs leave the device"
