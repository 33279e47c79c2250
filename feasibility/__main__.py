"""Entry point of the `feasibility` command and of `python -m feasibility`."""

from __future__ import annotations

import sys

from feasibility.commands.app import run


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
