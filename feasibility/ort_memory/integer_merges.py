"""Which nodes does the runtime merge into kernels of integers?

Source: the graph transformers of ONNX Runtime (onnxruntime/core/optimizer), compared with
the graphs that it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onnx import TensorProto

from feasibility.ort_memory.kernel_workspace import quantized_workspace
from feasibility.ort_memory.merges import Merge

if TYPE_CHECKING:
    from feasibility.ort_memory.merges import Fusions
    from feasibility.ort_memory.value_uses import Usage

# Operators that have a form for quantized values.
_QUANTIZED: Final = frozenset(
    {
        *("Add", "AveragePool", "Clip", "Concat", "Conv", "Flatten", "Gather", "Gemm"),
        *("GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Relu", "Reshape"),
        *("Resize", "Sigmoid", "Softmax", "Squeeze", "Transpose", "Unsqueeze"),
    }
)


def merge_quantized(usage: Usage, found: Fusions) -> None:
    """Positions of dequantized inputs -> operator -> activation -> quantized output.

    The operator then works on the quantized values.
    """
    for index, node in enumerate(usage.nodes):
        if node.op_type not in _QUANTIZED or node.domain or index in found.absorbed:
            continue
        makers = [usage.maker(name) for name in usage.variable_inputs(node)]
        sources = [
            str(maker.node.input[0])
            for maker in makers
            if maker is not None and maker.op_type == "DequantizeLinear" and maker.is_given(0)
        ]
        if not makers or makers[0] is None:
            continue
        chain = usage.chain(index, "Relu Clip")
        last_at = usage.only_reader_at(usage.nodes[chain[-1]].node.output[0])
        if last_at is None or usage.nodes[last_at].op_type != "QuantizeLinear":
            continue
        if sources and len(sources) == len(makers):
            found.absorbed.update(chain)
            is_unsigned = makers[0].type_of(0).elem_type == TensorProto.UINT8
            buffers = quantized_workspace(node, is_unsigned=is_unsigned)
            found.merged[last_at] = Merge(f"QLinear{node.op_type}", tuple(sources), buffers)
    for index, node in enumerate(usage.nodes):
        if node.op_type != "DequantizeLinear" or node.node.output[0] in usage.outputs:
            continue
        readers = usage.readers_at(node.node.output[0])
        if readers and all(reader in found.absorbed for reader in readers):
            found.absorbed.add(index)


def merge_integer_product(index: int, usage: Usage, found: Fusions) -> None:
    """Positions of DynamicQuantizeLinear -> MatMulInteger -> Cast -> * scales -> + bias.

    The kernel quantizes its input itself, in a buffer, if no other node reads the result.
    Source: onnxruntime/core/optimizer/matmul_integer_to_float.cc,
    onnxruntime/contrib_ops/cpu/quantization/dynamic_quantize_matmul.cc.
    """
    chain = usage.chain(index, "Cast", "Mul", "Add")
    # A bias is a constant; another sum stays.
    if len(chain) > 3 and not any(map(usage.is_constant, usage.nodes[chain[3]].node.input)):
        del chain[3]
    if len(chain) < 3:
        return
    quantized = str(usage.nodes[index].node.input[0])
    maker_at = usage.maker_at(quantized)
    scales = [usage.maker_at(name) for name in usage.variable_inputs(usage.nodes[chain[2]])]
    absorbed = [at for at in scales if at is not None and usage.nodes[at].op_type == "Mul"]
    merge = Merge("MatMulIntegerToFloat", (quantized,))
    if maker_at is not None and usage.nodes[maker_at].op_type == "DynamicQuantizeLinear":
        maker = usage.nodes[maker_at]
        if usage.count(quantized) == 1:
            absorbed.append(maker_at)
            buffer = maker.output().element_count or 0
            merge = Merge("DynamicQuantizeMatMul", (str(maker.node.input[0]),), (buffer,))
    found.absorbed.update([*chain[:-1], *absorbed])
    found.merged[chain[-1]] = merge
