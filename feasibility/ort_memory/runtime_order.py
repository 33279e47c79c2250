"""In which order does the runtime execute its steps?

Not in the order of the file: it walks from the last results back to the inputs, depth first. Of
several inputs it computes the one of the newest node first. Nodes that the optimizer creates are
newer than all nodes of the file.
Source: Graph::ReverseDFSFrom (onnxruntime/core/graph/graph.cc), with the order of
onnxruntime/core/graph/graph_viewer.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feasibility.ort_memory.steps import Step


def in_runtime_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps in execution order. Steps of a cycle, in a broken graph, come last."""
    makers = {name: index for index, step in enumerate(steps) for name in step.writes}

    def by_age(indices: set[int]) -> list[int]:
        return sorted(indices, key=lambda index: (steps[index].age, index))

    needed = [{makers[name] for name in step.reads if name in makers} for step in steps]
    roots = set(range(len(steps))).difference(*needed)
    stack = [(index, False) for index in by_age(roots)]
    is_visited = bytearray(len(steps))
    order: list[int] = []
    while stack:
        index, is_left = stack.pop()
        if is_left:
            order.append(index)
        elif not is_visited[index]:
            is_visited[index] = True
            stack.append((index, True))
            stack.extend((source, False) for source in by_age(needed[index]))
    order.extend(index for index in range(len(steps)) if not is_visited[index])
    return tuple(steps[index] for index in order)
