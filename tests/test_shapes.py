from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from feasibility.graph.inputs.dim_roles import open_inputs
from feasibility.graph.inputs.dim_sizes import bind_inputs
from feasibility.graph.shapes.type_graph import type_graph
from feasibility.graph.typed_graph import TypedGraph
from feasibility.graph.value_types import type_text, value_type
from tests.analysed import analyse
from tests.analysis_models import (
    BOOL,
    FLOAT,
    INT64,
    constant,
    dropped,
    graph,
    model,
    node,
    value,
    weight,
)


def typed(made: onnx.ModelProto, **dims: int) -> TypedGraph:
    return type_graph(made, bind_inputs(open_inputs(made), dims))


def shape_of(made: onnx.ModelProto, name: str, **dims: int) -> tuple[int | None, ...] | None:
    return typed(made, **dims).types[name].shape


def test_a_shape_computed_by_the_graph_is_followed_to_the_reshape() -> None:
    made = model(
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "batch"),
            node("Unsqueeze", "batch axis", "batch_1"),
            node("Concat", "batch_1 rest", "target", axis=0),
            node("Reshape", "x target", "y"),
        ],
        {"x": (FLOAT, ["n", 4, 6])},
        ["y"],
        [constant("zero", 0), constant("axis", [0]), constant("rest", [8, -1])],
    )
    assert shape_of(made, "y", n=5) == (5, 8, 3)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"), [(7, 2, 3), (-7, 2, -3), (7, -2, -3), (-8, -2, 4)]
)
def test_whole_numbers_divide_towards_zero(numerator: int, denominator: int, expected: int) -> None:
    made = model(
        [
            node("Div", "a b", "q"),
            node("Sub", "q ten", "r"),
            node("Neg", "r", "size"),
            node("ConstantOfShape", "size", "y"),
        ],
        {},
        ["y"],
        [constant("a", [numerator]), constant("b", [denominator]), constant("ten", [10])],
    )
    assert shape_of(made, "y") == (10 - expected,)


def test_weights_without_their_data_have_their_shape() -> None:
    made = model(
        [node("MatMul", "x w", "y")], {"x": (FLOAT, [2, 3])}, ["y"], [dropped("w", 3, 5000)]
    )
    assert shape_of(made, "y") == (2, 5000)


def test_declared_shapes_that_disagree_are_ignored() -> None:
    made = model([node("Relu", "x", "h"), node("Relu", "h", "y")], {"x": (FLOAT, [2, 3])}, [])
    made.graph.value_info.append(value("h", FLOAT, [9, 9]))
    made.graph.output.append(value("y", FLOAT, [7]))
    assert shape_of(made, "y") == (2, 3)


def test_the_declared_shape_stands_in_for_an_unknown_operator() -> None:
    made = model(
        [node("Secret", "x", "h", domain="com.acme"), node("Relu", "h", "y")],
        {"x": (FLOAT, [2])},
        ["y"],
    )
    made.graph.value_info.append(value("h", FLOAT, [4, 4]))
    assert shape_of(made, "y") == (4, 4)


def test_nodes_that_are_not_sorted_are_typed() -> None:
    made = model([node("Relu", "h", "y"), node("Flatten", "x", "h")], {"x": (FLOAT, [2, 3, 4])}, [])
    assert shape_of(made, "y") == (2, 12)


def test_an_if_of_known_condition_has_one_branch() -> None:
    then = graph([node("Relu", "x", "t")], [], [value("t", FLOAT, None)])
    other = graph([node("Flatten", "x", "e")], [], [value("e", FLOAT, None)])
    choose = node("If", "c", "y", then_branch=then, else_branch=other)
    known = model([choose], {"x": (FLOAT, [2, 3, 4])}, ["y"], [constant("c", False, bool)])
    assert shape_of(known, "y") == (2, 12)
    assert [len(item.bodies) for item in typed(known).nodes] == [1]


def test_an_if_of_unknown_condition_gives_what_both_branches_agree_on() -> None:
    then = graph([node("Relu", "x", "t")], [], [value("t", FLOAT, None)])
    other = graph([node("Concat", "x x", "e", axis=0)], [], [value("e", FLOAT, None)])
    made = model(
        [node("If", "c", "y", then_branch=then, else_branch=other)],
        {"x": (FLOAT, [2, 3]), "c": (BOOL, [])},
        ["y"],
    )
    assert shape_of(made, "y") == (None, 3)


def loop_model(trips: int | None, *, grows: bool = False) -> onnx.ModelProto:
    step = node("Concat", "a a", "b", axis=0) if grows else node("Relu", "a", "b")
    body = graph(
        [node("Identity", "go", "go_on"), step, node("Identity", "b", "each")],
        [value("i", INT64, []), value("go", BOOL, []), value("a", FLOAT, None)],
        [value("go_on", BOOL, []), value("b", FLOAT, None), value("each", FLOAT, None)],
    )
    inputs: dict[str, tuple[int, list[int | str | None]]] = {"x": (FLOAT, [2, 3])}
    weights = [constant("true", True, bool)]
    if trips is None:
        inputs["n"] = (INT64, [])
    else:
        weights.append(constant("n", trips))
    return model([node("Loop", "n true x", "y all", body=body)], inputs, ["y", "all"], weights)


def test_a_loop_stacks_what_each_iteration_gives() -> None:
    made = loop_model(5)
    assert shape_of(made, "y") == (2, 3)
    assert shape_of(made, "all") == (5, 2, 3)
    assert typed(made).nodes[0].trip_count == 5


def test_a_carried_value_that_changes_its_shape_is_open() -> None:
    assert shape_of(loop_model(5, grows=True), "y") == (None, 3)


def test_a_loop_whose_count_is_an_input_has_no_known_count() -> None:
    assert typed(loop_model(None)).nodes[0].trip_count is None
    assert typed(loop_model(2**63 - 1)).nodes[0].trip_count is None


def test_a_scan_runs_once_per_slice() -> None:
    body = graph(
        [node("Add", "s x_t", "s_next"), node("Relu", "s_next", "o_t")],
        [value("s", FLOAT, None), value("x_t", FLOAT, None)],
        [value("s_next", FLOAT, None), value("o_t", FLOAT, None)],
    )
    made = model(
        [node("Scan", "s0 x", "s1 o", body=body, num_scan_inputs=1)],
        {"s0": (FLOAT, [4]), "x": (FLOAT, ["t", 4])},
        ["s1", "o"],
    )
    assert shape_of(made, "o", t=9) == (9, 4)
    assert typed(made, t=9).nodes[0].trip_count == 9


def test_a_function_body_is_walked_with_its_callers_attributes() -> None:
    concat = helper.make_node("Concat", ["a", "a"], ["b"])
    concat.attribute.append(
        onnx.AttributeProto(name="axis", type=onnx.AttributeProto.INT, ref_attr_name="along")
    )
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [concat], [helper.make_opsetid("", 17)], ["along"]
    )
    made = model(
        [node("Twice", "x", "y", domain="local", along=1)],
        {"x": (FLOAT, [2, 3])},
        ["y"],
        functions=[function],
    )
    assert shape_of(made, "y") == (2, 6)


CONTRIB = [
    ("Gelu", "x", {"x": (2, 3, 8)}, {}),
    ("QuickGelu", "x", {"x": (2, 3, 8)}, {}),
    ("BiasGelu", "x b", {"x": (2, 3, 8), "b": (8,)}, {}),
    ("FusedMatMul", "x w", {"x": (2, 3, 8), "w": (5, 8)}, {"transB": 1}),
    ("FusedConv", "x w", {"x": (1, 3, 9, 9), "w": (4, 3, 3, 3)}, {"activation": "Relu"}),
    ("FusedGemm", "x w", {"x": (2, 8), "w": (8, 5)}, {"activation": "Relu"}),
    ("SkipLayerNormalization", "x s g", {"x": (2, 3, 8), "s": (2, 3, 8), "g": (8,)}, {}),
    ("Attention", "x w b", {"x": (2, 3, 8), "w": (8, 24), "b": (24,)}, {"num_heads": 2}),
    (
        "MultiHeadAttention",
        "q k v",
        {"q": (2, 3, 8), "k": (2, 5, 8), "v": (2, 5, 8)},
        {"num_heads": 2},
    ),
]


@pytest.mark.parametrize(("op_type", "names", "shapes", "attributes"), CONTRIB)
def test_contrib_operators_have_the_shape_that_the_runtime_gives(
    op_type: str,
    names: str,
    shapes: dict[str, tuple[int, ...]],
    attributes: dict[str, object],
) -> None:
    made = model(
        [node(op_type, names, "y", domain="com.microsoft", **attributes)],
        {name: (FLOAT, list(shape)) for name, shape in shapes.items()},
        [],
    )
    made.graph.output.append(value("y", FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options)
    feeds = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    assert shape_of(made, "y") == session.run(None, feeds)[0].shape


def test_comparisons_without_inference_of_their_own_broadcast() -> None:
    made = model(
        [node("GreaterOrEqual", "a b", "y")],
        {"a": (FLOAT, [2, 1, 3]), "b": (FLOAT, [5, 1])},
        ["y"],
        opset=14,
    )
    assert shape_of(made, "y") == (2, 5, 3)
    assert typed(made).types["y"].elem_type == BOOL


def test_a_node_that_cannot_run_says_why() -> None:
    made = model([node("Gemm", "x w", "y")], {"x": (FLOAT, [1, 7])}, ["y"], [weight("w", 8, 2)])
    assert typed(made).nodes[0].refusal == "its weight takes 8 values per row, its input has 7"


def test_hostile_graphs_are_walked_to_the_end() -> None:
    cycle = model([node("Add", "x b", "a"), node("Relu", "a", "b")], {"x": (FLOAT, [2])}, ["b"])
    dangling = model([node("Relu", "nowhere", "y")], {}, ["y", "also_nowhere"])
    twice = model([node("Relu", "x", "y"), node("Flatten", "x", "y")], {"x": (FLOAT, [2])}, ["y"])
    bare = model([onnx.NodeProto(op_type="Conv"), onnx.NodeProto()], {}, [])
    for made in (cycle, dangling, twice, bare, onnx.ModelProto()):
        assert analyse(made, {}).unknown_node_count >= 0


def test_absurd_dims_neither_overflow_nor_allocate() -> None:
    huge = 2**62
    made = model(
        [node("Mul", "x x", "h"), node("MatMul", "h x", "y"), node("Shape", "x", "s")],
        {"x": (FLOAT, [huge, huge])},
        ["y"],
    )
    found = analyse(made, {})
    assert found.flops == found.nodes[0].flops == 2**63 - 1
    assert found.activation_peak is not None
    assert found.activation_peak.peak_bytes == 2**63 - 1
    msgspec.json.encode((found.nodes, found.activation_peak))


def functions_that_double(depth: int) -> onnx.ModelProto:
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    functions = [helper.make_function("local", "F0", ["a"], ["b"], [node("Relu", "a", "b")], opset)]
    for level in range(1, depth):
        calls = [
            node(f"F{level - 1}", "a", "m", domain="local"),
            node(f"F{level - 1}", "m", "b", domain="local"),
        ]
        functions.append(helper.make_function("local", f"F{level}", ["a"], ["b"], calls, opset))
    top = node(f"F{depth - 1}", "x", "y", domain="local")
    return model([top], {"x": (FLOAT, [2])}, ["y"], functions=functions)


def test_functions_that_expand_without_end_are_cut_off() -> None:
    started = time.monotonic()
    assert len(analyse(functions_that_double(40), {}).nodes) < 500_000
    assert time.monotonic() - started < 60
    itself = [node("Self", "a", "b", domain="local")]
    function = helper.make_function(
        "local", "Self", ["a"], ["b"], itself, [helper.make_opsetid("local", 1)]
    )
    made = model(
        [node("Self", "x", "y", domain="local")], {"x": (FLOAT, [2])}, ["y"], functions=[function]
    )
    assert len(analyse(made, {}).nodes) < 100


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Reshape", "Slice", "Conv", "Gather", "Loop", "Expand", "Range"]),
            st.lists(st.sampled_from(["x", "s", "h0", "h1", "h2", ""]), max_size=4),
            st.sampled_from(["h0", "h1", "h2", "x", ""]),
        ),
        max_size=8,
    ),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
)
def test_no_graph_raises(nodes: list[tuple[str, list[str], str]], numbers: list[int]) -> None:
    made = model(
        [helper.make_node(op_type, inputs, [output]) for op_type, inputs, output in nodes],
        {"x": (FLOAT, ["n", 3, None])},
        ["h0"],
        [constant("s", numbers)],
    )
    analyse(made, {})


def test_types_read_as_the_runtime_writes_them() -> None:
    tensor = helper.make_tensor_type_proto(FLOAT, None)
    mapping = helper.make_map_type_proto(INT64, tensor)
    sequence = helper.make_sequence_type_proto(mapping)
    assert type_text(sequence) == "seq(map(int64,tensor(float)))"
    assert type_text(helper.make_optional_type_proto(tensor)) == "optional(tensor(float))"
    assert value_type(sequence).kind == "sequence"


def test_a_node_that_names_too_few_outputs() -> None:
    """A damaged model may leave out the name of what its operator makes."""
    nameless = helper.make_node("Constant", [], [], value_floats=[1.0, 2.0])
    made = model([node("Relu", "x", "y"), nameless], {"x": (FLOAT, [2])}, ["y"])
    assert shape_of(made, "y") == (2,)


EINSUM_BODY = graph(
    [node("Einsum", "item", "out", equation="i1")],
    [value("item", FLOAT, [2])],
    [value("out", FLOAT, [2])],
)
UNSAFE = {
    "Einsum, a byte that is no letter": node("Einsum", "x", "y", equation=b"ij\xff"),
    "Einsum, a second ellipsis": node("Einsum", "x", "y", equation="......ij->ij"),
    "Einsum, a text under another type": onnx.NodeProto(
        op_type="Einsum",
        input=["x"],
        output=["y"],
        attribute=[onnx.AttributeProto(name="equation", s=b"i.j", i=1, type="INT")],
    ),
    "GatherND, negative batch_dims": node("GatherND", "x indices", "y", batch_dims=-(2**31)),
    "LayerNormalization, an axis of 2^31": node("LayerNormalization", "x w", "y", axis=2**31),
    "Split, more outputs than it has": node("Split", "x", "y", num_outputs=2),
    "Split, 2^33 outputs": node("Split", "x", "y", num_outputs=2**33),
    "Expand, 2^62 dims": node("Expand", "x long", "y"),
    "SequenceMap over an Einsum": node("SequenceMap", "items", "y", body=EINSUM_BODY),
}


@pytest.mark.parametrize("unsafe", UNSAFE.values(), ids=UNSAFE.keys())
def test_what_would_hang_or_crash_the_inference_of_onnx_is_left_open(unsafe: Any) -> None:
    """Each of these ran for ever, took all memory or ended the process in onnx 1.23."""
    made = model(
        [node("SequenceConstruct", "row row", "items"), unsafe],
        {"x": (FLOAT, [3, 3]), "row": (FLOAT, [2]), "long": (INT64, [2**62])},
        ["y"],
        [constant("indices", [[0, 0]]), weight("w", 3)],
        opset=20,
    )
    last = typed(made).nodes[-1]
    assert last.output().shape is None
    assert last.refusal


def test_an_einsum_with_spaces_and_an_ellipsis_has_its_shape() -> None:
    made = model(
        [node("Einsum", "x z", "y", equation="... i j, ...jk -> ...ik")],
        {"x": (FLOAT, [7, 2, 3]), "z": (FLOAT, [7, 3, 4])},
        ["y"],
    )
    assert shape_of(made, "y") == (7, 2, 4)


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [({"border": [1, 2, 3, 4]}, (1, 3, 14, 16)), ({"scale": [5, 6]}, (1, 3, 5, 6))],
)
def test_the_experimental_crop_has_its_shape(
    attributes: dict[str, list[int]], shape: tuple[int, ...]
) -> None:
    """Old style transfer models use it; onnx does not know it any more."""
    made = model([node("Crop", "x", "y", **attributes)], {"x": (FLOAT, [1, 3, 20, 20])}, ["y"])
    assert shape_of(made, "y") == shape
