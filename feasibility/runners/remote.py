"""A place on a machine that is reached through a command: over ssh, or in a container."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Protocol

from feasibility.errors import FeasibilityError, HostError
from feasibility.runners.child_process import ChildResult, Watcher
from feasibility.runners.emulation_overhead import TranslationWatcher
from feasibility.runners.interpreter import CHILD_FOLDER, Runner
from feasibility.runners.remote_connection import Link, LinkError, RefusedError, keeper_code, linked
from feasibility.runners.runner import (
    FilesToStage,
    HostFacts,
    Room,
    StagedFile,
)
from feasibility.text import safe_text

_OLDEST_PYTHON: Final = (3, 9)
_NEWER_PYTHON: Final = "install Python 3.9 or newer there"
_MESSAGE_LIMIT: Final = 300
_NOTICE_S: Final = 1.0
# Seen of QEMU 7.2, whose guests find this machine's processors described in /proc/cpuinfo.
_EMULATOR_CRASHED: Final = (
    "the emulator that the container engine uses crashed before the runtime had started",
    "give the engine a newer QEMU, or measure with --on emulate:aarch64",
)


class Way(Protocol):
    """A way of running commands on another machine."""

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""

    @property
    def timeout_s(self) -> float:
        """Longest silence while it is being reached."""

    def keeper_command(self, code: str) -> list[str]:
        """The argv that runs the keeper there; it is the first to run."""

    def child_command(self, script: str, variables: Mapping[str, str]) -> list[str]:
        """The argv that runs a script there, beside the keeper."""

    def explain(self, text: str, exit_code: int | None) -> tuple[str, str]:
        """Why the keeper did not get through, and what to do about it."""

    @property
    def lost(self) -> tuple[str, str]:
        """What it means that the keeper is gone, and what to do about it."""

    def explain_later(self, text: str, exit_code: int | None) -> tuple[str, str] | None:
        """The same for a command after the keeper; None where the exit code is that command's."""

    def remedy(self, modules: Sequence[str]) -> str:
        """What brings Python modules there."""


@dataclass(frozen=True, slots=True)
class RemoteRunner:
    """Starts the child script on another machine.

    Args:
        way: Leads there.
        script: Where the script is, there.
    """

    way: Way
    script: str

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""
        return self.way.name

    def command(self, extra: Mapping[str, str]) -> list[str]:
        """The argv that starts the script there, with the variables.

        Libraries leave files in the folder for temporary ones, so it is the one that goes.
        """
        folder = str(PurePosixPath(self.script).parent)
        return self.way.child_command(self.script, {"TMPDIR": folder, **extra})

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG002
        """This process's own: it is for the program that leads there."""
        return dict(os.environ)


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A folder on another machine.

    Args:
        way: Leads there.
        link: The keeper of the folder.
        folder: The folder, there.
        names: Names in the folder by path here.
        facts: What the keeper said of the machine.
    """

    way: Way
    link: Link
    folder: str
    names: Mapping[Path, str]
    facts: Mapping[str, Any]

    @property
    def runner(self) -> Runner:
        """What starts children there."""
        return RemoteRunner(self.way, self._path("probe", CHILD_FOLDER.name))

    @property
    def host(self) -> HostFacts:
        """The machine."""
        wanted = HostFacts.__dataclass_fields__
        return HostFacts(**{name: self.facts[name] for name in wanted})

    @property
    def is_emulated(self) -> bool:
        """Whether the container's platform is emulated there."""
        return bool(self.facts["is_emulated"])

    @property
    def watch(self) -> Callable[[int], Watcher] | None:
        """Only figures of an emulator need mending; its process cannot be looked at from here."""
        return (lambda _: TranslationWatcher(None)) if self.is_emulated else None

    def there(self, path: Path) -> str:
        """Path there of a file that was staged."""
        return self._path(self.names[path])

    def scratch(self, folder: Path) -> str:  # noqa: ARG002
        """The folder there that goes with everything else."""
        return self._path("probe")

    def room(self) -> Room | None:
        """The folder that goes with everything else."""
        with contextlib.suppress(LinkError, OSError):
            return Room(self.folder, self.link.free_bytes(self.folder))
        return None

    def fetch(self, path: str, folder: Path) -> Path:
        """A copy of what a child wrote.

        Raises:
            OSError: There is no such file, or the connection ended.
        """
        target = folder / PurePosixPath(path).name
        try:
            self.link.fetch(path, target)
        except LinkError as error:
            raise OSError(str(error)) from error
        return target

    def fault(self, result: ChildResult) -> FeasibilityError | None:
        """The error of a command that did not get through, or lost its way back."""
        if result.ending in ("done", "failed"):
            return None
        what = f"Cannot go on measuring on {self.way.name}"
        if self._is_lost():
            return HostError(what, *self.way.lost)
        if self.is_emulated and result.signal_number is not None and result.phase == "start":
            return HostError(what, *_EMULATOR_CRASHED)
        cause = self.way.explain_later(result.stderr_tail, result.exit_code)
        return HostError(what, *cause) if cause is not None else None

    def _is_lost(self) -> bool:
        """Whether the keeper is out of reach; a connection may notice it later than another."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.link.process.wait(_NOTICE_S)
        return self.link.process.returncode is not None

    def _path(self, *parts: str) -> str:
        return str(PurePosixPath(self.folder, *parts))


@contextlib.contextmanager
def reached(way: Way, files: FilesToStage) -> Iterator[RemotePlace]:
    """A place on the machine that a way leads to.

    Raises:
        HostError: It cannot be reached, or lacks something.
    """
    what = f"Cannot measure on {way.name}"
    argv = way.keeper_command(keeper_code())
    try:
        with linked(argv, way.timeout_s) as link:
            facts = _facts(link, way, what)
            staged = files()
            yield RemotePlace(
                way=way,
                link=link,
                folder=_sent(link, way, staged),
                names={file.path: file.name for file in staged},
                facts=facts,
            )
    except FileNotFoundError as error:
        if error.filename != argv[0]:
            raise
        raise HostError(
            what, f"the program {argv[0]} is not installed here", f"install {argv[0]}"
        ) from error


def _facts(link: Link, way: Way, what: str) -> dict[str, Any]:
    """What the machine says of itself, once it is known that a child can run there."""
    try:
        facts = link.hear()
    except RefusedError as error:
        raise HostError(what, str(error), "measure on a machine with Linux") from error
    except (LinkError, BrokenPipeError) as error:
        if "SyntaxError" in str(error):
            raise HostError(what, "its Python is too old", _NEWER_PYTHON) from error
        code = error.exit_code if isinstance(error, LinkError) else None
        raise HostError(what, *way.explain(str(error), code)) from error
    version = safe_text(str(facts.get("python", "")))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST_PYTHON:
        raise HostError(what, f"its Python is {version}, too old", _NEWER_PYTHON)
    if facts["missing"]:
        missing = " and ".join(facts["missing"])
        raise HostError(what, f"its Python has no {missing}", way.remedy(facts["missing"]))
    if not facts["is_alone"]:
        raise HostError(
            what,
            "another run is measuring there, and both would get wrong times",
            "wait until it is done",
        )
    return facts


def _sent(link: Link, way: Way, files: Sequence[StagedFile]) -> str:
    """The folder there with the files and the child program in it."""
    program = [
        StagedFile(path, f"probe/{CHILD_FOLDER.name}/{path.name}")
        for path in sorted(CHILD_FOLDER.glob("*.py"))
    ]
    what = f"Cannot copy the model to {way.name}"
    try:
        return link.send([*files, *program])
    except RefusedError as error:
        size = sum(file.path.stat().st_size for file in files)
        raise HostError(
            what,
            safe_text(str(error), _MESSAGE_LIMIT).lower(),
            f"{size / 1e6:.0f} MB are needed in the folder for temporary files there",
        ) from error
    except LinkError as error:
        raise HostError(
            what, *(way.explain_later(str(error), error.exit_code) or way.lost)
        ) from error
