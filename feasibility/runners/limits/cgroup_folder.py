"""The folders of control groups: their names, their files, and that none is left behind."""

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

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_NAME: Final = re.compile(r"feasibility-(\d+)-\w+", re.ASCII)

# The kernel gives a killed process's memory back before it lets its group go.
_REMOVAL_S: Final = 10.0
_PAUSE_S: Final = 0.01


def read_text(path: Path) -> str:
    """The content of a control file, blanks stripped; empty if it is not there."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def read_number(path: Path) -> int | None:
    """The number in a control file; None if it is not there or says `max`."""
    text = read_text(path)
    return int(text) if text.isdigit() else None


def read_table(path: Path) -> dict[str, int]:
    """Name and number per line of a control file such as `memory.stat`."""
    pairs = (line.split() for line in read_text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def write(path: Path, value: int | str) -> None:
    """Sets a control file.

    Raises:
        OSError: It is not there, or the kernel refuses the value.
    """
    # Opened without O_CREAT: where the file is missing, the feature is.
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, str(value).encode("ascii"))
    finally:
        os.close(descriptor)


def write_if_there(path: Path, value: int | str) -> None:
    """Sets a control file of a feature that not every kernel has.

    Raises:
        OSError: It is there, and the kernel refuses the value.
    """
    with contextlib.suppress(FileNotFoundError):
        write(path, value)


@contextlib.contextmanager
def fresh_folder(parent: Path) -> Iterator[Path]:
    """A new group below another one, removed with whatever still runs in it.

    Its name tells which process made it, so that a later one can remove what a killed
    one left.

    Raises:
        OSError: The kernel does not let one be made there.
    """
    # Containers may share the parent and have the same process ids, hence the second part.
    folder = parent / f"feasibility-{os.getpid()}-{secrets.token_hex(3)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


def remove(folder: Path, patience_s: float = _REMOVAL_S) -> bool:
    """True if the group is gone; what still runs in it is killed and waited for."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
        else:
            return True
        for pid in process_ids(folder):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def process_ids(folder: Path) -> tuple[int, ...]:
    """Processes in the group itself, groups below it left out."""
    return tuple(map(int, read_text(folder / "cgroup.procs").split()))


def sweep(parent: Path) -> None:
    """Removes the empty groups of tools that were killed before they could do it.

    A group that still holds a process is left alone: a process id that is not known here
    may be alive in another container.
    """
    try:
        folders = [path for path in parent.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return
    for folder in folders:
        match = _NAME.fullmatch(folder.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with contextlib.suppress(OSError):
                folder.rmdir()
