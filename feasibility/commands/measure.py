"""`feasibility measure`: runs a model and writes its profile."""

from __future__ import annotations

import typer

from feasibility.commands.options import (
    DetailsOption,
    DimOption,
    ForceOption,
    InputOption,
    InputsOption,
    JsonOption,
    ModelArgument,
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

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def measure(
    model: ModelArgument,
    *,
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
    """
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
        from feasibility.commands.measuring import measure_on
        from feasibility.render.terminal_measure import render_profile

        profile = measure_on(on, model, options, quiet=quiet)
        print_result(
            profile,
            lambda console: render_profile(profile, console, details=details),
            as_json=json,
            output=file,
        )
