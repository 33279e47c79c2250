"""What does `feasibility devices` do? Lists, shows and validates devices, measures this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import typer

from feasibility import __version__
from feasibility.commands.option_groups import CommandApp, argument, single_option
from feasibility.commands.options import ForceOption, JsonOption, QuietOption
from feasibility.commands.output import open_output, print_result, write_bytes
from feasibility.errors import EXIT_CANNOT_DO, EXIT_OK, FeasibilityError, UsageError

if TYPE_CHECKING:
    from feasibility.records.accuracy import Accuracy
    from feasibility.records.device import Device

# Shorter work shows no progress.
_PROGRESS_DELAY_S: Final = 1.0
# As `feasibility.records.device.Kind`, which is not imported for a page of help.
KindName: TypeAlias = Literal["phone", "tablet", "sbc", "laptop", "desktop", "server"]

app = CommandApp()


@app.callback(invoke_without_command=True)
def devices(context: typer.Context, *, json: JsonOption = False) -> None:
    """List, show and validate devices; measure this machine."""
    if context.invoked_subcommand is None:
        list_devices(json=json)


@app.add_command("list")
def list_devices(
    words: Annotated[
        list[str] | None,
        argument("TEXT", "Words that the id, names, chip, system or runtimes must contain."),
    ] = None,
    *,
    kind: Annotated[
        list[str] | None,
        single_option(
            "--kind KIND",
            "phone, tablet, sbc (board), laptop, desktop or server; repeatable; default: all.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """List all devices of the catalogue, or those with a search word."""
    from feasibility.catalogue.load_catalogue import filtered_devices, known_devices
    from feasibility.records.device import Catalogue
    from feasibility.render.reports.devices import catalogue_report

    found = Catalogue(
        tool_version=__version__,
        devices=filtered_devices(known_devices(), kinds=kind or (), words=words or ()),
    )
    print_result(found, lambda: catalogue_report(found.devices), as_json=json)


@app.add_command()
def show(
    device: Annotated[str, argument("ID", "An id, a name, or a device file.")],
    *,
    json: JsonOption = False,
) -> None:
    """Show all figures of a device with their sources."""
    from feasibility.catalogue.load_catalogue import find_device, known_devices
    from feasibility.render.reports.devices import device_report

    found = find_device(device, known_devices())
    print_result(found, lambda: device_report(found), as_json=json)


@app.add_command()
def this(
    *,
    output: Annotated[
        Path | None,
        single_option(
            "--output -o FILE.toml",
            "Path of the device file; default: in the user's device folder.",
        ),
    ] = None,
    identifier: Annotated[str, single_option("--id ID", "Id of the device.")] = "this",
    name: Annotated[
        str | None, single_option("--name NAME", "Display name; default: system name.")
    ] = None,
    kind: Annotated[
        KindName | None, single_option("--kind", "Kind of device; default: a guess.")
    ] = None,
    json: JsonOption = False,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure this machine and write its device file.

    Takes less than two minutes. Runs small models, each testing one operation type, through
    ONNX Runtime with one and with more threads. Projections for this device then use the
    measured rates. Close other programs first. Afterwards run
    `feasibility check MODEL --device this`.
    """
    from feasibility.commands.devices_this import (
        checked_id,
        destination,
        device_file_text,
        measure_this_machine,
    )

    path = destination(output, checked_id(identifier))
    with open_output(path, force=force) as file:
        from feasibility.render.reports.devices import device_report
        from feasibility.render.reports.sections import name_text

        found = measure_this_machine(identifier, name, kind, quiet=quiet)
        assert file is not None
        file.write(device_file_text(found).encode())
        print_result(found, lambda: device_report(found), as_json=json)
        if not (json or quiet):
            wanted = identifier if output is None else name_text(str(path), 200)
            where = name_text(str(path), 200)
            hint = f"{where} written; next: feasibility check MODEL --device {wanted}\n"
            write_bytes(hint.encode(), sys.stderr)


@app.add_command()
def validate(
    files: Annotated[list[Path] | None, argument("FILE", "Device files (TOML).")] = None,
    *,
    report: Annotated[
        bool, single_option("--report", "Report projection errors on published measurements.")
    ] = False,
    rows: Annotated[
        Path | None,
        single_option(
            "--rows FILE.csv",
            "Report projection errors on your own measurements, in the columns of "
            "profiles/published.csv.",
        ),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Validate device files, or report projection errors."""
    if not (files or report or rows):
        raise UsageError(
            "Cannot run `feasibility devices validate`",
            "no device file is given",
            "name device files, or use --report or --rows FILE.csv",
        )
    if json and files and (report or rows):
        raise UsageError(
            "Cannot print two documents",
            "--json prints one document, but device files and a report are asked for",
            "validate the files in a second command",
        )
    if report or rows is not None:
        from feasibility.render.reports.accuracy import accuracy_report

        found = _recorded_accuracy() if rows is None else _accuracy_on(rows)
        print_result(found, lambda: accuracy_report(found), as_json=json)
    return _validate_files(files, as_json=json) if files else EXIT_OK


@app.add_command()
def calibrate(
    device: Annotated[str, argument("ID", "An id, a name, or a device file.")],
    *,
    measured: Annotated[
        list[str],
        single_option(
            "--measured MODEL=TIME",
            "A model and its time on the device, for example model.onnx=23ms; repeatable.",
            show_default=False,
        ),
    ],
    threads: Annotated[
        int | None,
        single_option(
            "--threads N",
            "Threads of the measurement; default: the fastest number from 1 to 4.",
            min=1,
        ),
    ] = None,
    runtime: Annotated[
        str | None,
        single_option(
            "--runtime NAME",
            "Runtime of the measurement; default: ONNX Runtime, or LiteRT for .tflite files.",
        ),
    ] = None,
) -> None:
    """Record times measured on a device to improve its projections."""
    from feasibility.catalogue.load_catalogue import find_device, known_devices
    from feasibility.commands.measured_times import anchored_device, parse_measured, save_anchors
    from feasibility.render.reports.sections import counted, name_text

    found = find_device(device, known_devices())
    times = [parse_measured(text) for text in measured]
    anchored = anchored_device(found, times, threads=threads, runtime=runtime)
    path = save_anchors(anchored)
    count = counted(len(anchored.anchors), "measured model")
    write_bytes(f"{name_text(found.name)}: {count}, in {name_text(str(path), 200)}\n".encode())


def _recorded_accuracy() -> Accuracy:
    """The error on the published rows, each projected by a fit that did not see it."""
    import msgspec

    from feasibility.json_documents import read_document
    from feasibility.paths import profiles_dir
    from feasibility.records.accuracy import Accuracy

    # `make calibrate` writes this file.
    recorded = read_document(profiles_dir() / "accuracy.json", Accuracy)
    return msgspec.structs.replace(recorded, tool_version=__version__)


def _accuracy_on(rows: Path) -> Accuracy:
    """The error on a table of the user's measurements."""
    from feasibility.commands.progress import progress_on
    from feasibility.predict.latency.coefficients import shipped_coefficients
    from feasibility.predict.validation.cases import published_tables
    from feasibility.predict.validation.rows_report import rows_report

    start_s = time.monotonic()
    with progress_on(rows.name, quiet=False) as shown:

        def progress(done: int, total: int, doing: str) -> None:
            if time.monotonic() - start_s >= _PROGRESS_DELAY_S:
                shown(done, total, doing)

        return rows_report(rows, published_tables(), shipped_coefficients(), progress)


def _validate_files(files: list[Path], *, as_json: bool) -> int:
    """Print for each file whether it is valid; as JSON, the devices of the valid files."""
    from feasibility.catalogue.load_catalogue import refuse_shared_id
    from feasibility.catalogue.read_device_file import read_device
    from feasibility.commands.report_error import report_error
    from feasibility.json_documents import encode
    from feasibility.records.device import Catalogue
    from feasibility.render.reports.sections import name_text

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
        write_bytes(encode(Catalogue(tool_version=__version__, devices=tuple(valid))))
    return code
