"""Machines that children can run on, and a model that has been put where they can read it.

A `Machine` is what `--on` names. Reaching it with the files of one model gives a `Place`,
which starts children there, translates paths, and brings back what instruments wrote.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from feasibility.errors import FeasibilityError
from feasibility.runners.child_process import ChildResult, Watcher
from feasibility.runners.interpreter import LocalRunner, Runner


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine that children run on, as it describes itself.

    Args:
        cpu: Processor name.
        core_count: Cores that a child may use.
        memory_bytes: Physical memory.
        free_bytes: Memory that a child may take.
        os: Distribution.
        load: Processes that wanted to run during the last minute, on average.
    """

    cpu: str
    core_count: int
    memory_bytes: int
    free_bytes: int
    os: str
    load: float


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that children read.

    Args:
        path: The file here, absolute.
        name: Where it belongs in a folder there, relative, so that a model finds its data.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Room:
    """The folder for temporary files.

    Args:
        folder: Its path on the machine that it is on.
        free_bytes: What files in it may still take.
    """

    folder: str
    free_bytes: int


FilesToStage: TypeAlias = Callable[[], Sequence[StagedFile]]
"""Finds the files of a model; called only where copies of them are needed."""


class Place(Protocol):
    """One machine with the files of one model on it."""

    @property
    def runner(self) -> Runner:
        """What starts children there."""

    @property
    def host(self) -> HostFacts | None:
        """The machine; None for this one."""

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator executes the children, so that times mean nothing."""

    @property
    def watch(self) -> Callable[[int], Watcher] | None:
        """Makes a watcher of a child; None where children need none."""

    def there(self, path: Path) -> str:
        """Path there of a file that was staged."""

    def scratch(self, folder: Path) -> str:
        """Folder there for what instruments write; `folder` itself on this machine."""

    def room(self) -> Room | None:
        """Where instruments and libraries write there; None where it cannot be told."""

    def fetch(self, path: str, folder: Path) -> Path:
        """A file that a child wrote there, copied into a folder here unless it is here already.

        Raises:
            OSError: There is no such file, or it cannot be copied.
        """

    def fault(self, result: ChildResult) -> FeasibilityError | None:
        """What is wrong with the machine rather than with the model, if that ended a child."""


class Machine(Protocol):
    """Something that children can run on."""

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""

    def reach(self, files: FilesToStage) -> AbstractContextManager[Place]:
        """A place with these files, which leaves nothing behind.

        Raises:
            HostError: The machine cannot be reached or used.
            ModelError: The files of the model cannot be told.
        """


def local_room() -> Room:
    """The folder for temporary files of this machine."""
    folder = tempfile.gettempdir()
    return Room(folder, shutil.disk_usage(folder).free)


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """This machine, which needs no copies."""

    runner: Runner = field(default_factory=LocalRunner)
    host: None = None
    is_emulated: bool = False
    watch: None = None

    def there(self, path: Path) -> str:
        """The path itself."""
        return str(path)

    def scratch(self, folder: Path) -> str:
        """The folder itself."""
        return str(folder)

    def room(self) -> Room:
        """The folder for temporary files of this machine."""
        return local_room()

    def fetch(self, path: str, folder: Path) -> Path:  # noqa: ARG002
        """The file where it is."""
        return Path(path)

    def fault(self, result: ChildResult) -> None:  # noqa: ARG002
        """Nothing: what ends a child here, the model did."""
        return


@dataclass(frozen=True, slots=True)
class LocalMachine:
    """This machine."""

    name: str = "local"

    @contextlib.contextmanager
    def reach(self, files: FilesToStage) -> Iterator[LocalPlace]:  # noqa: ARG002
        """This machine as it is."""
        yield LocalPlace()
