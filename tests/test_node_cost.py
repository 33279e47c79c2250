from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from feasibility.records.facts import ModelFacts, NodeFacts
from tests.analysed import analyse
from tests.analysis_models import BOOL, FLOAT, INT64, constant, dropped, graph, model, node, value

MODELS = Path(__file__).parents[2] / "shared" / "models"


def only(
    item: onnx.NodeProto,
    inputs: dict[str, tuple[int, list[int | str | None]]],
    weights: tuple[onnx.TensorProto, ...] = (),
    opset: int = 17,
) -> NodeFacts:
    """Facts of a model's single node."""
    (facts,) = analyse(model([item], inputs, list(item.output), weights, opset=opset), {}).nodes
    return facts


def image(*shape: int) -> dict[str, tuple[int, list[int | str | None]]]:
    return {"x": (FLOAT, list(shape))}


# name, node, inputs, weights, class, MACs worked out by hand
PRODUCTS: list[tuple[str, onnx.NodeProto, Any, tuple[onnx.TensorProto, ...], str, int]] = [
    (
        "3x3 convolution, padded",
        node("Conv", "x w", "y", pads=[1, 1, 1, 1]),
        image(1, 3, 8, 8),
        (dropped("w", 16, 3, 3, 3),),
        "conv",
        16 * 8 * 8 * 3 * 3 * 3,
    ),
    (
        "stride 2 in two groups",
        node("Conv", "x w", "y", strides=[2, 2], group=2),
        image(1, 4, 9, 9),
        (dropped("w", 6, 2, 3, 3),),
        "conv",
        6 * 4 * 4 * 2 * 3 * 3,
    ),
    (
        "one filter per channel",
        node("Conv", "x w", "y", group=8, pads=[1, 1, 1, 1]),
        image(1, 8, 5, 5),
        (dropped("w", 8, 1, 3, 3),),
        "depthwise_conv",
        8 * 5 * 5 * 9,
    ),
    (
        "1x1",
        node("Conv", "x w", "y"),
        image(2, 8, 5, 5),
        (dropped("w", 16, 8, 1, 1),),
        "pointwise_conv",
        2 * 16 * 5 * 5 * 8,
    ),
    (
        "transposed, each input element meets a whole filter",
        node("ConvTranspose", "x w", "y", strides=[2, 2]),
        image(1, 4, 5, 5),
        (dropped("w", 4, 6, 2, 2),),
        "conv",
        4 * 5 * 5 * 6 * 2 * 2,
    ),
    (
        "Gemm with its first operand transposed",
        node("Gemm", "x w", "y", transA=1),
        image(7, 3),
        (dropped("w", 7, 5),),
        "matmul",
        3 * 5 * 7,
    ),
    (
        "batched product",
        node("MatMul", "x w", "y"),
        image(2, 12, 6, 4),
        (dropped("w", 4, 10),),
        "matmul",
        2 * 12 * 6 * 10 * 4,
    ),
    (
        "Einsum of attention scores",
        node("Einsum", "x w", "y", equation="bhid,bhjd->bhij"),
        image(1, 2, 6, 4),
        (dropped("w", 1, 2, 7, 4),),
        "matmul",
        2 * 6 * 7 * 4,
    ),
    (
        "two-way LSTM",
        node("LSTM", "x w r", "y", hidden_size=20, direction="bidirectional"),
        image(11, 2, 10),
        (dropped("w", 2, 80, 10), dropped("r", 2, 80, 20)),
        "recurrent",
        11 * 2 * 2 * 4 * 20 * (10 + 20),
    ),
    (
        "GRU",
        node("GRU", "x w r", "y", hidden_size=8),
        image(5, 1, 6),
        (dropped("w", 1, 24, 6), dropped("r", 1, 24, 8)),
        "recurrent",
        5 * 3 * 8 * (6 + 8),
    ),
    (
        "attention that projects its input",
        node("Attention", "x w b", "y", domain="com.microsoft", num_heads=2),
        image(1, 6, 8),
        (dropped("w", 8, 24), dropped("b", 24)),
        "attention",
        6 * 8 * 24 + 2 * 6 * 6 * 8,
    ),
    (
        "attention over longer keys",
        node("MultiHeadAttention", "x k v", "y", domain="com.microsoft", num_heads=2),
        {"x": (FLOAT, [1, 3, 8]), "k": (FLOAT, [1, 7, 8]), "v": (FLOAT, [1, 7, 8])},
        (),
        "attention",
        2 * 3 * 7 * 8,
    ),
]


@pytest.mark.parametrize(
    ("item", "inputs", "weights", "op_class", "macs"),
    [row[1:] for row in PRODUCTS],
    ids=[row[0] for row in PRODUCTS],
)
def test_products_cost_what_they_do_by_hand(
    item: onnx.NodeProto, inputs: Any, weights: Any, op_class: str, macs: int
) -> None:
    facts = only(item, inputs, weights)
    assert (facts.op_class, facts.macs, facts.flops) == (op_class, macs, 2 * macs)


def test_traffic_is_every_input_and_output_once() -> None:
    facts = only(node("MatMul", "x w", "y"), image(6, 4), (dropped("w", 4, 10),))
    assert facts.moved_bytes == 4 * (6 * 4 + 4 * 10 + 6 * 10)
    assert (facts.weight_bytes, facts.output_bytes) == (4 * 40, 4 * 60)
    assert facts.output_shape == (6, 10)


def test_a_lookup_reads_only_its_rows() -> None:
    facts = only(
        node("Gather", "table ids", "y"), {"ids": (INT64, [1, 7])}, (dropped("table", 50_000, 16),)
    )
    assert facts.moved_bytes == 2 * (7 * 16 * 4) + 7 * 8
    assert (facts.flops, facts.op_class, facts.weight_bytes) == (0, "lookup", 50_000 * 16 * 4)


def test_views_move_nothing() -> None:
    facts = only(node("Flatten", "x", "y"), image(2, 3, 4))
    assert (facts.flops, facts.moved_bytes, facts.op_class) == (0, 0, "data_movement")


@pytest.mark.parametrize(
    ("op_type", "attributes", "flops"),
    [
        ("Relu", {}, 64),
        ("Sqrt", {}, 4 * 64),
        ("Tanh", {}, 10 * 64),
        ("Transpose", {}, 0),
        ("GlobalAveragePool", {}, 64),
        ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, 16 * 4),
    ],
)
def test_operators_without_products(op_type: str, attributes: Any, flops: int) -> None:
    facts = only(node(op_type, "x", "y", **attributes), image(1, 4, 4, 4))
    assert (facts.flops, facts.macs) == (flops, 0)


def test_an_unknown_operator_is_counted_as_unknown() -> None:
    made = model(
        [node("Secret", "x", "h", domain="com.acme"), node("Relu", "x", "y")], image(2, 3), ["y"]
    )
    found = analyse(made, {})
    assert (found.flops, found.unknown_node_count) == (6, 1)
    assert [item.op_class for item in found.nodes] == ["other", "elementwise"]


def test_a_tree_ensemble_costs_its_depth_per_tree_and_row() -> None:
    trees = node(
        "TreeEnsembleRegressor",
        "x",
        "y",
        domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0, 1, 1, 1],
        nodes_nodeids=[0, 1, 2, 0, 1, 2],
        nodes_featureids=[0, 0, 0, 1, 0, 0],
    )
    facts = only(trees, image(5, 2))
    assert (facts.op_class, facts.flops, facts.macs) == ("tree", 5 * 2 * 2, 0)


def loop(trips: int | None) -> ModelFacts:
    body = graph(
        [node("Identity", "go", "go_on"), node("Relu", "a", "b")],
        [value("i", INT64, []), value("go", BOOL, []), value("a", FLOAT, None)],
        [value("go_on", BOOL, []), value("b", FLOAT, None)],
    )
    inputs: dict[str, tuple[int, list[int | str | None]]] = dict(image(10))
    weights = [constant("true", True, bool)]
    if trips is None:
        inputs["n"] = (INT64, [])
    else:
        weights.append(constant("n", trips))
    item = helper.make_node("Loop", ["n", "true", "x"], ["y"], name="again", body=body)
    return analyse(model([item], inputs, ["y"], weights), {})


def test_a_loop_body_counts_with_its_trips() -> None:
    found = loop(7)
    assert (found.flops, found.per_iteration) == (70, False)
    relu = next(item for item in found.nodes if item.op_type == "Relu")
    assert (relu.repeat_count, relu.scope) == (7, "again/body")


def test_a_loop_of_unknown_trips_counts_one_iteration_and_says_so() -> None:
    found = loop(None)
    assert (found.flops, found.per_iteration) == (10, True)
    assert next(item for item in found.nodes if item.op_type == "Relu").repeat_count is None


def test_an_if_counts_its_dearer_branch() -> None:
    cheap = graph([node("Relu", "x", "t")], [], [value("t", FLOAT, None)])
    dear = graph([node("Tanh", "x", "e")], [], [value("e", FLOAT, None)])
    made = model(
        [node("If", "c", "y", then_branch=cheap, else_branch=dear)],
        {**image(10), "c": (BOOL, [])},
        ["y"],
    )
    found = analyse(made, {})
    assert found.flops == 100
    assert [(item.op_type, item.repeat_count) for item in found.nodes] == [
        ("If", 1),
        ("Relu", 0),
        ("Tanh", 1),
    ]


def test_what_is_folded_while_loading_does_not_run() -> None:
    made = model(
        [node("Tanh", "w", "v"), node("Add", "x v", "y")], image(10), ["y"], [dropped("w", 10)]
    )
    found = analyse(made, {})
    assert (found.flops, [item.repeat_count for item in found.nodes]) == (10, [0, 1])


def bert_base(layers: int, hidden: int, inner: int, sequence: int) -> onnx.ModelProto:
    """The matrix products of a BERT encoder."""
    nodes, weights, last = [], [], "x"
    for at in range(layers):
        for name, source, rows, columns in (
            ("q", last, hidden, hidden),
            ("k", last, hidden, hidden),
            ("v", last, hidden, hidden),
        ):
            weights.append(dropped(f"{name}w{at}", rows, columns))
            nodes.append(node("MatMul", f"{source} {name}w{at}", f"{name}{at}"))
        nodes += [
            node("Transpose", f"k{at}", f"kt{at}", perm=[0, 2, 1]),
            node("MatMul", f"q{at} kt{at}", f"s{at}"),
            node("MatMul", f"s{at} v{at}", f"c{at}"),
        ]
        source = f"c{at}"
        for name, rows, columns in (
            ("o", hidden, hidden),
            ("f", hidden, inner),
            ("g", inner, hidden),
        ):
            weights.append(dropped(f"{name}w{at}", rows, columns))
            nodes.append(node("MatMul", f"{source} {name}w{at}", f"{name}{at}"))
            source = f"{name}{at}"
        last = source
    return model(nodes, {"x": (FLOAT, [1, sequence, hidden])}, [last], weights)


def test_bert_base_has_its_published_work() -> None:
    """11.2 GMAC at sequence 128: 12 layers of 4 h^2 + 8 h^2 per token and 2 s h per token."""
    macs = analyse(bert_base(12, 768, 3072, 128), {}).macs
    assert macs == 12 * 128 * (12 * 768**2 + 2 * 128 * 768)
    assert macs == pytest.approx(11.2e9, rel=0.01)


@pytest.mark.parametrize(
    ("path", "gmacs"),
    [("light/light_resnet50.onnx", 4.09), ("cv_studio/deeplab_v3.onnx", 0.726)],
)
def test_known_models_have_their_published_work(path: str, gmacs: float) -> None:
    if not (MODELS / path).exists():
        pytest.skip("the model collection is not here")
    made = onnx.ModelProto.FromString((MODELS / path).read_bytes())
    found = analyse(made, {})
    assert found.macs == pytest.approx(gmacs * 1e9, rel=0.01)
    assert found.unknown_node_count == 0


def test_quantised_products_count_like_others() -> None:
    facts = only(
        node("ConvInteger", "x w", "y"),
        {"x": (2, [1, 3, 8, 8])},
        (dropped("w", 16, 3, 3, 3, elem_type=2),),
    )
    assert facts.macs == 16 * 6 * 6 * 27
    low_bit = node("MatMulNBits", "x w s", "y", domain="com.microsoft", K=64, N=32, block_size=32)
    facts = only(low_bit, image(1, 5, 64), (dropped("w", 32, 2, 16, elem_type=2), dropped("s", 64)))
    assert (facts.macs, facts.output_shape) == (5 * 64 * 32, (1, 5, 32))
    assert np.prod(facts.output_shape or ()) == 160
