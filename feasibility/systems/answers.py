"""What do we find for the systems of a document? Our figures beside theirs, and the verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from feasibility.catalogue.load_catalogue import find_device
from feasibility.decide.requirements import Requirements
from feasibility.decide.verdict import assess_device
from feasibility.predict.projected_latency import project_latency
from feasibility.predict.projected_memory import project_memory
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.records.systems import (
    AnsweredDocument,
    AnsweredFigure,
    AnsweredSystem,
    Projection,
    PublishedFigure,
    System,
    SystemsDocument,
)


def answered(
    document: SystemsDocument,
    profiles: Mapping[str, Profile],
    catalogue: Sequence[Device],
    verdict_ids: Sequence[str],
) -> AnsweredDocument:
    """The document with the answers that profiles give.

    Args:
        document: What was published.
        profiles: Profiles by the id of their system; systems without one are left out.
        catalogue: All devices.
        verdict_ids: Devices to judge each system on.
    """
    devices = [find_device(device_id, catalogue) for device_id in verdict_ids]
    return AnsweredDocument(
        document=document,
        systems=tuple(
            AnsweredSystem(
                system=system,
                profile=profiles[system.id],
                figures=tuple(
                    answered_figure(figure, profiles[system.id], catalogue)
                    for figure in document.figures
                    if figure.system == system.id
                ),
                verdicts=tuple(
                    assess_device(profiles[system.id], device, requirements_of(system))
                    for device in devices
                    # `fit` finds changes; the verdict here is for the unchanged network.
                    if system.change is None
                ),
            )
            for system in document.systems
            if system.id in profiles
        ),
    )


def requirements_of(system: System) -> Requirements:
    """Targets: sound must be processed in real time; other systems have the default targets."""
    return Requirements(latency_budget_ns=system.signal_ns)


def answered_figure(
    figure: PublishedFigure, profile: Profile, catalogue: Sequence[Device]
) -> AnsweredFigure:
    """A published figure with the same figure here, and projected onto its hardware."""
    return AnsweredFigure(
        published=figure,
        here=_here(figure, profile),
        projected=_projected(figure, profile, find_device(figure.device, catalogue))
        if figure.device
        else None,
    )


def _here(figure: PublishedFigure, profile: Profile) -> int | None:
    latency, memory = profile.latency, profile.memory
    if figure.quantity == "file-size":
        return profile.model.file_bytes + profile.model.external_bytes
    if figure.quantity == "load":
        return None if latency is None else latency.load_ns
    if figure.quantity == "run":
        return None if latency is None else latency.median_ns
    if memory is None:
        return None
    return memory.load_peak_bytes if figure.quantity == "load-memory" else memory.peak_bytes


def _projected(figure: PublishedFigure, profile: Profile, device: Device) -> Projection | None:
    if figure.quantity == "run":
        time = project_latency(profile, device, threads=figure.threads, runtime=figure.runtime)
        return _projection(time.low_ns, time.likely_ns, time.high_ns)
    if figure.quantity not in ("memory", "load-memory"):
        return None
    memory = project_memory(profile, device)
    return _projection(memory.low_bytes, memory.likely_bytes, memory.high_bytes)


def _projection(low: int | None, likely: int | None, high: int | None) -> Projection | None:
    if low is None or likely is None or high is None:
        return None
    return Projection(low, likely, high)
