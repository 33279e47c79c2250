"""Which commands are there, and which exit code does a command line give?

Start-up time is a stated figure: a command's module is imported only when that command
runs, and `--help` is written from the table below.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from feasibility import __version__
from feasibility.commands.report_error import bug_error, report_error, report_interrupt
from feasibility.errors import (
    EXIT_CANNOT_DO,
    EXIT_INTERRUPTED,
    EXIT_OK,
    FeasibilityError,
    UsageError,
)
from feasibility.text import safe_text

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

# The exit code that shells report after SIGPIPE: 128 + 13.
EXIT_PIPE_CLOSED: Final = 141
COMPLETION_VARIABLE: Final = "_FEASIBILITY_COMPLETE"


# The line of each command in the help; its module has the same name.
COMMANDS: Final = {
    "demo": "Check bundled reference architectures; no model file needed.",
    "inspect": "Show facts about a model without running it.",
    "measure": "Measure the memory and time of a model.",
    "check": "Check where models can run: verdicts and one recommendation.",
    "prove": "Run a model under a memory limit that the kernel enforces.",
    "fit": "Find the smallest change with which a model meets its targets.",
    "compare": "Compare models or profiles: figures, operators, outputs.",
    "report": "Write one HTML page of saved documents.",
    "devices": "List, show and validate devices; measure this machine.",
    "runner": "List and check machines to measure on; install an emulator.",
    "budget": "Check models against memory, size and latency budgets in CI.",
    "zoo": "Build reference architectures as ONNX files.",
    "schema": "Print the JSON Schema of a document.",
    "doctor": "Check what this machine can measure, and what to install.",
}


class CommandTable(TyperGroup):
    """A group that imports the module of a command when that command is used."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        """The command of this name, whose module is imported now; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"feasibility.commands.{cmd_name}")
        command = get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """The command that the arguments name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise UsageError(
                f"Cannot run {safe_text(name)!r}", "this command does not exist", _suggest(name)
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _suggest(name: str) -> str:
    if name.endswith((".onnx", ".ort")) or Path(name).is_file():
        return f"did you mean `feasibility check {safe_text(name)}`?"
    close = get_close_matches(name, COMMANDS, n=1)
    if close:
        return f"did you mean `feasibility {close[0]}`?"
    return f"the commands are {', '.join(COMMANDS)}; see `feasibility --help`"


def _print_version(*, wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"feasibility {__version__}\n")
        raise typer.Exit(EXIT_OK)


app = typer.Typer(
    cls=CommandTable,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def feasibility(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Check where an ONNX model can run, and what it costs there, before you deploy it."""


def run(args: Sequence[str]) -> int:
    """Exit code of one command line; an error that ends the command is printed here."""
    _escape_characters_outside_the_encoding()
    try:
        code = _dispatch(list(args) or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_further_output()
        return EXIT_PIPE_CLOSED
    except KeyboardInterrupt:
        report_interrupt()
        return EXIT_INTERRUPTED
    except FeasibilityError as error:
        report_error(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 (a bug becomes a message instead of a traceback)
        report_error(bug_error(error))
        return EXIT_CANNOT_DO
    return code


def _dispatch(args: list[str]) -> int:
    command = get_command(app)
    if COMPLETION_VARIABLE in os.environ:
        command.main(args=args, prog_name="feasibility")
    try:
        with command.make_context("feasibility", args) as context:
            return command.invoke(context) or EXIT_OK
    except typer.Exit as request:
        return request.exit_code
    except typer.TyperException as error:
        raise UsageError(
            f"Cannot run `{_command_path(error)}`",
            error.format_message().replace("Value error, ", "").rstrip("."),
            f"see `{_command_path(error)} --help`",
        ) from error


def _command_path(error: typer.TyperException) -> str:
    """The command as it was typed so far, for example `feasibility check`."""
    context = getattr(error, "ctx", None)
    return context.command_path if context else "feasibility"


def _escape_characters_outside_the_encoding() -> None:
    """Print escapes for characters that the terminal cannot show, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_further_output() -> None:
    """Point stdout at /dev/null, so that the interpreter's flush at exit raises no error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
