"""A graph with the types of all its values: what the analyses work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feasibility.graph.value_types import UNKNOWN, ValueType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import NodeProto

    from feasibility.graph.attributes import Attributes
    from feasibility.graph.constant_folding import Array
    from feasibility.graph.value_types import Shape


# Operators whose bodies see the values of the graphs around them.
_CONTROL_FLOW: Final = frozenset({"If", "Loop", "Scan"})


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an operator and what is known of its inputs.

    Args:
        node: The node itself, attribute references of a function filled in.
        op_type: Its operator.
        domain: Its operator domain, the default one as the empty string.
        attributes: Its attributes by name.
        inputs: Types of its inputs, unknown for those left out.
        values: Values of its inputs where they are small and known.
    """

    node: NodeProto
    op_type: str
    domain: str
    attributes: Attributes
    inputs: tuple[ValueType, ...]
    values: tuple[Array | None, ...]

    def is_given(self, at: int) -> bool:
        """True if that input is there and not left out."""
        return at < len(self.node.input) and bool(self.node.input[at])

    def type_of(self, at: int) -> ValueType:
        """Type of an input; unknown where it is left out."""
        return self.inputs[at] if at < len(self.inputs) else UNKNOWN

    def shape(self, at: int, rank: int) -> Shape:
        """Shape of an input, all dims open where its rank is not `rank`."""
        shape = self.type_of(at).shape
        return shape if shape is not None and len(shape) == rank else (None,) * rank

    def dim(self, at: int, axis: int) -> int | None:
        """One dim of an input."""
        shape = self.type_of(at).shape
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def value(self, at: int) -> Array | None:
        """Value of an input where it is known."""
        return self.values[at] if at < len(self.values) else None

    def number(self, at: int) -> int | None:
        """Value of an input that is one whole number."""
        value = self.value(at)
        if value is None or value.size != 1 or value.dtype.kind not in "iub":
            return None
        return int(value.reshape(-1)[0])


@dataclass(frozen=True, slots=True)
class TypedNode(Call):
    """One node with what is known of its inputs and outputs.

    Args:
        outputs: Types of its outputs.
        bodies: Its subgraphs, or the body of the function that it calls.
        trip_count: Runs of each body per run of the node; None where not known.
        is_folded: True if it depends on nothing but constants, so that the runtime
            computes it once while loading.
        refusal: Why the node cannot run with these shapes; empty if nothing is against it.
    """

    outputs: tuple[ValueType, ...] = ()
    bodies: tuple[TypedGraph, ...] = ()
    trip_count: int | None = 1
    is_folded: bool = False
    refusal: str = ""

    @property
    def name(self) -> str:
        """Its name, or that of its first output where it has none."""
        return self.node.name or next(iter(self.node.output), "") or self.node.op_type

    def outer_reads(self) -> set[str]:
        """Names that its bodies take from the graphs around them; a function's body takes none."""
        names: set[str] = set()
        if self.op_type not in _CONTROL_FLOW:
            return names
        for body in self.bodies:
            made = set(body.inputs) | body.initializers
            for inner in body.nodes:
                names.update((set(inner.node.input) | inner.outer_reads()) - made)
                made.update(inner.node.output)
            names.update(set(body.outputs) - made)
        names.discard("")
        return names

    def output(self, at: int = 0) -> ValueType:
        """Type of an output; unknown where there are fewer."""
        return self.outputs[at] if at < len(self.outputs) else UNKNOWN


@dataclass(frozen=True, slots=True)
class TypedGraph:
    """A graph, subgraph or function body with the types of all its values.

    Args:
        name: Name of the attribute or function that it is the body of; empty at the top.
        nodes: Nodes in the order in which they run.
        inputs: Names of the inputs that must be fed, initializers left out.
        outputs: Names of the outputs.
        types: Types by value name, those of enclosing graphs included.
        initializers: Names of its own initializers.
        constants: By value name, whether it depends on nothing but constants.
    """

    name: str
    nodes: tuple[TypedNode, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, ValueType]
    initializers: frozenset[str]
    constants: Mapping[str, bool]

    def output_types(self) -> tuple[ValueType, ...]:
        """Types of its outputs."""
        return tuple(self.types.get(name, UNKNOWN) for name in self.outputs)

    def all_nodes(self) -> Iterator[TypedNode]:
        """Its nodes, each followed by those of its bodies."""
        for node in self.nodes:
            yield node
            for body in node.bodies:
                yield from body.all_nodes()
