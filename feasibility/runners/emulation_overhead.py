"""How much of an emulated child's memory belongs to the emulator?

With user-mode emulation, the guest runs inside the emulator's process. The kernel counts the
guest's memory, the code translated for it, and the emulator's tables. The child knows the
guest's addresses and reports the memory outside them. That part grows when new code runs, so a
high-water mark is corrected by its size at the time when the mark rose. This module observes it
from outside: most of it is in the one mapping that is writable and executable (mappings of the
guest never are both), and on the kernel's [heap] (the guest has its own).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from feasibility.runners.child_protocol import Done, Event, Loaded, MemoryReading, Ready


@dataclass(slots=True)
class EmulatorWatcher:
    """Observes the emulator's process while the child runs.

    Args:
        process_id: The process; None on another machine. Peaks are then corrected by the size at
            the end of the phase, which makes them a little too low.
    """

    process_id: int | None
    period_s: float = 0.01
    _mark: int = 0
    _rises: list[tuple[int, int]] = field(default_factory=list)

    def observe(self) -> None:
        """Records the emulator's own size if the high-water mark has risen."""
        # A process that has ended has no memory, and so no mark.
        with contextlib.suppress(OSError, IndexError):
            mark = int(self._read("status").split("VmHWM:")[1].split()[0]) * 1024
            if mark < self._mark:  # reset at the start of a phase
                self._rises.clear()
            if mark != self._mark:
                self._rises.append((mark, emulator_bytes(self._read("smaps"))))
                self._mark = mark

    def corrected(self, event: Event) -> Event:
        """The event with the memory of the guest only."""
        if isinstance(event, Ready):
            self._rises.clear()
            return msgspec.structs.replace(event, baseline=_guest(event.baseline))
        if isinstance(event, (Loaded, Done)):
            peak = self._guest_peak(event.peak_bytes, event.memory.emulator_bytes or 0)
            return msgspec.structs.replace(event, peak_bytes=peak, memory=_guest(event.memory))
        return event

    def _guest_peak(self, mark: int, own: int) -> int:
        """Highest guest memory of the phase that ends with this high-water mark.

        `own` is the memory outside the guest's addresses at the end, from the child.
        """
        rises = [(seen, size) for seen, size in self._rises if seen <= mark]
        self._rises.clear()
        # From outside, tables that are not on the heap look like memory of the guest.
        elsewhere = 0
        with contextlib.suppress(OSError):
            elsewhere = max(0, own - emulator_bytes(self._read("smaps")))
        return max((mark - own, *(seen - size - elsewhere for seen, size in rises)))

    def _read(self, name: str) -> str:
        """A file of the emulator's process; OSError if it has ended or runs elsewhere."""
        if self.process_id is None:
            raise ProcessLookupError
        return Path(f"/proc/{self.process_id}/{name}").read_text()


def emulator_bytes(smaps: str) -> int:
    """Resident bytes of the emulator's code and heap, from the text of a smaps file."""
    resident = 0
    counts = False
    for line in smaps.splitlines():
        words = line.split()
        if "-" in words[0]:
            counts = words[1] == "rwxp" or words[-1] == "[heap]"
        elif counts and words[0] == "Rss:":
            resident += int(words[1]) * 1024
    return resident


def _guest(reading: MemoryReading) -> MemoryReading:
    """The reading without the emulator's part, which is anonymous, private and dirty."""
    names = ("resident_bytes", "anonymous_bytes", "pss_bytes", "private_dirty_bytes")
    figures = {name: getattr(reading, name) for name in names}
    own = reading.emulator_bytes or 0
    guest = {name: figure - own for name, figure in figures.items() if figure is not None}
    return msgspec.structs.replace(reading, **guest)
