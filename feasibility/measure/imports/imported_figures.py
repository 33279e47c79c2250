"""What a file of another program says, before it becomes a profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from feasibility.records.profile import Latency, Memory

_LARGEST: Final = 2**62


class UnreadableError(Exception):
    """A file that does not hold what its format promises; the text says what is missing.

    Args:
        why: What is missing.
        hint: What to do about it; empty where another file is needed.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that was said; None and empty where nothing was.

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
        run_count: Runs that count; None where their samples tell.
        measured_at: When, ISO 8601.
        latency: Times.
        memory: Memory above the process's own.
        process_peak_bytes: Peak of the whole process.
        caveats: What a reader has to know of the figures.
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
    """The mapping at a path; empty where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def mappings(value: object) -> tuple[Mapping[str, Any], ...]:
    """The mappings in a list; none where it is no list."""
    items = value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, dict))


def text(value: object) -> str:
    """A text; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""


def whole(value: object, factor: float = 1) -> int | None:
    """A number times a factor as an integer; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # Integers of JSON may be too long to become floats, so they are compared as they are.
    if not 0 <= value <= _LARGEST:
        return None
    scaled = value * factor
    return round(scaled) if scaled <= _LARGEST else None


def samples(values: object, factor: float) -> tuple[int, ...]:
    """Numbers times a factor; those that are none are left out."""
    if not isinstance(values, list):
        return ()
    return tuple(found for value in values if (found := whole(value, factor)) is not None)
