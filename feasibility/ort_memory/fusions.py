"""Which nodes does the runtime's optimizer merge, so that tensors between them disappear?

Chains that become one kernel, and nodes whose work a neighbour does. Merges into convolutions
depend on the layout; `graph_to_steps` does them.
Source: the graph transformers of ONNX Runtime (onnxruntime/core/optimizer), compared with
the graphs that it writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from feasibility.ort_memory.integer_merges import merge_integer_product, merge_quantized
from feasibility.ort_memory.merges import Fusions, Merge
from feasibility.ort_memory.removed_nodes import merge_equal, operands, stand_in

if TYPE_CHECKING:
    from feasibility.ort_memory.known_shapes import KnownShapes
    from feasibility.ort_memory.value_uses import Usage

# Operators of a cubic polynomial.
_CUBIC: Final = frozenset({"Add", "Mul", "Pow"})
_MAX_CUBIC_NODES: Final = 8


def find_fusions(usage: Usage, shapes: KnownShapes) -> Fusions:
    """The merges of a graph."""
    found = Fusions()
    merge_equal(usage, found)
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
            merge_integer_product(index, usage, found)
    merge_quantized(usage, found)
    for index, node in enumerate(usage.nodes):
        if index in found.absorbed or index in found.merged or node.domain:
            continue
        source = stand_in(node, usage, shapes)
        output = str(node.node.output[0])
        # A broken graph may give one name to two values.
        is_plain = output not in found.renamed and found.resolve(source) != output
        if source and is_plain and output not in usage.outputs:
            found.renamed[output] = source
            found.absorbed.add(index)
    _add_bias_in_gelu(usage, found)
    return found


def _merge_root_mean_square_norm(mean_at: int, usage: Usage, found: Fusions) -> None:
    """Positions of x^2 -> mean -> + tiny -> Sqrt -> x / it -> * scale."""
    square_at = usage.maker_at(usage.nodes[mean_at].node.input[0])
    if square_at is None or usage.nodes[square_at].op_type not in ("Pow", "Mul"):
        return
    source = str(usage.nodes[square_at].node.input[0])
    chain = [square_at, *usage.chain(mean_at, "Add", "Sqrt", "Div Reciprocal", "Mul", "Mul")]
    reads = {name for at in chain for name in usage.variable_inputs(usage.nodes[at])}
    inner = {str(usage.nodes[at].node.output[0]) for at in chain}
    if len(chain) > 5 and reads - inner == {source}:
        found.absorbed.update(chain[:-1])
        found.merged[chain[-1]] = Merge("SimplifiedLayerNormalization", (source,))


def _merge_gated_sigmoid(index: int, usage: Usage, found: Fusions) -> None:
    """Positions of Sigmoid(x) -> * x, also with x scaled before."""
    node = usage.nodes[index]
    gate_at = usage.only_reader_at(node.node.output[0])
    if gate_at is None or usage.nodes[gate_at].op_type != "Mul":
        return
    source, reads = str(node.node.input[0]), set(usage.nodes[gate_at].node.input)
    scale_at = usage.maker_at(source)
    if source not in reads and scale_at is not None and usage.count(source) == 1:
        scaled, constant = operands(usage.nodes[scale_at], usage)
        is_product = usage.nodes[scale_at].op_type == "Mul" and constant is not None
        if is_product and scaled in reads:
            found.absorbed.add(scale_at)
            source = scaled
    if reads == {source, str(node.node.output[0])}:
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
        variable, constant = operands(node, usage)
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
    rest = usage.chain(square_at, "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add")
    chain = [mean_at, centre_at, *rest]
    if usage.nodes[chain[-1]].op_type in ("Mul", "Add") and len(chain) > 6:
        found.absorbed.update(chain[:-1])
        found.merged[chain[-1]] = Merge("LayerNormalization", (source,))
