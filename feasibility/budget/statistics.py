"""Decisions from few, noisy observations, with the chance of a false alarm bounded.

Observations are logarithms of figure over limit, one per process or per pair of
processes; above zero means too much. Tests are exact for any number of them and
assume no distribution: noise of a busy machine has none that is known.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

Decision: TypeAlias = Literal["above", "below", "undecided"]
Test: TypeAlias = Callable[[Sequence[float]], float]

# Numbers of observations after which a decision is tried. Each try may be wrong, so the
# chance of each is such that all together raise a false alarm in less than 1 of 100 checks
# of a model that lies exactly on its limit; one that has not changed is far from it.
LOOKS: Final = (6, 10, 14, 20, 30, 45)
FALSE_ALARM_CHANCE: Final = 0.0015
FALSE_PASS_CHANCE: Final = 0.02
INTERVAL_CONFIDENCE: Final = 0.95


def decide(excesses: Sequence[float], test: Test) -> Decision:
    """Whether observations lie above zero or below, or neither can be said yet."""
    if test(excesses) <= FALSE_ALARM_CHANCE:
        return "above"
    if test([-excess for excess in excesses]) <= FALSE_PASS_CHANCE:
        return "below"
    return "undecided"


def signed_rank_chance(values: Sequence[float]) -> float:
    """Chance of a rank sum as high as this one if the values lay around zero.

    For differences of pairs: under the hypothesis of no difference each is as likely to
    be negative as positive, whatever the noise is.

    Source: Wilcoxon's signed-rank test, exact, ties at their mean rank; values of zero
    count as negative, which errs towards "cannot be said".
    """
    doubled = _doubled_ranks([abs(value) for value in values])
    observed = sum(rank for rank, value in zip(doubled, values, strict=True) if value > 0)
    ways = [1]
    for rank in doubled:
        longer = ways + [0] * rank
        for total, count in enumerate(ways):
            longer[total + rank] += count
        ways = longer
    return sum(ways[observed:]) / (1 << len(doubled))


def sign_chance(values: Sequence[float]) -> float:
    """Chance of as many values above zero if their median were zero.

    For single observations, whose noise is not symmetric: other work only adds time.

    Source: the sign test; zeros count as negative.
    """
    count = len(values)
    positive = sum(value > 0 for value in values)
    return sum(math.comb(count, k) for k in range(positive, count + 1)) / (1 << count)


def centre_interval(values: Sequence[float]) -> tuple[float, float]:
    """Interval that holds the centre of the values' distribution with 95 % confidence.

    With fewer than six values it is narrower than that confidence asks, as wide as they are.

    Source: Hodges and Lehmann; ordered means of all pairs, cut by the signed-rank
    distribution (Hollander and Wolfe, Nonparametric Statistical Methods, section 3.3).
    """
    means = sorted(
        (first + second) / 2 for first, second in itertools.combinations_with_replacement(values, 2)
    )
    cut = _signed_rank_cut(len(values))
    return means[cut], means[-1 - cut]


def _signed_rank_cut(count: int) -> int:
    """Means of pairs to leave out at either end."""
    ways = [1]
    for rank in range(1, count + 1):
        longer = ways + [0] * rank
        for total, number in enumerate(ways):
            longer[total + rank] += number
        ways = longer
    allowed = (1 - INTERVAL_CONFIDENCE) / 2 * 2**count
    below = itertools.accumulate(ways)
    return max(0, sum(1 for total in below if total <= allowed) - 1)


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each size, so that the mean rank of ties is whole."""
    order = sorted(sizes)
    first = {size: order.index(size) for size in set(order)}
    many = {size: order.count(size) for size in first}
    return [2 * first[size] + many[size] + 1 for size in sizes]
