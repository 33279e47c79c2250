"""Limits for users without any rights, through their own service manager.

The kernel lets a user move a process only between groups whose common ancestor belongs
to that user, and a login session's does not. So the manager is asked for a scope that is
handed over to us, which a waiting process keeps alive, and children are started in scopes
of their own, from which they may move into the groups that are made below the first.

Source: systemd, docs/CGROUP_DELEGATION.md.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from feasibility.runners.cgroup_mounts import Hierarchy
from feasibility.runners.limits.cgroup_folder import fresh_folder, write
from feasibility.runners.limits.cgroup_v2 import V2Enforcer, require_memory_controller
from feasibility.runners.limits.limit import EnforcerUnavailableError

_SCOPE: Final = ("--user", "--scope", "--quiet", "--collect")
_ANSWER_S: Final = 10.0
_KEEPER: Final = ("/bin/sh", "-c", "echo; exec cat")


@contextlib.contextmanager
def systemd_enforcer(hierarchy: Hierarchy) -> Iterator[V2Enforcer]:
    """An enforcer below a scope that the user's service manager hands over.

    Raises:
        EnforcerUnavailableError: There is no such manager, or it does not hand memory on.
    """
    require_memory_controller(hierarchy.mount)
    systemd_run = shutil.which("systemd-run")
    if systemd_run is None:
        raise EnforcerUnavailableError("systemd-run is not installed")
    with _scope(systemd_run, hierarchy) as (scope, keeper), contextlib.ExitStack() as stack:
        try:
            leaf = stack.enter_context(fresh_folder(scope))
            stack.callback(_end, keeper)
            write(leaf / "cgroup.procs", keeper.pid)
            write(scope / "cgroup.subtree_control", "+memory")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise EnforcerUnavailableError(
                f"the user's service manager does not hand the memory controller on ({reason})"
            ) from error
        yield V2Enforcer(scope, "systemd-scope", (systemd_run, *_SCOPE, "--"))


@contextlib.contextmanager
def _scope(
    systemd_run: str, hierarchy: Hierarchy
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A delegated scope and the process that keeps it.

    The keeper ends when this process does, however that ends, and the manager then
    removes the scope with all groups below it.
    """
    unit = f"feasibility-{os.getpid()}-{secrets.token_hex(3)}"
    keeper = subprocess.Popen(
        [systemd_run, *_SCOPE, f"--unit={unit}", "-p", "Delegate=yes", "--", *_KEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield _scope_of(keeper, hierarchy), keeper
    finally:
        _end(keeper)


def _end(keeper: subprocess.Popen[bytes]) -> None:
    if keeper.returncode is None:
        keeper.kill()
        keeper.communicate()


def _scope_of(keeper: subprocess.Popen[bytes], hierarchy: Hierarchy) -> Path:
    """The group of the keeper, once it says that it is there."""
    assert keeper.stdout is not None
    ready, _, _ = select.select([keeper.stdout], [], [], _ANSWER_S)
    if not ready or not keeper.stdout.readline():
        raise EnforcerUnavailableError(
            "this user has no service manager",
            "log in over ssh or at the console, or: loginctl enable-linger USER",
        )
    group = Path(f"/proc/{keeper.pid}/cgroup").read_text(encoding="utf-8")
    path = next(line[3:] for line in group.splitlines() if line.startswith("0::"))
    return hierarchy.mount / path.lstrip("/")
