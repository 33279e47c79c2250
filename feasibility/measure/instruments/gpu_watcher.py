"""The memory that a child holds on the GPU, seen from outside while it runs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Literal

from feasibility.measure.instruments.nvml import GpuState, Nvml, NvmlError
from feasibility.runners.child_protocol import Done, Event, Loaded, Ready


@dataclass(frozen=True, slots=True)
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

    name: str
    total_bytes: int
    scope: Literal["process", "device"]
    load_peak_bytes: int
    resident_bytes: int
    inference_peak_bytes: int


@dataclass(slots=True)
class _Course:
    """One GPU's answers about the child, in one scope."""

    load_peak_bytes: int = 0
    resident_bytes: int = 0
    inference_peak_bytes: int = 0

    def note(self, held_bytes: int, *, is_loaded: bool) -> None:
        if is_loaded:
            self.inference_peak_bytes = max(self.inference_peak_bytes, held_bytes)
        else:
            self.load_peak_bytes = max(self.load_peak_bytes, held_bytes)

    @property
    def peak_bytes(self) -> int:
        return max(self.load_peak_bytes, self.inference_peak_bytes)


@dataclass(slots=True)
class GpuWatcher:
    """Looks at the GPUs while a child runs, and leaves the child's own events as they are.

    Which of several GPUs the runtime takes is its own affair, and its numbers are not the
    driver's, so all are looked at.

    Args:
        nvml: The GPUs.
        process_id: The child.
        period_s: Seconds between looks.
    """

    nvml: Nvml
    process_id: int
    period_s: float = 0.01
    _before: tuple[GpuState, ...] = ()
    _own: dict[int, _Course] = field(default_factory=dict)
    _above: dict[int, _Course] = field(default_factory=dict)
    _is_loaded: bool = False

    @property
    def figures(self) -> GpuFigures | None:
        """What the child held on the GPU that it ran on; None where none showed anything of it."""
        courses = self._own or self._above
        if not self._is_loaded or not courses:
            return None
        at = max(courses, key=lambda index: courses[index].peak_bytes)
        course, gpu = courses[at], self._before[at]
        if not course.peak_bytes:
            return None
        return GpuFigures(
            name=gpu.name,
            total_bytes=gpu.total_bytes,
            scope="process" if self._own else "device",
            load_peak_bytes=course.load_peak_bytes,
            resident_bytes=course.resident_bytes,
            inference_peak_bytes=course.inference_peak_bytes,
        )

    def observe(self) -> None:
        """Notes what the child holds now."""
        with contextlib.suppress(NvmlError):
            states = self.nvml.states()
            self._before = self._before or states
            for index, (state, before) in enumerate(zip(states, self._before, strict=True)):
                above = max(0, state.used_bytes - before.used_bytes)
                self._noted(self._above, index, above)
                own = state.by_process.get(self.process_id)
                # In a container the driver counts by ids of the host: an id that was there
                # before the child had begun is another process.
                if own is not None and self.process_id not in before.by_process:
                    self._noted(self._own, index, own)

    def corrected(self, event: Event) -> Event:
        """The event itself; between phases a look is taken."""
        if isinstance(event, (Ready, Loaded, Done)):
            self.observe()
        if isinstance(event, Loaded):
            self._is_loaded = True
            self.observe()
            for course in (*self._own.values(), *self._above.values()):
                course.resident_bytes = course.inference_peak_bytes
        return event

    def _noted(self, courses: dict[int, _Course], index: int, held_bytes: int) -> None:
        courses.setdefault(index, _Course()).note(held_bytes, is_loaded=self._is_loaded)
