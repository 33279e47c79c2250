"""What does the table of all devices and servers show? Time, energy, cost and bytes sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from feasibility.records.assessment import Candidate, DeviceAssessment, ModelAssessment
from feasibility.records.intervals import DurationInterval, EnergyInterval, Network, RatioInterval
from feasibility.render.reports.sections import (
    NOT_KNOWN,
    Cell,
    Column,
    Row,
    Section,
    known,
    name_text,
    table,
)
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_duration_range,
    format_energy_range,
    format_number_range,
)

_MICRO: Final = 10**6
_YES_OR_NO: Final = {True: "yes", False: "no"}


def places_section(model: ModelAssessment) -> Section | None:
    """All devices and servers in one table, then what the figures include."""
    candidates = model.placement.candidates
    if not candidates:
        return None
    cloud: list[tuple[Column, Callable[[Candidate], Cell]]] = [
        (Column("USD per 1,000 requests", title_width=13), _cost_text),
        (Column("works offline", title_width=7), lambda item: _YES_OR_NO[item.works_offline]),
        (
            Column("inputs leave device", title_width=7),
            lambda item: _YES_OR_NO[item.data_leaves_device],
        ),
    ]
    grid = table(
        candidates,
        (Column("device", min_width=16), lambda item: name_text(item.name, 32)),
        (Column("verdict"), lambda item: item.verdict.replace("-", " ")),
        (Column("time with network", title_width=15), lambda item: duration_text(item.latency)),
        (Column("highest memory", title_width=8), lambda it: format_bytes(it.memory_high_bytes)),
        (Column("to download", title_width=8), _download_text),
        (
            Column("sent per request", title_width=11),
            lambda item: known(item.upload_bytes) if item.data_leaves_device else "nothing",
        ),
        (Column("energy per inference", title_width=13), lambda item: energy_text(item.energy)),
        *(cloud if any(item.where == "cloud" for item in candidates) else ()),
        splits=True,
    )
    return Section("all devices and servers", grid=grid, remarks=_remarks(model))


def _download_text(item: Candidate) -> str:
    if item.storage_bytes:
        return format_bytes(item.storage_bytes)
    return "nothing" if item.where == "cloud" else NOT_KNOWN


def _cost_text(item: Candidate) -> str:
    """US dollars, for example `0.0012 to 0.0025`."""
    if item.where != "cloud":
        return "-"
    if (cost := item.cost_per_1000) is None:
        return NOT_KNOWN
    return format_number_range(cost.low_microusd / _MICRO, cost.high_microusd / _MICRO)


def _remarks(model: ModelAssessment) -> tuple[str, ...]:
    """Network and prices of the figures, and how to complete them."""
    placed = model.placement
    remarks = [] if placed.network is None else [_network_text(placed.network)]
    remarks += [
        f"{name_text(item.name, 32)}: {name_text(item.cost_per_1000.explanation, 300)}"
        for item in placed.candidates
        if item.cost_per_1000 is not None
    ]
    unpriced = [
        item for item in placed.candidates if item.where == "cloud" and item.cost_per_1000 is None
    ]
    if unpriced:
        remarks.append(
            f"the price of the {name_text(unpriced[0].name, 32)} is not known; set "
            f"--price {name_text(unpriced[0].device, 40)}=USD_PER_HOUR"
            if len(unpriced) == 1
            else "prices of some servers are not known; set --price ID=USD_PER_HOUR"
        )
    if any(item.energy is not None for item in placed.candidates):
        remarks.append(
            "energy: latency multiplied by power, radio not included; low: shortest time at 30 % "
            "of the power, high: longest time at full power"
        )
    return tuple(remarks)


def _network_text(network: Network) -> str:
    trip = network.round_trip_ns
    assumed = ", assumed; set --network" if network.is_assumed else ""
    text = f"network: {name_text(network.name, 80)}{assumed}; round trip "
    text += format_duration_range(trip.best, trip.worst)
    up = network.up_bits_per_s
    ends = format_number_range(up.worst / _MICRO, up.best / _MICRO, "Mbit/s")
    return f"{text}, {ends} up [{name_text(network.source, 400)}]"


def energy_rows(found: DeviceAssessment) -> Iterator[Row]:
    """The energy of one inference and how it was computed; nothing if it is not known."""
    if found.energy is not None:
        yield Row("energy", f"{energy_text(found.energy)} per inference")
        yield Row("", name_text(found.energy.explanation, 300))


def duration_text(latency: DurationInterval) -> str:
    """The interval; one-sided where an end is not known."""
    low = latency.low_ns
    return NOT_MEASURED if low is None else format_duration_range(low, latency.high_ns)


def energy_text(energy: EnergyInterval | None) -> str:
    """An energy, for example `0.2 to 1.3 J`."""
    return NOT_KNOWN if energy is None else format_energy_range(energy.low_uj, energy.high_uj)


def factor_text(ratio: RatioInterval) -> str:
    """A real-time factor, for example `0.12 to 0.3`."""
    return format_number_range(ratio.low_ratio, ratio.high_ratio)
