"""What did another program measure? Its figures, before they become a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from feasibility.records.profile import Latency, Memory

_LARGEST: Final = 2**62


class UnreadableError(Exception):
    """A file of a known format that cannot be used; the text says why.

    Args:
        why: What is missing or wrong.
        hint: What to do about it; empty if another file is needed.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFigures:
    """The figures of one file; None or empty where the file does not state them.

    Args:
        tool: The program.
        model_name: File name of the model.
        model_bytes: Size of its file.
        device: Name of the device.
        cpu: Name of the processor.
        arch: Instruction set.
        core_count: Cores.
        memory_bytes: Physical memory.
        system: Operating system.
        python: Version of Python.
        runtime: Runtime and version.
        provider: Execution provider.
        threads: Intra-op threads.
        warmup_count: Runs before those that count.
        run_count: Runs that count; None for the number of samples.
        measured_at: Time of the measurement, ISO 8601.
        latency: Times.
        memory: Memory above the baseline.
        process_peak_bytes: Peak of the whole process.
        caveats: What limits the meaning of the figures.
    """

    tool: str
    model_name: str = ""
    model_bytes: int | None = None
    device: str = ""
    cpu: str = ""
    arch: str = ""
    core_count: int | None = None
    memory_bytes: int | None = None
    system: str = ""
    python: str = ""
    runtime: str = ""
    provider: str = ""
    threads: int | None = None
    warmup_count: int = 0
    run_count: int | None = None
    measured_at: str = ""
    latency: Latency | None = None
    memory: Memory | None = None
    process_peak_bytes: int | None = None
    caveats: tuple[str, ...] = field(default=())


def part(document: object, *path: str) -> Mapping[str, Any]:
    """The mapping at a path; empty if the path does not exist."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def mappings(value: object) -> tuple[Mapping[str, Any], ...]:
    """The mappings in a list; empty for any other value."""
    items = value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, dict))


def text(value: object) -> str:
    """A text without outer spaces; empty for any other value."""
    return value.strip() if isinstance(value, str) else ""


def whole(value: object, factor: float = 1) -> int | None:
    """A number times a factor, rounded; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # Integers in JSON may be too long for a float, so they are compared first.
    if not 0 <= value <= _LARGEST:
        return None
    scaled = value * factor
    return round(scaled) if scaled <= _LARGEST else None


def samples(values: object, factor: float) -> tuple[int, ...]:
    """The numbers of a list times a factor; other values are left out."""
    if not isinstance(values, list):
        return ()
    return tuple(found for value in values if (found := whole(value, factor)) is not None)
