"""What is the profile of a model that is not run? Its facts and its modelled memory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

import feasibility
from feasibility.facts.read_model import read_model
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.profiled_model import profiled_model
from feasibility.records.model_reading import ModelReading
from feasibility.records.profile import Host, Profile
from feasibility.records.workload import InputPlan, Workload
from feasibility.runners.engines import usual_engine

_NO_HOST = Host(cpu="", arch="", core_count=None, memory_bytes=None, os="", python="")


def read_static_profile(path: Path, options: MeasureOptions) -> Profile:
    """The profile of a model that is read and not run.

    Raises:
        ModelError: The model cannot be read.
        InputError: No size is possible for a dim, or an input does not match the model.
    """
    reading = read_model(
        path,
        dims=options.dims,
        with_plans=True,
        input_files=options.input_files,
        archive=options.inputs_archive,
        timeout_s=options.timeout_s,
    )
    profile = static_profile(reading)
    return replace(profile, workload=replace(profile.workload, threads=options.threads))


def static_profile(reading: ModelReading) -> Profile:
    """The profile of a model from its file alone, without machine, memory and latency.

    Projections use the modelled memory and the work of its first input plan.
    """
    facts = reading.facts
    plan = next(iter(reading.plans), InputPlan(inputs=(), dims=facts.dims))
    return Profile(
        tool_version=feasibility.__version__,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        method="projected",
        runner="",
        model=profiled_model(facts),
        host=_NO_HOST,
        workload=Workload(
            dims=plan.dims,
            inputs=plan.inputs,
            assumptions=plan.assumptions,
            engine=usual_engine(facts.format),
        ),
        warnings=facts.warnings,
    )
