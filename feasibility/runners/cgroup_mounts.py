"""Where are control groups mounted, and which one holds this process, with which limits?"""

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
    """A tree of control groups that can limit memory.

    Args:
        version: 2 for the unified tree, 1 for that of the memory controller.
        mount: Its root.
        own: The group of this process; the root if that group is not visible.
    """

    version: Literal[1, 2]
    mount: Path
    own: Path

    def limits_bytes(self) -> tuple[int, ...]:
        """Memory limits of the group of this process and of all groups around it."""
        folder, found = self.own, []
        while True:
            text = _text(folder / _LIMIT_FILES[self.version])
            if text.isdecimal():
                found.append(int(text))
            if folder == self.mount or self.mount not in folder.parents:
                return tuple(found)
            folder = folder.parent


def memory_hierarchies(proc: Path = PROC_SELF) -> tuple[Hierarchy, ...]:
    """The mounted trees, version 2 first.

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
    """The tree in a line of mountinfo; None for other mounts.

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
    """The group of this process in a mount whose root is the group `root`."""
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        try:
            own = mount / Path(path).relative_to(root)
        except ValueError:  # a container can mount another part of the tree
            return mount
        return own if ".." not in own.parts and own.is_dir() else mount
    return mount


def _text(path: Path) -> str:
    """The content of a file; empty if it does not exist."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
