"""Which node computes a value, and which nodes read it?"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from feasibility.graph.typed_graph import TypedGraph, TypedNode


class Usage:
    """Reads and writes of the nodes of a graph, without nodes folded while loading."""

    def __init__(self, graph: TypedGraph) -> None:
        self._graph = graph
        self.nodes = tuple(
            node for node in graph.nodes if not node.is_folded and any(node.node.output)
        )
        self.outputs = frozenset(graph.outputs)
        self._counts: Counter[str] = Counter(graph.outputs)
        self._readers: defaultdict[str, list[int]] = defaultdict(list)
        self._makers: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            for name in _given(node.node.input):
                self._counts[name] += 1
                self._readers[name].append(index)
            self._counts.update(node.outer_reads())
            for name in _given(node.node.output):
                self._makers[name] = index

    def is_constant(self, name: str) -> bool:
        """True for initializers and for results that are computed while loading."""
        return self._graph.constants.get(name, name in self._graph.initializers)

    def has_constant(self, node: TypedNode, index: int) -> bool:
        """True if an input of a node is given and constant."""
        return node.is_given(index) and self.is_constant(node.node.input[index])

    def variable_inputs(self, node: TypedNode) -> tuple[str, ...]:
        """Inputs of a node that are not constant."""
        return tuple(name for name in _given(node.node.input) if not self.is_constant(name))

    def count(self, name: str) -> int:
        """Number of reads of a value, by nodes and by the caller."""
        return self._counts[name]

    def readers_at(self, name: str) -> tuple[int, ...]:
        """Positions of the nodes that read a value, in execution order."""
        return tuple(self._readers.get(name, ()))

    def only_reader(self, name: str) -> TypedNode | None:
        """The only node that reads a value; None if there are more, or the caller reads it."""
        index = self.only_reader_at(name)
        return None if index is None else self.nodes[index]

    def only_reader_at(self, name: str) -> int | None:
        """Position of the only node that reads a value."""
        if self._counts[name] != 1 or name in self.outputs or not self._readers[name]:
            return None
        return self._readers[name][0]

    def chain(self, first: int, *operators: str) -> list[int]:
        """Positions of a node and of those that follow it, as far as they have these operators.

        Each node is the only reader of the one before it. One entry of `operators` can name
        several, separated by spaces.
        """
        found = [first]
        for names in operators:
            index = self.only_reader_at(self.nodes[found[-1]].node.output[0])
            if index is None or self.nodes[index].op_type not in names.split():
                break
            found.append(index)
        return found

    def maker(self, name: str) -> TypedNode | None:
        """The node that computes a value; None for inputs and constants."""
        index = self.maker_at(name)
        return None if index is None else self.nodes[index]

    def maker_at(self, name: str) -> int | None:
        """Position of the node that computes a value."""
        return self._makers.get(name)


def computation(
    node: TypedNode, is_constant: Callable[[str], bool], named: Callable[[str], str]
) -> tuple[object, ...]:
    """Key of a computation: operator, inputs, attributes and number of outputs.

    Small constants are compared by value: the runtime merges equal ones. `named` gives the name
    of the value that replaces another input.
    """
    attributes = sorted(
        (name, value.SerializeToString(deterministic=True))
        for name, value in node.attributes.items()
    )
    inputs = (
        named(name)
        if value is None or not is_constant(name)
        else (value.dtype.str, value.shape, value.tobytes())
        for name, value in zip(node.node.input, node.values, strict=True)
    )
    return (node.domain, node.op_type, len(node.node.output), *inputs, *attributes)


def _given(names: Iterable[str]) -> Iterator[str]:
    """Names of inputs or outputs that are not omitted."""
    return (name for name in names if name)
