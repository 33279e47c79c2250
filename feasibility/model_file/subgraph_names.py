"""Which subgraphs does a node hold, and by which path are they named in reports?"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import FunctionProto, GraphProto, NodeProto


def bodies(node: NodeProto, scope: str) -> Iterator[tuple[str, GraphProto]]:
    """The graphs in a node's attributes with their paths, for example `loop_1/body`.

    `scope` is the path of the graph or function that holds the node; empty for the main graph.
    """
    for attribute in node.attribute:
        # By the fields that are set; the declared type may be missing.
        has_graph = attribute.HasField("g")
        if not has_graph and not attribute.graphs:
            continue
        label = node.name or (node.output[0] if node.output else node.op_type)
        path = "/".join(part for part in (scope, label, attribute.name) if part)
        if has_graph:
            yield path, attribute.g
        for index, graph in enumerate(attribute.graphs):
            yield f"{path}[{index}]", graph


def function_scope(function: FunctionProto) -> str:
    """Path of a model-local function's body."""
    return f"{function.domain}:{function.name}"
