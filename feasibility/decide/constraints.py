"""Does each figure of a model stay within its target or limit on a device?

Each `judge_*` function returns reasons: codes and figures, no words.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from feasibility.decide.requirements import Requirements, runtime_for
from feasibility.decide.score import (
    SCORE_CHANGES,
    SCORE_FULL,
    SCORE_TIGHT,
    SCORE_UNKNOWN,
    interval_score,
    interval_verdict,
    verdict_rank,
)
from feasibility.predict.projected_latency import DEFAULT_RUNTIME, runtime_on
from feasibility.records.assessment import (
    MemoryLimit,
    Part,
    Reason,
    ReasonCode,
    Storage,
    SystemName,
    Verdict,
)
from feasibility.records.device import Device
from feasibility.records.intervals import BytesInterval, DurationInterval, RatioInterval
from feasibility.records.profile import Profile, ProfiledModel
from feasibility.units import SECOND_NS

# Blocked convolutions that ONNX Runtime writes into a model optimised on x86-64.
X86_ONLY_DOMAIN: Final = "com.microsoft.nchwc"
SERVER: Final = "server"

_CODES: Final[dict[Verdict, ReasonCode]] = {
    "fits": "within-limit",
    "tight": "within-limit",
    "undecided": "limit-inside-interval",
    "does-not-fit": "over-limit",
}


def compared(part: Part, low: float, high: float, budget: float, **figures: Any) -> Reason:
    """The reason for one quantity between `low` and `high` with this budget."""
    verdict = interval_verdict(low, high, budget)
    score = interval_score(low, high, budget)
    return Reason(code=_CODES[verdict], part=part, verdict=verdict, score=score, **figures)


def not_known(part: Part, **figures: Any) -> Reason:
    """The reason for a quantity that was not measured; it is never taken as zero."""
    return Reason(code="not-known", part=part, verdict="undecided", score=SCORE_UNKNOWN, **figures)


def met(part: Part, code: ReasonCode, **figures: Any) -> Reason:
    """The reason for a part that has no limit, or stays far from it."""
    return Reason(code=code, part=part, verdict="fits", score=SCORE_FULL, **figures)


def ruled_out(part: Part, code: ReasonCode, **figures: Any) -> Reason:
    """The reason for a part that cannot be met at all."""
    return Reason(code=code, part=part, verdict="does-not-fit", score=0, **figures)


def memory_budget_bytes(device: Device, requirements: Requirements) -> int | None:
    """Memory that the model and its runtime may use; None without a limit."""
    if requirements.memory_budget_bytes is not None:
        return requirements.memory_budget_bytes
    return device.usable_bytes(requirements.role)


def judge_memory(
    memory: BytesInterval, device: Device, requirements: Requirements, change: Reason | None
) -> Reason:
    """Peak memory against the limit."""
    low, high, budget = memory.low_bytes, memory.high_bytes, memory.budget_bytes
    if low is None or high is None:
        return not_known("memory", budget_bytes=budget)
    figures = {"actual_low_bytes": low, "actual_high_bytes": high, "budget_bytes": budget}
    if budget is None:
        return met("memory", "no-limit", **figures)
    reason = compared(
        "memory",
        low,
        high,
        budget,
        is_budget_asked=requirements.memory_budget_bytes is not None,
        memory_limit=_memory_limit(device, requirements),
        **figures,
    )
    if change is None or verdict_rank(reason.verdict) >= verdict_rank("fits-with-changes"):
        return reason
    return msgspec.structs.replace(
        reason, verdict="fits-with-changes", score=max(reason.score, SCORE_CHANGES)
    )


def _memory_limit(device: Device, requirements: Requirements) -> MemoryLimit:
    """Who sets the memory limit."""
    gpu = device.gpu
    if requirements.memory_budget_bytes is not None:
        return MemoryLimit(source="option")
    if device.runs_on == "gpu" and gpu is not None and gpu.memory_bytes is not None:
        return MemoryLimit(source="gpu", total_bytes=gpu.memory_bytes.value, is_estimate=True)
    grant, wanted = device.grant(requirements.role), requirements.role
    if grant is None or device.memory is None:
        return MemoryLimit(source="system")
    return MemoryLimit(
        source="system",
        system=_system(device),
        role=grant.role,
        asked_role=None if grant.role in (wanted, "headless", "service") else wanted,
        total_bytes=device.memory.total_bytes.value,
        is_estimate=not grant.memory_bytes.is_verified,
    )


def _system(device: Device) -> SystemName:
    if device.allocator == "scudo":
        return "android"
    if device.allocator == "apple":
        return "ios" if device.kind in ("phone", "tablet") else "macos"
    return "windows" if device.allocator == "windows" else "linux"


def judge_latency(latency: DurationInterval) -> Reason:
    """Time of one inference against its target."""
    low, high, target = latency.low_ns, latency.high_ns, latency.budget_ns
    figures = {"actual_low_ns": low, "actual_high_ns": high, "budget_ns": target}
    if target is None:
        return met("latency", "no-limit", **figures)
    figures["is_budget_asked"] = not latency.is_budget_default
    if low is None or high is None:
        return not_known("latency", **figures)
    return compared("latency", low, high, target, **figures)


def judge_storage(storage: Storage, requirements: Requirements) -> Reason:
    """Size of the model's files against what an application may ship or download.

    Reports of other programs may not say how large the model is; their size reads zero.
    """
    size, budget = storage.needed_bytes, storage.budget_bytes
    is_asked = budget is not None and budget == requirements.storage_budget_bytes
    if size == 0:
        return not_known("storage") if is_asked else met("storage", "not-known")
    figures = {"actual_low_bytes": size, "actual_high_bytes": size, "budget_bytes": budget}
    if budget is None:
        return met("storage", "no-limit", **figures)
    return compared("storage", size, size, budget, is_budget_asked=is_asked, **figures)


def missing_operators(model: ProfiledModel, device: Device) -> tuple[str, ...]:
    """Operators of the model that no standard build of the runtime for the device has."""
    missing = list(model.custom_operators)
    if device.isa != "x86_64":
        missing += [name for name in model.operator_types if _is_x86_only(name)]
    return tuple(dict.fromkeys(missing))


def _is_x86_only(operator: str) -> bool:
    return operator.partition(":")[0] == X86_ONLY_DOMAIN


def judge_operators(profile: Profile, device: Device, requirements: Requirements) -> Reason:
    """Whether a standard build of the runtime can load the model.

    No other runtime has operators that ONNX Runtime lacks. Which others they have is not checked.
    """
    missing = missing_operators(profile.model, device)
    if missing:
        is_x86_only = all(map(_is_x86_only, missing))
        code: ReasonCode = "operators-x86-only" if is_x86_only else "operators-missing"
        lacking = runtime_for(profile)
        return ruled_out("operators", code, operators=missing, runtime=lacking)
    runtime = runtime_on(device, runtime_for(profile, requirements.runtime))
    if runtime != DEFAULT_RUNTIME:
        return met("operators", "operators-not-checked", runtime=runtime)
    # A model that ran here has no missing operators, even if its file does not list operators.
    has_run = not profile.source and profile.method != "projected"
    is_known = profile.model.node_count is not None or has_run
    return met("operators", "operators-available" if is_known else "not-known")


def period_share(latency: DurationInterval, period_ns: float | None) -> RatioInterval | None:
    """Latency divided by the period of a rate or signal; above 1 the device falls behind."""
    if period_ns is None or latency.low_ns is None or latency.high_ns is None:
        return None
    return RatioInterval(
        low_ratio=latency.low_ns / period_ns, high_ratio=latency.high_ns / period_ns
    )


def judge_rate(latency: DurationInterval, rate_per_s: float, *, is_server: bool = False) -> Reason:
    """Whether the device keeps up with a rate; of a server several can be rented."""
    period_ns = SECOND_NS / rate_per_s
    busy = period_share(latency, period_ns)
    if not is_server or busy is None or busy.high_ratio <= 1:
        return judge_period("rate", latency, period_ns, rate_per_s=rate_per_s)
    return Reason(
        code="several-servers",
        part="rate",
        verdict="tight",
        score=SCORE_TIGHT,
        server_low_count=max(1, math.ceil(busy.low_ratio)),
        server_high_count=math.ceil(busy.high_ratio),
        rate_per_s=rate_per_s,
        **_times(latency, period_ns),
    )


def judge_period(part: Part, latency: DurationInterval, period_ns: float, **figures: Any) -> Reason:
    """Whether the device keeps up with a rate or signal of this period."""
    share = period_share(latency, period_ns)
    figures |= _times(latency, period_ns)
    if share is None:
        return not_known(part, **figures)
    return compared(part, share.low_ratio, share.high_ratio, 1.0, **figures)


def _times(latency: DurationInterval, period_ns: float) -> dict[str, Any]:
    return {
        "actual_low_ns": latency.low_ns,
        "actual_high_ns": latency.high_ns,
        "budget_ns": round(period_ns),
        "is_budget_asked": True,
    }
