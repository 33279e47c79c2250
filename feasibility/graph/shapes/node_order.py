"""Nodes in an order in which they can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from onnx import NodeProto


def execution_order(nodes: Sequence[NodeProto], available: Container[str]) -> Sequence[NodeProto]:
    """The nodes, each behind those that make its inputs; in file order wherever that works.

    The standard demands sorted files, and the runtime sorts the others. Nodes on a cycle
    come last, in file order.

    Args:
        nodes: Nodes of one graph.
        available: Names that exist before the first node.
    """
    producers: dict[str, int] = {}
    for at, node in enumerate(nodes):
        for name in node.output:
            producers.setdefault(name, at)
    if all(
        producers.get(name, -1) < at or name in available
        for at, node in enumerate(nodes)
        for name in node.input
        if name
    ):
        return nodes
    return _sorted(nodes, producers, available)


def _sorted(
    nodes: Sequence[NodeProto], producers: dict[str, int], available: Container[str]
) -> Sequence[NodeProto]:
    """Depth first from each node in file order, so that what was sorted stays as it was."""
    order: list[int] = []
    done = bytearray(len(nodes))  # 1 while its inputs are being visited, 2 once placed
    for root in range(len(nodes)):
        stack = [root]
        while stack:
            at = stack[-1]
            if done[at] == 2:
                stack.pop()
                continue
            needed = [
                producers[name]
                for name in nodes[at].input
                if name in producers and name not in available and not done[producers[name]]
            ]
            if done[at] == 0:
                done[at] = 1
                stack.extend(reversed(needed))
                continue
            done[at] = 2
            order.append(at)
            stack.pop()
    return [nodes[at] for at in order]
