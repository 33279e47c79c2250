"""Which nodes disappear, because another value stands in for their result?

Source: the graph transformers of ONNX Runtime (onnxruntime/core/optimizer), compared with
the graphs that it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from feasibility.graph.attributes import ints_of, text_of
from feasibility.ort_memory.value_uses import computation

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.ort_memory.known_shapes import KnownShapes
    from feasibility.ort_memory.merges import Fusions
    from feasibility.ort_memory.value_uses import Usage

_NOTHING: Final = frozenset({"Identity", "Dropout"})
_NEUTRAL: Final = {"Add": 0, "Div": 1, "Mul": 1, "Sub": 0}
_PADDED: Final = frozenset({"Conv", "MaxPool", "AveragePool"})
# Elements of a value that can be a shape.
_MAX_SHAPE: Final = 64


def merge_equal(usage: Usage, found: Fusions) -> None:
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


def stand_in(node: TypedNode, usage: Usage, shapes: KnownShapes) -> str:
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
        case "Add":
            return _biased(node, usage, shapes)
    return ""


def _is_neutral(node: TypedNode, usage: Usage) -> bool:
    """Whether a node adds zero, or multiplies by one."""
    _, constant = operands(node, usage)
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
    variable, index = operands(node, usage)
    if index is None:
        return ""
    if node.type_of(index).element_count != 1 or (node.op_type == "Div" and index == 0):
        return ""
    reader, maker = usage.only_reader(node.node.output[0]), usage.maker(variable)
    is_before = reader is not None and reader.op_type == "MatMul"
    is_after = maker is not None and maker.op_type == "MatMul" and usage.count(variable) == 1
    return variable if is_before or is_after else ""


def _biased(node: TypedNode, usage: Usage, shapes: KnownShapes) -> str:
    """The matrix product that adds a bias itself; empty if there is none.

    It does so only if its rows are numbers before the model runs.
    """
    variable, index = operands(node, usage)
    maker = usage.maker(variable)
    if index is None or maker is None or maker.op_type != "MatMul" or usage.count(variable) != 1:
        return ""
    if not shapes.is_fixed(maker.node.input[0], maker.type_of(0)):
        return ""
    is_matrix = usage.has_constant(maker, 1) and len(maker.type_of(1).shape or ()) == 2
    return variable if is_matrix and len(node.type_of(index).shape or ()) == 1 else ""


def operands(node: TypedNode, usage: Usage) -> tuple[str, int | None]:
    """The value that a node combines with a constant, and the constant's position."""
    variable = usage.variable_inputs(node)
    if len(node.node.input) != 2 or len(variable) != 1:
        return "", None
    return variable[0], 1 - list(node.node.input).index(variable[0])
