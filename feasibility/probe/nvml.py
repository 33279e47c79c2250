"""NVIDIA's management library, as far as the memory of processes goes.

Source: the NVML API reference; the structures and the versioned names are those of nvml.h.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

_LIBRARY: Final = "libnvidia-ml.so.1"
_SUCCESS: Final = 0
_INSUFFICIENT_SIZE: Final = 7
_NOT_AVAILABLE: Final = 2**64 - 1
_NAME_BYTES: Final = 96
_MORE_PROCESSES: Final = 8


class NvmlError(Exception):
    """The library is not here, or refuses; the text says which."""


class GpuState(NamedTuple):
    """One GPU at one moment.

    Args:
        name: Its name.
        total_bytes: Its memory.
        used_bytes: What all processes and the driver hold of it.
        by_process: What each process holds, by its id; None where the driver does not tell.
    """

    name: str
    total_bytes: int
    used_bytes: int
    by_process: dict[int, int | None]


class Nvml(Protocol):
    """Answers about one GPU."""

    def state(self) -> GpuState:
        """The GPU now.

        Raises:
            NvmlError: It does not answer.
        """


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used_gpu_memory", ctypes.c_ulonglong),
        ("gpu_instance_id", ctypes.c_uint),
        ("compute_instance_id", ctypes.c_uint),
    )


class _Library:
    """One GPU of this machine through the shared library."""

    def __init__(self, library: Any, index: int) -> None:
        self._library = library
        self._device = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(self._device))

    def state(self) -> GpuState:
        """The GPU now."""
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._call("nvmlDeviceGetName", self._device, name, _NAME_BYTES)
        memory = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", self._device, ctypes.byref(memory))
        return GpuState(
            name=name.value.decode("utf-8", "replace"),
            total_bytes=memory.total,
            used_bytes=memory.used,
            by_process={
                process.pid: (
                    None if process.used_gpu_memory == _NOT_AVAILABLE else process.used_gpu_memory
                )
                for process in self._processes()
            },
        )

    def _processes(self) -> list[Any]:
        function = self._library.nvmlDeviceGetComputeRunningProcesses_v3
        count = ctypes.c_uint(0)
        code = function(self._device, ctypes.byref(count), None)
        while code == _INSUFFICIENT_SIZE:
            # Another may start between the two calls.
            count = ctypes.c_uint(count.value + _MORE_PROCESSES)
            found = (_Process * count.value)()
            code = function(self._device, ctypes.byref(count), found)
            if code == _SUCCESS:
                return list(found[: count.value])
        self._require(code)
        return []

    def _call(self, name: str, *arguments: object) -> None:
        self._require(getattr(self._library, name)(*arguments))

    def _require(self, code: int) -> None:
        if code != _SUCCESS:
            self._library.nvmlErrorString.restype = ctypes.c_char_p
            raise NvmlError(self._library.nvmlErrorString(code).decode("utf-8", "replace"))


@contextlib.contextmanager
def opened(index: int = 0) -> Iterator[Nvml]:
    """The GPU of that number.

    Raises:
        NvmlError: There is no such GPU, or no driver for it.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise NvmlError("the NVIDIA driver's library is not installed here") from error
    if library.nvmlInit_v2() != _SUCCESS:
        raise NvmlError("the NVIDIA driver does not answer")
    try:
        yield _Library(library, index)
    except AttributeError as error:
        raise NvmlError(f"the NVIDIA driver is too old ({error})") from error
    finally:
        library.nvmlShutdown()
