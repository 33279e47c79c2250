"""Is every name in a model text? Protobuf returns names that are not UTF-8 as bytes."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from feasibility.errors import ModelError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.protobuf.message import Message  # type: ignore[import-untyped]
    from onnx import (
        AttributeProto,
        GraphProto,
        ModelProto,
        NodeProto,
        SparseTensorProto,
        TensorProto,
        ValueInfoProto,
    )


def require_text(model: ModelProto, what: str) -> None:
    """Refuse a model with a name that is not text."""
    for name in _model_names(model):
        if isinstance(name, bytes):
            shown = safe_text(name.decode("utf-8", "backslashreplace"), 60)
            raise ModelError(
                what,
                f"it holds a name that is not UTF-8 text: '{shown}'",
                "the file was damaged or written wrongly; export the model again",
            )


def _model_names(model: ModelProto) -> Iterator[str | bytes]:
    yield from (model.producer_name, model.producer_version, model.domain)
    for opset in model.opset_import:
        yield opset.domain
    yield from _graph_names(model.graph)
    for function in model.functions:
        yield from (function.name, function.domain, function.overload)
        yield from chain(function.input, function.output, function.attribute)
        for opset in function.opset_import:
            yield opset.domain
        yield from _value_names(function.value_info)
        for attribute in function.attribute_proto:
            yield from _attribute_names(attribute)
        yield from _node_names(function.node)


def _graph_names(graph: GraphProto) -> Iterator[str | bytes]:
    yield graph.name
    yield from _value_names(chain(graph.input, graph.output, graph.value_info))
    yield from _tensor_names(graph.initializer, graph.sparse_initializer)
    yield from _node_names(graph.node)


def _tensor_names(
    tensors: Iterable[TensorProto], sparse_tensors: Iterable[SparseTensorProto]
) -> Iterator[str | bytes]:
    parts = chain.from_iterable((sparse.values, sparse.indices) for sparse in sparse_tensors)
    for tensor in chain(tensors, parts):
        yield tensor.name
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)


def _value_names(values: Iterable[ValueInfoProto]) -> Iterator[str | bytes]:
    for value in values:
        yield value.name
        if value.type.HasField("tensor_type"):
            for dim in value.type.tensor_type.shape.dim:
                yield dim.dim_param
        else:
            yield from _all_strings(value.type)


def _node_names(nodes: Iterable[NodeProto]) -> Iterator[str | bytes]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, node.overload)
        yield from node.input
        yield from node.output
        for attribute in node.attribute:
            yield from _attribute_names(attribute)


def _attribute_names(attribute: AttributeProto) -> Iterator[str | bytes]:
    yield from (attribute.name, attribute.ref_attr_name)
    # By the fields that are set; the declared type may be missing.
    if attribute.HasField("t"):
        yield from _tensor_names((attribute.t,), ())
    if attribute.HasField("sparse_tensor"):
        yield from _tensor_names((), (attribute.sparse_tensor,))
    yield from _tensor_names(attribute.tensors, attribute.sparse_tensors)
    if attribute.HasField("g"):
        yield from _graph_names(attribute.g)
    for graph in attribute.graphs:
        yield from _graph_names(graph)
    if attribute.HasField("tp"):
        yield from _all_strings(attribute.tp)
    for proto in attribute.type_protos:
        yield from _all_strings(proto)


def _all_strings(message: Message) -> Iterator[str | bytes]:
    for field, value in message.ListFields():
        entries = value if field.is_repeated else (value,)
        if field.type == field.TYPE_STRING:
            yield from entries
        elif field.type == field.TYPE_MESSAGE:
            for entry in entries:
                yield from _all_strings(entry)
