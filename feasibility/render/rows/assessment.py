"""An assessment as rows: the devices against their budgets, the advice and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.records.assessment import (
    Assessment,
    BytesInterval,
    DeviceAssessment,
    DurationInterval,
    ModelAssessment,
    Placement,
    Storage,
    Verdict,
    Where,
)
from feasibility.render.rows.places import factor_text, stream_rows
from feasibility.render.rows.rows import Bar, Column, Grid, Row, Section, Tone, counted, name_text
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_bytes_of,
    format_bytes_range,
    format_duration,
    format_duration_range,
    format_percent,
)

VERDICT_TEXT: Final[dict[Verdict, str]] = {
    "fits": "fits",
    "tight": "tight",
    "fits-with-changes": "with changes",
    "does-not-fit": "does not fit",
    "undecided": "undecided",
}
VERDICT_SHORT: Final[dict[Verdict, str]] = {
    "fits": "fits",
    "tight": "tight",
    "fits-with-changes": "changed",
    "does-not-fit": "no",
    "undecided": "unclear",
}
VERDICT_TONE: Final[dict[Verdict, Tone]] = {
    "fits": "good",
    "tight": "caution",
    "fits-with-changes": "caution",
    "does-not-fit": "bad",
    "undecided": "faint",
}
WHERE_TEXT: Final[dict[Where, str]] = {
    "on-device": "on the device",
    "on-device-with-changes": "on the device, with changes",
    "split": "split between device and server",
    "cloud": "in the cloud",
    "undecided": "undecided",
}
WHERE_SHORT: Final[dict[Where, str]] = {
    "on-device": "device",
    "on-device-with-changes": "device, changed",
    "split": "split",
    "cloud": "cloud",
    "undecided": "undecided",
}
# The runtime that is measured with; memory and operators are always its own.
ONNX_RUNTIME: Final = "onnxruntime"
_METHOD_TEXT: Final = {
    "measured": "measured",
    "emulated": "measured under emulation",
    "projected": "projected",
}


def device_grid(devices: Sequence[DeviceAssessment]) -> Grid:
    """One row per device: memory against its budget, time, verdict."""
    is_signal = any(item.realtime is not None for item in devices)
    columns = (
        Column("device", shrinks=True, min_width=20),
        Column("", rank=2, gap=1),
        Column("memory of budget"),
        Column(f"time{_confidence_text(devices)}", rank=1),
        *((Column("of real time", title_width=9),) if is_signal else ()),
        Column("verdict"),
    )
    rows = tuple(
        (
            name_text(item.name, 32),
            memory_bar(item.memory),
            format_bytes_of(item.memory.likely_bytes, item.memory.budget_bytes),
            latency_range_text(item.latency),
            *((_realtime_text(item),) if is_signal else ()),
            VERDICT_TEXT[item.verdict],
        )
        for item in devices
    )
    tones = tuple(VERDICT_TONE[item.verdict] for item in devices)
    return Grid(columns, rows, tones, tone_column=len(columns) - 1)


def _realtime_text(item: DeviceAssessment) -> str:
    return NOT_MEASURED if item.realtime is None else factor_text(item.realtime)


def memory_bar(memory: BytesInterval) -> Bar:
    """Likely and highest memory as shares of the budget."""
    if memory.likely_bytes is None or not memory.budget_bytes:
        return Bar(None)
    high = memory.high_bytes if memory.high_bytes is not None else memory.likely_bytes
    return Bar(memory.likely_bytes / memory.budget_bytes, high / memory.budget_bytes)


def latency_range_text(latency: DurationInterval) -> str:
    """The interval with two significant digits, because it is no better known than that."""
    low, high = latency.low_ns, latency.high_ns
    if low is None or high is None:
        likely = latency.likely_ns
        return NOT_MEASURED if likely is None else format_duration(likely)
    return format_duration_range(low, high)


def _confidence_text(devices: Sequence[DeviceAssessment]) -> str:
    ratio = _confidence_ratio(devices)
    return "" if ratio is None else f" ({format_percent(ratio)})"


def _confidence_ratio(devices: Sequence[DeviceAssessment]) -> float | None:
    """What all intervals are meant to cover; None where they differ."""
    ratios = {item.latency.confidence_ratio for item in devices if item.latency.low_ns is not None}
    return ratios.pop() if len(ratios) == 1 else None


def source_remarks(devices: Sequence[DeviceAssessment]) -> tuple[str, ...]:
    """Which of the figures were measured and which projected, and what they include."""
    memory = _methods_text([(item.name, item.memory.method) for item in devices])
    time = _methods_text([(item.name, item.latency.method) for item in devices])
    text = f"memory and time {memory}" if memory == time else f"memory {memory}; time {time}"
    ratio = _confidence_ratio(devices)
    if ratio is not None:
        text += f", times meant to hold for {format_percent(ratio)} of models"
    runtimes = [item.memory.runtime_bytes for item in devices if item.memory.runtime_bytes]
    if runtimes:
        own = format_bytes_range(min(runtimes), max(runtimes))
        text += f"; memory includes the runtime's own {own}"
    return (text,)


def runtime_remarks(model: ModelAssessment) -> tuple[str, ...]:
    """What the times are for, and what asking for threads or another runtime leaves open."""
    timed = [item for item in model.devices if item.latency.runtime]
    threads_by_runtime: dict[str, set[int]] = {}
    for item in timed:
        found = threads_by_runtime.setdefault(item.latency.runtime, set())
        found |= {item.latency.threads} if item.latency.threads else set()
    if not threads_by_runtime:
        return ()
    text = " and ".join(
        f"{name_text(runtime, 40)}{_threads_text(threads)}"
        for runtime, threads in threads_by_runtime.items()
    )
    remarks = [f"time for {text}"]
    asked = model.threads
    if asked is not None:
        short = [
            name_text(item.name, 32) for item in timed if (item.latency.threads or asked) < asked
        ]
        if short:
            remarks.append(f"{asked} threads are more than there are cores: {', '.join(short)}")
    anchored = [item for item in timed if item.latency.anchor_count]
    if anchored:
        names = (
            f"{name_text(item.name, 32)} ({counted(item.latency.anchor_count, 'model')})"
            for item in anchored
        )
        remarks.append(f"time corrected by what was timed on the device: {', '.join(names)}")
    if model.runtime != ONNX_RUNTIME:
        remarks.append(
            "memory is that of ONNX Runtime; another runtime reads a format of its own, and "
            "whether it has all operators was not checked"
        )
    return tuple(remarks)


def _threads_text(threads: set[int]) -> str:
    if not threads:
        return ""
    low, high = min(threads), max(threads)
    if low == high:
        return " with 1 thread" if low == 1 else f" with {low} threads"
    return f" with {low} to {high} threads"


def _methods_text(pairs: Sequence[tuple[str, str]]) -> str:
    """`projected`, or `measured for A, projected for the others`."""
    by_method: dict[str, list[str]] = {}
    for name, method in pairs:
        by_method.setdefault(method, []).append(name)
    if len(by_method) <= 1:
        return _METHOD_TEXT[next(iter(by_method), "projected")]
    groups = sorted(by_method.items(), key=lambda item: len(item[1]))
    *named, (last_method, _) = groups
    texts = [
        f"{_METHOD_TEXT[method]} for {', '.join(name_text(name, 32) for name in names)}"
        for method, names in named
    ]
    return ", ".join((*texts, f"{_METHOD_TEXT[last_method]} for the others"))


def general_reasons(model: ModelAssessment) -> tuple[str, ...]:
    """Why, as far as it concerns no device in particular."""
    return tuple(
        name_text(reason, 400)
        for reason in model.placement.reasons
        if _device_reason(reason, model) is None
    )


def reason_rows(model: ModelAssessment) -> tuple[Row, ...]:
    """Why, device by device: what the advice rests on, then what else stands in the way."""
    found = (_device_reason(reason, model) for reason in model.placement.reasons)
    said = tuple(pair for pair in found if pair is not None)
    names = {name for name, _ in said}
    unsaid = (
        (item.name, item.reasons[0])
        for item in model.devices
        if item.name not in names and item.verdict != "fits" and item.reasons
    )
    rows: list[Row] = []
    before = ""
    for name, reason in (*said, *unsaid):
        rows.append(Row("" if name == before else name_text(name, 32), name_text(reason, 400)))
        before = name
    return tuple(rows)


def _device_reason(reason: str, model: ModelAssessment) -> tuple[str, str] | None:
    """Device and reason of `DEVICE: REASON`; None where it names no device."""
    name, colon, rest = reason.partition(": ")
    names = {item.name for item in model.devices}
    return (name, rest) if colon and name in names else None


def advice_text(placement: Placement) -> str:
    """The recommendation as one sentence."""
    return name_text(placement.summary, 600) or WHERE_TEXT[placement.where]


def alternative_section(
    placement: Placement, devices: Sequence[DeviceAssessment]
) -> Section | None:
    """The other places that were considered."""
    names = {item.device: item.name for item in devices}
    rows = []
    for item in placement.alternatives:
        name = names.get(item.device or "", item.device or "")
        reason = item.reason.removeprefix(f"{name}: ")
        text = f"{WHERE_TEXT[item.where]}: {name_text(reason, 300)}"
        rows.append(Row(name_text(name, 32) or "elsewhere", text))
    return Section("also considered", tuple(rows)) if rows else None


def device_section(item: DeviceAssessment) -> Section:
    """Everything that led to one device's verdict."""
    parts = ", ".join(f"{name_text(key, 20)} {value}" for key, value in item.score_parts.items())
    rows = [
        Row("verdict", VERDICT_TEXT[item.verdict], VERDICT_TONE[item.verdict]),
        Row("score", f"{item.score} of 100" + (f" ({parts})" if parts else "")),
        Row("memory", _memory_text(item.memory)),
        Row("", name_text(item.memory.explanation, 1000)),
        Row("time", _latency_text(item.latency)),
        Row("", name_text(item.latency.explanation, 1000)),
        Row("storage", _storage_text(item.storage)),
        *stream_rows(item),
    ]
    rows += _listed("because", item.reasons)
    if item.missing_operators:
        names = ", ".join(name_text(name, 60) for name in item.missing_operators[:10])
        rows.append(Row("lacks", names, "bad"))
    rows += _listed("change", item.changes)
    kept = tuple(row for row in rows if row.text)
    return Section(f"{name_text(item.name, 40)} ({name_text(item.device, 40)})", kept)


def _storage_text(storage: Storage) -> str:
    if storage.needed_bytes == 0:
        return "not known"
    return format_bytes_of(storage.needed_bytes, storage.budget_bytes)


def _listed(label: str, texts: Sequence[str]) -> list[Row]:
    """One row per text, the label said once."""
    return [Row("" if number else label, name_text(text, 400)) for number, text in enumerate(texts)]


def _memory_text(memory: BytesInterval) -> str:
    text = format_bytes_of(memory.likely_bytes, memory.budget_bytes)
    if memory.low_bytes is not None and memory.high_bytes is not None:
        text += f", {format_bytes_range(memory.low_bytes, memory.high_bytes)}"
    if memory.runtime_bytes is not None:
        text += f", {format_bytes(memory.runtime_bytes)} of it the runtime"
    return f"{text}; {_METHOD_TEXT[memory.method]}"


def _latency_text(latency: DurationInterval) -> str:
    text = latency_range_text(latency)
    if latency.likely_ns is not None and latency.low_ns != latency.high_ns:
        text += f", likely {format_duration(latency.likely_ns)}"
    if latency.budget_ns is not None:
        text += f"; may take {format_duration(latency.budget_ns)}"
    return f"{text}; {_METHOD_TEXT[latency.method]}"


def overview_grid(models: Sequence[ModelAssessment]) -> Grid:
    """Model by device with the verdicts, for several models together."""
    names = {item.device: item.name for model in models for item in model.devices}
    columns = (
        Column("model", shrinks=True, min_width=10),
        Column("best in", gap=1),
        *(Column(name_text(name, 32), title_width=9, gap=1) for name in names.values()),
    )
    rows = []
    for model in models:
        verdicts = {item.device: VERDICT_SHORT[item.verdict] for item in model.devices}
        rows.append(
            (
                name_text(model.profile.model.name, 30),
                WHERE_SHORT[model.placement.where],
                *(verdicts.get(device, "") for device in names),
            )
        )
    return Grid(columns, tuple(rows), splits=True)


def failures_text(assessment: Assessment) -> str:
    """Names of the models that could not be assessed; why has been said where it happened."""
    names = ", ".join(name_text(failure.path, 60) for failure in assessment.errors)
    return f"not assessed, see the errors: {names}" if names else ""
