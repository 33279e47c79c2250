"""`feasibility runner`: lists, installs and checks other machines to measure on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from feasibility import __version__
from feasibility.commands.option_groups import CommandApp
from feasibility.commands.options import JsonOption, QuietOption
from feasibility.commands.output import print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.records.runners import RunnerForm, RunnerTrial
    from feasibility.render.rows.rows import Row

app = CommandApp()


@app.callback(invoke_without_command=True)
def runner(context: typer.Context) -> None:
    """List, install and check the runners that --on can name."""
    if context.invoked_subcommand is None:
        list_runners()


@app.add_command("list")
def list_runners(*, json: JsonOption = False) -> None:
    """List what --on takes, and what this machine needs for it."""
    from feasibility.records.runners import RunnerForms
    from feasibility.render.terminal.layout import print_rows
    from feasibility.runners.named_runners import runner_forms

    found = RunnerForms(tool_version=__version__, runners=runner_forms())
    rows = tuple(row for form in found.runners for row in _form_rows(form))
    print_result(
        found, lambda console: print_rows(console, rows, indent=0), as_json=json, output=None
    )


@app.add_command()
def install(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Instruction set to emulate: aarch64.")
    ],
    *,
    quiet: QuietOption = False,
) -> None:
    """Install an emulator with ONNX Runtime of another instruction set.

    Unpacks Debian packages and Python wheels in the user's folder; the system stays as it
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
    name: Annotated[
        str,
        typer.Argument(metavar="RUNNER", help="Runner as --on takes it, for example ssh:pi@board."),
    ],
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a small model on a runner and show facts of the machine."""
    from feasibility.measure.runner_trial import MODEL_NAME, try_runner
    from feasibility.render.terminal.layout import print_rows
    from feasibility.runners.emulator.installed_emulator import ISA
    from feasibility.runners.named_runners import runner_named

    named = runner_named(f"emulate:{ISA}" if name == ISA else name)
    with progress_on(name, quiet=quiet) as progress:
        progress(0, 1, f"running {MODEL_NAME}")
        trial = try_runner(named)
    print_result(
        trial,
        lambda console: print_rows(console, _trial_rows(trial), indent=0),
        as_json=json,
        output=None,
    )


def _form_rows(form: RunnerForm) -> tuple[Row, ...]:
    from feasibility.render.rows.rows import Row

    finding = "; ".join(filter(None, (form.finding, form.hint)))
    texts = filter(None, (form.description, form.usage, finding))
    return tuple(Row("" if index else form.form, text) for index, text in enumerate(texts))


def _trial_rows(trial: RunnerTrial) -> tuple[Row, ...]:
    from feasibility.render.rows.rows import Row
    from feasibility.units import format_bytes

    host = trial.host
    libraries = ", ".join(f"{library} {version}" for library, version in host.libraries.items())
    what = "memory only" if trial.method == "emulated" else "memory and time"
    return (
        Row("runner", f"{safe_text(trial.runner)}: works for {what}"),
        Row(
            "machine",
            f"{safe_text(host.cpu)} ({safe_text(host.arch)}), {host.core_count} cores, "
            f"{format_bytes(host.memory_bytes or 0)}",
        ),
        Row("system", safe_text(f"{host.os}, {host.libc}")),
        Row("runtime", safe_text(f"Python {host.python}, {libraries}")),
        Row("trial", f"{trial.model} needed {format_bytes(trial.peak_bytes)}"),
        *(Row("note", f"{notice.message}; {notice.hint}") for notice in trial.warnings),
    )
