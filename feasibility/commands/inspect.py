"""What does `feasibility inspect` do? Shows facts about a model without running it."""

from __future__ import annotations

from feasibility.commands.option_groups import CommandApp
from feasibility.commands.options import DimOption, ModelArgument, ReportOptions, parse_dims
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import progress_on

app = CommandApp()


@app.add_command()
def inspect(model: ModelArgument, *, dim: DimOption = None, out: ReportOptions) -> None:
    """Show facts about a model without running it.

    Shows parameters, operators, inputs and outputs. Shows how many operations one inference
    computes, and how many bytes it moves. Also shows the activation peak: the largest sum of
    activations that are in use at the same time. Weights are not loaded.
    """
    dims = parse_dims(dim)
    with open_outputs(out.output, out.html, force=out.force) as files:
        from feasibility.facts.read_model import inspect_model
        from feasibility.render.reports.inspect import inspect_report

        with progress_on(model.name, quiet=out.quiet) as progress:
            progress(0, 1, "reading the graph")
            facts = inspect_model(model, dims=dims)
        print_result(
            facts,
            lambda: inspect_report(facts, details=out.details),
            as_json=out.json,
            output=files,
        )
