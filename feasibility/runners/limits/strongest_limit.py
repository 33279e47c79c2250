"""The strongest limit that this machine offers, found out by trying."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from feasibility.runners.cgroup_mounts import PROC_SELF, memory_hierarchies
from feasibility.runners.child_command import Command
from feasibility.runners.limits.address_space import AddressSpaceEnforcer
from feasibility.runners.limits.cgroup_v1 import v1_enforcer
from feasibility.runners.limits.cgroup_v2 import outer_v2_enforcer, own_v2_enforcer
from feasibility.runners.limits.limit import Enforcer, EnforcerUnavailableError
from feasibility.runners.limits.systemd_scope import systemd_enforcer

_TRIAL_S: Final = 10.0
_HINT: Final = "run as root"
_TRUE: Final = Command(("true",), {})

_Open: TypeAlias = Callable[[], AbstractContextManager[Enforcer]]


@contextlib.contextmanager
def strongest_enforcer(
    proc: Path = PROC_SELF,
) -> Iterator[tuple[Enforcer, tuple[EnforcerUnavailableError, ...]]]:
    """The first enforcer that works, and why those that are stronger do not.

    Args:
        proc: Folder of this process; another one only in tests.
    """
    refusals: list[EnforcerUnavailableError] = []
    with contextlib.ExitStack() as stack:
        for candidate in _candidates(proc):
            try:
                enforcer = stack.enter_context(_tried(candidate))
            except EnforcerUnavailableError as error:
                refusals.append(error)
                continue
            yield enforcer, tuple(refusals)
            return
        if not refusals:
            refusals.append(EnforcerUnavailableError("no control groups are mounted here"))
        yield AddressSpaceEnforcer(), tuple(refusals)


def _candidates(proc: Path) -> Iterator[_Open]:
    """Ways to enforce a limit, the best first.

    A service manager wants to be asked before anything is made in groups that it made;
    root's is not asked, because a session of root need not have one.
    """
    hierarchies = memory_hierarchies(proc)
    second, first = ([h for h in hierarchies if h.version == number] for number in (2, 1))
    is_root = os.geteuid() == 0
    yield from (partial(own_v2_enforcer, hierarchy) for hierarchy in second)
    if is_root:
        yield from (partial(outer_v2_enforcer, hierarchy) for hierarchy in second)
    yield from (partial(v1_enforcer, hierarchy) for hierarchy in first)
    yield from (partial(systemd_enforcer, hierarchy) for hierarchy in second)
    if not is_root:
        yield from (partial(outer_v2_enforcer, hierarchy) for hierarchy in second)


@contextlib.contextmanager
def _tried(candidate: _Open) -> Iterator[Enforcer]:
    """The enforcer, once a process has been started in a group of its making.

    Raises:
        EnforcerUnavailableError: It cannot be made, or not be entered.
    """
    with candidate() as enforcer:
        try:
            with enforcer.group(None) as group:
                command = group.command(_TRUE)
                trial = subprocess.run(
                    command.argv, capture_output=True, timeout=_TRIAL_S, check=False
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise EnforcerUnavailableError(f"{enforcer.kind}: {_reason(error)}", _HINT) from error
        if trial.returncode != 0:
            raise EnforcerUnavailableError(
                f"{enforcer.kind}: a process may not be moved into a group that was made"
            )
        yield enforcer


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"no group can be made ({text.lower()})"
