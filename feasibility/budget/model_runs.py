"""How does a budget check run a model? In fresh processes, one instrument each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from feasibility.facts.read_model import facts_for
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.instruments.memray_capture import read_phase
from feasibility.measure.instruments.ort_profile import Trace, read_trace
from feasibility.measure.latency_percentiles import percentile
from feasibility.measure.measure_options import PROVIDERS, MeasureOptions
from feasibility.measure.memory_figures import ChildMemory, memory_of
from feasibility.measure.model_outputs import model_outputs
from feasibility.measure.passes import Passes, local_passes
from feasibility.measure.processor_use import is_quiet, read_processor_use
from feasibility.records.budget import InitializerSize, OperatorTime
from feasibility.records.facts import ModelFacts
from feasibility.records.model_reading import ModelReading
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done
from feasibility.temporary_folders import scratch_folder

if TYPE_CHECKING:
    from feasibility.output_drift import Outputs

# The second child of the pass is not needed; at the same time as the first it costs little.
_WIDTH: Final = 2


class Times(NamedTuple):
    """Latency of one process.

    Args:
        processor_ns: Median processor time of a run; None if other threads do the work.
        is_quiet: True if nothing else used the processor.
    """

    median_ns: int
    p95_ns: int
    processor_ns: int | None
    is_quiet: bool


@dataclass(slots=True)
class ModelRuns:
    """Runs of one model, one per call.

    Every method raises a FeasibilityError if the model does not load or run. Without a plan,
    the first run finds the inputs.
    """

    path: Path
    options: MeasureOptions
    plan: InputPlan | None = None
    _reading: ModelReading | None = field(init=False, default=None)

    def facts(self) -> tuple[ModelFacts, tuple[InitializerSize, ...], tuple[InputSpec, ...]]:
        """Facts of the file for the inputs that the model runs with, and these inputs."""
        plan, reading = self._settled(), self._known_reading()
        return facts_for(plan, reading), reading.initializers, plan.inputs

    def memory(self) -> ChildMemory:
        """Memory of one more process (steady allocator)."""
        return memory_of(self._run(Passes.steady))

    def times(self, sample_count: int) -> Times:
        """Latency of one more process, from at least so many samples."""
        self._settled()
        before = read_processor_use()
        done = self._run(lambda passes, plan: passes.brief(plan, sample_count)).sent(Done)
        quiet = is_quiet(before, read_processor_use())
        ordered, processor = sorted(done.samples_ns), sorted(done.processor_ns)
        # Then the calling thread does all the work of a run.
        is_one_thread = self.options.threads == 1 and self.options.provider_name == PROVIDERS["cpu"]
        return Times(
            percentile(ordered, 50),
            percentile(ordered, 95),
            percentile(processor, 50) if processor and is_one_thread else None,
            quiet,
        )

    def allocated_peak_bytes(self) -> int:
        """Most bytes requested from allocators at once, loading or running."""
        with scratch_folder() as folder:
            prefix = folder / "capture-"
            self._run(lambda passes, plan: passes.memray(plan, str(prefix), width=_WIDTH)[0])
            load = read_phase(Path(f"{prefix}load.bin"), "load")
            inference = read_phase(Path(f"{prefix}inference.bin"), "inference")
        return max(load.peak_bytes, load.kept_bytes + inference.peak_bytes)

    def operator_times(self) -> tuple[OperatorTime, ...]:
        """Time per inference by operator type and provider, sorted by name."""
        with scratch_folder() as folder:
            prefix = str(folder / "trace")
            done = self._run(lambda passes, plan: passes.ort_profile(plan, prefix)).sent(Done)
            return () if done.profile_path is None else _summed(read_trace(Path(done.profile_path)))

    def outputs(self) -> Outputs:
        """Outputs of one run, by position."""
        plan = self._settled()
        return model_outputs(local_passes(self.path, self.options), plan).by_position

    def _known_reading(self) -> ModelReading:
        if self._reading is None:
            self._reading = read_to_run(self.path, self.options)
        return self._reading

    def _settled(self) -> InputPlan:
        """Inputs that the model runs with, found now if they are not known."""
        if self.plan is None:
            self._run(lambda passes, plan: passes.brief(plan, 1))
        assert self.plan is not None
        return self.plan

    def _run(self, run: Callable[[Passes, InputPlan], ChildResult]) -> ChildResult:
        """A run that succeeded; without known inputs, the first likely ones that run."""
        passes = local_passes(self.path, self.options)
        if self.plan is None:
            self.plan, result = first_that_runs(self._known_reading(), partial(run, passes), passes)
            return result
        return passes.finished(run(passes, self.plan))


def _summed(trace: Trace) -> tuple[OperatorTime, ...]:
    times: Counter[tuple[str, str]] = Counter()
    for node in trace.operators:
        times[node.op_type, node.provider] += node.total_ns // max(node.run_count, 1)
    return tuple(
        OperatorTime(op_type=op_type, provider=provider, time_ns=time_ns)
        for (op_type, provider), time_ns in sorted(times.items())
    )
