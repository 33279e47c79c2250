"""What does `feasibility runner` do? Lists and checks machines, and installs an emulator."""

from __future__ import annotations

from typing import Annotated

import typer

from feasibility import __version__
from feasibility.commands.option_groups import CommandApp, argument
from feasibility.commands.options import JsonOption, QuietOption
from feasibility.commands.output import print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.text import safe_text

app = CommandApp()


@app.callback(invoke_without_command=True)
def runner(context: typer.Context) -> None:
    """List and check the runners that --on can name; install an emulator."""
    if context.invoked_subcommand is None:
        list_runners()


@app.add_command("list")
def list_runners(*, json: JsonOption = False) -> None:
    """List the values of --on, and what this machine needs for each."""
    from feasibility.records.runners import RunnerForms
    from feasibility.render.reports.runners import runners_report
    from feasibility.runners.named_runners import runner_forms

    found = RunnerForms(tool_version=__version__, runners=runner_forms())
    print_result(found, lambda: runners_report(found), as_json=json)


@app.add_command()
def install(
    name: Annotated[str, argument("NAME", "Instruction set to emulate: aarch64.")],
    *,
    quiet: QuietOption = False,
) -> None:
    """Install an emulator with ONNX Runtime for 64-bit Arm.

    Unpacks Debian packages and Python wheels into the user's folder; the system stays as it
    is. Runs a small model at the end as a test.
    """
    from feasibility.runners.emulator.install import install as install_emulator
    from feasibility.runners.emulator.installed_emulator import ISA, emulator_folder

    # --on spells it emulate:aarch64, so people type that here too.
    if name.removeprefix("emulate:") != ISA:
        raise UsageError(
            f"Cannot install the runner {safe_text(name)!r}",
            f"only {ISA} can be installed",
            f"run: feasibility runner install {ISA}",
        )
    with progress_on(f"runner {ISA}", quiet=quiet) as progress:
        install_emulator(emulator_folder(), progress)
    check(f"emulate:{ISA}", quiet=quiet)


@app.add_command()
def check(
    name: Annotated[str, argument("RUNNER", "Runner as --on takes it, for example ssh:pi@board.")],
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a small model on a runner and show facts of the machine."""
    from feasibility.measure.try_runner import MODEL_NAME, try_runner
    from feasibility.render.reports.runners import trial_report
    from feasibility.runners.emulator.installed_emulator import ISA
    from feasibility.runners.named_runners import runner_named

    named = runner_named(f"emulate:{ISA}" if name == ISA else name)
    with progress_on(name, quiet=quiet) as progress:
        progress(0, 1, f"running {MODEL_NAME}")
        trial = try_runner(named)
    print_result(trial, lambda: trial_report(trial), as_json=json)
