"""Prints what went wrong, on stderr, as one message a person can act on."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Final

from feasibility.errors import FeasibilityError
from feasibility.text import safe_text

TRACEBACK_VARIABLE: Final = "FEASIBILITY_TRACEBACK"
# Long enough for any message written here; a hostile name inside one is cut before.
_LINE_LIMIT: Final = 2000


def report_error(error: FeasibilityError) -> None:
    """Print what happened, why, and the hint."""
    report_message("error", error.message, error.hint)
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)


def report_message(kind: str, message: str, hint: str = "") -> None:
    """Print one message and its hint, both free of control characters."""
    lines = [f"{_styled(kind)}: {safe_text(message, _LINE_LIMIT)}"]
    if hint:
        lines.append(f"hint: {safe_text(hint, _LINE_LIMIT)}")
    sys.stderr.write("\n".join(lines) + "\n")


def bug_error(error: Exception) -> FeasibilityError:
    """An exception that nobody expected, told as the fault of this program that it is."""
    last_line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    told = FeasibilityError(
        "This is a bug in feasibility",
        safe_text(last_line, 400),
        f"set {TRACEBACK_VARIABLE}=1 and run it again for the traceback, then report it",
    )
    told.__cause__ = error
    return told


def report_interrupt() -> None:
    """Print that the user ended it."""
    sys.stderr.write("\ninterrupted; nothing half-written was left behind\n")


def _styled(kind: str) -> str:
    wanted = bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()
    if not wanted or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return kind
    colour = "31" if kind == "error" else "33"
    return f"\x1b[1;{colour}m{kind}\x1b[0m"
