"""What do If, Loop and Scan return, and how often do their bodies run?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
from onnx import GraphProto, TensorProto

from feasibility.graph.attributes import graph_of, int_of, ints_of
from feasibility.graph.typed_graph import Call, TypedGraph
from feasibility.graph.value_types import UNKNOWN, Array, ValueType, merge

# Types a body by its name and graph, the types of its inputs and, by position, their values.
BodyWalker: TypeAlias = Callable[
    [str, GraphProto, Sequence[ValueType], Mapping[int, Array]], TypedGraph
]

# Loops with a larger trip count are `while` loops whose count is a placeholder.
MAX_TRIPS: Final = 2**31


@dataclass(frozen=True, slots=True)
class Flow:
    """Result of typing a node.

    Args:
        outputs: Types of its outputs; of missing ones nothing is known.
        trip_count: Runs of each body per run of the node; None if unknown.
    """

    outputs: tuple[ValueType, ...]
    bodies: tuple[TypedGraph, ...] = ()
    trip_count: int | None = 1


def branches(call: Call, walk: BodyWalker) -> Flow:
    """An If: one body if the condition is known, else both and their common types."""
    chosen = _truth(call.values[0]) if call.values else None
    names: tuple[str, ...] = ("then_branch", "else_branch")
    if chosen is not None:
        names = (names[0],) if chosen else (names[1],)
    bodies = [
        walk(name, graph, (), {})
        for name in names
        if (graph := graph_of(call.attributes, name)) is not None
    ]
    outputs: tuple[ValueType, ...] = ()
    for body in bodies:
        given = _padded(body.output_types(), len(call.node.output))
        outputs = given if not outputs else tuple(map(merge, outputs, given))
    return Flow(outputs, tuple(bodies))


def loop(call: Call, walk: BodyWalker) -> Flow:
    """A Loop: the types of carried values must hold before and after each iteration."""
    graph = graph_of(call.attributes, "body")
    if graph is None:
        return Flow((), trip_count=None)
    carried = call.inputs[2:]
    condition = call.values[1] if len(call.values) > 1 else None
    starts_true = not call.is_given(1) or _truth(condition)
    values = {1: np.ones((), bool)} if starts_true else {}
    header = (ValueType(TensorProto.INT64, ()), ValueType(TensorProto.BOOL, ()))
    body = walk("body", graph, (*header, *carried), values)
    after = _padded(body.output_types()[1:], len(carried))
    settled = tuple(map(_widened, carried, after))
    if settled != carried:
        body = walk("body", graph, (*header, *settled), values)
    goes_on = body.output_values[0] if body.output_values else None
    trip_count = None
    limit = call.number(0)
    if limit is not None and starts_true and _truth(goes_on):
        trip_count = max(limit, 0)
    if starts_true is False:
        trip_count = 0
    if trip_count is not None and trip_count >= MAX_TRIPS:
        trip_count = None
    stacked = tuple(
        _stacked(value, trip_count, 0) for value in body.output_types()[1 + len(carried) :]
    )
    return Flow((*settled, *stacked), (body,), trip_count)


def scan(call: Call, walk: BodyWalker, *, has_batch: bool = False) -> Flow:
    """A Scan: one iteration per entry of its scan inputs.

    Operator set 8 has a batch dim and sequence lengths (`has_batch`).
    """
    graph = graph_of(call.attributes, "body")
    count = int_of(call.attributes, "num_scan_inputs", 0)
    inputs = call.inputs[1:] if has_batch else call.inputs
    if graph is None or not 0 < count <= len(inputs):
        return Flow((), trip_count=None)
    states, scanned = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    axes = ints_of(call.attributes, "scan_input_axes") or (0,) * count
    trip_count: int | None = None
    slices = []
    for value, axis in zip(scanned, (*axes, *(0,) * count), strict=False):
        rest, length = _without(value, 1 if has_batch else axis)
        trip_count = length if trip_count is None else trip_count
        slices.append(_without(rest, 0)[0] if has_batch else rest)
    batch = scanned[0].shape[0] if has_batch and scanned[0].shape else None
    if has_batch:
        states = tuple(_without(value, 0)[0] for value in states)
    body = walk("body", graph, (*states, *slices), {})
    found = body.output_types()
    settled = tuple(map(_widened, states, _padded(found, len(states))))
    out_axes = ints_of(call.attributes, "scan_output_axes") or ()
    stacked = tuple(
        _stacked(value, trip_count, out_axes[index] if index < len(out_axes) else 0)
        for index, value in enumerate(found[len(states) :])
    )
    outputs = (*settled, *stacked)
    if has_batch:
        outputs = tuple(_stacked(value, batch, 0) for value in outputs)
        trip_count = None if trip_count is None or batch is None else trip_count * batch
    if trip_count is not None and trip_count >= MAX_TRIPS:
        trip_count = None
    return Flow(outputs, (body,), trip_count)


def _truth(value: Array | None) -> bool | None:
    return bool(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


def _padded(types: Sequence[ValueType], count: int) -> tuple[ValueType, ...]:
    return (*types, *(UNKNOWN,) * count)[:count]


def _widened(before: ValueType, after: ValueType) -> ValueType:
    """The common type of a carried value; its type before the loop if the body's is unknown."""
    if after.elem_type == 0 and after.kind == "tensor":
        return replace(before, shape=None) if before.kind == "tensor" else before
    if before.elem_type == 0:
        return after
    return merge(before, after)


def _stacked(value: ValueType, length: int | None, axis: int) -> ValueType:
    if value.kind != "tensor":
        return UNKNOWN
    if value.shape is None:
        return value
    index = axis if axis >= 0 else len(value.shape) + 1 + axis
    return value.with_shape((*value.shape[:index], length, *value.shape[index:]))


def _without(value: ValueType, axis: int) -> tuple[ValueType, int | None]:
    """The value without one axis, and the length of that axis."""
    shape = value.shape
    if shape is None or not -len(shape) <= axis < len(shape):
        return value.with_shape(None), None
    index = axis % len(shape)
    return value.with_shape((*shape[:index], *shape[index + 1 :])), shape[index]
