"""What does the report of `measure` say? Memory and time of one model on one machine."""

from __future__ import annotations

from typing import Final

from feasibility.records.profile import DefaultAllocator, Latency, Memory, Profile
from feasibility.render.reports.anatomy import SETTINGS, anatomy_sections
from feasibility.render.reports.measure_details import (
    allocation_section,
    operator_memory_section,
    operator_time_section,
    workload_section,
)
from feasibility.render.reports.model_and_machine import (
    baseline_text,
    host_row,
    model_row,
    reserve_row,
)
from feasibility.render.reports.sections import (
    Report,
    Row,
    Section,
    assumption_rows,
    assumption_section,
    name_text,
    notice_section,
)
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_bytes_range,
    format_duration,
    format_margin,
)

_FIRST_SCREEN_COUNT: Final = 5
# Peaks with the steady allocator repeat within 0.1 %: a smaller saving may be chance.
_LEAST_SAVING_RATIO: Final = 0.005


def measure_report(profile: Profile, *, details: bool = False) -> Report:
    """What the model is, its memory, its times and its slowest nodes; all nodes with details."""
    head = (model_row(profile), host_row(profile), reserve_row(profile), *savings_rows(profile))
    assumed = assumption_rows(profile.workload.assumptions)
    return (
        Section(name_text(profile.model.name, 200), (*head, *assumed)),
        *(
            profile_details(profile)
            if details
            else (
                memory_section(profile),
                time_section(profile.latency),
                operator_time_section(profile, _FIRST_SCREEN_COUNT),
            )
        ),
        notice_section(profile.warnings),
    )


def profile_details(profile: Profile) -> Report:
    """Memory and where it is, nodes, allocations, inputs and assumptions."""
    return (
        memory_section(profile),
        *anatomy_sections(profile),
        allocation_section(profile),
        operator_memory_section(profile),
        time_section(profile.latency),
        operator_time_section(profile),
        workload_section(profile),
        assumption_section(profile.workload.assumptions),
    )


def savings_rows(profile: Profile) -> tuple[Row, ...]:
    """What each setting of the runtime that was tried would save."""
    memory, anatomy = profile.memory, profile.anatomy
    if memory is None or anatomy is None or not anatomy.settings:
        return ()
    texts = []
    for effect in anatomy.settings:
        peaks = (
            ("while loading", memory.load_peak_bytes, effect.load_peak_bytes),
            ("while running", memory.inference_peak_bytes or 0, effect.inference_peak_bytes),
        )
        saved = [
            f"{format_bytes(before - after)} {when}"
            for when, before, after in peaks
            if before - after > _LEAST_SAVING_RATIO * before
        ]
        texts.append(f"{SETTINGS[effect.setting]} saves {' and '.join(saved) or 'nothing'}")
    return (Row("settings", "; ".join(texts)),)


def memory_section(profile: Profile) -> Section | None:
    """Every memory figure with what it includes."""
    memory = profile.memory
    if memory is None:
        return None
    rows = [
        _figure_row("load peak", memory.load_peak_bytes, "highest while loading"),
        Row("after loading", _resident_text(memory)),
        _figure_row("inference peak", memory.inference_peak_bytes, "highest during the runs"),
        _figure_row("floor", memory.floor_bytes, "with less it is killed"),
        _figure_row(
            "comfort",
            memory.comfort_bytes,
            "with less it is slow: evicted file pages are read again",
        ),
    ]
    if profile.default_allocator is not None:
        rows.append(Row("default allocator", _default_range_text(profile.default_allocator)))
    title = f"memory above the baseline of {baseline_text(memory, profile)}"
    return Section(title, tuple(rows), remarks=(_memory_remark(memory),))


def _figure_row(label: str, size_bytes: int | None, words: str) -> Row:
    """A figure and what it is; without the words where there is none."""
    return Row(label, format_bytes(size_bytes) + (f"; {words}" if size_bytes is not None else ""))


def _memory_remark(memory: Memory) -> str:
    """How the figures were measured."""
    if memory.peak_source == "sampled":
        return "peaks are sampled: this kernel cannot reset its high-water mark"
    if memory.allocator == "default":
        return "default allocator: another run may need more or less"
    return "kernel high-water marks; steady allocator (glibc with its trim threshold fixed)"


def _resident_text(memory: Memory) -> str:
    return (
        f"{format_bytes(memory.resident_bytes)}: "
        f"{format_bytes(memory.resident_anonymous_bytes)} anonymous, "
        f"{format_bytes(memory.resident_file_bytes)} file-backed"
    )


def _default_range_text(default: DefaultAllocator) -> str:
    load = format_bytes_range(default.load_peak_low_bytes, default.load_peak_high_bytes)
    resident = format_bytes_range(default.resident_low_bytes, default.resident_high_bytes)
    text = f"{load} to load, {resident} after loading"
    low, high = default.inference_peak_low_bytes, default.inference_peak_high_bytes
    if low is not None and high is not None:
        text += f", {format_bytes_range(low, high)} to run"
    return f"{text} (in {default.repeat_count} processes)"


def time_section(latency: Latency | None) -> Section:
    """Every time with what it is."""
    if latency is None:
        return Section("time", (Row("", NOT_MEASURED),))
    count = len(latency.samples_ns)
    median = format_duration(latency.median_ns) + (f" of {count} runs" if count else "")
    low, high = latency.median_low_ns, latency.median_high_ns
    if low is not None and high is not None and latency.median_ns:
        half = max(high - latency.median_ns, latency.median_ns - low)
        median += f"; 95 % confidence: {format_margin(half / latency.median_ns)}"
    percentiles = (("p90 ", latency.p90_ns), ("p95 ", latency.p95_ns), ("p99 ", latency.p99_ns))
    texts = {
        "median": median,
        "mean": _joined(("", latency.mean_ns), ("standard deviation ", latency.stdev_ns)),
        "percentiles": _joined(("fastest ", latency.min_ns), *percentiles),
        "first run": _joined(("", latency.first_run_ns), after=", not one of the runs above"),
        "loading": _joined(("", latency.load_ns), after=", creating the session"),
    }
    # Figures of other programs may hold only the median.
    return Section("time of one run", tuple(Row(*item) for item in texts.items() if item[1]))


def _joined(*times: tuple[str, int | None], after: str = "") -> str:
    """The known times, each behind its words; empty without one."""
    known = ", ".join(f"{words}{format_duration(ns)}" for words, ns in times if ns is not None)
    return f"{known}{after}" if known else ""
