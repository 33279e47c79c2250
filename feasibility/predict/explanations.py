"""Which sentence explains a predicted time or memory figure?

Everything that `explanation` says in an interval is written here; the calculations are beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from feasibility.predict.latency.anchors import Correction
from feasibility.predict.latency.interval import CONFIDENCE
from feasibility.predict.published_npu_times import NpuTime, npu_times
from feasibility.records.device import Device
from feasibility.records.facts import ModelledMemory
from feasibility.records.profile import GpuMemory, Profile
from feasibility.units import MIB, format_bytes, format_duration

NO_PROCESSOR: Final = "The device file does not state the speed of its processor."
NO_WORK_NO_LATENCY: Final = (
    "Neither the model's work nor its latency on a machine like this is known."
)
NO_WORK_ON_GPU: Final = (
    "The model's work is not known, and a time on a CPU cannot be scaled to a GPU."
)
SCALED_FROM_HOST: Final = (
    "The model's work is not known. Its measured latency was scaled by the speed of both "
    "processors, so the interval is wide."
)
NOT_MEASURED: Final = "Memory could not be measured here."
_FITTED: Final = (
    "from the model's work by kind of operator; the interval held for "
    f"{CONFIDENCE:.0%} of the published rows of devices that the fit had not seen."
)
_MEASURED_RATES: Final = (
    "from the model's work and the measured speed of this very machine for each kind of "
    f"operator; the interval held for {CONFIDENCE:.0%} of the models tried (docs/devices.md)."
)
# Smaller differences between instruction sets are not worth a sentence.
_NOTEWORTHY_BYTES: Final = 2 * MIB


def target_text(
    name: str,
    precision: str,
    missing: str,
    *,
    threads: int | None = None,
    asked_threads: int | None = None,
) -> str:
    """Runtime, threads and precision of a projection.

    Args:
        name: Name of the runtime, or of the GPU and its interface.
        precision: The arithmetic.
        missing: Name of a runtime that was asked for and is not known there; empty without one.
        threads: Threads that are used; None on a GPU.
        asked_threads: Threads that were asked for.
    """
    text = name
    if threads is not None:
        text += " with 1 thread" if threads == 1 else f" with {threads} threads"
        if asked_threads is not None and asked_threads > threads:
            text += f" (all its cores; {asked_threads} were asked for)"
    text += f" in {precision}"
    return f"{text} ({missing} is not known on a processor of this kind)" if missing else text


def explain_latency(
    profile: Profile,
    device: Device,
    target: str,
    slowness: float,
    anchors: Correction | None,
    *,
    is_measured_machine: bool,
) -> str:
    """Where a projected time comes from, and what changed it.

    Args:
        profile: The measured model.
        device: The device.
        target: From `target_text`.
        slowness: How many times slower the model ran here than its work explains.
        anchors: The correction by anchors.
        is_measured_machine: True if the device's file holds rates measured there.
    """
    basis = _MEASURED_RATES if is_measured_machine else _FITTED
    sentences = [f"Projected for {target} {basis}"]
    if anchors is not None:
        sentences.append(_anchors_text(anchors))
    if slowness > 1:
        sentences.append(
            f"Multiplied by {slowness:.1f}: the model ran that much slower here than its work "
            "explains, even on a slow machine."
        )
    if profile.model.per_iteration:
        sentences.append("A loop of unknown length was counted once.")
    if times := npu_times(profile.model.name, device):
        sentences.append(_npu_text(times))
    return " ".join(sentences)


def _anchors_text(anchors: Correction) -> str:
    count, other = anchors.model_count, anchors.other_count
    models = "1 model" if count == 1 else f"{count} models"
    text = f"Multiplied by {anchors.ratio:.2f} after {models} measured on the device itself"
    if not other:
        return f"{text}."
    which = "" if other == count else f"{other} of them "
    return (
        f"{text}, {which}with another runtime, arithmetic or number of threads, "
        "which counts for less."
    )


def _npu_text(times: Sequence[NpuTime]) -> str:
    fast, slow = times[0], times[-1]
    text = format_duration(fast.latency_ns)
    if slow is not fast:
        text += f" to {format_duration(slow.latency_ns)}"
    return (
        f"On its NPU a model of this name took {text} in published tables (fastest: "
        f"{fast.runtime}, {fast.precision}). Operators that the NPU does not have run on the CPU."
    )


def explain_same_isa(profile: Profile, device: Device) -> str:
    """Memory measured on the instruction set of the device."""
    verb = "Measured under emulation" if profile.method == "emulated" else "Measured"
    text = f"{verb} on the same instruction set"
    if device.allocator == "glibc" and profile.default_allocator is not None:
        text += "; the upper end is with glibc's default allocator"
    return f"{text}."


def explain_other_isa(
    here: ModelledMemory | None, there: ModelledMemory | None, host: str, isa: str
) -> str:
    """Memory measured on one instruction set, for another.

    Args:
        here: Memory modelled for the instruction set that was measured.
        there: Memory modelled for the other one.
        host: The instruction set that was measured.
        isa: The other one.
    """
    text = f"Modelled for {isa} from figures measured on {host}:"
    if here is None or there is None:
        text += " about the same while running on both; the graph is not known."
    else:
        loading = there.load_peak_bytes - here.load_peak_bytes
        running = there.inference_peak_bytes - here.inference_peak_bytes
        text += f" loading takes {_difference(loading)}"
        if abs(loading) >= _NOTEWORTHY_BYTES:
            text += " because x86-64 keeps a copy of convolution weights in another layout"
        text += f", running {_difference(running)}. {explain_parts(there)}"
    text = text.rstrip()
    return (
        f"{text} To measure it: --on emulate:aarch64, or --on ssh:HOST."
        if isa == "aarch64"
        else text
    )


def explain_parts(memory: ModelledMemory) -> str:
    """The parts of modelled memory while running; empty if all are below 1 MiB."""
    parts = (
        (memory.weight_bytes, "weights"),
        (memory.activation_bytes, "activations"),
        (memory.input_bytes, "inputs"),
        (memory.mapped_bytes, "mapped weights that are read"),
        (memory.own_bytes, "the runtime itself"),
    )
    shown = [f"{format_bytes(size)} for {name}" for size, name in parts if size >= MIB]
    return f"While running: {', '.join(shown)}." if shown else ""


def explain_phases(load_bytes: float, run_bytes: float) -> str:
    """Likely memory while loading and while running."""
    load, run = format_bytes(round(load_bytes)), format_bytes(round(run_bytes))
    return f"About {load} to load and {run} to run."


def explain_runtime(runtime_bytes: int) -> str:
    """The part of the memory that is the runtime's own."""
    return f"The runtime itself adds {format_bytes(runtime_bytes)}."


def explain_graph(isa: str) -> str:
    """Memory of a model that was not measured at all."""
    return f"{NOT_MEASURED.removesuffix('.')}; modelled for {isa} from the graph alone."


def explain_gpu(weights: int, activations: int, context: int) -> str:
    """GPU memory that was computed."""
    return (
        f"GPU memory: {format_bytes(weights)} of weights, {format_bytes(activations)} of "
        f"activations and about {format_bytes(context)} for the CUDA context; the runtime's "
        "arena may hold up to twice the tensors."
    )


def explain_measured_gpu(seen: GpuMemory, peak: int) -> str:
    """GPU memory that was measured on another GPU."""
    context = "that of the device" if seen.context_bytes is not None else "not known"
    return (
        f"GPU memory: peak of {format_bytes(peak)} on {seen.name}; running adds "
        f"{format_bytes(seen.workspace_bytes)} of it. The context's share is {context}."
    )


def explain_whole_process(profile: Profile, isa: str) -> str:
    """Memory of the whole process, measured by another program."""
    text = f"Peak of the whole process, its runtime included, by {profile.source}"
    arch = profile.host.arch
    return f"{text}." if arch == isa else f"{text}; measured on {arch or 'an unnamed machine'}."


def _difference(size: int) -> str:
    if abs(size) < _NOTEWORTHY_BYTES:
        return "the same"
    return f"{format_bytes(abs(size))} {'more' if size > 0 else 'less'}"
