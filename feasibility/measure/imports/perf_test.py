"""What onnxruntime_perf_test prints.

Source: ONNX Runtime's own tool, onnxruntime/test/perftest; its words have changed a little
from version to version, and all of them are read.
"""

from __future__ import annotations

import re
from typing import Final

from feasibility.measure.imports.figures import (
    MILLISECOND_NS,
    SECOND_NS,
    Figures,
    UnreadableError,
    whole,
)
from feasibility.records.profile import Latency

_NUMBER: Final = r"([0-9.]+(?:e[+-]?\d+)?)"
_AVERAGE: Final = re.compile(rf"Average (?:inference )?time cost[^:\n]*: *{_NUMBER} *ms")
_SESSION: Final = re.compile(rf"Session creation time cost: *{_NUMBER} *s")
_FIRST: Final = re.compile(rf"First inference time cost: *{_NUMBER} *ms")
_PEAK: Final = re.compile(r"Peak working set size: *(\d+) bytes")
_THREADS: Final = re.compile(r"Setting intra_op_num_threads to (\d+)")


def is_output(content: str) -> bool:
    """Whether a text is such output."""
    return _AVERAGE.search(content) is not None


def read_output(content: str) -> Figures:
    """What the output says.

    Raises:
        UnreadableError: It has no time.
    """
    mean = _found(_AVERAGE, content, MILLISECOND_NS)
    if mean is None:
        raise UnreadableError("it has no average time cost")
    median = _statistic("P50", content)
    caveats = [
        "memory is the peak of the whole process, its runtime and the program itself included"
    ]
    if median is None:
        caveats.append("the average time stands for the median, which was not printed")
    return Figures(
        tool="onnxruntime_perf_test",
        runtime="ONNX Runtime",
        threads=_found(_THREADS, content, 1) or None,
        latency=Latency(
            load_ns=_found(_SESSION, content, SECOND_NS),
            first_run_ns=_found(_FIRST, content, MILLISECOND_NS),
            min_ns=_statistic("Min", content),
            median_ns=mean if median is None else median,
            mean_ns=mean,
            p90_ns=_statistic("P90", content),
            p95_ns=_statistic("P95", content),
            p99_ns=_statistic("P99", content),
        ),
        process_peak_bytes=_found(_PEAK, content, 1) or None,
        caveats=tuple(caveats),
    )


def _statistic(name: str, content: str) -> int | None:
    """A line such as `P50 Latency: 0.0587 s` or, before, `P50 Latency is 0.0587 sec`."""
    return _found(re.compile(rf"{name} Latency(?: is|:) *{_NUMBER} *s"), content, SECOND_NS)


def _found(pattern: re.Pattern[str], content: str, factor: float) -> int | None:
    match = pattern.search(content)
    try:
        return whole(float(match[1]), factor) if match else None
    except ValueError:
        return None
