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
_NOT_SUPPORTED: Final = 3
_NO_PERMISSION: Final = 4
_INSUFFICIENT_SIZE: Final = 7
_NOT_AVAILABLE: Final = 2**64 - 1
_NAME_BYTES: Final = 96
_MORE_PROCESSES: Final = 8
_MIG_ENABLED: Final = 1


class NvmlError(Exception):
    """The library is not here, or refuses; the text says which."""


class GpuState(NamedTuple):
    """One GPU, or one instance of a divided GPU, at one moment.

    Args:
        name: Its name.
        total_bytes: Its memory.
        used_bytes: What all processes and the driver hold of it.
        by_process: What each process holds, by its id; None where the driver does not tell, as
            on Windows and under WSL.
    """

    name: str
    total_bytes: int
    used_bytes: int
    by_process: dict[int, int | None]


class Nvml(Protocol):
    """Answers about the GPUs of this machine."""

    def states(self) -> tuple[GpuState, ...]:
        """The GPUs now, in an order that stays.

        Raises:
            NvmlError: One does not answer.
        """


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _OldProcess(ctypes.Structure):
    _fields_ = (("pid", ctypes.c_uint), ("used_gpu_memory", ctypes.c_ulonglong))


class _Process(ctypes.Structure):
    _fields_ = (
        *_OldProcess._fields_,
        ("gpu_instance_id", ctypes.c_uint),
        ("compute_instance_id", ctypes.c_uint),
    )


# Newest first, with what each fills in.
_PROCESS_CALLS: Final = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", _Process),
    ("nvmlDeviceGetComputeRunningProcesses_v2", _Process),
    ("nvmlDeviceGetComputeRunningProcesses", _OldProcess),
)


class _Library:
    """The GPUs of this machine through the shared library."""

    def __init__(self, library: Any) -> None:
        self._library = library
        count = ctypes.c_uint(0)
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        self._devices: list[ctypes.c_void_p] = []
        for index in range(count.value):
            device = ctypes.c_void_p()
            self._call("nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(device))
            self._devices += self._instances(device) or [device]
        if not self._devices:
            raise NvmlError("the NVIDIA driver knows no GPU")

    def states(self) -> tuple[GpuState, ...]:
        """The GPUs now."""
        return tuple(map(self._state, self._devices))

    def _instances(self, device: ctypes.c_void_p) -> list[ctypes.c_void_p]:
        """The instances of a divided GPU, which answer for themselves only; none of a whole one."""
        mode, pending, count = ctypes.c_uint(0), ctypes.c_uint(0), ctypes.c_uint(0)
        function = getattr(self._library, "nvmlDeviceGetMigMode", None)
        if function is None or function(device, ctypes.byref(mode), ctypes.byref(pending)):
            return []
        if mode.value != _MIG_ENABLED:
            return []
        self._call("nvmlDeviceGetMaxMigDeviceCount", device, ctypes.byref(count))
        found = []
        for index in range(count.value):
            instance = ctypes.c_void_p()
            code = self._library.nvmlDeviceGetMigDeviceHandleByIndex(
                device, index, ctypes.byref(instance)
            )
            if code == _SUCCESS:  # not every slot is taken
                found.append(instance)
        return found

    def _state(self, device: ctypes.c_void_p) -> GpuState:
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._call("nvmlDeviceGetName", device, name, _NAME_BYTES)
        memory = _Memory()
        self._call("nvmlDeviceGetMemoryInfo", device, ctypes.byref(memory))
        return GpuState(
            name=name.value.decode("utf-8", "replace"),
            total_bytes=memory.total,
            used_bytes=memory.used,
            by_process={
                process.pid: (
                    None if process.used_gpu_memory == _NOT_AVAILABLE else process.used_gpu_memory
                )
                for process in self._processes(device)
            },
        )

    def _processes(self, device: ctypes.c_void_p) -> list[Any]:
        """The processes that compute on it; none where the driver lists none to this user."""
        function, structure = next(
            (function, structure)
            for name, structure in _PROCESS_CALLS
            if (function := getattr(self._library, name, None)) is not None
        )
        count = ctypes.c_uint(0)
        code = function(device, ctypes.byref(count), None)
        while code == _INSUFFICIENT_SIZE:
            # Another may start between the two calls.
            count = ctypes.c_uint(count.value + _MORE_PROCESSES)
            found = (structure * count.value)()
            code = function(device, ctypes.byref(count), found)
            if code == _SUCCESS:
                return list(found[: count.value])
        if code not in (_NOT_SUPPORTED, _NO_PERMISSION):
            self._require(code)
        return []

    def _call(self, name: str, *arguments: object) -> None:
        self._require(getattr(self._library, name)(*arguments))

    def _require(self, code: int) -> None:
        if code != _SUCCESS:
            raise NvmlError(f"the NVIDIA driver says: {_words(self._library, code)}")


@contextlib.contextmanager
def opened() -> Iterator[Nvml]:
    """The GPUs of this machine.

    Raises:
        NvmlError: There is none, or no driver for it.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise NvmlError("the NVIDIA driver's library is not installed here") from error
    code = library.nvmlInit_v2()
    if code != _SUCCESS:
        raise NvmlError(f"the NVIDIA driver does not answer ({_words(library, code)})")
    try:
        yield _Library(library)
    except AttributeError as error:
        raise NvmlError(f"the NVIDIA driver is too old ({error})") from error
    finally:
        library.nvmlShutdown()


def _words(library: Any, code: int) -> str:
    """What the library calls an error."""
    library.nvmlErrorString.restype = ctypes.c_char_p
    words: bytes = library.nvmlErrorString(code)
    return words.decode("utf-8", "replace")
