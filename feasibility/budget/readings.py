"""What has been measured of one model so far."""

from __future__ import annotations

import statistics
from typing import Final

import msgspec

from feasibility.measure.memory_figures import ChildMemory
from feasibility.records.budget import Metric, OperatorTime, Snapshot

LATENCY_METRICS: Final[tuple[Metric, ...]] = ("latency", "latency_p95")


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one model, process by process.

    Args:
        snapshot: What the file says, the conditions, and times by operator.
        series: Figures by metric, one per process that was measured.
        quiet: For each process that times were taken of, whether nothing else used the
            processor meanwhile.
        processor_ns: For each of them the median processor time of a run; empty where other
            threads do the work.
    """

    snapshot: Snapshot
    series: dict[Metric, tuple[int, ...]] = {}
    quiet: tuple[bool, ...] = ()
    processor_ns: tuple[int, ...] = ()

    def of(self, metric: Metric) -> tuple[int, ...]:
        """Figures of a metric: one where it is exact, none where it was not measured."""
        if metric in self.series:
            return self.series[metric]
        figure = self.snapshot.figures.get(metric)
        return () if figure is None else (figure,)

    def with_memory(self, child: ChildMemory) -> Readings:
        """With the steady figures of one more process."""
        return self._with(
            {
                "peak": max(child.load_peak_bytes, child.inference_peak_bytes),
                "load_peak": child.load_peak_bytes,
                "inference_peak": child.inference_peak_bytes,
                "floor": child.floor_bytes,
                "resident": child.resident_bytes,
            }
        )

    def with_latency(
        self, median_ns: int, p95_ns: int | None, processor_ns: int | None, *, is_quiet: bool
    ) -> Readings:
        """With the times of one more process; None for a percentile of too few runs."""
        figures: dict[Metric, int] = {"latency": median_ns}
        if p95_ns is not None:
            figures["latency_p95"] = p95_ns
        more = self._with(figures)
        processor = (
            self.processor_ns if processor_ns is None else (*self.processor_ns, processor_ns)
        )
        return msgspec.structs.replace(more, quiet=(*self.quiet, is_quiet), processor_ns=processor)

    def with_allocations(self, peak_bytes: int) -> Readings:
        """With the bytes requested from allocators."""
        return self._with({"allocated_peak": peak_bytes})

    def with_operator_times(self, times: tuple[OperatorTime, ...]) -> Readings:
        """With the time of each operator type."""
        snapshot = msgspec.structs.replace(self.snapshot, operator_times=times)
        return msgspec.structs.replace(self, snapshot=snapshot)

    def without_latency(self) -> Readings:
        """Without times, so that they are taken anew."""
        kept = {name: values for name, values in self.series.items() if name not in LATENCY_METRICS}
        return msgspec.structs.replace(self, series=kept, quiet=(), processor_ns=())

    def summary(self) -> Snapshot:
        """One figure per metric, the median of its series, metrics in a fixed order."""
        figures = dict(self.snapshot.figures)
        for metric, values in self.series.items():
            figures[metric] = round(statistics.median_low(values))
        return msgspec.structs.replace(self.snapshot, figures=dict(sorted(figures.items())))

    def _with(self, figures: dict[Metric, int]) -> Readings:
        series = dict(self.series)
        for metric, figure in figures.items():
            series[metric] = (*series.get(metric, ()), figure)
        return msgspec.structs.replace(self, series=series)
