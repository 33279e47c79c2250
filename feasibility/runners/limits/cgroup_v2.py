"""Limits by the memory controller of control groups, version 2.

A group of version 2 may hold processes or hand its controllers to groups below it, not
both (the root may). So new groups go below the group of this process if that holds nothing
else, or below the nearest one above it that already hands the memory controller on.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.records.proof import LimitKind
from feasibility.runners.cgroup_mounts import Hierarchy
from feasibility.runners.child_command import Command
from feasibility.runners.limits.cgroup_folder import (
    PAGE_BYTES,
    fresh_folder,
    process_ids,
    read_number,
    read_table,
    read_text,
    sweep,
    write,
    write_if_there,
)
from feasibility.runners.limits.limit import EnforcerUnavailableError, Usage, entering

# What kernels before 5.18 count of a group's kernel memory, without their sum.
_KERNEL_PARTS: Final = ("kernel_stack", "pagetables", "percpu", "sock", "slab")


@dataclass(frozen=True, slots=True)
class V2Group:
    """A group of the unified tree."""

    folder: Path
    limit_bytes: int | None
    prefix: tuple[str, ...] = ()
    ceiling_bytes: int | None = None

    def command(self, inner: Command) -> Command:
        """Runs a command inside the group."""
        return entering(inner, self.folder / "cgroup.procs", self.prefix)

    def usage(self) -> Usage:
        """The counters now."""
        stat = read_table(self.folder / "memory.stat")
        refaults = stat.get("workingset_refault_file", stat.get("workingset_refault"))
        return Usage(
            anonymous_bytes=stat.get("anon"),
            file_bytes=stat.get("file"),
            kernel_bytes=stat.get("kernel", sum(stat.get(name, 0) for name in _KERNEL_PARTS)),
            peak_bytes=read_number(self.folder / "memory.peak"),
            refault_bytes=None if refaults is None else refaults * PAGE_BYTES,
            major_fault_count=stat.get("pgmajfault"),
            oom_kill_count=read_table(self.folder / "memory.events").get("oom_kill"),
        )


@dataclass(frozen=True, slots=True)
class V2Enforcer:
    """Makes groups below one that hands the memory controller on.

    Args:
        parent: That group.
        kind: How the right to do so was come by.
        prefix: A command through which children are started.
    """

    parent: Path
    kind: LimitKind = "cgroup-v2"
    prefix: tuple[str, ...] = ()

    @contextlib.contextmanager
    def group(self, limit_bytes: int | None) -> Iterator[V2Group]:
        """A fresh group that is gone when the block is left.

        Raises:
            OSError: The kernel refuses.
        """
        with fresh_folder(self.parent) as folder:
            write_if_there(folder / "memory.swap.max", 0)
            limit = folder / "memory.max"
            write(limit, "max" if limit_bytes is None else limit_bytes)
            yield V2Group(folder, read_number(limit), self.prefix)


@contextlib.contextmanager
def own_v2_enforcer(hierarchy: Hierarchy) -> Iterator[V2Enforcer]:
    """An enforcer below the group of this process.

    Raises:
        EnforcerUnavailableError: That group belongs to somebody else, or holds other processes.
    """
    own = hierarchy.own
    require_memory_controller(own)
    if hands_memory_on(own):
        sweep(own)
        yield V2Enforcer(own)
        return
    if not os.access(own / "cgroup.subtree_control", os.W_OK):
        raise EnforcerUnavailableError("cgroup v2: the group of this process is not ours")
    if process_ids(own) != (os.getpid(),):
        raise EnforcerUnavailableError("cgroup v2: other processes are in the group of this one")
    with _handed_on(own):
        yield V2Enforcer(own)


@contextlib.contextmanager
def outer_v2_enforcer(hierarchy: Hierarchy) -> Iterator[V2Enforcer]:
    """An enforcer below the nearest group above this process that hands memory on.

    Raises:
        EnforcerUnavailableError: There is none that this user may write to.
    """
    group = hierarchy.own
    require_memory_controller(group)
    while group != hierarchy.mount:
        group = group.parent
        if hands_memory_on(group):
            sweep(group)
            yield V2Enforcer(group)
            return
    raise EnforcerUnavailableError(
        "cgroup v2: no group above this process hands memory on to this user",
        "run as root outside of containers, or in one started with --privileged --cgroupns=host",
    )


def require_memory_controller(group: Path) -> None:
    """Makes sure that the unified tree limits memory.

    Raises:
        EnforcerUnavailableError: The controller is switched off, or version 1 has it.
    """
    if "memory" not in read_text(group / "cgroup.controllers").split():
        raise EnforcerUnavailableError(
            "cgroup v2 has no memory controller here",
            "boot with cgroup_enable=memory on the kernel's command line",
        )


def hands_memory_on(group: Path) -> bool:
    """True if groups below this one can limit memory and this user can make some."""
    controllers = read_text(group / "cgroup.subtree_control").split()
    return "memory" in controllers and os.access(group, os.W_OK)


@contextlib.contextmanager
def _handed_on(own: Path) -> Iterator[None]:
    """Within the block this process is in a group below its own, which hands memory on.

    Raises:
        EnforcerUnavailableError: The kernel does not allow it.
    """
    sweep(own)
    try:
        with contextlib.ExitStack() as stack:
            leaf = stack.enter_context(fresh_folder(own))
            # Undone in this order: a group that hands controllers on takes no process back.
            stack.callback(_suppressed, own / "cgroup.procs", os.getpid())
            write(leaf / "cgroup.procs", os.getpid())
            stack.callback(_suppressed, own / "cgroup.subtree_control", "-memory")
            write(own / "cgroup.subtree_control", "+memory")
            entered = stack.pop_all()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EnforcerUnavailableError(f"cgroup v2: its group is not ours ({reason})") from error
    with entered:
        yield


def _suppressed(path: Path, value: int | str) -> None:
    with contextlib.suppress(OSError):
        write(path, value)
