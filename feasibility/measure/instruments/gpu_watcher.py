"""How much memory does a child hold on the GPU? NVML is read while the child runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from feasibility.measure.instruments.nvml import GpuState, Nvml, NvmlError
from feasibility.runners.child_protocol import Done, Event, Loaded, Ready

Scope: TypeAlias = Literal["process", "device"]


@dataclass(slots=True)
class GpuFigures:
    """Memory of one child on one GPU, in bytes.

    `scope` is `process` if the driver reports the memory of the child; `device` if it only
    reports the memory of all processes, whose use before the child is subtracted.
    """

    name: str
    total_bytes: int
    scope: Scope
    load_peak_bytes: int = 0
    resident_bytes: int = 0
    inference_peak_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        """Highest at any time."""
        return max(self.load_peak_bytes, self.inference_peak_bytes)


@dataclass(slots=True)
class GpuWatcher:
    """Reads the GPUs while a child runs; the child's events stay unchanged.

    All GPUs are read: the runtime chooses one, and its numbers differ from the driver's.
    """

    nvml: Nvml
    process_id: int
    period_s: float = 0.01
    _before: tuple[GpuState, ...] = ()
    _figures: dict[tuple[Scope, int], GpuFigures] = field(default_factory=dict)
    _is_loaded: bool = False

    @property
    def figures(self) -> GpuFigures | None:
        """Memory on the GPU that the child ran on; None if no GPU showed any."""
        own = [each for each in self._figures.values() if each.scope == "process"]
        found = max(own or self._figures.values(), key=lambda each: each.peak_bytes, default=None)
        return found if self._is_loaded and found is not None and found.peak_bytes else None

    def observe(self) -> None:
        """Reads the memory of the child now."""
        with contextlib.suppress(NvmlError):
            states = self.nvml.states()
            self._before = self._before or states
            for index, (state, before) in enumerate(zip(states, self._before, strict=True)):
                self._add("device", index, state, max(0, state.used_bytes - before.used_bytes))
                # In a container the driver reports ids of the host: an id that existed before
                # the child is another process.
                own = state.by_process.get(self.process_id)
                if own is not None and self.process_id not in before.by_process:
                    self._add("process", index, state, own)

    def corrected(self, event: Event) -> Event:
        """The event itself; the GPUs are read between phases."""
        if isinstance(event, (Ready, Loaded, Done)):
            self.observe()
        if isinstance(event, Loaded):
            self._is_loaded = True
            self.observe()
            for figures in self._figures.values():
                figures.resident_bytes = figures.inference_peak_bytes
        return event

    def _add(self, scope: Scope, index: int, gpu: GpuState, held_bytes: int) -> None:
        new = GpuFigures(gpu.name, gpu.total_bytes, scope)
        figures = self._figures.setdefault((scope, index), new)
        if self._is_loaded:
            figures.inference_peak_bytes = max(figures.inference_peak_bytes, held_bytes)
        else:
            figures.load_peak_bytes = max(figures.load_peak_bytes, held_bytes)
