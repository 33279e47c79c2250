"""How is a cgroup made, read, written and removed? Each cgroup is a folder of the kernel."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from feasibility.runners.cgroup_mounts import kernel_text

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_NAME: Final = re.compile(r"feasibility-(\d+)-\w+", re.ASCII)

# The kernel frees a killed process's memory before its group can be removed.
_REMOVAL_S: Final = 10.0
_PAUSE_S: Final = 0.01


def read_table(path: Path) -> dict[str, int]:
    """Name and number per line of a control file such as `memory.stat`."""
    pairs = (line.split() for line in kernel_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def write(path: Path, value: int | str) -> None:
    """Writes to a control file.

    Raises:
        OSError: It does not exist, or the kernel refuses the value.
    """
    # Without O_CREAT: a missing file means a missing feature.
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, str(value).encode("ascii"))
    finally:
        os.close(descriptor)


def write_if_there(path: Path, value: int | str) -> None:
    """Writes to a control file that not every kernel has."""
    with contextlib.suppress(FileNotFoundError):
        write(path, value)


@contextlib.contextmanager
def fresh_folder(parent: Path) -> Iterator[Path]:
    """A new group inside another one; removed when the block ends, and its processes killed.

    Its name holds the id of this process, so that a later one can remove the groups of a
    killed one, as this function does first.

    Raises:
        OSError: The kernel does not allow a group there.
    """
    remove_abandoned_groups(parent)
    # Containers can share the parent and have equal process ids, hence the second part.
    folder = parent / f"feasibility-{os.getpid()}-{secrets.token_hex(3)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path, patience_s: float = _REMOVAL_S) -> bool:
    """Kills the processes of a group and removes it; True if it is gone."""
    deadline = time.monotonic() + patience_s
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                return False
            for pid in process_ids(folder):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_PAUSE_S)
    return True


def process_ids(folder: Path) -> tuple[int, ...]:
    """Processes in the group itself, without those of groups inside it."""
    return tuple(map(int, kernel_text(folder / "cgroup.procs").split()))


def remove_abandoned_groups(parent: Path) -> None:
    """Removes the empty groups of tools that were killed.

    A group with a process stays: its tool may run in another container.
    """
    for folder in parent.glob("feasibility-*"):
        match = _NAME.fullmatch(folder.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with contextlib.suppress(OSError):
                folder.rmdir()
