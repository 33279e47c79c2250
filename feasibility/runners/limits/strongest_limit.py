"""Which memory limit of this machine is the strongest? Tries each kind in order.

A cgroup of version 2 can hold processes, or pass its controllers on to cgroups inside it, but
not both (the root can). So new cgroups are made inside the cgroup of this process if that holds
no other process, or inside the nearest one above it that already passes the memory controller on.

A user without rights gets cgroups from their service manager: the kernel lets a user move a process
only between cgroups inside one that belongs to that user, and the cgroup of a login session does
not. So the service manager is asked for a delegated scope, which one waiting process keeps alive.
Children start in scopes of their own, from where they can enter the cgroups in the first scope.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst; systemd, docs/CGROUP_DELEGATION.md.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from feasibility.runners.cgroup_mounts import PROC_SELF, Hierarchy, kernel_text, memory_hierarchies
from feasibility.runners.child_command import Command
from feasibility.runners.limits.cgroup_files import fresh_folder, process_ids, write
from feasibility.runners.limits.memory_limit import (
    ADDRESS_SPACE,
    Enforcer,
    EnforcerUnavailableError,
)

_TRIAL_S: Final = 10.0
_TRUE: Final = Command(("true",), {})
_SCOPE: Final = ("--user", "--scope", "--quiet", "--collect")
_ANSWER_S: Final = 10.0
_WAIT: Final = ("/bin/sh", "-c", "echo; exec cat")

_Open: TypeAlias = Callable[[], AbstractContextManager[Enforcer]]


@contextlib.contextmanager
def strongest_enforcer(
    proc: Path = PROC_SELF,
) -> Iterator[tuple[Enforcer, tuple[EnforcerUnavailableError, ...]]]:
    """The first enforcer that works, and why the stronger ones do not."""
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
        yield ADDRESS_SPACE, tuple(refusals)


def _candidates(proc: Path) -> Iterator[_Open]:
    """Kinds of limits, the best first; each raises `EnforcerUnavailableError` if it is refused.

    Inside cgroups of a service manager, that manager is asked first. The one of root is not
    asked, because a session of root may not have one.
    """
    kinds = [(2, own_v2_enforcer), (1, v1_enforcer), (2, systemd_enforcer)]
    kinds.insert(1 if os.geteuid() == 0 else len(kinds), (2, outer_v2_enforcer))
    hierarchies = memory_hierarchies(proc)
    for version, enforcer in kinds:
        yield from (partial(enforcer, tree) for tree in hierarchies if tree.version == version)


@contextlib.contextmanager
def _tried(candidate: _Open) -> Iterator[Enforcer]:
    """The enforcer, after a process was started inside a limit."""
    with candidate() as enforcer:
        try:
            with enforcer.limit(None) as limit:
                argv = limit.command(_TRUE).argv
                trial = subprocess.run(argv, capture_output=True, timeout=_TRIAL_S, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            cause = (getattr(error, "strerror", None) or str(error)).lower()
            raise EnforcerUnavailableError(
                f"{enforcer.kind}: no control group can be made ({cause})", "run as root"
            ) from error
        if trial.returncode != 0:
            raise EnforcerUnavailableError(
                f"{enforcer.kind}: no process can be moved into a new control group"
            )
        yield enforcer


@contextlib.contextmanager
def v1_enforcer(hierarchy: Hierarchy) -> Iterator[Enforcer]:
    """Makes cgroups inside that of this process."""
    yield Enforcer("cgroup-v1", hierarchy.own)


@contextlib.contextmanager
def own_v2_enforcer(hierarchy: Hierarchy) -> Iterator[Enforcer]:
    """Makes cgroups inside that of this process."""
    own = hierarchy.own
    _require_memory_controller(own)
    if _passes_memory_on(own):
        yield Enforcer("cgroup-v2", own)
        return
    if not os.access(own / "cgroup.subtree_control", os.W_OK):
        raise EnforcerUnavailableError(
            "cgroup v2: the control group of this process belongs to another user"
        )
    if process_ids(own) != (os.getpid(),):
        raise EnforcerUnavailableError(
            "cgroup v2: other processes are in the control group of this one"
        )
    why = "cgroup v2: the control group of this process cannot be changed"
    with _passing_memory_on(own, os.getpid(), why):
        yield Enforcer("cgroup-v2", own)


@contextlib.contextmanager
def outer_v2_enforcer(hierarchy: Hierarchy) -> Iterator[Enforcer]:
    """Makes cgroups inside the nearest one above this process that passes memory on."""
    group = hierarchy.own
    _require_memory_controller(group)
    while group != hierarchy.mount:
        group = group.parent
        if _passes_memory_on(group):
            yield Enforcer("cgroup-v2", group)
            return
    raise EnforcerUnavailableError(
        "cgroup v2: no control group above this process delegates memory to this user",
        "run as root outside of containers, or in one started with --privileged --cgroupns=host",
    )


def _passes_memory_on(group: Path) -> bool:
    """Whether this user can make cgroups inside one, and they can limit memory."""
    controllers = kernel_text(group / "cgroup.subtree_control").split()
    return "memory" in controllers and os.access(group, os.W_OK)


@contextlib.contextmanager
def _passing_memory_on(group: Path, process_id: int, why: str) -> Iterator[None]:
    """Moves a process of a cgroup into a new one inside it, so that the old one can pass memory on.

    `why` is the reason to give if that is refused.
    """
    try:
        with contextlib.ExitStack() as stack:
            leaf = stack.enter_context(fresh_folder(group))
            # Undone in reverse: a cgroup that passes controllers on cannot take a process back.
            stack.callback(_write_if_possible, group / "cgroup.procs", process_id)
            write(leaf / "cgroup.procs", process_id)
            stack.callback(_write_if_possible, group / "cgroup.subtree_control", "-memory")
            write(group / "cgroup.subtree_control", "+memory")
            entered = stack.pop_all()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EnforcerUnavailableError(f"{why} ({reason})") from error
    with entered:
        yield


def _write_if_possible(path: Path, value: int | str) -> None:
    with contextlib.suppress(OSError):
        write(path, value)


@contextlib.contextmanager
def systemd_enforcer(hierarchy: Hierarchy) -> Iterator[Enforcer]:
    """Makes cgroups in a scope that the user's service manager delegates."""
    _require_memory_controller(hierarchy.mount)
    systemd_run = shutil.which("systemd-run")
    if systemd_run is None:
        raise EnforcerUnavailableError("systemd-run is not installed")
    # The waiting process ends with this one in every case. Then the manager removes the scope with
    # all cgroups in it.
    unit = f"feasibility-{os.getpid()}-{secrets.token_hex(3)}"
    waiting = subprocess.Popen(
        [systemd_run, *_SCOPE, f"--unit={unit}", "-p", "Delegate=yes", "--", *_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        scope = _cgroup_of(waiting, hierarchy)
        why = "the user's service manager does not delegate the memory controller"
        with _passing_memory_on(scope, waiting.pid, why):
            yield Enforcer("systemd-scope", scope, (systemd_run, *_SCOPE, "--"))
    finally:
        waiting.kill()
        waiting.communicate()


def _require_memory_controller(group: Path) -> None:
    """Refuses a cgroup of version 2 whose memory controller is off, or used by version 1."""
    if "memory" not in kernel_text(group / "cgroup.controllers").split():
        raise EnforcerUnavailableError(
            "cgroup v2 has no memory controller here",
            "boot with cgroup_enable=memory on the kernel's command line",
        )


def _cgroup_of(waiting: subprocess.Popen[bytes], hierarchy: Hierarchy) -> Path:
    """The cgroup of the waiting process, as soon as it runs."""
    assert waiting.stdout is not None
    ready, _, _ = select.select([waiting.stdout], [], [], _ANSWER_S)
    if not ready or not waiting.stdout.readline():
        raise EnforcerUnavailableError(
            "no service manager runs for this user",
            "log in over ssh or at the console, or: loginctl enable-linger USER",
        )
    group = Path(f"/proc/{waiting.pid}/cgroup").read_text(encoding="utf-8")
    path = next(line[3:] for line in group.splitlines() if line.startswith("0::"))
    return hierarchy.mount / path.lstrip("/")
