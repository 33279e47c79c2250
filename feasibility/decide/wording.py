"""Words for figures and grants, as the reasons of a verdict use them."""

from __future__ import annotations

from typing import Final

from feasibility.decide.requirements import Requirements
from feasibility.records.device import Device, Role
from feasibility.units import format_bytes, format_duration

_ROLES: Final[dict[Role, str]] = {
    "foreground": "a foreground app",
    "background": "a background process",
    "extension": "an extension",
    "headless": "a process without a desktop beside it",
    "service": "a service",
}


def bytes_span(low: int, high: int) -> str:
    """Both ends of a size, or one where they read alike."""
    return _span(format_bytes(low), format_bytes(high))


def duration_span(low: int, high: int) -> str:
    """Both ends of a duration, or one where they read alike."""
    return _span(format_duration(low), format_duration(high))


def system_name(device: Device) -> str:
    """What people call the device's operating system."""
    if device.allocator == "scudo":
        return "Android"
    if device.allocator == "apple":
        return "iOS" if device.kind in ("phone", "tablet") else "macOS"
    return "Windows" if device.allocator == "windows" else "Linux"


def grant_clause(device: Device, requirements: Requirements, budget_bytes: int) -> str:
    """Who grants that much, for example `Android grants a foreground app 2 GiB of 8 GiB`."""
    granted = format_bytes(budget_bytes)
    if requirements.memory_budget_bytes is not None:
        return f"the budget is {granted}"
    gpu = device.gpu
    if device.runs_on == "gpu" and gpu is not None and gpu.memory_bytes is not None:
        return f"about {granted} of the GPU's {format_bytes(gpu.memory_bytes.value)} can be used"
    grant = device.grant(requirements.role)
    if grant is None or device.memory is None:
        return f"{granted} are granted"
    total = format_bytes(device.memory.total_bytes.value)
    verb = "leaves" if device.allocator == "glibc" else "grants"
    about = "about " if not grant.memory_bytes.is_verified else ""
    clause = f"{system_name(device)} {verb} {_ROLES[grant.role]} {about}{granted} of {total}"
    wanted = requirements.role
    if wanted is None or grant.role in (wanted, "headless", "service"):
        return clause
    return f"{clause}, taken because its file says nothing of {_ROLES[wanted]}"


def join(names: list[str]) -> str:
    """Names as a sentence lists them: `a`, `a and b`, `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _span(low: str, high: str) -> str:
    if low == high:
        return low
    low_number, _, low_unit = low.partition(" ")
    return f"{low_number} to {high}" if high.endswith(f" {low_unit}") else f"{low} to {high}"
