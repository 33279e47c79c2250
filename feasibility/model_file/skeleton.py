"""How is a model read without its weights? Its graph as an onnx model, and where weights are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from feasibility.errors import ModelError
from feasibility.model_file.cut_weights import Cutter, Payload
from feasibility.model_file.not_a_model import format_of_message
from feasibility.model_file.open_model import FileIdentity, ModelFile
from feasibility.model_file.protobuf_wire import WireFile
from feasibility.model_file.subgraph_names import bodies, function_scope
from feasibility.model_file.tensors import Role, TensorInfo, TensorReader
from feasibility.text import safe_text

_CONVERT: Final = "check that it is ONNX, or download or export it again"
# Fields with text or names that are never read.
_UNREAD_FIELDS: Final = frozenset(
    {
        "doc_string", "metadata_props", "denotation", "quantization_annotation", "configuration",
        "device_configurations",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A model read without its weights.

    Args:
        model: The model. Tensors above `KEPT_PAYLOAD_BYTES` have no data. Do not change it.
        tensors: All initializers and values of attributes, also those of subgraphs and
            functions, in the order of the file.
        payloads: What was cut, in the order of the marks in `model`.
    """

    path: Path
    identity: FileIdentity
    model: ModelProto
    tensors: tuple[TensorInfo, ...]
    payloads: tuple[Payload, ...]
    what: str

    @property
    def initializers(self) -> tuple[TensorInfo, ...]:
        """The weights: initializers and values of Constant nodes."""
        return tuple(tensor for tensor in self.tensors if tensor.role != "attribute")


def skeleton_of(file: ModelFile) -> Skeleton:
    """The model in an open file, read without its weights."""
    what = f"Cannot read model '{safe_text(str(file.path))}'"
    wire = WireFile(file.descriptor, file.size_bytes, what)
    other = format_of_message(wire)
    if other is not None:
        raise ModelError(what, other.why, other.hint)
    cutter = Cutter(wire)
    model = _parsed(cutter.model(), wire)
    if not model.HasField("graph"):
        raise ModelError(what, "it holds no graph", "export the model again")
    _require_text(model, what)
    reader = TensorReader(cutter.payloads, what)
    tensors = tuple(_tensors(model, reader))
    return Skeleton(file.path, file.identity, model, tensors, tuple(cutter.payloads), what)


def _parsed(data: bytes, wire: WireFile) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        # The error is in a message that was copied without being parsed.
        Cutter(wire, kept_whole_bytes=0).model()
        raise wire.error(f"the reader of ONNX refuses it: {error}", _CONVERT) from error
    return model


def _require_text(model: ModelProto, what: str) -> None:
    """Refuses a model with a name that is not text; protobuf returns such a name as bytes."""
    for name in _texts(model):
        if isinstance(name, bytes):
            shown = safe_text(name.decode("utf-8", "backslashreplace"), 60)
            raise ModelError(
                what,
                f"it holds a name that is not UTF-8 text: '{shown}'",
                "the file was damaged or written wrongly; export the model again",
            )


def _texts(message: Message) -> Iterator[str | bytes]:
    """All texts of a message that are read, those of messages in it too."""
    for field, value in message.ListFields():
        if field.name in _UNREAD_FIELDS:
            continue
        entries = value if field.is_repeated else (value,)
        if field.type == field.TYPE_STRING:
            yield from entries
        elif field.type == field.TYPE_MESSAGE:
            for entry in entries:
                yield from _texts(entry)


def _tensors(model: ModelProto, reader: TensorReader) -> Iterator[TensorInfo]:
    yield from _graph_tensors(model.graph, reader, "")
    for function in model.functions:
        yield from _node_tensors(function.node, reader, function_scope(function))


def _graph_tensors(graph: GraphProto, reader: TensorReader, scope: str) -> Iterator[TensorInfo]:
    for tensor in graph.initializer:
        yield reader.dense(tensor, "initializer", scope, "")
    for sparse in graph.sparse_initializer:
        yield reader.sparse(sparse, "initializer", scope, "")
    yield from _node_tensors(graph.node, reader, scope)


def _node_tensors(
    nodes: Iterable[NodeProto], reader: TensorReader, scope: str
) -> Iterator[TensorInfo]:
    for node in nodes:
        for attribute in node.attribute:
            yield from _attribute_tensors(node, attribute, reader, scope)
        for path, graph in bodies(node, scope):
            yield from _graph_tensors(graph, reader, path)


def _attribute_tensors(
    node: NodeProto, attribute: AttributeProto, reader: TensorReader, scope: str
) -> Iterator[TensorInfo]:
    # By the fields that are set; the declared type may be missing.
    name = node.output[0] if node.output else node.name
    role: Role = "constant" if node.op_type == "Constant" and not node.domain else "attribute"
    if attribute.HasField("t"):
        yield reader.dense(attribute.t, role, scope, name)
    for tensor in attribute.tensors:
        yield reader.dense(tensor, role, scope, name)
    if attribute.HasField("sparse_tensor"):
        yield reader.sparse(attribute.sparse_tensor, role, scope, name)
    for sparse in attribute.sparse_tensors:
        yield reader.sparse(sparse, role, scope, name)
