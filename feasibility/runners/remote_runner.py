"""How does a session on another machine work, over ssh or in a container?"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Final, NamedTuple

from feasibility.errors import FeasibilityError, HostError
from feasibility.runners.child_command import CHILD_FOLDER, Command
from feasibility.runners.child_process import ChildResult
from feasibility.runners.emulation_overhead import EmulatorWatcher
from feasibility.runners.host import host_facts
from feasibility.runners.remote_connection import (
    AgentError,
    Connection,
    ConnectionEndedError,
    agent_code,
    open_connection,
)
from feasibility.runners.session import (
    ONNX_RUNTIME,
    FilesToStage,
    FreeSpace,
    Session,
    StagedFile,
)
from feasibility.text import safe_text
from feasibility.units import format_bytes

_OLDEST_PYTHON: Final = (3, 9)
_NEWER_PYTHON: Final = "install Python 3.9 or newer there"
_MESSAGE_LIMIT: Final = 300
_END_DELAY_S: Final = 1.0
# Observed with QEMU 7.2, which shows its guests this machine's processors in /proc/cpuinfo.
_EMULATOR_CRASHED: Final = (
    "the emulator that the container engine uses crashed before the runtime had started",
    "install a newer QEMU for the engine, or measure with --on emulate:aarch64",
)
# Usage hints of a program, and what engines report while they pull an image.
_SIDE_NOTES: Final = re.compile(
    r"(Run|See) '.*--help'|Unable to find image|Trying to pull|WARNING:|time=\""
    r"|Warning: Permanently added"
)
_PREFIXES: Final = re.compile(r"^(?:(?:docker|podman|ssh|Error response from daemon|Error): )+")


class Failure(NamedTuple):
    """A known error message of a program, and its meaning.

    Args:
        pattern: A regular expression that the message matches, in any case. The message of a
            program that did not start the agent ends with a line such as `[exit code 127]`;
            if the agent has gone, it is `[agent lost]`.
        why: The cause, with names in braces to fill in, as in the hint.
    """

    pattern: str
    why: str
    hint: str


class RemoteRunner(ABC):
    """A machine that a command of this machine leads to.

    Args:
        failures: What its program reports.
        unknown_hint: What to do about another failure.
        install_hint: How to install Python modules there.
    """

    __slots__ = ()

    failures: ClassVar[tuple[Failure, ...]]
    unknown_hint: ClassVar[str]
    install_hint: ClassVar[str]
    timeout_s: float

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name as `--on` takes it."""

    @property
    @abstractmethod
    def names(self) -> dict[str, str]:
        """What to fill in for the braces in causes and hints."""

    @abstractmethod
    def agent_argv(self, code: str) -> list[str]:
        """Runs the agent there; this is the first command."""

    @abstractmethod
    def child_argv(self, script: str, variables: Mapping[str, str]) -> list[str]:
        """Runs a script there, beside the agent."""

    @abstractmethod
    def explain_later(self, text: str, exit_code: int | None) -> tuple[str, str] | None:
        """Why a later command failed; None if the exit code is that of the command itself."""

    @property
    def lost(self) -> tuple[str, str]:
        """Why the agent may have gone, and what to do about it."""
        return self.explain("[agent lost]", None)

    def known(self, text: str) -> tuple[str, str] | None:
        """Cause and hint of the first known failure in a text."""
        for failure in self.failures:
            if re.search(failure.pattern, text, re.IGNORECASE):
                return failure.why.format(**self.names), failure.hint.format(**self.names)
        return None

    def explain(self, text: str, exit_code: int | None) -> tuple[str, str]:
        """Why the agent did not start, and what to do about it."""
        program = self.agent_argv("")[0]
        return self.known(f"{text}\n[exit code {exit_code}]") or (
            complaint(text) or f"{program} ended with code {exit_code}",
            self.unknown_hint.format(**self.names),
        )

    @contextlib.contextmanager
    def connect(self, files: FilesToStage, package: str = ONNX_RUNTIME) -> Iterator[RemoteSession]:
        """A session in a new folder there, with the files in it."""
        what = f"Cannot measure on {self.name}"
        argv = self.agent_argv(agent_code(package))
        try:
            with open_connection(argv, self.timeout_s) as connection:
                facts = _checked_facts(connection, self, what)
                staged = files()
                folder = _send_files(connection, self, staged)
                is_emulated = bool(facts["is_emulated"])
                yield RemoteSession(
                    runner_name=self.name,
                    host=host_facts(facts),
                    is_emulated=is_emulated,
                    # The emulator's process cannot be observed from this machine.
                    watch=(lambda _: EmulatorWatcher(None)) if is_emulated else None,
                    runner=self,
                    connection=connection,
                    folder=folder,
                    names={file.path: file.name for file in staged},
                )
        except FileNotFoundError as error:
            if error.filename != argv[0]:
                raise
            raise HostError(
                what, f"the program {argv[0]} is not installed here", f"install {argv[0]}"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSession(Session):
    """A folder on another machine.

    Args:
        folder: Its path there.
        names: Names in the folder by path on this machine.
    """

    runner: RemoteRunner
    connection: Connection
    folder: str
    names: Mapping[Path, str]

    def command(self, variables: Mapping[str, str]) -> Command:
        """The command that leads there, with this process's own environment.

        Libraries leave files in TMPDIR, so it is the folder that is removed at the end.
        """
        script = self._path("probe", CHILD_FOLDER.name)
        variables = {"TMPDIR": self._path("probe"), **variables}
        return Command(tuple(self.runner.child_argv(script, variables)), dict(os.environ))

    def child_path(self, path: Path) -> str:
        """Path of a staged file, there."""
        return self._path(self.names[path])

    def output_folder(self, folder: Path) -> str:  # noqa: ARG002
        """A folder there that is removed at the end."""
        return self._path("probe")

    def free_space(self) -> FreeSpace | None:
        """Free space there; None if the connection has ended."""
        with contextlib.suppress(ConnectionEndedError, OSError):
            return FreeSpace(self.folder, self.connection.free_bytes(self.folder))
        return None

    def fetch(self, path: str, folder: Path) -> Path:
        """A copy of a file that a child wrote."""
        target = folder / PurePosixPath(path).name
        try:
            self.connection.fetch(path, target)
        except ConnectionEndedError as error:
            raise OSError(str(error)) from error
        return target

    def host_error(self, result: ChildResult) -> FeasibilityError | None:
        """The error of a command that did not start there, or lost its connection."""
        if result.ending in ("done", "failed"):
            return None
        what = f"Cannot continue the measurement on {self.runner_name}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            # The connection may notice a failure a little later.
            self.connection.process.wait(_END_DELAY_S)
            return HostError(what, *self.runner.lost)
        if self.is_emulated and result.signal_number is not None and result.phase == "start":
            return HostError(what, *_EMULATOR_CRASHED)
        cause = self.runner.explain_later(result.stderr_tail, result.exit_code)
        return HostError(what, *cause) if cause is not None else None

    def _path(self, *parts: str) -> str:
        return str(PurePosixPath(self.folder, *parts))


def complaint(text: str) -> str:
    """The line of a program's output that states the error, without prefixes; or empty."""
    lines = [line for line in text.splitlines() if line.strip() and not _SIDE_NOTES.search(line)]
    prefixed = [line for line in lines if _PREFIXES.search(line)]
    chosen = (prefixed or lines or [""])[-1].strip()
    return safe_text(_PREFIXES.sub("", chosen).rstrip("."), _MESSAGE_LIMIT)


def _checked_facts(connection: Connection, runner: RemoteRunner, what: str) -> dict[str, Any]:
    """The agent's description of a machine, if children can run there."""
    try:
        facts = connection.receive()
    except AgentError as error:
        raise HostError(what, str(error), "measure on a machine with Linux") from error
    except (ConnectionEndedError, BrokenPipeError) as error:
        if "SyntaxError" in str(error):
            raise HostError(what, "the Python there is too old", _NEWER_PYTHON) from error
        code = error.exit_code if isinstance(error, ConnectionEndedError) else None
        raise HostError(what, *runner.explain(str(error), code)) from error
    version = safe_text(str(facts.get("python", "")))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST_PYTHON:
        raise HostError(what, f"the Python there is too old: {version}", _NEWER_PYTHON)
    if facts["missing"]:
        hint = runner.install_hint.format(**runner.names, modules=" ".join(facts["missing"]))
        raise HostError(what, f"the Python there lacks {' and '.join(facts['missing'])}", hint)
    if not facts["is_alone"]:
        raise HostError(
            what,
            "another measurement runs there, and both would get wrong times",
            "wait until it has finished",
        )
    return facts


def _send_files(connection: Connection, runner: RemoteRunner, files: Sequence[StagedFile]) -> str:
    """Copies the files and the child program there; returns their folder."""
    program = [
        StagedFile(path, f"probe/{CHILD_FOLDER.name}/{path.name}")
        for path in sorted(CHILD_FOLDER.glob("*.py"))
    ]
    what = f"Cannot copy the model to {runner.name}"
    try:
        return connection.send([*files, *program])
    except AgentError as error:
        size = sum(file.path.stat().st_size for file in files)
        raise HostError(
            what,
            safe_text(str(error), _MESSAGE_LIMIT).lower(),
            f"{format_bytes(size)} are needed in the folder for temporary files there",
        ) from error
    except ConnectionEndedError as error:
        raise HostError(
            what, *(runner.explain_later(str(error), error.exit_code) or runner.lost)
        ) from error
