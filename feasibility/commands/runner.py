"""`feasibility runner`: other machines and instruction sets to measure on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from feasibility.commands.options import QuietOption
from feasibility.commands.output import stdout_console
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.measure.trial import Trial
    from feasibility.render.view import Row

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(invoke_without_command=True)
def runner(context: typer.Context) -> None:
    """List, install and check the machines that --on can name."""
    if context.invoked_subcommand is None:
        list_runners()


@app.command("list")
def list_runners() -> None:
    """List what --on takes, and whether the emulator is installed."""
    from feasibility.probe.runners.root import ISA, read_manifest, root_folder
    from feasibility.render.terminal import print_rows
    from feasibility.render.view import Row

    manifest = read_manifest(root_folder())
    state = (
        f"not installed; `feasibility runner install {ISA}`"
        if manifest is None
        else f"installed: ONNX Runtime {manifest.onnxruntime}, Python {manifest.python_version}, "
        f"QEMU {manifest.emulator_version}"
    )
    rows = (
        Row("local", "this machine"),
        Row("ssh:[USER@]HOST", "a machine that ssh can log in to, with onnxruntime"),
        Row("", "ssh:HOST:/path/to/python names its Python, ssh://USER@HOST:PORT its port"),
        Row("docker:IMAGE", "a container of an image with Python, onnxruntime and numpy"),
        Row("podman:IMAGE", "the same under podman; both take IMAGE,platform=linux/arm64"),
        Row(f"emulate:{ISA}", f"memory on 64-bit Arm without the device; {state}"),
        Row("", f"emulate:{ISA}:CPU names the core; check takes those of the devices"),
    )
    print_rows(stdout_console(), rows, indent=0)


@app.command()
def install(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The instruction set: aarch64.")],
    *,
    quiet: QuietOption = False,
) -> None:
    """Put an emulator with ONNX Runtime of another instruction set into the user's folder.

    Debian's packages and the index's wheels are unpacked there; nothing is installed into
    the system. A model is run at the end to see that it works.
    """
    from feasibility.probe.runners.install import install as install_root
    from feasibility.probe.runners.root import ISA, root_folder

    if name != ISA:
        raise UsageError(
            f"Cannot install the runner {safe_text(name)!r}",
            f"the only one to install is {ISA}",
            f"feasibility runner install {ISA}",
        )
    with progress_on(f"runner {name}", quiet=quiet) as progress:
        install_root(root_folder(), progress)
    check(f"emulate:{ISA}", quiet=quiet)


@app.command()
def check(
    name: Annotated[
        str, typer.Argument(metavar="RUNNER", help="As --on takes it, for example ssh:pi@board.")
    ],
    *,
    quiet: QuietOption = False,
) -> None:
    """Run a small model there, and tell what the machine is."""
    from feasibility.measure.trial import MODEL_NAME, try_machine
    from feasibility.probe.runners.names import machine_named
    from feasibility.probe.runners.root import ISA
    from feasibility.render.terminal import print_rows

    machine = machine_named(f"emulate:{ISA}" if name == ISA else name)
    with progress_on(name, quiet=quiet) as progress:
        progress(0, 1, f"running {MODEL_NAME}")
        trial = try_machine(machine)
    print_rows(stdout_console(), _trial_rows(machine.name, trial), indent=0)


def _trial_rows(name: str, trial: Trial) -> tuple[Row, ...]:
    from feasibility.measure.trial import MODEL_NAME
    from feasibility.render.view import Row
    from feasibility.units import format_bytes

    host = trial.host
    libraries = ", ".join(f"{library} {version}" for library, version in host.libraries.items())
    what = "memory only" if trial.is_emulated else "memory and time"
    return (
        Row("runner", f"{safe_text(name)}: works, for {what}"),
        Row(
            "machine",
            f"{safe_text(host.cpu)} ({safe_text(host.arch)}), {host.core_count} cores, "
            f"{format_bytes(host.memory_bytes or 0)}",
        ),
        Row("system", safe_text(f"{host.os}, {host.libc}")),
        Row("runtime", safe_text(f"Python {host.python}, {libraries}")),
        Row("trial", f"{MODEL_NAME} needed {format_bytes(trial.peak_bytes)}"),
    )
