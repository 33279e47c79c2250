"""Whether a runner works: one small model, loaded and run there."""

from __future__ import annotations

from functools import partial

import feasibility
from feasibility.measure.child_errors import child_error
from feasibility.measure.files_to_stage import files_to_stage
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.measurement_warnings import other_runtime
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import Passes
from feasibility.records.runners import RunnerTrial
from feasibility.runners.child_protocol import Ready
from feasibility.runners.host import ceiling_bytes, read_host
from feasibility.runners.runner import Runner
from feasibility.zoo.registry import build

MODEL_NAME = "yamnet"


def try_runner(runner: Runner) -> RunnerTrial:
    """What a model of the zoo needs on a runner.

    Raises:
        FeasibilityError: It cannot be measured there; the message says why.
    """
    path, options = build(MODEL_NAME), MeasureOptions()
    reading = read_to_run(path, options)
    with runner.connect(partial(files_to_stage, reading, options)) as session:
        ceiling = ceiling_bytes() if session.host is None else session.host.free_bytes
        passes = Passes(path.absolute(), options, session, ceiling)
        _, result = first_that_runs(reading, passes.steady, ceiling)
        ready = result.event(Ready)
        if ready is None:
            raise child_error(result, path.name, ceiling)
        memory = memory_of(result)
        return RunnerTrial(
            tool_version=feasibility.__version__,
            runner=runner.name,
            method="emulated" if session.is_emulated else "measured",
            model=MODEL_NAME,
            peak_bytes=max(memory.load_peak_bytes, memory.inference_peak_bytes),
            host=read_host(ready.versions, session.host),
            warnings=tuple(other_runtime(ready.versions, runner.name)),
        )
