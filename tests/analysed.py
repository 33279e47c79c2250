"""Models analysed and planned in this process, with the likeliest sizes for their dims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto

from feasibility.facts import node_work
from feasibility.graph.inputs import input_plans
from feasibility.graph.inputs.dim_sizes import DimBinding
from feasibility.records.workload import InputPlan


def analyse(model: ModelProto, dims: Mapping[str, int]) -> node_work.Analysis:
    return node_work.analyse(model, *input_plans.choose_sizes(model, dims).likeliest)


def bind_dims(model: ModelProto, dims: Mapping[str, int]) -> DimBinding:
    return input_plans.choose_sizes(model, dims).likeliest[0]


def plan_inputs(
    model: ModelProto,
    *,
    dims: Mapping[str, int],
    files: Mapping[str, Path] | None = None,
    archive: Path | None = None,
) -> tuple[InputPlan, ...]:
    return input_plans.plan_inputs(input_plans.choose_sizes(model, dims, files, archive))
