"""Where are control groups mounted, and which one holds this process, with which limits?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

PROC_SELF: Final = Path("/proc/self")
_LIMIT_FILES: Final = {2: "memory.max", 1: "memory.limit_in_bytes"}
_OCTAL: Final = re.compile(r"\\(\d{3})")


def kernel_text(path: Path) -> str:
    """The stripped content of a file of the kernel; empty if it does not exist."""
    try:
        return path.read_text(errors="replace").strip().strip("\0")
    except OSError:
        return ""


def read_number(path: Path) -> int | None:
    """The number in a control file; None if it does not exist or holds `max`."""
    text = kernel_text(path)
    return int(text) if text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A tree of control groups that can limit memory.

    Args:
        version: 2 for the unified tree, 1 for that of the memory controller.
        own: The group of this process; the root if that group is not visible.
    """

    version: Literal[1, 2]
    mount: Path
    own: Path


def memory_limits(proc: Path = PROC_SELF) -> list[int]:
    """Memory limits in bytes of the groups of a process and of all groups around them."""
    numbers = [
        read_number(group / _LIMIT_FILES[tree.version])
        for tree in memory_hierarchies(proc)
        for group in (tree.own, *tree.own.parents)
        if group.is_relative_to(tree.mount)
    ]
    return [number for number in numbers if number is not None]


def memory_hierarchies(proc: Path = PROC_SELF) -> tuple[Hierarchy, ...]:
    """The mounted trees, version 2 first."""
    fields = (line.split(":", 2) for line in kernel_text(proc / "cgroup").splitlines())
    groups = {name: path for _, names, path in fields for name in names.split(",")}
    mounts = kernel_text(proc / "mountinfo").splitlines()
    found = [hierarchy for line in mounts if (hierarchy := _hierarchy(line, groups)) is not None]
    return tuple(sorted(found, key=lambda hierarchy: -hierarchy.version))


def _hierarchy(mount_line: str, groups: Mapping[str, str]) -> Hierarchy | None:
    """The tree in a line of mountinfo; None for other mounts.

    Source: proc(5), /proc/pid/mountinfo and /proc/pid/cgroup. Version 2 is the empty controller.
    """
    before, separator, after = mount_line.partition(" - ")
    fields, kinds = before.split(), after.split()
    if not separator or len(fields) < 5 or len(kinds) < 3:
        return None
    root, mount = _unescape(fields[3]), Path(_unescape(fields[4]))
    if kinds[0] == "cgroup2":
        return Hierarchy(2, mount, _own(mount, root, groups.get("")))
    if kinds[0] == "cgroup" and "memory" in kinds[2].split(","):
        return Hierarchy(1, mount, _own(mount, root, groups.get("memory")))
    return None


def _own(mount: Path, root: str, group: str | None) -> Path:
    """The group of this process in a mount whose root is the group `root`."""
    # A container can mount another part of the tree.
    if group is None or not Path(group).is_relative_to(root):
        return mount
    own = mount / Path(group).relative_to(root)
    return own if ".." not in own.parts and own.is_dir() else mount


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
