"""How do figures of another program become a profile, and how are its numbers read?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import feasibility
from feasibility.records.profile import Host, Latency, Memory, Profile, ProfiledModel
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import EngineName, Workload

_LARGEST: Final = 2**62
# The engines of which other programs report figures.
_ENGINES: Final[tuple[EngineName, ...]] = ("onnxruntime", "litert")


class UnreadableError(Exception):
    """A file of a known format that cannot be used. Without a hint, another file is needed."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


def imported_profile(
    tool: str,
    latency: Latency,
    caveats: tuple[str, ...],
    *,
    runtime: str,
    provider: str = "",
    model_name: str = "",
    model_bytes: int | None = None,
    device: str = "",
    cpu: str = "",
    arch: str = "",
    core_count: int | None = None,
    memory_bytes: int | None = None,
    system: str = "",
    python: str = "",
    threads: int | None = None,
    warmup_count: int = 0,
    run_count: int | None = None,
    measured_at: str = "",
    memory: Memory | None = None,
    process_peak_bytes: int | None = None,
) -> Profile:
    """The profile of another program's figures; empty or None if the file does not state them.

    Each caveat becomes a warning. Memory is above the baseline. Warm-up runs do not count;
    without a number of runs, the number of samples counts.
    """
    return Profile(
        tool_version=feasibility.__version__,
        measured_at=measured_at or datetime.now(UTC).isoformat(timespec="seconds"),
        runner="",
        source=tool,
        model=ProfiledModel(name=model_name, path="", file_bytes=model_bytes or 0),
        host=Host(
            cpu=cpu,
            arch=arch,
            core_count=core_count,
            memory_bytes=memory_bytes,
            device=device,
            os=system,
            python=python,
        ),
        workload=Workload(
            threads=threads or 0,
            warmup_count=warmup_count,
            run_count=run_count or len(latency.samples_ns),
            runtime=runtime,
            engine=_engine_of(runtime),
            provider=provider,
        ),
        memory=memory,
        process_peak_bytes=process_peak_bytes,
        latency=latency,
        warnings=tuple(Notice(code="imported", message=f"{tool}: {caveat}") for caveat in caveats),
    )


def _engine_of(runtime: str) -> EngineName | None:
    """The engine for a runtime and its version; None if this tool has no such engine."""
    name = runtime.lower().replace(" ", "")
    return next((each for each in _ENGINES if name.startswith(each)), None)


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
