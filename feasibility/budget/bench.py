"""One model that is measured step by step, as far as a decision needs it."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from feasibility import __version__
from feasibility.budget.conditions import host_conditions
from feasibility.budget.config import BudgetedWorkload
from feasibility.budget.contents import contents_of, read_contents
from feasibility.budget.digests import file_digest, model_digest
from feasibility.budget.quiet import is_quiet, read_usage
from feasibility.budget.readings import Readings
from feasibility.budget.store import Store
from feasibility.measure.explain import explain
from feasibility.measure.host import ceiling_bytes
from feasibility.measure.latency import percentile
from feasibility.measure.memory import memory_of
from feasibility.measure.options import DEFAULT_TIMEOUT_S, MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.measure.plans import first_that_runs
from feasibility.measure.subject import Subject, read_subject
from feasibility.probe.launch import ChildResult
from feasibility.probe.memray_file import read_phase
from feasibility.probe.ort_trace import Trace, read_trace
from feasibility.probe.place import LocalPlace
from feasibility.probe.wire import Done
from feasibility.records.budget import Conditions, OperatorTime
from feasibility.records.workload import InputPlan

# A 95th percentile of fewer samples would be their maximum.
_P95_SAMPLE_COUNT: Final = 20
_SAMPLE_COUNT: Final = 5
# The pass has a second child, which is not needed here; beside the first it costs little.
_MEMRAY_WIDTH: Final = 2


@dataclass(slots=True)
class Bench:
    """A model, and the readings that each step adds to.

    Args:
        name: Its name in the report.
        path: The model file.
        workload: How it is run.
        store: Where readings are kept from one check to the next.
        timeout_s: Seconds that one process may take.
        is_p95_wanted: True if processes are to take enough samples for a 95th percentile.
    """

    name: str
    path: Path
    workload: BudgetedWorkload
    store: Store
    timeout_s: float = DEFAULT_TIMEOUT_S
    is_p95_wanted: bool = False
    is_cached: bool = field(init=False, default=False)
    digest: str = field(init=False, default="")
    _readings: Readings | None = field(init=False, default=None)
    _subject: Subject | None = field(init=False, default=None)
    _plan: InputPlan | None = field(init=False, default=None)

    def open(self) -> None:
        """Reads what tells the model from others, and what is known of it already.

        Raises:
            ModelError: The file cannot be read, or is no model.
        """
        self.digest = model_digest(self.path, self.store)
        self._readings = self.store.get("readings", self.key, Readings)
        self.is_cached = self._readings is not None

    @property
    def readings(self) -> Readings:
        """What is known so far; at least what the file says."""
        if self._readings is None:
            snapshot = read_contents(self.name, self.path, self.workload.dims)
            snapshot = msgspec.structs.replace(
                snapshot, digest=self.digest or None, conditions=self.conditions
            )
            self._readings = Readings(snapshot=snapshot)
        return self._readings

    @property
    def conditions(self) -> Conditions:
        """Conditions under which it runs here."""
        provider = self.options.provider_name
        return msgspec.structs.replace(
            host_conditions(), provider=provider, threads=self.workload.threads
        )

    def take_memory(self) -> None:
        """Adds the steady memory of one more process.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        if self._plan is None:
            subject, passes = self._ready()
            plan, result = first_that_runs(subject, passes.steady, passes.ceiling_bytes)
            self._use(plan)
        else:
            result = self._passes.steady(self._plan)
            self._done(result)
        self._readings = self.readings.with_memory(memory_of(result))

    def take_latency(self) -> None:
        """Adds the times of one more process.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        count = _P95_SAMPLE_COUNT if self.is_p95_wanted else _SAMPLE_COUNT
        plan = self._any_plan()
        before = read_usage()
        done = self._done(self._passes.brief(plan, count))
        quiet = is_quiet(before, read_usage())
        ordered = sorted(done.samples_ns)
        self._readings = self.readings.with_latency(
            percentile(ordered, 50), percentile(ordered, 95), is_quiet=quiet
        )

    def take_allocations(self) -> None:
        """Adds what the model requests from the allocators.

        Raises:
            FeasibilityError: The model does not load or run, or memray's capture is lost.
        """
        plan = self._any_plan()
        with tempfile.TemporaryDirectory(prefix="feasibility-") as folder:
            prefix = Path(folder) / "capture-"
            self._done(self._passes.memray(plan, str(prefix), width=_MEMRAY_WIDTH)[0])
            load = read_phase(Path(f"{prefix}load.bin"), "load")
            inference = read_phase(Path(f"{prefix}inference.bin"), "inference")
        peak_bytes = max(load.peak_bytes, load.kept_bytes + inference.peak_bytes)
        self._readings = self.readings.with_allocations(peak_bytes)

    def take_operators(self) -> None:
        """Adds the time of each operator type.

        Raises:
            FeasibilityError: The model does not load or run.
        """
        plan = self._any_plan()
        with tempfile.TemporaryDirectory(prefix="feasibility-") as folder:
            done = self._done(self._passes.ort_profile(plan, str(Path(folder) / "trace")))
            if done.profile_path is None:
                return
            trace = read_trace(Path(done.profile_path))
        self._readings = msgspec.structs.replace(
            self.readings,
            snapshot=msgspec.structs.replace(
                self.readings.snapshot, operator_times=_operator_times(trace)
            ),
        )

    def forget_latency(self) -> None:
        """Drops times that were kept, so that both models' times are of the same minutes."""
        self._readings = self.readings.without_latency()

    def keep(self) -> None:
        """Keeps the readings for the next check."""
        self.store.put("readings", self.key, self.readings)

    @property
    def options(self) -> MeasureOptions:
        """How it is measured."""
        return MeasureOptions(
            dims=self.workload.dims,
            inputs_archive=self.workload.inputs,
            threads=self.workload.threads,
            timeout_s=self.timeout_s,
            provider=self.workload.provider,
            seed=self.workload.seed,
        )

    @property
    def _passes(self) -> Passes:
        return Passes(self.path.absolute(), self.options, LocalPlace(), ceiling_bytes())

    def _ready(self) -> tuple[Subject, Passes]:
        passes = self._passes
        if self._subject is None:
            self._subject = read_subject(self.path, self.options, passes)
        return self._subject, passes

    def _any_plan(self) -> InputPlan:
        """Inputs that the model runs with, found by running it unless they are known."""
        if self._plan is None:
            subject, passes = self._ready()
            known = self.readings.snapshot.inputs
            if self.readings.snapshot.digest and known:
                self._plan = InputPlan(inputs=known, dims=self.readings.snapshot.dims)
            else:
                plan, _ = first_that_runs(
                    subject, lambda plan: passes.brief(plan, 1), passes.ceiling_bytes
                )
                self._use(plan)
        assert self._plan is not None
        return self._plan

    def _use(self, plan: InputPlan) -> None:
        """Settles on inputs, with which the work of the graph is told anew."""
        assert self._subject is not None
        self._plan = plan
        told = contents_of(self.name, self._subject.facts_for(plan), self._subject.skeleton)
        known = self.readings
        self._readings = msgspec.structs.replace(
            known,
            snapshot=msgspec.structs.replace(
                told,
                digest=known.snapshot.digest,
                conditions=self.conditions,
                inputs=plan.inputs,
                operator_times=known.snapshot.operator_times,
            ),
        )

    def _done(self, result: ChildResult) -> Done:
        done = result.event(Done)
        if result.ending != "done" or done is None:
            raise explain(result, self.path.name, self._passes.ceiling_bytes)
        return done

    @property
    def key(self) -> bytes:
        """Everything that readings depend on, the model's content included."""
        inputs = self.workload.inputs
        parts = (
            __version__,
            self.digest,
            self.conditions,
            sorted(self.workload.dims.items()),
            None if inputs is None else file_digest(inputs, self.store),
            self.workload.seed,
            self.is_p95_wanted,
        )
        return msgspec.json.encode(parts)


def _operator_times(trace: Trace) -> tuple[OperatorTime, ...]:
    """Time per inference by operator type and provider, sorted by name."""
    times: Counter[tuple[str, str]] = Counter()
    for node in trace.operators:
        times[node.op_type, node.provider] += node.total_ns // max(node.run_count, 1)
    return tuple(
        OperatorTime(op_type=op_type, provider=provider, time_ns=time_ns)
        for (op_type, provider), time_ns in sorted(times.items())
    )
