"""How does a program start: the `feasibility` command, and `python -m feasibility`?"""

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
    # A cancelled job (SIGTERM) and a closed terminal (SIGHUP) clean up as Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        # Windows has no SIGHUP.
        number = getattr(signal, name, None)
        # nohup starts programs with SIGHUP ignored; they must go on.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    code = run(sys.argv[1:])
    if code == EXIT_INTERRUPTED:
        _leave(code)
    sys.exit(code)


def _leave(code: int) -> NoReturn:
    """End the process at once; everything is cleaned up.

    Under `python -m`, CPython ends itself with SIGINT if an interrupt ever passed through code
    that was compiled from text (named tuples and dataclasses do that during import), even if
    the interrupt was caught. The caller would see a signal in place of the exit code.
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
