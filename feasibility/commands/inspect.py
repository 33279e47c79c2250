"""`feasibility inspect`: what can be known of a model without running it."""

from __future__ import annotations

import typer

from feasibility.commands.options import (
    DetailsOption,
    DimOption,
    ForceOption,
    JsonOption,
    ModelArgument,
    OutputOption,
    QuietOption,
    parse_dims,
)
from feasibility.commands.output import open_output, print_result
from feasibility.commands.progress import progress_on

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def inspect(
    model: ModelArgument,
    *,
    dim: DimOption = None,
    details: DetailsOption = False,
    json: JsonOption = False,
    output: OutputOption = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tell what can be known of a model without running it.

    Parameters, operators, inputs and outputs, work and bytes moved per inference,
    and the largest sum of activations alive at once. Weights are not loaded.
    """
    dims = parse_dims(dim)
    with open_output(output, force=force) as file:
        from feasibility.graph.inspect import inspect_model
        from feasibility.render.terminal_inspect import render_facts

        with progress_on(model.name, quiet=quiet) as progress:
            progress(0, 1, "reading the graph")
            facts = inspect_model(model, dims=dims)
        print_result(
            facts,
            lambda console: render_facts(facts, console, details=details),
            as_json=json,
            output=file,
        )
