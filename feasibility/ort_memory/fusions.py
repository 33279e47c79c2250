"""Which nodes does the runtime's optimizer merge, so that tensors between them disappear?

Chains that become one kernel, and nodes whose work a neighbour does. Merges into convolutions
depend on the layout; `graph_to_steps` does them.
Source: the graph transformers of ONNX Runtime (onnxruntime/core/optimizer), compared with
the graphs that it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from onnx import TensorProto

from feasibility.graph.attributes import ints_of, text_of
from feasibility.ort_memory.kernel_workspace import quantized_workspace
from feasibility.ort_memory.value_uses import computation

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.ort_memory.value_uses import Usage

_NOTHING: Final = frozenset({"Identity", "Dropout"})
_NEUTRAL: Final = {"Add": 0, "Div": 1, "Mul": 1, "Sub": 0}
_PADDED: Final = frozenset({"Conv", "MaxPool", "AveragePool"})
# Operators of a cubic polynomial.
_CUBIC: Final = frozenset({"Add", "Mul", "Pow"})
_MAX_CUBIC_NODES: Final = 8
# Elements of a value that can be a shape.
_MAX_SHAPE: Final = 64
# Operators that have a form for quantized values.
_QUANTIZED: Final = frozenset(
    {
        *("Add", "AveragePool", "Clip", "Concat", "Conv", "Flatten", "Gather", "Gemm"),
        *("GlobalAveragePool", "LeakyRelu", "MatMul", "MaxPool", "Mul", "Relu", "Reshape"),
        *("Resize", "Sigmoid", "Softmax", "Squeeze", "Transpose", "Unsqueeze"),
    }
)


class Merge(NamedTuple):
    """One kernel for a chain of nodes: what it reads, and the buffers that it allocates."""

    op_type: str
    reads: tuple[str, ...]
    workspace: tuple[int, ...] = ()


class Fusions:
    """The merges of a graph.

    Attributes:
        absorbed: Positions of nodes that do not run on their own.
        merged: The kernel for a chain, by the position of its last node.
        renamed: The value that replaces an output of a removed node.
    """

    def __init__(self) -> None:
        self.absorbed: set[int] = set()
        self.merged: dict[int, Merge] = {}
        self.renamed: dict[str, str] = {}

    def resolve(self, name: str) -> str:
        """The value that replaces a name."""
        root = name
        while root in self.renamed:
            root = self.renamed[root]
        # Shorten the chain, because long chains would take quadratic time.
        while name != root:
            self.renamed[name], name = root, self.renamed[name]
        return root


def find_fusions(usage: Usage, *, has_known_shapes: bool) -> Fusions:
    """The merges of a graph.

    A matrix product adds a bias itself only if all shapes are known before the model runs.
    """
    found = Fusions()
    _merge_equal(usage, found)
    for index, node in enumerate(usage.nodes):
        if index in found.absorbed or node.domain:
            continue
        if node.op_type == "Sigmoid":
            _merge_gated_sigmoid(index, usage, found)
        elif node.op_type == "Erf":
            _merge_gelu(index, usage, found)
        elif node.op_type == "Tanh":
            _merge_tanh_gelu(index, usage, found)
        elif node.op_type == "ReduceMean":
            _merge_layer_norm(index, usage, found)
            _merge_root_mean_square_norm(index, usage, found)
        elif node.op_type == "MatMulInteger":
            _merge_integer_product(index, usage, found)
    _merge_quantized(usage, found)
    for index, node in enumerate(usage.nodes):
        if index in found.absorbed or index in found.merged or node.domain:
            continue
        source = _stand_in(node, usage, has_known_shapes=has_known_shapes)
        output = str(node.node.output[0])
        # A broken graph may give one name to two values.
        is_plain = output not in found.renamed and found.resolve(source) != output
        if source and is_plain and output not in usage.outputs:
            found.renamed[output] = source
            found.absorbed.add(index)
    _add_bias_in_gelu(usage, found)
    return found


def _merge_equal(usage: Usage, found: Fusions) -> None:
    """Let equal computations of shapes share one result.

    Larger results do so too, but that is rare, and the other merges would have to know it.
    Source: onnxruntime/core/optimizer/common_subexpression_elimination.cc.
    """
    first: dict[tuple[object, ...], str] = {}
    for index, node in enumerate(usage.nodes):
        output, value = str(node.node.output[0]), node.output()
        is_small = value.is_integer and (value.element_count or _MAX_SHAPE) < _MAX_SHAPE
        if not is_small or len(node.outputs) > 1 or node.bodies or output in usage.outputs:
            continue
        same = first.setdefault(computation(node, usage.is_constant, found.resolve), output)
        # A broken graph may give one name to two values.
        if same != output and output not in found.renamed and found.resolve(same) != output:
            found.absorbed.add(index)
            found.renamed[output] = same


def _stand_in(node: TypedNode, usage: Usage, *, has_known_shapes: bool) -> str:
    """The value that replaces the output of a node; empty if the node stays."""
    if not usage.variable_inputs(node):
        return ""
    source = str(node.node.input[0])
    match node.op_type:
        case name if name in _NOTHING:
            return source
        case name if name in _NEUTRAL and _is_neutral(node, usage):
            return usage.variable_inputs(node)[0]
        case "Cast" if node.type_of(0).elem_type == node.output().elem_type:
            return source
        case "Pad" if _moves_into_reader(node, usage):
            return source
        case "Transpose" if _is_transposed_operand(node, usage):
            return source
        case "Mul" | "Div":
            return _scaled(node, usage)
        case "Add" if has_known_shapes:
            return _biased(node, usage)
    return ""


def _is_neutral(node: TypedNode, usage: Usage) -> bool:
    """Whether a node adds zero, or multiplies by one."""
    _, constant = _operands(node, usage)
    if constant is None or (constant == 0 and node.op_type in ("Sub", "Div")):
        return False
    value = node.value(constant)
    is_alike = node.type_of(1 - constant).shape == node.output().shape
    return (
        value is not None and value.size == 1 and is_alike and bool(value == _NEUTRAL[node.op_type])
    )


def _moves_into_reader(node: TypedNode, usage: Usage) -> bool:
    """Whether a convolution or pooling can do a padding with zeros itself."""
    before, after = node.type_of(0).shape, node.output().shape
    reader = usage.only_reader(node.node.output[0])
    return (
        text_of(node.attributes, "mode", "constant") == "constant"
        and reader is not None
        and reader.op_type in _PADDED
        and text_of(reader.attributes, "auto_pad", "NOTSET") == "NOTSET"
        and before is not None
        and after is not None
        and before[:2] == after[:2]
    )


def _is_transposed_operand(node: TypedNode, usage: Usage) -> bool:
    """Whether a matrix product can transpose its operand itself."""
    reader = usage.only_reader(node.node.output[0])
    order = ints_of(node.attributes, "perm")
    if reader is None or reader.op_type != "MatMul" or order is None or len(order) < 2:
        return False
    if usage.is_constant(node.node.input[0]):
        return False
    rank = len(order)
    return order == (*range(rank - 2), rank - 1, rank - 2)


def _scaled(node: TypedNode, usage: Usage) -> str:
    """The operand of a scaling that a matrix product does; empty if there is none."""
    variable, index = _operands(node, usage)
    if index is None:
        return ""
    if node.type_of(index).element_count != 1 or (node.op_type == "Div" and index == 0):
        return ""
    reader, maker = usage.only_reader(node.node.output[0]), usage.maker(variable)
    is_before = reader is not None and reader.op_type == "MatMul"
    is_after = maker is not None and maker.op_type == "MatMul" and usage.count(variable) == 1
    return variable if is_before or is_after else ""


def _biased(node: TypedNode, usage: Usage) -> str:
    """The matrix product that adds a bias itself; empty if there is none."""
    variable, index = _operands(node, usage)
    maker = usage.maker(variable)
    if index is None or maker is None or maker.op_type != "MatMul" or usage.count(variable) != 1:
        return ""
    is_matrix = usage.has_constant(maker, 1) and len(maker.type_of(1).shape or ()) == 2
    return variable if is_matrix and len(node.type_of(index).shape or ()) == 1 else ""


def _operands(node: TypedNode, usage: Usage) -> tuple[str, int | None]:
    """The value that a node combines with a constant, and the constant's position."""
    variable = usage.variable_inputs(node)
    if len(node.node.input) != 2 or len(variable) != 1:
        return "", None
    return variable[0], 1 - list(node.node.input).index(variable[0])


def _merge_quantized(usage: Usage, found: Fusions) -> None:
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
        last_at = usage.only_reader_at(node.node.output[0])
        chain = [index]
        if last_at is not None and usage.nodes[last_at].op_type in ("Relu", "Clip"):
            chain.append(last_at)
            last_at = usage.only_reader_at(usage.nodes[last_at].node.output[0])
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


def _merge_integer_product(index: int, usage: Usage, found: Fusions) -> None:
    """Positions of DynamicQuantizeLinear -> MatMulInteger -> Cast -> * scales -> + bias.

    The kernel quantizes its input itself, in a buffer, if no other node reads the result.
    Source: onnxruntime/core/optimizer/matmul_integer_to_float.cc,
    onnxruntime/contrib_ops/cpu/quantization/dynamic_quantize_matmul.cc.
    """
    chain = [index]
    for wanted in ("Cast", "Mul", "Add"):
        reader_at = usage.only_reader_at(usage.nodes[chain[-1]].node.output[0])
        if reader_at is None or usage.nodes[reader_at].op_type != wanted:
            break
        others = [name for name in usage.nodes[reader_at].node.input if usage.is_constant(name)]
        if wanted == "Add" and not others:
            break
        chain.append(reader_at)
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


def _merge_root_mean_square_norm(mean_at: int, usage: Usage, found: Fusions) -> None:
    """Positions of x^2 -> mean -> + tiny -> Sqrt -> x / it -> * scale."""
    square_at = usage.maker_at(usage.nodes[mean_at].node.input[0])
    if square_at is None or usage.nodes[square_at].op_type not in ("Pow", "Mul"):
        return
    source = str(usage.nodes[square_at].node.input[0])
    chain = [square_at, mean_at]
    for wanted in (("Add",), ("Sqrt",), ("Div", "Reciprocal"), ("Mul",), ("Mul",)):
        index = usage.only_reader_at(usage.nodes[chain[-1]].node.output[0])
        if index is None or usage.nodes[index].op_type not in wanted:
            break
        chain.append(index)
    reads = {name for at in chain for name in usage.variable_inputs(usage.nodes[at])}
    inner = {str(usage.nodes[at].node.output[0]) for at in chain}
    if len(chain) > 5 and reads - inner == {source}:
        found.absorbed.update(chain[:-1])
        found.merged[chain[-1]] = Merge("SimplifiedLayerNormalization", (source,))


def _merge_gated_sigmoid(index: int, usage: Usage, found: Fusions) -> None:
    """Positions of Sigmoid(x) -> * x."""
    node = usage.nodes[index]
    gate_at = usage.only_reader_at(node.node.output[0])
    if gate_at is None:
        return
    source, gate = str(node.node.input[0]), usage.nodes[gate_at]
    if gate.op_type == "Mul" and set(gate.node.input) == {source, node.node.output[0]}:
        found.absorbed.add(index)
        found.merged[gate_at] = Merge("QuickGelu", (source,))


def _merge_gelu(erf_at: int, usage: Usage, found: Fusions) -> None:
    """Positions of x / sqrt(2) -> Erf -> + 1 -> * x -> * 0.5, the two products in either order."""
    erf = usage.nodes[erf_at]
    scale_at = usage.maker_at(erf.node.input[0])
    if scale_at is None or usage.count(erf.node.input[0]) != 1:
        return
    scale = usage.nodes[scale_at]
    operands = usage.variable_inputs(scale)
    plus_at = usage.only_reader_at(erf.node.output[0])
    if scale.op_type not in ("Div", "Mul") or len(operands) != 1 or plus_at is None:
        return
    if usage.nodes[plus_at].op_type != "Add":
        return
    gates = _gates(operands[0], plus_at, usage)
    if gates:
        found.absorbed.update([scale_at, erf_at, plus_at, *gates[:-1]])
        found.merged[gates[-1]] = Merge("Gelu", (operands[0],))


def _merge_tanh_gelu(tanh_at: int, usage: Usage, found: Fusions) -> None:
    """Positions of x + a x^3 -> * b -> Tanh -> + 1 -> * x / 2."""
    inner: list[int] = []
    pending, sources = [str(usage.nodes[tanh_at].node.input[0])], set[str]()
    while pending and len(inner) < _MAX_CUBIC_NODES:
        name = pending.pop()
        index = usage.maker_at(name)
        if usage.count(name) > 1 or index is None or usage.nodes[index].op_type not in _CUBIC:
            sources.add(name)
            continue
        inner.append(index)
        pending.extend(usage.variable_inputs(usage.nodes[index]))
    plus_at = usage.only_reader_at(usage.nodes[tanh_at].node.output[0])
    if len(sources) != 1 or pending or plus_at is None or usage.nodes[plus_at].op_type != "Add":
        return
    source = sources.pop()
    gates = _gates(source, plus_at, usage)
    has_power = any(usage.nodes[index].op_type == "Pow" for index in inner)
    if gates and has_power and len(inner) > 1:
        chain = [*inner, tanh_at, plus_at, *gates]
        found.absorbed.update(chain[:-1])
        found.merged[chain[-1]] = Merge("Gelu", (source,))


def _add_bias_in_gelu(usage: Usage, found: Fusions) -> None:
    """Let a GELU add the bias of the matrix product before it, in a buffer of its own.

    Source: onnxruntime/contrib_ops/cpu/bert/bias_gelu.cc.
    """
    gelus = [
        (index, str(node.node.input[0]))
        for index, node in enumerate(usage.nodes)
        if node.op_type == "Gelu" and not node.domain and node.is_given(0)
    ]
    gelus += [
        (index, merge.reads[0]) for index, merge in found.merged.items() if merge.op_type == "Gelu"
    ]
    for index, source in gelus:
        add_at = usage.maker_at(source)
        taken = found.absorbed.union(found.merged)
        if add_at is None or add_at in taken or usage.nodes[add_at].op_type != "Add":
            continue
        node = usage.nodes[add_at]
        variable, constant = _operands(node, usage)
        readers = found.absorbed.union([index])
        if constant is None or not readers.issuperset(usage.readers_at(source)):
            continue
        if len(node.type_of(constant).shape or ()) == 1 and source not in usage.outputs:
            found.absorbed.add(add_at)
            buffer = node.output().size_bytes or 0
            found.merged[index] = Merge("BiasGelu", (variable,), (buffer,))


def _gates(source: str, index: int, usage: Usage) -> list[int]:
    """Positions of the products with a value, or half of it, and with constants, in order."""
    chain: list[int] = []
    halves: list[int] = []
    is_gated = False
    last = index
    while (reader_at := usage.only_reader_at(usage.nodes[last].node.output[0])) is not None:
        node = usage.nodes[reader_at]
        before = usage.nodes[last].node.output
        others = [name for name in node.node.input if name not in before]
        # In a broken graph a node may read what a later one makes, even its own output.
        if node.op_type != "Mul" or not others or reader_at <= last:
            break
        halved_at = usage.maker_at(others[0])
        if others[0] == source:
            is_gated = True
        elif halved_at is not None and _is_half_of(source, halved_at, usage):
            is_gated = True
            halves.append(halved_at)
        elif not usage.is_constant(others[0]):
            break
        chain.append(reader_at)
        last = reader_at
    return [*halves, *chain] if is_gated else []


def _is_half_of(source: str, index: int, usage: Usage) -> bool:
    node = usage.nodes[index]
    is_product = node.op_type == "Mul" and usage.variable_inputs(node) == (source,)
    return is_product and usage.count(node.node.output[0]) == 1


def _merge_layer_norm(mean_at: int, usage: Usage, found: Fusions) -> None:
    """Positions of x - mean(x), over the root of the mean of its square, scaled and shifted."""
    source = usage.nodes[mean_at].node.input[0]
    centre_at = usage.only_reader_at(usage.nodes[mean_at].node.output[0])
    if centre_at is None:
        return
    centre = usage.nodes[centre_at]
    if centre.op_type != "Sub" or centre.node.input[0] != source:
        return
    readers = {
        usage.nodes[index].op_type: index for index in usage.readers_at(centre.node.output[0])
    }
    square_at = readers.get("Pow", readers.get("Mul"))
    if square_at is None or "Div" not in readers:
        return
    chain = [mean_at, centre_at, square_at]
    for wanted in ("ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"):
        index = usage.only_reader_at(usage.nodes[chain[-1]].node.output[0])
        if index is None or usage.nodes[index].op_type != wanted:
            break
        chain.append(index)
    if usage.nodes[chain[-1]].op_type in ("Mul", "Add") and len(chain) > 6:
        found.absorbed.update(chain[:-1])
        found.merged[chain[-1]] = Merge("LayerNormalization", (source,))
