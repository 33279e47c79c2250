"""Where do instruments write? In temporary folders that are removed in every case.

A process that is ended by `kill -9` cannot clean up. So each process holds a lock in its
folder, and the next process that makes one removes folders whose lock is free. Unlike a
process id, a lock also works between containers that share a folder for temporary files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX: Final = "feasibility-"
_LOCK_NAME: Final = ".lock"
# A younger folder without a lock may still be under construction.
_UNLOCKED_S: Final = 3600.0


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder of this process, removed when the block ends.

    Raises:
        OSError: The folder cannot be made, for example because the disk is full.
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
    """Removes folders in `parent` whose process has ended, but not those of other users."""
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
        return time.time() - folder.stat().st_mtime > _UNLOCKED_S
    except BlockingIOError:
        return False
    os.close(lock)
    return True


def _locked(path: Path, *, create: bool = True) -> int:
    """A descriptor that holds the lock; the kernel frees it when the process ends.

    Raises:
        BlockingIOError: Another process holds it.
        FileNotFoundError: It does not exist and `create` is false.
    """
    import fcntl  # here, because records of this tool can be read on systems without it

    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
