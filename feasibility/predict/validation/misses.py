"""How large is the error of projections, also if one or two models were measured on a device?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from feasibility.predict.latency.error_covariance import Covariance, Posterior, Run, posterior
from feasibility.predict.latency.interval import doubt, thread_group
from feasibility.predict.validation.cases import Case

_LEAST_ROWS_TO_ANCHOR: Final = 4
_MOST_ANCHOR_SETS: Final = 24
# Rows of one table that are projected with each set of anchors. Published tables have fewer.
_MOST_TARGETS: Final = 256


class Miss(NamedTuple):
    """One row and the error of its projection.

    Attributes:
        group: Where the row is reported, for example `cpu, one thread`.
        case: The row.
        error: Logarithm of measured over projected.
        deviation: Factor on the logarithm of the interval's width.
    """

    group: str
    case: Case
    error: float
    deviation: float = 1.0


def cpu_miss(case: Case, projected: float, label: str) -> Miss:
    """The miss of a CPU row in floating point."""
    return miss_of(case, projected, f"{label}, {thread_group(case.threads)}")


def with_doubt(misses: Iterable[Miss], widenings: Mapping[str, float]) -> tuple[Miss, ...]:
    """The misses with the width of the interval for their kind of device and their runtime."""
    return tuple(
        miss._replace(
            deviation=miss.deviation * doubt(miss.case.device, miss.case.row.runtime, widenings)
        )
        for miss in misses
    )


def miss_of(case: Case, projected: float, group: str) -> Miss:
    """The miss of a row whose group has one width of the interval."""
    return Miss(group, case, math.log(case.row.seconds / projected))


def misses_with_anchors(misses: Sequence[Miss], k: Covariance, count: int) -> tuple[Miss, ...]:
    """Misses that remain when `count` models of the same table are used as anchors.

    A table is one device, build, number of threads and precision. Each set of its rows serves as
    anchors for all its other rows; long tables use an even choice of sets and rows.
    """
    tables: dict[Hashable, list[Miss]] = {}
    for miss in misses:
        case = miss.case
        key = (case.device.id, case.row.build, case.threads, case.is_half)
        tables.setdefault(key, []).append(miss)
    words = "one anchor" if count == 1 else "two anchors"
    remaining: list[Miss] = []
    for table in tables.values():
        if len(table) >= _LEAST_ROWS_TO_ANCHOR:
            group = f"{words}, {table[0].group.partition(', ')[2]}"
            remaining += (miss._replace(group=group) for miss in _remaining(table, k, count))
    return tuple(remaining)


def _remaining(table: Sequence[Miss], k: Covariance, count: int) -> Iterator[Miss]:
    """The misses that remain in one table, for every set of anchors."""
    runs = [miss.case.run for miss in table]
    indices = range(len(table))
    targets = _evenly(indices)
    for anchors in _anchor_sets(indices, count):
        errors = [table[index].error for index in anchors]
        # Rows that share as much with the anchors get the same correction.
        found: dict[Run, Posterior] = {}
        for index in targets:
            if index in anchors:
                continue
            miss, run = table[index], runs[index]
            if run not in found:
                found[run] = posterior(run, [runs[anchor] for anchor in anchors], errors, k)
            mean, deviation = found[run]
            yield miss._replace(error=miss.error - mean, deviation=miss.deviation * deviation)


def _anchor_sets(table: Sequence[int], count: int) -> Iterator[tuple[int, ...]]:
    """Every set of `count` rows; an even choice of them in a long table."""
    rows = _evenly(table)
    step = max(1, math.comb(len(rows), count) // _MOST_ANCHOR_SETS)
    return itertools.islice(itertools.combinations(rows, count), 0, None, step)


def _evenly(table: Sequence[int]) -> Sequence[int]:
    return table[:: math.ceil(len(table) / _MOST_TARGETS)]


def median_error(misses: Sequence[Miss]) -> float:
    """Median of |projected / measured - 1|."""
    return _quantile([abs(math.exp(-miss.error) - 1) for miss in misses], 0.5)


def factor(misses: Sequence[Miss], share: float) -> float:
    """This share of the projections is within this factor of the measured time."""
    return math.exp(_quantile([abs(miss.error) for miss in misses], share))


def within(misses: Sequence[Miss], limit: float) -> float:
    """Share of the projections that are within a factor of the measured time."""
    return sum(abs(miss.error) <= math.log(limit) for miss in misses) / len(misses)


def _quantile(values: Sequence[float], share: float) -> float:
    """Quantile with linear interpolation between ranks."""
    ranked = sorted(values)
    rank = share * (len(ranked) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (ranked[high] - ranked[low]) * (rank - low)
