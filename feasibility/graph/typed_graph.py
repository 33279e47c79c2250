"""Which data structure holds a graph with the types of all its values?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from onnx import NodeProto

from feasibility.graph.attributes import Attributes
from feasibility.graph.value_types import UNKNOWN, Array, Shape, ValueType

# Operators whose bodies can read values of the enclosing graphs.
_CONTROL_FLOW: Final = frozenset({"If", "Loop", "Scan"})

# Nodes that ONNX Runtime does not fold while loading, even if their inputs are constant: random
# ones, and DequantizeLinear, which it needs to find quantized operators.
# Source: onnxruntime/core/optimizer/constant_folding.cc.
NEVER_FOLDED: Final = frozenset(
    {
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial",
        "Bernoulli", "Dropout", "DequantizeLinear", "SequenceConstruct", "SequenceEmpty",
        "Optional", "If", "Loop", "Scan", "SequenceMap",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One node and what is known about its inputs.

    Args:
        node: The node, with attribute references of a function replaced.
        op_type: Its operator; for a TensorFlow Lite file the ONNX operator of the same work.
        domain: Its operator domain; the default domain is the empty string.
        inputs: Types of its inputs; unknown for omitted ones.
        values: Values of its inputs, if small and known.
    """

    node: NodeProto
    op_type: str
    domain: str
    attributes: Attributes
    inputs: tuple[ValueType, ...]
    values: tuple[Array | None, ...]

    def is_given(self, index: int) -> bool:
        """True if an input is not omitted."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def type_of(self, index: int) -> ValueType:
        """Type of an input; unknown if it is omitted."""
        return self.inputs[index] if index < len(self.inputs) else UNKNOWN

    def shape(self, index: int, rank: int) -> Shape:
        """Shape of an input; all dims are open if its rank is not `rank`."""
        shape = self.type_of(index).shape
        return shape if shape is not None and len(shape) == rank else (None,) * rank

    def dim(self, index: int, axis: int) -> int | None:
        """One dim of an input."""
        shape = self.type_of(index).shape
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def value(self, index: int) -> Array | None:
        """Value of an input; None if unknown."""
        return self.values[index] if index < len(self.values) else None

    def number(self, index: int) -> int | None:
        """Value of an input that is a single integer."""
        value = self.value(index)
        if value is None or value.size != 1 or value.dtype.kind not in "iub":
            return None
        return int(value.reshape(-1)[0])


@dataclass(frozen=True, slots=True)
class TypedNode(Call):
    """One node and what is known about its inputs and outputs.

    Args:
        bodies: Its subgraphs, or the body of the function that it calls.
        trip_count: Runs of each body per run of the node; None if unknown.
        is_folded: True if all inputs are constants, so the runtime computes it while loading.
        refusal: Why the node cannot run with these shapes; empty if it can.
    """

    outputs: tuple[ValueType, ...] = ()
    bodies: tuple[TypedGraph, ...] = ()
    trip_count: int | None = 1
    is_folded: bool = False
    refusal: str = ""

    @property
    def name(self) -> str:
        """Its name, or that of its first output."""
        return self.node.name or next(iter(self.node.output), "") or self.node.op_type

    @property
    def is_call(self) -> bool:
        """True if its body is that of a function of the model."""
        return bool(self.bodies) and (bool(self.domain) or self.op_type not in _CONTROL_FLOW)

    def outer_reads(self) -> set[str]:
        """Names that its bodies read from the enclosing graphs; function bodies read none."""
        names: set[str] = set()
        if self.is_call:
            return names
        for body in self.bodies:
            made = set(body.inputs) | body.initializers
            for inner in body.nodes:
                names.update((set(inner.node.input) | inner.outer_reads()) - made)
                made.update(inner.node.output)
            names.update(set(body.outputs) - made)
        names.discard("")
        return names

    def output(self, index: int = 0) -> ValueType:
        """Type of an output; unknown if the node has fewer."""
        return self.outputs[index] if index < len(self.outputs) else UNKNOWN


@dataclass(frozen=True, slots=True)
class TypedGraph:
    """A graph, subgraph or function body with the types of all its values.

    Args:
        name: Attribute or function whose body it is; empty for the main graph.
        nodes: Nodes in execution order.
        inputs: Names of the inputs that a caller must give.
        types: Types by value name, with those of enclosing graphs.
        initializers: Names of its own initializers.
        constants: By value name, whether it depends on constants only.
        output_values: Values of its outputs, if small and known.
    """

    name: str
    nodes: tuple[TypedNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, ValueType]
    initializers: frozenset[str]
    constants: Mapping[str, bool]
    output_values: tuple[Array | None, ...]

    def output_types(self) -> tuple[ValueType, ...]:
        """Types of its outputs."""
        return tuple(self.types.get(name, UNKNOWN) for name in self.outputs)

    def all_graphs(self) -> Iterator[TypedGraph]:
        """The graph, and the bodies of its nodes and of theirs."""
        yield self
        for node in self.nodes:
            for body in node.bodies:
                yield from body.all_graphs()

    def all_nodes(self) -> Iterator[TypedNode]:
        """Its nodes, and those of its bodies."""
        for graph in self.all_graphs():
            yield from graph.nodes
