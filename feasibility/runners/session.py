"""What does every runner offer, and what a session: a connected runner with the model's files?

A `Runner` is what `--on` names. Connecting to it gives a `Session`, which starts children,
translates paths, and brings back the files that instruments wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from feasibility.errors import FeasibilityError
from feasibility.runners.child_command import Command
from feasibility.runners.child_process import ChildResult, Watcher
from feasibility.runners.host import HostFacts


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


class Session(Protocol):
    """A runner that is connected, with the files of one model on it."""

    @property
    def runner_name(self) -> str:
        """The runner's name, as `--on` takes it."""

    @property
    def host(self) -> HostFacts | None:
        """The machine; None for this one."""

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator executes the children. Then times have no meaning."""

    @property
    def watch(self) -> Callable[[int], Watcher] | None:
        """Makes a watcher from a process id; None if children need no watcher."""

    def command(self, variables: Mapping[str, str]) -> Command:
        """The command that starts the child program with these environment variables."""

    def child_path(self, path: Path) -> str:
        """Path of a staged file, as children see it."""

    def output_folder(self, folder: Path) -> str:
        """Folder where instruments write; `folder` itself if children share this file system."""

    def free_space(self) -> FreeSpace | None:
        """Free space where instruments and libraries write; None if unknown."""

    def fetch(self, path: str, folder: Path) -> Path:
        """Copies a file that a child wrote into a folder on this machine, if it is not local.

        Raises:
            OSError: The file does not exist or cannot be copied.
        """

    def host_error(self, result: ChildResult) -> FeasibilityError | None:
        """The error if the machine, not the model, ended a child."""


class Runner(Protocol):
    """Where children can run."""

    @property
    def name(self) -> str:
        """Its name as `--on` takes it."""

    def connect(self, files: FilesToStage) -> AbstractContextManager[Session]:
        """A session with these files; everything is removed when the block ends.

        Raises:
            HostError: The machine cannot be reached or used.
            ModelError: The files of the model cannot be found.
        """
