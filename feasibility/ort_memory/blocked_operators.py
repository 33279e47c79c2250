"""Which operators work on channel blocks, besides convolutions?

Source: the same as in `graph_to_steps.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onnx import TensorProto

from feasibility.graph.attributes import int_of

if TYPE_CHECKING:
    from feasibility.graph.typed_graph import TypedNode
    from feasibility.ort_memory.channel_blocks import Blocks
    from feasibility.ort_memory.value_uses import Usage

# Activations that work on blocks on their own.
ACTIVATIONS_IN_BLOCKS: Final = frozenset({"Gelu", "HardSigmoid", "Relu", "Sigmoid", "Tanh"})
MERGED_IN_BLOCKS: Final = frozenset({"Gelu", "QuickGelu"})
# Nodes that stay the same when they work on blocks.
KEPT_IN_BLOCKS: Final = ACTIVATIONS_IN_BLOCKS | {"Add", "Concat", "Mul", "Sum"}
_WINDOW_POOLS: Final = frozenset({"MaxPool", "AveragePool"})
# Operators that can be the first to use blocks.
BLOCKED_OPERATORS: Final = _WINDOW_POOLS | {"Conv"}
_POOLS: Final = _WINDOW_POOLS | {"GlobalAveragePool", "GlobalMaxPool"}


def enters_blocks(node: TypedNode, blocks: Blocks) -> bool:
    """Whether a pooling converts its plain image to blocks."""
    return (
        node.op_type in _WINDOW_POOLS
        and len(node.outputs) == 1
        and node.type_of(0).elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
        and blocks.is_whole(node.type_of(0))
        and blocks.size_bytes(node.output()) is not None
    )


def stays_in_blocks(node: TypedNode, usage: Usage, blocks: Blocks, *, all_blocked: bool) -> bool:
    """Whether a node reads its first input in blocks; `all_blocked`: all its inputs are."""
    if blocks.size_bytes(node.output()) is None:
        return False
    match node.op_type:
        case name if name in _POOLS:
            return len(node.outputs) == 1 and blocks.is_whole(node.type_of(0))
        case "Mul" if usage.has_constant(node, 1):
            return node.type_of(1).element_count == (node.output().shape or (0, 0))[1]
        case "Add" | "Sum" | "Mul":
            # Only a sum repeats the values of a smaller image.
            alike = {
                value.shape if node.op_type == "Mul" else (value.shape or ())[1:2]
                for value in node.inputs
            }
            return len(alike) == 1 and all_blocked
        case "Concat" if int_of(node.attributes, "axis", 0) == 1:
            return all_blocked and all(blocks.is_whole(value) for value in node.inputs)
        case "Resize" | "Upsample":
            return not is_scaled_by_value(node, usage) and blocks.resizes(node)
        case "BatchNormalization":
            return True
        case name:
            return name in ACTIVATIONS_IN_BLOCKS


def is_scaled_by_value(node: TypedNode, usage: Usage) -> bool:
    """Whether the size of an image is computed while the model runs."""
    sizes = [name for name in node.node.input[1:] if name]
    is_scaling = node.op_type in ("Resize", "Upsample")
    return is_scaling and not all(map(usage.is_constant, sizes))
