"""Holds one model against its budget, measuring only what a limit asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from feasibility.budget.bench import Bench
from feasibility.budget.conditions import COMPARABLE, comparability
from feasibility.budget.config import DeviceRule
from feasibility.budget.drifting import drift_line
from feasibility.budget.explain import explain_growth
from feasibility.budget.judge import Finding, Sides, judge, line_of
from feasibility.budget.limits import Limit
from feasibility.budget.matching import BudgetedModel
from feasibility.budget.metrics import METRICS, Need
from feasibility.budget.operators import operator_lines
from feasibility.records.base import Notice
from feasibility.records.budget import (
    BudgetLine,
    Growth,
    Metric,
    ModelBudget,
    Outcome,
    Snapshot,
    Source,
)

Progress: TypeAlias = Callable[[int, int, str], None]
JudgeDevice: TypeAlias = Callable[[BudgetedModel, DeviceRule], BudgetLine]
DeviceBound: TypeAlias = Callable[[str, Metric], int]

_DOING: Final[dict[Need, str]] = {
    "memory": "memory",
    "allocations": "allocations",
    "latency": "latency",
    "operators": "operators",
}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a model is held against.

    Args:
        snapshot: As it was recorded; None if it was not.
        bench: The same model of another revision, to be measured now; None if there is none.
        missing: Why there is neither; empty if there is one.
        is_excused: True if a model without one is in order, because it is new.
    """

    snapshot: Snapshot | None = None
    bench: Bench | None = None
    missing: str = ""
    is_excused: bool = False

    @property
    def digest(self) -> str | None:
        """What tells whether the model has changed."""
        if self.bench is not None:
            return self.bench.digest
        return None if self.snapshot is None else self.snapshot.digest


@dataclass(slots=True)
class Check:
    """One model, its budget and its baseline.

    Args:
        model: The model with its budget.
        bench: The model, opened.
        baseline: What it is held against.
        bound_of: What a device grants, by its name and a metric.
        judge_device: The line on a verdict that a device has to give.
        reference: The model whose outputs it has to keep to; None for that of the baseline.
        may_trust_times: True if times that were recorded earlier may fail a model.
        is_static: True to run nothing.
        progress: Told what is being done.
    """

    model: BudgetedModel
    bench: Bench
    baseline: Baseline
    bound_of: DeviceBound
    judge_device: JudgeDevice
    reference: Bench | None = None
    may_trust_times: bool = False
    is_static: bool = False
    progress: Progress = lambda _done, _total, _doing: None
    _has_measured: bool = field(init=False, default=False)
    _in_turns: bool = field(init=False, default=False)

    def run(self, *, is_explained: bool) -> ModelBudget:
        """What became of every limit of the model.

        Args:
            is_explained: True to say what accounts for the figures even if none is broken.

        Raises:
            FeasibilityError: The model or its baseline cannot be read or measured.
        """
        limits = tuple(self._limits())
        self._in_turns = self._compares_times(limits)
        if self._in_turns:
            self._forget_latency()
        lines = [self._line(metric, limit) for metric, limit in limits]
        lines += self._operator_lines()
        drift = self.model.budget.drift
        if drift is not None and not self.is_static:
            lines.append(drift_line(drift, self.bench, self.reference or self.baseline.bench))
        if not self.is_static:
            lines += [self.judge_device(self.model, rule) for rule in self.model.budget.devices]
        broken = [line.metric for line in lines if line.outcome == "fail"]
        growth = self._growth([metric for metric, _ in limits if is_explained or metric in broken])
        notices = self._notices(lines)
        if self._has_measured or not (self.is_static or self.bench.is_cached):
            self._keep(lines)
        return ModelBudget(
            model=self.model.name,
            source=self._source(),
            lines=tuple(lines),
            growth=growth,
            notices=notices,
        )

    def _limits(self) -> Iterable[tuple[Metric, Limit]]:
        for metric, limits in self.model.budget.limits.items():
            if METRICS[metric].need == "file" or not self.is_static:
                yield from ((metric, limit) for limit in limits)

    def _line(self, metric: Metric, limit: Limit) -> BudgetLine:
        sides = self._sides(metric, limit)
        if limit.is_relative and self._is_unchanged(metric):
            return line_of(metric, limit, sides, Finding("pass", "the model has not changed"))
        if limit.is_relative and self.baseline.missing:
            outcome: Outcome = "skipped" if self.baseline.is_excused else "inconclusive"
            return line_of(metric, limit, sides, Finding(outcome, self.baseline.missing))
        self._measure(metric, limit)
        sides = self._sides(metric, limit)
        finding = judge(metric, limit, sides)
        while finding.wants_more:
            self._take(METRICS[metric].need, is_compared=self._is_compared(limit))
            sides = self._sides(metric, limit)
            finding = judge(metric, limit, sides)
        return line_of(metric, limit, sides, finding)

    def _measure(self, metric: Metric, limit: Limit) -> None:
        """Takes the first figures of a metric, of both models where they are to be compared."""
        need = METRICS[metric].need
        if need == "file":
            return
        other = self.baseline.bench if self._is_compared(limit) else None
        if not self.bench.readings.of(metric) or (other and not other.readings.of(metric)):
            self._take(need, is_compared=other is not None)

    def _take(self, need: Need, *, is_compared: bool) -> None:
        """Takes one more process's figures; pairs run in an order that changes each time."""
        benches = [self.bench]
        other = self.baseline.bench
        # Where any limit compares times, every process has its partner of the same moment.
        is_compared = is_compared or (need == "latency" and self._in_turns)
        if is_compared and other is not None:
            count = len(self.bench.readings.of("latency" if need == "latency" else "peak"))
            benches = [self.bench, other] if count % 2 else [other, self.bench]
        self._has_measured = True
        self.progress(0, 1, _DOING[need])
        for bench in benches:
            if need == "memory":
                bench.take_memory()
            elif need == "allocations":
                bench.take_allocations()
            elif need == "latency":
                bench.take_latency()
            elif need == "operators":
                bench.take_operators()

    def _sides(self, metric: Metric, limit: Limit) -> Sides:
        readings = self.bench.readings
        other = self.baseline.bench
        recorded = self.baseline.snapshot
        before: tuple[int, ...] = ()
        comparable = COMPARABLE
        if other is not None:
            before = other.readings.of(metric)
            comparable = comparability(metric, other.readings.snapshot, readings.snapshot)
        elif recorded is not None:
            figure = recorded.figures.get(metric)
            before = () if figure is None else (figure,)
            comparable = comparability(metric, recorded, readings.snapshot)
        bound = limit.value if limit.kind == "absolute" else None
        if limit.kind == "device":
            bound = self.bound_of(limit.device, metric)
        return Sides(
            now=readings.of(metric),
            baseline=before,
            bound=bound,
            processor=self._processor_times(metric),
            comparability=comparable,
            is_paired=other is not None and limit.is_relative,
            quiet=readings.quiet,
            may_trust_times=self.may_trust_times,
        )

    def _processor_times(self, metric: Metric) -> tuple[tuple[int, ...], tuple[int, ...]]:
        other = self.baseline.bench
        if metric != "latency" or other is None:
            return (), ()
        return self.bench.readings.processor_ns, other.readings.processor_ns

    def _is_compared(self, limit: Limit) -> bool:
        return limit.is_relative and self.baseline.bench is not None

    def _is_unchanged(self, metric: Metric) -> bool:
        """Whether the model is the baseline's, byte by byte, under the same conditions."""
        if not self.bench.digest or self.bench.digest != self.baseline.digest:
            return False
        if self.baseline.bench is not None or METRICS[metric].need == "file":
            return True
        recorded = self.baseline.snapshot
        if recorded is None or recorded.conditions is None:
            return False
        then, here = recorded.conditions, self.bench.conditions
        return (then.arch, then.runtime, then.libc, then.provider, then.threads) == (
            here.arch,
            here.runtime,
            here.libc,
            here.provider,
            here.threads,
        )

    def _compares_times(self, limits: Collection[tuple[Metric, Limit]]) -> bool:
        """Whether times of two models are compared, and so must be of the same minutes."""
        return any(
            METRICS[metric].need == "latency"
            and self._is_compared(limit)
            and not self._is_unchanged(metric)
            for metric, limit in limits
        )

    def _forget_latency(self) -> None:
        self.bench.forget_latency()
        if self.baseline.bench is not None:
            self.baseline.bench.forget_latency()

    def _keep(self, lines: Iterable[BudgetLine]) -> None:
        """Keeps what was measured for the next check; times only if they settled something."""
        if any(line.unit == "ns" and line.outcome == "inconclusive" for line in lines):
            self._forget_latency()
        self.bench.keep()
        if self.baseline.bench is not None:
            self.baseline.bench.keep()

    def _operator_lines(self) -> tuple[BudgetLine, ...]:
        rules = self.model.budget.operators
        if self.is_static:
            rules = tuple(rule for rule in rules if rule.provider is None)
        if any(rule.provider for rule in rules) and not self._operator_times():
            self._take("operators", is_compared=False)
        return operator_lines(rules, self.bench.readings.snapshot)

    def _operator_times(self) -> bool:
        return bool(self.bench.readings.snapshot.operator_times)

    def _growth(self, metrics: list[Metric]) -> tuple[Growth, ...]:
        if not metrics or self._is_unchanged("file_size"):
            return ()
        other = self.baseline.bench
        if any(METRICS[metric].need == "latency" for metric in metrics) and not self.is_static:
            self._take("operators", is_compared=other is not None)
        before = other.readings.summary() if other else self.baseline.snapshot
        return explain_growth(metrics, before, self.bench.readings.summary())

    def _source(self) -> Source:
        if self._has_measured:
            return "measured"
        if self.is_static:
            return "static"
        if self.baseline.digest and self.baseline.digest == self.bench.digest:
            return "unchanged"
        return "cached" if self.bench.is_cached else "static"

    def _notices(self, lines: Iterable[BudgetLine]) -> tuple[Notice, ...]:
        undecided = any(line.unit == "ns" and line.outcome == "inconclusive" for line in lines)
        if not undecided or all(self.bench.readings.quiet):
            return ()
        return (
            Notice(
                code="host-busy",
                message="other work was using the processor while times were taken",
                hint="run this on an idle machine, or compare in turns with --against REV",
            ),
        )
