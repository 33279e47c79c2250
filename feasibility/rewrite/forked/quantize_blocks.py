"""How do weights become small integers with a scale per block?

`MatMul`, `Gemm` and `Gather` with constant float32 weights become `MatMulNBits` and
`GatherBlockQuantized` of ONNX Runtime. Weights are read one at a time, so that a large model is
never completely in memory.
Source: the descriptions of both operators in ONNX Runtime 1.31.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from feasibility.errors import ChangeError
from feasibility.graph.attributes import attributes_of, float_of, int_of
from feasibility.model_file.subgraph_names import bodies
from feasibility.rewrite.change_request import ChangeRequest
from feasibility.rewrite.forked.graph_edits import (
    RUNTIME_DOMAIN,
    import_runtime_operators,
    keep_only,
    names_read,
)
from feasibility.rewrite.forked.graph_file import finish_graph
from feasibility.rewrite.forked.prepared_model import prepared

if TYPE_CHECKING:
    import numpy as np
    from onnx import GraphProto, NodeProto, TensorProto

    Array = np.ndarray[Any, Any]

# Weights per scale: a scale has 4 bytes, which counts more beside 4-bit weights that need it more.
_BLOCK: Final = {4: 32, 8: 64}
_LEAST_ELEMENTS: Final = 4096
_ROWS_AT_ONCE: Final = 4096
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
    writer.change(model.graph, {})
    if not writer.changed:
        raise ChangeError(
            request.what,
            "no MatMul, Gemm or Gather has constant float32 weights that can be quantized",
            "try another change",
        )
    _remove_unused(model.graph)
    import_runtime_operators(model)
    finish_graph(model, path.parent, request.target)


@dataclass(frozen=True, slots=True)
class _Weight:
    """A weight of the source.

    Attributes:
        graph: The graph that holds it. Nodes of bodies see it, too.
        made: Names of its quantized tensors in that graph, by their layout.
    """

    tensor: TensorProto
    graph: GraphProto
    made: dict[str, list[str]] = field(default_factory=dict)


class _Writer:
    """Changes one model in place."""

    def __init__(self, folder: Path, bits: int, keep_float: frozenset[str]) -> None:
        self.changed = 0
        self._folder = folder
        self._bits = bits
        self._block = _BLOCK[bits]
        self._keep_float = keep_float

    def change(self, graph: GraphProto, outer: dict[str, _Weight]) -> None:
        """Changes a graph and the bodies in it; `outer` are weights that its nodes see, too."""
        from onnx import TensorProto

        weights = outer | {
            tensor.name: _Weight(tensor, graph)
            for tensor in list(graph.initializer)
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
        }
        nodes: list[NodeProto] = []
        for node in graph.node:
            for _, body in bodies(node, ""):
                self.change(body, weights)
            nodes.extend(self._replaced(node, weights))
        del graph.node[:]
        graph.node.extend(nodes)

    def _replaced(self, node: NodeProto, weights: dict[str, _Weight]) -> list[NodeProto]:
        if node.name in self._keep_float or node.domain:
            return [node]
        position = {"Gather": 0, "MatMul": 1, "Gemm": 1}.get(node.op_type)
        weight = None if position is None else weights.get(node.input[position])
        if weight is None or weight.tensor.dims[0] * weight.tensor.dims[1] < _LEAST_ELEMENTS:
            return [node]
        return self._gather(node, weight) if position == 0 else self._matmul(node, weight)

    def _gather(self, node: NodeProto, weight: _Weight) -> list[NodeProto]:
        from onnx import helper

        columns = weight.tensor.dims[1]
        axis = int_of(attributes_of(node), "axis", 0)
        if axis not in {0, -2} or columns * self._bits % 8:
            return [node]
        names = self._tensors(weight, "gather")
        self.changed += 1
        return [
            helper.make_node(
                "GatherBlockQuantized",
                [names[0], node.input[1], names[1], names[2]],
                node.output,
                node.name,
                domain=RUNTIME_DOMAIN,
                bits=self._bits,
                block_size=self._block,
                gather_axis=0,
                quantize_axis=1,
            )
        ]

    def _matmul(self, node: NodeProto, weight: _Weight) -> list[NodeProto]:
        from onnx import helper

        is_gemm = node.op_type == "Gemm"
        attributes = attributes_of(node)
        factors = (float_of(attributes, "alpha", 1.0), float_of(attributes, "beta", 1.0))
        if is_gemm and (factors != (1.0, 1.0) or int_of(attributes, "transA", 0)):
            return [node]
        is_transposed = is_gemm and bool(int_of(attributes, "transB", 0))
        outputs, inputs = weight.tensor.dims if is_transposed else reversed(weight.tensor.dims)
        layout: Literal["rows", "columns"] = "rows" if is_transposed else "columns"
        has_bias = is_gemm and len(node.input) > 2 and node.input[2]
        product = f"{node.output[0]}.product" if has_bias else node.output[0]
        made = [
            helper.make_node(
                "MatMulNBits",
                [node.input[0], *self._tensors(weight, layout)],
                [product],
                node.name,
                domain=RUNTIME_DOMAIN,
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

    def _tensors(self, weight: _Weight, layout: Literal["gather", "rows", "columns"]) -> list[str]:
        """Names of the integers, their scales and zero points, made once for each layout."""
        from onnx import numpy_helper

        if layout not in weight.made:
            array = numpy_helper.to_array(weight.tensor, str(self._folder))
            integers, scales, zeros = blocks_of(
                array.T if layout == "columns" else array, self._bits, self._block
            )
            if layout == "gather":
                # Rows without padding.
                integers = integers.reshape(len(array), -1)[:, : array.shape[1]]
            write = self._integers if layout == "gather" else self._bytes
            key = f"{weight.tensor.name}.{layout}"
            made = [
                write(integers, f"{key}.q{self._bits}"),
                numpy_helper.from_array(scales, f"{key}.scales"),
                write(zeros, f"{key}.zero_points"),
            ]
            weight.graph.initializer.extend(made)
            weight.made[layout] = [each.name for each in made]
        return weight.made[layout]

    def _bytes(self, values: Array, name: str) -> TensorProto:
        """Integers as MatMulNBits reads them: bytes, each row padded to whole ones."""
        from onnx import numpy_helper

        return numpy_helper.from_array(packed(values, self._bits), name)

    def _integers(self, values: Array, name: str) -> TensorProto:
        """Integers as GatherBlockQuantized reads them.

        Those of 4 bits have their own type; versions of ONNX Runtime differ in how they read them
        from bytes.
        """
        from onnx import TensorProto, helper

        kind = TensorProto.UINT4 if self._bits == 4 else TensorProto.UINT8
        content = packed(values.reshape(-1), self._bits).tobytes()
        return helper.make_tensor(name, kind, values.shape, content, raw=True)


def blocks_of(rows: Array, bits: int, block: int) -> tuple[Array, Array, Array]:
    """Rows as integers, block by block, with a scale and a zero point for each block.

    Returns:
        Integers, of shape [rows, blocks, block]; scales and zero points, of [rows, blocks].
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
    return integers.astype(np.uint8), scales.astype(np.float32), zeros.astype(np.uint8)


def packed(values: Array, bits: int) -> Array:
    """Integers in bytes along the last axis; of two with 4 bits, the first is the lower half."""
    import numpy as np

    if bits == 8:
        return values
    even = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, values.shape[-1] % 2)])
    pairs: Array = even[..., ::2] | even[..., 1::2] << 4
    return pairs


def _remove_unused(graph: GraphProto) -> None:
    """Removes weights that no node reads any more, in this graph only."""
    used = {*names_read(graph), *(each.name for each in graph.output)}
    unused = {tensor.name for tensor in graph.initializer} - used
    for entries in (graph.initializer, graph.input):
        keep_only(entries, lambda each: each.name not in unused)
    for node in graph.node:
        for _, body in bodies(node, ""):
            _remove_unused(body)
