"""What does a graph look like without calls of the model's own functions?

The runtime replaces each call by the nodes of the function before it optimises the graph.
Source: Graph::InlineFunction (onnxruntime/core/graph/graph.cc).
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import replace
from typing import TYPE_CHECKING

from onnx import NodeProto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from feasibility.graph.typed_graph import TypedGraph, TypedNode
    from feasibility.graph.value_types import ValueType


def without_calls(graph: TypedGraph) -> TypedGraph:
    """The graph with each call replaced by the nodes of its function, in bodies too."""
    if not any(node.is_call for node in graph.all_nodes()):
        return graph
    types, constants = dict(graph.types), dict(graph.constants)
    nodes = [
        each
        for at, node in enumerate(graph.nodes)
        for each in _expanded(node, str(at), types, constants)
    ]
    return replace(graph, nodes=tuple(nodes), types=types, constants=constants)


def _expanded(
    node: TypedNode, place: str, types: dict[str, ValueType], constants: dict[str, bool]
) -> Iterator[TypedNode]:
    """The nodes that replace a node; `place` makes the names of their values unique."""
    if not node.is_call:
        yield replace(node, bodies=tuple(map(without_calls, node.bodies)))
        return
    (body,) = node.bodies
    if not set(body.inputs).isdisjoint(body.outputs):
        # What the function returns as it is needs no nodes; the call stays.
        yield replace(node, bodies=())
        return
    # Inputs that the call leaves out have no name.
    names = dict.fromkeys(body.inputs, "")
    names.update(zip(body.inputs, node.node.input, strict=False))
    results = zip(body.outputs, node.node.output, strict=False)
    names.update((inner, outer) for inner, outer in results if outer)

    def named(name: str) -> str:
        return names.get(name, f"{place}/{name}") if name else ""

    for name, value in body.types.items():
        if name not in body.inputs:
            types[named(name)] = value
            constants[named(name)] = body.constants.get(name, False)
    for at, inner_node in enumerate(body.nodes):
        renamed = _renamed(inner_node, named, types)
        yield from _expanded(renamed, f"{place}/{at}", types, constants)


def _renamed(
    node: TypedNode, named: Callable[[str], str], types: dict[str, ValueType]
) -> TypedNode:
    """A node whose values, and those that its bodies read from around it, have other names."""
    proto = NodeProto()
    proto.CopyFrom(node.node)
    proto.input[:] = map(named, node.node.input)
    proto.output[:] = map(named, node.node.output)
    if node.is_call:
        return replace(node, node=proto)
    bodies = tuple(_renamed_body(body, named, types) for body in node.bodies)
    return replace(node, node=proto, bodies=bodies)


def _renamed_body(
    body: TypedGraph, named: Callable[[str], str], types: dict[str, ValueType]
) -> TypedGraph:
    own = {*body.inputs, *body.initializers}
    own.update(name for node in body.nodes for name in node.node.output)

    def inner(name: str) -> str:
        return name if name in own else named(name)

    return replace(
        body,
        nodes=tuple(_renamed(node, inner, types) for node in body.nodes),
        outputs=tuple(map(inner, body.outputs)),
        types=ChainMap(dict(body.types), types),
    )
