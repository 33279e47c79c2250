"""Buffers of kernels, and weights that are neither stored nor read as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from feasibility.graph.attributes import list_length
from feasibility.ort_memory.channel_blocks import Blocks
from feasibility.ort_memory.half_precision import widened
from feasibility.ort_memory.inlined_functions import inlined
from feasibility.ort_memory.kernel_workspace import (
    quantized_workspace,
    scratch_bytes,
    workspace,
)
from feasibility.ort_memory.known_shapes import fold_fixed_shapes
from feasibility.ort_memory.load_stages import BASE_BYTES, BODY_BYTES, NODE_BYTES, loading
from feasibility.ort_memory.quantized_weights import with_quantized_weights
from feasibility.ort_memory.tree_nodes import trees_of
from feasibility.ort_memory.weight_reads import WeightReads
from tests.analysed import typed
from tests.analysis_models import BOOL, FLOAT, constant, dropped, model, node
from tests.analysis_models import graph as subgraph
from tests.memory_graphs import branch, graph_of, program_of, reads, steps_of

if TYPE_CHECKING:
    from onnx import NodeProto

HALF = TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("made", "shape", "weights", "buffers"),
    [
        (node("Softmax", "x", "y", axis=1), [2, 8, 16], [], (1024, 1024)),
        (node("Softmax", "x", "y", axis=-1), [2, 8, 16], [], ()),
        (node("Sum", "x x x", "y"), [2, 8], [], (64,)),
        (node("Sum", "x x", "y"), [2, 8], [], ()),
        (node("Conv", "x w", "y", pads=[1] * 4), [1, 3, 2, 2], [dropped("w", 8, 3, 3, 3)], (432,)),
        (node("Conv", "x w", "y"), [1, 3, 2, 2], [dropped("w", 8, 3, 1, 1)], ()),
        (
            node("LSTM", "x w r", "y", hidden_size=4, direction="bidirectional"),
            [10, 2, 3],
            [dropped("w", 2, 16, 3), dropped("r", 2, 16, 4)],
            (32, 1280, 32, 1280, 240, 320),
        ),
    ],
)  # fmt: skip
def test_buffers_of_kernels(
    made: NodeProto,
    shape: list[int],
    weights: list[TensorProto],
    buffers: tuple[int, ...],
) -> None:
    assert workspace(graph_of([made], reads(*shape), weights=weights).nodes[0]) == buffers


def test_a_quantized_convolution_of_signed_weights_has_no_sums() -> None:
    made = node("Conv", "x w", "y", pads=[1] * 4)
    found = graph_of([made], reads(1, 4, 8, 8), weights=[dropped("w", 8, 4, 3, 3)]).nodes[0]
    image, filters = found.inputs
    found = replace(found, inputs=(image, filters.with_elem_type(TensorProto.INT8)))
    assert quantized_workspace(found, is_unsigned=True) == (0, 9 * 64 * 8)
    assert quantized_workspace(found, is_unsigned=False) == (8 * 64 * 4, 4 * 9 * 64)


def test_cubic_scaling_keeps_sums_outside_the_arena() -> None:
    scales = constant("s", [1, 1, 2, 3], np.float32)
    made = node("Resize", "x _ s", "y", mode="cubic")
    assert (
        scratch_bytes(graph_of([made], reads(1, 3, 10, 10), weights=[scales]).nodes[0])
        == 41 * 10 * 30
    )


def test_half_precision_is_computed_in_single_precision() -> None:
    """Inputs and outputs are cast; weights are read as floats, and parsed as halves."""
    weights = [dropped("w", 64, 64, elem_type=HALF)]
    graph = graph_of([node("MatMul", "x w", "y")], reads(8, 64, elem_type=HALF), weights=weights)
    wide, halves = widened(graph)
    program = program_of(wide, halves=halves)
    assert [step.op_type for step in program.steps] == ["Cast", "MatMul", "Cast"]
    sizes = [program.values[name].size_bytes for name in (*program.inputs, *program.outputs)]
    assert sizes == [8 * 64 * 2, 8 * 64 * 2]
    found = loading(WeightReads(wide), frozenset(), None, halves=halves)
    assert found.weight_bytes == 64 * 64 * 4
    assert widened(graph_of([node("Relu", "x", "y")], reads(8))).halves == frozenset()


def test_weights_that_only_dequantization_reads_stay_quantized() -> None:
    nodes = [node("DequantizeLinear", "q s", "w"), node("MatMul", "x w", "y")]
    weights = [dropped("q", 64, 64, elem_type=TensorProto.INT8), constant("s", 0.5, np.float32)]
    graph = with_quantized_weights(
        fold_fixed_shapes(graph_of(nodes, reads(8, 64), weights=weights), {})
    )
    assert loading(WeightReads(graph), frozenset(), None).weight_bytes == 64 * 64


def test_operators_without_a_kernel_are_inlined() -> None:
    graph = inlined(graph_of([node("HardSwish", "x", "y")], reads(1, 16, 4, 4)))
    assert [made.op_type for made in graph.nodes] == ["HardSigmoid", "Mul"]
    assert list(graph.nodes[1].node.input) == ["x", "y:0"]


def test_a_convolution_in_blocks_applies_hard_swish() -> None:
    nodes = [node("Conv", "x w", "a", pads=[1] * 4), node("HardSwish", "a", "y")]
    weights = [dropped("w", 16, 16, 3, 3)]
    graph = inlined(graph_of(nodes, reads(1, 16, 8, 8), weights=weights))
    assert steps_of(graph, Blocks()) == ["ReorderInput", "Conv", "ReorderOutput"]
    assert steps_of(graph) == ["Conv", "HardSigmoid", "Mul"]


def test_fixed_shapes_are_folded_and_open_ones_are_not() -> None:
    nodes = [node("Shape", "x", "s"), node("Neg", "s", "y")]
    graph = graph_of(nodes, reads(2, 3))
    folded = fold_fixed_shapes(graph, {})
    assert [made.is_folded for made in folded.nodes] == [True, True]
    opened = fold_fixed_shapes(graph, {"x": {0: "batch"}})
    assert [made.is_folded for made in opened.nodes] == [False, False]


def test_neutral_and_equal_computations_of_shapes_disappear() -> None:
    nodes = [
        *(node("Shape", "x", "a"), node("Shape", "x", "b"), node("Mul", "b one", "c")),
        node("Add", "a c", "y"),
    ]
    graph = graph_of(nodes, reads(2, 3), weights=[constant("one", 1)])
    assert steps_of(graph, None, {"x": {0: "batch"}}) == ["Shape", "Add"]


def test_a_dynamically_quantized_product_is_one_kernel() -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q scale zero"),
        node("MatMulInteger", "q w zero", "sums"),
        node("Cast", "sums", "floats", to=FLOAT),
        node("Mul", "scale s", "scales"),
        node("Mul", "floats scales", "product"),
        node("Add", "product bias", "y"),
    ]
    weights = [
        dropped("w", 64, 64, elem_type=TensorProto.UINT8),
        *(constant("s", 0.5, np.float32), dropped("bias", 64)),
    ]
    program = program_of(graph_of(nodes, reads(8, 64), weights=weights))
    found = [(step.op_type, step.reads, step.workspace) for step in program.steps]
    assert found == [("DynamicQuantizeMatMul", ("x",), (8 * 64,))]


def test_nodes_and_leaf_values_of_trees_count_even_if_the_lists_were_cut() -> None:
    lists = {"nodes_treeids": [0] * 3, "class_ids": [0] * 2}
    made = helper.make_node("TreeEnsembleClassifier", ["x"], ["y"], domain="ai.onnx.ml", **lists)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = model([made], {"x": (FLOAT, [1, 4])}, ["y"])
    del proto.opset_import[:]
    proto.opset_import.extend(opsets)
    assert trees_of(typed(proto, {})).resident_bytes == 3 * 259 + 2 * 46
    cut = onnx.AttributeProto(name="class_ids", doc_string="feasibility.payload:0:1234")
    assert list_length({"class_ids": cut}, "class_ids") == 1234


def test_a_branch_that_does_not_run_is_loaded() -> None:
    branches = {"then_branch": branch("then", "w"), "else_branch": branch("otherwise", "v")}
    choice = node("If", "condition", "y", **branches)
    known = constant("condition", True, np.bool_)
    inputs = {"x": (FLOAT, [1024])}
    one = typed(model([choice], inputs, ["y"], [known]), {})
    both = typed(model([choice], {**inputs, "condition": (BOOL, [])}, ["y"]), {})
    assert [len(graph.nodes[0].bodies) for graph in (one, both)] == [1, 2]
    first, second = (loading(WeightReads(graph), frozenset(), None) for graph in (one, both))
    # The runtime puts the branch in place of the If, which keeps both branches as they were read.
    assert second.weight_bytes == 4 * 4096
    assert first.weight_bytes == 3 * 4096 + 1
    own = BASE_BYTES + 3 * NODE_BYTES + 2 * BODY_BYTES
    assert first.own_bytes == second.own_bytes == own


def test_trees_of_one_operator_count_nodes_missing_values_and_doubles() -> None:
    """Sizes measured on forests of 35,000 to 800,000 nodes."""

    def found(elem_type: int, **lists: list[int]) -> int:
        splits = TensorProto(data_type=elem_type, dims=[5])
        made = helper.make_node(
            *("TreeEnsemble", ["x"], ["y"]),
            domain="ai.onnx.ml",
            nodes_featureids=[0] * 5,
            nodes_splits=splits,
            **lists,
        )
        proto = model([made], {"x": (FLOAT, [1, 4])}, ["y"])
        return trees_of(typed(proto, {})).resident_bytes

    assert found(FLOAT) == 5 * 220
    assert found(FLOAT, nodes_missing_value_tracks_true=[0] * 5) == 5 * 228
    assert found(TensorProto.DOUBLE) == 5 * 246


def test_a_branch_needs_its_inner_values_and_a_loop_also_what_it_carries() -> None:
    """The result of a branch is that of the If, which counts on its own."""
    inner = [node("Neg", "x", "a"), node("Exp", "a", "o")]
    branches = [subgraph(inner, [], [onnx.ValueInfoProto(name="o")]) for _ in range(2)]
    choice = node("If", "c", "y", then_branch=branches[0], else_branch=branches[1])
    graph = graph_of([choice], {**reads(64), "c": (BOOL, [])})
    assert workspace(graph.nodes[0]) == (256, 0)
    names = [onnx.ValueInfoProto(name=name) for name in ("at", "go", "h", "o")]
    body = subgraph([node("Neg", "h", "a"), node("Exp", "a", "o")], names[:3], [names[1], names[3]])
    loop = node("Loop", "n c x", "y", body=body)
    graph = graph_of([loop], {**reads(64), "c": (BOOL, []), "n": (7, [])})
    assert workspace(graph.nodes[0]) == (256, 256, 0)


def test_only_nodes_that_the_runtime_folds_count_as_folded() -> None:
    """A draw of constant odds is not folded; the Neg of folded constants is."""
    odds = constant("odds", [0.5] * 4, np.float32)
    nodes = [node("Bernoulli", "odds", "a"), node("Neg", "odds", "b"), node("Add", "a b", "y")]
    folded = fold_fixed_shapes(graph_of(nodes, reads(4), weights=[odds]), {})
    assert [made.is_folded for made in folded.nodes] == [False, True, False]
