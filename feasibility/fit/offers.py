"""Which smaller workload would meet the targets? Modelled only, and never chosen for the user."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from feasibility.errors import FeasibilityError
from feasibility.facts.read_model import read_model
from feasibility.fit.candidate_runs import Variant
from feasibility.fit.candidates import Destination, loading_candidates, modelled_figures
from feasibility.fit.changes import settings_of
from feasibility.fit.targets import missed, on_device
from feasibility.measure.profiled_model import profiled_model
from feasibility.predict.projected_memory import modelled_on
from feasibility.records.device import Device
from feasibility.records.fit import FitTargets, Offer
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Profile

_MAX_HALVINGS: Final = 6


def smaller_workloads(
    reading: ModelReading,
    baseline: Profile,
    targets: FitTargets,
    destination: Destination,
    device: Device | None,
) -> tuple[Offer, ...]:
    """For each open dim, the largest halved size with which some changes meet the targets.

    `baseline` is the profile of the model as it is. Only targets of memory are modelled.
    """
    if device is None and targets.memory_bytes is None and targets.floor_bytes is None:
        return ()
    found = []
    for name, size in baseline.workload.dims.items():
        for halvings in range(1, _MAX_HALVINGS + 1):
            smaller = size >> halvings
            if smaller < 1:
                break
            dims = {**baseline.workload.dims, name: smaller}
            try:
                again = read_model(reading.path, dims=dims, all_changes=True)
            except FeasibilityError:
                continue
            offer = _offer({name: smaller}, again, baseline, targets, destination, device)
            if offer is not None:
                found.append(offer)
                break
    return tuple(found)


def _offer(
    dims: dict[str, int],
    reading: ModelReading,
    baseline: Profile,
    targets: FitTargets,
    destination: Destination,
    device: Device | None,
) -> Offer | None:
    """The changes that ask least and meet the targets with these dims; None if none does."""
    model, variant = profiled_model(reading.facts), Variant(reading.path, reading)
    candidates = loading_candidates(model, destination, None)
    as_it_is = modelled_on(model, destination.isa)
    if as_it_is is not None and not destination.has_glibc:
        # With glibc, the steady allocator asks least: what its default one needs is not modelled.
        candidates = {(): modelled_figures(as_it_is), **candidates}
    for changes, figures in candidates.items():
        if figures is None:
            continue
        there = None
        if device is not None:
            not_measured = replace(
                baseline,
                model=replace(model, modelled_memory=variant.modelled(changes)),
                workload=replace(baseline.workload, settings=settings_of(changes)),
                memory=None,
                default_allocator=None,
            )
            there = on_device(not_measured, baseline, None, device)
        if not missed(figures, targets, None, there):
            return Offer(dims=dims, changes=changes, memory_bytes=figures.peak_bytes)
    return None
