"""Sizes for the dims that a model leaves open, by name and by the role of the input.

The same name always gets the same size. Each size that nobody gave is an
assumption with the option that overrides it. Where an assumed size cannot be
right (a layer's weight does not fit it), other likely sizes come first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from feasibility.graph.inputs.dim_roles import OpenInput, known_values
from feasibility.graph.inputs.dim_sizes import DimBinding, candidates, open_dims, scaled
from feasibility.graph.shapes.impossible_shapes import conflicts
from feasibility.graph.shapes.type_graph import type_graph
from feasibility.graph.value_types import ValueType
from feasibility.records.base import Assumption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto

    from feasibility.graph.typed_graph import TypedGraph

_OTHER: Final = "the usual size does not fit this model; this one may"
# Work on finding a size that fits is bounded by nodes looked at, not by time, so that
# the choice is the same on every machine.
_MAX_NODES_TRIED: Final = 20_000
MAX_BINDINGS: Final = 8
# How many times a size is worked out from a contradiction before the usual ones are tried.
_MAX_SOLVING: Final = 4

Checked: TypeAlias = "tuple[DimBinding, TypedGraph | None]"


def bind_inputs(inputs: tuple[OpenInput, ...], dims: Mapping[str, int]) -> dict[str, ValueType]:
    """Types of the given inputs with their open dims bound."""
    types = {}
    for given in inputs:
        shape = tuple(
            size if key is None else dims.get(key)
            for size, key in zip(given.shape, given.keys, strict=True)
        )
        is_tensor = given.kind == "tensor"
        types[given.name] = ValueType(
            given.elem_type, shape, given.kind, None if is_tensor else given.type
        )
    return types


def typed(model: ModelProto, inputs: tuple[OpenInput, ...], binding: DimBinding) -> TypedGraph:
    """The graph with the types of all its values under one choice of sizes."""
    return type_graph(model, bind_inputs(inputs, binding.dims), known_values(inputs))


def likely_bindings(
    model: ModelProto, inputs: tuple[OpenInput, ...], overrides: Mapping[str, int]
) -> list[Checked]:
    """Complete choices of sizes, likeliest first, at most `MAX_BINDINGS`.

    The graph is that of the sizes where they had to be checked against the model, so that
    nobody need type it again. The first choice always has one.

    Raises:
        InputError: An override for a dim that the model does not have, or a negative size.
    """
    dims = open_dims(inputs)
    pending = deque(candidates(dims, overrides))
    fitting: list[Checked] = []
    others: list[Checked] = []
    seen: set[tuple[int, ...]] = set()
    tried_count = 0
    while pending:
        binding = pending.popleft()
        sizes = tuple(binding.dims.values())
        if sizes in seen:
            continue
        seen.add(sizes)
        if fitting or tried_count > _MAX_NODES_TRIED:
            (fitting or others).append((binding, None))
            continue
        graph = typed(model, inputs, binding)
        tried_count += max(len(graph.nodes), 1)
        refused = next((node for node in graph.all_nodes() if node.refusal), None)
        if refused is None:
            fitting.append((binding, graph))
            continue
        if len(others) < _MAX_SOLVING:
            for have, want in conflicts(refused):
                pending.extendleft(scaled(dims, overrides, binding, have, want))
        others.append((binding, None if others else graph))
    if fitting and others:
        # The remaining sizes were never checked; those known not to fit go last.
        fitting[0] = (_explained(fitting[0][0], others[0][0]), fitting[0][1])
    return [*fitting, *others][:MAX_BINDINGS]


def _explained(chosen: DimBinding, usual: DimBinding) -> DimBinding:
    """The binding with the sizes that differ from the usual ones marked as such."""
    assumptions = tuple(
        item
        if usual.dims.get(item.subject) == chosen.dims.get(item.subject)
        else _with_reason(item, _OTHER)
        for item in chosen.assumptions
    )
    return replace(chosen, assumptions=assumptions)


def _with_reason(item: Assumption, reason: str) -> Assumption:
    """The same assumption with another reason."""
    return Assumption(subject=item.subject, value=item.value, reason=reason, option=item.option)
