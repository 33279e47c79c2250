"""How does a benchmark get a memory cgroup of its own, if the system allows one?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARKS = ("memory.max_usage_in_bytes", "memory.peak")


@contextmanager
def memory_cgroup() -> Iterator[Path | None]:
    """An empty cgroup that counts memory, removed afterwards; None where there can be none."""
    for parent in _parents():
        folder = parent / f"feasibility-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            if any((folder / mark).exists() for mark in MARKS):
                yield folder
                return
        finally:
            with suppress(OSError):
                folder.rmdir()
    yield None


def _parents() -> Iterator[Path]:
    """The cgroups that this process is in: version 1's memory controller, then version 2."""
    root = Path("/sys/fs/cgroup")
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    for line in sorted(lines, reverse=True):
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield root / "memory" / path.lstrip("/")
        elif number == "0":
            yield root / path.lstrip("/")
