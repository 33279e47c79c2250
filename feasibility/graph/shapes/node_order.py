"""In which order can the nodes of a graph run?"""

from __future__ import annotations

from collections.abc import Container, Sequence

from onnx import NodeProto


def execution_order(nodes: Sequence[NodeProto], available: Container[str]) -> Sequence[NodeProto]:
    """The nodes, each after those that compute its inputs; in file order if possible.

    The standard requires sorted files; the runtime sorts other files. Nodes in a cycle come
    last, in file order.

    `available` are the names that exist before the first node.
    """
    producers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        for name in node.output:
            producers.setdefault(name, index)
    if all(
        producers.get(name, -1) < index or name in available
        for index, node in enumerate(nodes)
        for name in node.input
        if name
    ):
        return nodes
    return _sorted(nodes, producers, available)


def _sorted(
    nodes: Sequence[NodeProto], producers: dict[str, int], available: Container[str]
) -> Sequence[NodeProto]:
    """Depth first from each node in file order, so that sorted parts keep their order."""
    order: list[int] = []
    done = bytearray(len(nodes))  # 1 while its inputs are being visited, 2 once placed
    for root in range(len(nodes)):
        stack = [root]
        while stack:
            index = stack[-1]
            if done[index] == 2:
                stack.pop()
                continue
            needed = [
                producers[name]
                for name in nodes[index].input
                if name in producers and name not in available and not done[producers[name]]
            ]
            if done[index] == 0:
                done[index] = 1
                stack.extend(reversed(needed))
                continue
            done[index] = 2
            order.append(index)
            stack.pop()
    return [nodes[index] for index in order]
