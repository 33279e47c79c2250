"""Which command starts the child program, and with which environment?"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# A folder that Python runs by its __main__.py, and that can be copied to another machine.
CHILD_FOLDER: Final = Path(__file__).with_name("child")

# What a child needs to find its libraries, hardware and locale. Other variables, such as
# MALLOC_*, LD_PRELOAD, OMP_* or PYTHON*, would change the figures without a trace.
_INHERITED: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "USER"}
)
_INHERITED_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "XDG_")


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start on this machine, with all its environment variables."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


def local_command(variables: Mapping[str, str] | None = None) -> Command:
    """Starts the child program with the Python that runs now, and further environment variables."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    # -P keeps the folder off sys.path.
    argv = (sys.executable, "-P", "-X", "utf8", str(CHILD_FOLDER))
    return Command(argv, {**inherited, **(variables or {})})
