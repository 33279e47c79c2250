"""One recommendation for a model: which of the devices asked for, or the cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from feasibility.decide import wording
from feasibility.decide.cloud import SERVER, counted_network, with_network
from feasibility.decide.compare_places import compare_places, settled_by
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import SCORE_CLOSE, SCORE_TIGHT, verdict_rank
from feasibility.decide.server_cost import by_price
from feasibility.decide.verdict import NO_REQUIREMENTS, assess_device
from feasibility.records.assessment import (
    Alternative,
    Candidate,
    DeviceAssessment,
    ModelAssessment,
    Placement,
    Where,
)
from feasibility.records.device import Device
from feasibility.records.profile import Profile

# More names than this are counted.
_MOST_NAMES: Final = 4
_PLURALS: Final = {
    "phone": "phones",
    "tablet": "tablets",
    "sbc": "boards",
    "laptop": "laptops",
    "desktop": "desktops",
    "server": "servers",
}


def assess_model(
    profile: Profile,
    devices: Sequence[Device],
    requirements: Requirements = NO_REQUIREMENTS,
    emulated: Sequence[Profile] = (),
) -> ModelAssessment:
    """The verdict on every device, and where the model should run.

    Args:
        profile: The model as it was measured.
        devices: Where it may run.
        requirements: What it must keep.
        emulated: The same model measured under emulation of other instruction sets, for
            the memory of devices that have them.
    """
    requirements = with_network(requirements, devices)
    assessments = tuple(
        assess_device(profile, device, requirements, _closest(device, emulated))
        for device in devices
    )
    places = compare_places(profile, tuple(zip(devices, assessments, strict=True)), requirements)
    has_server = any(device.kind == SERVER for device in devices)
    placement = msgspec.structs.replace(
        recommend_placement(assessments, places),
        candidates=places,
        network=counted_network(requirements) if has_server else None,
        settled_by=settled_by(devices, assessments, places, profile.model.name),
    )
    return ModelAssessment(
        profile=profile,
        runtime=requirements.runtime,
        threads=requirements.threads,
        devices=assessments,
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

    A device of the user's own comes before a server: it needs no network and the data
    stays on it. Among equals the best score wins, then the lowest latency.

    Args:
        assessments: The verdict on each device.
        candidates: The same places side by side, for what the reasons say of the network.
    """
    groups = _Groups(assessments, candidates)
    where, best = groups.choice()
    return Placement(
        where=where,
        device=best.device if best else None,
        summary=groups.summary(),
        reasons=groups.reasons(best),
        alternatives=groups.alternatives(where, best),
    )


class _Groups:
    """The assessments by what they mean for a recommendation."""

    def __init__(
        self, assessments: Sequence[DeviceAssessment], candidates: Sequence[Candidate]
    ) -> None:
        self.paths = {found.device: found for found in candidates if found.where == "cloud"}
        ordered = sorted(assessments, key=_order)
        self.local = [found for found in ordered if found.kind != SERVER]
        servers = [found for found in ordered if found.kind == SERVER]
        self.servers = sorted(servers, key=self._price_order)
        self.fitting = [found for found in self.local if _fits(found)]
        self.changed = [found for found in self.local if found.verdict == "fits-with-changes"]
        self.close = [found for found in self.local if found.verdict == "undecided"]
        self.failing = [found for found in self.local if found.verdict == "does-not-fit"]
        self.cloud = next((found for found in self.servers if _fits(found)), None)

    def _price_order(self, server: DeviceAssessment) -> tuple[int, tuple[bool, int]]:
        """Servers that do, and as well as another, are ordered by what they cost."""
        path = self.paths.get(server.device) if _fits(server) else None
        price = None if path is None else path.hourly_microusd
        return -verdict_rank(server.verdict), by_price(price)

    def choice(self) -> tuple[Where, DeviceAssessment | None]:
        if self.fitting:
            return "on-device", self.fitting[0]
        if self.changed:
            return "on-device-with-changes", self.changed[0]
        if self.close:
            return "undecided", self.close[0]
        if self.cloud:
            return "cloud", self.cloud
        return "undecided", None

    def summary(self) -> str:
        parts = []
        if self.fitting:
            parts.append(f"on the device for {self._names(self.fitting)}")
        if self.changed:
            parts.append(f"on the device after a change for {self._names(self.changed)}")
        if self.close:
            parts.append(f"too close to call for {self._names(self.close)}")
        if self.failing:
            parts.append(self._elsewhere())
        if not self.local:
            parts.append(self._servers_only())
        return "; ".join(parts)

    def reasons(self, best: DeviceAssessment | None) -> tuple[str, ...]:
        """What decided it, device by device, everything that stands in the way first."""
        unfit = [server for server in self.servers if server.verdict == "does-not-fit"]
        lines = [
            f"{found.name}: {reason}"
            for found in (*self.failing, *self.close, *unfit)
            for reason in obstacles(found)
        ]
        lines += [f"{found.name}: {change}" for found in self.changed for change in found.changes]
        if best is not None and _fits(best) and best.reasons:
            lines.append(f"{best.name}: {best.reasons[0]}")
        return tuple(lines)

    def alternatives(self, where: Where, best: DeviceAssessment | None) -> tuple[Alternative, ...]:
        """The best of every other kind of place, with why it was not chosen."""
        found: list[Alternative] = []
        if where != "on-device-with-changes" and self.changed:
            change = self.changed[0]
            reason = f"possible on the {change.name} after a change: {_first(change.changes)}"
            found.append(_alternative("on-device-with-changes", change, reason))
        if where != "undecided" and self.close:
            close = self.close[0]
            found.append(_alternative("undecided", close, f"{close.name}: {_first(close.reasons)}"))
        if where != "cloud" and self.cloud is not None:
            path = self.paths.get(self.cloud.device)
            reason = _cloud_reason(self.cloud, where, path)
            found.append(_alternative("cloud", self.cloud, reason))
        elif self.cloud is None and self.servers:
            server = self.servers[0]
            found.append(_alternative("cloud", server, f"{server.name}: {_first(server.reasons)}"))
        if self.failing:
            nearest = self.failing[0]
            if best is None or nearest.device != best.device:
                reason = f"{nearest.name}: {_first(nearest.reasons)}"
                found.append(_alternative("on-device", nearest, reason))
        return tuple(found)

    def _elsewhere(self) -> str:
        names = self._names(self.failing)
        if self.cloud is not None:
            return f"in the cloud ({self._cloud_name()}) for {names}"
        if self.servers:
            return f"not on {names}, and {self._no_server()}"
        return f"not on {names}"

    def _no_server(self) -> str:
        """Why none of the servers that were asked for is the answer."""
        if any(found.verdict == "undecided" for found in self.servers):
            return "too close to call for the servers asked for"
        found = [self._obstacle(server) for server in self.servers]
        if not all(found):
            return "no server that was asked for fits"
        nearest = f"to the {self.servers[0].name} " if len(set(found)) > 1 else ""
        return f"not in the cloud: {nearest}{found[0]}"

    def _obstacle(self, server: DeviceAssessment) -> str:
        """What keeps requests from a server, where that and not the server is in the way."""
        path, reason = self.paths.get(server.device), _first(server.reasons)
        return reason if path is not None and reason in path.reasons else ""

    def _servers_only(self) -> str:
        if self.cloud is not None:
            return f"in the cloud, on the {self._cloud_name()}"
        if not self.servers:
            return "no device was asked for"
        why = self._no_server()
        return "on none of the servers asked for" if why.startswith("no server") else why

    def _cloud_name(self) -> str:
        """Name of the best server, with how many of it the rate takes at most."""
        if self.cloud is None:
            return ""
        path = self.paths.get(self.cloud.device)
        count = None if path is None else path.server_count
        return (
            f"{self.cloud.name}, up to {count} of them" if count and count > 1 else self.cloud.name
        )

    def _names(self, group: list[DeviceAssessment]) -> str:
        """Kinds where a group holds all of a kind, device names where it does not."""
        names: list[str] = []
        for kind in dict.fromkeys(found.kind for found in group):
            members = [found for found in group if found.kind == kind]
            everyone = [found for found in self.local if found.kind == kind]
            if len(members) == len(everyone) and len(members) > 1:
                names.append(_PLURALS.get(kind, kind))
            else:
                names += [f"the {found.name}" for found in members]
        if len(names) > _MOST_NAMES:
            rest = len(names) - _MOST_NAMES + 1
            names = [*names[: _MOST_NAMES - 1], f"{rest} others"]
        return wording.join(names)


def obstacles(found: DeviceAssessment) -> tuple[str, ...]:
    """Every reason why a device is not certain to do, the weakest part first; at least one."""
    least = SCORE_CLOSE if found.verdict == "does-not-fit" else SCORE_TIGHT
    count = sum(points < least for points in found.score_parts.values())
    return found.reasons[: max(count, 1)]


def _order(found: DeviceAssessment) -> tuple[int, int, int]:
    likely_ns = found.latency.likely_ns
    speed = likely_ns if likely_ns is not None else 2**62
    return -verdict_rank(found.verdict), -found.score, speed


def _fits(found: DeviceAssessment) -> bool:
    return found.verdict in ("fits", "tight")


def _first(sentences: tuple[str, ...]) -> str:
    return sentences[0] if sentences else ""


def _alternative(where: Where, found: DeviceAssessment, reason: str) -> Alternative:
    return Alternative(where=where, device=found.device, reason=reason)


def _cloud_reason(server: DeviceAssessment, where: Where, path: Candidate | None) -> str:
    latency = server.latency if path is None else path.latency
    if latency.low_ns is None or latency.high_ns is None:
        time = "it fits there"
    elif path is None:
        time = f"takes {wording.duration_span(latency.low_ns, latency.high_ns)} there"
    else:
        time = f"takes {wording.duration_span(latency.low_ns, latency.high_ns)} with the network"
    delay = "" if path is not None else "adds its delay "
    cost = f"needs a network{',' if delay else ''} {delay}and sends the input off the device"
    joint = "which is certain to be enough, but" if where == "undecided" else "but"
    return f"{server.name}: {time}, {joint} {cost}"
