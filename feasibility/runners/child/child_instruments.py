"""What records a run from inside the child? Memray, outputs in a file, and a disturbed heap."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def save_outputs(numpy: ModuleType, outputs: list[Any], path: str) -> None:
    """Writes outputs that are arrays of numbers or text to a .npz file, by position."""
    arrays = {}
    for position, output in enumerate(outputs):
        value = output.numpy() if hasattr(output, "numpy") else output
        if isinstance(value, numpy.ndarray):
            arrays[str(position)] = value.astype(str) if value.dtype == object else value
    numpy.savez(path, **arrays)


def capture(memray: ModuleType | None, request: dict[str, Any], phase: str) -> Any:
    """Memray during one phase; nothing if memray is None."""
    if memray is None:
        return contextlib.nullcontext()
    path = request["capture_prefix"] + phase + ".bin"
    return memray.Tracker(destination=memray.FileDestination(path, overwrite=True))


def log_to(path: str | None) -> None:
    """Sends the output of libraries to a file from now on; None changes nothing."""
    if path is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 2)
        os.close(descriptor)


def disturb_heap() -> list[bytes]:
    """Blocks of random number and size, to keep during the measurement.

    The memory that glibc retains depends on other blocks on the heap. Identical children
    would show only some of the amounts that an application can get.
    """
    return [bytes(int.from_bytes(os.urandom(2), "little")) for _ in range(os.urandom(1)[0] % 64)]
