"""Which figures of the passes does a profile hold? Builds it from the results of all passes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import prod
from pathlib import Path

from msgspec.structs import replace

import feasibility
from feasibility.facts.read_model import facts_for
from feasibility.measure import measurement_warnings
from feasibility.measure.arena_peak import arena_peak
from feasibility.measure.default_allocator_range import default_range
from feasibility.measure.instruments.memray_capture import PhaseAllocations
from feasibility.measure.instruments.ort_profile import Trace
from feasibility.measure.latency_percentiles import latency_summary
from feasibility.measure.memory_anatomy import MemorySources, anatomy
from feasibility.measure.memory_figures import ChildMemory, memory_of, steady_memory, surveys_of
from feasibility.measure.memory_timeline import timeline
from feasibility.measure.passes import Passes
from feasibility.measure.profiled_model import profiled_model
from feasibility.model_file.element_types import ELEMENT_TYPES
from feasibility.records.anatomy import Anatomy, Timeline
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import GpuMemory, Profile
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.runners.child_process import ChildResult
from feasibility.runners.child_protocol import Done, Loaded, Ready, Recording
from feasibility.runners.host import read_host


@dataclass(slots=True)
class PassResults:
    """What the passes measured; None if a pass failed or did not run."""

    plan: InputPlan
    plain: ChildResult
    defaults: list[ChildMemory]
    steady: ChildResult | None = None
    gpu: GpuMemory | None = None
    load: PhaseAllocations | None = None
    inference: PhaseAllocations | None = None
    without_prepacking: ChildResult | None = None
    without_arena: ChildResult | None = None
    recorded: ChildResult | None = None
    load_phases: tuple[tuple[str, int], ...] = ()
    trace: Trace | None = None
    warnings: list[Notice] = field(default_factory=list)


def build_profile(reading: ModelReading, passes: Passes, results: PassResults) -> Profile:
    """The profile of a model."""
    facts, session = facts_for(results.plan, reading), passes.session
    if not passes.engine.is_onnxruntime:
        facts = replace(facts, modelled_memory=(), changed_memory=())
    versions = results.plain.sent(Ready).versions
    done, load_ns = results.plain.sent(Done), results.plain.sent(Loaded).load_ns
    latency = None
    if not session.is_emulated:
        latency = latency_summary(done.samples_ns, load_ns, done.first_run_ns)
    uses = [phase.uses for phase in (results.load, results.inference) if phase is not None]
    return Profile(
        tool_version=feasibility.__version__,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        method="emulated" if session.is_emulated else "measured",
        runner=session.runner_name,
        model=profiled_model(facts),
        host=read_host(versions, session.host),
        workload=passes.workload(results.plan, results.plain),
        memory=None
        if results.steady is None
        else steady_memory(
            memory_of(results.steady),
            results.load,
            results.inference,
            results.trace,
            default_anonymous_bytes=results.defaults[0].resident_anonymous_bytes,
        ),
        gpu=results.gpu,
        default_allocator=None
        if passes.options.settings.has_steady_allocator
        else default_range(results.defaults),
        anatomy=_anatomy(results, _model_files(reading, passes))
        if passes.engine.is_onnxruntime
        else None,
        timeline=_timeline(results),
        latency=latency,
        operators=results.trace.operators if results.trace else (),
        allocations=sum(uses, ()),
        warnings=(
            *facts.warnings,
            *results.warnings,
            *measurement_warnings.other_runtime(versions, passes.engine, session.runner_name),
            *([measurement_warnings.emulated()] if session.is_emulated else ()),
            *(measurement_warnings.latency_warnings(latency, passes.options) if latency else ()),
        ),
    )


def _anatomy(results: PassResults, model_files: frozenset[str]) -> Anatomy | None:
    """Where the memory is; None without the steady child or its surveys."""
    steady = surveys_of(results.steady, model_files)
    if results.steady is None or steady is None:
        return None
    prepacking_off, arena_off = results.without_prepacking, results.without_arena
    arena_surveys = surveys_of(arena_off, model_files)
    return anatomy(
        MemorySources(
            kernel=memory_of(results.steady),
            steady=steady,
            input_sizes=tuple(map(_input_bytes, results.plan.inputs)),
            trace=results.trace,
            load=results.load,
            without_prepacking=None if prepacking_off is None else memory_of(prepacking_off),
            without_arena=None
            if arena_off is None or arena_surveys is None
            else (memory_of(arena_off), arena_surveys),
            defaults=results.defaults,
        )
    )


def _timeline(results: PassResults) -> Timeline | None:
    """Memory over time; None if it was not recorded."""
    recording = None if results.recorded is None else results.recorded.event(Recording)
    if recording is None:
        return None
    peak = None if results.trace is None else arena_peak(results.trace.steps)
    return timeline(recording, results.load_phases, peak)


def _model_files(reading: ModelReading, passes: Passes) -> frozenset[str]:
    """Paths of the model and its external data, as the kernel there names them."""
    model = Path(passes.session.child_path(reading.path.absolute()))
    data = (model.parent / file.location for file in reading.facts.external_files)
    return frozenset(map(os.path.realpath, (model, *data)))


def _input_bytes(spec: InputSpec) -> int:
    """Bytes of one input; 0 unless it is a tensor of numbers."""
    element = next((each for each in ELEMENT_TYPES.values() if each.name == spec.dtype), None)
    if element is None or spec.kind != "tensor":
        return 0
    return element.size_bytes(prod(spec.shape)) or 0
