"""The weaker limit of last resort: RLIMIT_DATA, which the child sets on itself.

It counts private writable memory that was asked for, whether or not it was ever used, and
nothing that is backed by a file. So it never slows a model down, and a process that asks
for more than it uses fails under it sooner than it would be killed.

Source: getrlimit(2).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from feasibility.records.proof import LimitKind
from feasibility.runners.child_command import Command
from feasibility.runners.limits.cgroup_folder import PAGE_BYTES
from feasibility.runners.limits.limit import Usage


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """A limit that goes into the child's request."""

    limit_bytes: int | None

    @property
    def ceiling_bytes(self) -> int | None:
        """Limit that the child has to set on itself."""
        return self.limit_bytes

    def command(self, inner: Command) -> Command:
        """The inner command itself: the child sets the limit."""
        return inner

    def usage(self) -> Usage:
        """Only that nothing was evicted: this limit cannot do that."""
        return Usage(refault_bytes=0)


@dataclass(frozen=True, slots=True)
class AddressSpaceEnforcer:
    """Works everywhere."""

    kind: LimitKind = "address-space"

    @contextlib.contextmanager
    def group(self, limit_bytes: int | None) -> Iterator[AddressSpace]:
        """A limit in whole pages, as in a control group."""
        yield AddressSpace(None if limit_bytes is None else limit_bytes // PAGE_BYTES * PAGE_BYTES)
