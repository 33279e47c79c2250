"""Does a runner work? Loads and runs one small model there."""

from __future__ import annotations

import feasibility
from feasibility.measure.inputs_that_run import first_that_runs, read_to_run
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.measurement_warnings import other_runtime
from feasibility.measure.memory_figures import memory_of
from feasibility.measure.passes import connected_passes
from feasibility.records.runners import RunnerTrial
from feasibility.runners.child_protocol import Ready
from feasibility.runners.host import read_host
from feasibility.runners.session import Runner
from feasibility.zoo.architectures import build

MODEL_NAME = "yamnet"


def try_runner(runner: Runner) -> RunnerTrial:
    """The memory of a zoo model on a runner."""
    options = MeasureOptions()
    reading = read_to_run(build(MODEL_NAME), options)
    with connected_passes(reading, options, runner) as passes:
        session = passes.session
        _, result = first_that_runs(reading, passes.steady, passes)
        versions, memory = result.sent(Ready).versions, memory_of(result)
        return RunnerTrial(
            tool_version=feasibility.__version__,
            runner=runner.name,
            method="emulated" if session.is_emulated else "measured",
            model=MODEL_NAME,
            peak_bytes=memory.peak_bytes,
            host=read_host(versions, session.host),
            warnings=tuple(other_runtime(versions, passes.engine, runner.name)),
        )
