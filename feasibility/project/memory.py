"""Memory of a measured model on a device, from the figures of the machine that measured it.

`project_memory` is the only entry, so that a better model can replace what is behind it.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from feasibility.project import coefficients as k
from feasibility.records.assessment import BytesInterval
from feasibility.records.device import Device, Gpu
from feasibility.records.profile import Memory, Profile, ProfiledModel
from feasibility.units import format_bytes

_CONVOLUTIONS: Final = ("Conv", "ConvTranspose", "FusedConv", "ConvInteger", "QLinearConv")


class _Range(NamedTuple):
    """Low, likely and high of one figure, in bytes."""

    low: float
    likely: float
    high: float


class _Phases(NamedTuple):
    """Memory while loading and while running, without the runtime itself."""

    load: _Range
    run: _Range

    @property
    def peak(self) -> _Range:
        return _Range(*(max(ends) for ends in zip(self.load, self.run, strict=True)))

    @property
    def text(self) -> str:
        load, run = format_bytes(round(self.load.likely)), format_bytes(round(self.run.likely))
        return f"About {load} to load and {run} to run."


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
    if profile.memory is None or phases is None:
        return _from_file(profile, runtime_bytes)
    is_same = profile.host.arch == device.isa
    how = (
        _same_isa_text(profile, device)
        if is_same
        else _other_isa_text(profile, profile.memory, device, phases.load)
    )
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

    What remains of the peak once loading no longer needs a copy of the weights.
    """
    phases = _phases(profile, device)
    if phases is None:
        return None
    return math.ceil(phases.run.high) + device.limits.runtime_bytes.value


def peaks_while_loading(profile: Profile, device: Device) -> bool | None:
    """True if loading needs more than running on the device's CPU; None if not measured."""
    phases = _phases(profile, device)
    return None if phases is None else phases.load.likely > phases.run.likely


def _phases(profile: Profile, device: Device) -> _Phases | None:
    if profile.memory is None or device.runs_on == "gpu":
        return None
    if profile.host.arch == device.isa:
        return _same_isa(profile, profile.memory, device)
    return _other_isa(profile, profile.memory, device)


def _same_isa(profile: Profile, memory: Memory, device: Device) -> _Phases:
    load, run = memory.load_peak_bytes, memory.inference_peak_bytes or memory.resident_bytes
    default = profile.default_allocator
    if device.allocator != "glibc" or default is None:
        return _Phases(_Range(load, load, load), _Range(run, run, run))
    load_high = max(load, default.load_peak_high_bytes * k.DEFAULT_RANGE_RATIO)
    run_high = max(
        run,
        (default.inference_peak_high_bytes or default.resident_high_bytes) * k.DEFAULT_RANGE_RATIO,
    )
    return _Phases(
        load=_Range(load, (load + load_high) / 2, load_high),
        run=_Range(run, (run + run_high) / 2, run_high),
    )


def _other_isa(profile: Profile, memory: Memory, device: Device) -> _Phases:
    """Figures for the instruction set that was not measured.

    Running takes the same within a few percent. Loading differs where x86-64 re-lays
    convolution weights into blocks beside the plain ones and Arm keeps one copy.
    """
    measured_run = memory.inference_peak_bytes or memory.resident_bytes
    retained = k.GLIBC_RETAINED_RATIO if device.allocator == "glibc" else 1.0
    run = _Range(
        measured_run * k.INFERENCE_LOW_RATIO,
        measured_run * k.INFERENCE_RATIO,
        measured_run * max(k.INFERENCE_HIGH_RATIO, retained),
    )
    relaid = _relaid_bytes(profile.model)
    if device.isa == "aarch64":
        load = _arm_load(profile.model, memory, relaid)
    else:
        load = _Range(memory.load_peak_bytes, memory.load_peak_bytes + relaid, 0)
        load = load._replace(high=load.likely * k.LOAD_HIGH_RATIO)
    return _Phases(load, run)


def _arm_load(model: ProfiledModel, memory: Memory, relaid: int) -> _Range:
    """Load peak on 64-bit Arm of a model measured on x86-64.

    Measured: the inline weights, a copy of the largest of them, and about 12 MiB
    (ResNet-101 189 MiB, MiniLM-L6 135, XLM-R base 1810).
    """
    measured = float(memory.load_peak_bytes)
    if relaid == 0 and not model.generated_bytes:
        return _around(measured)
    inline = max(0, (model.initializer_bytes or 0) - model.external_bytes)
    formula = inline + (model.largest_initializer_bytes or 0) + k.ARM_LOAD_EXTRA_BYTES
    if model.generated_bytes or model.external_bytes:
        # One copy of the re-laid weights is certain to go; how much more is not known.
        low = max(float(formula), measured - relaid - model.generated_bytes)
        return _Range(min(low, measured), measured, measured * k.LOAD_HIGH_RATIO)
    return _around(min(measured, float(formula)))


def _around(likely: float) -> _Range:
    return _Range(likely * k.LOAD_LOW_RATIO, likely, likely * k.LOAD_HIGH_RATIO)


def _relaid_bytes(model: ProfiledModel) -> int:
    """Weights that only x86-64 holds twice while it loads."""
    return sum(
        size
        for operator, size in model.weight_bytes_by_operator.items()
        if operator.rpartition(":")[2] in _CONVOLUTIONS
    )


def _on_gpu(profile: Profile, device: Device, gpu: Gpu) -> BytesInterval:
    """GPU memory: the weights, what is computed, and the context of the process."""
    model, memory = profile.model, profile.memory
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


def _from_file(profile: Profile, runtime_bytes: int) -> BytesInterval:
    """An estimate without a measurement: weights in the file, a second copy at worst."""
    model = profile.model
    weights = model.initializer_bytes
    if weights is None:
        return BytesInterval(
            runtime_bytes=runtime_bytes, explanation="Memory could not be measured here."
        )
    weights += model.generated_bytes
    activations = model.activation_peak.peak_bytes if model.activation_peak else 0
    largest = model.largest_initializer_bytes or 0
    return BytesInterval(
        low_bytes=weights + activations + runtime_bytes,
        likely_bytes=weights + max(activations, largest) + k.ARM_LOAD_EXTRA_BYTES + runtime_bytes,
        high_bytes=2 * (weights + activations) + largest + k.ARM_LOAD_EXTRA_BYTES + runtime_bytes,
        runtime_bytes=runtime_bytes,
        method="projected",
        explanation="Memory could not be measured here; estimated from the weights and the "
        "tensors alive at once.",
    )


def _same_isa_text(profile: Profile, device: Device) -> str:
    verb = "Measured under emulation" if profile.method == "emulated" else "Measured"
    if device.allocator == "glibc" and profile.default_allocator is not None:
        return (
            f"{verb} on the same instruction set; the upper end is what glibc's default "
            "allocator keeps."
        )
    return f"{verb} on the same instruction set."


def _other_isa_text(profile: Profile, memory: Memory, device: Device, load: _Range) -> str:
    text = (
        f"Modelled for {device.isa} from figures measured on {profile.host.arch}: running takes "
        "the same within a few percent on both."
    )
    if device.isa == "aarch64" and round(load.likely) < memory.load_peak_bytes:
        text += (
            f" Loading peaked at {format_bytes(memory.load_peak_bytes)} here because x86-64 "
            "re-lays convolution weights into blocks beside the plain ones; Arm does not."
        )
    return text
