"""What are the attributes of a node? As Python values, with a default if the type is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from feasibility.model_file.cut_weights import MARK

Attributes: TypeAlias = Mapping[str, AttributeProto]

# Longest list of integers that is read from an attribute.
_MAX_LIST = 4096


def attributes_of(node: NodeProto) -> dict[str, AttributeProto]:
    """Attributes of a node by name; the last of those with equal names."""
    return {attribute.name: attribute for attribute in node.attribute}


def int_of(attributes: Attributes, name: str, default: int) -> int:
    """Value of an integer attribute."""
    found = _of_type(attributes, name, AttributeProto.INT)
    return default if found is None else found.i


def float_of(attributes: Attributes, name: str, default: float) -> float:
    """Value of a floating-point attribute."""
    found = _of_type(attributes, name, AttributeProto.FLOAT)
    return default if found is None else found.f


def ints_of(attributes: Attributes, name: str) -> tuple[int, ...] | None:
    """Values of a list of integers; None if there is no such attribute."""
    found = _of_type(attributes, name, AttributeProto.INTS)
    return None if found is None else tuple(found.ints[:_MAX_LIST])


def text_of(attributes: Attributes, name: str, default: str) -> str:
    """Value of a string attribute; bytes that are not UTF-8 are replaced."""
    found = _of_type(attributes, name, AttributeProto.STRING)
    return default if found is None else found.s.decode("utf-8", "replace")


def tensor_of(attributes: Attributes, name: str) -> TensorProto | None:
    """Value of a tensor attribute."""
    found = _of_type(attributes, name, AttributeProto.TENSOR)
    return None if found is None else found.t


def graph_of(attributes: Attributes, name: str) -> GraphProto | None:
    """Value of a graph attribute, such as the body of a loop."""
    found = _of_type(attributes, name, AttributeProto.GRAPH)
    return None if found is None else found.g


def _of_type(attributes: Attributes, name: str, kind: int) -> AttributeProto | None:
    found = attributes.get(name)
    return found if found is not None and found.type == kind else None


def list_length(attributes: Attributes, name: str) -> int:
    """Number of entries of a list of numbers or strings; 0 if there is no such attribute."""
    attribute = attributes.get(name)
    if attribute is None:
        return 0
    if attribute.doc_string.startswith(MARK):
        # A long list, which was cut.
        return int(attribute.doc_string.rpartition(":")[2])
    return len(attribute.ints) or len(attribute.floats) or len(attribute.strings)
