"""Which figures of a model are known from earlier commands? A cache by digest of all its bytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from feasibility.facts.read_model import external_locations
from feasibility.model_file.open_model import open_regular
from feasibility.paths import cache_dir
from feasibility.text import safe_text
from feasibility.units import SECOND_NS
from feasibility.write_atomically import whole_file

T = TypeVar("T")
_MAX_ENTRY_BYTES: Final = 16 * 1024**2
# A file that was written just now may change again within the resolution of its times.
_RACY_NS: Final = 2 * SECOND_NS


@dataclass(frozen=True, slots=True)
class ReadingCache:
    """Small documents by key, in a folder; without one nothing is cached.

    A damaged document counts as missing.
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


def user_cache(command: str) -> ReadingCache:
    """The cache of a command in the user's cache folder."""
    return ReadingCache(cache_dir() / command)


def _path(folder: Path, kind: str, key: bytes) -> Path:
    return folder / kind / f"{hashlib.sha256(key).hexdigest()[:40]}.json"


def model_digest(path: Path, cache: ReadingCache) -> str:
    """SHA-256 over the model file and its external data, sorted by name.

    A file with the size and times of an earlier call is not read again.
    """
    own = file_digest(path, cache)
    locations = cache.get("external", own.encode(), tuple[str, ...])
    if locations is None:
        locations = external_locations(path)
        cache.put("external", own.encode(), locations)
    if not locations:
        return own
    combined = hashlib.sha256(own.encode())
    for location in locations:
        combined.update(b"\0" + location.encode("utf-8", "surrogateescape") + b"\0")
        combined.update(file_digest(path.parent / location, cache).encode())
    return combined.hexdigest()


def file_digest(path: Path, cache: ReadingCache) -> str:
    """SHA-256 of a file, in hexadecimal."""
    descriptor = open_regular(path, f"Cannot read '{safe_text(str(path))}'")
    with open(descriptor, "rb") as file:  # noqa: PTH123
        status = os.fstat(descriptor)
        times = (status.st_mtime_ns, status.st_ctime_ns)
        key = repr((status.st_dev, status.st_ino, status.st_size, *times)).encode()
        known = cache.get("file", key, str)
        if known is not None:
            return known
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time_ns() - max(times) > _RACY_NS:
            cache.put("file", key, digest)
        return digest
