"""The command that starts Python on the machine that is meant."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

# A folder that the interpreter runs by its __main__.py, and that can be sent elsewhere.
CHILD_FOLDER: Final = Path(__file__).with_name("child")

# Fixing any of glibc's thresholds turns their adaptation off, and with it the spread of
# up to 12 % between runs of one model. The value is glibc's own initial one.
STEADY_ENVIRONMENT: Final = {"MALLOC_TRIM_THRESHOLD_": "131072"}

# What a child needs to find its libraries, hardware and locale. Everything else, such as
# MALLOC_*, LD_PRELOAD, OMP_* or PYTHON*, would change what is measured without being seen.
_INHERITED: Final = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR", "TZ", "USER"}
)
_INHERITED_PREFIXES: Final = ("LC_", "CUDA_", "NVIDIA_", "XDG_")


class Runner(Protocol):
    """A machine, or an instruction set, on which the child can run."""

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""

    def command(self, extra: Mapping[str, str]) -> list[str]:
        """The argv that starts the child script there.

        Args:
            extra: Variables for the child; an argv that leads to another machine has to
                carry them, since the environment ends at this one.
        """

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of the argv on this machine."""


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """This machine, with the interpreter that runs now."""

    python: str = sys.executable

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        return "local"

    def command(self, extra: Mapping[str, str]) -> list[str]:  # noqa: ARG002
        """The argv that starts the child script here; -P keeps its folder off sys.path."""
        return [self.python, "-P", "-X", "utf8", str(CHILD_FOLDER)]

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The inherited part of this process's environment and the extra variables."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
        }
        return {**inherited, **extra}
