"""Whether anything else used the processor while times were taken."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")
# Of the processors that this process may use; a fifth is one busy core of five.
BUSY_SHARE: Final = 0.15
# Columns of /proc/stat after the name: user nice system idle iowait irq softirq steal.
_IDLE_COLUMNS: Final = (3, 4)
_COUNTED_COLUMNS: Final = 8


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time up to one moment, in clock ticks, of the usable processors.

    Args:
        busy: Spent by anybody, and what the host gave to other guests.
        total: Spent and idle.
        own: Spent by this process and the children it has waited for.
    """

    busy: float
    total: float
    own: float


def read_usage() -> Usage | None:
    """Processor time up to now; None where the system does not tell."""
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
    return Usage(busy, total, sum(os.times()[:4]) * tick_rate)


def is_quiet(before: Usage | None, after: Usage | None) -> bool:
    """True if others used next to nothing between two moments, or nobody can tell."""
    if before is None or after is None or after.total <= before.total:
        return True
    others = (after.busy - before.busy) - (after.own - before.own)
    return others <= BUSY_SHARE * (after.total - before.total)
