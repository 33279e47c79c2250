"""`feasibility runner`: other machines and instruction sets to measure on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from feasibility import __version__
from feasibility.commands.options import JsonOption, QuietOption
from feasibility.commands.output import print_result
from feasibility.commands.progress import progress_on
from feasibility.errors import UsageError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from feasibility.records.runners import RunnerForm, RunnerTrial
    from feasibility.render.rows.rows import Row

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(invoke_without_command=True)
def runner(context: typer.Context) -> None:
    """List, install and check the machines that --on can name."""
    if context.invoked_subcommand is None:
        list_runners()


@app.command("list")
def list_runners(*, json: JsonOption = False) -> None:
    """List what --on takes, and what is missing for it on this machine."""
    from feasibility.records.runners import RunnerForms
    from feasibility.render.terminal.layout import print_rows
    from feasibility.runners.named_runners import runner_forms

    found = RunnerForms(tool_version=__version__, runners=runner_forms())
    rows = tuple(row for form in found.runners for row in _form_rows(form))
    print_result(
        found, lambda console: print_rows(console, rows, indent=0), as_json=json, output=None
    )


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
    from feasibility.runners.emulator.install import install as install_emulator
    from feasibility.runners.emulator.installed_emulator import ISA, emulator_folder

    if name != ISA:
        raise UsageError(
            f"Cannot install the runner {safe_text(name)!r}",
            f"the only one to install is {ISA}",
            f"feasibility runner install {ISA}",
        )
    with progress_on(f"runner {name}", quiet=quiet) as progress:
        install_emulator(emulator_folder(), progress)
    check(f"emulate:{ISA}", quiet=quiet)


@app.command()
def check(
    name: Annotated[
        str, typer.Argument(metavar="RUNNER", help="As --on takes it, for example ssh:pi@board.")
    ],
    *,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a small model there, and tell what the machine is."""
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
    return tuple(Row("" if at else form.form, text) for at, text in enumerate(texts))


def _trial_rows(trial: RunnerTrial) -> tuple[Row, ...]:
    from feasibility.render.rows.rows import Row
    from feasibility.units import format_bytes

    host = trial.host
    libraries = ", ".join(f"{library} {version}" for library, version in host.libraries.items())
    what = "memory only" if trial.method == "emulated" else "memory and time"
    return (
        Row("runner", f"{safe_text(trial.runner)}: works, for {what}"),
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
