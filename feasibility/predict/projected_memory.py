"""How much memory does a measured model need on a device?

Every figure follows from the machine that measured the model. For another instruction set the
difference of two modelled figures (`feasibility/ort_memory`) is added to the measured one, so
errors that the model makes on both cancel out. docs/memory-model.md states the measured errors.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from msgspec.structs import replace

from feasibility.records.device import Device, Gpu
from feasibility.records.facts import ModelledMemory
from feasibility.records.intervals import BytesInterval, MemoryBasis
from feasibility.records.profile import GpuMemory, Memory, Profile, ProfiledModel
from feasibility.records.shared_fields import Method
from feasibility.units import MIB

# Memory that was measured on one instruction set and modelled for the other: the ends of the
# interval relative to the likely figure (docs/memory-model.md states their coverage).
CARRIED_LOW_RATIO: Final = 0.90
CARRIED_HIGH_RATIO: Final = 1.07
# The same for memory modelled from the graph alone, and for graphs that are not known.
GRAPH_LOW_RATIO: Final = 0.88
GRAPH_HIGH_RATIO: Final = 1.17
UNKNOWN_LOW_RATIO: Final = 0.64
UNKNOWN_HIGH_RATIO: Final = 1.10
# Values that loops carry from one iteration to the next can need more than is modelled.
LOOPS_RATIO: Final = 1.3
# The modelled memory does not contain tensors of open shape.
OPEN_SHAPES_RATIO: Final = 2.0
# Memory that glibc's default allocator retains, relative to the steady allocator: at most 1.46 on
# aarch64 for 14 of 16 models, 1.9 for the worst.
GLIBC_RETAINED_RATIO: Final = 1.50
DEFAULT_RANGE_RATIO: Final = 1.02

# GPU memory. The runtime's arena grows in powers of two, so it may hold twice what is in use.
GPU_CONTEXT_LOW_RATIO: Final = 0.75
GPU_CONTEXT_HIGH_RATIO: Final = 1.5
GPU_ARENA_LIKELY_RATIO: Final = 1.3
GPU_ARENA_HIGH_RATIO: Final = 2.0
GPU_CONTEXT_BYTES: Final = 400 * MIB


class Range(NamedTuple):
    """Low, likely and high value of one figure, in bytes."""

    low: float
    likely: float
    high: float


class Phases(NamedTuple):
    """Memory while loading and while running, and resident in between, above the baseline."""

    load: Range
    run: Range
    resident_bytes: int

    @property
    def peak(self) -> Range:
        """Memory over both."""
        return Range(*(max(ends) for ends in zip(self.load, self.run, strict=True)))

    def with_retained(self) -> Phases:
        """The same with memory that glibc's default allocator retains."""
        resident = self.resident_bytes * GLIBC_RETAINED_RATIO
        running = max(0.0, self.run.likely - self.resident_bytes)
        return self._replace(
            load=self.load._replace(high=max(self.load.high, resident)),
            run=self.run._replace(high=max(self.run.high, resident + running)),
        )


def project_memory(profile: Profile, device: Device) -> BytesInterval:
    """Peak of loading and running on the device, the runtime's own memory included.

    The interval has no limit. Its ends are None if nothing was measured and the graph is unknown.
    """
    if device.runs_on == "gpu" and device.gpu is not None:
        if profile.gpu is not None:
            return _measured_on_gpu(profile.gpu, device, device.gpu)
        return _on_gpu(profile, device, device.gpu)
    if profile.process_peak_bytes is not None and profile.memory is None:
        return _whole_process(profile, device, profile.process_peak_bytes)
    phases = _phases(profile, device)
    if phases is None:
        return _without_measurement(profile, device)
    arch, isa = profile.host.arch, device.isa
    here, there = modelled_on(profile.model, arch), modelled_on(profile.model, isa)
    if arch == isa:
        has_default = gets_default_glibc(profile, device) and profile.default_allocator is not None
        basis = MemoryBasis(code="same-isa", isa=isa, is_default_allocator=has_default)
        return _interval(phases, device, profile.method, basis)
    basis = MemoryBasis(code="other-isa", isa=isa, measured_isa=arch)
    if here is not None and there is not None:
        basis = replace(
            basis,
            load_change_bytes=there.load_peak_bytes - here.load_peak_bytes,
            run_change_bytes=there.inference_peak_bytes - here.inference_peak_bytes,
            parts_bytes=_parts(there),
        )
    return _interval(phases, device, "projected", basis)


def gets_default_glibc(profile: Profile, device: Device) -> bool:
    """Whether the model gets glibc's allocator on the device, its trim threshold not fixed."""
    return device.allocator == "glibc" and not profile.workload.settings.has_steady_allocator


def changed_peak_high_bytes(profile: Profile, changed: ModelledMemory) -> int:
    """Upper end of the peak after a change of how the model is loaded, without the runtime.

    What the model of memory missed before the change, it misses after it too.
    """
    as_is = modelled_on(profile.model, profile.host.arch)
    if profile.memory is None or as_is is None:
        return math.ceil(from_graph(profile.model, changed).peak.high)
    missed_ratio = max(1.0, profile.memory.peak_bytes / max(1, as_is.peak_bytes))
    return round(changed.peak_bytes * CARRIED_HIGH_RATIO * missed_ratio)


def peaks_while_loading(profile: Profile, device: Device) -> bool | None:
    """True if loading needs more than running on the device's CPU; None if not measured."""
    phases = _phases(profile, device)
    return None if phases is None else phases.load.likely > phases.run.likely


def modelled_on(model: ProfiledModel, isa: str) -> ModelledMemory | None:
    """Memory modelled from the graph for an instruction set; None if the graph is not known."""
    return next((memory for memory in model.modelled_memory if memory.isa == isa), None)


def _phases(profile: Profile, device: Device) -> Phases | None:
    """Memory on the device's CPU; None if it was not measured anywhere."""
    if profile.memory is None or device.runs_on == "gpu":
        return None
    if profile.host.arch == device.isa:
        return _same_isa(profile, profile.memory, device)
    phases = carried_over(profile.model, profile.memory, profile.host.arch, device.isa)
    return phases.with_retained() if gets_default_glibc(profile, device) else phases


def _same_isa(profile: Profile, memory: Memory, device: Device) -> Phases:
    load, run = memory.load_peak_bytes, memory.inference_peak_bytes or memory.resident_bytes
    load_high, run_high = float(load), float(run)
    default = profile.default_allocator
    if gets_default_glibc(profile, device) and default is not None:
        running = default.inference_peak_high_bytes or default.resident_high_bytes
        load_high = max(load, default.load_peak_high_bytes * DEFAULT_RANGE_RATIO)
        run_high = max(run, running * DEFAULT_RANGE_RATIO)
    return Phases(
        load=Range(load, (load + load_high) / 2, load_high),
        run=Range(run, (run + run_high) / 2, run_high),
        resident_bytes=memory.resident_bytes,
    )


def carried_over(model: ProfiledModel, memory: Memory, host: str, isa: str) -> Phases:
    """Memory on an instruction set, from memory measured on another one."""
    run = memory.inference_peak_bytes or memory.resident_bytes
    here, there = modelled_on(model, host), modelled_on(model, isa)
    if here is None or there is None:
        return _unknown_graph(memory, run)
    load = memory.load_peak_bytes + there.load_peak_bytes - here.load_peak_bytes
    running = run + there.inference_peak_bytes - here.inference_peak_bytes
    return Phases(
        load=_around(max(load, there.own_bytes), CARRIED_LOW_RATIO, CARRIED_HIGH_RATIO),
        run=_around(max(running, there.own_bytes), CARRIED_LOW_RATIO, CARRIED_HIGH_RATIO),
        resident_bytes=max(
            memory.resident_bytes + there.resident_bytes - here.resident_bytes, there.own_bytes
        ),
    )


def from_graph(model: ProfiledModel, there: ModelledMemory) -> Phases:
    """Memory of a model that was not measured."""
    low, high = GRAPH_LOW_RATIO, GRAPH_HIGH_RATIO
    run = _around(there.inference_peak_bytes, low, high)
    if any(name.endswith(":QuantizeLinear") for name in model.operator_types):
        # Which activations stay quantized depends on patterns that the model does not have.
        least = there.own_bytes + there.weight_bytes + there.input_bytes
        run = run._replace(low=min(run.low, least * low))
    if model.activation_peak is not None and model.activation_peak.unknown_tensor_count:
        run = run._replace(high=run.high * OPEN_SHAPES_RATIO)
    if any(name.endswith((":Loop", ":Scan")) for name in model.operator_types):
        run = run._replace(high=run.high * LOOPS_RATIO)
    return Phases(_around(there.load_peak_bytes, low, high), run, there.resident_bytes)


def _unknown_graph(memory: Memory, run: int) -> Phases:
    """The range for an unknown graph: loading takes from the resident to the measured memory."""
    load = memory.load_peak_bytes
    return Phases(
        load=Range(
            memory.resident_bytes * CARRIED_LOW_RATIO,
            (memory.resident_bytes + load) / 2,
            load * UNKNOWN_HIGH_RATIO,
        ),
        run=Range(run * UNKNOWN_LOW_RATIO, run, run * UNKNOWN_HIGH_RATIO),
        resident_bytes=memory.resident_bytes,
    )


def _around(likely: float, low: float, high: float) -> Range:
    return Range(likely * low, likely, likely * high)


def _interval(phases: Phases, device: Device, method: Method, basis: MemoryBasis) -> BytesInterval:
    """The peak of both phases with the runtime's own memory."""
    runtime_bytes = device.limits.runtime_bytes.value
    return BytesInterval(
        low_bytes=math.floor(phases.peak.low) + runtime_bytes,
        likely_bytes=round(phases.peak.likely) + runtime_bytes,
        high_bytes=math.ceil(phases.peak.high) + runtime_bytes,
        runtime_bytes=runtime_bytes,
        method=method,
        basis=replace(
            basis, load_bytes=round(phases.load.likely), run_bytes=round(phases.run.likely)
        ),
    )


def _parts(memory: ModelledMemory) -> dict[str, int]:
    """The parts of modelled memory while running."""
    return {
        "weights": memory.weight_bytes,
        "activations": memory.activation_bytes,
        "inputs": memory.input_bytes,
        "mapped_weights": memory.mapped_bytes,
        "runtime": memory.own_bytes,
    }


def _on_gpu(profile: Profile, device: Device, gpu: Gpu) -> BytesInterval:
    """GPU memory: weights, activations and the context of the process."""
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
    context = gpu.context_bytes.value if gpu.context_bytes else GPU_CONTEXT_BYTES
    tensors = weights + activations
    runtime_bytes = device.limits.runtime_bytes.value if gpu.memory_bytes is None else 0
    return BytesInterval(
        low_bytes=round(tensors + context * GPU_CONTEXT_LOW_RATIO) + runtime_bytes,
        likely_bytes=round(tensors * GPU_ARENA_LIKELY_RATIO + context) + runtime_bytes,
        high_bytes=round(tensors * GPU_ARENA_HIGH_RATIO + context * GPU_CONTEXT_HIGH_RATIO)
        + runtime_bytes,
        runtime_bytes=context + runtime_bytes,
        method="projected",
        basis=MemoryBasis(
            code="gpu",
            parts_bytes={"weights": weights, "activations": activations, "context": context},
        ),
    )


def _measured_on_gpu(seen: GpuMemory, device: Device, gpu: Gpu) -> BytesInterval:
    """Memory measured on a GPU here, with the context of the device's GPU."""
    runtime_bytes = device.limits.runtime_bytes.value if gpu.memory_bytes is None else 0
    here = seen.context_bytes
    there = gpu.context_bytes.value if gpu.context_bytes else here
    peak = seen.peak_bytes
    likely = peak if here is None or there is None else peak - here + there
    ends = sorted((peak, likely))
    return BytesInterval(
        low_bytes=ends[0] + runtime_bytes,
        likely_bytes=likely + runtime_bytes,
        high_bytes=ends[1] + runtime_bytes,
        runtime_bytes=(there or 0) + runtime_bytes,
        method="measured" if gpu.name and gpu.name in seen.name else "projected",
        basis=MemoryBasis(
            code="measured-gpu",
            measured_on=seen.name,
            run_bytes=peak,
            parts_bytes={"workspace": seen.workspace_bytes, "context": there or 0},
        ),
    )


def _whole_process(profile: Profile, device: Device, peak_bytes: int) -> BytesInterval:
    """Memory of the whole process, runtime included, as another program measured it."""
    return BytesInterval(
        low_bytes=peak_bytes,
        likely_bytes=peak_bytes,
        high_bytes=peak_bytes,
        method=profile.method if profile.host.arch == device.isa else "projected",
        basis=MemoryBasis(
            code="whole-process",
            isa=device.isa,
            measured_isa=profile.host.arch,
            measured_on=profile.source,
        ),
    )


def _without_measurement(profile: Profile, device: Device) -> BytesInterval:
    """Memory modelled from the graph alone, if the graph is known."""
    there = modelled_on(profile.model, device.isa)
    if there is None:
        runtime_bytes = device.limits.runtime_bytes.value
        return BytesInterval(runtime_bytes=runtime_bytes, basis=MemoryBasis(code="not-measured"))
    basis = MemoryBasis(code="graph", isa=device.isa, parts_bytes=_parts(there))
    phases = from_graph(profile.model, there)
    if gets_default_glibc(profile, device):
        phases = phases.with_retained()
    return _interval(phases, device, "projected", basis)
