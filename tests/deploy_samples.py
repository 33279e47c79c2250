"""A tiny model, and an answer of `fit` about it, to write files to deploy from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from feasibility.records.changes import ChangeCode
from feasibility.records.drift import Drift, OutputDrift
from feasibility.records.fit import Fit, FitCandidate, FitFigures, FitTargets
from feasibility.records.profile import Profile
from feasibility.records.shared_fields import TensorSpec
from feasibility.records.workload import STEADY_ENVIRONMENT, Fill, InputSpec, RuntimeSettings
from feasibility.units import MIB, MILLISECOND_NS
from tests import samples
from tests.tiny_models import value

# Names that would be code, or end a string, a comment or a line.
HOSTILE_NAMES = (
    "quote \" ' `",
    "line\nbreak\r\u2028",
    "$(rm -rf .) ${HOME} $x {y} %s",
    "*/ */// #",
    "\\",
    "\\u0041\\n??/",
    "ünï 漢字 🙂",
    "__proto__",
    "|cell|",
    "nul-free \x1b[2J\x7f",
)


def model_with_inputs(
    path: Path, names: tuple[str, ...], *, data_name: str = "", dtype: int = TensorProto.FLOAT
) -> Path:
    """Adds a weight to each input; with `data_name`, the weights are external data."""
    dims: list[int | str] = [1, 4]
    weight = np.arange(1024, dtype=helper.tensor_dtype_to_np_dtype(dtype)).reshape(256, 4)
    graph = helper.make_graph(
        [helper.make_node("Add", [name, "w"], [f"{name} out"]) for name in names],
        "deployed",
        [value(name, dtype, dims) for name in names],
        [value(f"{name} out", dtype, [256, 4]) for name in names],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if data_name:
        onnx.save_model(
            model, path, save_as_external_data=True, location=data_name, size_threshold=0
        )
    else:
        onnx.save_model(model, path)
    return path


def inputs_of(names: tuple[str, ...], dtype: str = "float32") -> tuple[InputSpec, ...]:
    """Inputs for `model_with_inputs`."""
    fill = Fill(kind="uniform", low=0.0, high=1.0)
    return tuple(InputSpec(name=name, dtype=dtype, shape=(1, 4), fill=fill) for name in names)


def profile(inputs: tuple[InputSpec, ...], **workload: object) -> Profile:
    """The profile of a changed model with these inputs."""
    base = samples.profile()
    tensors = tuple(TensorSpec(name=spec.name, dtype=spec.dtype, shape=("N", 4)) for spec in inputs)
    outputs = tuple(
        TensorSpec(name=f"{spec.name} out", dtype=spec.dtype, shape=(256, 4)) for spec in inputs
    )
    return replace(
        base,
        model=replace(base.model, inputs=tensors, outputs=outputs),
        workload=replace(base.workload, inputs=inputs, **workload),
    )


def fit(
    of: Profile,
    *,
    changes: tuple[ChangeCode, ...] = ("external-data", "steady-allocator"),
    settings: RuntimeSettings | None = None,
    original: str = "models/original.onnx",
) -> Fit:
    """An answer that chose these changes."""
    before = FitFigures(
        load_peak_bytes=1802 * MIB,
        inference_peak_bytes=1254 * MIB,
        floor_bytes=1245 * MIB,
        file_bytes=1058 * MIB,
        load_ns=1520 * MILLISECOND_NS,
        median_ns=60 * MILLISECOND_NS,
    )
    after = FitFigures(
        load_peak_bytes=344 * MIB,
        inference_peak_bytes=344 * MIB,
        floor_bytes=333 * MIB,
        file_bytes=1059 * MIB,
        load_ns=250 * MILLISECOND_NS,
        median_ns=64 * MILLISECOND_NS,
        latency_ratio=1.07,
    )
    drift = Drift(sample_count=1, is_identical=True, relative_ratio=0.0)
    chosen = FitCandidate(changes=changes, status="meets", measured=after, drift=drift)
    return Fit(
        tool_version="0.1.0",
        measured_at="2026-07-01T12:00:00Z",
        model=replace(of.model, name=Path(original).name, path=original),
        host=of.host,
        workload=of.workload,
        requirements=FitTargets(memory_bytes=400 * MIB),
        baseline=FitCandidate(changes=(), status="misses", measured=before),
        baseline_allocator="default",
        candidates=(chosen,),
        chosen=chosen,
        settings=RuntimeSettings(environment=STEADY_ENVIRONMENT) if settings is None else settings,
        loads_on=("x86_64",),
    )


def drifted(result: Fit, *outputs: OutputDrift) -> Fit:
    """The answer with a candidate whose outputs differ."""
    assert result.chosen is not None
    worst = max(output.relative_ratio for output in outputs)
    drift = Drift(sample_count=3, is_identical=False, relative_ratio=worst, outputs=outputs)
    return replace(result, chosen=replace(result.chosen, drift=drift))
