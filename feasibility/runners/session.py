"""What does every runner offer, and what a session (a connected runner with a model's files)?

A `Runner` is what `--on` names. Connecting to it gives a `Session`, which starts children,
translates paths, and brings back the files that instruments wrote.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from feasibility.errors import FeasibilityError
from feasibility.runners.child_command import Command, local_command
from feasibility.runners.child_process import ChildResult, Watcher
from feasibility.runners.host import HostFacts, this_host

ONNX_RUNTIME: Final = "onnxruntime"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that children read.

    Args:
        path: The file on this machine, absolute.
        name: Its relative path in the session's folder, so that a model finds its data.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The folder for temporary files and the bytes that are free in it."""

    folder: str
    free_bytes: int


FilesToStage: TypeAlias = Callable[[], Sequence[StagedFile]]
"""Finds the files of a model; called only by runners that need copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(ABC):
    """A runner that is connected, with the files of one model on it.

    Its children read the files of this machine, unless a subclass copies them.

    Args:
        runner_name: As `--on` takes it.
        is_emulated: Whether an emulator executes the children. Then times have no meaning.
        watch: Makes a watcher from a process id; None if children need no watcher.
    """

    runner_name: str
    host: HostFacts
    is_emulated: bool = False
    watch: Callable[[int], Watcher] | None = None

    @abstractmethod
    def command(self, variables: Mapping[str, str]) -> Command:
        """The command that starts the child program with these environment variables."""

    def child_path(self, path: Path) -> str:
        """Path of a staged file, as children see it."""
        return str(path)

    def output_folder(self, folder: Path) -> str:
        """Folder where instruments write; `folder` itself if children share this file system."""
        return str(folder)

    def free_space(self) -> FreeSpace | None:
        """Free space where instruments and libraries write; None if unknown."""
        folder = tempfile.gettempdir()
        return FreeSpace(folder, shutil.disk_usage(folder).free)

    def fetch(self, path: str, folder: Path) -> Path:  # noqa: ARG002
        """A local copy in `folder` of a file that a child wrote; the file itself if it is local.

        Raises:
            OSError: The file does not exist or cannot be copied.
        """
        return Path(path)

    def host_error(self, result: ChildResult) -> FeasibilityError | None:  # noqa: ARG002
        """The error if the machine, not the model, ended a child."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSession(Session):
    """This machine, without copies."""

    runner_name: str = "local"
    host: HostFacts = field(default_factory=this_host)

    def command(self, variables: Mapping[str, str]) -> Command:
        """The Python that runs now."""
        return local_command(variables)


class Runner(Protocol):
    """Where children can run."""

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""

    def connect(
        self, files: FilesToStage, package: str = ONNX_RUNTIME
    ) -> AbstractContextManager[Session]:
        """A session with these files; everything is removed when the block ends.

        Args:
            files: Finds the files of the model.
            package: Python package of the engine, which must be there.

        Raises:
            HostError: The machine cannot be reached or used.
            ModelError: The files of the model cannot be found.
        """


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """This machine."""

    name: str = "local"

    @contextlib.contextmanager
    def connect(
        self,
        files: FilesToStage,  # noqa: ARG002
        package: str = ONNX_RUNTIME,  # noqa: ARG002
    ) -> Iterator[LocalSession]:
        """This machine as it is."""
        yield LocalSession()
