"""Which measurements turn `undecided` into an answer?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Final

from feasibility.decide.cloud_request import is_network_wider
from feasibility.decide.score import interval_verdict
from feasibility.decide.verdict import AssessedPlace
from feasibility.records.assessment import Action, ActionCode, Candidate
from feasibility.records.device import Device
from feasibility.records.intervals import DurationInterval

# The catalogue's folder, and that of the user's own devices.
_DEVICES_FOLDER: Final = "devices"


def settling_actions(
    places: Sequence[AssessedPlace], candidates: Sequence[Candidate]
) -> tuple[Action, ...]:
    """What settles each place that is undecided, in the order of the candidates."""
    by_device = {place.device.id: place for place in places}
    return tuple(
        Action(code=code, device=candidate.device)
        for candidate in candidates
        if candidate.verdict == "undecided"
        for code in _codes(by_device[candidate.device])
    )


def _codes(place: AssessedPlace) -> Iterator[ActionCode]:
    """The actions for one undecided place."""
    found, request, memory = place.found, place.request, place.found.memory
    # A server that is too slow for the rate is not undecided: several can be rented.
    ratios = (found.realtime, None if request is not None else found.utilisation)
    is_time_open = _is_open(found.latency) or any(
        ratio is not None and interval_verdict(ratio.low_ratio, ratio.high_ratio, 1) == "undecided"
        for ratio in ratios
    )
    is_request_open = request is not None and _is_open(request.total)
    is_network_open = request is not None and is_request_open and is_network_wider(request)
    is_settled = False
    if is_time_open or (is_request_open and not is_network_open):
        yield _timing(place)
        is_settled = True
    if memory.low_bytes is None or memory.high_bytes is None:
        yield "measure-memory"
        is_settled = True
    elif (
        memory.budget_bytes is not None
        and interval_verdict(memory.low_bytes, memory.high_bytes, memory.budget_bytes)
        == "undecided"
    ):
        yield "prove-memory"
        is_settled = True
    if is_network_open or (request is not None and not is_settled):
        yield "measure-network"


def _timing(place: AssessedPlace) -> ActionCode:
    """How the time on a device is recorded."""
    if place.found.latency.method == "measured":
        return "more-runs"
    return "time-on-device" if _is_listed(place.device) else "time-in-file"


def _is_listed(device: Device) -> bool:
    """Whether an id alone finds the device: in the catalogue or among the user's own."""
    return not device.origin or PurePath(device.origin).parent.name == _DEVICES_FOLDER


def _is_open(latency: DurationInterval) -> bool:
    """True if the target lies inside the interval, or the interval is not known."""
    low, high, budget = latency.low_ns, latency.high_ns, latency.budget_ns
    if low is None or high is None:
        return True
    return budget is not None and interval_verdict(low, high, budget) == "undecided"
