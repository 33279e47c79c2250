"""`feasibility compare`: figures of models or saved profiles side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feasibility.commands.option_groups import CommandApp, single_option
from feasibility.commands.options import (
    MEASURING,
    InputOptions,
    MeasuringOptions,
    ReportOptions,
    measure_options,
)
from feasibility.commands.output import open_output, print_result
from feasibility.commands.progress import progress_on

if TYPE_CHECKING:
    from feasibility.compare.subjects import Subject

app = CommandApp()


@app.add_command()
def compare(
    subjects: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="A B...",
            show_default=False,
            help="Models, profiles that `measure -o` wrote, or folders that `fit -o` wrote; at "
            "most 4. A is the reference.",
        ),
    ] = None,
    *,
    inputs: InputOptions,
    threads: Annotated[
        int | None,
        single_option(
            "--threads N",
            "Intra-op threads of all models; default: that of the folders, otherwise 1.",
            min=1,
            heading=MEASURING,
        ),
    ] = None,
    measuring: MeasuringOptions,
    out: ReportOptions,
) -> None:
    """Compare models, saved profiles or folders that `fit` wrote.

    Models and folders are measured now, in turns and with the same inputs. A folder is measured
    with the settings in its session_options.json. The report says which differences may be noise.
    """
    options = measure_options(inputs, measuring, threads or 1)
    from feasibility.compare.compare_models import compare_subjects
    from feasibility.render.reports.compare import compare_report

    with open_output(out.output, force=out.force) as file:
        found = _subjects(subjects or ())
        with progress_on("compare", quiet=out.quiet) as progress:
            comparison = compare_subjects(found, options, threads, progress)
        print_result(
            comparison,
            lambda: compare_report(comparison, details=out.details),
            as_json=out.json,
            output=file,
        )


def _subjects(paths: Sequence[Path]) -> list[Subject]:
    """What each path is; all are looked at before anything is measured."""
    from feasibility.commands.profiles_of_path import is_document, saved_profile
    from feasibility.compare.subjects import folder_subject, model_subject, profile_subject

    found = []
    for path in paths:
        if path.is_dir():
            found.append(folder_subject(path))
        elif is_document(path):
            found.append(profile_subject(path, saved_profile(path)))
        else:
            found.append(model_subject(path))
    return found
