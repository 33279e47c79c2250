"""Where to look next for the floor and the comfort point: arithmetic, nothing runs here.

A model is killed below its floor, slow between floor and comfort point, fast from there
on. Every run under a limit tells on which side of both points the limit lies. The figures
of the run without a limit predict the points well, so the search starts there, moves on
in growing steps, and halves what remains once it has overshot.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from feasibility.units import KIB

State: TypeAlias = Literal["killed", "slow", "fast"]

PRECISION_RATIO: Final = 0.02
# The kernel charges memory in batches of 64 pages per processor: finer limits mean nothing.
RESOLUTION_BYTES: Final = 256 * KIB

# Rounding to pages must not push a gap that was meant to be narrow enough over the edge.
_STEP_SHARE: Final = 0.95
_GROWTH: Final = 4

_ALIVE: Final[frozenset[State]] = frozenset({"slow", "fast"})
_COMFORTABLE: Final[frozenset[State]] = frozenset({"fast"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What one limit did to the model."""

    limit_bytes: int
    state: State


@dataclass(frozen=True, slots=True)
class Guess:
    """What is known of both points before anything was limited.

    Args:
        floor_bytes: Likely floor.
        comfort_bytes: Likely comfort point.
        least_bytes: Below this it can hardly live.
        most_bytes: Above this no limit is felt.
    """

    floor_bytes: int
    comfort_bytes: int
    least_bytes: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class Bracket:
    """A point lies above `low` and not above `high`; None where no run has said so yet."""

    low: int | None
    high: int | None

    @property
    def gap_ratio(self) -> float | None:
        """The gap to its upper end; None while an end is open."""
        if self.low is None or not self.high:
            return None
        return (self.high - self.low) / self.high

    @property
    def is_narrow(self) -> bool:
        """True if the point is known as well as is wanted."""
        if self.high is None:
            return False
        return self.high - (self.low or 0) <= _finest(self.high)


def floor_bracket(seen: Collection[Seen]) -> Bracket:
    """The highest limit that killed the model, and the lowest above it that did not."""
    return _bracket(seen, _ALIVE)


def comfort_bracket(seen: Collection[Seen]) -> Bracket:
    """The highest limit that was not comfortable, and the lowest above it that was."""
    return _bracket(seen, _COMFORTABLE)


def next_limit(seen: Collection[Seen], guess: Guess) -> int | None:
    """The limit to try next; None if both points are known as well as is wanted."""
    if not floor_bracket(seen).is_narrow:
        return max(1, _next(seen, _ALIVE, guess.floor_bytes, guess, first_growth=1))
    if not comfort_bracket(seen).is_narrow:
        # How much more than the pages it maps a model has to keep shows only in practice.
        return max(1, _next(seen, _COMFORTABLE, guess.comfort_bytes, guess, first_growth=_GROWTH))
    return None


def _bracket(seen: Collection[Seen], good: frozenset[State]) -> Bracket:
    # Near the point chance decides. The cautious reading counts: what failed once, fails.
    low = max((item.limit_bytes for item in seen if item.state not in good), default=None)
    high = min(
        (
            item.limit_bytes
            for item in seen
            if item.state in good and (low is None or item.limit_bytes > low)
        ),
        default=None,
    )
    return Bracket(low, high)


def _next(
    seen: Collection[Seen],
    good: frozenset[State],
    likely_bytes: int,
    guess: Guess,
    first_growth: int,
) -> int:
    """The prediction, then growing steps away from it, then halving.

    Args:
        seen: What other limits did.
        good: States from the wanted point on.
        likely_bytes: The prediction.
        guess: The ends between which the point must lie.
        first_growth: How much larger the first step upwards is than one that closes the
            bracket at once if the prediction was right.
    """
    bracket = _bracket(seen, good)
    low, high = bracket.low, bracket.high
    start = likely_bytes + round(_step(likely_bytes) / 2)
    if _is_inside(bracket, start):
        return start
    if high is not None and high <= start:
        count = sum(item.state in good and item.limit_bytes <= start for item in seen)
        least = low if low is not None else min(guess.least_bytes, high // 2)
        return max(round(high - _step(high) * _growth(count)), _middle(least, high))
    assert low is not None
    count = sum(item.state not in good and item.limit_bytes >= start for item in seen)
    most = high if high is not None else max(guess.most_bytes, 2 * low)
    return min(round(low + _step(low) * first_growth * _growth(count)), _middle(low, most))


def _is_inside(bracket: Bracket, limit_bytes: int) -> bool:
    low, high = bracket.low, bracket.high
    return (low is None or limit_bytes > low) and (high is None or limit_bytes < high)


def _growth(run_count: int) -> int:
    """How many times the first step; grows with the runs that went in one direction."""
    return int(_GROWTH ** max(0, run_count - 1))


def _step(limit_bytes: int) -> float:
    """A first step that closes a bracket if the next run is on its other side."""
    return _STEP_SHARE * _finest(limit_bytes)


def _finest(limit_bytes: int) -> float:
    return max(PRECISION_RATIO * limit_bytes, RESOLUTION_BYTES)


def _middle(low: int, high: int) -> int:
    """The geometric mean, rounded away from the lower end."""
    return math.isqrt(max(low, 1) * high) + 1
