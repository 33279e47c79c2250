"""Is a limit kept, broken or undecided? Which test decides for memory, and which for latency?"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from feasibility.budget.comparability import COMPARABLE, Comparability
from feasibility.budget.metrics import METRICS
from feasibility.budget.parse_limit import Limit
from feasibility.measure.significance import (
    LOOKS,
    Decision,
    Test,
    centre_interval,
    decide,
    sign_chance,
    signed_rank_chance,
)
from feasibility.records.budget import BudgetLine, Metric, Outcome

# A budget breaks only if so many processes of each model agree. Allocated bytes depend on the
# model alone and need fewer.
_PROCESS_COUNTS: Final = {"memory": 6, "allocations": 2}
_INTERVAL_COUNT_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of one metric, one per process.

    Args:
        bound: The limit as a figure; None for a relative limit.
        processor: Processor times of the model and of the baseline, if one thread does all
            the work. Other work on the machine changes them only a little.
        is_paired: True if processes of both were measured alternating on this machine.
        quiet: For each time in `now`, whether nothing else used the processor; empty for
            other metrics.
        may_trust_times: True if recorded times may fail a model.
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
    """An outcome with its reason; `wants_more` if more processes could change it."""

    outcome: Outcome
    reason: str = ""
    wants_more: bool = False


def judge(metric: Metric, limit: Limit, compared: Comparison) -> Finding:
    """Whether the figures of a metric keep to a limit."""
    kind = METRICS[metric]
    if not compared.now:
        return Finding("skipped", "not known for this model")
    if limit.is_relative and not compared.baseline:
        return Finding("inconclusive", "the baseline does not contain this figure")
    if limit.is_relative and compared.comparability.obstacle:
        return Finding("inconclusive", compared.comparability.obstacle)
    if kind.need == "file":
        bound = limit.above(compared.baseline[0]) if limit.is_relative else compared.bound
        assert bound is not None
        return Finding("pass" if compared.now[0] <= bound else "fail")
    if kind.need == "latency":
        return _judge_times(limit, compared)
    return _judge_memory(limit, compared, _PROCESS_COUNTS[kind.need])


def line_of(metric: Metric, limit: Limit, compared: Comparison, finding: Finding) -> BudgetLine:
    """The line of the report about one limit."""
    low, high = ratio_interval(metric, compared)
    baseline = _centre(compared.baseline)
    bound = compared.bound
    if limit.is_relative:
        bound = None if baseline is None else limit.above(baseline)
    return BudgetLine(
        metric=metric,
        limit_text=limit.text,
        unit=METRICS[metric].unit,
        limit=bound,
        baseline=baseline,
        actual=_centre(compared.now),
        low_ratio=low,
        high_ratio=high,
        outcome=finding.outcome,
        reason=finding.reason,
        line_number=limit.line,
    )


def ratio_interval(metric: Metric, compared: Comparison) -> tuple[float | None, float | None]:
    """Interval of the ratio to the baseline, for times that were measured alternating."""
    if (
        METRICS[metric].need != "latency"
        or not compared.is_paired
        or compared.now == compared.baseline
    ):
        return None, None
    ratios = _log_ratios(compared)
    if len(ratios) < _INTERVAL_COUNT_MIN:
        return None, None
    low, high = centre_interval(ratios)
    return math.exp(low), math.exp(high)


def _judge_memory(limit: Limit, compared: Comparison, enough_count: int) -> Finding:
    """Fails only if every process of the model is above the limit from every baseline process.

    For a recorded baseline, the excess must also be larger than the difference that equal
    models may have.
    """
    if limit.is_relative:
        lowest, highest = limit.above(min(compared.baseline)), limit.above(max(compared.baseline))
    else:
        assert compared.bound is not None
        lowest = highest = compared.bound
    if max(compared.now) <= lowest:
        return Finding("pass")
    slack = 0.0 if compared.is_paired else compared.comparability.tolerance_ratio
    count = (
        min(len(compared.now), len(compared.baseline)) if compared.is_paired else len(compared.now)
    )
    is_enough = count >= enough_count
    if min(compared.now) > highest * (1 + slack):
        return Finding("fail", wants_more=not is_enough)
    if not is_enough:
        return Finding("inconclusive", wants_more=True)
    if statistics.median(compared.now) <= (lowest + highest) / 2:
        return Finding("pass", "some processes are above the limit, but not their median")
    return Finding(
        "inconclusive",
        "above the limit, but by less than two processes of one model may differ"
        if slack == 0.0
        else f"above the limit by less than {100 * slack:g} %, which is the error of this baseline",
    )


def _judge_times(limit: Limit, compared: Comparison) -> Finding:
    """Fails only on times measured alternating, or while nothing else used the processor.

    Pairs are decided by the signed-rank test, single times by the sign test.
    """
    excesses = _excesses(limit, compared)
    test = signed_rank_chance if compared.is_paired else sign_chance
    decision = _decide_at_looks(excesses, test)
    # Other work only adds time: a time below the limit is below it without other work too.
    if decision == "below":
        return Finding("pass")
    is_over = len(excesses) >= LOOKS[-1]
    if decision == "above" and compared.is_paired:
        return Finding("fail")
    if decision == "above" and limit.is_relative and not compared.may_trust_times:
        return Finding(
            "inconclusive",
            "slower than the recorded baseline, but recorded times are not comparable; "
            "--against REV measures both now",
        )
    if decision == "above":
        undisturbed = list(itertools.compress(excesses, compared.quiet))
        if _decide_at_looks(undisturbed, test) == "above":
            return Finding("fail")
        if is_over:
            return Finding("inconclusive", "too slow, but other programs used the processor")
    if not is_over:
        return Finding("inconclusive", wants_more=True)
    return Finding(
        "inconclusive", f"too close to the limit: undecided after {len(excesses)} processes"
    )


def _decide_at_looks(excesses: Sequence[float], test: Test) -> Decision:
    """The decision at the last of `LOOKS`; more looks would raise more false alarms."""
    last = max((look for look in LOOKS if look <= len(excesses)), default=0)
    return decide(excesses[:last], test) if last else "undecided"


def _excesses(limit: Limit, compared: Comparison) -> list[float]:
    """Logarithms of figure over limit, one per process or pair of processes."""
    if limit.kind == "ratio" and compared.is_paired:
        excesses = [ratio - math.log1p(limit.ratio) for ratio in _log_ratios(compared)]
    elif limit.is_relative and compared.is_paired:
        excesses = [math.log(now / limit.above(base)) for now, base in _pairs(compared)]
    else:
        bound = (
            limit.above(_centre(compared.baseline) or 0) if limit.is_relative else compared.bound
        )
        assert bound is not None
        excesses = [math.log(now / max(bound, 1)) for now in compared.now]
    # Rounded, because logarithms of equal figures may differ in their last bits.
    return [round(excess, 9) for excess in excesses]


def _log_ratios(compared: Comparison) -> list[float]:
    return [math.log(now / max(base, 1)) for now, base in _pairs(compared)]


def _pairs(compared: Comparison) -> list[tuple[int, int]]:
    """Pairs of figures measured alternating: processor times if all processes have them."""
    count = min(len(compared.now), len(compared.baseline))
    pairs = list(zip(*compared.processor, strict=False))
    return (
        pairs if len(pairs) >= count else list(zip(compared.now, compared.baseline, strict=False))
    )


def _centre(figures: Sequence[int]) -> int | None:
    return round(statistics.median_low(figures)) if figures else None
