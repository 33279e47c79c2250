"""How much memory does each process hold on each NVIDIA GPU of this machine?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

_INSTALL_DRIVER = "install the NVIDIA driver, or measure on the machine that has the GPU"


class NvmlError(Exception):
    """The driver or its Python package is missing, or refuses a request."""

    def __init__(self, why: str, hint: str = _INSTALL_DRIVER) -> None:
        super().__init__(why)
        self.hint = hint


class GpuState(NamedTuple):
    """One GPU, or one instance of a divided GPU, at one moment.

    All processes and the driver hold `used_bytes`. `by_process` is by process id; its values are
    None if the driver does not report them, as on Windows and under WSL.
    """

    name: str
    total_bytes: int
    used_bytes: int
    by_process: dict[int, int | None]


class Nvml:
    """The GPUs of this machine, through the module `pynvml` of the package nvidia-ml-py."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._devices: list[Any] = []
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            self._devices += self._instances(device) or [device]
        if not self._devices:
            raise NvmlError("the NVIDIA driver reports no GPU")

    def states(self) -> tuple[GpuState, ...]:
        """The GPUs now, always in the same order; raises NvmlError if one does not answer."""
        try:
            return tuple(map(self._state, self._devices))
        except self._nvml.NVMLError as error:
            raise NvmlError(f"the NVIDIA driver reports: {error}") from error

    def _instances(self, device: Any) -> list[Any]:
        """The instances of a divided GPU (MIG); empty for a whole GPU."""
        nvml = self._nvml
        try:
            current, _ = nvml.nvmlDeviceGetMigMode(device)
        except nvml.NVMLError:
            return []
        if current != nvml.NVML_DEVICE_MIG_ENABLE:
            return []
        found = []
        for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
            with contextlib.suppress(nvml.NVMLError):  # not every slot has an instance
                found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
        return found

    def _state(self, device: Any) -> GpuState:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(device)
        return GpuState(
            name=self._nvml.nvmlDeviceGetName(device),
            total_bytes=memory.total,
            used_bytes=memory.used,
            by_process={each.pid: each.usedGpuMemory for each in self._processes(device)},
        )

    def _processes(self, device: Any) -> list[Any]:
        """The processes that compute on a GPU; empty if the driver does not list them."""
        nvml = self._nvml
        try:
            processes: list[Any] = nvml.nvmlDeviceGetComputeRunningProcesses(device)
        except nvml.NVMLError as error:
            if error.value not in (
                nvml.NVML_ERROR_NOT_SUPPORTED,
                nvml.NVML_ERROR_NO_PERMISSION,
                nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            ):
                raise
            return []
        return processes


@contextlib.contextmanager
def open_nvml() -> Iterator[Nvml]:
    """The GPUs of this machine; raises NvmlError if the package, the driver or a GPU is missing."""
    try:
        import pynvml
    except ImportError as error:
        raise NvmlError(
            "the Python package nvidia-ml-py is not installed", "pip install 'feasibility[gpu]'"
        ) from error
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            raise NvmlError("the NVIDIA driver's library is not installed here") from error
        raise NvmlError(f"the NVIDIA driver does not answer ({error})") from error
    try:
        yield Nvml(pynvml)
    except pynvml.NVMLError as error:
        raise NvmlError(f"the NVIDIA driver reports: {error}") from error
    finally:
        pynvml.nvmlShutdown()
