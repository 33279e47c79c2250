"""How are models of another git revision checked out? In a temporary worktree."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from feasibility.errors import ModelError, RevisionError
from feasibility.facts.read_model import external_locations
from feasibility.temporary_folders import scratch_folder
from feasibility.text import safe_text

_TIMEOUT_S: Final = 600
# Set inside git hooks; they would override the folder of -C.
_GIT_VARIABLES: Final = frozenset(
    {
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision; its files are checked out when they are needed.

    The name is what the user wrote; the folder of the budget file is relative to the repository.
    """

    name: str
    commit: str
    worktree: Path
    folder: PurePosixPath

    def model(self, name: str) -> Path | None:
        """The model of the revision with its external data; None if the revision lacks it."""
        inside = self.folder / name
        if not self._has(inside):
            return None
        self._check_out(inside)
        path = self.worktree / inside
        try:
            locations = external_locations(path, must_exist=False)
        except ModelError as error:
            is_pointer = "Git LFS" in error.why
            raise RevisionError(
                f"Cannot read {safe_text(name)} of {safe_text(self.name)}",
                error.why,
                self._fetch_hint if is_pointer else error.hint,
            ) from error
        for location in locations:
            # Missing external data is reported when the model is read.
            data = inside.parent / location
            if self._has(data):
                self._check_out(data)
        return path

    @property
    def _fetch_hint(self) -> str:
        return f"fetch the files of that revision first: git lfs fetch origin {self.commit[:12]}"

    def _has(self, inside: PurePosixPath) -> bool:
        found = _git(self.worktree, "cat-file", "-e", f"{self.commit}:{inside.as_posix()}")
        return found.returncode == 0

    def _check_out(self, inside: PurePosixPath) -> None:
        result = _git(
            self.worktree, "--literal-pathspecs", "checkout", self.commit, "--", inside.as_posix()
        )
        if result.returncode:
            raise RevisionError(
                f"Cannot check {safe_text(inside.as_posix())} out of {safe_text(self.name)}",
                _last_line(result.stderr),
                f"with Git LFS, {self._fetch_hint}",
            )


@contextlib.contextmanager
def revision_of(folder: Path, name: str) -> Iterator[Revision]:
    """A revision of the repository of a folder."""
    what = f"Cannot compare with {safe_text(name)!r}"
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top.returncode:
        raise RevisionError(what, _last_line(top.stderr), "run this inside the repository")
    root = Path(top.stdout.strip())
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.returncode:
        raise _no_revision(root, what, name)
    commit = found.stdout.strip()
    with scratch_folder() as temporary:
        worktree = temporary / "revision"
        made = _git(root, "worktree", "add", "--detach", "--no-checkout", str(worktree), commit)
        if made.returncode:
            raise RevisionError(what, _last_line(made.stderr), "check the repository: git status")
        try:
            inside = folder.resolve().relative_to(root.resolve())
            yield Revision(name, commit, worktree, PurePosixPath(inside.as_posix()))
        finally:
            _git(root, "worktree", "remove", "--force", str(worktree))


def _no_revision(root: Path, what: str, name: str) -> RevisionError:
    shallow = _git(root, "rev-parse", "--is-shallow-repository")
    if shallow.stdout.strip() == "true":
        remote, _, branch = name.partition("/")
        fetch = (
            f"git fetch --depth=1 {remote} +refs/heads/{branch}:refs/remotes/{name}"
            if branch
            else f"git fetch --depth=1 origin {name}"
        )
        return RevisionError(
            what,
            "this clone is shallow and does not contain this revision",
            f"fetch it: {safe_text(fetch)}; with actions/checkout, set fetch-depth: 0",
        )
    return RevisionError(
        what, "git does not know this revision", "check the name, or run git fetch"
    )


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a git command without the hooks of the repository and without questions."""
    # Hooks could print, wait, or change what is measured.
    command = ["git", "-c", "core.hooksPath=/dev/null", "-C", str(folder), *arguments]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
            check=False,
            env={name: value for name, value in os.environ.items() if name not in _GIT_VARIABLES},
        )
    except FileNotFoundError as error:
        raise RevisionError("Cannot run git", "git is not installed", "install git") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionError(
            "Cannot run git", f"`git {arguments[0]}` took longer than {_TIMEOUT_S} s"
        ) from error


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return safe_text(lines[-1].removeprefix("fatal: "), 300) if lines else "git printed no reason"
