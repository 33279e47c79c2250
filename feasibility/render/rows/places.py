"""The places where a model could run, side by side: time, energy, cost, and what they ask for."""

from __future__ import annotations

import math
from typing import Final

from feasibility.records.assessment import DeviceAssessment, ModelAssessment
from feasibility.records.comparison import (
    Candidate,
    CostInterval,
    DurationInterval,
    EnergyInterval,
    Network,
    RatioInterval,
)
from feasibility.render.rows.rows import Column, Grid, Row, Section, name_text
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_duration_range,
    format_energy_range,
    format_number_range,
    format_percent_range,
)

SERVER: Final = "server"
NOT_KNOWN: Final = "not known"
_MICRO: Final = 10**6
_ENERGY_UNITS: Final = (("kJ", 10**9), ("J", 10**6), ("mJ", 10**3), ("uJ", 1))


def cloud_row(model: ModelAssessment) -> Row | None:
    """What a request to the best server takes, where the cloud may be an answer; else None."""
    candidate = _best_in_cloud(model)
    network = model.placement.network
    if candidate is None or network is None or not _matters(model):
        return None
    if candidate.verdict == "does-not-fit":
        return None
    way = candidate.network_time
    total = duration_range_text(candidate.latency)
    if way is None or total == NOT_MEASURED:
        return None
    name = name_text(network.name, 80)
    text = f"{name_text(candidate.name, 32)}: {total} over {name}"
    text += f", of which network {duration_range_text(way)}"
    if candidate.upload_bytes:
        form = "" if candidate.is_upload_given else " of plain tensors"
        text += f" ({format_bytes(candidate.upload_bytes)}{form} up)"
    if network.is_assumed and candidate.latency.budget_ns is None:
        text += "; assumed, not judged: give --network"
    elif network.is_assumed:
        text += "; assumed: give --network"
    return Row("cloud", text)


def _matters(model: ModelAssessment) -> bool:
    """True if somebody's own device is no certain answer, or there is none."""
    own = [item for item in model.placement.candidates if item.where != "cloud"]
    return any(item.verdict not in ("fits", "tight") for item in own) or not own


def _best_in_cloud(model: ModelAssessment) -> Candidate | None:
    placed = model.placement
    found = [item for item in placed.candidates if item.where == "cloud"]
    return next(
        (item for item in found if item.device == placed.device), found[0] if found else None
    )


def settling_row(model: ModelAssessment) -> Row | None:
    """What would settle an advice that is too close to call; else None."""
    placed = model.placement
    if placed.where != "undecided" or not placed.settled_by:
        return None
    return Row("to settle it", name_text(placed.settled_by[0], 300))


def places_section(model: ModelAssessment) -> Section | None:
    """All places in one table, then what the figures include."""
    candidates = model.placement.candidates
    if not candidates:
        return None
    grid = Grid(
        _columns(candidates), tuple(_cells(item, candidates) for item in candidates), splits=True
    )
    return Section("where it could run", (), grid, _remarks(model))


def _columns(candidates: tuple[Candidate, ...]) -> tuple[Column, ...]:
    columns = [
        Column("place", shrinks=True, min_width=16),
        Column("verdict"),
        Column("time, network included", title_width=15),
        Column("memory there, at most", title_width=12),
        Column("to download", title_width=8),
        Column("sent per request", title_width=11),
        Column("energy per inference", title_width=13),
    ]
    if _has_cloud(candidates):
        columns.append(Column("USD per 1,000 requests", title_width=13))
        columns.append(Column("without network", title_width=7))
        columns.append(Column("data leaves", title_width=6))
    return tuple(columns)


def _download_text(item: Candidate) -> str:
    if item.storage_bytes:
        return format_bytes(item.storage_bytes)
    return "nothing" if item.where == "cloud" else "not known"


def _cells(item: Candidate, candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    sent = "nothing" if not item.data_leaves_device else _size_text(item.upload_bytes)
    cells = [
        name_text(item.name, 32),
        item.verdict.replace("-", " "),
        duration_range_text(item.latency),
        format_bytes(item.memory_high_bytes),
        _download_text(item),
        sent,
        energy_text(item.energy),
    ]
    if _has_cloud(candidates):
        cells.append("-" if item.where != "cloud" else cost_text(item.cost_per_1000))
        cells.append("works" if item.works_offline else "no")
        cells.append("yes" if item.data_leaves_device else "no")
    return tuple(cells)


def _has_cloud(candidates: tuple[Candidate, ...]) -> bool:
    return any(item.where == "cloud" for item in candidates)


def _remarks(model: ModelAssessment) -> tuple[str, ...]:
    """What the figures rest on, and what would settle or complete them."""
    placed = model.placement
    remarks = []
    if placed.network is not None:
        remarks.append(_network_text(placed.network))
    for item in placed.candidates:
        name = name_text(item.name, 32)
        if item.cost_per_1000 is not None:
            remarks.append(f"{name}: {name_text(item.cost_per_1000.explanation, 300)}")
    unpriced = [
        item for item in placed.candidates if item.where == "cloud" and item.cost_per_1000 is None
    ]
    if unpriced:
        remarks.append(
            f"the price of the {name_text(unpriced[0].name, 32)} is not known; give it with "
            f"--price {name_text(unpriced[0].device, 40)}=USD_PER_HOUR"
            if len(unpriced) == 1
            else "prices of some servers are not known; give them with --price ID=USD_PER_HOUR"
        )
    if any(item.energy is not None for item in placed.candidates):
        remarks.append(
            "energy is that of the machine that computes, without the device's radio: 0.3 to 1 "
            "of the most it draws, for as long as it takes"
        )
    remarks += [f"to settle it, {name_text(text, 300)}" for text in placed.settled_by]
    return tuple(remarks)


def _network_text(network: Network) -> str:
    trip = network.round_trip_ns
    assumed = ", assumed because none was named" if network.is_assumed else ""
    text = f"network: {name_text(network.name, 80)}{assumed}; round trip "
    text += format_duration_range(trip.best, trip.worst)
    up = network.up_bits_per_s
    ends = format_number_range(up.worst / _MICRO, up.best / _MICRO, "Mbit/s")
    return f"{text}, {ends} up [{name_text(network.source, 400)}]"


def stream_rows(item: DeviceAssessment) -> list[Row]:
    """How busy a rate keeps a device, its real-time factor and its energy."""
    rows = []
    if item.utilisation is not None and item.kind == SERVER and item.utilisation.high_ratio > 1:
        low, high = (max(1, math.ceil(ratio)) for ratio in _ends(item.utilisation))
        rows.append(Row("servers", f"{low} to {high} for the rate" if low < high else f"{high}"))
    elif item.utilisation is not None:
        rows.append(Row("busy", f"{percent_range_text(item.utilisation)} of the time"))
    if item.realtime is not None:
        rows.append(Row("real time", f"factor {factor_text(item.realtime)}"))
    if item.energy is not None:
        rows.append(Row("energy", f"{energy_text(item.energy)} per inference"))
        rows.append(Row("", name_text(item.energy.explanation, 300)))
    return rows


def _ends(ratio: RatioInterval) -> tuple[float, float]:
    return ratio.low_ratio, ratio.high_ratio


def duration_range_text(latency: DurationInterval) -> str:
    """The interval; one-sided where an end is not known."""
    low = latency.low_ns
    return NOT_MEASURED if low is None else format_duration_range(low, latency.high_ns)


def energy_text(energy: EnergyInterval | None) -> str:
    """An energy, for example `0.2 to 1.3 J`."""
    return NOT_KNOWN if energy is None else format_energy_range(energy.low_uj, energy.high_uj)


def cost_text(cost: CostInterval | None) -> str:
    """US dollars, for example `0.0012 to 0.0025`."""
    if cost is None:
        return NOT_KNOWN
    return format_number_range(cost.low_microusd / _MICRO, cost.high_microusd / _MICRO)


def factor_text(ratio: RatioInterval) -> str:
    """A real-time factor, for example `0.12 to 0.3`."""
    return format_number_range(*_ends(ratio))


def percent_range_text(ratio: RatioInterval) -> str:
    """A share, for example `12 to 30 %`."""
    return format_percent_range(*_ends(ratio))


def _size_text(count: int | None) -> str:
    return NOT_KNOWN if count is None else format_bytes(count)
