"""In which order does the runtime execute its steps?

Not in the order of the file: it walks from the last results back to the inputs, depth first. Of
several inputs it computes the one of the newest node first. Nodes that the optimizer creates are
newer than all nodes of the file. It creates the conversions from blocks in the order of a hash
table of addresses, so this order, and with it the memory, differs from process to process.
Source: Graph::ReverseDFSFrom (onnxruntime/core/graph/graph.cc), with the order of
onnxruntime/core/graph/graph_viewer.cc; nchwc_args_ in core/optimizer/nchwc_transformer.cc.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from feasibility.ort_memory.steps import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feasibility.ort_memory.steps import Step


def in_runtime_order(steps: Sequence[Step], process: int = 0) -> tuple[Step, ...]:
    """The steps in execution order. Steps of a cycle, in a broken graph, come last.

    `process` stands for one of the processes, which convert values from blocks in other orders.
    """
    makers = {name: index for index, step in enumerate(steps) for name in step.writes}
    chance = Random(process).random  # noqa: S311 - no secret, and the same in every run
    ages = [
        (stage, chance() if stage == Stage.UNBLOCKED else at)
        for stage, at in (step.age for step in steps)
    ]

    def by_age(indices: set[int]) -> list[int]:
        return sorted(indices, key=lambda index: (ages[index], index))

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
