"""The runner `local`: children on this machine."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from feasibility.errors import FeasibilityError
from feasibility.runners.child_command import Command, local_command
from feasibility.runners.child_process import ChildResult
from feasibility.runners.session import FilesToStage, FreeSpace


def local_free_space() -> FreeSpace:
    """The folder for temporary files of this machine."""
    folder = tempfile.gettempdir()
    return FreeSpace(folder, shutil.disk_usage(folder).free)


class LocalFiles:
    """Paths of a session whose children read the files of this machine."""

    __slots__ = ()

    def child_path(self, path: Path) -> str:
        """The path itself."""
        return str(path)

    def output_folder(self, folder: Path) -> str:
        """The folder itself."""
        return str(folder)

    def free_space(self) -> FreeSpace:
        """The folder for temporary files of this machine."""
        return local_free_space()

    def fetch(self, path: str, folder: Path) -> Path:  # noqa: ARG002
        """The file itself."""
        return Path(path)


@dataclass(frozen=True, slots=True)
class LocalSession(LocalFiles):
    """This machine, without copies."""

    runner_name: str = "local"
    host: None = None
    is_emulated: bool = False
    watch: None = None

    def command(self, variables: Mapping[str, str]) -> Command:
        """The Python that runs now."""
        return local_command(variables)

    def host_error(self, result: ChildResult) -> FeasibilityError | None:  # noqa: ARG002
        """Always None: on this machine only the model ends a child."""
        return None


@dataclass(frozen=True, slots=True)
class LocalRunner:
    """This machine."""

    name: str = "local"

    @contextlib.contextmanager
    def connect(self, files: FilesToStage) -> Iterator[LocalSession]:  # noqa: ARG002
        """This machine as it is."""
        yield LocalSession()
