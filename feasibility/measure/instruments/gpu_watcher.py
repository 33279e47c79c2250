"""How much memory does a child hold on the GPU? NVML is read while the child runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Literal

from feasibility.measure.instruments.nvml import GpuState, Nvml, NvmlError
from feasibility.runners.child_protocol import Done, Event, Loaded, Ready


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """GPU memory of one child, in bytes.

    Args:
        name: The GPU.
        total_bytes: Its memory.
        scope: `process` if the driver reports the memory of the child; `device` if it only
            reports the memory of all processes, whose use before the child is subtracted.
        load_peak_bytes: Highest while loading.
        resident_bytes: After loading.
        inference_peak_bytes: Highest during the runs.
    """

    name: str
    total_bytes: int
    scope: Literal["process", "device"]
    load_peak_bytes: int
    resident_bytes: int
    inference_peak_bytes: int


@dataclass(slots=True)
class _Peaks:
    """Memory of the child on one GPU, in one scope."""

    load_peak_bytes: int = 0
    resident_bytes: int = 0
    inference_peak_bytes: int = 0

    def add(self, held_bytes: int, *, is_loaded: bool) -> None:
        if is_loaded:
            self.inference_peak_bytes = max(self.inference_peak_bytes, held_bytes)
        else:
            self.load_peak_bytes = max(self.load_peak_bytes, held_bytes)

    @property
    def peak_bytes(self) -> int:
        return max(self.load_peak_bytes, self.inference_peak_bytes)


@dataclass(slots=True)
class GpuWatcher:
    """Reads the GPUs while a child runs; the child's events stay unchanged.

    All GPUs are read: the runtime chooses one, and its numbers differ from the driver's.

    Args:
        nvml: The GPUs.
        process_id: The child.
        period_s: Seconds between readings.
    """

    nvml: Nvml
    process_id: int
    period_s: float = 0.01
    _before: tuple[GpuState, ...] = ()
    _own: dict[int, _Peaks] = field(default_factory=dict)
    _above: dict[int, _Peaks] = field(default_factory=dict)
    _is_loaded: bool = False

    @property
    def figures(self) -> GpuFigures | None:
        """Memory on the GPU that the child ran on; None if no GPU showed any."""
        by_gpu = self._own or self._above
        if not self._is_loaded or not by_gpu:
            return None
        index = max(by_gpu, key=lambda gpu: by_gpu[gpu].peak_bytes)
        peaks, gpu = by_gpu[index], self._before[index]
        if not peaks.peak_bytes:
            return None
        return GpuFigures(
            name=gpu.name,
            total_bytes=gpu.total_bytes,
            scope="process" if self._own else "device",
            load_peak_bytes=peaks.load_peak_bytes,
            resident_bytes=peaks.resident_bytes,
            inference_peak_bytes=peaks.inference_peak_bytes,
        )

    def observe(self) -> None:
        """Reads the memory of the child now."""
        with contextlib.suppress(NvmlError):
            states = self.nvml.states()
            self._before = self._before or states
            for index, (state, before) in enumerate(zip(states, self._before, strict=True)):
                above = max(0, state.used_bytes - before.used_bytes)
                self._add(self._above, index, above)
                own = state.by_process.get(self.process_id)
                # In a container the driver reports ids of the host: an id that existed before
                # the child is another process.
                if own is not None and self.process_id not in before.by_process:
                    self._add(self._own, index, own)

    def corrected(self, event: Event) -> Event:
        """The event itself; the GPUs are read between phases."""
        if isinstance(event, (Ready, Loaded, Done)):
            self.observe()
        if isinstance(event, Loaded):
            self._is_loaded = True
            self.observe()
            for peaks in (*self._own.values(), *self._above.values()):
                peaks.resident_bytes = peaks.inference_peak_bytes
        return event

    def _add(self, by_gpu: dict[int, _Peaks], index: int, held_bytes: int) -> None:
        by_gpu.setdefault(index, _Peaks()).add(held_bytes, is_loaded=self._is_loaded)
