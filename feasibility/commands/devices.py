"""`feasibility devices`: the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feasibility import __version__
from feasibility.commands.options import JsonOption
from feasibility.commands.output import print_result, write_bytes
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, FeasibilityError

if TYPE_CHECKING:
    from feasibility.records.device import Device

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(invoke_without_command=True)
def devices(context: typer.Context, *, json: JsonOption = False) -> None:
    """List, show and validate the devices that models are checked against."""
    if context.invoked_subcommand is None:
        list_devices(json=json)


@app.command("list")
def list_devices(*, json: JsonOption = False) -> None:
    """List the catalogue."""
    from feasibility.records.catalogue import Catalogue
    from feasibility.render.terminal_devices import render_catalogue

    found = Catalogue(tool_version=__version__, devices=_catalogue())
    print_result(
        found,
        lambda console: render_catalogue(found.devices, console),
        as_json=json,
        output=None,
    )


@app.command()
def show(
    device: Annotated[
        str,
        typer.Argument(metavar="ID", show_default=False, help="An id, a name, or a device file."),
    ],
    *,
    json: JsonOption = False,
) -> None:
    """Show everything known of a device, each figure with its source."""
    from feasibility.catalogue.catalogue import find_device
    from feasibility.render.terminal_devices import render_device

    found = find_device(device, _catalogue())
    print_result(found, lambda console: render_device(found, console), as_json=json, output=None)


@app.command()
def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", show_default=False, help="Device files (TOML)."),
    ],
) -> int:
    """Tell whether device files are valid, with the line and key of what is not."""
    from feasibility.catalogue.device_file import read_device
    from feasibility.commands.report_error import report_error
    from feasibility.render.view import name_text

    code = EXIT_OK
    for path in files:
        try:
            device = read_device(path)
        except FeasibilityError as error:
            report_error(error)
            code = EXIT_CANNOT_DO
        else:
            write_bytes(f"{name_text(str(path), 200)}: valid, {name_text(device.name)}\n".encode())
    return code


def _catalogue() -> tuple[Device, ...]:
    from feasibility.catalogue.catalogue import load_catalogue
    from feasibility.paths import devices_dir

    return load_catalogue(devices_dir())
