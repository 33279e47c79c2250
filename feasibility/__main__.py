"""Entry point of the `feasibility` command and of `python -m feasibility`."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from feasibility.commands.app import run


def main() -> None:
    """Run the command line and exit with its code."""
    # A job that is cancelled from outside cleans up as one that is interrupted by hand.
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run(sys.argv[1:]))


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
