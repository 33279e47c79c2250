"""Limits by the memory controller of control groups, version 1.

Source: Linux, Documentation/admin-guide/cgroup-v1/memory.rst.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from feasibility.records.proof import LimitKind
from feasibility.runners.cgroup_mounts import Hierarchy
from feasibility.runners.child_command import Command
from feasibility.runners.limits.cgroup_folder import (
    PAGE_BYTES,
    fresh_folder,
    read_number,
    read_table,
    sweep,
    write,
    write_if_there,
)
from feasibility.runners.limits.limit import Usage, entering


@dataclass(frozen=True, slots=True)
class V1Group:
    """A group of the memory controller."""

    folder: Path
    limit_bytes: int | None
    ceiling_bytes: int | None = None

    def command(self, inner: Command) -> Command:
        """Runs a command inside the group."""
        return entering(inner, self.folder / "cgroup.procs")

    def usage(self) -> Usage:
        """The counters now."""
        stat = read_table(self.folder / "memory.stat")
        refaults = stat.get("workingset_refault_file", stat.get("workingset_refault"))
        return Usage(
            anonymous_bytes=stat.get("rss"),
            file_bytes=stat.get("cache"),
            kernel_bytes=read_number(self.folder / "memory.kmem.usage_in_bytes"),
            peak_bytes=read_number(self.folder / "memory.max_usage_in_bytes"),
            refault_bytes=None if refaults is None else refaults * PAGE_BYTES,
            major_fault_count=stat.get("pgmajfault"),
            oom_kill_count=read_table(self.folder / "memory.oom_control").get("oom_kill"),
        )


@dataclass(frozen=True, slots=True)
class V1Enforcer:
    """Makes groups below one of version 1's memory controller."""

    parent: Path
    kind: LimitKind = "cgroup-v1"

    @contextlib.contextmanager
    def group(self, limit_bytes: int | None) -> Iterator[V1Group]:
        """A fresh group that is gone when the block is left.

        Raises:
            OSError: The kernel refuses.
        """
        with fresh_folder(self.parent) as folder:
            write_if_there(folder / "memory.swappiness", 0)
            # A group inherits from its parent that the killer is off; its processes would hang.
            write_if_there(folder / "memory.oom_control", 0)
            limit = folder / "memory.limit_in_bytes"
            if limit_bytes is not None:
                write(limit, limit_bytes)
                # Memory and swap together: equal limits leave no room for swap.
                write_if_there(folder / "memory.memsw.limit_in_bytes", limit_bytes)
            yield V1Group(folder, None if limit_bytes is None else read_number(limit))


@contextlib.contextmanager
def v1_enforcer(hierarchy: Hierarchy) -> Iterator[V1Enforcer]:
    """An enforcer that makes its groups below the one that this process is in."""
    sweep(hierarchy.own)
    yield V1Enforcer(hierarchy.own)
