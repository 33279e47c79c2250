"""How far projections are from published measurements that they were not fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from feasibility.predict.calibration.fit_cpu import calibrate
from feasibility.predict.calibration.fit_int8_gpu import fit_gpu, fit_int8
from feasibility.predict.latency.covariance import (
    Covariance,
    Posterior,
    Run,
    conditioned,
    covariance,
)
from feasibility.predict.latency.interval_width import doubt, thread_group
from feasibility.predict.validation.cases import Case, GpuCase, case_seconds, int8_seconds

CONFIDENCE: Final = 0.8
_LEAST_ROWS_TO_ANCHOR: Final = 4
_MOST_PAIRS: Final = 24
# Rows of one table that are projected from each choice of anchors; published tables have fewer.
_MOST_TARGETS: Final = 256


class Miss(NamedTuple):
    """One row and how far its projection was off.

    Attributes:
        group: What the row is reported under, for example `cpu, one thread`.
        kind: Kind of the device.
        runtime: Name of the runtime.
        unit: What must not be split when intervals are checked: the chip.
        error: Logarithm of measured over projected.
        seconds: What was measured.
        deviation: What the logarithm of the interval's width is a multiple of.
    """

    group: str
    kind: str
    runtime: str
    unit: str
    error: float
    seconds: float
    deviation: float = 1.0


def left_out(cases: Sequence[Case], key: Callable[[Case], Hashable]) -> tuple[float, ...]:
    """Seconds projected for every row by a fit without any row of the same key."""
    seconds: dict[int, float] = {}
    for value in dict.fromkeys(key(case) for case in cases):
        fit = calibrate([case for case in cases if key(case) != value])
        for index, case in enumerate(cases):
            if key(case) == value:
                seconds[index] = case_seconds(case, fit)
    return tuple(seconds[index] for index in range(len(cases)))


def left_out_int8(floats: Sequence[Case], cases: Sequence[Case]) -> tuple[float, ...]:
    """Seconds projected for int8 rows, their chip left out of both fits."""
    seconds: dict[int, float] = {}
    for chip in dict.fromkeys(case.chip for case in cases):
        fit = calibrate([case for case in floats if case.chip != chip])
        int8 = fit_int8([case for case in cases if case.chip != chip], fit)
        for index, case in enumerate(cases):
            if case.chip == chip:
                seconds[index] = int8_seconds(case, fit, int8)
    return tuple(seconds[index] for index in range(len(cases)))


def left_out_gpu(cases: Sequence[GpuCase]) -> tuple[float, ...]:
    """Seconds projected for GPU rows, their chip left out of the fit."""
    seconds: dict[int, float] = {}
    for chip in dict.fromkeys(case.chip for case in cases):
        k = fit_gpu([case for case in cases if case.chip != chip])
        for index, case in enumerate(cases):
            if case.chip == chip:
                seconds[index] = case.seconds(k)
    return tuple(seconds[index] for index in range(len(cases)))


def miss_of(case: Case, projected: float, label: str) -> Miss:
    """The miss of one CPU row."""
    return Miss(
        group=f"{label}, {thread_group(case.threads)}",
        kind=case.device.kind,
        runtime=case.row.runtime,
        unit=case.chip,
        error=math.log(case.row.seconds / projected),
        seconds=case.row.seconds,
        deviation=doubt(case.device, case.threads),
    )


def gpu_miss(case: GpuCase, projected: float) -> Miss:
    """The miss of one GPU row."""
    return Miss(
        group="gpu",
        kind=case.device.kind,
        runtime=case.row.runtime,
        unit=case.chip,
        error=math.log(case.row.seconds / projected),
        seconds=case.row.seconds,
    )


def anchored(
    cases: Sequence[Case],
    misses: Sequence[Miss],
    runs: Sequence[Run],
    covariances: Callable[[str], Covariance],
    count: int,
) -> tuple[Miss, ...]:
    """Misses that remain when `count` models of the same table are taken as measured.

    Every set of anchors of a table is tried on every other row, up to a fixed number of either
    evenly chosen.

    Args:
        cases: The rows.
        misses: How far their projections without anchors are off.
        runs: What decides how alike they err.
        covariances: What errors have in common, by the chip that must not have told it.
        count: Anchors, one or two.
    """
    tables: dict[Hashable, list[int]] = {}
    for index, case in enumerate(cases):
        key = (case.device.id, case.row.build, case.threads, case.is_half)
        tables.setdefault(key, []).append(index)
    words = "one anchor" if count == 1 else "two anchors"
    remaining: list[Miss] = []
    for table in tables.values():
        if len(table) >= _LEAST_ROWS_TO_ANCHOR:
            shared = _Shared(table, runs, covariances(cases[table[0]].chip))
            group = f"{words}, {misses[table[0]].group.partition(', ')[2]}"
            remaining += _anchored_table(table, misses, shared, count, group)
    return tuple(remaining)


def _anchored_table(
    table: Sequence[int], misses: Sequence[Miss], shared: _Shared, count: int, group: str
) -> list[Miss]:
    """The misses that remain in one table, for an even choice of its anchors and its rows."""
    remaining = []
    targets = table[:: math.ceil(len(table) / _MOST_TARGETS)]
    for chosen in _spread_out(table, count):
        among = [[shared.of(one, other) for other in chosen] for one in chosen]
        errors = [misses[one].error for one in chosen]
        # Rows that err alike are told the same by the anchors.
        told: dict[int, Posterior] = {}
        for index in targets:
            if index in chosen:
                continue
            sort = shared.sort_of[index]
            if sort not in told:
                across = [shared.of(index, one) for one in chosen]
                told[sort] = conditioned(among, across, shared.of(index, index), errors)
            mean, deviation = told[sort]
            miss = misses[index]
            remaining.append(
                miss._replace(error=miss.error - mean, deviation=deviation, group=group)
            )
    return remaining


class _Shared:
    """Covariance of the errors of each two rows of a table.

    A table of thousands of rows has few that differ in what decides it, and of most pairs
    nobody asks.
    """

    def __init__(self, table: Sequence[int], runs: Sequence[Run], k: Covariance) -> None:
        sorts: dict[Hashable, int] = {}
        self._runs = runs
        self._k = k
        self._known: dict[tuple[int, int], float] = {}
        self.sort_of = {
            index: sorts.setdefault(
                (run.runtime, run.is_threaded, tuple(run.shares.items()), run.mix), index
            )
            for index, run in ((index, runs[index]) for index in table)
        }

    def of(self, one: int, other: int) -> float:
        """Covariance of the errors of two rows, or the variance of one's."""
        key = (self.sort_of[one], self.sort_of[other])
        if key not in self._known:
            self._known[key] = covariance(self._runs[key[0]], self._runs[key[1]], self._k)
        return self._known[key] + (self._k.model if one == other else 0.0)


def spread_of(misses: Iterable[Miss]) -> float:
    """Half width, as a factor, of the interval that covers 80 % of these misses.

    Where their deviations are known: what that factor is for a deviation of 1.
    """
    sizes = sorted(abs(miss.error) / miss.deviation for miss in misses)
    # Split conformal prediction: the next larger rank, so that a new row is covered.
    rank = min(len(sizes), math.ceil(CONFIDENCE * (len(sizes) + 1)))
    return math.exp(sizes[rank - 1])


def inside(misses: Sequence[Miss]) -> tuple[bool, ...]:
    """Whether each is inside the interval that its group's rows of all other chips give."""
    limits: dict[tuple[str, str], float] = {}
    for group, unit in dict.fromkeys((miss.group, miss.unit) for miss in misses):
        others = [miss for miss in misses if miss.group == group and miss.unit != unit]
        limits[group, unit] = math.log(spread_of(others)) if others else 0.0
    return tuple(
        abs(miss.error) <= limits[miss.group, miss.unit] * miss.deviation for miss in misses
    )


def coverage(misses: Sequence[Miss]) -> float:
    """Share of rows inside the interval that the rows of all other chips give."""
    return sum(inside(misses)) / len(misses)


def median_error(misses: Sequence[Miss]) -> float:
    """Median of |projected / measured - 1|."""
    return quantile([abs(math.exp(-miss.error) - 1) for miss in misses], 0.5)


def factor(misses: Sequence[Miss], share: float) -> float:
    """The factor within which this share of the projections is."""
    return math.exp(quantile([abs(miss.error) for miss in misses], share))


def within(misses: Sequence[Miss], limit: float) -> float:
    """Share of projections within a factor."""
    return sum(abs(miss.error) <= math.log(limit) for miss in misses) / len(misses)


def quantile(values: Sequence[float], share: float) -> float:
    """Quantile with linear interpolation between ranks."""
    ranked = sorted(values)
    place = share * (len(ranked) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (place - low)


def _spread_out(table: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """Every set of `count` rows, or some of them evenly chosen where there are many."""
    total = math.comb(len(table), count)
    for rank in range(0, total, max(1, total // _MOST_PAIRS)):
        yield tuple(table[place] for place in _combination(len(table), count, rank))


def _combination(size: int, count: int, rank: int) -> tuple[int, ...]:
    """What `itertools.combinations(range(size), count)` yields after `rank` others."""
    chosen = []
    place = 0
    for left in range(count - 1, -1, -1):
        while rank >= (behind := math.comb(size - place - 1, left)):
            rank -= behind
            place += 1
        chosen.append(place)
        place += 1
    return tuple(chosen)
