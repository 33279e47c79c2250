"""`feasibility inspect`: what can be known of a model without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from rich.console import Console

    from feasibility.records.facts import ModelFacts

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
        from feasibility.facts.model_facts import inspect_model

        with progress_on(model.name, quiet=quiet) as progress:
            progress(0, 1, "reading the graph")
            facts = inspect_model(model, dims=dims)
        print_result(
            facts,
            lambda console: _render(facts, console, details=details),
            as_json=json,
            output=file,
        )


def _render(facts: ModelFacts, console: Console, *, details: bool) -> None:
    # A document needs none of what draws on a terminal.
    from feasibility.render.terminal.inspect import render_facts

    render_facts(facts, console, details=details)
