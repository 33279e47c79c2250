"""What becomes of one limit, given the figures of a model and of its baseline."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.budget.conditions import COMPARABLE, Comparability
from feasibility.budget.limits import Limit
from feasibility.budget.metrics import METRICS
from feasibility.budget.statistics import (
    LOOKS,
    Decision,
    Test,
    centre_interval,
    decide,
    sign_chance,
    signed_rank_chance,
)
from feasibility.records.budget import BudgetLine, Metric, Outcome

# A budget breaks only if this many processes of either model agree; what is requested from
# allocators depends on nothing but the model.
_PROCESS_COUNTS: Final = {"memory": 6, "allocations": 2}
_INTERVAL_COUNT_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Sides:
    """Figures of one metric, process by process.

    Args:
        now: Of the model; empty where they were not measured.
        baseline: Of what it is compared with; empty where there is nothing.
        bound: The limit as a figure; None for a relative limit without a baseline.
        processor: Processor times of the model and of the baseline, process by process, where
            a thread does all of the work; other work stretches them by little.
        comparability: Whether the two may be compared.
        is_paired: True if processes of both took turns on this machine.
        quiet: For each process whose times `now` holds, whether nothing else used the
            processor meanwhile; empty for other metrics.
        may_trust_times: True if times that were recorded earlier may fail a model.
    """

    now: Sequence[int]
    baseline: Sequence[int]
    bound: int | None
    processor: tuple[Sequence[int], Sequence[int]] = ((), ())
    comparability: Comparability = COMPARABLE
    is_paired: bool = False
    quiet: Sequence[bool] = ()
    may_trust_times: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome with its reason; `wants_more` if further processes could change it."""

    outcome: Outcome
    reason: str = ""
    wants_more: bool = False


def judge(metric: Metric, limit: Limit, sides: Sides) -> Finding:
    """Whether the figures of one metric keep to one limit."""
    kind = METRICS[metric]
    if not sides.now:
        return Finding("skipped", "not known for this model")
    if limit.is_relative and not sides.baseline:
        return Finding("inconclusive", "the baseline does not have it")
    if limit.is_relative and sides.comparability.obstacle:
        return Finding("inconclusive", sides.comparability.obstacle)
    if kind.need == "file":
        return _judge_exactly(limit, sides)
    if kind.need == "latency":
        return _judge_times(limit, sides)
    return _judge_memory(limit, sides, _PROCESS_COUNTS[kind.need])


def line_of(metric: Metric, limit: Limit, sides: Sides, finding: Finding) -> BudgetLine:
    """The report's line on one limit."""
    low, high = ratio_interval(metric, sides)
    baseline = _centre(sides.baseline)
    bound = sides.bound
    if limit.is_relative:
        bound = None if baseline is None else limit.above(baseline)
    return BudgetLine(
        metric=metric,
        limit_text=limit.text,
        unit=METRICS[metric].unit,
        limit=bound,
        baseline=baseline,
        actual=_centre(sides.now),
        low_ratio=low,
        high_ratio=high,
        outcome=finding.outcome,
        reason=finding.reason,
        line_number=limit.line,
    )


def ratio_interval(metric: Metric, sides: Sides) -> tuple[float | None, float | None]:
    """Interval of the ratio to the baseline, for times that were taken in turns."""
    if METRICS[metric].need != "latency" or not sides.is_paired or sides.now == sides.baseline:
        return None, None
    ratios = _log_ratios(sides)
    if len(ratios) < _INTERVAL_COUNT_MIN:
        return None, None
    low, high = centre_interval(ratios)
    return math.exp(low), math.exp(high)


def _judge_exactly(limit: Limit, sides: Sides) -> Finding:
    bound = limit.above(sides.baseline[0]) if limit.is_relative else sides.bound
    assert bound is not None
    return Finding("pass" if sides.now[0] <= bound else "fail")


def _judge_memory(limit: Limit, sides: Sides, enough_count: int) -> Finding:
    """Fails only if every process of the model is above what every process of the baseline allows.

    Recorded figures are of another time, so a fail also has to exceed what equal models'
    figures may differ by.
    """
    if limit.is_relative:
        lowest, highest = limit.above(min(sides.baseline)), limit.above(max(sides.baseline))
    else:
        assert sides.bound is not None
        lowest = highest = sides.bound
    if max(sides.now) <= lowest:
        return Finding("pass")
    slack = 0.0 if sides.is_paired else sides.comparability.tolerance_ratio
    count = min(len(sides.now), len(sides.baseline)) if sides.is_paired else len(sides.now)
    is_enough = count >= enough_count
    if min(sides.now) > highest * (1 + slack):
        return Finding("fail", wants_more=not is_enough)
    if not is_enough:
        return Finding("inconclusive", wants_more=True)
    if statistics.median(sides.now) <= (lowest + highest) / 2:
        return Finding("pass", "within what processes of one model differ by")
    return Finding(
        "inconclusive",
        "above the limit by no more than processes of one model differ by"
        if slack == 0.0
        else f"above the limit by less than {100 * slack:g} %, which such a baseline cannot tell",
    )


def _judge_times(limit: Limit, sides: Sides) -> Finding:
    """Fails only on what was measured in turns, or while nothing else used the processor."""
    excesses = _excesses(limit, sides)
    test = signed_rank_chance if sides.is_paired else sign_chance
    decision = _decide_at_looks(excesses, test)
    # Other work only adds time, so what is fast enough beside it is so without.
    if decision == "below":
        return Finding("pass")
    is_over = len(excesses) >= LOOKS[-1]
    if decision == "above" and sides.is_paired:
        return Finding("fail")
    if decision == "above" and limit.is_relative and not sides.may_trust_times:
        return Finding(
            "inconclusive",
            "slower than the recorded baseline, but times of another day prove nothing; "
            "--against REV measures both now",
        )
    if decision == "above":
        undisturbed = list(itertools.compress(excesses, sides.quiet))
        if _decide_at_looks(undisturbed, test) == "above":
            return Finding("fail")
        if is_over:
            return Finding("inconclusive", "too slow, but other work was using the processor")
    if not is_over:
        return Finding("inconclusive", wants_more=True)
    return Finding("inconclusive", f"{len(excesses)} processes could not tell it from the limit")


def _decide_at_looks(excesses: Sequence[float], test: Test) -> Decision:
    """The decision of the last look; between two looks it stands, so that none is added."""
    last = max((look for look in LOOKS if look <= len(excesses)), default=0)
    return decide(excesses[:last], test) if last else "undecided"


def _excesses(limit: Limit, sides: Sides) -> list[float]:
    """Logarithms of figure over limit, one per process or pair of processes."""
    if limit.kind == "ratio" and sides.is_paired:
        excesses = [ratio - math.log1p(limit.ratio) for ratio in _log_ratios(sides)]
    elif limit.is_relative and sides.is_paired:
        excesses = [math.log(now / limit.above(base)) for now, base in _pairs(sides)]
    else:
        bound = limit.above(_centre(sides.baseline) or 0) if limit.is_relative else sides.bound
        assert bound is not None
        excesses = [math.log(now / max(bound, 1)) for now in sides.now]
    # The last bits of a logarithm must not tell equal figures apart.
    return [round(excess, 9) for excess in excesses]


def _log_ratios(sides: Sides) -> list[float]:
    return [math.log(now / max(base, 1)) for now, base in _pairs(sides)]


def _pairs(sides: Sides) -> list[tuple[int, int]]:
    """Figures of processes that took turns: processor times where all have them."""
    count = min(len(sides.now), len(sides.baseline))
    pairs = list(zip(*sides.processor, strict=False))
    return pairs if len(pairs) >= count else list(zip(sides.now, sides.baseline, strict=False))


def _centre(figures: Sequence[int]) -> int | None:
    return round(statistics.median_low(figures)) if figures else None
