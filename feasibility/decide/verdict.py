"""The verdict on one model and one device."""

from __future__ import annotations

from typing import Final

import msgspec

from feasibility.decide import wording
from feasibility.decide.cloud import SERVER, cloud_path, judge_cloud
from feasibility.decide.constraints import (
    Finding,
    judge_latency,
    judge_memory,
    judge_operators,
    judge_storage,
    memory_budget_bytes,
    missing_operators,
)
from feasibility.decide.energy import inference_energy
from feasibility.decide.memory_changes import Change, memory_changes
from feasibility.decide.requirements import Requirements
from feasibility.decide.score import weakest
from feasibility.decide.streams import judge_rate, judge_realtime, realtime_factor, utilisation
from feasibility.predict.latency.cpu_cores import CORE_FAMILIES, UNKNOWN_CORE
from feasibility.predict.latency.latency import (
    DEFAULT_RUNTIME,
    RUNTIME_NAMES,
    project_latency,
    runtime_on,
)
from feasibility.predict.latency.measured_rates import is_same_machine
from feasibility.predict.memory import peaks_while_loading, project_memory
from feasibility.records.assessment import (
    BytesInterval,
    DeviceAssessment,
    DurationInterval,
    RatioInterval,
    Storage,
)
from feasibility.records.device import Device
from feasibility.records.profile import Profile
from feasibility.text import safe_text

NO_REQUIREMENTS: Final = Requirements()


def assess_device(
    profile: Profile,
    device: Device,
    requirements: Requirements = NO_REQUIREMENTS,
    memory_profile: Profile | None = None,
) -> DeviceAssessment:
    """Whether the model runs on the device, how well, and why.

    The score is that of the weakest constraint: a model that is fast enough does not
    make up for memory that is not there.

    Args:
        profile: The model as it was measured.
        device: Where it would run.
        requirements: What it must keep there.
        memory_profile: The same model where its memory was measured closer to the device;
            None for the first profile.
    """
    closest = memory_profile or profile
    memory = msgspec.structs.replace(
        project_memory(closest, device), budget_bytes=memory_budget_bytes(device, requirements)
    )
    latency = msgspec.structs.replace(
        measured_latency(profile, device, requirements)
        or _projected_latency(profile, device, requirements),
        budget_ns=_latency_budget_ns(device, requirements),
    )
    storage = _storage(profile, device, requirements)
    change = _sufficient_change(closest, device, memory)
    busy, factor = _streams(latency, requirements)
    findings = (
        judge_memory(memory, device, requirements, phase=_phase(closest, device), change=change),
        judge_latency(latency),
        judge_storage(storage, requirements),
        judge_operators(profile, device, runtime_on(device, requirements.runtime)),
        *_stream_findings(device, busy, factor, requirements),
        *_cloud_findings(profile, device, latency, requirements),
    )
    verdict = weakest(finding.verdict for finding in findings)
    is_change_needed = change is not None and findings[0].verdict == "fits-with-changes"
    return DeviceAssessment(
        device=device.id,
        name=device.name,
        kind=device.kind,
        verdict=verdict,
        score=min(finding.score for finding in findings),
        score_parts={finding.part: finding.score for finding in findings},
        reasons=_reasons(findings),
        memory=memory,
        latency=latency,
        storage=storage,
        utilisation=busy,
        realtime=factor,
        energy=inference_energy(device, latency),
        missing_operators=missing_operators(profile.model, device),
        changes=(change.sentence,) if change is not None and is_change_needed else (),
    )


def measured_latency(
    profile: Profile, device: Device, requirements: Requirements = NO_REQUIREMENTS
) -> DurationInterval | None:
    """Latency of a profile that was taken on this very device, as asked for; None if it was not."""
    latency, name = profile.latency, profile.host.device.casefold()
    names = {word.casefold() for word in (device.id, device.name, *device.aliases)}
    if latency is None or not (name in names or is_same_machine(profile, device)):
        return None
    workload = profile.workload
    if requirements.threads not in (None, workload.threads):
        return None
    asked = RUNTIME_NAMES.get(requirements.runtime, requirements.runtime)
    if requirements.runtime != DEFAULT_RUNTIME and asked not in workload.runtime:
        return None
    return DurationInterval(
        low_ns=latency.median_ns if latency.min_ns is None else latency.min_ns,
        likely_ns=latency.median_ns,
        high_ns=latency.median_ns if latency.p95_ns is None else latency.p95_ns,
        method="measured",
        runtime=workload.runtime,
        threads=workload.threads or None,
        explanation=f"Measured on the device itself by {profile.source or 'this tool'}.",
    )


def _projected_latency(
    profile: Profile, device: Device, requirements: Requirements
) -> DurationInterval:
    """Latency there, and whether its cores are of a make that the projection does not know."""
    found = project_latency(
        profile, device, threads=requirements.threads, runtime=requirements.runtime
    )
    if device.runs_on == "gpu" or device.cpu is None or device.measured is not None:
        return found
    cores = dict.fromkeys(cluster.core for cluster in device.cpu.clusters)
    unknown = [safe_text(core, 40) for core in cores if core.lower() not in CORE_FAMILIES]
    if not unknown:
        return found
    text = (
        f"{found.explanation} Nothing was ever fitted to {wording.join(unknown)}: counted as a "
        f"core of the family {UNKNOWN_CORE[device.isa]!r}, which may be far off."
    )
    return msgspec.structs.replace(found, explanation=text)


def _streams(
    latency: DurationInterval, requirements: Requirements
) -> tuple[RatioInterval | None, RatioInterval | None]:
    """How busy the rate keeps it, and its real-time factor; None where nobody asked."""
    rate, signal_ns = requirements.rate_per_s, requirements.realtime_ns
    return (
        None if rate is None else utilisation(latency, rate),
        None if signal_ns is None else realtime_factor(latency, signal_ns),
    )


def _stream_findings(
    device: Device,
    busy: RatioInterval | None,
    factor: RatioInterval | None,
    requirements: Requirements,
) -> tuple[Finding, ...]:
    rate, signal_ns = requirements.rate_per_s, requirements.realtime_ns
    is_server = device.kind == SERVER
    return (
        *(() if rate is None else (judge_rate(busy, rate, is_server=is_server),)),
        *(() if signal_ns is None else (judge_realtime(factor, signal_ns),)),
    )


def _cloud_findings(
    profile: Profile, device: Device, latency: DurationInterval, requirements: Requirements
) -> tuple[Finding, ...]:
    if device.kind != SERVER:
        return ()
    return judge_cloud(cloud_path(profile, latency, requirements), requirements)


def _latency_budget_ns(device: Device, requirements: Requirements) -> int | None:
    if requirements.latency_budget_ns is not None:
        return requirements.latency_budget_ns
    target = device.limits.latency_ns
    return target.value if target else None


def _storage(profile: Profile, device: Device, requirements: Requirements) -> Storage:
    # What an app may add says nothing about a server, to which no app is shipped.
    budget = None if device.kind == SERVER else requirements.storage_budget_bytes
    if budget is None and device.limits.model_storage_bytes is not None:
        budget = device.limits.model_storage_bytes.value
    return Storage(
        needed_bytes=profile.model.file_bytes + profile.model.external_bytes, budget_bytes=budget
    )


def _sufficient_change(profile: Profile, device: Device, memory: BytesInterval) -> Change | None:
    """The change that leaves least, if that is certainly inside the budget."""
    if memory.budget_bytes is None:
        return None
    for change in memory_changes(profile, device, memory):
        if change.high_bytes <= memory.budget_bytes:
            return change
    return None


def _phase(profile: Profile, device: Device) -> str:
    loading = peaks_while_loading(profile, device)
    if loading is None:
        return ""
    return "to load" if loading else "to run"


def _reasons(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """Sentences, the most decisive first; constraints with nothing to say come last."""
    return tuple(finding.reason for finding in sorted(findings, key=lambda found: found.score))
