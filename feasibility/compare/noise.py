"""Is a difference of two figures real? One rule per kind of evidence."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from feasibility.measure.significance import centre_interval, sign_chance, signed_rank_chance
from feasibility.records.comparison import ComparedOutcome, FigureDifference
from feasibility.units import MIB

# Numbers of rounds after which a difference is looked for. Each look has this chance, in each
# direction, to see one in equal models: 3 of 100 comparisons with all looks.
LOOKS: Final = (8, 12, 16)
_CHANCE: Final = 0.005
# A difference smaller than this needs no further rounds.
_SMALL_RATIO: Final = 0.02
_LEAST_SAMPLES: Final = 6
# Two profiles of one model, taken at different times on one machine, have medians that differ by
# up to this share.
_OTHER_TIME_RATIO: Final = 0.1
# What memory with the steady allocator was seen to differ by, between processes of one model.
_REPEAT_RATIO: Final = 0.01
_REPEAT_BYTES: Final = 5 * MIB // 4
# Steady figures differ by pages of 4 KiB if nothing else differs.
_LEAST_REPEAT_RATIO: Final = 0.001
# Another processor of one instruction set may store weights in other blocks.
OTHER_CPU_RATIO: Final = 0.03


def is_settled(reference: Sequence[int], other: Sequence[int]) -> bool:
    """Whether further rounds of processes in turns would show nothing new about their times."""
    count = min(len(reference), len(other))
    if count >= LOOKS[-1]:
        return True
    if count not in LOOKS:
        return False
    logs = _logs(reference, other)
    low, high = centre_interval(logs)
    return bool(_direction(logs)) or max(-low, high) < math.log1p(_SMALL_RATIO)


def in_turns(reference: Sequence[int], other: Sequence[int]) -> FigureDifference:
    """Times of processes that alternated, in the order of the rounds."""
    logs = _logs(reference, other)
    low, high = centre_interval(logs)
    look = max((each for each in LOOKS if each <= len(logs)), default=0)
    outcome = _direction(logs[:look])
    if outcome is None:
        outcome = "no-difference" if look and low <= 0 <= high else "undecided"
    return FigureDifference(
        outcome=outcome,
        evidence="in-turns",
        value_ratio=math.exp(statistics.median(logs)),
        low_ratio=math.exp(low),
        high_ratio=math.exp(high),
    )


def by_samples(reference: Sequence[int], other: Sequence[int]) -> FigureDifference:
    """Samples of two processes that did not alternate.

    The machine may have been slower for one of them, so that only more than a tenth counts.
    """
    before, after = statistics.median_low(reference), statistics.median_low(other)
    margin = math.log1p(_OTHER_TIME_RATIO)
    logs = [math.log(max(each, 1) / max(before, 1)) for each in other]
    outcome: ComparedOutcome = "undecided"
    if len(reference) >= _LEAST_SAMPLES and len(other) >= _LEAST_SAMPLES:
        if sign_chance([each - margin for each in logs]) <= _CHANCE * len(LOOKS):
            outcome = "higher"
        elif sign_chance([-each - margin for each in logs]) <= _CHANCE * len(LOOKS):
            outcome = "lower"
        elif abs(math.log(max(after, 1) / max(before, 1))) <= margin:
            outcome = "no-difference"
    return FigureDifference(
        outcome=outcome,
        evidence="samples",
        value_ratio=ratio_of(before, after),
        tolerance_ratio=_OTHER_TIME_RATIO,
    )


def by_repeats(
    reference: Sequence[int],
    other: Sequence[int],
    *,
    least_ratio: float = 0.0,
    is_counted: bool = False,
) -> FigureDifference:
    """Memory of processes with the steady allocator, one figure or several per model.

    Several figures of a model show how well they repeat.

    Args:
        reference: Figures of the reference.
        other: Figures of the other one.
        least_ratio: A share up to which a difference is noise in any case.
        is_counted: True for allocated bytes, which do not depend on pages.
    """
    before, after = statistics.median_low(reference), statistics.median_low(other)
    if min(len(reference), len(other)) > 1:
        tolerance = max(_spread(reference), _spread(other), _LEAST_REPEAT_RATIO)
    else:
        pages = 0 if is_counted else _REPEAT_BYTES
        tolerance = max(_REPEAT_RATIO, pages / max(min(before, after), 1))
    tolerance = max(tolerance, least_ratio)
    is_real = abs(after - before) > tolerance * min(before, after)
    return FigureDifference(
        outcome=_outcome(before, after, is_real=is_real),
        evidence="repeats",
        value_ratio=ratio_of(before, after),
        tolerance_ratio=tolerance,
    )


def by_ranges(reference: tuple[int, int], other: tuple[int, int]) -> FigureDifference:
    """Ranges of several processes; the ratio is that of their high ends."""
    is_apart = other[0] > reference[1] or other[1] < reference[0]
    return FigureDifference(
        outcome=_outcome(reference[1], other[1], is_real=is_apart),
        evidence="ranges",
        value_ratio=ratio_of(reference[1], other[1]),
    )


def exact(reference: int, other: int) -> FigureDifference:
    """Figures of files, which have no noise."""
    return FigureDifference(
        outcome=_outcome(reference, other, is_real=True) if reference != other else "equal",
        evidence="exact",
        value_ratio=ratio_of(reference, other),
    )


def single(reference: int, other: int) -> FigureDifference:
    """One figure each, of which nobody knows how well it repeats."""
    return FigureDifference(
        outcome="undecided", evidence="single", value_ratio=ratio_of(reference, other)
    )


def ratio_of(reference: int, other: int) -> float | None:
    """A figure over that of the reference; None without one."""
    if not reference:
        return None if other else 1.0
    return other / reference


def _outcome(before: int, after: int, *, is_real: bool) -> ComparedOutcome:
    if not is_real:
        return "no-difference"
    return "higher" if after > before else "lower"


def _direction(logs: Sequence[float]) -> ComparedOutcome | None:
    """Which side of zero the centre of paired observations is on; None if that may be chance."""
    if signed_rank_chance(logs) <= _CHANCE:
        return "higher"
    if signed_rank_chance([-each for each in logs]) <= _CHANCE:
        return "lower"
    return None


def _logs(reference: Sequence[int], other: Sequence[int]) -> list[float]:
    # Rounded, because logarithms of equal figures may differ in their last bits.
    return [
        round(math.log(max(after, 1) / max(before, 1)), 9)
        for before, after in zip(reference, other, strict=False)
    ]


def _spread(figures: Sequence[int]) -> float:
    """The distance of the ends as a share of the lowest figure."""
    return max(figures) / max(min(figures), 1) - 1
