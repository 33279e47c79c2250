"""How is an error printed on stderr? The only place that prints errors."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import Final

from feasibility.errors import FeasibilityError
from feasibility.system_differences import missing_call
from feasibility.text import safe_text

TRACEBACK_VARIABLE: Final = "FEASIBILITY_TRACEBACK"
# Longer than any message of this tool; names inside messages are cut before.
_LINE_LIMIT: Final = 2000


def report_error(error: FeasibilityError) -> None:
    """Print what happened, why, and what to do."""
    report_message("error", error.message, error.hint)
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)


def report_message(kind: str, message: str, hint: str = "") -> None:
    """Print one message and its hint without control characters."""
    lines = [f"{_styled(kind)}: {safe_text(message, _LINE_LIMIT)}"]
    if hint:
        lines.append(f"hint: {safe_text(hint, _LINE_LIMIT)}")
    sys.stderr.write("\n".join(lines) + "\n")


def bug_error(error: Exception) -> FeasibilityError:
    """The error for an unexpected exception: a call missing on this system, or a bug."""
    missing = missing_call(error)
    if missing is not None:
        missing.__cause__ = error
        return missing
    last_line = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    bug = FeasibilityError(
        "This is a bug in feasibility",
        safe_text(last_line, 400),
        f"set {TRACEBACK_VARIABLE}=1, run the command again and report the traceback",
    )
    bug.__cause__ = error
    return bug


def known_error(error: Exception) -> FeasibilityError:
    """The exception as an error of this tool; an unexpected one as a bug."""
    return error if isinstance(error, FeasibilityError) else bug_error(error)


def report_failure(error: Exception) -> FeasibilityError:
    """Print why one model failed while others go on; an unexpected exception as a bug."""
    sys.stdout.flush()
    known = known_error(error)
    report_error(known)
    return known


def report_interrupt() -> None:
    """Print that the user interrupted the command; the terminal may be closed by then."""
    with contextlib.suppress(OSError):
        sys.stderr.write("\ninterrupted; no unfinished file is left behind\n")
        sys.stderr.flush()


def _styled(kind: str) -> str:
    wanted = bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()
    if not wanted or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return kind
    colour = "31" if kind == "error" else "33"
    return f"\x1b[1;{colour}m{kind}\x1b[0m"
