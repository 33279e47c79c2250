"""What are the percentiles, mean and spread of latency samples? Every percentile is a sample."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from feasibility.records.profile import Latency
from feasibility.runners.child.child_timing import median_interval_indices


def percentile(ordered: Sequence[int], percent: float) -> int:
    """Smallest sample that at least `percent` of the sorted samples do not exceed.

    Source: the nearest-rank definition, rank = ceil(percent / 100 x count).
    """
    rank = math.ceil(percent / 100 * len(ordered))
    return ordered[max(rank, 1) - 1]


def latency_summary(
    samples_ns: Sequence[int], load_ns: int | None = None, first_run_ns: int | None = None
) -> Latency:
    """Latency figures of one process with at least one sample."""
    ordered = sorted(samples_ns)
    low, high = median_interval_indices(len(ordered))
    return Latency(
        load_ns=load_ns,
        first_run_ns=first_run_ns,
        samples_ns=tuple(samples_ns),
        min_ns=ordered[0],
        median_ns=percentile(ordered, 50),
        mean_ns=round(statistics.fmean(ordered)),
        stdev_ns=round(statistics.stdev(ordered)) if len(ordered) > 1 else 0,
        p90_ns=percentile(ordered, 90),
        p95_ns=percentile(ordered, 95),
        p99_ns=percentile(ordered, 99),
        median_low_ns=ordered[low],
        median_high_ns=ordered[high],
    )


def outlier_count(samples_ns: Sequence[int]) -> int:
    """Samples further than three interquartile ranges above the third quartile.

    Source: Tukey, Exploratory Data Analysis, the outer fence.
    """
    ordered = sorted(samples_ns)
    third = percentile(ordered, 75)
    fence = third + 3 * (third - percentile(ordered, 25))
    return sum(sample > fence for sample in ordered)
