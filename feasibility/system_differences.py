"""Which calls differ between operating systems? This module has each call and its replacement."""

from __future__ import annotations

import os
import platform
import select
import signal
import sys
from collections.abc import Callable
from typing import Final

from feasibility.errors import HostError

_NAMES: Final = {"Darwin": "macOS"}
_POSIX_MODULES: Final = frozenset({"fcntl", "grp", "pwd", "resource", "termios"})
# Only Windows has O_BINARY; without it, files open as text. It lacks the POSIX flags.
_READ_FLAGS: Final = ("O_RDONLY", "O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
READ_FLAGS: Final = sum(getattr(os, name, 0) for name in _READ_FLAGS)
"""Flags that open a file for reading without waiting for a FIFO's writer."""

# Other systems have fork too, but their system libraries may fail after it.
CAN_FORK: Final = sys.platform == "linux"


def usable_core_count() -> int:
    """Number of cores that this process may use; all cores if the system does not report it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _seek_and_read(descriptor: int, size: int, position: int) -> bytes:
    os.lseek(descriptor, position, os.SEEK_SET)
    return os.read(descriptor, size)


read_at: Final[Callable[[int, int, int], bytes]] = getattr(os, "pread", _seek_and_read)
"""Reads from an open file; arguments: descriptor, maximum number of bytes, position."""


def require_linux(what: str) -> None:
    """Fails on systems where measuring is not possible.

    Raises:
        HostError: This system is not Linux.
    """
    if sys.platform != "linux":
        raise _needs_linux(what, "memory and time can be measured on Linux only")


def missing_call(error: Exception) -> HostError | None:
    """The error for a module or call that this system does not have; None for other errors."""
    missing = ""
    if isinstance(error, ModuleNotFoundError) and error.name in _POSIX_MODULES:
        missing = error.name
    elif isinstance(error, AttributeError):
        modules = (each for each in (os, select, signal) if each is error.obj)
        missing = next((f"{each.__name__}.{error.name}" for each in modules), "")
    if not missing:
        return None
    return _needs_linux("Cannot do this", f"it needs `{missing}`, which this system does not have")


def _needs_linux(what: str, why: str) -> HostError:
    system = platform.system() or sys.platform
    return HostError(
        f"{what} on {_NAMES.get(system, system)}",
        why,
        "use Linux; on every system: `inspect`, `check --static`, `devices`, `budget check "
        "--static`, and `compare` and `check` with saved profiles",
    )
