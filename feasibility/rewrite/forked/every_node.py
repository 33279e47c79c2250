"""Which nodes does a model have, and what are they called?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from feasibility.model_file.subgraph_names import bodies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from onnx import ModelProto, NodeProto


def every_node(model: ModelProto) -> Iterator[NodeProto]:
    """The nodes of the graph, of bodies in it and of functions."""

    def below(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
        for node in nodes:
            yield node
            for _, body in bodies(node, ""):
                yield from below(body.node)

    yield from below(model.graph.node)
    for function in model.functions:
        yield from below(function.node)


def name_of(node: NodeProto) -> str:
    """The name of a node, or that of its first output if it has none."""
    return node.name or next(filter(None, node.output), "")
