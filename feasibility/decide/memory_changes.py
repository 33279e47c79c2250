"""Which change of a model lowers its memory enough to fit? The one that asks least.

Only changes that keep the arithmetic are offered; `feasibility fit` measures them, and others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from feasibility.decide.score import SCORE_CHANGES
from feasibility.predict.projected_memory import changed_peak_high_bytes, gets_default_glibc
from feasibility.records.assessment import Reason
from feasibility.records.changes import ChangeCode
from feasibility.records.device import Device
from feasibility.records.intervals import BytesInterval
from feasibility.records.profile import Profile

_STEADY: Final[tuple[ChangeCode, ...]] = ("steady-allocator",)


def sufficient_change(profile: Profile, device: Device, memory: BytesInterval) -> Reason | None:
    """The first change whose memory is certainly within the limit; None if there is none."""
    high, budget = memory.high_bytes, memory.budget_bytes
    if high is None or budget is None or device.runs_on == "gpu":
        return None
    for changes, left in _lowered(profile, device):
        if left < high and left <= budget:
            return Reason(
                code="steady-allocator" if changes == _STEADY else "external-data",
                part="memory",
                verdict="fits-with-changes",
                score=SCORE_CHANGES,
                device=device.id,
                actual_high_bytes=left,
                unchanged_bytes=memory.likely_bytes,
                budget_bytes=budget,
                changes=changes,
            )
    return None


def _lowered(profile: Profile, device: Device) -> Iterator[tuple[tuple[ChangeCode, ...], int]]:
    """Sets of changes and the upper end of memory after them, those that ask least first."""
    runtime_bytes = device.limits.runtime_bytes.value
    settings = _STEADY if gets_default_glibc(profile, device) else ()
    is_here = profile.host.arch == device.isa
    if settings and is_here and profile.memory and profile.default_allocator:
        yield settings, profile.memory.peak_bytes + runtime_bytes
    for changed in profile.model.changed_memory:
        if changed.isa == device.isa:
            high_bytes = changed_peak_high_bytes(profile, changed)
            yield (*changed.changes, *settings), high_bytes + runtime_bytes
