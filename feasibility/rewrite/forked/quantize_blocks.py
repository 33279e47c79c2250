"""How do weights become small integers with a scale per block, and everything else stays float?

`MatMul`, `Gemm` and `Gather` with constant float32 weights become `MatMulNBits` and
`GatherBlockQuantized` of ONNX Runtime. One weight after the other is read, so that a large model
is never held.
Source: the descriptions of both operators in ONNX Runtime 1.31.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from feasibility.errors import ChangeError
from feasibility.model_file.subgraph_names import bodies
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.graph_file import finish_file, write_graph
from feasibility.rewrite.forked.prepared_model import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from onnx import GraphProto, NodeProto, TensorProto

    Array = np.ndarray[Any, Any]

# Weights per scale: a scale has 4 bytes, which counts more beside 4-bit weights that need it more.
_BLOCK: Final = {4: 32, 8: 64}
_LEAST_ELEMENTS: Final = 4096
_ROWS_AT_ONCE: Final = 4096
_DOMAIN: Final = "com.microsoft"
# The operator computes with 8-bit activations: twice as fast as float32, with the same drift.
_WITH_INTEGERS: Final = 4


def quantize_blocks(request: ChangeRequest, *, bits: int) -> None:
    """Writes the model with its weights as `bits`-bit integers.

    Raises:
        ModelError: The runtime refuses the model.
        ChangeError: It has no weight that can be changed.
    """
    path, model, _, keep_float = prepared(request)
    writer = _Writer(path.parent, bits, frozenset(keep_float))
    writer.graph(model.graph, {})
    if not writer.changed:
        raise ChangeError(
            request.what,
            "no MatMul, Gemm or Gather has constant float32 weights that can be quantized",
            "try another change",
        )
    _remove_unused(model.graph)
    if all(each.domain != _DOMAIN for each in model.opset_import):
        model.opset_import.add(domain=_DOMAIN, version=1)
    changed = path.with_name("changed.onnx")
    write_graph(model, changed)
    finish_file(changed, request.target)


class _Writer:
    """Changes one model in place."""

    def __init__(self, folder: Path, bits: int, keep_float: frozenset[str]) -> None:
        self.changed = 0
        self._folder = folder
        self._bits = bits
        self._block = _BLOCK[bits]
        self._keep_float = keep_float
        self._made: dict[str, list[str]] = {}

    def graph(self, graph: GraphProto, outer: dict[str, TensorProto]) -> None:
        """Changes a graph and the bodies in it; `outer` are weights that its nodes see, too."""
        from onnx import TensorProto

        weights = outer | {
            tensor.name: tensor
            for tensor in graph.initializer
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
        }
        nodes: list[NodeProto] = []
        for node in graph.node:
            for _, body in bodies(node, ""):
                made, self._made = self._made, {}
                self.graph(body, weights)
                self._made = made
            nodes.extend(self._replaced(node, graph, weights))
        del graph.node[:]
        graph.node.extend(nodes)

    def _replaced(
        self, node: NodeProto, graph: GraphProto, weights: dict[str, TensorProto]
    ) -> list[NodeProto]:
        if node.name in self._keep_float or node.domain:
            return [node]
        if node.op_type == "Gather" and self._is_large(weights.get(node.input[0])):
            return self._gather(node, graph, weights[node.input[0]])
        if node.op_type in {"MatMul", "Gemm"} and self._is_large(weights.get(node.input[1])):
            return self._matmul(node, graph, weights[node.input[1]])
        return [node]

    def _is_large(self, tensor: TensorProto | None) -> bool:
        return tensor is not None and tensor.dims[0] * tensor.dims[1] >= _LEAST_ELEMENTS

    def _gather(self, node: NodeProto, graph: GraphProto, weight: TensorProto) -> list[NodeProto]:
        from onnx import helper

        columns = weight.dims[1]
        if _attribute(node, "axis", 0) not in {0, -2} or columns * self._bits % 8:
            return [node]
        names = self._tensors(graph, weight, "gather", columns)
        self.changed += 1
        return [
            helper.make_node(
                "GatherBlockQuantized",
                [names[0], node.input[1], names[1], names[2]],
                node.output,
                node.name,
                domain=_DOMAIN,
                bits=self._bits,
                block_size=self._block,
                gather_axis=0,
                quantize_axis=1,
            )
        ]

    def _matmul(self, node: NodeProto, graph: GraphProto, weight: TensorProto) -> list[NodeProto]:
        from onnx import helper

        is_gemm = node.op_type == "Gemm"
        factors = (_attribute(node, "alpha", 1.0), _attribute(node, "beta", 1.0))
        if is_gemm and (factors != (1.0, 1.0) or _attribute(node, "transA", 0)):
            return [node]
        is_transposed = is_gemm and bool(_attribute(node, "transB", 0))
        outputs, inputs = weight.dims if is_transposed else reversed(weight.dims)
        kind = "rows" if is_transposed else "columns"
        has_bias = is_gemm and len(node.input) > 2 and node.input[2]
        product = f"{node.output[0]}.product" if has_bias else node.output[0]
        made = [
            helper.make_node(
                "MatMulNBits",
                [node.input[0], *self._tensors(graph, weight, kind, inputs)],
                [product],
                node.name,
                domain=_DOMAIN,
                K=inputs,
                N=outputs,
                bits=self._bits,
                block_size=self._block,
                accuracy_level=_WITH_INTEGERS,
            )
        ]
        if has_bias:
            made.append(
                helper.make_node("Add", [product, node.input[2]], node.output, f"{node.name}.bias")
            )
        self.changed += 1
        return made

    def _tensors(
        self, graph: GraphProto, weight: TensorProto, kind: str, columns: int
    ) -> list[str]:
        """Names of the new weight, its scales and zero points, added to the graph."""
        from onnx import numpy_helper

        key = f"{weight.name}.{kind}"
        if key not in self._made:
            array = numpy_helper.to_array(weight, str(self._folder))
            parts = blocks_of(array.T if kind == "columns" else array, self._bits, self._block)
            suffixes = (f"q{self._bits}", "scales", "zero_points")
            self._made[key] = [f"{key}.{suffix}" for suffix in suffixes]
            graph.initializer.extend(
                numpy_helper.from_array(part, name)
                for part, name in zip(parts, self._made[key], strict=True)
            )
            if kind == "gather":
                self._make_dense(graph.initializer[-3], (len(array), columns))
                self._make_dense(graph.initializer[-1], parts[1].shape)
        return self._made[key]

    def _make_dense(self, tensor: TensorProto, shape: tuple[int, ...]) -> None:
        """Gives a tensor of integers the form that Gather reads: rows without padding.

        Integers of 4 bits have their own type; versions of ONNX Runtime differ in how they read
        them from bytes.
        """
        import numpy as np
        from onnx import TensorProto

        rows = np.frombuffer(tensor.raw_data, np.uint8).reshape(shape[0], -1)
        if self._bits == 4:
            rows = np.stack((rows & 15, rows >> 4), -1).reshape(shape[0], -1)
        flat = rows[:, : shape[1]].reshape(1, -1)
        tensor.raw_data = _packed(flat, self._bits).tobytes()
        del tensor.dims[:]
        tensor.dims.extend(shape)
        if self._bits == 4:
            tensor.data_type = TensorProto.UINT4


def blocks_of(rows: Array, bits: int, block: int) -> tuple[Array, Array, Array]:
    """Rows as integers, block by block, with a scale and a zero point for each block.

    Returns:
        Integers, of shape [rows, blocks, block * bits / 8]; scales, of [rows, blocks]; zero
        points, of [rows, bytes of the blocks]. Two 4-bit integers are in one byte, the first in
        its lower half.
    """
    import numpy as np

    parts = [
        _blocks_of_few(rows[start : start + _ROWS_AT_ONCE], bits, block)
        for start in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    integers, scales, zeros = (np.concatenate(each) for each in zip(*parts, strict=True))
    return integers, scales, zeros


def _blocks_of_few(rows: Array, bits: int, block: int) -> tuple[Array, Array, Array]:
    import numpy as np

    count, columns = rows.shape
    padded = np.pad(rows, ((0, 0), (0, -columns % block))).reshape(count, -1, block)
    largest = 2**bits - 1
    low, high = np.minimum(padded.min(-1), 0), np.maximum(padded.max(-1), 0)
    scales = (high - low) / np.float32(largest)
    scales[scales == 0] = 1
    zeros = np.rint(-low / scales)
    integers = np.clip(np.rint(padded / scales[..., None]) + zeros[..., None], 0, largest)
    return (
        _packed(integers.astype(np.uint8), bits),
        scales.astype(np.float32),
        _packed(zeros.astype(np.uint8), bits),
    )


def _packed(values: Array, bits: int) -> Array:
    """Two values of 4 bits in each byte, along the last axis."""
    import numpy as np

    if bits == 8:
        return values
    even = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, values.shape[-1] % 2)])
    packed: Array = even[..., ::2] | even[..., 1::2] << 4
    return packed


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    """The number in an attribute of a node."""
    from onnx import helper

    found = next((each for each in node.attribute if each.name == name), None)
    return default if found is None else helper.get_attribute_value(found)


def _remove_unused(graph: GraphProto) -> None:
    """Removes weights that no node reads any more, in this graph only."""
    used = set(_names_read(graph)) | {each.name for each in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    removed = {tensor.name for tensor in graph.initializer} - {tensor.name for tensor in kept}
    inputs = [each for each in graph.input if each.name not in removed]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(kept)
    graph.input.extend(inputs)
    for node in graph.node:
        for _, body in bodies(node, ""):
            _remove_unused(body)


def _names_read(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for _, body in bodies(node, ""):
            yield from _names_read(body)
            yield from (value.name for value in body.output)
