"""The emulator's own memory, taken out of what the child reads of its process.

User-mode emulation runs the guest inside the emulator's process. What the kernel counts is the
guest's memory, the code that was translated for it, and the emulator's tables. The child, which
knows the guest's addresses, tells what lies outside them. It grows as new code runs, so a
high-water mark is corrected by its size at the moment when the mark rose, which is seen from
outside: most of it is in the one mapping that is writable and executable, which guest mappings
never are both, and on the kernel's [heap], as the guest gets a heap of its own.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from feasibility.runners.child_protocol import Done, Event, Loaded, MemoryReading, Ready


@dataclass(slots=True)
class EmulatorWatcher:
    """Looks at the emulator's process while the child runs.

    Args:
        process_id: The process; None where it runs on another machine. Peaks are then
            corrected by its size at the end of their phase, which makes them a little low.
        period_s: Seconds between looks.
    """

    process_id: int | None
    period_s: float = 0.01
    _mark: int = 0
    _rises: list[tuple[int, int]] = field(default_factory=list)

    def observe(self) -> None:
        """Notes the emulator's own size whenever the high-water mark has risen."""
        with contextlib.suppress(OSError, ValueError):
            mark = _field_bytes(self._read("status"), "VmHWM:")
            if mark < self._mark:  # it was reset: a phase has begun
                self._rises.clear()
            if mark != self._mark:
                self._rises.append((mark, emulator_bytes(self._read("smaps"))))
                self._mark = mark

    def corrected(self, event: Event) -> Event:
        """The event with the guest's memory alone."""
        if isinstance(event, Ready):
            self._rises.clear()
            return msgspec.structs.replace(event, baseline=_guest(event.baseline))
        if isinstance(event, (Loaded, Done)):
            peak = self._guest_peak(event.peak_bytes, event.memory.emulator_bytes or 0)
            return msgspec.structs.replace(event, peak_bytes=peak, memory=_guest(event.memory))
        return event

    def _guest_peak(self, mark: int, own: int) -> int:
        """Highest guest memory of the phase that ends with this mark.

        Args:
            mark: The high-water mark.
            own: What the child found outside the guest's addresses at the end.
        """
        rises = [(seen, size) for seen, size in self._rises if seen <= mark]
        self._rises.clear()
        # Tables elsewhere than on the heap cannot be told from the guest's memory from outside.
        elsewhere = 0
        with contextlib.suppress(OSError, ValueError):
            elsewhere = max(0, own - emulator_bytes(self._read("smaps")))
        return max((mark - own, *(seen - size - elsewhere for seen, size in rises)))

    def _read(self, name: str) -> str:
        """A file of the emulator's process.

        Raises:
            OSError: It is gone, or was never here.
        """
        if self.process_id is None:
            raise ProcessLookupError
        return Path(f"/proc/{self.process_id}/{name}").read_text()


def emulator_bytes(smaps: str) -> int:
    """Resident bytes of the emulator's code and heap in the text of a smaps file."""
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
    """A reading without the emulator's own part, which is anonymous, private and dirty."""
    own = reading.emulator_bytes or 0
    pss, dirty = reading.pss_bytes, reading.private_dirty_bytes
    return msgspec.structs.replace(
        reading,
        resident_bytes=reading.resident_bytes - own,
        anonymous_bytes=reading.anonymous_bytes - own,
        pss_bytes=None if pss is None else pss - own,
        private_dirty_bytes=None if dirty is None else dirty - own,
    )


def _field_bytes(status: str, key: str) -> int:
    for line in status.splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {key}")
