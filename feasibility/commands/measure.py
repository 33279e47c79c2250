"""What does `feasibility measure` do? Runs a model and writes its profile."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from feasibility.commands.option_groups import CommandApp, argument, single_option
from feasibility.commands.options import (
    MEASURING,
    EngineOption,
    InputOptions,
    MeasuringOptions,
    OnOption,
    ReportOptions,
    ThreadsOption,
    measure_options,
)
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.measure.measure_options import ProgressOf, no_progress_of

if TYPE_CHECKING:
    from feasibility.records.profile import Profile

app = CommandApp()


@app.add_command()
def measure(
    model: Annotated[Path | None, argument("MODEL", "An .onnx, .ort or .tflite file.")] = None,
    *,
    import_: Annotated[
        Path | None,
        single_option(
            "--import FILE",
            "Read a report of another program instead of measuring.",
            heading=MEASURING,
        ),
    ] = None,
    inputs: InputOptions,
    threads: ThreadsOption = 1,
    on: OnOption = None,
    engine: EngineOption = None,
    measuring: MeasuringOptions,
    out: ReportOptions,
) -> None:
    """Measure the memory and time of a model.

    Memory, time, allocations and operators are measured in separate processes.
    --output saves the profile; `feasibility check` takes it in place of the model.

    --import reads reports of ort_runner, onnxruntime_perf_test, optimum-benchmark and
    Qualcomm AI Hub (docs/imports.md). If you also give MODEL, facts of the model file are
    added.
    """
    if model is None and import_ is None:
        raise UsageError(
            "Cannot run `feasibility measure`",
            "Missing argument 'MODEL'",
            "see `feasibility measure --help`",
        )
    with open_outputs(out.output, out.html, force=out.force) as files:
        from feasibility.commands.profiles_of_path import imported
        from feasibility.render.reports.measure import measure_report

        if import_ is not None:
            profile = imported(import_, model)
        else:
            assert model is not None
            profile = profile_of(
                model,
                inputs=inputs,
                threads=threads,
                on=on,
                engine=engine,
                measuring=measuring,
                progress_of=partial(progress_on, quiet=out.quiet),
            )
        print_result(
            profile,
            lambda: measure_report(profile, details=out.details),
            as_json=out.json,
            output=files,
        )


def profile_of(
    model: Path,
    *,
    inputs: InputOptions,
    threads: ThreadsOption = 1,
    on: OnOption = None,
    engine: EngineOption = None,
    measuring: MeasuringOptions,
    progress_of: ProgressOf = no_progress_of,
) -> Profile:
    """The profile of a model that is measured now."""
    options = measure_options(inputs, measuring, threads, engine)
    from feasibility.commands.profiles_of_path import measure_on

    return measure_on(on, model, options, progress_of)
