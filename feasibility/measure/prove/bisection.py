"""Which limit does the bisection try next? Arithmetic only; prove_model.py runs the model.

A model is killed below its floor, slow between floor and comfort point, and fast above the comfort
point. So every limited run shows on which side of both points its limit lies. The search starts at
the estimate from the run without a limit, continues in growing steps, and bisects once the point
lies between two limits.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from feasibility.units import KIB

State: TypeAlias = Literal["killed", "slow", "fast"]

PRECISION_RATIO: Final = 0.02
# The kernel charges memory in batches of 64 pages per processor, so finer limits have no effect.
RESOLUTION_BYTES: Final = 256 * KIB

# A little less than the precision, because limits are rounded to pages.
_STEP_SHARE: Final = 0.95
_GROWTH: Final = 4

_ALIVE: Final[frozenset[State]] = frozenset({"slow", "fast"})
_COMFORTABLE: Final[frozenset[State]] = frozenset({"fast"})


@dataclass(frozen=True, slots=True)
class LimitResult:
    """The state of the model under one limit."""

    limit_bytes: int
    state: State


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimates from the run without a limit.

    A limit below `least_bytes` almost certainly kills the model; one above `most_bytes` has no
    effect.
    """

    floor_bytes: int
    comfort_bytes: int
    least_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Bracket:
    """A point lies above `low` and not above `high`; None if no run has shown it yet."""

    low: int | None
    high: int | None

    @property
    def gap_ratio(self) -> float | None:
        """The gap, as a share of the upper end; None while an end is open."""
        if self.low is None or not self.high:
            return None
        return (self.high - self.low) / self.high

    @property
    def is_narrow(self) -> bool:
        """True if the point is known with the wanted precision."""
        if self.high is None:
            return False
        return self.high - (self.low or 0) <= _wanted_gap(self.high)


def floor_bracket(results: Collection[LimitResult]) -> Bracket:
    """The highest limit that killed the model, and the lowest above it that did not."""
    return _bracket(results, _ALIVE)


def comfort_bracket(results: Collection[LimitResult]) -> Bracket:
    """The highest limit that was not comfortable, and the lowest above it that was."""
    return _bracket(results, _COMFORTABLE)


def next_limit(results: Collection[LimitResult], estimate: Estimate) -> int | None:
    """The limit to try next; None if both points are known with the wanted precision."""
    for good, likely_bytes, first_growth in (
        (_ALIVE, estimate.floor_bytes, 1),
        # The estimate of the comfort point is less exact, so its first step is larger.
        (_COMFORTABLE, estimate.comfort_bytes, _GROWTH),
    ):
        if not _bracket(results, good).is_narrow:
            return max(1, _next(results, good, likely_bytes, estimate, first_growth))
    return None


def _bracket(results: Collection[LimitResult], good: frozenset[State]) -> Bracket:
    # Near a point results vary. One failure counts, even if a higher limit had survived before.
    low = max((item.limit_bytes for item in results if item.state not in good), default=None)
    high = min(
        (
            item.limit_bytes
            for item in results
            if item.state in good and (low is None or item.limit_bytes > low)
        ),
        default=None,
    )
    return Bracket(low, high)


def _next(
    results: Collection[LimitResult],
    good: frozenset[State],
    likely_bytes: int,
    estimate: Estimate,
    first_growth: int,
) -> int:
    """The estimate, then growing steps away from it, then the middle of the bracket.

    States in `good` are at and above the point. With a first growth of 1, the first step upwards
    closes the bracket if the estimate was right.
    """
    bracket = _bracket(results, good)
    low, high = bracket.low, bracket.high
    start = likely_bytes + round(_step(likely_bytes) / 2)
    if (low is None or start > low) and (high is None or start < high):
        return start
    if high is not None and high <= start:
        count = sum(item.state in good and item.limit_bytes <= start for item in results)
        least = low if low is not None else min(estimate.least_bytes, high // 2)
        return max(round(high - _step(high) * _growth(count)), _middle(least, high))
    assert low is not None
    count = sum(item.state not in good and item.limit_bytes >= start for item in results)
    most = high if high is not None else max(estimate.most_bytes, 2 * low)
    return min(round(low + _step(low) * first_growth * _growth(count)), _middle(low, most))


def _growth(run_count: int) -> int:
    """Factor of the first step; grows with the number of steps in one direction."""
    return int(_GROWTH ** max(0, run_count - 1))


def _step(limit_bytes: int) -> float:
    """A first step, small enough to close the bracket if the point lies within it."""
    return _STEP_SHARE * _wanted_gap(limit_bytes)


def _wanted_gap(limit_bytes: int) -> float:
    return max(PRECISION_RATIO * limit_bytes, RESOLUTION_BYTES)


def _middle(low: int, high: int) -> int:
    """The geometric mean, rounded away from the lower end."""
    return math.isqrt(max(low, 1) * high) + 1
