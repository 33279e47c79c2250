"""How is a model measured? Runs its passes one after the other and builds the profile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.errors import UsageError
from feasibility.measure import measurement_warnings
from feasibility.measure.build_profile import PassResults, build_profile
from feasibility.measure.converted_model import converted_model
from feasibility.measure.default_allocator_range import largest_peak_bytes, measure_range
from feasibility.measure.gpu_pass import gpu_memory
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.instruments import openvino_profile, ort_profile
from feasibility.measure.instruments.memray_capture import read_phase
from feasibility.measure.instruments.ort_log import read_load_phases
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import Passes, connected_passes
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import InputPlan
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Failed
from feasibility.runners.engines import ENGINES
from feasibility.runners.session import LocalRunner, Runner
from feasibility.temporary_folders import scratch_folder

_STEPS: Final = (
    "reading the model",
    "latency",
    "memory, steady allocator",
    "memory, default allocator",
    "allocations (memray)",
    "memory over time",
    "operators (profile of the runtime)",
)
STEP_COUNT: Final = len(_STEPS)
BRIEF_STEP_COUNT: Final = 3
# Samples of the latency, if little time is spent.
_BRIEF_SAMPLE_COUNT: Final = 8
_TRACES: Final = {"onnxruntime": ort_profile.read_trace, "openvino": openvino_profile.read_trace}


def measure_model(
    path: Path,
    options: MeasureOptions | None = None,
    progress: Progress = no_progress,
    runner: Runner | None = None,
) -> Profile:
    """The profile of one model with one workload; on this machine if there is no runner.

    The plain pass has to succeed. If a later pass fails, its figures are None and a warning
    says why.
    """
    options = options or MeasureOptions()
    progress(0, STEP_COUNT, _STEPS[0])
    reading = read_to_run(path, options)
    if options.engine is None or not ENGINES[options.engine].converts:
        return measure_reading(reading, options, progress, runner)
    if runner is not None and runner.name != "local":
        raise UsageError(
            f"Cannot run the model with {ENGINES[options.engine].title} on {runner.name}",
            "feasibility converts models for this engine on this machine only",
            "leave out --on, or use another engine",
        )
    with converted_model(reading, options) as converted:
        return converted.described(measure_reading(converted.reading, options, progress))


def measure_reading(
    reading: ModelReading,
    options: MeasureOptions,
    progress: Progress = no_progress,
    runner: Runner | None = None,
) -> Profile:
    """The profile of a model that was read, with its first plan of inputs that runs."""
    with contextlib.ExitStack() as stack:
        connection = connected_passes(reading, options, runner or LocalRunner())
        passes = stack.enter_context(connection)
        folder = stack.enter_context(scratch_folder())
        progress(1, STEP_COUNT, _STEPS[1])
        results = _run_plain(reading, passes, passes.plain)
        further = _FurtherPasses(reading, passes, results, folder, progress)
        further.run_memory()
        if not passes.session.is_emulated:
            further.run_memray()
            further.run_timeline()
            further.run_profile()
        progress(STEP_COUNT, STEP_COUNT, "")
        return build_profile(reading, passes, results)


def measure_briefly(
    path: Path, options: MeasureOptions, progress: Progress = no_progress
) -> Profile:
    """Latency of a few runs, and memory with the steady allocator: two processes on this machine.

    Raises:
        FeasibilityError: The model cannot be read, or one of the processes fails.
    """
    progress(0, BRIEF_STEP_COUNT, _STEPS[0])
    reading = read_to_run(path, options)
    with connected_passes(reading, options, LocalRunner()) as passes:
        progress(1, BRIEF_STEP_COUNT, _STEPS[1])
        results = _run_plain(reading, passes, lambda plan: passes.brief(plan, _BRIEF_SAMPLE_COUNT))
        progress(2, BRIEF_STEP_COUNT, _STEPS[2])
        results.steady = passes.finished(passes.steady(results.plan))
        progress(BRIEF_STEP_COUNT, BRIEF_STEP_COUNT, "")
        return build_profile(reading, passes, results)


def _run_plain(
    reading: ModelReading, passes: Passes, run: Callable[[InputPlan], ChildResult]
) -> PassResults:
    """Latency, with the first inputs that the model accepts."""
    host, warnings = passes.session.host, list[Notice]()
    if not passes.session.is_emulated:
        warnings += measurement_warnings.busy_host(host.load, host.cpu_count)
    plan, plain = first_that_runs(reading, run, passes)
    warnings += measurement_warnings.changed_sizes(reading.plans[0], plan)
    warnings += measurement_warnings.more_threads(
        plain.sent(Done), passes.options.threads, passes.engine.title
    )
    return PassResults(plan, plain, defaults=[memory_of(plain)], warnings=warnings)


@dataclass(slots=True)
class _FurtherPasses:
    """The passes after the plain pass, in order; each adds its figures to the results."""

    reading: ModelReading
    passes: Passes
    results: PassResults
    folder: Path
    progress: Progress
    step: int = 1

    def run_memory(self) -> None:
        """Memory with the steady allocator, with the default allocator, and on the GPU."""
        self._next_step()
        results = self.results
        results.steady = self._finished(self.passes.steady(results.plan), "steady memory")
        if results.steady is not None:
            source = memory_of(results.steady).peak_source
            results.warnings += measurement_warnings.sampled_peak(source)
        self._next_step()
        if not self.passes.options.settings.has_steady_allocator:
            results.defaults, failed = measure_range(self.passes, results.plan, results.defaults[0])
            if failed is not None:
                self._finished(failed, "default-allocator memory")
        results.gpu, unseen = gpu_memory(self.passes, results.plan)
        results.warnings += unseen

    def run_memray(self) -> None:
        """Bytes that the model requests from allocators, and memory without prepacking."""
        self._next_step()
        results = self.results
        prefix = f"{self._folder_there}/capture-"
        counted, without_prepacking = self.passes.memray(
            results.plan, prefix, width=self._concurrency
        )
        if without_prepacking is not None:
            results.without_prepacking = self._finished(without_prepacking, "prepacking-off")
        if self._finished(counted, "allocation") is None:
            return
        try:
            results.load = read_phase(self._fetch(f"{prefix}load.bin"), "load")
            results.inference = read_phase(self._fetch(f"{prefix}inference.bin"), "inference")
        except OSError as error:
            self._warn_failed("allocation", str(error))

    def run_timeline(self) -> None:
        """Memory over time, and memory without the arena."""
        self._next_step()
        results = self.results
        log_path = f"{self._folder_there}/runtime.log"
        recorded, without_arena = self.passes.timeline(
            results.plan, log_path, width=self._concurrency
        )
        results.recorded = self._finished(recorded, "timeline")
        if without_arena is not None:
            results.without_arena = self._finished(without_arena, "arena-off")
        if results.recorded is None:
            return
        try:
            results.load_phases = read_load_phases(self._fetch(log_path))
        except OSError as error:
            self._warn_failed("timeline", str(error))

    def run_profile(self) -> None:
        """Time per node; with ONNX Runtime also memory of the arena."""
        self._next_step()
        if self.passes.engine.child not in _TRACES:
            return
        result = self.passes.ort_profile(self.results.plan, f"{self._folder_there}/trace")
        done = result.event(Done) if self._finished(result, "operator") else None
        if done is None or done.profile_path is None:
            return
        try:
            read_trace = _TRACES[self.passes.engine.child]
            self.results.trace = read_trace(self._fetch(done.profile_path))
        except (OSError, ValueError) as error:
            self._warn_failed("operator", str(error))

    @property
    def _folder_there(self) -> str:
        return self.passes.session.output_folder(self.folder)

    def _fetch(self, path: str) -> Path:
        return self.passes.session.fetch(path, self.folder)

    @property
    def _concurrency(self) -> int:
        return self.passes.concurrency(largest_peak_bytes(self.results.defaults))

    def _next_step(self) -> None:
        self.step += 1
        self.progress(self.step, STEP_COUNT, _STEPS[self.step])

    def _finished(self, result: ChildResult, name: str) -> ChildResult | None:
        """The child of a later pass; None with a warning if it did not finish."""
        if result.ending == "done":
            return result
        self._warn_failed(name, self.passes.error(result).message, result.event(Failed))
        return None

    def _warn_failed(self, name: str, why: str, failed: Failed | None = None) -> None:
        disk = self.passes.session.free_space()
        self.results.warnings.append(measurement_warnings.failed_pass(name, why, disk, failed))
