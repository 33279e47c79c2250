"""Typed graphs for the tests of the memory model, and their programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from feasibility.ort_memory.graph_to_steps import lower
from feasibility.ort_memory.optimised_graph import optimise
from tests.analysed import typed
from tests.analysis_models import FLOAT, graph, model, node, weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import GraphProto, NodeProto, TensorProto

    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.ort_memory.channel_blocks import Blocks
    from feasibility.ort_memory.steps import OpenAxes, Program

    Inputs = dict[str, tuple[int, list[int]]]


def reads(*shape: int, elem_type: int = FLOAT) -> Inputs:
    """The only input of a graph, `x`."""
    return {"x": (elem_type, list(shape))}


def graph_of(
    nodes: Sequence[NodeProto],
    inputs: Inputs,
    outputs: Sequence[str] = ("y",),
    weights: Sequence[TensorProto] = (),
) -> TypedGraph:
    return typed(model(nodes, inputs, outputs, weights), {})


def program_of(
    graph: TypedGraph,
    blocks: Blocks | None = None,
    open_axes: OpenAxes | None = None,
    halves: frozenset[str] = frozenset(),
) -> Program:
    return lower(optimise(graph, open_axes or {}), blocks, halves)


def steps_of(
    graph: TypedGraph, blocks: Blocks | None = None, open_axes: OpenAxes | None = None
) -> list[str]:
    return [step.op_type for step in program_of(graph, blocks, open_axes).steps]


def convolution(read: str, write: str, weights: str = "w", **options: object) -> NodeProto:
    return node("Conv", f"{read} {weights}", write, pads=[1, 1, 1, 1], **options)


def branch(name: str, weight_name: str, size: int = 1024) -> GraphProto:
    """A branch of an If, with a weight of its own."""
    add = node("Add", f"x {weight_name}", name)
    return graph([add], [], [onnx.ValueInfoProto(name=name)], [weight(weight_name, size)])
