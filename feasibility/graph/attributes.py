"""What are the attributes of a node? As Python values, with a default if the type is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from onnx import AttributeProto

from feasibility.model_file.cut_weights import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import GraphProto, NodeProto, TensorProto

Attributes: TypeAlias = "Mapping[str, AttributeProto]"

# Longest list of integers that is read from an attribute.
_MAX_LIST = 4096


def attributes_of(node: NodeProto) -> dict[str, AttributeProto]:
    """Attributes of a node by name; the last of those with equal names."""
    return {attribute.name: attribute for attribute in node.attribute}


def int_of(attributes: Attributes, name: str, default: int) -> int:
    """Value of an integer attribute."""
    attribute = attributes.get(name)
    return (
        attribute.i if attribute is not None and attribute.type == AttributeProto.INT else default
    )


def ints_of(attributes: Attributes, name: str) -> tuple[int, ...] | None:
    """Values of a list of integers; None if there is no such attribute."""
    attribute = attributes.get(name)
    if attribute is None or attribute.type != AttributeProto.INTS:
        return None
    return tuple(attribute.ints[:_MAX_LIST])


def text_of(attributes: Attributes, name: str, default: str) -> str:
    """Value of a string attribute; bytes that are not UTF-8 are replaced."""
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
    """Number of entries of a list of numbers or strings; 0 if there is no such attribute."""
    attribute = attributes.get(name)
    if attribute is None:
        return 0
    if attribute.doc_string.startswith(MARK):
        # A long list, which was cut.
        return int(attribute.doc_string.rpartition(":")[2])
    return len(attribute.ints) or len(attribute.floats) or len(attribute.strings)
