"""Models analysed and planned in this process, with the likeliest sizes for their dims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto

from feasibility.facts.node_work import with_work
from feasibility.graph.inputs import input_plans
from feasibility.graph.typed_graph import TypedGraph
from feasibility.records.facts import ModelFacts
from feasibility.records.workload import InputPlan


def analyse(model: ModelProto, dims: Mapping[str, int]) -> ModelFacts:
    facts = ModelFacts(tool_version="", name="", path="", format="onnx", file_bytes=0, producer="")
    return with_work(facts, typed(model, dims))


def typed(model: ModelProto, dims: Mapping[str, int]) -> TypedGraph:
    return input_plans.choose_sizes(model, dims).likeliest[1]


def bind_dims(model: ModelProto, dims: Mapping[str, int]) -> InputPlan:
    return input_plans.choose_sizes(model, dims).likeliest[0]


def plan_inputs(
    model: ModelProto,
    *,
    dims: Mapping[str, int],
    files: Mapping[str, Path] | None = None,
    archive: Path | None = None,
) -> tuple[InputPlan, ...]:
    return input_plans.plan_inputs(input_plans.choose_sizes(model, dims, files, archive))
