"""How do all devices and servers compare? One row each, the best first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from feasibility.decide.energy_and_cost import by_price, hourly_cost, request_cost, servers_needed
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import verdict_rank
from feasibility.decide.verdict import AssessedPlace
from feasibility.records.assessment import Candidate

_NO_TIME: Final = 2**62
_REQUEST_PARTS: Final = ("demands", "request", "uplink")


def compare_places(
    places: Iterable[AssessedPlace], requirements: Requirements
) -> tuple[Candidate, ...]:
    """Every device that was asked for as a candidate, best first."""
    found = (_candidate(place, requirements) for place in places)
    return tuple(sorted(found, key=_order))


def _candidate(place: AssessedPlace, requirements: Requirements) -> Candidate:
    server, found, request = place
    is_changed = found.verdict == "fits-with-changes"
    local = Candidate(
        where="on-device-with-changes" if is_changed else "on-device",
        device=found.device,
        name=found.name,
        verdict=found.verdict,
        latency=found.latency,
        memory_high_bytes=found.memory.high_bytes,
        storage_bytes=found.storage.needed_bytes,
        energy=found.energy,
    )
    if request is None:
        return local
    return replace(
        local,
        where="cloud",
        reasons=tuple(reason for reason in found.reasons if reason.part in _REQUEST_PARTS),
        latency=request.total,
        network_time=request.network_time,
        upload_bytes=request.transfer.upload_bytes,
        download_bytes=request.transfer.download_bytes,
        storage_bytes=0,
        cost_per_1000=request_cost(server, found.latency, requirements),
        server_count=servers_needed(found.latency, requirements),
        hourly_microusd=hourly_cost(server, found.latency, requirements),
        is_upload_given=request.transfer.is_upload_given,
        works_offline=False,
        data_leaves_device=True,
    )


def _order(candidate: Candidate) -> tuple[int, bool, tuple[bool, int], int]:
    likely_ns, price = candidate.latency.likely_ns, candidate.hourly_microusd
    is_rented = candidate.where == "cloud" and candidate.verdict in ("fits", "tight")
    return (
        -verdict_rank(candidate.verdict),
        candidate.where == "cloud",
        by_price(price) if is_rented else (False, 0),
        _NO_TIME if likely_ns is None else likely_ns,
    )
