"""The four constraints that decide whether a model runs on a device."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from feasibility.decide import wording
from feasibility.decide.memory_changes import Change
from feasibility.decide.requirements import Requirements
from feasibility.decide.runtimes import unchecked_operators
from feasibility.decide.score import (
    SCORE_CHANGES,
    SCORE_FULL,
    SCORE_UNKNOWN,
    interval_score,
    interval_verdict,
    verdict_rank,
)
from feasibility.predict.latency.latency import DEFAULT_RUNTIME
from feasibility.records.assessment import BytesInterval, DurationInterval, Storage, Verdict
from feasibility.records.device import Device
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.text import safe_text
from feasibility.units import format_bytes, format_duration

Part = Literal[
    "memory", "latency", "storage", "operators", "rate", "realtime", "demands", "request", "uplink"
]

# Blocked convolutions that ONNX Runtime writes into a model optimised on x86-64.
X86_ONLY_DOMAIN: Final = "com.microsoft.nchwc"


class Finding(NamedTuple):
    """What one constraint says about a model on a device."""

    part: Part
    verdict: Verdict
    score: int
    reason: str


def memory_budget_bytes(device: Device, requirements: Requirements) -> int | None:
    """What the model and its runtime may use on the device; None if nothing limits it."""
    if requirements.memory_budget_bytes is not None:
        return requirements.memory_budget_bytes
    return device.usable_bytes(requirements.role)


def judge_memory(
    memory: BytesInterval,
    device: Device,
    requirements: Requirements,
    *,
    phase: str,
    change: Change | None,
) -> Finding:
    """Peak memory against what the system grants.

    Args:
        memory: The projection, with its budget.
        device: Where it would run.
        requirements: What was demanded.
        phase: "to load", "to run" or nothing, for the sentence.
        change: A change known to make it fit, or None.
    """
    budget = memory.budget_bytes
    if memory.low_bytes is None or memory.high_bytes is None:
        reason = "its memory could not be measured; measuring it would settle this"
        return Finding("memory", "undecided", SCORE_UNKNOWN, reason)
    needed = wording.bytes_span(memory.low_bytes, memory.high_bytes)
    if budget is None:
        return Finding("memory", "fits", SCORE_FULL, f"needs {needed} {phase}".strip())
    verdict = interval_verdict(memory.low_bytes, memory.high_bytes, budget)
    score = interval_score(memory.low_bytes, memory.high_bytes, budget)
    granted = wording.grant_clause(device, requirements, budget)
    reason = f"needs {needed} {phase}".rstrip() + f"; {granted}"
    if verdict == "undecided":
        reason += "; too close to call, a measurement on the device would settle it"
    if change is not None and verdict_rank(verdict) < verdict_rank("fits-with-changes"):
        return Finding("memory", "fits-with-changes", max(score, SCORE_CHANGES), reason)
    return Finding("memory", verdict, score, reason)


def judge_latency(latency: DurationInterval) -> Finding:
    """Time of one inference against its target."""
    budget = latency.budget_ns
    if budget is None:
        return Finding("latency", "fits", SCORE_FULL, "no latency target was set")
    if latency.low_ns is None or latency.high_ns is None:
        reason = "its latency cannot be projected; timing it on the device would settle this"
        return Finding("latency", "undecided", SCORE_UNKNOWN, reason)
    verdict = interval_verdict(latency.low_ns, latency.high_ns, budget)
    score = interval_score(latency.low_ns, latency.high_ns, budget)
    span = wording.duration_span(latency.low_ns, latency.high_ns)
    target = f"the target is {format_duration(budget)}"
    if verdict == "does-not-fit":
        reason = f"takes {span}, too slow: {target}"
    elif verdict == "undecided":
        settling = "more runs" if latency.method == "measured" else "timing it there"
        reason = f"takes {span} and {target}; too close to call, {settling} would settle it"
    else:
        reason = f"takes {span}; {target}"
    return Finding("latency", verdict, score, reason)


def judge_storage(storage: Storage, requirements: Requirements) -> Finding:
    """Size of the model's files against what an application may ship or fetch.

    No file takes nothing: that is a report of another program that does not say.
    """
    is_asked = storage.budget_bytes == requirements.storage_budget_bytes
    if storage.needed_bytes == 0:
        reason = "its size on disk is not known"
        if is_asked and storage.budget_bytes is not None:
            return Finding("storage", "undecided", SCORE_UNKNOWN, reason)
        return Finding("storage", "fits", SCORE_FULL, reason)
    needed = format_bytes(storage.needed_bytes)
    budget = storage.budget_bytes
    if budget is None:
        return Finding("storage", "fits", SCORE_FULL, f"takes {needed} on disk")
    verdict = interval_verdict(storage.needed_bytes, storage.needed_bytes, budget)
    score = interval_score(storage.needed_bytes, storage.needed_bytes, budget)
    allowed = format_bytes(budget)
    limit = f"the app may grow by {allowed}" if is_asked else f"a model there may take {allowed}"
    reason = f"takes {needed} on disk; {limit}"
    return Finding("storage", verdict, score, reason)


def missing_operators(model: ProfiledModel, device: Device) -> tuple[str, ...]:
    """Operators of the model that no standard runtime build for the device has."""
    missing = list(model.custom_operators)
    if device.isa != "x86_64":
        missing += [
            name for name in model.operator_types if name.partition(":")[0] == X86_ONLY_DOMAIN
        ]
    return tuple(dict.fromkeys(missing))


def judge_operators(profile: Profile, device: Device, runtime: str = DEFAULT_RUNTIME) -> Finding:
    """Whether a standard build of the runtime can load the model at all.

    Operators that ONNX Runtime itself lacks are in no other runtime either; which of the rest
    those have is not known here, and is said.
    """
    missing = missing_operators(profile.model, device)
    if not missing:
        is_known = profile.model.node_count is not None or not profile.source
        found = "all operators are in the standard build"
        found = found if is_known else "its operators are not known"
        reason = unchecked_operators(runtime) or found
        return Finding("operators", "fits", SCORE_FULL, reason)
    shown = safe_text(", ".join(missing), 80)
    if all(name.partition(":")[0] == X86_ONLY_DOMAIN for name in missing):
        reason = (
            f"contains {shown}, which exists only on x86-64: the model was optimised there; "
            "take the file from before that"
        )
    else:
        reason = f"needs {shown}, which no standard build of ONNX Runtime has"
    return Finding("operators", "does-not-fit", 0, reason)
