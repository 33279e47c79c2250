"""Memory of a measured model on a device, from the figures of the machine that measured it.

`project_memory` is the only entry, so that a better model can replace what is behind it.
"""

from __future__ import annotations

import math

from feasibility.predict import memory_factors as k
from feasibility.predict.memory_on_isa import (
    Phases,
    Range,
    carried_over,
    carried_over_text,
    from_graph,
    parts_text,
)
from feasibility.records.device import Device, Gpu
from feasibility.records.intervals import BytesInterval
from feasibility.records.profile import GpuMemory, Memory, Profile
from feasibility.units import format_bytes


def project_memory(profile: Profile, device: Device) -> BytesInterval:
    """Peak of loading and running on the device, the runtime's own memory included.

    Args:
        profile: The model's measured memory, steady and with the default allocator.
        device: Where it would run.

    Returns:
        An interval without a budget; its ends are None where nothing was measured and
        nothing is known of the model's weights.
    """
    if device.runs_on == "gpu" and device.gpu is not None:
        return _on_gpu(profile, device, device.gpu)
    runtime_bytes = device.limits.runtime_bytes.value
    phases = _phases(profile, device)
    if profile.process_peak_bytes is not None and profile.memory is None:
        return _whole_process(profile, device, profile.process_peak_bytes)
    if profile.memory is None or phases is None:
        return _without_measurement(profile, device)
    is_same = profile.host.arch == device.isa
    how = _same_isa_text(profile, device) if is_same else _other_isa_text(profile, device)
    return BytesInterval(
        low_bytes=math.floor(phases.peak.low) + runtime_bytes,
        likely_bytes=round(phases.peak.likely) + runtime_bytes,
        high_bytes=math.ceil(phases.peak.high) + runtime_bytes,
        runtime_bytes=runtime_bytes,
        method=profile.method if is_same else "projected",
        explanation=f"{how} {phases.text} The runtime itself adds {format_bytes(runtime_bytes)}.",
    )


def running_peak_bytes(profile: Profile, device: Device) -> int | None:
    """Upper end of memory on the device's CPU while running; None if it was not measured.

    What remains of the peak once loading no longer needs a copy of the weights, nor leaves
    any that the C library could keep.
    """
    phases = _phases(profile, device)
    if phases is None or profile.memory is None:
        return None
    if profile.host.arch != device.isa:
        phases = carried_over(profile.model, profile.memory, profile.host.arch, device.isa)
    return math.ceil(phases.run.high) + device.limits.runtime_bytes.value


def peaks_while_loading(profile: Profile, device: Device) -> bool | None:
    """True if loading needs more than running on the device's CPU; None if not measured."""
    phases = _phases(profile, device)
    return None if phases is None else phases.load.likely > phases.run.likely


def _phases(profile: Profile, device: Device) -> Phases | None:
    if profile.memory is None or device.runs_on == "gpu":
        return None
    if profile.host.arch == device.isa:
        return _same_isa(profile, profile.memory, device)
    return _other_isa(profile, profile.memory, device)


def _same_isa(profile: Profile, memory: Memory, device: Device) -> Phases:
    load, run = memory.load_peak_bytes, memory.inference_peak_bytes or memory.resident_bytes
    default = profile.default_allocator
    if device.allocator != "glibc" or default is None:
        return Phases(Range(load, load, load), Range(run, run, run), memory.resident_bytes)
    load_high = max(load, default.load_peak_high_bytes * k.DEFAULT_RANGE_RATIO)
    run_high = max(
        run,
        (default.inference_peak_high_bytes or default.resident_high_bytes) * k.DEFAULT_RANGE_RATIO,
    )
    return Phases(
        load=Range(load, (load + load_high) / 2, load_high),
        run=Range(run, (run + run_high) / 2, run_high),
        resident_bytes=memory.resident_bytes,
    )


def _other_isa(profile: Profile, memory: Memory, device: Device) -> Phases:
    """Figures for the instruction set that was not measured."""
    phases = carried_over(profile.model, memory, profile.host.arch, device.isa)
    return _with_retained(phases, device)


def _with_retained(phases: Phases, device: Device) -> Phases:
    """The same with what an unprepared process keeps on Linux."""
    if device.allocator != "glibc":
        return phases
    return phases.with_retained(k.GLIBC_RETAINED_RATIO)


def _on_gpu(profile: Profile, device: Device, gpu: Gpu) -> BytesInterval:
    """GPU memory: the weights, what is computed, and the context of the process."""
    model, memory = profile.model, profile.memory
    if profile.gpu is not None:
        return _seen_on_gpu(profile.gpu, device, gpu)
    weights = model.initializer_bytes
    if weights is None:
        weights = model.file_bytes + model.external_bytes
    weights += model.generated_bytes
    activations = 0
    if memory is not None and memory.inference_peak_bytes is not None:
        activations = max(0, memory.inference_peak_bytes - memory.resident_bytes)
    if model.activation_peak is not None:
        activations = max(activations, model.activation_peak.peak_bytes)
    context = gpu.context_bytes.value if gpu.context_bytes else k.GPU_CONTEXT_BYTES
    tensors = weights + activations
    runtime_bytes = device.limits.runtime_bytes.value if gpu.memory_bytes is None else 0
    return BytesInterval(
        low_bytes=round(tensors + context * k.GPU_CONTEXT_LOW_RATIO) + runtime_bytes,
        likely_bytes=round(tensors * k.GPU_ARENA_LIKELY_RATIO + context) + runtime_bytes,
        high_bytes=round(tensors * k.GPU_ARENA_HIGH_RATIO + context * k.GPU_CONTEXT_HIGH_RATIO)
        + runtime_bytes,
        runtime_bytes=context + runtime_bytes,
        method="projected",
        explanation=f"GPU memory: {format_bytes(weights)} of weights, {format_bytes(activations)} "
        f"of activations and about {format_bytes(context)} for the CUDA context; the runtime's "
        "arena may hold up to twice the tensors.",
    )


def _seen_on_gpu(seen: GpuMemory, device: Device, gpu: Gpu) -> BytesInterval:
    """What was measured on a GPU here, with the context of the one there."""
    runtime_bytes = device.limits.runtime_bytes.value if gpu.memory_bytes is None else 0
    here = seen.context_bytes
    there = gpu.context_bytes.value if gpu.context_bytes else here
    peak = max(seen.load_peak_bytes, seen.inference_peak_bytes)
    likely = peak if here is None or there is None else peak - here + there
    ends = sorted((peak, likely))
    return BytesInterval(
        low_bytes=ends[0] + runtime_bytes,
        likely_bytes=likely + runtime_bytes,
        high_bytes=ends[1] + runtime_bytes,
        runtime_bytes=(there or 0) + runtime_bytes,
        method="measured" if gpu.name and gpu.name in seen.name else "projected",
        explanation=f"GPU memory: {format_bytes(peak)} at its peak on {seen.name}, "
        f"{format_bytes(seen.workspace_bytes)} of it added by running; the context's share "
        f"{'is that of the device' if here is not None else 'is not known'}.",
    )


def _whole_process(profile: Profile, device: Device, peak_bytes: int) -> BytesInterval:
    """What another program saw of the whole process, which its runtime is part of."""
    arch = profile.host.arch
    is_same = arch == device.isa
    return BytesInterval(
        low_bytes=peak_bytes,
        likely_bytes=peak_bytes,
        high_bytes=peak_bytes,
        method=profile.method if is_same else "projected",
        explanation=f"Peak of the whole process, its runtime included, by {profile.source}"
        + ("." if is_same else f"; measured on {arch or 'a machine that it does not name'}."),
    )


def _without_measurement(profile: Profile, device: Device) -> BytesInterval:
    """What the graph alone tells, else nothing."""
    runtime_bytes = device.limits.runtime_bytes.value
    phases = from_graph(profile.model, device.isa)
    if phases is None:
        return BytesInterval(
            runtime_bytes=runtime_bytes, explanation="Memory could not be measured here."
        )
    phases = _with_retained(phases, device)
    return BytesInterval(
        low_bytes=math.floor(phases.peak.low) + runtime_bytes,
        likely_bytes=round(phases.peak.likely) + runtime_bytes,
        high_bytes=math.ceil(phases.peak.high) + runtime_bytes,
        runtime_bytes=runtime_bytes,
        method="projected",
        explanation=f"Memory could not be measured here; modelled for {device.isa} from the graph "
        f"alone. {phases.text} {parts_text(profile.model, device.isa)} The runtime itself adds "
        f"{format_bytes(runtime_bytes)}.",
    )


def _same_isa_text(profile: Profile, device: Device) -> str:
    verb = "Measured under emulation" if profile.method == "emulated" else "Measured"
    if device.allocator == "glibc" and profile.default_allocator is not None:
        return (
            f"{verb} on the same instruction set; the upper end is what glibc's default "
            "allocator keeps."
        )
    return f"{verb} on the same instruction set."


def _other_isa_text(profile: Profile, device: Device) -> str:
    text = carried_over_text(profile.model, profile.host.arch, device.isa)
    parts = parts_text(profile.model, device.isa)
    text = f"{text} {parts}".rstrip()
    if device.isa == "aarch64":
        text += " To measure it: --on emulate:aarch64, or --on ssh:HOST."
    return text
