"""Takes everything of a model that a budget may be set on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feasibility.budget.bench import Bench
from feasibility.budget.check import Progress
from feasibility.records.budget import Metric, Snapshot

# Odd, so that the median is a figure that was measured.
_PROCESS_COUNT: Final = 3


def record(bench: Bench, progress: Progress) -> Snapshot:
    """The snapshot of a model with every metric, measured where it is not known yet.

    Args:
        bench: The model, opened.
        progress: Told what is being done.

    Raises:
        FeasibilityError: The model cannot be read, loaded or run.
    """
    steps: tuple[tuple[str, Metric, Callable[[], None], int], ...] = (
        ("memory", "peak", bench.take_memory, _PROCESS_COUNT),
        ("latency", "latency", bench.take_latency, _PROCESS_COUNT),
        ("allocations", "allocated_peak", bench.take_allocations, 1),
    )
    for number, (doing, metric, take, wanted) in enumerate(steps):
        progress(number, len(steps) + 1, doing)
        for _ in range(wanted - len(bench.readings.series.get(metric, ()))):
            take()
    progress(len(steps), len(steps) + 1, "operators")
    if not bench.readings.snapshot.operator_times:
        bench.take_operators()
    bench.keep()
    progress(len(steps) + 1, len(steps) + 1, "")
    return bench.readings.summary()
