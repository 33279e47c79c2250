"""Where are readings and digests cached between checks? In the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from feasibility.paths import cache_dir
from feasibility.whole_files import whole_file

T = TypeVar("T")
_MAX_ENTRY_BYTES: Final = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class ReadingCache:
    """Small documents by key. A damaged document counts as missing.

    Args:
        folder: Folder of the documents, created with the first one; None to cache nothing.
    """

    folder: Path | None

    def get(self, kind: str, key: bytes, form: type[T]) -> T | None:
        """The document of a key; None if it is missing."""
        if self.folder is None:
            return None
        path = _path(self.folder, kind, key)
        try:
            if path.stat().st_size > _MAX_ENTRY_BYTES:
                return None
            return msgspec.json.decode(path.read_bytes(), type=form)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def put(self, kind: str, key: bytes, document: object) -> None:
        """Cache a document; a folder that cannot be written is ignored."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError), whole_file(_path(self.folder, kind, key)) as file:
            file.write(msgspec.json.encode(document))


NO_CACHE: Final = ReadingCache(None)


def default_cache() -> ReadingCache:
    """The cache in the user's cache folder."""
    return ReadingCache(cache_dir() / "budget")


def _path(folder: Path, kind: str, key: bytes) -> Path:
    return folder / kind / f"{hashlib.sha256(key).hexdigest()[:40]}.json"
