"""How often does the model run? Warm-up, and samples until the median is exact enough."""

from __future__ import annotations

import math
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def time_runs(
    run: Callable[[], object], schedule: dict[str, Any], after_first: Callable[[int], None]
) -> dict[str, Any]:
    """First run, warm-up until steady, then samples until the median is exact enough.

    Args:
        run: Runs the model once.
        schedule: Fields of `feasibility.runners.child_protocol.Schedule`.
        after_first: Called with the nanoseconds of the first run.
    """
    clock = time.perf_counter_ns
    started = clock()
    enough, deadline = started + schedule["enough_ns"], started + schedule["time_limit_ns"]

    def once() -> int:
        begun = clock()
        run()
        return clock() - begun

    first_ns = once()
    after_first(first_ns)
    warmup_count = warm_up(once, schedule, enough)
    samples: list[int] = []
    processor: list[int] = []
    all_processor_ns = 0
    least, most = schedule["run_count_min"], schedule["run_count_max"]
    # Equal samples may all come from one quiet moment, so they have to span some time.
    settled_from = clock() + schedule["sampling_time_ns"]
    while len(samples) < most:
        used, used_by_all = time.thread_time_ns(), time.process_time_ns()
        samples.append(once())
        all_processor_ns += time.process_time_ns() - used_by_all
        processor.append(time.thread_time_ns() - used)
        count, now = len(samples), clock()
        if now > deadline or (count >= least and now > enough):
            break
        # Only at every fifth sample, because sorting disturbs the runs.
        if count < least or count % 5 or now < settled_from:
            continue
        if is_settled(samples, schedule["precision_ratio"]):
            break
    return {
        "first_run_ns": first_ns,
        "warmup_count": warmup_count,
        "samples_ns": samples,
        "processor_ns": processor,
        "all_processor_ns": all_processor_ns,
    }


def warm_up(once: Callable[[], int], schedule: dict[str, Any], enough: int) -> int:
    """Runs until three in a row were not 2 % faster than the best before; their number."""
    fixed: int | None = schedule.get("warmup_count")
    if fixed is not None:
        for _ in range(fixed):
            once()
        return fixed
    best: float = math.inf
    count = without_gain = 0
    settled_ns = time.perf_counter_ns() + schedule["warmup_time_ns"]
    while count < schedule["warmup_count_max"]:
        duration = once()
        count += 1
        without_gain = without_gain + 1 if duration > 0.98 * best else 0
        best = min(best, duration)
        now = time.perf_counter_ns()
        # During very short runs the processor may not reach its full clock rate.
        if (without_gain >= 3 and now > settled_ns) or now > enough:
            break
    return count


def is_settled(samples: list[int], precision_ratio: float) -> bool:
    """Whether the 95 % interval of the median is within the ratio on both sides."""
    ordered = sorted(samples)
    low, high = median_interval_indices(len(ordered))
    median = ordered[(len(ordered) - 1) // 2]
    reach = precision_ratio * median
    return ordered[high] - median <= reach and median - ordered[low] <= reach


def median_interval_indices(count: int) -> tuple[int, int]:
    """Indices of sorted samples that enclose the median with 95 % confidence.

    Source: order statistics, normal approximation of the binomial; Conover,
    Practical Nonparametric Statistics, section 3.2.
    """
    reach = 1.96 * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - reach) - 1)
    high = min(count - 1, math.ceil(count / 2 + reach))
    return low, high
