"""What do the tables of verdicts show, and what do their marks mean?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from feasibility.records.assessment import (
    DeviceAssessment,
    ModelAssessment,
    Part,
    ReasonCode,
    Verdict,
    Where,
)
from feasibility.records.intervals import DurationInterval, MemoryBasis
from feasibility.records.shared_fields import Method
from feasibility.records.workload import PROJECTED_AS
from feasibility.render.reports.assessment_texts import candidate_of, kind_text
from feasibility.render.reports.change_texts import CHANGE_TEXTS
from feasibility.render.reports.compare_devices import duration_text, factor_text
from feasibility.render.reports.sections import (
    Column,
    Grid,
    Tone,
    counted,
    joined,
    known,
    name_text,
    table,
)
from feasibility.units import (
    NOT_MEASURED,
    format_bytes,
    format_bytes_of,
    format_duration,
    format_percent,
)

VERDICT_TONE: Final[dict[Verdict, Tone]] = {
    "fits": "good",
    "tight": "caution",
    "fits-with-changes": "caution",
    "does-not-fit": "bad",
    "undecided": "faint",
}
METHOD_TEXT: Final[dict[Method, str]] = {
    "measured": "measured",
    "emulated": "measured under emulation",
    "projected": "projected",
}
# The runtime that is measured with; memory and operators are always its own.
ONNX_RUNTIME: Final = "onnxruntime"

_MARKS: Final[dict[ReasonCode, str]] = {"over-limit": " !", "limit-inside-interval": " ?"}
_OTHER_RUNTIME: Final = (
    "memory is that of the measured runtime; the other runtime reads another file format, and its "
    "operators were not checked"
)


def verdict_text(verdict: Verdict | Where) -> str:
    """The word of the glossary: `fits with changes` for `fits-with-changes`."""
    return verdict.replace("-", " ")


def device_grid(model: ModelAssessment) -> Grid:
    """One row per device: verdict, time and target, memory and limit."""
    factor: tuple[Column, Callable[[DeviceAssessment], str]] = (
        Column("real-time factor", title_width=9),
        lambda found: factor_text(found.realtime) if found.realtime else NOT_MEASURED,
    )
    return table(
        model.devices,
        (Column("device", min_width=16), lambda found: name_text(found.name, 32)),
        (Column("verdict"), lambda found: verdict_text(found.verdict)),
        (Column("time"), lambda found: _time_cell(found, model)),
        (
            Column("target"),
            lambda found: known(shown_latency(found, model)[0].budget_ns, format_duration, "-"),
        ),
        (Column("memory / limit"), _memory_cell),
        *([factor] if any(found.realtime is not None for found in model.devices) else []),
        tone=lambda found: VERDICT_TONE[found.verdict],
        tone_column=1,
        splits=True,
    )


def overview_grid(models: Sequence[ModelAssessment]) -> Grid:
    """Model by device with the verdicts, for several models together."""
    names = {found.device: found.name for model in models for found in model.devices}
    columns = (
        Column("model", min_width=22),
        Column("recommendation"),
        *(Column(name_text(name, 32), title_width=12) for name in names.values()),
    )
    rows = []
    for model in models:
        verdicts = {found.device: verdict_text(found.verdict) for found in model.devices}
        name, where = name_text(model.profile.model.name, 30), verdict_text(model.placement.where)
        rows.append((name, where, *(verdicts.get(device, "") for device in names)))
    return Grid(columns, tuple(rows), splits=True)


def shown_latency(
    found: DeviceAssessment, model: ModelAssessment
) -> tuple[DurationInterval, Part, bool]:
    """The time in the table, the part that judges it, and whether it includes the network."""
    candidate = candidate_of(found.device, model.placement)
    if candidate is None or candidate.network_time is None:
        return found.latency, "latency", False
    return candidate.latency, "request", True


def _time_cell(found: DeviceAssessment, model: ModelAssessment) -> str:
    latency, part, has_network = shown_latency(found, model)
    return f"{duration_text(latency)}{_mark(found, part)}{' *' if has_network else ''}"


def _memory_cell(found: DeviceAssessment) -> str:
    memory = found.memory
    if memory.likely_bytes is None or memory.budget_bytes is None:
        return format_bytes(memory.likely_bytes)
    text = format_bytes_of(memory.likely_bytes, memory.budget_bytes).replace(" of ", " / ")
    return f"{text}{_mark(found, 'memory')}"


def _mark(found: DeviceAssessment, part: Part) -> str:
    """`!` behind a figure over its limit, `?` where the limit lies inside the interval."""
    reason = next((reason for reason in found.reasons if reason.part == part), None)
    return "" if reason is None else _MARKS.get(reason.code, "")


def model_legend(model: ModelAssessment) -> tuple[str, ...]:
    """What the marks in a model's table mean, and what its memory figures are the sum of."""
    remarks = (*mark_legend((model,)), *_memory_remarks(model.devices), *_change_remarks(model))
    return tuple(filter(None, remarks))


def common_legend(models: Sequence[ModelAssessment]) -> tuple[str, ...]:
    """Where the figures and targets in the tables of all models come from."""
    devices = [found for model in models for found in model.devices]
    timed = [found for found in devices if found.latency.runtime]
    remarks = (
        *_method_remarks(devices, timed),
        _targets_remark(models),
        _threads_remark(models[0].threads, timed),
        _anchors_remark(timed),
        _OTHER_RUNTIME if any(map(_is_for_another_runtime, models)) else "",
    )
    return tuple(filter(None, remarks))


def _is_for_another_runtime(model: ModelAssessment) -> bool:
    """Whether times are for another runtime than the one that was measured."""
    engine = model.profile.workload.engine
    return engine is not None and model.runtime != PROJECTED_AS.get(engine)


def mark_legend(models: Sequence[ModelAssessment]) -> tuple[str, ...]:
    """What the marks in a table of models that were checked together mean."""
    rows = [row for model in models for row in device_grid(model).rows]
    cells = [str(cell) for row in rows for cell in row[2:]]
    marks = {" !": "! over the target or limit", " ?": "? target or limit inside the interval"}
    found = "   ".join(text for mark, text in marks.items() if any(mark in cell for cell in cells))
    network = models[0].placement.network
    if network is None or not any(cell.endswith(" *") for cell in cells):
        return (found,)
    text = f"* includes the network ({name_text(network.name, 80)}"
    if network.is_assumed:
        devices = (found for model in models for found in model.devices)
        reasons = (reason for found in devices for reason in found.reasons)
        is_judged = any(reason.part in ("request", "uplink") for reason in reasons)
        ignored = "" if is_judged else "; the verdict ignores it"
        return found, f"{text}, assumed){ignored}; set --network"
    return found, f"{text})"


def _change_remarks(model: ModelAssessment) -> tuple[str, ...]:
    """Changes with which memory would fit on devices that do not fit for another reason."""
    names: dict[str, list[str]] = {}
    for found in model.devices:
        change = found.memory_change
        if change is not None and found.verdict == "does-not-fit":
            titles = joined([CHANGE_TEXTS[code].title for code in change.changes])
            high = format_bytes(change.actual_high_bytes)
            # The profile has memory with the steady allocator; other changes are modelled.
            how = "" if change.code == "steady-allocator" else " (modelled)"
            text = f"with {titles}: at most {high} with the runtime{how}"
            names.setdefault(text, []).append(name_text(found.name, 32))
    return tuple(
        f"memory alone would fit on {joined(devices)} {text}" for text, devices in names.items()
    )


def _memory_remarks(devices: Sequence[DeviceAssessment]) -> tuple[str, ...]:
    """Each memory figure as a sum, for example `383 MiB = 359 MiB for the model + ...`."""
    sums: dict[str, None] = {}
    for memory in (found.memory for found in devices):
        total, runtime, basis = memory.likely_bytes, memory.runtime_bytes, memory.basis
        if total is None or not runtime or (basis and basis.code == "whole-process"):
            continue
        own, where = format_bytes(total - runtime), _where_text(basis)
        text = f"{format_bytes(total)} = {own} for the model{where} + {format_bytes(runtime)}"
        sums[f"{text} for the runtime"] = None
    return tuple(sums)


def _where_text(basis: MemoryBasis | None) -> str:
    """On which hardware a model needs this much memory, if it is known."""
    if basis is None:
        return ""
    if basis.code in ("gpu", "measured-gpu"):
        return " on the GPU"
    return f" on {name_text(basis.isa, 20)}" if basis.isa else ""


def _method_remarks(
    devices: Sequence[DeviceAssessment], timed: Sequence[DeviceAssessment]
) -> tuple[str, ...]:
    """How memory and times were obtained, and for which runtime."""
    memory = _methods_text([(found.name, found.memory.method) for found in devices])
    time = _methods_text([(found.name, found.latency.method) for found in devices])
    ratios = {one.latency.confidence_ratio for one in devices if one.latency.low_ns is not None}
    # Intervals that should cover different shares get no remark.
    ratio = ratios.pop() if len(ratios) == 1 else None
    interval = () if ratio is None else (f"{format_percent(ratio)} intervals",)
    runtimes = _runtime_texts(timed)
    if memory == time:
        times = "; ".join((*interval, *runtimes))
        return f"memory and time: {memory}", f"times: {times}" if times else ""
    return f"memory: {memory}", "; ".join((f"time: {time}", *interval, *runtimes))


def _targets_remark(models: Sequence[ModelAssessment]) -> str:
    kinds = dict.fromkeys(
        found.kind
        for model in models
        for found in model.devices
        if shown_latency(found, model)[0].is_budget_default
    )
    names = joined([kind_text(kind, 2) for kind in kinds])
    return f"targets: defaults of {names}; set --latency" if kinds else ""


def _runtime_texts(timed: Sequence[DeviceAssessment]) -> tuple[str, ...]:
    """Per runtime what the times are for: `ONNX Runtime, CPU with 4 threads, GPU with CUDA`."""
    threads: dict[str, set[int]] = {}
    for found in timed:
        counts = threads.setdefault(found.latency.runtime, set())
        counts |= {found.latency.threads} if found.latency.threads else set()
    places: dict[str, list[str]] = {}
    for name, counts in threads.items():
        runtime, _, interface = name_text(name, 40).partition(" through ")
        processor = f"GPU with {interface}" if interface else f"CPU{_threads_text(counts)}"
        places.setdefault(runtime, []).append(processor)
    return tuple(f"{runtime}, {', '.join(found)}" for runtime, found in places.items())


def _threads_text(counts: set[int]) -> str:
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f" with {counted(low, 'thread')}" if low == high else f" with {low} to {high} threads"


def _threads_remark(asked: int | None, timed: Sequence[DeviceAssessment]) -> str:
    few = dict.fromkeys(
        name_text(found.name, 32)
        for found in timed
        if asked and found.latency.threads and found.latency.threads < asked
    )
    return f"fewer than {asked} cores: {', '.join(few)}" if few else ""


def _anchors_remark(timed: Sequence[DeviceAssessment]) -> str:
    anchored = dict.fromkeys(
        f"{name_text(found.name, 32)} ({counted(found.latency.anchor_count, 'model')})"
        for found in timed
        if found.latency.anchor_count
    )
    text = f"time corrected by models timed on the device: {', '.join(anchored)}"
    return text if anchored else ""


def _methods_text(pairs: Iterable[tuple[str, Method]]) -> str:
    """`projected`, or `measured for A, projected for the others`."""
    by_method: dict[Method, dict[str, None]] = {}
    for name, method in pairs:
        by_method.setdefault(method, {})[name] = None
    if len(by_method) <= 1:
        return METHOD_TEXT[next(iter(by_method), "projected")]
    *named, (last_method, _) = sorted(by_method.items(), key=lambda item: len(item[1]))
    texts = [
        f"{METHOD_TEXT[method]} for {', '.join(name_text(name, 32) for name in names)}"
        for method, names in named
    ]
    return ", ".join((*texts, f"{METHOD_TEXT[last_method]} for the others"))
