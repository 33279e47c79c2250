"""Which verdict and how many points does an interval get against its target or limit?

A higher limit, or lower ends of the interval, never give a worse verdict or fewer points.
docs/scoring.md says the same in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from feasibility.records.assessment import Verdict

ROOMY_RATIO: Final = 0.5
TIGHT_RATIO: Final = 0.8

SCORE_FULL: Final = 100
SCORE_FITS: Final = 80
SCORE_TIGHT: Final = 60
SCORE_CHANGES: Final = 59
SCORE_CLOSE: Final = 30
SCORE_UNKNOWN: Final = 45

_RANKS: Final[dict[Verdict, int]] = {
    "does-not-fit": 0,
    "undecided": 1,
    "fits-with-changes": 2,
    "tight": 3,
    "fits": 4,
}


def verdict_rank(verdict: Verdict) -> int:
    """Order of the verdicts, 0 the worst."""
    return _RANKS[verdict]


def weakest(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst verdict: a device fits only as well as its worst part."""
    return min(verdicts, key=verdict_rank, default="undecided")


def interval_verdict(low: float, high: float, budget: float) -> Verdict:
    """Verdict on one quantity between `low` and `high`, with a limit above zero."""
    if low > budget:
        return "does-not-fit"
    if high > budget:
        return "undecided"
    return "tight" if high > TIGHT_RATIO * budget else "fits"


def interval_score(low: float, high: float, budget: float) -> int:
    """Points of one quantity: from 80 fits, from 60 tight, from 30 undecided, below does not fit.

    Linear between the thresholds, so that a slightly better device never gets fewer points.
    """
    if low > budget:
        overrun = low / budget - 1 if budget > 0 else math.inf
        return math.floor(_between(0, SCORE_CLOSE - 1, 1 - overrun))
    if high > budget:
        return math.floor(_between(SCORE_CLOSE, SCORE_CHANGES, (budget - low) / (high - low)))
    used = high / budget if budget > 0 else 0.0
    if used > TIGHT_RATIO:
        share = (1 - used) / (1 - TIGHT_RATIO)
        return math.floor(_between(SCORE_TIGHT, SCORE_FITS - 1, share))
    share = (TIGHT_RATIO - used) / (TIGHT_RATIO - ROOMY_RATIO)
    return math.floor(_between(SCORE_FITS, SCORE_FULL, share))


def _between(lowest: float, highest: float, share: float) -> float:
    return lowest + (highest - lowest) * min(1.0, max(0.0, share))
