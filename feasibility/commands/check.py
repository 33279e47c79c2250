"""`feasibility check`: where models can run, with a verdict per device and one advice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from feasibility.commands.demands import (
    AppSizeOption,
    Demands,
    DeviceThreadsOption,
    NetworkOption,
    OfflineOption,
    PriceOption,
    PrivateOption,
    RateOption,
    RealtimeOption,
    RoleOption,
    RuntimeOption,
    UploadOption,
)
from feasibility.commands.options import (
    DetailsOption,
    DimOption,
    ForceOption,
    InputOption,
    InputsOption,
    JsonOption,
    OnOption,
    OutputOption,
    ProviderOption,
    QuietOption,
    RunsOption,
    SeedOption,
    TimeoutOption,
    WarmupOption,
    measure_options,
)
from feasibility.commands.output import open_output, print_result, stdout_console
from feasibility.errors import (
    EXIT_CANNOT_DO,
    EXIT_OK,
    EXIT_REQUIREMENT_NOT_MET,
)

if TYPE_CHECKING:
    from feasibility.records.assessment import Assessment, ModelAssessment
    from feasibility.records.device import Device

app = typer.Typer(rich_markup_mode=None, add_completion=False)


# Verdicts that can be required; each is met by itself and by the better ones.
Required: TypeAlias = Literal["fits", "tight", "fits-with-changes"]


@app.command()
def check(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            show_default=False,
            help=".onnx and .ort files, profiles that `measure -o` saved (.json), and reports "
            "of other programs.",
        ),
    ],
    *,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="ID",
            help="Where it may run: an id, a name or a device file; repeatable.",
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency", metavar="TIME", help="What one inference may take, for example 50ms."
        ),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="What the model and its runtime may use, for example 200MiB.",
        ),
    ] = None,
    rate: RateOption = None,
    realtime: RealtimeOption = None,
    network: NetworkOption = None,
    upload: UploadOption = None,
    offline: OfflineOption = False,
    private: PrivateOption = False,
    role: RoleOption = None,
    app_size: AppSizeOption = None,
    price: PriceOption = None,
    runtime: RuntimeOption = None,
    prove: Annotated[
        bool,
        typer.Option(
            "--prove", help="Also run it under what each device leaves it; the kernel enforces it."
        ),
    ] = False,
    require: Annotated[
        Required | None,
        typer.Option("--require", help="Exit with 1 where any verdict is worse than this."),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            "--measured",
            metavar="FILE.toml",
            help='Times on real devices: a table per device id with "model.onnx" = "23ms".',
        ),
    ] = None,
    dim: DimOption = None,
    input_: InputOption = None,
    inputs: InputsOption = None,
    threads: DeviceThreadsOption = None,
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
) -> int:
    """Tell where models can run: a verdict per device, and one advice with reasons.

    Without --device: a budget and a flagship phone, a Raspberry Pi 4 and 5, and an
    RTX server. A verdict of "does not fit" is a result; only --require fails on it.
    With --on emulate:aarch64, or after `measure` with it, memory on Arm devices is
    that of their own instruction set; time is still measured here.
    --details compares all places: time with the network, energy, cost, what is sent.
    """
    options = measure_options(
        dim=dim,
        input_=input_,
        inputs=inputs,
        threads=measuring_threads(threads, on),
        warmup=warmup,
        runs=runs,
        timeout=timeout,
        provider=provider,
        seed=seed,
    )
    demands = Demands(
        latency=latency,
        memory=memory,
        rate=rate,
        realtime=realtime,
        network=network,
        upload=upload,
        is_offline=offline,
        is_private=private,
        role=role,
        app_size=app_size,
        prices=tuple(price or ()),
        runtime=runtime,
        threads=threads,
    )
    demands.check()
    if prove:
        from feasibility.commands.proving import refuse_saved

        refuse_saved(models, on)
    devices = chosen_devices(device)
    requirements = demands.requirements(devices)
    if measured is not None:
        from feasibility.commands.anchoring import with_measured

        devices = with_measured(devices, measured, threads=threads, runtime=requirements.runtime)
    with open_output(output, force=force) as file:
        from feasibility.commands.assessing import assess_paths

        report = BlockPrinter(details=details, silent=json)
        assessment = assess_paths(
            models,
            devices,
            options=options,
            requirements=requirements,
            on=on,
            prove=prove,
            quiet=quiet,
            on_model=report.print_model,
        )
        print_result(assessment, lambda _: report.print_end(assessment), as_json=json, output=file)
    return _exit_code(assessment, require, quiet=quiet)


class BlockPrinter:
    """Prints each model's block as soon as it is known, so that a long call is worth watching.

    Args:
        details: True to print everything known of each model.
        silent: True to print nothing, because a document will be.
    """

    def __init__(self, *, details: bool, silent: bool) -> None:
        self._details = details
        self._console = None if silent else stdout_console()
        self._count = 0

    def print_model(self, model: ModelAssessment) -> None:
        """Print one model's block."""
        from feasibility.render.terminal.check import render_model_assessment

        if self._console is None:
            return
        if self._count:
            self._console.print()
        self._count += 1
        render_model_assessment(model, self._console, details=self._details)
        self._console.file.flush()

    def print_end(self, assessment: Assessment) -> None:
        """Print all models together."""
        from feasibility.render.terminal.check import render_overview

        if self._console is not None:
            render_overview(assessment, self._console)


def chosen_devices(names: list[str] | None) -> tuple[Device, ...]:
    """The devices of these names, each once, or the usual ones.

    Raises:
        DeviceError: There is no such device, a device file is not valid, or two of them have
            one id.
    """
    from feasibility.catalogue.load_catalogue import default_devices, find_device
    from feasibility.catalogue.selection import refuse_shared_id
    from feasibility.commands.known_devices import known_devices

    catalogue = known_devices()
    if not names:
        return default_devices(catalogue)
    found: dict[str, Device] = {}
    for name in names:
        device = find_device(name, catalogue)
        refuse_shared_id(device, found.values())
        found[device.id] = device
    return tuple(found.values())


def measuring_threads(asked: int | None, on: str | None) -> int:
    """Threads to measure with: those asked for on the devices, as far as this machine has cores.

    More than it has would take turns, which takes long and says nothing of any device.
    """
    if asked is None or on is not None:
        return asked or 1
    return min(asked, len(os.sched_getaffinity(0)))


def _exit_code(assessment: Assessment, require: Required | None, *, quiet: bool) -> int:
    from feasibility.commands.assessing import unmet
    from feasibility.commands.report_error import report_message

    if assessment.errors:
        return EXIT_CANNOT_DO
    missed = unmet(assessment, require) if require is not None else ()
    if missed and not quiet:
        report_message("not met", f"--require {require}: {'; '.join(missed)}")
    return EXIT_REQUIREMENT_NOT_MET if missed else EXIT_OK
