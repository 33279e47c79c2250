"""Folders for what instruments write, gone afterwards whatever happens.

A tool that is ended by `kill -9` cannot clean up after itself. Each folder holds
a lock for as long as its process lives; whoever makes the next folder removes
those whose lock nobody holds. A lock tells this across containers that share a
folder for temporary files, where a process number would not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "feasibility-"
_LOCK_NAME: Final = ".lock"
# A folder without a lock is either being made at this moment or was left half made.
_MAKING_S: Final = 3600.0


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of this process, removed when the block is left.

    Raises:
        OSError: No folder can be made, for example because the disk is full.
    """
    remove_abandoned(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        lock = _locked(folder / _LOCK_NAME)
        try:
            yield folder
        finally:
            os.close(lock)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Removes folders in `parent` whose process is gone; those of other users are left alone."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        lock = _locked(folder / _LOCK_NAME, create=False)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _MAKING_S
    except BlockingIOError:
        return False
    os.close(lock)
    return True


def _locked(path: Path, *, create: bool = True) -> int:
    """A descriptor that holds the lock; the kernel lets go of it when the process ends.

    Raises:
        BlockingIOError: Another process holds it.
        FileNotFoundError: It does not exist and is not to be made.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
