"""Did other programs use the processor meanwhile?"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Read by hand, because psutil does not say which core a row is of if some are offline.
_STAT: Final = Path("/proc/stat")
# Share of the processors that this process may use; one busy core of five is a fifth.
BUSY_SHARE: Final = 0.15
# Columns of /proc/stat after the name: user nice system idle iowait irq softirq steal.
_IDLE_COLUMNS: Final = (3, 4)
_COUNTED_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class ProcessorUse:
    """Processor time until now, in clock ticks, of the processors that this process may use.

    Args:
        busy_ticks: Time of all programs, and time that the host gave to other guests.
        total_ticks: Busy and idle time.
        own_ticks: Time of this process and of its ended children.
    """

    busy_ticks: float
    total_ticks: float
    own_ticks: float


def read_processor_use() -> ProcessorUse | None:
    """Processor time until now; None if the system does not report it."""
    try:
        lines = _STAT.read_text().splitlines()
        tick_rate = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    busy = total = 0.0
    for line in lines:
        name, *columns = line.split()
        if name in names:
            ticks = [int(column) for column in columns[:_COUNTED_COLUMNS]]
            total += sum(ticks)
            busy += sum(ticks) - sum(ticks[index] for index in _IDLE_COLUMNS)
    return ProcessorUse(busy, total, sum(os.times()[:4]) * tick_rate)


def is_quiet(before: ProcessorUse | None, after: ProcessorUse | None) -> bool:
    """True if other programs used almost no processor time in between, or if it is unknown."""
    if before is None or after is None or after.total_ticks <= before.total_ticks:
        return True
    others = (after.busy_ticks - before.busy_ticks) - (after.own_ticks - before.own_ticks)
    return others <= BUSY_SHARE * (after.total_ticks - before.total_ticks)
