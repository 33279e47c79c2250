"""Which nodes must not reach onnx's C++ shape inference, because it would hang or crash on them?

Neither Ctrl-C nor an exception handler reaches that code, so these nodes are refused before.
No runtime runs any of them. Found by calling onnx 1.23 with random attributes on every
operator of every version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from onnx import GraphProto, NodeProto

from feasibility.graph.value_types import MAX_RANK, ValueType

Inputs = Sequence[ValueType]

_TERM: Final = rb"[A-Za-z]*(?:\.\.\.[A-Za-z]*)?"
_EQUATION: Final = re.compile(rb"%s(?:,%s)*(?:->%s)?" % (_TERM, _TERM, _TERM))


def why_unsafe(node: NodeProto, inputs: Inputs) -> str:
    """Why onnx's shape inference would hang or crash on a node; empty if it is safe."""
    for attribute in node.attribute:
        if attribute.name == "axis" and abs(attribute.i) > MAX_RANK:
            return f"its axis is {attribute.i}"
        if attribute.HasField("g") and (name := _risky_operator(attribute.g)):
            return f"its body holds {name}, which is not checked there"
    rule = _RULES.get(node.op_type)
    return rule(node, inputs) if rule is not None else ""


def _risky_operator(graph: GraphProto) -> str:
    """An operator in a body for which there is a rule, or that has bodies itself."""
    for node in graph.node:
        if node.op_type in _RULES or any(
            attribute.HasField("g") or attribute.name == "axis" for attribute in node.attribute
        ):
            return str(node.op_type)
    return ""


def _numbers(node: NodeProto, name: str) -> Iterator[int]:
    """The integer attributes of a name; onnx looks at neither their type nor their count."""
    return (item.i for item in node.attribute if item.name == name)


def _einsum(node: NodeProto, _: Inputs) -> str:
    for attribute in node.attribute:
        equation = attribute.s.replace(b" ", b"")
        if attribute.name == "equation" and not _EQUATION.fullmatch(equation):
            return "its equation is not letters, commas, '...' and one '->'"
    return ""


def _gather_nd(node: NodeProto, _: Inputs) -> str:
    return "its batch_dims is negative" if min(_numbers(node, "batch_dims"), default=0) < 0 else ""


def _split(node: NodeProto, _: Inputs) -> str:
    made = len(node.output)
    asked = next((count for count in _numbers(node, "num_outputs") if count != made), made)
    return "" if asked == made else f"its num_outputs is {asked}, and it has {made} outputs"


def _long_target(_: NodeProto, inputs: Inputs) -> str:
    # A target shape whose values are not known becomes as many open dims as it is long.
    length = max((value.element_count or 0 for value in inputs[1:2]), default=0)
    return f"its output has {length} dims" if length > MAX_RANK else ""


_RULES: Final[dict[str, Callable[[NodeProto, Inputs], str]]] = {
    "Einsum": _einsum,
    "Expand": _long_target,
    "GatherND": _gather_nd,
    "Reshape": _long_target,
    "Split": _split,
}
