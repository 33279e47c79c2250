"""Which figures of a model does a check have so far, and how does it measure more?"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from feasibility import __version__
from feasibility.budget.budget_file import BudgetedWorkload
from feasibility.budget.comparability import host_conditions
from feasibility.budget.metrics import METRICS, Need
from feasibility.facts.read_model import read_model
from feasibility.measure.measure_options import DEFAULT_TIMEOUT_S, MeasureOptions, Progress
from feasibility.measure.static_profile import static_profile
from feasibility.model_file.open_model import format_of_file
from feasibility.reading_cache import ReadingCache, file_digest, model_digest
from feasibility.records.budget import Conditions, InitializerSize, Metric, OperatorShare, Snapshot
from feasibility.records.facts import ModelFacts
from feasibility.records.model_reading import ModelReading
from feasibility.records.workload import InputPlan
from feasibility.runners.engines import usual_engine

if TYPE_CHECKING:
    from feasibility.budget.model_runs import ModelRuns
    from feasibility.records.profile import Profile

# A 95th percentile of fewer samples would be their maximum.
_P95_SAMPLE_COUNT: Final = 20
_SAMPLE_COUNT: Final = 5


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one model, one per process.

    Args:
        series: Figures by metric, one per measured process.
        quiet: For each timed process, whether nothing else used the processor.
        processor_ns: For each timed process, the median processor time of a run; empty if
            other threads do the work.
    """

    snapshot: Snapshot
    series: dict[Metric, tuple[int, ...]] = {}
    quiet: tuple[bool, ...] = ()
    processor_ns: tuple[int, ...] = ()

    def of(self, metric: Metric) -> tuple[int, ...]:
        """Figures of a metric: one if it is exact, none if it was not measured."""
        if metric in self.series:
            return self.series[metric]
        figure = self.snapshot.figures.get(metric)
        return () if figure is None else (figure,)

    def without_latency(self) -> Readings:
        """Without times, which will be measured again."""
        kept = {
            name: values for name, values in self.series.items() if METRICS[name].need != "latency"
        }
        return replace(self, series=kept, quiet=(), processor_ns=())

    def with_figures(self, figures: Mapping[Metric, int]) -> Readings:
        """With the figures of one more process."""
        series = dict(self.series)
        for metric, figure in figures.items():
            series[metric] = (*series.get(metric, ()), figure)
        return replace(self, series=series)

    def summary(self) -> Snapshot:
        """One figure per metric: the median of its series; metrics sorted by name."""
        figures = dict(self.snapshot.figures)
        for metric, values in self.series.items():
            figures[metric] = round(statistics.median_low(values))
        return replace(self.snapshot, figures=dict(sorted(figures.items())))


@dataclass
class ModelUnderTest:
    """A model with its readings; each `take` measures one more process.

    The modules that run a model are imported with the first run: a check of unchanged models
    does without them.

    Args:
        is_p95_wanted: True if a process must take enough samples for a 95th percentile.
    """

    name: str
    path: Path
    workload: BudgetedWorkload
    cache: ReadingCache
    timeout_s: float = DEFAULT_TIMEOUT_S
    is_p95_wanted: bool = False
    is_cached: bool = field(init=False, default=False)
    digest: str = field(init=False, default="")
    _readings: Readings | None = field(init=False, default=None)
    _runs: ModelRuns | None = field(init=False, default=None)

    def open(self) -> None:
        """Compute the digest of the model and read its cached readings."""
        self.digest = model_digest(self.path, self.cache)
        known = self.cache.get("readings", self.key, Readings)
        self.is_cached = known is not None
        if known is not None:  # cached for these bytes, perhaps under another name
            snapshot = replace(known.snapshot, model=self.name)
            self._readings = replace(known, snapshot=snapshot)

    @property
    def readings(self) -> Readings:
        """The figures that are known; at least the facts of the file."""
        if self._readings is None:
            reading = self._reading
            snapshot = replace(
                _snapshot_of(self.name, reading.facts, reading.initializers),
                digest=self.digest or None,
                # A model without a digest is not run.
                conditions=self.conditions if self.digest else None,
            )
            self._readings = Readings(snapshot=snapshot)
        return self._readings

    @functools.cached_property
    def _reading(self) -> ModelReading:
        return read_model(self.path, dims=self.workload.dims, hash_file=False)

    @functools.cached_property
    def static_profile(self) -> Profile:
        """The profile of the model without running it."""
        return static_profile(self._reading)

    @property
    def conditions(self) -> Conditions:
        """Conditions under which the model runs here."""
        here = host_conditions(usual_engine(format_of_file(self.path)))
        return replace(here, provider=self.options.provider_name, threads=self.workload.threads)

    def take(self, need: Need) -> None:
        """Measure one more process with the instrument that a metric needs."""
        match need:
            case "memory":
                child = self.runs.memory()
                self._add(
                    {
                        "peak": child.peak_bytes,
                        "load_peak": child.load_peak_bytes,
                        "inference_peak": child.inference_peak_bytes,
                        "floor": child.floor_bytes,
                        "resident": child.resident_bytes,
                    }
                )
            case "allocations":
                self._add({"allocated_peak": self.runs.allocated_peak_bytes()})
            case "latency":
                self._take_latency()
            case "operators":
                times = self.runs.operator_times()
                self._add({})
                snapshot = replace(self.readings.snapshot, operator_times=times)
                self._readings = replace(self.readings, snapshot=snapshot)

    def _take_latency(self) -> None:
        times = self.runs.times(_P95_SAMPLE_COUNT if self.is_p95_wanted else _SAMPLE_COUNT)
        self._add({"latency": times.median_ns})
        if self.is_p95_wanted:
            self._add({"latency_p95": times.p95_ns})
        known = self.readings
        processor = () if times.processor_ns is None else (times.processor_ns,)
        self._readings = replace(
            known,
            quiet=(*known.quiet, times.is_quiet),
            processor_ns=(*known.processor_ns, *processor),
        )

    def forget_latency(self) -> None:
        """Drop cached times, so that the times of both models are from the same minutes."""
        self._readings = self.readings.without_latency()

    def save(self) -> None:
        """Cache the readings for the next check."""
        self.cache.put("readings", self.key, self.readings)

    @property
    def options(self) -> MeasureOptions:
        """Options of its measurements."""
        return MeasureOptions(
            dims=self.workload.dims,
            inputs_archive=self.workload.inputs,
            threads=self.workload.threads,
            timeout_s=self.timeout_s,
            provider=self.workload.provider,
            seed=self.workload.seed,
        )

    @property
    def key(self) -> bytes:
        """Cache key: everything that readings depend on, the bytes of the model included."""
        inputs = self.workload.inputs
        parts = (
            __version__,
            self.digest,
            self.conditions,
            sorted(self.workload.dims.items()),
            None if inputs is None else file_digest(inputs, self.cache),
            self.workload.seed,
            self.is_p95_wanted,
        )
        return msgspec.json.encode(parts)

    @property
    def runs(self) -> ModelRuns:
        """Runs of the model, with the inputs of an earlier check if there was one."""
        if self._runs is None:
            from feasibility.budget.model_runs import ModelRuns

            known = self.readings.snapshot if self.is_cached else None
            plan = (
                InputPlan(inputs=known.inputs, dims=known.dims) if known and known.inputs else None
            )
            self._runs = ModelRuns(self.path, self.options, plan)
        return self._runs

    def profile(self, progress: Progress) -> Profile:
        """The whole profile of the model, cached between checks."""
        from feasibility.measure.measure_model import measure_model
        from feasibility.records.profile import Profile

        known = self.cache.get("profile", self.key, Profile)
        if known is None:
            known = measure_model(self.path, self.options, progress)
            self.cache.put("profile", self.key, known)
        return known

    def _add(self, figures: Mapping[Metric, int]) -> None:
        """Add the figures of a run; after the first one, the facts of the file for its inputs."""
        known = self.readings
        if not known.snapshot.inputs:
            facts, initializers, inputs = self.runs.facts()
            snapshot = replace(
                _snapshot_of(self.name, facts, initializers),
                inputs=inputs,
                digest=known.snapshot.digest,
                conditions=known.snapshot.conditions,
                operator_times=known.snapshot.operator_times,
            )
            known = replace(known, snapshot=snapshot)
        self._readings = known.with_figures(figures)


def _snapshot_of(
    name: str, facts: ModelFacts, initializers: tuple[InitializerSize, ...]
) -> Snapshot:
    """The snapshot of a model whose facts are known."""
    figures: dict[Metric, int | None] = {
        "file_size": facts.file_bytes + facts.external_bytes,
        "parameters": facts.parameter_count,
        "flops": facts.flops,
        "activation_peak": facts.activation_peak.peak_bytes if facts.activation_peak else None,
    }
    operators = (
        OperatorShare(
            op_type=f"{kind.domain}:{kind.op_type}",
            node_count=kind.node_count,
            weight_bytes=kind.weight_bytes,
            flops=kind.flops,
        )
        for kind in facts.operators
    )
    return Snapshot(
        tool_version=__version__,
        model=name,
        dims=dict(sorted(facts.dims.items())),
        figures={key: value for key, value in sorted(figures.items()) if value is not None},
        operators=tuple(sorted(operators, key=lambda share: share.op_type)),
        initializers=tuple(sorted(initializers, key=lambda size: size.name)),
    )
