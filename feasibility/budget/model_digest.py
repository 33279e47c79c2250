"""Has a model changed? Digests over all its bytes, external data included."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Final

from feasibility.budget.reading_cache import ReadingCache
from feasibility.facts.read_model import external_locations
from feasibility.model_file.open_model import open_regular
from feasibility.text import safe_text
from feasibility.units import SECOND_NS

_CHUNK_BYTES: Final = 1024 * 1024
# A file that was written just now may change again within the resolution of its times.
_RACY_NS: Final = 2 * SECOND_NS


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
    try:
        status = os.fstat(descriptor)
        identity = (
            status.st_dev,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        key = repr(identity).encode()
        known = cache.get("file", key, str)
        if known is not None:
            return known
        hashed = hashlib.sha256()
        while chunk := os.read(descriptor, _CHUNK_BYTES):
            hashed.update(chunk)
        digest = hashed.hexdigest()
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _RACY_NS:
            cache.put("file", key, digest)
        return digest
    finally:
        os.close(descriptor)
