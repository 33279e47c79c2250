"""How much memory does a model need on an NVIDIA GPU? One more steady child, watched by NVML."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from msgspec.structs import replace

from feasibility.measure.instruments.nvml import GpuState, Nvml, NvmlError, open_nvml
from feasibility.measure.measurement_warnings import gpu_memory_missing
from feasibility.measure.passes import Passes
from feasibility.records.profile import GpuMemory
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.runners.child_process import Watcher
from feasibility.runners.child_protocol import Done, Event, Loaded, Ready
from feasibility.runners.session import LocalSession
from feasibility.temporary_folders import scratch_folder

GPU_PROVIDERS: Final = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
_SMALLEST: Final = InputPlan(inputs=(InputSpec(name="x", dtype="float32", shape=(1,)),))
# `process` if the driver reports the memory of the child; `device` if it only reports the memory
# of all processes, whose use before the child is subtracted.
_Scope: TypeAlias = Literal["process", "device"]


def gpu_memory(passes: Passes, plan: InputPlan) -> tuple[GpuMemory | None, list[Notice]]:
    """Memory on the GPU while the model loads and runs, and warnings if it is not known."""
    if passes.options.provider_name not in GPU_PROVIDERS:
        return None, []
    if not isinstance(passes.session, LocalSession):
        return None, [gpu_memory_missing("the GPU is on another machine")]
    try:
        with open_nvml() as nvml:
            memory = _watched(passes, plan, nvml)
            context = _context(passes, nvml)
    except NvmlError as error:
        return None, [gpu_memory_missing(str(error), error.hint)]
    if memory is None:
        return None, [gpu_memory_missing("no GPU showed any memory of the model")]
    return memory if context is None else without_context(memory, context.resident_bytes), []


def without_context(memory: GpuMemory, context_bytes: int) -> GpuMemory:
    """The figures of a model, with the memory of context and libraries apart."""
    weights_bytes = max(0, memory.resident_bytes - context_bytes)
    return replace(memory, context_bytes=context_bytes, weights_bytes=weights_bytes)


def _watched(passes: Passes, plan: InputPlan, nvml: Nvml) -> GpuMemory | None:
    """Memory of one steady child on the GPU; None if it failed or no GPU showed any."""
    watchers: list[GpuWatcher] = []

    def watch(process_id: int) -> Watcher:
        watchers.append(GpuWatcher(nvml, process_id))
        return watchers[-1]

    result = dataclasses.replace(passes, watch=watch).steady(plan)
    return watchers[0].memory if result.ending == "done" else None


def _context(passes: Passes, nvml: Nvml) -> GpuMemory | None:
    """Memory of a model of one operator: the context and the handles of libraries."""
    from onnx import parser

    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> '
        "smallest (float[1] x) => (float[1] y) { y = Relu(x) }"
    )
    with scratch_folder() as folder:
        path = folder / "smallest.onnx"
        path.write_bytes(model.SerializeToString())
        return _watched(dataclasses.replace(passes, model_path=path), _SMALLEST, nvml)


@dataclass(slots=True)
class GpuWatcher:
    """Reads the GPUs while a child runs; the child's events stay unchanged.

    All GPUs are read: the runtime chooses one, and its numbers differ from the driver's.
    """

    nvml: Nvml
    process_id: int
    period_s: float = 0.01
    _before: tuple[GpuState, ...] = ()
    _found: dict[tuple[_Scope, int], GpuMemory] = field(default_factory=dict)
    _is_loaded: bool = False

    @property
    def memory(self) -> GpuMemory | None:
        """Memory on the GPU that the child ran on; None if no GPU showed any."""
        own = [each for each in self._found.values() if each.scope == "process"]
        found = max(own or self._found.values(), key=lambda each: each.peak_bytes, default=None)
        if not self._is_loaded or found is None or not found.peak_bytes:
            return None
        resident_bytes, running_bytes = found.resident_bytes, found.inference_peak_bytes
        return replace(
            found,
            load_peak_bytes=max(found.load_peak_bytes, resident_bytes),
            inference_peak_bytes=max(running_bytes, resident_bytes),
            workspace_bytes=max(0, running_bytes - resident_bytes),
        )

    def observe(self) -> None:
        """Reads the memory of the child now."""
        with contextlib.suppress(NvmlError):
            states = self.nvml.states()
            self._before = self._before or states
            for index, (state, before) in enumerate(zip(states, self._before, strict=True)):
                self._add("device", index, state, max(0, state.used_bytes - before.used_bytes))
                # In a container the driver reports ids of the host: an id that existed before
                # the child is another process.
                own = state.by_process.get(self.process_id)
                if own is not None and self.process_id not in before.by_process:
                    self._add("process", index, state, own)

    def corrected(self, event: Event) -> Event:
        """The event itself; the GPUs are read between phases."""
        if isinstance(event, (Ready, Loaded, Done)):
            self.observe()
        if isinstance(event, Loaded):
            self._is_loaded = True
            self.observe()
            for key, found in self._found.items():
                self._found[key] = replace(found, resident_bytes=found.inference_peak_bytes)
        return event

    def _add(self, scope: _Scope, index: int, gpu: GpuState, held_bytes: int) -> None:
        known = self._found.get((scope, index)) or GpuMemory(
            name=gpu.name,
            total_bytes=gpu.total_bytes,
            scope=scope,
            load_peak_bytes=0,
            resident_bytes=0,
            inference_peak_bytes=0,
            workspace_bytes=0,
        )
        phase = "inference_peak_bytes" if self._is_loaded else "load_peak_bytes"
        highest_bytes = max(getattr(known, phase), held_bytes)
        self._found[scope, index] = replace(known, **{phase: highest_bytes})
