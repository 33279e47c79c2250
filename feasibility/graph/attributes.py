"""Attributes of a node as Python values, with a default where one is missing or mistyped."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from onnx import AttributeProto

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto, NodeProto, TensorProto

Attributes: TypeAlias = "Mapping[str, AttributeProto]"

# Longest list that is read out of an attribute that describes a shape or an order.
_MAX_LIST = 4096


def attributes_of(node: NodeProto) -> dict[str, AttributeProto]:
    """Attributes of a node by name; of two with one name the last."""
    return {attribute.name: attribute for attribute in node.attribute}


def int_of(attributes: Attributes, name: str, default: int) -> int:
    """Value of an integer attribute."""
    attribute = attributes.get(name)
    return (
        attribute.i if attribute is not None and attribute.type == AttributeProto.INT else default
    )


def ints_of(attributes: Attributes, name: str) -> tuple[int, ...] | None:
    """Values of a list of integers; None where there is none."""
    attribute = attributes.get(name)
    if attribute is None or attribute.type != AttributeProto.INTS:
        return None
    return tuple(attribute.ints[:_MAX_LIST])


def text_of(attributes: Attributes, name: str, default: str) -> str:
    """Value of a string attribute, bytes that are no UTF-8 replaced."""
    attribute = attributes.get(name)
    if attribute is None or attribute.type != AttributeProto.STRING:
        return default
    return attribute.s.decode("utf-8", "replace")


def tensor_of(attributes: Attributes, name: str) -> TensorProto | None:
    """Value of a tensor attribute."""
    attribute = attributes.get(name)
    if attribute is None or attribute.type != AttributeProto.TENSOR:
        return None
    return attribute.t


def graph_of(attributes: Attributes, name: str) -> GraphProto | None:
    """Value of a graph attribute, such as the body of a loop."""
    attribute = attributes.get(name)
    if attribute is None or attribute.type != AttributeProto.GRAPH:
        return None
    return attribute.g


def list_length(attributes: Attributes, name: str) -> int:
    """Number of entries of a list attribute of numbers or strings; 0 where there is none."""
    attribute = attributes.get(name)
    if attribute is None:
        return 0
    return len(attribute.ints) or len(attribute.floats) or len(attribute.strings)
