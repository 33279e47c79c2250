"""The memory that a child holds on the GPU, seen from outside while it runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Literal

from feasibility.probe.nvml import Nvml, NvmlError
from feasibility.probe.wire import Done, Event, Loaded, Ready


@dataclass(slots=True)
class GpuFigures:
    """What was seen of one child, in bytes.

    Args:
        name: The GPU.
        total_bytes: Its memory.
        scope: `process` where the driver told the child's own memory; `device` where it told
            only all of it, from which what was used before is taken.
        load_peak_bytes: Most until the session existed.
        resident_bytes: When it existed.
        inference_peak_bytes: Most during the runs.
    """

    name: str = ""
    total_bytes: int = 0
    scope: Literal["process", "device"] = "process"
    load_peak_bytes: int = 0
    resident_bytes: int | None = None
    inference_peak_bytes: int = 0


@dataclass(slots=True)
class GpuWatcher:
    """Looks at the GPU while a child runs, and leaves the child's own events as they are.

    Args:
        nvml: The GPU.
        process_id: The child.
        period_s: Seconds between looks.
    """

    nvml: Nvml
    process_id: int
    period_s: float = 0.01
    figures: GpuFigures = field(default_factory=GpuFigures)
    _used_before: int | None = None

    def look(self) -> None:
        """Notes what the child holds now."""
        with contextlib.suppress(NvmlError):
            held = self._held()
            if self.figures.resident_bytes is None:
                self.figures.load_peak_bytes = max(self.figures.load_peak_bytes, held)
            else:
                self.figures.inference_peak_bytes = max(self.figures.inference_peak_bytes, held)

    def mend(self, event: Event) -> Event:
        """The event itself; between phases a look is taken."""
        if isinstance(event, (Ready, Done)):
            self.look()
        elif isinstance(event, Loaded):
            self.look()
            with contextlib.suppress(NvmlError):
                self.figures.resident_bytes = self._held()
        return event

    def _held(self) -> int:
        state = self.nvml.state()
        self.figures.name, self.figures.total_bytes = state.name, state.total_bytes
        if self._used_before is None:
            self._used_before = state.used_bytes
        own = state.by_process.get(self.process_id)
        if own is not None:
            self.figures.scope = "process"
            return own
        # In a container the driver counts by ids of the host, so the child is not found.
        above = max(0, state.used_bytes - self._used_before)
        if above and self.figures.load_peak_bytes == 0:
            self.figures.scope = "device"
        return above if self.figures.scope == "device" else 0
