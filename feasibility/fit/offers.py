"""Which smaller workload, or which number of threads, would meet the targets?

Both are the user's decision: a search never chooses them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from feasibility.errors import FeasibilityError
from feasibility.facts.read_model import read_model
from feasibility.fit.candidate_runs import Variant, latency_ratio
from feasibility.fit.candidates import Destination, loading_candidates, modelled_figures
from feasibility.fit.changes import precision_of, settings_of
from feasibility.fit.targets import missed, nearest, on_device
from feasibility.fit.workshop import CandidateWorkshop, figures_of
from feasibility.measure.profiled_model import profiled_model
from feasibility.predict.projected_memory import modelled_on
from feasibility.records.device import Device
from feasibility.records.fit import FitCandidate, FitTargets, Offer
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Profile

_MAX_HALVINGS: Final = 6
_TIME: Final = frozenset({"latency", "latency_ratio"})


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
                found.append(replace(offer, role=reading.dim_roles.get(name, "")))
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
    candidates = loading_candidates(model, destination)
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


def more_threads(
    candidates: Sequence[FitCandidate], workshop: CandidateWorkshop
) -> tuple[Offer, ...]:
    """The fewest threads with which a model meets the targets that misses only the time.

    A model with the same arithmetic comes before one with another. There are never more threads
    than cores.
    """
    late = [each for each in candidates if each.missed and each.missed.keys() <= _TIME]
    for has_other_arithmetic in (False, True):
        found = nearest(
            each
            for each in late
            if (precision_of(each.changes) is not None) == has_other_arithmetic
        )
        if found is None:
            continue
        for count in _counts(workshop):
            offer = _with_threads(found, count, workshop)
            if offer is not None:
                return (offer,)
    return ()


def _counts(workshop: CandidateWorkshop) -> list[int]:
    """Numbers of threads to try: doubled, up to the cores of the machine that will run it."""
    device, now = workshop.device, workshop.original.options.threads
    cores = workshop.baseline.profile.host.core_count
    if device is not None:
        clusters = () if device.cpu is None else device.cpu.clusters
        cores = sum(each.core_count.value for each in clusters)
    if cores is None or cores <= now:
        return []
    doubled = (now << times for times in range(1, cores.bit_length()))
    return [*(count for count in doubled if count < cores), cores]


def _with_threads(found: FitCandidate, threads: int, workshop: CandidateWorkshop) -> Offer | None:
    """A candidate with more threads, if it then meets the targets.

    It is measured in turns with the model as it is; on a device, its time is projected.
    """
    targets, original = workshop.targets, workshop.original
    if workshop.device is not None:
        measured = workshop.measured_by_changes.get(found.changes, workshop.baseline)
        there = workshop.there(measured, threads)
        if there is None or missed(measured.figures, targets, found.drift, there):
            return None
        return Offer(threads=threads, changes=found.changes, latency_ns=there.latency_ns)
    if not workshop.has_time():
        return None
    runs = workshop.runs_of(found)
    threaded = dataclasses.replace(runs, options=dataclasses.replace(runs.options, threads=threads))
    try:
        ratio = latency_ratio(threaded, original, workshop.has_time, workshop.target_ratio())
        figures = figures_of(threaded.profile(), ratio, workshop.baseline.figures)
    except FeasibilityError:
        return None
    if missed(figures, targets, found.drift, None):
        return None
    return Offer(
        threads=threads,
        changes=found.changes,
        memory_bytes=figures.peak_bytes,
        latency_ns=figures.median_ns,
    )
