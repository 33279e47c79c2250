"""How much memory does a model need on an NVIDIA GPU? One more steady child, watched by NVML."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from feasibility.measure.instruments.gpu_watcher import GpuFigures, GpuWatcher
from feasibility.measure.instruments.nvml import Nvml, NvmlError, open_nvml
from feasibility.measure.measurement_warnings import gpu_memory_missing
from feasibility.measure.passes import Passes
from feasibility.records.profile import GpuMemory
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.runners.child_process import Watcher
from feasibility.runners.session import LocalSession
from feasibility.temporary_folders import scratch_folder

GPU_PROVIDERS: Final = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
_SMALLEST: Final = InputPlan(inputs=(InputSpec(name="x", dtype="float32", shape=(1,)),))


def gpu_memory(passes: Passes, plan: InputPlan) -> tuple[GpuMemory | None, list[Notice]]:
    """Memory on the GPU while the model loads and runs, and warnings if it is not known."""
    if passes.options.provider_name not in GPU_PROVIDERS:
        return None, []
    if not isinstance(passes.session, LocalSession):
        return None, [gpu_memory_missing("the GPU is on another machine")]
    try:
        with open_nvml() as nvml:
            figures = _watched(passes, plan, nvml)
            context = _context(passes, nvml)
    except NvmlError as error:
        return None, [gpu_memory_missing(str(error), error.hint)]
    if figures is None:
        return None, [gpu_memory_missing("no GPU showed any memory of the model")]
    return combined(figures, context), []


def combined(figures: GpuFigures, context: GpuFigures | None) -> GpuMemory:
    """The figures of a model, with the context that a model of one operator needs apart."""
    context_bytes = context.resident_bytes if context is not None else None
    return GpuMemory(
        name=figures.name,
        total_bytes=figures.total_bytes,
        scope=figures.scope,
        context_bytes=context_bytes,
        load_peak_bytes=max(figures.load_peak_bytes, figures.resident_bytes),
        resident_bytes=figures.resident_bytes,
        inference_peak_bytes=max(figures.inference_peak_bytes, figures.resident_bytes),
        weights_bytes=(
            None if context_bytes is None else max(0, figures.resident_bytes - context_bytes)
        ),
        workspace_bytes=max(0, figures.inference_peak_bytes - figures.resident_bytes),
    )


def _watched(passes: Passes, plan: InputPlan, nvml: Nvml) -> GpuFigures | None:
    """Memory of one steady child on the GPU; None if it failed or no GPU showed any."""
    watchers: list[GpuWatcher] = []

    def watch(process_id: int) -> Watcher:
        watchers.append(GpuWatcher(nvml, process_id))
        return watchers[-1]

    result = replace(passes, watch=watch).steady(plan)
    return watchers[0].figures if result.ending == "done" else None


def _context(passes: Passes, nvml: Nvml) -> GpuFigures | None:
    """Memory of a model of one operator: the context and the handles of libraries."""
    from onnx import parser

    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> '
        "smallest (float[1] x) => (float[1] y) { y = Relu(x) }"
    )
    with scratch_folder() as folder:
        path = folder / "smallest.onnx"
        path.write_bytes(model.SerializeToString())
        return _watched(replace(passes, model_path=path), _SMALLEST, nvml)
