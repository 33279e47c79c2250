"""Is a time above its limit, or is it noise? The sign test and the signed-rank test.

Observations are logarithms of figure over limit, one per process or per pair of processes;
above zero is over the limit. The tests are exact for any number of observations and assume no
distribution, because the noise of a busy machine has no known distribution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, TypeAlias

Decision: TypeAlias = Literal["above", "below", "undecided"]
Test: TypeAlias = Callable[[Sequence[float]], float]

# Numbers of observations after which a decision is tried. Each try has so small a chance of a
# false alarm that all of them together raise one in less than 1 of 100 checks of a model
# exactly on its limit. An unchanged model is far below its limit.
LOOKS: Final = (6, 10, 14, 20, 30, 45)
FALSE_ALARM_CHANCE: Final = 0.0015
FALSE_PASS_CHANCE: Final = 0.02
INTERVAL_CONFIDENCE: Final = 0.95


def decide(excesses: Sequence[float], test: Test) -> Decision:
    """Whether observations are above zero, below, or undecided."""
    if test(excesses) <= FALSE_ALARM_CHANCE:
        return "above"
    if test([-excess for excess in excesses]) <= FALSE_PASS_CHANCE:
        return "below"
    return "undecided"


def signed_rank_chance(values: Sequence[float]) -> float:
    """Chance of a rank sum at least this high if the values were centred on zero.

    For differences of pairs: without a real difference, each is as likely negative as positive
    for any noise.

    Source: Wilcoxon's signed-rank test, exact, ties at their mean rank. Zeros count as
    negative, which favours `undecided`.
    """
    doubled = _doubled_ranks([abs(value) for value in values])
    observed = sum(rank for rank, value in zip(doubled, values, strict=True) if value > 0)
    return sum(_rank_sum_counts(doubled)[observed:]) / (1 << len(doubled))


def sign_chance(values: Sequence[float]) -> float:
    """Chance of at least so many values above zero if their median were zero.

    For single observations, whose noise is not symmetric: other work only adds time.

    Source: the sign test. Zeros count as negative.
    """
    count = len(values)
    positive = sum(value > 0 for value in values)
    return sum(math.comb(count, k) for k in range(positive, count + 1)) / (1 << count)


def centre_interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the centre of the values' distribution.

    With fewer than six values the confidence is lower: the interval is the range of the values.

    Source: Hodges and Lehmann; ordered means of all pairs, cut by the signed-rank
    distribution (Hollander and Wolfe, Nonparametric Statistical Methods, section 3.3).
    """
    means = sorted(
        (first + second) / 2 for first, second in itertools.combinations_with_replacement(values, 2)
    )
    cut = _signed_rank_cut(len(values))
    return means[cut], means[-1 - cut]


def _signed_rank_cut(count: int) -> int:
    """Number of pair means to leave out at each end."""
    allowed = (1 - INTERVAL_CONFIDENCE) / 2 * 2**count
    below = itertools.accumulate(_rank_sum_counts(range(1, count + 1)))
    return max(0, sum(1 for total in below if total <= allowed) - 1)


def _rank_sum_counts(ranks: Iterable[int]) -> list[int]:
    """For each sum of positive ranks, the number of sign patterns that have it."""
    counts = [1]
    for rank in ranks:
        longer = counts + [0] * rank
        for total, number in enumerate(counts):
            longer[total + rank] += number
        counts = longer
    return counts


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each size: twice the mean rank of ties is a whole number."""
    order = sorted(sizes)
    first = {size: order.index(size) for size in set(order)}
    many = {size: order.count(size) for size in first}
    return [2 * first[size] + many[size] + 1 for size in sizes]
