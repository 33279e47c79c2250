"""`feasibility devices`: the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from feasibility import __version__
from feasibility.commands.options import ForceOption, JsonOption, QuietOption
from feasibility.commands.output import open_output, print_result, write_bytes
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, FeasibilityError, UsageError

if TYPE_CHECKING:
    from feasibility.records.device import Device

# As `feasibility.records.device.Kind`, which is not imported for a page of help.
KindName: TypeAlias = Literal["phone", "tablet", "sbc", "laptop", "desktop", "server"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(invoke_without_command=True)
def devices(context: typer.Context, *, json: JsonOption = False) -> None:
    """List, show and validate the devices that models are checked against."""
    if context.invoked_subcommand is None:
        list_devices(json=json)


@app.command("list")
def list_devices(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            show_default=False,
            help="Only devices with all of these in their id, names, chip, system or runtimes.",
        ),
    ] = None,
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="Only phones, tablets, boards (sbc), laptops, desktops or servers; repeatable.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the catalogue, or a part of it."""
    from feasibility.catalogue.selection import selected
    from feasibility.records.catalogue import Catalogue
    from feasibility.render.terminal.devices import render_catalogue

    found = Catalogue(
        tool_version=__version__,
        devices=selected(_catalogue(), kinds=kind or (), words=words or ()),
    )
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
    from feasibility.catalogue.load_catalogue import find_device
    from feasibility.render.terminal.devices import render_device

    found = find_device(device, _catalogue())
    print_result(found, lambda console: render_device(found, console), as_json=json, output=None)


@app.command()
def this(
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.toml",
            help="Write the device file here and not into the user's device folder.",
        ),
    ] = None,
    identifier: Annotated[
        str, typer.Option("--id", metavar="ID", help="Its id in the catalogue.")
    ] = "this",
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Its name for people; else the system's."),
    ] = None,
    kind: Annotated[
        KindName | None, typer.Option("--kind", help="What it is, where the guess is wrong.")
    ] = None,
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure this machine, in under two minutes, and write its device file.

    Small models of one kind of work each run through ONNX Runtime with one thread and
    more; projections for the device then rest on what they took. Afterwards
    `feasibility check MODEL --device this` works. Close other programs first.
    """
    from feasibility.commands.this_machine import (
        checked_id,
        destination,
        device_file_text,
        measure_this_machine,
    )

    path = destination(output, checked_id(identifier))
    with open_output(path, force=force) as file:
        from feasibility.render.rows.rows import name_text
        from feasibility.render.terminal.devices import render_device

        found = measure_this_machine(identifier, name, kind, quiet=quiet)
        assert file is not None
        file.write(device_file_text(found).encode())
        print_result(
            found, lambda console: render_device(found, console), as_json=json, output=None
        )
        if not (json or quiet):
            wanted = identifier if output is None else name_text(str(path), 200)
            where = name_text(str(path), 200)
            hint = f"{where} written; now: feasibility check MODEL --device {wanted}\n"
            write_bytes(hint.encode(), sys.stderr)


@app.command()
def validate(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", show_default=False, help="Device files (TOML)."),
    ] = None,
    *,
    report: Annotated[
        bool,
        typer.Option("--report", help="How far projections are from published measurements."),
    ] = False,
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows",
            metavar="FILE.csv",
            help="The same for other measurements, with the columns of profiles/published.csv.",
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Tell whether device files are valid, or how far off projections are."""
    if not (files or report or rows):
        raise UsageError(
            "There is nothing to validate",
            "no device file is given",
            "name device files, or use --report or --rows FILE.csv",
        )
    if json and files and (report or rows):
        raise UsageError(
            "Cannot print two documents",
            "with --json there is one, and both device files and a report were asked for",
            "validate the files with a command of their own",
        )
    if report or rows is not None:
        from feasibility.commands.devices_accuracy import print_accuracy

        print_accuracy(rows, as_json=json)
    return _validate_files(files, as_json=json) if files else EXIT_OK


@app.command()
def calibrate(
    device: Annotated[
        str,
        typer.Argument(metavar="ID", show_default=False, help="An id, a name, or a device file."),
    ],
    *,
    measured: Annotated[
        list[str],
        typer.Option(
            "--measured",
            metavar="MODEL=TIME",
            show_default=False,
            help="A model and its time on the device, for example model.onnx=23ms; repeatable.",
        ),
    ],
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, help="Threads it was measured with."),
    ] = None,
    runtime: Annotated[
        str, typer.Option("--runtime", metavar="NAME", help="Runtime it was measured with.")
    ] = "onnxruntime",
) -> None:
    """Note how long models took on the device itself, so that others are projected better."""
    from feasibility.catalogue.load_catalogue import find_device
    from feasibility.commands.anchoring import anchored_device, parse_measured, save_anchors
    from feasibility.render.rows.rows import counted, name_text

    found = find_device(device, _catalogue())
    times = [parse_measured(text) for text in measured]
    anchored = anchored_device(found, times, threads=threads, runtime=runtime)
    path = save_anchors(anchored)
    count = counted(len(anchored.anchors), "measured model")
    write_bytes(f"{name_text(found.name)}: {count}, in {name_text(str(path), 200)}\n".encode())


def _validate_files(files: list[Path], *, as_json: bool) -> int:
    """Say of each file whether it is valid; as JSON, the devices of those that are."""
    from feasibility.catalogue.read_device_file import read_device
    from feasibility.catalogue.selection import refuse_shared_id
    from feasibility.commands.report_error import report_error
    from feasibility.records.catalogue import Catalogue
    from feasibility.render.json_ import render_json
    from feasibility.render.rows.rows import name_text

    code = EXIT_OK
    valid: list[Device] = []
    for path in files:
        try:
            device = read_device(path)
            refuse_shared_id(device, valid)
        except FeasibilityError as error:
            report_error(error)
            code = EXIT_CANNOT_DO
            continue
        valid.append(device)
        if not as_json:
            write_bytes(f"{name_text(str(path), 200)}: valid, {name_text(device.name)}\n".encode())
    if as_json:
        write_bytes(render_json(Catalogue(tool_version=__version__, devices=tuple(valid))))
    return code


def _catalogue() -> tuple[Device, ...]:
    from feasibility.commands.known_devices import known_devices

    return known_devices()
