"""How is a memory limit proven? Runs the model under limits that the kernel enforces.

The run without a limit gives the estimate that the search starts from.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import feasibility
from feasibility.facts.read_model import facts_for
from feasibility.measure import measurement_warnings
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import Passes, local_passes
from feasibility.measure.profiled_model import profiled_model
from feasibility.measure.prove import bisection
from feasibility.measure.prove.limited_run import (
    COMFORT_RATIO,
    THRASHING_RATIO,
    GroupedChild,
    is_slowed,
    limited_run,
    run_in_group,
    unlimited_run,
)
from feasibility.measure.prove.page_cache import read_ahead_bytes
from feasibility.records.device import Device
from feasibility.records.model_reading import ModelReading
from feasibility.records.proof import Bisection, LimitedRun, LimitKind, Proof
from feasibility.records.shared_fields import AllocatorSetting
from feasibility.records.workload import InputPlan
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Event, Ready
from feasibility.runners.host import ceiling_bytes, read_host
from feasibility.runners.limits.cgroup_files import PAGE_BYTES
from feasibility.runners.limits.memory_limit import Enforcer
from feasibility.runners.limits.strongest_limit import strongest_enforcer
from feasibility.units import MIB, SECOND_NS, format_bytes, rounded_up

MAX_LIMITED_RUNS: Final = 12

# Other work on the machine may have slowed down a run that is close to the comfort ratio.
_NEAR_RATIOS: Final = (0.95 * COMFORT_RATIO, 1.1 * COMFORT_RATIO)
_LITTLE_BYTES: Final = MIB
# A thrashing model may take seconds per run; a search needs fewer of its runs.
_LONGEST_NS: Final = 6 * SECOND_NS
_LONGEST_IN_SEARCH_NS: Final = 2 * SECOND_NS
_SEARCH_TIMEOUT_S: Final = 5.0
_SEARCH_TIMEOUT_RATIO: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveOptions:
    """What to prove: a limit on the model, which may come from a device, or a search."""

    memory_bytes: int | None = None
    device: Device | None = None
    bisect: bool = False
    allocator: AllocatorSetting = "steady"


def prove_model(
    path: Path, options: MeasureOptions, wanted: ProveOptions, progress: Progress = no_progress
) -> Proof:
    """The proof: runs of the model under limits, and the run without a limit."""
    step_count = 0 if wanted.bisect else 2  # 0: the number of runs of a search is unknown
    progress(0, step_count, "reading the model")
    reading = read_to_run(path, options)
    passes = local_passes(path, options)
    with strongest_enforcer() as (enforcer, _):
        prover = _Prover(reading, passes, wanted, enforcer, progress, step_count)
        prover.run_unlimited()
        if wanted.memory_bytes is not None:
            prover.run_limited(wanted.memory_bytes, options.timeout_s)
        if wanted.bisect:
            prover.search()
    return prover.proof()


@dataclass(slots=True)
class _Prover:
    """The runs of one proof so far."""

    reading: ModelReading
    passes: Passes
    wanted: ProveOptions
    enforcer: Enforcer
    progress: Progress
    step_count: int
    runs: list[LimitedRun] = field(default_factory=list)
    results: list[bisection.LimitResult] = field(default_factory=list)
    kept_bytes: int = 0
    longest_ns: int = _LONGEST_NS
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    plan: InputPlan = field(init=False)
    first: ChildResult = field(init=False)
    unlimited: LimitedRun = field(init=False)
    baseline_bytes: int = field(init=False)
    estimate: bisection.Estimate = field(init=False)

    def run_unlimited(self) -> None:
        """Finds inputs that the model accepts, and its memory and latency without a limit."""
        self._show_progress("without a limit")
        children: list[GroupedChild] = []

        def run(plan: InputPlan) -> ChildResult:
            children.append(self._run(plan, None, self.passes.options.timeout_s))
            return children[-1].result

        self.plan, self.first = first_that_runs(self.reading, run, self.passes)
        self.unlimited = unlimited_run(children[-1])
        files_bytes = self.reading.facts.file_bytes + self.reading.facts.external_bytes
        self.baseline_bytes, self.estimate = _baseline_and_estimate(
            children[-1], self.enforcer.kind, files_bytes
        )

    def run_limited(self, limit_bytes: int, timeout_s: float) -> LimitedRun:
        """Runs the model under a limit."""
        self._show_progress(f"under {format_bytes(limit_bytes)}")
        child = self._run(self.plan, limit_bytes + self.baseline_bytes, timeout_s)
        run = limited_run(child, limit_bytes, self.unlimited, self.passes)
        self.runs.append(run)
        self.results.append(bisection.LimitResult(limit_bytes, _state(run)))
        return run

    def search(self) -> None:
        """Searches the floor and the comfort point."""
        longest_s = self.unlimited.wall_ns / SECOND_NS * _SEARCH_TIMEOUT_RATIO
        timeout_s = min(self.passes.options.timeout_s, _SEARCH_TIMEOUT_S + longest_s)
        self.longest_ns = _LONGEST_IN_SEARCH_NS
        while len(self.runs) < MAX_LIMITED_RUNS:
            limit = bisection.next_limit(self.results, self.estimate)
            if limit is None:
                return
            run = self.run_limited(limit, timeout_s)
            if _is_near(run) and len(self.runs) < MAX_LIMITED_RUNS:
                self._repeat(limit, timeout_s)

    def _repeat(self, limit_bytes: int, timeout_s: float) -> None:
        """Runs the model with and without the limit again; the faster result counts."""
        self._show_progress("without a limit")
        again = unlimited_run(self._run(self.plan, None, self.passes.options.timeout_s))
        if again.median_ns and self.unlimited.median_ns:
            self.unlimited = min(self.unlimited, again, key=lambda run: run.median_ns or 0)
        before = self.results.pop()
        self.run_limited(limit_bytes, timeout_s)
        if before.state == "fast":
            self.results[-1] = before

    def _run(self, plan: InputPlan, enforced_bytes: int | None, timeout_s: float) -> GroupedChild:
        def run(passes: Passes, on_event: Callable[[Event], None]) -> ChildResult:
            return passes.limited(
                plan,
                allocator=self.wanted.allocator,
                longest_ns=self.longest_ns,
                timeout_s=timeout_s,
                on_event=on_event,
            )

        files = _files_of(self.reading)
        child = run_in_group(self.enforcer, enforced_bytes, self.passes, run, files)
        self.kept_bytes = max(self.kept_bytes, child.kept_bytes)
        return child

    def proof(self) -> Proof:
        """The record of all runs."""
        facts = facts_for(self.plan, self.reading)
        host = read_host(self.first.sent(Ready).versions, self.passes.session.host)
        memory, device = self.wanted.memory_bytes, self.wanted.device
        return Proof(
            tool_version=feasibility.__version__,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            model=profiled_model(facts),
            host=host,
            workload=self.passes.workload(self.plan, self.first),
            allocator=self.wanted.allocator,
            limit_kind=self.enforcer.kind,
            memory_bytes=memory,
            device=None if device is None else device.id,
            baseline_bytes=self.baseline_bytes,
            thrashing_ratio=THRASHING_RATIO,
            unlimited=self.unlimited,
            needed_bytes=self.estimate.floor_bytes,
            verdict=None if memory is None else self.runs[0],
            runs=tuple(self.runs),
            bisection=self._bisection() if self.wanted.bisect else None,
            warnings=(
                *facts.warnings,
                *measurement_warnings.changed_sizes(self.reading.plans[0], self.plan),
                *measurement_warnings.busy_host(self.load, os.cpu_count() or 1),
                *measurement_warnings.proof_warnings(
                    self.runs,
                    limit_kind=self.enforcer.kind,
                    allocator=self.wanted.allocator,
                    free_bytes=ceiling_bytes(),
                    kept_bytes=self.kept_bytes,
                    read_ahead_bytes=read_ahead_bytes(self.reading.path) or 0,
                    coarse_points=self._coarse_points(),
                    precision_ratio=bisection.PRECISION_RATIO,
                ),
                *measurement_warnings.other_instruction_set(device, host.arch),
            ),
        )

    def _brackets(self) -> tuple[bisection.Bracket, bisection.Bracket]:
        """The floor and the comfort point; a limit on address space slows nothing down."""
        comfort = bisection.Bracket(None, None)
        if self.enforcer.kind != "address-space":
            comfort = bisection.comfort_bracket(self.results)
        return bisection.floor_bracket(self.results), comfort

    def _bisection(self) -> Bisection:
        floor, comfort = self._brackets()
        return Bisection(
            floor_bytes=floor.high,
            killed_bytes=floor.low,
            comfort_bytes=comfort.high,
            slow_bytes=comfort.low,
            floor_precision_ratio=floor.gap_ratio,
            comfort_precision_ratio=comfort.gap_ratio,
            predicted_floor_bytes=self.estimate.floor_bytes,
            predicted_comfort_bytes=self.estimate.comfort_bytes,
            comfort_ratio=COMFORT_RATIO,
        )

    def _coarse_points(self) -> list[str]:
        """Points that the search found, but not with the wanted precision."""
        if not self.wanted.bisect:
            return []
        points = zip(("floor", "comfort point"), self._brackets(), strict=True)
        return [name for name, point in points if point.high is not None and not point.is_narrow]

    def _show_progress(self, doing: str) -> None:
        done = len(self.runs) + hasattr(self, "unlimited")
        self.progress(min(done, self.step_count), self.step_count, doing)


def _baseline_and_estimate(
    unlimited: GroupedChild, kind: LimitKind, files_bytes: int
) -> tuple[int, bisection.Estimate]:
    """The baseline, which every limit includes, and the likely floor and comfort point."""
    memory, ready = memory_of(unlimited.result), unlimited.result.sent(Ready)
    if kind == "address-space":
        baseline, kernel = ready.baseline.data_bytes or ready.baseline.anonymous_bytes, 0
    else:
        kernel_before = _kernel_bytes(unlimited, Ready)
        baseline = ready.baseline.anonymous_bytes + kernel_before
        # Page tables: a process that maps more memory needs more of them.
        kernel = max(0, _kernel_bytes(unlimited, Done) - kernel_before)
    baseline = rounded_up(baseline, PAGE_BYTES)
    floor = memory.floor_bytes + kernel
    comfort = max(floor, memory.inference_peak_bytes + kernel)
    charged = unlimited.final_usage.peak_bytes
    most = memory.peak_bytes + files_bytes if charged is None else charged - baseline
    return baseline, bisection.Estimate(
        floor_bytes=floor,
        comfort_bytes=comfort,
        least_bytes=memory.inference_anonymous_bytes,
        most_bytes=max(most, comfort),
    )


def _kernel_bytes(child: GroupedChild, event: type[Ready | Done]) -> int:
    usage = child.usage_at.get(event)
    return (usage.kernel_bytes or 0) if usage else 0


def _state(run: LimitedRun) -> bisection.State:
    if run.median_ns is None:  # killed, or not finished in time
        return "killed"
    return "slow" if is_slowed(run, COMFORT_RATIO) else "fast"


def _is_near(run: LimitedRun) -> bool:
    """True if a repeat may differ: close to the comfort ratio, or slow with few rereads."""
    ratio, reread_bytes = run.latency_ratio, run.reread_per_run_bytes
    if ratio is None or ratio <= _NEAR_RATIOS[0] or reread_bytes == 0:
        return False
    return ratio < _NEAR_RATIOS[1] or (reread_bytes or _LITTLE_BYTES) < _LITTLE_BYTES


def _files_of(reading: ModelReading) -> tuple[Path, ...]:
    """The model and its external data, which lies beside the model or what that links to."""
    path = reading.path.absolute()
    folders = {path.parent, path.resolve().parent}
    places = [folder / file.location for file in reading.facts.external_files for folder in folders]
    return (path, *(place for place in places if place.is_file()))
