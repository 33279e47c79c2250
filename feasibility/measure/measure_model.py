"""Runs the passes over one model and builds its profile."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import feasibility
from feasibility.measure import (
    latency_percentiles,
    memory_figures,
    profile_warnings,
    profiled_model,
)
from feasibility.measure.child_errors import explain
from feasibility.measure.detail_passes import Details, model_files
from feasibility.measure.files_to_stage import files_to_stage
from feasibility.measure.gpu_pass import gpu_memory
from feasibility.measure.host import ceiling_bytes, read_host
from feasibility.measure.inputs_that_run import first_that_runs
from feasibility.measure.instruments.memray_capture import PhaseAllocations, read_phase
from feasibility.measure.instruments.ort_profile import Trace, read_trace
from feasibility.measure.measure_options import MeasureOptions, Progress, no_progress
from feasibility.measure.memory_figures import ChildMemory, memory_of
from feasibility.measure.passes import Passes
from feasibility.measure.subject import Subject, read_subject
from feasibility.records.anatomy import Timeline
from feasibility.records.base import Notice
from feasibility.records.profile import GpuMemory, Latency, Memory, Profile
from feasibility.records.workload import InputPlan, Workload
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Failed, Loaded, Ready
from feasibility.runners.local import LocalRunner
from feasibility.runners.runner import Runner
from feasibility.scratch import scratch_folder
from feasibility.units import SECOND_NS

_STEPS: Final = (
    "reading the model",
    "latency",
    "memory, allocator steady",
    "memory, default allocator",
    "allocations (memray)",
    "memory over time",
    "operators (ONNX Runtime profile)",
)

# Default-allocator children: what one process peaks at depends on addresses and on what else
# lies on its heap, and some of the amounts are rare. So at least this many children run, and
# more until several in a row brought nothing that widens the range, or the time is used up.
_REPEAT_COUNT_MIN: Final = 5
_REPEAT_COUNT_MAX: Final = 16
_EMULATED_COUNT_MIN: Final = 3
_REPEATS_WITHOUT_NEWS: Final = 6
_REPEAT_TIME_NS: Final = 3 * SECOND_NS // 2
_REPEAT_WIDTH_MAX: Final = 4
_NEWS_RATIO: Final = 0.01


def measure_model(
    path: Path,
    options: MeasureOptions | None = None,
    progress: Progress = no_progress,
    runner: Runner | None = None,
) -> Profile:
    """Everything that was measured of one model with one workload.

    The plain pass has to succeed; a later pass that fails leaves its figures
    None and a notice that says why.

    Args:
        path: The model file.
        options: How to measure.
        progress: Told before each step.
        runner: Where the children run; this machine if None.

    Raises:
        ModelError: The model cannot be read, or does not load or run.
        InputError: The inputs or dims that were given do not match the model.
        HostError: The machine lacks something, such as the execution provider.
    """
    options = options or MeasureOptions()
    progress(0, len(_STEPS), _STEPS[0])
    with contextlib.ExitStack() as stack:
        connection = (runner or LocalRunner()).connect(partial(files_to_stage, path, options))
        session = stack.enter_context(connection)
        folder = stack.enter_context(scratch_folder())
        ceiling = ceiling_bytes() if session.host is None else session.host.free_bytes
        passes = Passes(path.absolute(), options, session, ceiling)
        subject = read_subject(path, options, passes)
        campaign = _Campaign(subject, passes, progress)
        campaign.run_plain()
        campaign.run_steady()
        campaign.run_repeats()
        campaign.run_gpu()
        if not session.is_emulated:
            campaign.run_memray(folder)
            campaign.run_timeline(folder)
            campaign.run_ort_profile(folder)
        return campaign.profile()


@dataclass(slots=True)
class _Campaign:
    """The passes over one model and what they have brought so far."""

    subject: Subject
    passes: Passes
    progress: Progress
    notices: list[Notice] = field(default_factory=list)
    step: int = 0
    plan: InputPlan = field(init=False)
    plain: ChildResult = field(init=False)
    steady: ChildMemory | None = None
    repeats: list[ChildMemory] = field(default_factory=list)
    gpu: GpuMemory | None = None
    load_allocations: PhaseAllocations | None = None
    inference_allocations: PhaseAllocations | None = None
    trace: Trace | None = None
    details: Details = field(default_factory=Details)

    def run_plain(self) -> None:
        """Finds inputs that the model accepts and takes the latency with them."""
        self._next_step()
        self.notices += self._busy()
        self.plan, self.plain = first_that_runs(
            self.subject, self.passes.plain, self.passes.ceiling_bytes
        )
        self.repeats.append(memory_of(self.plain))
        self.notices += profile_warnings.changed_sizes(self.subject.plans[0], self.plan)

    def _busy(self) -> list[Notice]:
        host = self.passes.session.host
        if self.passes.session.is_emulated:
            return []
        if host is None:
            return profile_warnings.busy_host(os.getloadavg()[0], os.cpu_count() or 1)
        return profile_warnings.busy_host(host.load, host.core_count)

    def run_steady(self) -> None:
        """Takes the memory that the model needs."""
        self._next_step()
        result = self.passes.steady(self.plan)
        if self._succeeded(result, "steady memory"):
            self.steady = memory_of(result)
            self.details.steady = result
            self.notices += profile_warnings.sampled_peak(self.steady.peak_source)

    def run_repeats(self) -> None:
        """Takes the range of memory that an unprepared deployment gets."""
        self._next_step()
        without_news, deadline = 0, time.monotonic_ns() + _REPEAT_TIME_NS
        wanted = _EMULATED_COUNT_MIN if self.passes.session.is_emulated else _REPEAT_COUNT_MIN
        while len(self.repeats) < wanted or (
            without_news < _REPEATS_WITHOUT_NEWS
            and len(self.repeats) < _REPEAT_COUNT_MAX
            and time.monotonic_ns() < deadline
        ):
            numbers = range(len(self.repeats), len(self.repeats) + self._repeat_width())
            for result in self.passes.repeats(self.plan, numbers):
                if not self._succeeded(result, "default-allocator memory"):
                    return
                child = memory_of(result)
                without_news = 0 if _widens(self.repeats, child) else without_news + 1
                self.repeats.append(child)

    def _repeat_width(self) -> int:
        """Children that fit beside each other; resident memory does not depend on company."""
        largest = max(max(c.load_peak_bytes, c.inference_peak_bytes) for c in self.repeats)
        fitting = self.passes.ceiling_bytes // (2 * largest + 1)
        host = self.passes.session.host
        core_count = len(os.sched_getaffinity(0)) if host is None else host.core_count
        return max(1, min(core_count, fitting, _REPEAT_WIDTH_MAX))

    def run_gpu(self) -> None:
        """Takes memory on the GPU, where the provider puts the model on one."""
        self.gpu, unseen = gpu_memory(self.passes, self.plan)
        self.notices += unseen

    def run_memray(self, folder: Path) -> None:
        """Takes what the model requests from the allocators."""
        self._next_step()
        session = self.passes.session
        prefix = f"{session.output_folder(folder)}/capture-"
        counted, without_prepacking = self.passes.memray(
            self.plan, prefix, width=self._repeat_width()
        )
        if self._succeeded(without_prepacking, "prepacking-off"):
            self.details.without_prepacking = without_prepacking
        if not self._succeeded(counted, "allocation"):
            return
        try:
            load = session.fetch(f"{prefix}load.bin", folder)
            self.load_allocations = read_phase(load, "load")
            inference = session.fetch(f"{prefix}inference.bin", folder)
            self.inference_allocations = read_phase(inference, "inference")
        except OSError as error:
            self._miss("allocation", str(error))

    def run_timeline(self, folder: Path) -> None:
        """Takes memory over time, and the memory without the arena."""
        self._next_step()
        session = self.passes.session
        log_path = f"{session.output_folder(folder)}/runtime.log"
        recorded, without_arena = self.passes.timeline(
            self.plan, log_path, width=self._repeat_width()
        )
        if self._succeeded(recorded, "timeline"):
            self.details.recorded = recorded
            try:
                self.details.log_path = session.fetch(log_path, folder)
            except OSError as error:
                self._miss("timeline", str(error))
        if self._succeeded(without_arena, "arena-off"):
            self.details.without_arena = without_arena

    def run_ort_profile(self, folder: Path) -> None:
        """Takes time and arena memory per node."""
        self._next_step()
        session = self.passes.session
        result = self.passes.ort_profile(self.plan, f"{session.output_folder(folder)}/trace")
        if not self._succeeded(result, "operator"):
            return
        done = result.event(Done)
        if done is None or done.profile_path is None:
            return
        try:
            self.trace = read_trace(session.fetch(done.profile_path, folder))
        except (OSError, ValueError) as error:
            self._miss("operator", str(error))

    def profile(self) -> Profile:
        """The profile of all passes."""
        self.progress(len(_STEPS), len(_STEPS), "")
        ready, done = self.plain.event(Ready), self.plain.event(Done)
        assert ready is not None
        assert done is not None
        facts = self.subject.facts_for(self.plan)
        session = self.passes.session
        figures = None if session.is_emulated else self._latency()
        load, inference = self.load_allocations, self.inference_allocations
        return Profile(
            tool_version=feasibility.__version__,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            method="emulated" if session.is_emulated else "measured",
            runner=session.runner_name,
            model=profiled_model.profiled_model(self.subject.path, facts),
            host=read_host(ready.versions, session.host),
            workload=self._workload(ready, done),
            memory=self._memory(),
            gpu=self.gpu,
            default_allocator=memory_figures.default_range(self.repeats),
            anatomy=self.details.anatomy(
                model_files(self.subject, session), self.plan.inputs, self.trace, load, self.repeats
            ),
            timeline=self._timeline(),
            latency=figures,
            operators=self.trace.operators if self.trace else (),
            allocations=(*(load.uses if load else ()), *(inference.uses if inference else ())),
            warnings=(
                *facts.warnings,
                *self.notices,
                *profile_warnings.other_runtime(ready.versions, session.runner_name),
                *(profile_warnings.emulated() if session.is_emulated else ()),
                *(
                    profile_warnings.latency_notices(figures, self.passes.options)
                    if figures
                    else ()
                ),
            ),
        )

    def _memory(self) -> Memory | None:
        if self.steady is None:
            return None
        return memory_figures.steady_memory(
            self.steady,
            self.load_allocations,
            self.inference_allocations,
            self.trace,
            default_anonymous_bytes=self.repeats[0].resident_anonymous_bytes,
        )

    def _timeline(self) -> Timeline | None:
        try:
            return self.details.timeline(self.trace)
        except OSError as error:
            self._miss("timeline", str(error))
            return None

    def _latency(self) -> Latency:
        loaded, done = self.plain.event(Loaded), self.plain.event(Done)
        assert loaded is not None
        assert done is not None
        return latency_percentiles.summarise(loaded.load_ns, done.first_run_ns, done.samples_ns)

    def _workload(self, ready: Ready, done: Done) -> Workload:
        options = self.passes.options
        return Workload(
            dims=self.plan.dims,
            inputs=self.plan.inputs,
            assumptions=self.plan.assumptions,
            threads=options.threads,
            warmup_count=done.warmup_count,
            run_count=len(done.samples_ns),
            runtime=f"ONNX Runtime {ready.versions.get('onnxruntime', '')}".strip(),
            provider=options.provider_name,
            seed=options.seed,
        )

    def _next_step(self) -> None:
        self.step += 1
        self.progress(self.step, len(_STEPS), _STEPS[self.step])

    def _miss(self, name: str, why: str) -> None:
        """Notes that a pass brought nothing, with a full disk as the reason where it is one."""
        full = profile_warnings.full_disk(name, self.passes.session.free_space())
        self.notices.append(full or profile_warnings.failed_pass(name, why))

    def _succeeded(self, result: ChildResult, name: str) -> bool:
        """Whether a later pass succeeded; if not, a notice tells what is missing."""
        if result.ending == "done":
            return True
        failed = result.event(Failed)
        no_memray = profile_warnings.no_memray(failed) if failed is not None else None
        if no_memray is not None:
            self.notices.append(no_memray)
            return False
        error = explain(result, self.subject.path.name, self.passes.ceiling_bytes)
        self._miss(name, error.message)
        return False


def _widens(known: Sequence[ChildMemory], new: ChildMemory) -> bool:
    """Whether a child's figures lie outside the range so far by more than the tolerance."""
    for name in ("load_peak_bytes", "resident_bytes", "inference_peak_bytes"):
        figures = [getattr(child, name) for child in known]
        value = getattr(new, name)
        if value < min(figures) * (1 - _NEWS_RATIO) or value > max(figures) * (1 + _NEWS_RATIO):
            return True
    return False
