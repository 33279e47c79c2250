"""How does a user without root rights get a cgroup? From the user's service manager.

The kernel lets a user move a process only between cgroups inside one that belongs to that user,
and the cgroup of a login session does not. So this module asks the service manager for a
delegated scope, which one waiting process keeps alive. Children start in scopes of their own,
from where they can enter the cgroups in the first scope.

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

from feasibility.runners.cgroup_mounts import Hierarchy, kernel_text
from feasibility.runners.limits.cgroup_folder import fresh_folder, write
from feasibility.runners.limits.memory_limit import Enforcer, EnforcerUnavailableError

_SCOPE: Final = ("--user", "--scope", "--quiet", "--collect")
_ANSWER_S: Final = 10.0
_WAIT: Final = ("/bin/sh", "-c", "echo; exec cat")


@contextlib.contextmanager
def systemd_enforcer(hierarchy: Hierarchy) -> Iterator[Enforcer]:
    """Makes cgroups in a scope that the user's service manager delegates."""
    require_memory_controller(hierarchy.mount)
    systemd_run = shutil.which("systemd-run")
    if systemd_run is None:
        raise EnforcerUnavailableError("systemd-run is not installed")
    with contextlib.ExitStack() as stack:
        # The waiting process ends with this one in every case. Then the manager removes the
        # scope with all cgroups in it.
        unit = f"feasibility-{os.getpid()}-{secrets.token_hex(3)}"
        waiting = subprocess.Popen(
            [systemd_run, *_SCOPE, f"--unit={unit}", "-p", "Delegate=yes", "--", *_WAIT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        stack.callback(_end, waiting)
        scope = _cgroup_of(waiting, hierarchy)
        try:
            leaf = stack.enter_context(fresh_folder(scope))
            stack.callback(_end, waiting)
            write(leaf / "cgroup.procs", waiting.pid)
            write(scope / "cgroup.subtree_control", "+memory")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise EnforcerUnavailableError(
                f"the user's service manager does not delegate the memory controller ({reason})"
            ) from error
        yield Enforcer("systemd-scope", scope, (systemd_run, *_SCOPE, "--"))


def require_memory_controller(group: Path) -> None:
    """Refuses a cgroup of version 2 whose memory controller is off, or used by version 1."""
    if "memory" not in kernel_text(group / "cgroup.controllers").split():
        raise EnforcerUnavailableError(
            "cgroup v2 has no memory controller here",
            "boot with cgroup_enable=memory on the kernel's command line",
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        process.kill()
        process.communicate()


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
