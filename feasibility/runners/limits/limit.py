"""What does every memory limit offer, and how does a child start inside a control group?"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from feasibility.records.proof import LimitKind
from feasibility.runners.child_command import Command

# What the shell exits with that could not enter the group; it has then run nothing.
EXIT_NOT_IN_GROUP: Final = 125

# The shell moves itself, then becomes the child: whatever the child ever does is charged.
_ENTER: Final = f'echo $$ > "$0" || exit {EXIT_NOT_IN_GROUP}; exec "$@"'


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group's counters say at one moment; None where this kernel does not count it.

    Args:
        anonymous_bytes: Memory that cannot be evicted while swap is off.
        file_bytes: Page cache, which can.
        kernel_bytes: Page tables and other memory that the kernel holds for the group.
        peak_bytes: Highest charge of the group so far, page cache included.
        refault_bytes: File pages that were evicted and had to be read again, so far.
        major_fault_count: Page faults that waited for the disk, so far.
        oom_kill_count: Processes that the kernel killed in the group, so far.
    """

    anonymous_bytes: int | None = None
    file_bytes: int | None = None
    kernel_bytes: int | None = None
    peak_bytes: int | None = None
    refault_bytes: int | None = None
    major_fault_count: int | None = None
    oom_kill_count: int | None = None


class Group(Protocol):
    """A limit that one child runs under."""

    @property
    def limit_bytes(self) -> int | None:
        """The limit as the kernel took it, in whole pages; None for no limit."""

    @property
    def ceiling_bytes(self) -> int | None:
        """Limit that the child has to set on itself; None where the group does it."""

    def command(self, inner: Command) -> Command:
        """Runs a command inside the limit."""

    def usage(self) -> Usage:
        """The counters now."""


class Enforcer(Protocol):
    """One way to enforce limits, ready for use."""

    @property
    def kind(self) -> LimitKind:
        """Which way it is."""

    def group(self, limit_bytes: int | None) -> AbstractContextManager[Group]:
        """A fresh group that is gone when the block is left.

        Args:
            limit_bytes: Most memory that its processes may have charged; None for no limit.

        Raises:
            OSError: The kernel refuses.
        """


class EnforcerUnavailableError(Exception):
    """This way is not open here.

    Args:
        why: The cause.
        hint: What would open it; empty where nothing sensible can be advised.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def entering(inner: Command, procs: Path, prefix: tuple[str, ...] = ()) -> Command:
    """A shell that enters a control group and then becomes the inner command.

    Args:
        inner: The command.
        procs: The group's `cgroup.procs`.
        prefix: A command that starts the shell.
    """
    shell = (*prefix, "/bin/sh", "-c", _ENTER, str(procs))
    return Command((*shell, *inner.argv), inner.environment)
