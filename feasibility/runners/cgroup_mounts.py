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


def read_text(path: Path) -> str:
    """The stripped content of a control file; empty if it does not exist."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def read_number(path: Path) -> int | None:
    """The number in a control file; None if it does not exist or holds `max`."""
    text = read_text(path)
    return int(text) if text.isdigit() else None


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

    def limits_bytes(self) -> tuple[int, ...]:
        """Memory limits of the group of this process and of all groups around it."""
        around = (self.own, *self.own.parents)
        groups = [group for group in around if group.is_relative_to(self.mount)]
        limits = (read_number(group / _LIMIT_FILES[self.version]) for group in groups)
        return tuple(limit for limit in limits if limit is not None)


def memory_hierarchies(proc: Path = PROC_SELF) -> tuple[Hierarchy, ...]:
    """The mounted trees, version 2 first."""
    try:
        mounts = (proc / "mountinfo").read_text(errors="replace").splitlines()
        lines = (proc / "cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return ()
    fields = (line.split(":", 2) for line in lines)
    groups = {name: path for _, names, path in fields for name in names.split(",")}
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
