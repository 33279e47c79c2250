"""Which metrics can have a limit, in which unit, and what measures them?"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from feasibility.records.budget import Metric, Unit

Need: TypeAlias = Literal["file", "memory", "allocations", "latency", "operators"]
"""What a figure is measured by; `file` reads the model without running it."""


class MetricKind(NamedTuple):
    """Properties of one metric."""

    unit: Unit
    need: Need
    title: str


METRICS: Final[dict[Metric, MetricKind]] = {
    "file_size": MetricKind("bytes", "file", "file size"),
    "parameters": MetricKind("count", "file", "parameters"),
    "flops": MetricKind("count", "file", "FLOPs"),
    "activation_peak": MetricKind("bytes", "file", "activation peak (static)"),
    "peak": MetricKind("bytes", "memory", "peak memory"),
    "load_peak": MetricKind("bytes", "memory", "load peak"),
    "inference_peak": MetricKind("bytes", "memory", "inference peak"),
    "floor": MetricKind("bytes", "memory", "floor"),
    "resident": MetricKind("bytes", "memory", "resident after load"),
    "allocated_peak": MetricKind("bytes", "allocations", "allocated peak"),
    "latency": MetricKind("ns", "latency", "latency, median"),
    "latency_p95": MetricKind("ns", "latency", "latency, 95th percentile"),
}
