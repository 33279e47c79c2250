"""Which targets does a candidate miss, and by how much?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from msgspec.structs import replace

from feasibility.decide.constraints import judge_operators, memory_budget_bytes
from feasibility.decide.requirements import Requirements
from feasibility.decide.verdict import latency_on
from feasibility.predict.projected_memory import project_memory
from feasibility.records.device import Device
from feasibility.records.drift import Drift
from feasibility.records.fit import Figure, FitCandidate, FitFigures, FitTargets
from feasibility.records.intervals import BytesInterval
from feasibility.records.profile import Profile

# A device that lacks an operator of the changed model is as far away as this.
_IMPOSSIBLE: Final = 100.0
# States of candidates with figures that count.
_RAN: Final = ("meets", "misses")


class OnDevice(NamedTuple):
    """Figures of a candidate on the device.

    Attributes:
        memory: With the runtime's own memory and the device's limit.
        latency_ns: Likely one of the unchanged model, times the ratio that was measured here.
    """

    memory: BytesInterval
    latency_ns: int | None
    lacks_operators: bool

    @property
    def model_bytes(self) -> tuple[int, int] | None:
        """Lower and upper end of memory without the runtime; None if it is not known."""
        low, high, runtime = (
            self.memory.low_bytes,
            self.memory.high_bytes,
            self.memory.runtime_bytes,
        )
        return (
            None if low is None or high is None else (low - (runtime or 0), high - (runtime or 0))
        )


def on_device(
    profile: Profile,
    baseline: Profile,
    latency_ratio: float | None,
    device: Device,
    threads: int | None = None,
) -> OnDevice:
    """Memory and latency of a changed model on a device; None for the threads of the baseline."""
    requirements = Requirements(threads=threads or baseline.workload.threads)
    likely_ns = latency_on(baseline, device, requirements).likely_ns
    limit = memory_budget_bytes(device, requirements)
    return OnDevice(
        replace(project_memory(profile, device), budget_bytes=limit),
        None if likely_ns is None else round(likely_ns * (latency_ratio or 1.0)),
        judge_operators(profile, device, requirements).verdict == "does-not-fit",
    )


def missed(
    figures: FitFigures,
    targets: FitTargets,
    drift: Drift | None,
    there: OnDevice | None,
    *,
    end: Literal[0, 1] = 1,
) -> dict[Figure, float]:
    """Targets that figures miss: figure divided by target, above 1.

    On a device, memory and latency are the figures there; of memory the upper end (`end` 1) or the
    lower one (`end` 0). A figure that is not known misses nothing.
    """
    peak: int | None = figures.peak_bytes
    # A time of one process alone says little, so it decides nothing.
    is_timed = figures.latency_ratio is not None
    latency, memory_target = figures.median_ns if is_timed else None, targets.memory_bytes
    lacks_operators = False
    if there is not None:
        peak = None if there.model_bytes is None else there.model_bytes[end]
        latency = there.latency_ns if is_timed else None
        lacks_operators = there.lacks_operators
        granted = there.memory.budget_bytes
        if granted is not None:
            left = max(1, granted - (there.memory.runtime_bytes or 0))
            memory_target = left if memory_target is None else min(left, memory_target)
    ratios: tuple[tuple[Figure, float | None, float | None], ...] = (
        ("memory", peak, memory_target),
        ("floor", figures.floor_bytes, targets.floor_bytes),
        ("latency", latency, targets.latency_ns),
        ("latency_ratio", figures.latency_ratio, targets.latency_ratio),
        ("size", figures.file_bytes, targets.size_bytes),
        ("drift", None if drift is None else drift.relative_ratio, targets.drift_ratio),
        ("operators", _IMPOSSIBLE if lacks_operators else None, 1),
    )
    return {
        figure: value / target if target else _IMPOSSIBLE
        for figure, value, target in ratios
        if value is not None and target is not None and value > target
    }


def nearest(candidates: Iterable[FitCandidate]) -> FitCandidate | None:
    """The candidate that ran and whose worst miss is smallest."""
    measured = [each for each in candidates if each.status in _RAN]
    return min(measured, key=lambda each: max(each.missed.values(), default=0.0), default=None)


def marked(candidates: Sequence[FitCandidate]) -> tuple[FitCandidate, ...]:
    """The candidates, with a mark on measured ones that another beats.

    What beats is at most as large in memory, floor, latency, size and drift, and not equal.
    """
    points = [_point(each) if each.status in _RAN else None for each in candidates]

    def is_beaten(own: tuple[float, ...]) -> bool:
        return any(
            other is not None
            and other != own
            and all(a <= b for a, b in zip(other, own, strict=True))
            for other in points
        )

    return tuple(
        each if own is None else replace(each, is_beaten=is_beaten(own))
        for each, own in zip(candidates, points, strict=True)
    )


def _point(candidate: FitCandidate) -> tuple[float, ...]:
    figures = candidate.measured
    assert figures is not None
    drift = candidate.drift
    return (
        figures.peak_bytes,
        figures.floor_bytes or 0,
        # Not compared in turns: counts as the slowest, so that its time is never an advantage.
        math.inf if figures.latency_ratio is None else figures.latency_ratio,
        figures.file_bytes or 0,
        0.0 if drift is None else drift.relative_ratio,
    )
