"""How is a large file written so that it is complete or absent?"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from feasibility.errors import HostError
from feasibility.text import safe_text
from feasibility.units import format_bytes
from feasibility.whole_files import whole_file

_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_intact(path: Path, file_bytes: int, sha256: str) -> bool:
    """True if the file exists with that size and digest, and can be read."""
    try:
        if path.stat().st_size != file_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def write_whole(path: Path, file_bytes: int, write: Callable[[BinaryIO], None]) -> None:
    """Makes the file appear at once with all that `write` puts into it.

    Builders that run at the same time each write a file of their own; the last to
    finish replaces the others' work with the same bytes.

    `file_bytes` is the expected size, for the message if there is no room.

    Raises:
        HostError: The folder or the file cannot be written. Nothing is left behind.
    """
    try:
        with whole_file(path) as file:
            write(file)
    except OSError as error:
        raise _unwritable(path, file_bytes, error) from error


def _unwritable(path: Path, file_bytes: int, error: OSError) -> HostError:
    where = safe_text(str(path))
    if error.errno in _NO_SPACE:
        why = f"there is no room for its {format_bytes(file_bytes)} ({error.strerror})"
    else:
        why = f"the system says {error.strerror or error}"
    hint = "name a folder that can be written, or set XDG_CACHE_HOME to one"
    return HostError(f"Cannot write '{where}'", why, hint)
