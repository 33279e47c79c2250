"""Which figures does MODELCARD.md state, before and after the changes, beside their targets?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from feasibility.records.fit import Fit, FitCandidate, FitTargets
from feasibility.records.profile import Profile
from feasibility.units import format_bytes, format_duration, format_factor

_Number = TypeVar("_Number", int, float)


class _Row(NamedTuple):
    """One figure.

    Attributes:
        ratio: A ratio that was measured; None if it is that of the two figures.
    """

    title: str
    show: Callable[[int | None], str]
    old: int | None
    new: int | None
    target: str = ""
    ratio: float | None = None


def figure_rows(result: Fit, chosen: FitCandidate, device: str) -> Iterator[str]:
    """Rows of a table in Markdown; `device` is the name of the target as it shows it."""
    rows = (*_rows_there(result, chosen, device), *_rows_here(result, chosen))
    for title, show, old, new, target, measured_ratio in rows:
        ratio = measured_ratio
        if ratio is None and old and new is not None:
            ratio = new / old
        factor = "" if ratio is None else format_factor(ratio)
        yield f"| {title} | {show(old)} | {show(new)} | {factor} | {target} |"


def _rows_there(result: Fit, chosen: FitCandidate, device: str) -> Iterator[_Row]:
    """Projected figures on the device."""
    wanted, before = result.requirements, result.baseline
    if wanted.device is None:
        return
    memory = target_text(wanted.memory_bytes, format_bytes)
    targets = [f"{memory} + runtime"] if memory else []
    if wanted.device_limit_bytes is not None:
        targets.append(target_text(wanted.device_limit_bytes, format_bytes))
    yield _Row(
        f"memory with the runtime on {device}, projected",
        format_bytes,
        before.device_memory_bytes,
        chosen.device_memory_bytes,
        "; ".join(targets),
    )
    yield _Row(
        f"time of one run on {device}, projected",
        format_duration,
        before.device_latency_ns,
        chosen.device_latency_ns,
        _time_target(wanted),
    )


def _rows_here(result: Fit, chosen: FitCandidate) -> Iterator[_Row]:
    """Figures that were measured. With a device, targets of memory and time are for the device."""
    wanted, before, after = result.requirements, result.baseline.measured, chosen.measured
    is_here = wanted.device is None
    memory = target_text(wanted.memory_bytes if is_here else None, format_bytes)
    targets = {
        "load_peak_bytes": memory,
        "inference_peak_bytes": memory,
        "floor_bytes": target_text(wanted.floor_bytes, format_bytes),
        "median_ns": _time_target(wanted) if is_here else "",
        "file_bytes": target_text(wanted.size_bytes, format_bytes),
    }
    for title, field, show in (
        ("load peak", "load_peak_bytes", format_bytes),
        ("inference peak", "inference_peak_bytes", format_bytes),
        ("floor (must stay in memory)", "floor_bytes", format_bytes),
        ("median time of one run", "median_ns", format_duration),
        ("time to load", "load_ns", format_duration),
        ("size of all files", "file_bytes", format_bytes),
    ):
        old, new = getattr(before, field, None), getattr(after, field, None)
        # Measured in turns, which the two times are not.
        ratio = after.latency_ratio if after is not None and field == "median_ns" else None
        yield _Row(title, show, old, new, targets.get(field, ""), ratio)


def figure_notes(result: Fit, profile: Profile) -> Iterator[str]:
    """What the figures include, and how they were measured."""
    if profile.memory is not None:
        yield (
            "Memory does not include the baseline: Python and ONNX Runtime needed "
            f"{format_bytes(profile.memory.baseline_bytes)} before the model was loaded. The "
            "baseline of another program is different."
        )
    if result.baseline_allocator == "default":
        yield (
            "The two peaks before the changes were measured with the default allocator of glibc; "
            "they vary by up to 20 %. All other memory was measured with the steady allocator."
        )
    if result.requirements.device is not None:
        yield (
            "Projected memory is the upper end of its interval, and the projected time is the "
            "likely one. All other figures were measured on the machine that is named below."
        )


def target_text(figure: _Number | None, show: Callable[[_Number], str]) -> str:
    """A target; empty if there is none."""
    return "" if figure is None else f"at most {show(figure)}"


def _time_target(wanted: FitTargets) -> str:
    if wanted.latency_ns is not None:
        return target_text(wanted.latency_ns, format_duration)
    return target_text(wanted.latency_ratio, format_factor)
