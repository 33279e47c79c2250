"""What does `feasibility zoo` do? Lists and builds reference architectures as ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feasibility.commands.option_groups import CommandApp, argument, single_option
from feasibility.commands.options import QuietOption
from feasibility.commands.output import stdout_console, write_bytes
from feasibility.commands.progress import progress_on

app = CommandApp()


@app.callback(invoke_without_command=True)
def zoo(context: typer.Context) -> None:
    """Build reference architectures as ONNX files with random weights."""
    if context.invoked_subcommand is None:
        list_architectures()


@app.add_command("list")
def list_architectures() -> None:
    """List the architectures."""
    from feasibility.render.reports.sections import Row
    from feasibility.render.terminal.layout import print_rows
    from feasibility.units import format_bytes
    from feasibility.zoo.architectures import entries

    rows = (
        Row(entry.name, f"{entry.title}, {format_bytes(entry.file_bytes)}: {entry.description}")
        for entry in entries()
    )
    print_rows(stdout_console(), rows, indent=0)


@app.add_command()
def build(
    names: Annotated[list[str], argument("NAME", "Architectures, as `zoo list` names them.")],
    *,
    folder: Annotated[
        Path | None,
        single_option("--folder -d DIR", "Folder for the files; default: the user's cache."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Build architectures and print the paths of their files."""
    from feasibility.zoo.architectures import build as build_one
    from feasibility.zoo.architectures import find

    for name in names:
        find(name)  # A wrong name is refused before the first gigabyte is written.
    for name in names:
        with progress_on(name, quiet=quiet) as progress:
            progress(0, 1, "building")
            path = build_one(name, folder=folder)
        write_bytes(f"{path}\n".encode(errors="surrogateescape"))
