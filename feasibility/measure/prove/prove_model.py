"""Runs a model under limits that the kernel enforces."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import feasibility
from feasibility.measure import profile_warnings
from feasibility.measure.host import ceiling_bytes, read_host
from feasibility.measure.inputs_that_run import first_that_runs
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.passes import Passes
from feasibility.measure.profiled_model import profiled_model
from feasibility.measure.prove import proof_warnings
from feasibility.measure.prove.bisection import (
    Seen,
    State,
    comfort_bracket,
    floor_bracket,
    next_limit,
)
from feasibility.measure.prove.first_guess import Figures, predict
from feasibility.measure.prove.limited_run import (
    COMFORT_RATIO,
    THRASHING_RATIO,
    Attempt,
    Conditions,
    attempt,
    is_slowed,
    limited_run,
    unlimited_run,
)
from feasibility.measure.prove.page_cache import read_ahead_bytes
from feasibility.measure.subject import Subject, read_subject
from feasibility.records.device import Device
from feasibility.records.proof import Bisection, LimitedRun, Proof, ProofAllocator
from feasibility.records.workload import InputPlan, Workload
from feasibility.runners.child_command import STEADY_ENVIRONMENT, local_command
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Ready, Request, Schedule
from feasibility.runners.limits.limit import Enforcer
from feasibility.runners.limits.strongest_limit import strongest_enforcer
from feasibility.runners.local import LocalSession
from feasibility.units import MIB, SECOND_NS, format_bytes

MAX_LIMITED_RUNS: Final = 12

# A run that is a little slower than comfortable may only have been disturbed.
_NEAR_RATIOS: Final = (0.95 * COMFORT_RATIO, 1.1 * COMFORT_RATIO)
_LITTLE_BYTES: Final = MIB
_ENOUGH_NS: Final = SECOND_NS
# A thrashing model may take seconds per run; a search only has to see that it does.
_LONGEST_NS: Final = 6 * SECOND_NS
_LONGEST_IN_SEARCH_NS: Final = 2 * SECOND_NS
_SEARCH_TIMEOUT_S: Final = 5.0
_SEARCH_TIMEOUT_RATIO: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveOptions:
    """What is to be proven.

    Args:
        memory_bytes: The limit on the model; None if only the floor is looked for.
        device: The device that the limit stands for.
        bisect: True to look for the floor and the comfort point.
        allocator: `steady`, or `default` for what an unprepared deployment gets.
    """

    memory_bytes: int | None = None
    device: Device | None = None
    bisect: bool = False
    allocator: ProofAllocator = "steady"


def prove_model(
    path: Path,
    options: MeasureOptions,
    wanted: ProveOptions,
    progress: Progress = no_progress,
) -> Proof:
    """What the model did under limits, and the run without one that it is compared with.

    Args:
        path: The model file.
        options: How to run it.
        wanted: What is to be proven.
        progress: Told before each run.

    Raises:
        ModelError: The model cannot be read, or does not load or run even without a limit.
        InputError: The inputs or dims that were given do not match the model.
        HostError: The machine lacks something.
    """
    # How many runs a search takes shows only at its end; nought says that nobody knows.
    step_count = 0 if wanted.bisect else 2
    progress(0, step_count, "reading the model")
    passes = Passes(path.absolute(), options, LocalSession(), ceiling_bytes())
    subject = read_subject(path, options, passes)
    with strongest_enforcer() as (enforcer, _):
        prover = _Prover(subject, options, wanted, enforcer, progress, step_count)
        prover.run_unlimited()
        if wanted.memory_bytes is not None:
            prover.run_limited(wanted.memory_bytes, options.timeout_s)
        if wanted.bisect:
            prover.search()
    return prover.proof()


@dataclass(slots=True)
class _Prover:
    """The runs over one model and what they have brought so far."""

    subject: Subject
    options: MeasureOptions
    wanted: ProveOptions
    enforcer: Enforcer
    progress: Progress
    step_count: int
    runs: list[LimitedRun] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    kept_bytes: int = 0
    longest_ns: int = _LONGEST_NS
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    plan: InputPlan = field(init=False)
    first: Attempt = field(init=False)
    unlimited: LimitedRun = field(init=False)
    figures: Figures = field(init=False)

    def run_unlimited(self) -> None:
        """Finds inputs that the model accepts, and what it needs when nothing limits it."""
        self._tell("without a limit")
        tried: list[Attempt] = []

        def run(plan: InputPlan) -> ChildResult:
            tried.append(self._attempt(plan, None, self.options.timeout_s))
            return tried[-1].result

        self.plan, _ = first_that_runs(self.subject, run, ceiling_bytes())
        self.first = tried[-1]
        self.unlimited = unlimited_run(self.first)
        files_bytes = self.subject.facts.file_bytes + self.subject.facts.external_bytes
        self.figures = predict(self.first, self.enforcer.kind, files_bytes)

    def run_limited(self, limit_bytes: int, timeout_s: float) -> LimitedRun:
        """Runs it under a limit on the model."""
        self._tell(f"under {format_bytes(limit_bytes)}")
        enforced = limit_bytes + self.figures.baseline_bytes
        result = self._attempt(self.plan, enforced, timeout_s)
        run = limited_run(result, limit_bytes, self.unlimited, self.subject.path.name)
        self.runs.append(run)
        self.seen.append(Seen(limit_bytes, _state(run)))
        return run

    def search(self) -> None:
        """Narrows the floor and the comfort point down."""
        longest_s = self.unlimited.wall_ns / SECOND_NS * _SEARCH_TIMEOUT_RATIO
        timeout_s = min(self.options.timeout_s, _SEARCH_TIMEOUT_S + longest_s)
        self.longest_ns = _LONGEST_IN_SEARCH_NS
        while len(self.runs) < MAX_LIMITED_RUNS:
            limit = next_limit(self.seen, self.figures.guess)
            if limit is None:
                return
            run = self.run_limited(limit, timeout_s)
            if _is_near(run) and len(self.runs) < MAX_LIMITED_RUNS:
                self._repeat(limit, timeout_s)

    def _repeat(self, limit_bytes: int, timeout_s: float) -> None:
        """Runs it with and without the limit again; what disturbs a run only slows it."""
        self._tell("without a limit")
        again = unlimited_run(self._attempt(self.plan, None, self.options.timeout_s))
        if again.median_ns and self.unlimited.median_ns:
            self.unlimited = min(self.unlimited, again, key=lambda run: run.median_ns or 0)
        before = self.seen.pop()
        self.run_limited(limit_bytes, timeout_s)
        if before.state == "fast":
            self.seen[-1] = before

    def proof(self) -> Proof:
        """Everything that was found."""
        facts = self.subject.facts_for(self.plan)
        ready = self.first.result.event(Ready)
        assert ready is not None
        host = read_host(ready.versions)
        bisection = self._bisection() if self.wanted.bisect else None
        memory, device = self.wanted.memory_bytes, self.wanted.device
        most_bytes = max((run.enforced_bytes or 0 for run in self.runs), default=0)
        return Proof(
            tool_version=feasibility.__version__,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            model=profiled_model(self.subject.path, facts),
            host=host,
            workload=self._workload(ready),
            allocator=self.wanted.allocator,
            limit_kind=self.enforcer.kind,
            memory_bytes=memory,
            device=None if device is None else device.id,
            baseline_bytes=self.figures.baseline_bytes,
            thrashing_ratio=THRASHING_RATIO,
            unlimited=self.unlimited,
            needed_bytes=self.figures.guess.floor_bytes,
            verdict=None if memory is None else self.runs[0],
            runs=tuple(self.runs),
            bisection=bisection,
            warnings=(
                *facts.warnings,
                *profile_warnings.changed_sizes(self.subject.plans[0], self.plan),
                *profile_warnings.busy_host(self.load, os.cpu_count() or 1),
                *proof_warnings.weaker_limit(self.enforcer.kind),
                *proof_warnings.limit_above_free(most_bytes, ceiling_bytes()),
                *proof_warnings.other_instruction_set(device, host.arch),
                *proof_warnings.unprepared_allocator(self.wanted.allocator),
                *proof_warnings.kept_files(self.kept_bytes),
                *proof_warnings.unexplained_slowness(self.runs),
                *proof_warnings.eager_disk(self.runs, read_ahead_bytes(self.subject.path)),
                *proof_warnings.coarse_bisection(bisection),
            ),
        )

    def _bisection(self) -> Bisection:
        floor, comfort = floor_bracket(self.seen), comfort_bracket(self.seen)
        can_be_slow = self.enforcer.kind != "address-space"
        return Bisection(
            floor_bytes=floor.high,
            killed_bytes=floor.low,
            comfort_bytes=comfort.high if can_be_slow else None,
            slow_bytes=comfort.low if can_be_slow else None,
            floor_precision_ratio=floor.gap_ratio,
            comfort_precision_ratio=comfort.gap_ratio if can_be_slow else None,
            predicted_floor_bytes=self.figures.guess.floor_bytes,
            predicted_comfort_bytes=self.figures.guess.comfort_bytes,
            comfort_ratio=COMFORT_RATIO,
        )

    def _attempt(self, plan: InputPlan, enforced_bytes: int | None, timeout_s: float) -> Attempt:
        conditions = Conditions(
            enforcer=self.enforcer,
            command=local_command(STEADY_ENVIRONMENT if self.wanted.allocator == "steady" else {}),
            request=self._request(plan),
            files=_files_of(self.subject),
        )
        result = attempt(conditions, enforced_bytes, timeout_s=timeout_s)
        self.kept_bytes = max(self.kept_bytes, result.kept_bytes)
        return result

    def _request(self, plan: InputPlan) -> Request:
        options, default = self.options, Schedule()
        count = options.run_count
        return Request(
            action="measure",
            instrument="plain",
            model_path=str(self.subject.path.absolute()),
            provider=options.provider_name,
            threads=options.threads,
            inputs=plan.inputs,
            seed=options.seed,
            schedule=Schedule(
                run_count_min=default.run_count_min if count is None else count,
                run_count_max=default.run_count_max if count is None else count,
                warmup_count=options.warmup_count,
                enough_ns=_ENOUGH_NS,
                time_limit_ns=min(self.longest_ns, round(options.timeout_s * SECOND_NS / 2)),
            ),
            ceiling_bytes=ceiling_bytes(),
        )

    def _workload(self, ready: Ready) -> Workload:
        done = self.first.result.event(Done)
        assert done is not None
        return Workload(
            dims=self.plan.dims,
            inputs=self.plan.inputs,
            assumptions=self.plan.assumptions,
            threads=self.options.threads,
            warmup_count=done.warmup_count,
            run_count=len(done.samples_ns),
            runtime=f"ONNX Runtime {ready.versions.get('onnxruntime', '')}".strip(),
            provider=self.options.provider_name,
            seed=self.options.seed,
        )

    def _tell(self, doing: str) -> None:
        done = len(self.runs) + hasattr(self, "unlimited")
        self.progress(min(done, self.step_count), self.step_count, doing)


def _state(run: LimitedRun) -> State:
    if run.median_ns is None:  # killed, or not through in time
        return "killed"
    return "slow" if is_slowed(run, COMFORT_RATIO) else "fast"


def _is_near(run: LimitedRun) -> bool:
    """True if chance may have decided: almost comfortable, or slow for little that was reread."""
    ratio, reread_bytes = run.latency_ratio, run.reread_per_run_bytes
    if ratio is None or ratio <= _NEAR_RATIOS[0] or reread_bytes == 0:
        return False
    return ratio < _NEAR_RATIOS[1] or (reread_bytes or _LITTLE_BYTES) < _LITTLE_BYTES


def _files_of(subject: Subject) -> tuple[Path, ...]:
    """The model and its external data, which lies beside the model or what that links to."""
    path = subject.path.absolute()
    folders = {path.parent, path.resolve().parent}
    places = [folder / file.location for file in subject.facts.external_files for folder in folders]
    return (path, *(place for place in places if place.is_file()))
