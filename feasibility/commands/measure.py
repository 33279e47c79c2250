"""`feasibility measure`: runs a model and writes its profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feasibility.commands.options import (
    DetailsOption,
    DimOption,
    ForceOption,
    InputOption,
    InputsOption,
    JsonOption,
    OnOption,
    OutputOption,
    ProviderOption,
    QuietOption,
    RunsOption,
    SeedOption,
    ThreadsOption,
    TimeoutOption,
    WarmupOption,
    measure_options,
)
from feasibility.commands.output import open_output, print_result
from feasibility.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def measure(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", show_default=False, help="An .onnx or .ort file."),
    ] = None,
    *,
    import_: Annotated[
        Path | None,
        typer.Option(
            "--import",
            metavar="FILE",
            help="Take the figures from what another program wrote on the device.",
        ),
    ] = None,
    dim: DimOption = None,
    input_: InputOption = None,
    inputs: InputsOption = None,
    threads: ThreadsOption = 1,
    warmup: WarmupOption = None,
    runs: RunsOption = None,
    timeout: TimeoutOption = 60.0,
    on: OnOption = None,
    provider: ProviderOption = "cpu",
    seed: SeedOption = 0,
    details: DetailsOption = False,
    json: JsonOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a model and measure its memory and time.

    Every instrument gets a fresh process of its own. The profile that --output
    writes can be given to `feasibility check` instead of the model.

    --import reads reports of ort_runner, onnxruntime_perf_test, optimum-benchmark
    and Qualcomm AI Hub (docs/imports.md); MODEL then only adds what is in its file.
    """
    if model is None and import_ is None:
        raise UsageError(
            "Cannot run `feasibility measure`",
            "Missing argument 'MODEL'",
            "`feasibility measure --help` lists what can be given",
        )
    options = measure_options(
        dim=dim,
        input_=input_,
        inputs=inputs,
        threads=threads,
        warmup=warmup,
        runs=runs,
        timeout=timeout,
        provider=provider,
        seed=seed,
    )
    with open_output(output, force=force) as file:
        from feasibility.commands.measuring import imported, measure_on
        from feasibility.render.terminal.measure import render_profile

        if import_ is not None:
            profile = imported(import_, model)
        else:
            assert model is not None
            profile = measure_on(on, model, options, quiet=quiet)
        print_result(
            profile,
            lambda console: render_profile(profile, console, details=details),
            as_json=json,
            output=file,
        )
