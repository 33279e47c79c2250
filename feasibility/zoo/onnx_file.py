"""How is a network written as an ONNX file? Its random weights are made chunk by chunk.

protobuf merges messages whose bytes follow each other, so the file is put
together from small messages that onnx serialises and raw weights between them.
The fields come in the order that protobuf itself would write: the file has the
bytes of `onnx.save`, without the model ever being in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

from feasibility.zoo.network import Network, Node, Value, Weight

if TYPE_CHECKING:
    import numpy as np
    import onnx

FLOAT_BYTES: Final = 4
CHUNK_ELEMENT_COUNT: Final = 1 << 18  # even, so that no draw is split over two chunks
SEED: Final = 0

# Tags of length-delimited protobuf fields (number << 3 | 2).
# Source: onnx.proto3, messages ModelProto, GraphProto and TensorProto.
MODEL_GRAPH_TAG: Final = bytes([7 << 3 | 2])
GRAPH_INITIALIZER_TAG: Final = bytes([5 << 3 | 2])
TENSOR_RAW_DATA_TAG: Final = bytes([9 << 3 | 2])

# The oldest IR version that each operator set may appear in, as exporters write it.
IR_VERSIONS: Final = {14: 7, 17: 8}


def write_network(network: Network, file: BinaryIO) -> None:
    """Writes the model; the same network gives the same bytes on every platform.

    Holds one chunk of weights at a time (about 5 MiB with what drawing it takes).
    """
    import numpy as np
    import onnx

    head, tail = _graph_ends(network)
    initializer_heads = [_initializer_head(weight) for weight in network.weights]
    graph_bytes = len(head) + len(tail)
    for weight, initializer_head in zip(network.weights, initializer_heads, strict=True):
        graph_bytes += len(initializer_head) + weight.element_count * FLOAT_BYTES

    model_head = onnx.ModelProto(ir_version=IR_VERSIONS[network.opset], producer_name="feasibility")
    file.write(model_head.SerializeToString() + MODEL_GRAPH_TAG + _varint(graph_bytes) + head)
    generator = np.random.PCG64(SEED)
    for weight, initializer_head in zip(network.weights, initializer_heads, strict=True):
        file.write(initializer_head)
        for chunk in draw(weight, generator):
            file.write(chunk.data)
    opset = onnx.OperatorSetIdProto(domain="", version=network.opset)
    file.write(tail + onnx.ModelProto(opset_import=[opset]).SerializeToString())


def draw(weight: Weight, generator: np.random.PCG64) -> Iterator[np.ndarray]:
    """Chunks of the weight's values, little-endian float32.

    Only the generator's raw stream is used, which numpy promises to keep (its
    distributions may change), and only arithmetic that IEEE 754 rounds in one way.
    """
    import numpy as np

    offset = np.float32(weight.centre - weight.spread)
    step = np.float32(weight.spread * 2.0**-23)
    for start in range(0, weight.element_count, CHUNK_ELEMENT_COUNT):
        count = min(CHUNK_ELEMENT_COUNT, weight.element_count - start)
        if weight.values:
            yield np.array(weight.values[start : start + count], dtype="<f4")
            continue
        if weight.spread == 0:
            yield np.full(count, weight.centre, dtype="<f4")
            continue
        raw = generator.random_raw((count + 1) // 2).astype("<u8", copy=False).view("<u4")
        raw >>= 8  # 24 bits, the most that every float32 holds exactly
        values = raw[:count].astype("<f4")
        values *= step
        values += offset
        yield values


def _graph_ends(network: Network) -> tuple[bytes, bytes]:
    """The graph's fields before and after its weights, serialised."""
    from onnx import GraphProto, TensorProto, helper

    head = GraphProto(
        node=map(_node_proto, network.nodes),
        name=network.name,
        initializer=[
            helper.make_tensor(each.name, TensorProto.INT64, each.shape, each.values)
            for each in network.constants
        ],
    )
    tail = GraphProto(
        input=map(_value_proto, network.inputs), output=map(_value_proto, network.outputs)
    )
    return head.SerializeToString(), tail.SerializeToString()


def _node_proto(node: Node) -> onnx.NodeProto:
    from onnx import helper

    proto = helper.make_node(node.op_type, node.inputs, node.outputs, name=node.name)
    proto.attribute.extend(helper.make_attribute(*each) for each in node.attributes)
    return proto


def _value_proto(value: Value) -> onnx.ValueInfoProto:
    from onnx import TensorProto, helper

    element_type = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}[value.dtype]
    return helper.make_tensor_value_info(value.name, element_type, value.shape)


def _initializer_head(weight: Weight) -> bytes:
    """An initializer up to its raw data, with the lengths of the following bytes."""
    from onnx import TensorProto

    raw_bytes = weight.element_count * FLOAT_BYTES
    tensor = TensorProto(dims=weight.shape, data_type=TensorProto.FLOAT, name=weight.name)
    tensor_head: bytes = tensor.SerializeToString() + TENSOR_RAW_DATA_TAG + _varint(raw_bytes)
    return GRAPH_INITIALIZER_TAG + _varint(len(tensor_head) + raw_bytes) + tensor_head


def _varint(number: int) -> bytes:
    """A non-negative integer in protobuf's encoding, seven bits a byte, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
