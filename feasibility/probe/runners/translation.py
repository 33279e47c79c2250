"""An emulator's translated code, taken out of what the child reads of its own process.

User-mode emulation runs the guest inside the emulator's process: what the kernel counts is
the guest's memory plus the code that was translated for it, which the emulator keeps in one
writable and executable mapping. Guest mappings never are both. The mapping grows as new code
runs, so a high-water mark is corrected by its size at the moment when the mark rose.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from feasibility.probe.wire import Done, Event, Loaded, MemoryReading, Ready


@dataclass(slots=True)
class TranslationWatcher:
    """Looks at the emulator's process while the child runs.

    Args:
        process_id: The process; None where it runs on another machine. Peaks are then
            corrected by the size at the end of their phase, which makes them a little low.
        period_s: Seconds between looks.
    """

    process_id: int | None
    period_s: float = 0.01
    _mark: int = 0
    _rises: list[tuple[int, int]] = field(default_factory=list)

    def look(self) -> None:
        """Notes the size of the translated code whenever the high-water mark has risen."""
        if self.process_id is None:
            return
        with contextlib.suppress(OSError, ValueError):
            status = Path(f"/proc/{self.process_id}/status").read_text()
            mark = _field_bytes(status, "VmHWM:")
            if mark < self._mark:  # it was reset: a phase has begun
                self._rises.clear()
            if mark != self._mark:
                smaps = Path(f"/proc/{self.process_id}/smaps").read_text()
                self._rises.append((mark, translated_bytes(smaps)))
                self._mark = mark

    def mend(self, event: Event) -> Event:
        """The event with the guest's memory alone."""
        if isinstance(event, Ready):
            self._rises.clear()
            return msgspec.structs.replace(event, baseline=_guest(event.baseline))
        if isinstance(event, (Loaded, Done)):
            peak = self._guest_peak(event.peak, event.memory.translated or 0)
            return msgspec.structs.replace(event, peak=peak, memory=_guest(event.memory))
        return event

    def _guest_peak(self, mark: int, translated: int) -> int:
        """Highest guest memory of the phase that ends with this mark and this much code."""
        rises = [(seen, size) for seen, size in self._rises if seen <= mark]
        self._rises.clear()
        return max(seen - size for seen, size in (*rises, (mark, translated)))


def translated_bytes(smaps: str) -> int:
    """Resident bytes of the writable and executable mappings in the text of a smaps file."""
    resident = 0
    counts = False
    for line in smaps.splitlines():
        words = line.split()
        if "-" in words[0]:
            counts = words[1] == "rwxp"
        elif counts and words[0] == "Rss:":
            resident += int(words[1]) * 1024
    return resident


def _guest(reading: MemoryReading) -> MemoryReading:
    """A reading without the translated code, which is anonymous, private and dirty."""
    translated = reading.translated or 0
    return msgspec.structs.replace(
        reading,
        resident=reading.resident - translated,
        anonymous=reading.anonymous - translated,
        pss=None if reading.pss is None else reading.pss - translated,
        private_dirty=(
            None if reading.private_dirty is None else reading.private_dirty - translated
        ),
    )


def _field_bytes(status: str, key: str) -> int:
    for line in status.splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {key}")
