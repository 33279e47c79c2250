"""How is a model measured on another machine over ssh? With the user's OpenSSH."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from feasibility.errors import UsageError
from feasibility.runners.remote_runner import Failure, RemoteRunner
from feasibility.text import safe_text

# ssh must not ask questions; they become errors.
_OPTIONS: Final = (
    *("-T", "-x", "-a"),
    *("-o", "BatchMode=yes"),
    *("-o", "LogLevel=ERROR"),  # without the host's banner
    *("-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=10"),
    *("-o", "ServerAliveCountMax=3"),
)
_EXIT_SSH_FAILED: Final = 255
_OTHER_PYTHON: Final = "install Python on the host, or name one: --on ssh:HOST:/path/to/python"
_NAME: Final = re.compile(
    r"(?P<host>//(?:[\w.+-]+@)?(?:[\w.-]+|\[[0-9A-Fa-f:.%]+\])(?::\d+)?|(?:[\w.+-]+@)?\w[\w.-]*)"
    r"(?::?(?P<python>/\S+))?",
    re.ASCII,
)

_FAILURES: Final = (
    Failure(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key has changed",
        "find out why first; then remove the old key with ssh-keygen -R HOST",
    ),
    Failure(
        "Host key verification failed",
        "the host key is unknown",
        "connect once with `ssh {host}` and check the key",
    ),
    Failure(
        r"permission denied \(",
        "the host refused the login",
        "check the user name, or set up a key with `ssh-copy-id {host}`",
    ),
    Failure("Could not resolve hostname", "the host name cannot be resolved", "check the name"),
    Failure("Connection refused", "no ssh server answers on that port", "start sshd on the host"),
    Failure(
        r"closed by remote host|connection reset|broken pipe|connection closed|\[agent lost\]",
        "the connection was lost; the host removes the copied files when it notices",
        "check the network and run it again",
    ),
    Failure("timed out", "the host does not answer", "check that the host is on and reachable"),
    Failure(
        "No route to host",
        "the network has no route to the host",
        "check that the host is on and reachable",
    ),
    Failure(r"\[exit code 126\]", "this user may not run {python} on the host", _OTHER_PYTHON),
    Failure(r"\[exit code 127\]", "the host has no program {python}", _OTHER_PYTHON),
)


@dataclass(frozen=True, slots=True)
class SshRunner(RemoteRunner):
    """A machine that ssh can log in to without questions.

    Args:
        host: What ssh takes: `host`, `user@host` or `ssh://user@host:port`.
        options: More options for ssh, such as `-F FILE`.
    """

    failures: ClassVar[tuple[Failure, ...]] = _FAILURES
    unknown_hint: ClassVar[str] = "try `ssh {host} {python} -V`"
    install_hint: ClassVar[str] = (
        "install there: {python} -m pip install {modules}; or name a Python that has them: "
        "--on ssh:HOST:/path/to/python"
    )

    host: str
    python: str = "python3"
    options: tuple[str, ...] = ()
    timeout_s: float = 60.0

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        host = self.host if self.host.startswith("ssh://") else f"ssh:{self.host}"
        return host if self.python == "python3" else f"{host}:{self.python}"

    @property
    def names(self) -> dict[str, str]:
        """The host and the Python."""
        return {"host": self.host, "python": safe_text(self.python)}

    def agent_argv(self, code: str) -> list[str]:
        """Runs the agent there."""
        return self._command([self.python, "-c", code])

    def child_argv(self, script: str, variables: Mapping[str, str]) -> list[str]:
        """Runs a script there."""
        assignments = [f"{name}={value}" for name, value in variables.items()]
        child = shlex.join(["env", *assignments, self.python, "-X", "utf8", script])
        # ssh does not report the signal that ended a process; a shell there does.
        return self._command(["sh", "-c", f"{child}; exit $?"])

    def explain_later(self, text: str, exit_code: int | None) -> tuple[str, str] | None:
        """The reason of a lost connection; None if ssh itself did not fail."""
        if exit_code != _EXIT_SSH_FAILED:
            return None
        # The text also holds the output of the login shell there.
        return self.known(text) or self.lost

    def _command(self, argv: Sequence[str]) -> list[str]:
        # ssh joins its arguments, and the login shell there splits them again.
        return ["ssh", *_OPTIONS, *self.options, self.host, shlex.join(argv)]


def ssh_runner(text: str) -> SshRunner:
    """The runner of a text: `pi@raspberrypi`, `host:/opt/env/bin/python`, `//pi@host:2222`."""
    match = _NAME.fullmatch(text)
    if match is None:
        raise UsageError(
            f"Cannot read --on ssh:{safe_text(text)}",
            "it is not a valid host name for ssh",
            "write for example --on ssh:pi@raspberrypi or --on ssh://pi@raspberrypi:2222",
        )
    host = match["host"]
    return SshRunner(
        host=f"ssh:{host}" if host.startswith("//") else host, python=match["python"] or "python3"
    )
