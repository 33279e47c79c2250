"""How is the memory of one child limited, and how is its use counted?

Control groups (cgroups) limit all memory that the kernel charges to the child. Without them
the child sets RLIMIT_DATA on itself. That is weaker: it counts private writable memory that was
allocated, used or not, and no memory of files. So it never slows a model down, and a process
that allocates more than it uses fails earlier.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst; getrlimit(2).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from feasibility.records.proof import LimitKind
from feasibility.runners.cgroup_mounts import read_number
from feasibility.runners.child_command import Command
from feasibility.runners.limits.cgroup_files import (
    PAGE_BYTES,
    fresh_folder,
    read_table,
    write,
    write_if_there,
)

# Exit code of the shell if it could not enter the cgroup and therefore ran nothing.
EXIT_NOT_IN_GROUP: Final = 125

# The shell moves itself, then becomes the child, so all memory of the child is charged.
_ENTER: Final = f'echo $$ > "$0" || exit {EXIT_NOT_IN_GROUP}; exec "$@"'

# Parts of a cgroup's kernel memory; kernels before 5.18 do not report the sum.
_KERNEL_PARTS: Final = ("kernel_stack", "pagetables", "percpu", "sock", "slab")


class _Files(NamedTuple):
    """Names of a cgroup's files."""

    limit: str
    no_limit: str | None
    settings: tuple[str, ...]
    swap_limit: str | None
    peak: str
    kills: str


# Swap is off. In version 1, a group may inherit that the out-of-memory killer is off, so that
# processes over the limit would hang; and its swap limit counts memory and swap together.
_V1: Final = _Files(
    limit="memory.limit_in_bytes",
    no_limit=None,
    settings=("memory.swappiness", "memory.oom_control"),
    swap_limit="memory.memsw.limit_in_bytes",
    peak="memory.max_usage_in_bytes",
    kills="memory.oom_control",
)
_V2: Final = _Files(
    limit="memory.max",
    no_limit="max",
    settings=("memory.swap.max",),
    swap_limit=None,
    peak="memory.peak",
    kills="memory.events",
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Counters of a cgroup at one moment; None if this kernel does not count it.

    Args:
        kernel_bytes: Page tables and other kernel memory of the cgroup.
        peak_bytes: Highest charge so far, with page cache.
        refault_bytes: File pages that were evicted and read again so far.
        major_fault_count: Page faults that waited for the disk so far.
        oom_kill_count: Processes that the kernel killed in the cgroup so far.
    """

    kernel_bytes: int | None = None
    peak_bytes: int | None = None
    refault_bytes: int | None = None
    major_fault_count: int | None = None
    oom_kill_count: int | None = None


class EnforcerUnavailableError(Exception):
    """This kind of limit cannot be used here, and what would make it available."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A limit for one child.

    Args:
        limit_bytes: In whole pages, as the kernel set it; None for no limit.
        ceiling_bytes: Limit that the child has to set on itself; None in a cgroup.
        cgroup: Its folder; None if the child sets the limit.
        prefix: A command that starts the shell which enters the cgroup.
    """

    limit_bytes: int | None
    ceiling_bytes: int | None = None
    cgroup: Path | None = None
    prefix: tuple[str, ...] = ()

    def command(self, inner: Command) -> Command:
        """Runs a command inside the limit: a shell enters the cgroup and becomes the command."""
        if self.cgroup is None:
            return inner
        shell = (*self.prefix, "/bin/sh", "-c", _ENTER, str(self.cgroup / "cgroup.procs"))
        return Command((*shell, *inner.argv), inner.environment)

    def usage(self) -> Usage:
        """The counters now; without a cgroup, only that the limit evicts nothing."""
        if self.cgroup is None:
            return Usage(refault_bytes=0)
        stat = read_table(self.cgroup / "memory.stat")
        files = _V2 if (self.cgroup / _V2.limit).exists() else _V1
        refaults = stat.get("workingset_refault_file", stat.get("workingset_refault"))
        kernel_bytes = read_number(self.cgroup / "memory.kmem.usage_in_bytes")
        if files is _V2:
            kernel_bytes = stat.get("kernel", sum(stat.get(name, 0) for name in _KERNEL_PARTS))
        return Usage(
            kernel_bytes=kernel_bytes,
            peak_bytes=read_number(self.cgroup / files.peak),
            refault_bytes=None if refaults is None else refaults * PAGE_BYTES,
            major_fault_count=stat.get("pgmajfault"),
            oom_kill_count=read_table(self.cgroup / files.kills).get("oom_kill"),
        )


@dataclass(frozen=True, slots=True)
class Enforcer:
    """Makes limits of one kind.

    Args:
        parent: The cgroup that new cgroups are made in; None if children limit themselves.
        prefix: A command that starts children.
    """

    kind: LimitKind
    parent: Path | None = None
    prefix: tuple[str, ...] = ()

    @contextlib.contextmanager
    def limit(self, limit_bytes: int | None) -> Iterator[MemoryLimit]:
        """A limit, None for no limit; its cgroup is removed when the block ends.

        Raises:
            OSError: The kernel refuses.
        """
        if self.parent is None:
            pages = None if limit_bytes is None else limit_bytes // PAGE_BYTES * PAGE_BYTES
            yield MemoryLimit(pages, ceiling_bytes=pages)
            return
        files = _V1 if self.kind == "cgroup-v1" else _V2
        with fresh_folder(self.parent) as folder:
            for name in files.settings:
                write_if_there(folder / name, 0)
            value = files.no_limit if limit_bytes is None else limit_bytes
            if value is not None:
                write(folder / files.limit, value)
            if limit_bytes is not None and files.swap_limit is not None:
                write_if_there(folder / files.swap_limit, limit_bytes)
            kernel_limit = None if limit_bytes is None else read_number(folder / files.limit)
            yield MemoryLimit(kernel_limit, cgroup=folder, prefix=self.prefix)


ADDRESS_SPACE: Final = Enforcer("address-space")
