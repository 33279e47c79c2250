"""Does one model keep its budget? Measures only what its limits need."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from feasibility.budget.budgeted_models import BudgetedModel
from feasibility.budget.comparability import comparability, obstacle_between
from feasibility.budget.drift_and_device_rules import (
    device_bound,
    device_line,
    drift_line,
    operator_line,
)
from feasibility.budget.explain_growth import explain_growth
from feasibility.budget.judge_limit import Comparison, Finding, judge, line_of
from feasibility.budget.metrics import METRICS, Need
from feasibility.budget.model_under_test import ModelUnderTest, Readings
from feasibility.budget.parse_limit import Limit
from feasibility.budget.static_limits import limits_isa, not_checked, static_line
from feasibility.measure.measure_options import Progress, no_progress
from feasibility.records.budget import (
    BudgetLine,
    Growth,
    Metric,
    ModelBudget,
    Outcome,
    Snapshot,
    Source,
)
from feasibility.records.shared_fields import Notice


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a model is compared with.

    Args:
        other: The model of another revision, measured now; None if there is none.
        missing: Why there is neither; empty if there is one of them.
        is_excused: True if a model may have no baseline, because it is new.
    """

    snapshot: Snapshot | None = None
    other: ModelUnderTest | None = None
    missing: str = ""
    is_excused: bool = False

    @property
    def readings(self) -> Readings | None:
        """Its figures; None without a baseline."""
        if self.other is not None:
            return self.other.readings
        return None if self.snapshot is None else Readings(snapshot=self.snapshot)

    @property
    def digest(self) -> str | None:
        """Digest of the model that the baseline was taken from."""
        if self.other is not None:
            return self.other.digest
        return None if self.snapshot is None else self.snapshot.digest


@dataclass(slots=True)
class Check:
    """One model, its budget and its baseline.

    Args:
        reference: The model to compare outputs with; None for the baseline.
        may_trust_times: True if recorded times may fail a model.
    """

    model: BudgetedModel
    tested: ModelUnderTest
    baseline: Baseline
    reference: ModelUnderTest | None = None
    may_trust_times: bool = False
    is_static: bool = False
    progress: Progress = no_progress
    _has_measured: bool = field(init=False, default=False)
    _is_alternating: bool = field(init=False, default=False)

    def run(self, *, is_explained: bool) -> ModelBudget:
        """The outcome of every limit of the model."""
        limits = [
            (metric, limit)
            for metric, metric_limits in self.model.budget.limits.items()
            for limit in metric_limits
        ]
        self._is_alternating = not self.is_static and self._compares_times(limits)
        if self._is_alternating:
            self._forget_latency()
        lines = [self._line(metric, limit) for metric, limit in limits]
        lines += self._operator_lines()
        lines += self._drift_lines()
        lines += self._device_lines()
        broken = [line.metric for line in lines if line.outcome == "fail"]
        growth = self._growth([metric for metric, _ in limits if is_explained or metric in broken])
        notices = self._notices(lines)
        if self._has_measured or not (self.is_static or self.tested.is_cached):
            self._save(lines)
        return ModelBudget(
            model=self.model.name,
            source=self._source(),
            lines=tuple(lines),
            growth=growth,
            notices=notices,
        )

    def _line(self, metric: Metric, limit: Limit) -> BudgetLine:
        if self.is_static and METRICS[metric].need != "file":
            isa = limits_isa(self.baseline.snapshot)
            return static_line(metric, limit, self.tested.static_profile.model, isa)
        if limit.is_relative and self._is_unchanged(metric):
            finding = Finding("pass", "the model has not changed")
        elif limit.is_relative and self.baseline.missing:
            outcome: Outcome = "skipped" if self.baseline.is_excused else "inconclusive"
            finding = Finding(outcome, self.baseline.missing)
        else:
            self._measure(metric, limit)
            while (finding := judge(metric, limit, self._compared(metric, limit))).wants_more:
                self._take(METRICS[metric].need, is_compared=self._is_compared(limit))
        return line_of(metric, limit, self._compared(metric, limit), finding)

    def _measure(self, metric: Metric, limit: Limit) -> None:
        """Measure the first figures of a metric, of both models if they are compared."""
        need = METRICS[metric].need
        if need == "file":
            return
        other = self.baseline.other if self._is_compared(limit) else None
        if not self.tested.readings.of(metric) or (other and not other.readings.of(metric)):
            self._take(need, is_compared=other is not None)

    def _take(self, need: Need, *, is_compared: bool) -> None:
        """Measure one more process; the order in a pair changes each time."""
        # If any limit compares times, every process is paired with one of the other model.
        is_compared = is_compared or (need == "latency" and self._is_alternating)
        models = self._models if is_compared else [self.tested]
        count = len(self.tested.readings.of("latency" if need == "latency" else "peak"))
        self._has_measured = True
        self.progress(0, 1, need)
        for model in models if count % 2 else reversed(models):
            model.take(need)

    def _compared(self, metric: Metric, limit: Limit) -> Comparison:
        now, before = self.tested.readings, self.baseline.readings
        bound = limit.value if limit.kind == "absolute" else None
        if limit.kind == "device":
            bound = device_bound(limit.device, metric)
        compared = Comparison(
            now=now.of(metric),
            baseline=(),
            bound=bound,
            is_paired=self._is_compared(limit),
            quiet=now.quiet,
            may_trust_times=self.may_trust_times,
        )
        if before is None:
            return compared
        return replace(
            compared,
            baseline=before.of(metric),
            # A 95th percentile has no processor time.
            processor=(now.processor_ns, before.processor_ns) if metric == "latency" else ((), ()),
            comparability=comparability(metric, before.snapshot, now.snapshot),
        )

    @property
    def _models(self) -> list[ModelUnderTest]:
        """The model, and that of the other revision if there is one."""
        other = self.baseline.other
        return [self.tested] if other is None else [self.tested, other]

    def _is_compared(self, limit: Limit) -> bool:
        return limit.is_relative and self.baseline.other is not None

    def _is_unchanged(self, metric: Metric) -> bool:
        """Whether the model has the bytes of the baseline, and runs under the same conditions."""
        if not self.tested.digest or self.tested.digest != self.baseline.digest:
            return False
        if self.baseline.other is not None or METRICS[metric].need == "file":
            return True
        recorded = self.baseline.snapshot
        if recorded is None or recorded.conditions is None:
            return False
        return not obstacle_between(recorded.conditions, self.tested.conditions)

    def _compares_times(self, limits: Collection[tuple[Metric, Limit]]) -> bool:
        """Whether times of two models are compared, which must be from the same minutes."""
        return any(
            METRICS[metric].need == "latency"
            and self._is_compared(limit)
            and not self._is_unchanged(metric)
            for metric, limit in limits
        )

    def _forget_latency(self) -> None:
        for model in self._models:
            model.forget_latency()

    def _save(self, lines: Iterable[BudgetLine]) -> None:
        """Cache the figures for the next check; times only if they decided their limits."""
        if any(line.unit == "ns" and line.outcome == "inconclusive" for line in lines):
            self._forget_latency()
        for model in self._models:
            model.save()

    def _operator_lines(self) -> tuple[BudgetLine, ...]:
        rules = self.model.budget.operators
        is_measured = bool(self.tested.readings.snapshot.operator_times)
        if any(rule.provider for rule in rules) and not (is_measured or self.is_static):
            self._take("operators", is_compared=False)
        lines = (operator_line(rule, self.tested.readings.snapshot) for rule in rules)
        return tuple(
            not_checked(line) if self.is_static and rule.provider else line
            for rule, line in zip(rules, lines, strict=True)
        )

    def _drift_lines(self) -> tuple[BudgetLine, ...]:
        rule = self.model.budget.drift
        if rule is None:
            return ()
        if self.is_static:
            return (not_checked(drift_line(rule, self.tested, None)),)
        return (drift_line(rule, self.tested, self.reference or self.baseline.other),)

    def _device_lines(self) -> tuple[BudgetLine, ...]:
        rules = self.model.budget.devices
        if not rules:
            return ()
        tested = self.tested
        profile = tested.static_profile if self.is_static else tested.profile(self.progress)
        return tuple(device_line(rule, profile) for rule in rules)

    def _growth(self, metrics: list[Metric]) -> tuple[Growth, ...]:
        if not metrics or self._is_unchanged("file_size"):
            return ()
        if any(METRICS[metric].need == "latency" for metric in metrics) and not self.is_static:
            self._take("operators", is_compared=self.baseline.other is not None)
        before = self.baseline.readings
        old = None if before is None else before.summary()
        return explain_growth(metrics, old, self.tested.readings.summary())

    def _source(self) -> Source:
        if self._has_measured:
            return "measured"
        if self.is_static:
            return "static"
        if self.baseline.digest and self.baseline.digest == self.tested.digest:
            return "unchanged"
        return "cached" if self.tested.is_cached else "static"

    def _notices(self, lines: Iterable[BudgetLine]) -> tuple[Notice, ...]:
        undecided = any(line.unit == "ns" and line.outcome == "inconclusive" for line in lines)
        if not undecided or all(self.tested.readings.quiet):
            return ()
        return (
            Notice(
                code="host-busy",
                message="other programs used the processor while times were measured",
                hint="run this on an idle machine, or measure both now with --against REV",
            ),
        )
