"""When does each phase of loading begin? ONNX Runtime's log says it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from feasibility.units import SECOND_NS

_MAX_LOG_BYTES: Final = 64 * 1024**2
_LINE: Final = re.compile(
    r"^(?P<second>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(?P<fraction>\d{1,9}) \[[VIWEF]:onnxruntime"
    r".*?\] (?P<text>.*)$",
    re.MULTILINE,
)
# Messages of the runtime when a phase ends and the next begins.
_BEGINNINGS: Final = (
    ("optimise", "Initializing session."),
    ("prepack", "Saving initialized tensors."),
    ("end", "Session successfully initialized."),
)


def read_load_phases(path: Path) -> tuple[tuple[str, int], ...]:
    """Beginnings of the phases of loading in a log; see `load_phases`."""
    with path.open("rb") as file:
        return load_phases(file.read(_MAX_LOG_BYTES).decode("utf-8", "replace"))


def load_phases(log: str) -> tuple[tuple[str, int], ...]:
    """Phases of loading with their beginnings, in nanoseconds after the log's first line.

    The runtime writes the first line when it begins to create the session. The last entry is
    called `end`. Empty if a beginning is missing or out of order, as in logs of other versions.
    """
    lines = [(_instant_ns(match), match["text"]) for match in _LINE.finditer(log)]
    if not lines:
        return ()
    phases = [("parse", 0)]
    for name, sentence in _BEGINNINGS:
        begin_ns = next((time_ns for time_ns, text in lines if text.startswith(sentence)), None)
        if begin_ns is None or begin_ns - lines[0][0] < phases[-1][1]:
            return ()
        phases.append((name, begin_ns - lines[0][0]))
    return tuple(phases)


def _instant_ns(match: re.Match[str]) -> int:
    # Only differences matter, so any time zone will do.
    second = datetime.fromisoformat(match["second"]).replace(tzinfo=UTC)
    return int(second.timestamp()) * SECOND_NS + int(match["fraction"].ljust(9, "0"))
