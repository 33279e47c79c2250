"""Which parts of a graph are read, and how are the others removed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from feasibility.model_file.subgraph_names import bodies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onnx import GraphProto, ModelProto, NodeProto

# Domain of the operators of ONNX Runtime that ONNX does not have.
RUNTIME_DOMAIN: Final = "com.microsoft"


def keep_only(entries: Any, is_kept: Callable[[Any], bool]) -> None:
    """Keeps only these entries of a repeated field, such as the nodes of a graph."""
    kept = [each for each in entries if is_kept(each)]
    del entries[:]
    entries.extend(kept)


def import_runtime_operators(model: ModelProto) -> None:
    """Lets a model use operators of `RUNTIME_DOMAIN`."""
    if all(each.domain != RUNTIME_DOMAIN for each in model.opset_import):
        model.opset_import.add(domain=RUNTIME_DOMAIN, version=1)


def names_read(graph: GraphProto) -> Iterator[str]:
    """Names that nodes of a graph read, and those of bodies in it."""
    for node in graph.node:
        yield from node.input
        yield from names_read_in_bodies(node)


def names_read_in_bodies(node: NodeProto) -> Iterator[str]:
    """Names that the bodies of a node read or return."""
    for _, body in bodies(node, ""):
        yield from names_read(body)
        yield from (each.name for each in body.output)
