"""How are a model's files evicted from the page cache before a limited run?

Pages that another process has read are charged to that process. A limited run would find them in
the cache and run at full speed, under limits in which it thrashes on a device.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = mmap.PAGESIZE
_CHUNK_BYTES: Final = 256 * 1024**2
# The mapping is never written, but ctypes only gives the address of a writable buffer.
_PROTECTION: Final = mmap.PROT_READ | mmap.PROT_WRITE


def evict(paths: Iterable[Path]) -> int:
    """Evicts files; returns the bytes that are still in the page cache.

    Works without privileges. Pages that other processes have mapped cannot be evicted. Pages that
    were just written have to reach the disk first.
    """
    kept_bytes = 0
    for path in paths:
        with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if cached_bytes(file.fileno()):
                with contextlib.suppress(OSError):  # a file system that cannot be written to
                    os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                kept_bytes += cached_bytes(file.fileno())
    return kept_bytes


def cached_bytes(descriptor: int) -> int:
    """Bytes of an open file that are in the page cache.

    The whole file if this process neither owns it nor may write to it: the kernel then reports
    every page as cached.

    Source: mincore(2).
    """
    size = os.fstat(descriptor).st_size
    count = 0
    for offset in range(0, size, _CHUNK_BYTES):
        length = min(_CHUNK_BYTES, size - offset)
        with mmap.mmap(
            descriptor, length, flags=mmap.MAP_PRIVATE, prot=_PROTECTION, offset=offset
        ) as view:
            count += _cached_page_count(view, length)
    return min(count * _PAGE_BYTES, size)


def _cached_page_count(view: mmap.mmap, length: int) -> int:
    page_count = -(-length // _PAGE_BYTES)
    flags = (ctypes.c_ubyte * page_count)()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    start = ctypes.c_char.from_buffer(view)
    try:
        if libc.mincore(ctypes.addressof(start), length, flags) != 0:
            return 0
    finally:
        del start  # otherwise the mapping cannot be closed
    return sum(flag & 1 for flag in bytes(flags))


def read_ahead_bytes(path: Path) -> int | None:
    """Bytes that the kernel reads ahead from the file's disk; None if unknown.

    Source: Linux, Documentation/ABI/stable/sysfs-block, queue/read_ahead_kb.
    """
    number = path.stat().st_dev
    disk = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    for folder in (disk, disk.parent):  # a partition's queue is that of its disk
        with contextlib.suppress(OSError, ValueError):
            return int((folder / "queue/read_ahead_kb").read_text()) * 1024
    return None
