"""What does `feasibility inspect` do? Shows facts about a model without running it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from feasibility.commands.option_groups import CommandApp
from feasibility.commands.options import DimOption, ModelArgument, ReportOptions, parse_dims
from feasibility.commands.output import open_outputs, print_result
from feasibility.commands.progress import progress_on
from feasibility.measure.measure_options import ProgressOf, no_progress_of

if TYPE_CHECKING:
    from feasibility.records.facts import ModelFacts

app = CommandApp()


@app.add_command()
def inspect(model: ModelArgument, *, dim: DimOption = None, out: ReportOptions) -> None:
    """Show facts about a model without running it.

    Shows parameters, operators, inputs and outputs. Shows how many operations one inference
    computes, and how many bytes it moves. Also shows the activation peak: the largest sum of
    activations that are in use at the same time. Weights are not loaded.
    """
    with open_outputs(out.output, out.html, force=out.force) as files:
        from feasibility.render.reports.inspect import inspect_report

        facts = facts_of(model, dim=dim, progress_of=partial(progress_on, quiet=out.quiet))
        print_result(
            facts,
            lambda: inspect_report(facts, details=out.details),
            as_json=out.json,
            output=files,
        )


def facts_of(
    model: Path, *, dim: DimOption = None, progress_of: ProgressOf = no_progress_of
) -> ModelFacts:
    """The facts of a model file."""
    dims = parse_dims(dim)
    from feasibility.facts.read_model import inspect_model

    with progress_of(model.name) as progress:
        progress(0, 1, "reading the graph")
        return inspect_model(model, dims=dims)
