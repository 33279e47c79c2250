"""Entry point of the `feasibility` command and of `python -m feasibility`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import NoReturn

from feasibility.commands.app import run
from feasibility.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the command line and exit with its code."""
    # A job that is cancelled from outside cleans up as one that is interrupted by hand.
    signal.signal(signal.SIGTERM, _interrupt)
    code = run(sys.argv[1:])
    if code == EXIT_INTERRUPTED:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End at once, everything having been cleaned up.

    Under `python -m` CPython kills itself with SIGINT at its end if an interrupt ever passed
    through code that was compiled from text, as that of named tuples and dataclasses is while
    they are imported, even where it was caught; a caller would see a signal in place of the code.
    Source: run_eval_code_obj in CPython's Python/pythonrun.c, Py_RunMain in Modules/main.c.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
