"""Does a model run on one device? The verdict, with every figure and reason behind it."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from feasibility.decide.cloud_request import CloudRequest, cloud_request, judge_request
from feasibility.decide.constraints import (
    SERVER,
    judge_latency,
    judge_memory,
    judge_operators,
    judge_period,
    judge_rate,
    judge_storage,
    memory_budget_bytes,
    missing_operators,
    period_share,
)
from feasibility.decide.energy_and_cost import inference_energy
from feasibility.decide.memory_changes import sufficient_change
from feasibility.decide.requirements import Requirements, runtime_for
from feasibility.decide.score import weakest
from feasibility.predict.latency.cpu_cores import unknown_cores
from feasibility.predict.latency.measured_rates import is_same_machine
from feasibility.predict.projected_latency import RUNTIME_NAMES, project_latency
from feasibility.predict.projected_memory import peaks_while_loading, project_memory
from feasibility.records.assessment import DeviceAssessment, Storage
from feasibility.records.device import Device
from feasibility.records.intervals import DurationInterval
from feasibility.records.profile import Profile
from feasibility.records.workload import PROJECTED_AS
from feasibility.units import SECOND_NS

NO_REQUIREMENTS: Final = Requirements()


class AssessedPlace(NamedTuple):
    """A device, what was found about it, and for a server the request to it."""

    device: Device
    found: DeviceAssessment
    request: CloudRequest | None


def assess_device(
    profile: Profile, device: Device, requirements: Requirements = NO_REQUIREMENTS
) -> DeviceAssessment:
    """The verdict on one device; see `assess_place`."""
    return assess_place(profile, device, requirements).found


def assess_place(
    profile: Profile,
    device: Device,
    requirements: Requirements,
    memory_profile: Profile | None = None,
) -> AssessedPlace:
    """The verdict on one device, for a server with the request over the network.

    The verdict is that of the worst part: speed does not make up for missing memory.
    `memory_profile` is the same model with memory measured closer to the device.
    """
    closest = memory_profile or profile
    memory = msgspec.structs.replace(
        project_memory(closest, device), budget_bytes=memory_budget_bytes(device, requirements)
    )
    latency = latency_on(profile, device, requirements)
    storage = _storage(profile, device, requirements)
    change = sufficient_change(closest, device, memory)
    request = cloud_request(profile, latency, requirements) if device.kind == SERVER else None
    of_memory = judge_memory(memory, device, requirements, change)
    found = [
        msgspec.structs.replace(of_memory, phase=_phase(closest, device)),
        judge_latency(latency),
        judge_storage(storage, requirements),
        judge_operators(profile, device, requirements),
    ]
    rate, signal_ns = requirements.rate_per_s, requirements.realtime_ns
    if rate is not None:
        found.append(judge_rate(latency, rate, is_server=device.kind == SERVER))
    if signal_ns is not None:
        found.append(judge_period("realtime", latency, signal_ns))
    if request is not None:
        found += judge_request(request, requirements)
    reasons = [msgspec.structs.replace(reason, device=device.id) for reason in found]
    assessment = DeviceAssessment(
        device=device.id,
        name=device.name,
        kind=device.kind,
        verdict=weakest(reason.verdict for reason in reasons),
        score=min(reason.score for reason in reasons),
        score_parts={reason.part: reason.score for reason in reasons},
        reasons=tuple(sorted(reasons, key=lambda reason: reason.score)),
        memory=memory,
        latency=latency,
        storage=storage,
        utilisation=period_share(latency, None if rate is None else SECOND_NS / rate),
        realtime=period_share(latency, signal_ns),
        energy=inference_energy(device, latency),
        missing_operators=missing_operators(profile.model, device),
        memory_change=change if of_memory.verdict == "fits-with-changes" else None,
    )
    return AssessedPlace(device, assessment, request)


def _phase(profile: Profile, device: Device) -> str | None:
    is_load = peaks_while_loading(profile, device)
    return None if is_load is None else "load" if is_load else "run"


def latency_on(profile: Profile, device: Device, requirements: Requirements) -> DurationInterval:
    """Latency on the device with its target: measured there if possible, else projected."""
    latency = _measured_latency(profile, device, requirements) or _projected_latency(
        profile, device, requirements
    )
    asked, default = requirements.latency_budget_ns, device.limits.latency_ns
    return msgspec.structs.replace(
        latency,
        budget_ns=asked if asked is not None else default.value if default else None,
        is_budget_default=asked is None and default is not None,
    )


def _measured_latency(
    profile: Profile, device: Device, requirements: Requirements
) -> DurationInterval | None:
    """Latency of a profile that was taken on this device with the threads and runtime asked for."""
    latency, name = profile.latency, profile.host.device.casefold()
    names = {word.casefold() for word in (device.id, device.name, *device.aliases)}
    if latency is None or not (name in names or is_same_machine(profile, device)):
        return None
    workload = profile.workload
    if requirements.threads not in (None, workload.threads):
        return None
    asked = requirements.runtime
    ran = None if workload.engine is None else PROJECTED_AS.get(workload.engine)
    if asked and asked != ran and RUNTIME_NAMES.get(asked, asked) not in workload.runtime:
        return None
    return DurationInterval(
        low_ns=latency.median_ns if latency.min_ns is None else latency.min_ns,
        likely_ns=latency.median_ns,
        high_ns=latency.median_ns if latency.p95_ns is None else latency.p95_ns,
        method="measured",
        runtime=workload.runtime,
        threads=workload.threads or None,
    )


def _projected_latency(
    profile: Profile, device: Device, requirements: Requirements
) -> DurationInterval:
    """Latency there, with the cores that the projection was never fitted to."""
    found = project_latency(
        profile,
        device,
        threads=requirements.threads,
        runtime=runtime_for(profile, requirements.runtime),
    )
    if device.runs_on == "gpu" or device.measured is not None:
        return found
    return msgspec.structs.replace(found, unknown_cores=unknown_cores(device))


def _storage(profile: Profile, device: Device, requirements: Requirements) -> Storage:
    # --app-size does not apply to servers: no app is shipped to them.
    budget = None if device.kind == SERVER else requirements.storage_budget_bytes
    if budget is None and device.limits.model_storage_bytes is not None:
        budget = device.limits.model_storage_bytes.value
    return Storage(
        needed_bytes=profile.model.file_bytes + profile.model.external_bytes, budget_bytes=budget
    )
