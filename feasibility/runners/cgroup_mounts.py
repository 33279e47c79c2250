"""Where the control groups are mounted, and which of them this process is in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

PROC_SELF: Final = Path("/proc/self")
_LIMIT_FILES: Final = {2: "memory.max", 1: "memory.limit_in_bytes"}
_OCTAL: Final = re.compile(r"\\(\d{3})")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A tree of control groups that may limit memory.

    Args:
        version: 2 for the unified tree, 1 for the memory controller's own.
        mount: Its root here.
        own: The group that this process is in; the root where that one is not visible.
    """

    version: Literal[1, 2]
    mount: Path
    own: Path

    def limits_bytes(self) -> tuple[int, ...]:
        """Limits of the group that this process is in and of all groups around it."""
        folder, found = self.own, []
        while True:
            text = _text(folder / _LIMIT_FILES[self.version])
            if text.isdecimal():
                found.append(int(text))
            if folder == self.mount or self.mount not in folder.parents:
                return tuple(found)
            folder = folder.parent


def memory_hierarchies(proc: Path = PROC_SELF) -> tuple[Hierarchy, ...]:
    """The trees that are mounted here, version 2 first.

    Args:
        proc: Folder of this process; another one only in tests.
    """
    try:
        mounts = (proc / "mountinfo").read_text(errors="replace").splitlines()
        groups = (proc / "cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return ()
    found = [hierarchy for line in mounts if (hierarchy := _hierarchy(line, groups)) is not None]
    return tuple(sorted(found, key=lambda hierarchy: -hierarchy.version))


def _hierarchy(mount_line: str, groups: list[str]) -> Hierarchy | None:
    """The tree that a line of mountinfo mounts; None for everything else.

    Source: proc(5), /proc/pid/mountinfo.
    """
    before, separator, after = mount_line.partition(" - ")
    fields, kinds = before.split(), after.split()
    if not separator or len(fields) < 5 or len(kinds) < 3:
        return None
    root, mount = _unescape(fields[3]), Path(_unescape(fields[4]))
    if kinds[0] == "cgroup2":
        return Hierarchy(2, mount, _own(mount, root, groups, ""))
    if kinds[0] == "cgroup" and "memory" in kinds[2].split(","):
        return Hierarchy(1, mount, _own(mount, root, groups, "memory"))
    return None


def _own(mount: Path, root: str, groups: list[str], controller: str) -> Path:
    """The group of this process below a mount that shows the tree from `root` on."""
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        try:
            own = mount / Path(path).relative_to(root)
        except ValueError:  # a container that shows another part of the tree
            return mount
        return own if ".." not in own.parts and own.is_dir() else mount
    return mount


def _text(path: Path) -> str:
    """What a file of the kernel's says; empty where there is none."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
