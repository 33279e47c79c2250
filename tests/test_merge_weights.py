"""Weights that a model holds twice: one is left, and outputs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from feasibility.errors import UselessChangeError
from feasibility.facts.read_model import inspect_model
from feasibility.records.workload import InputPlan
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.rewrite_model import rewrite_model
from tests.tiny_models import value

Array = NDArray[Any]
WORDS, WIDTH = 96, 32
TABLE_BYTES = WORDS * WIDTH * 4
ONE = np.random.default_rng(0).standard_normal((WORDS, WIDTH), dtype=np.float32)
OTHER = np.random.default_rng(1).standard_normal((WORDS, WIDTH), dtype=np.float32)
node = helper.make_node
LOOK_UP = node("Gather", ["table", "ids"], ["rows"])


def model(
    path: Path,
    nodes: list[NodeProto],
    weights: dict[str, Array],
    *,
    ir_version: int = 8,
    inputs: tuple[str, ...] = (),
    outputs: tuple[str, ...] = ("y",),
) -> Path:
    """A model of word numbers; `inputs` are weights that are inputs too."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    given = [value("ids", TensorProto.INT64, [1, 4])]
    given += [value(name, TensorProto.FLOAT, list(weights[name].shape)) for name in inputs]
    results = [
        value(name, TensorProto.FLOAT, [None] * (weights[name].ndim if name in weights else 3))
        for name in outputs
    ]
    graph = helper.make_graph(nodes, "words", given, results, tensors)
    opsets = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    path.write_bytes(made.SerializeToString())
    return path


def constant(name: str, array: Array) -> NodeProto:
    return node("Constant", [], [name], value=numpy_helper.from_array(array, name))


def merged(source: Path) -> Path:
    target = source.parent / "merged" / "m.onnx"
    plan = InputPlan(inputs=())
    rewrite_model(source, target, "merged-weights", isa="aarch64", plan=plan)
    return target


def outputs(path: Path) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    return session.run(None, {"ids": np.array([[5, 0, 95, 5]])})


def graph_of(path: Path) -> onnx.GraphProto:
    return onnx.ModelProto.FromString(path.read_bytes()).graph


def data_bytes(path: Path) -> int:
    return data_path(path).stat().st_size


def add_twice(*nodes: NodeProto, name: str = "copy") -> list[NodeProto]:
    """Rows of a table, and of another one, added."""
    other = node("Gather", [name, "ids"], ["others"])
    return [*nodes, LOOK_UP, other, node("Add", ["rows", "others"], ["y"])]


def products(right: str, *nodes: NodeProto) -> list[NodeProto]:
    """Scores of all words, as in a language model."""
    return [LOOK_UP, *nodes, node("MatMul", ["rows", right], ["y"])]


# Model, then how many tables are left and how many products read the embedding.
MERGED = {
    "equal": (add_twice(), {"table": ONE, "copy": ONE.copy()}, 1, 0),
    "equal, three times": (
        [*add_twice(), node("Gather", ["more", "ids"], ["z"]), node("Add", ["y", "z"], ["s"])],
        {"table": ONE, "copy": ONE.copy(), "more": ONE.copy()},
        1,
        0,
    ),
    "equal, in a Constant node": (add_twice(constant("copy", ONE)), {"table": ONE}, 1, 0),
    "transposed": (products("head"), {"table": ONE, "head": ONE.T.copy()}, 1, 1),
    "transposed, in a Constant node": (
        [constant("head", ONE.T.copy()), *products("head")],
        {"table": ONE},
        1,
        1,
    ),
    "transposed, of two equal ones": (
        [*add_twice(name="copy")[:-1], node("MatMul", ["others", "head"], ["y"])],
        {"table": ONE, "copy": ONE.copy(), "head": ONE.T.copy()},
        1,
        1,
    ),
    "equal, and the one that is left is used otherwise": (
        [
            LOOK_UP,
            node("MatMul", ["rows", "head"], ["s"]),
            node("ReduceSum", ["copy"], ["z"]),
            node("Add", ["s", "z"], ["y"]),
        ],
        {"table": ONE, "head": ONE.T.copy(), "copy": ONE.T.copy()},
        2,
        0,
    ),
    "transposed, two products": (
        [*products("head"), node("MatMul", ["rows", "head"], ["s"])],
        {"table": ONE, "head": ONE.T.copy()},
        1,
        2,
    ),
    "transposed while loading": (
        products("head", node("Transpose", ["table"], ["head"], perm=[1, 0])),
        {"table": ONE},
        1,
        1,
    ),
}


@pytest.mark.parametrize("case", MERGED.values(), ids=MERGED.keys())
def test_one_is_left_and_outputs_are_the_same(tmp_path: Path, case: Any) -> None:
    nodes, weights, table_count, fused_count = case
    last = nodes[-1].output[0]
    source = model(tmp_path / "m.onnx", nodes, weights, outputs=(last,))
    target = merged(source)
    assert data_bytes(target) == table_count * TABLE_BYTES
    fused = [each for each in graph_of(target).node if each.op_type == "FusedMatMul"]
    assert len(fused) == fused_count
    onnx.checker.check_model(target)
    for before, after in zip(outputs(source), outputs(target), strict=True):
        np.testing.assert_array_equal(before, after)
    assert sorted(each.name for each in target.parent.iterdir()) == ["m.onnx", "m.onnx.data"]


def almost(array: Array) -> Array:
    """The same numbers except one that no sample reads."""
    changed = array.copy()
    changed[1, 1] += 1
    return changed


def negative_zeros(array: Array) -> Array:
    return np.where(array > 0, array, np.float32(-0.0)).astype(np.float32)


def positive_zeros(array: Array) -> Array:
    return np.where(array > 0, array, np.float32(0.0)).astype(np.float32)


BODY = helper.make_graph(
    [node("Gather", ["copy", "ids"], ["inner"])],
    "body",
    [],
    [value("inner", TensorProto.FLOAT, None)],
)
IF = node("If", ["yes"], ["others"], then_branch=BODY, else_branch=BODY)
KEPT = {
    "one element differs": (add_twice(), {"table": ONE, "copy": almost(ONE)}, {}),
    "one element differs, transposed": (
        products("head"),
        {"table": ONE, "head": almost(ONE).T.copy()},
        {},
    ),
    "zeros with other signs": (
        add_twice(),
        {"table": positive_zeros(ONE), "copy": negative_zeros(ONE)},
        {},
    ),
    "another shape": (
        [LOOK_UP, node("ReduceSum", ["copy"], ["others"]), node("Add", ["rows", "others"], ["y"])],
        {"table": ONE, "copy": ONE.reshape(WIDTH, WORDS)},
        {},
    ),
    "another type": (
        [
            LOOK_UP,
            node("Gather", ["copy", "ids"], ["z"]),
            node("Cast", ["z"], ["others"], to=TensorProto.FLOAT),
            node("Add", ["rows", "others"], ["y"]),
        ],
        {"table": ONE, "copy": ONE.view(np.int32)},
        {},
    ),
    "the caller may replace it": (
        add_twice(),
        {"table": ONE, "copy": ONE.copy()},
        {"inputs": ("copy",)},
    ),
    "the caller may replace the other one": (
        add_twice(),
        {"table": ONE, "copy": ONE.copy()},
        {"inputs": ("table",)},
    ),
    "it is an output": (
        add_twice(),
        {"table": ONE, "copy": ONE.copy()},
        {"outputs": ("y", "copy")},
    ),
    "a body uses it": (
        [LOOK_UP, constant("yes", np.array(True)), IF, node("Add", ["rows", "others"], ["y"])],
        {"table": ONE, "copy": ONE.copy()},
        {},
    ),
    "the transposed one is used otherwise": (
        [*products("head")[:-1], node("MatMul", ["rows", "head"], ["s"]),
         node("ReduceSum", ["head"], ["z"]), node("Add", ["s", "z"], ["y"])],
        {"table": ONE, "head": ONE.T.copy()},
        {},
    ),
    "the transposed one is on the left": (
        [node("MatMul", ["table", "head"], ["s"]), node("MatMul", ["head", "table"], ["z"]),
         node("ReduceSum", ["s"], ["a"]), node("ReduceSum", ["z"], ["b"]),
         node("Add", ["a", "b"], ["c"]), node("Gather", ["wide", "ids"], ["d"]),
         node("Add", ["c", "d"], ["y"])],
        {"table": OTHER, "head": OTHER.T.copy(), "wide": ONE},
        {},
    ),
    "the transposed one is made later": (
        [node("Gather", ["wide", "ids"], ["rows"]), constant("head", ONE.T.copy()),
         node("MatMul", ["rows", "head"], ["s"]), constant("table", ONE),
         node("ReduceSum", ["table"], ["z"]), node("Add", ["s", "z"], ["y"])],
        {"wide": OTHER},
        {},
    ),
    "its transposition is not held twice": (
        [node("Transpose", ["table"], ["head"], perm=[1, 0]),
         node("Gather", ["wide", "ids"], ["rows"]), node("MatMul", ["rows", "head"], ["y"])],
        {"table": ONE, "wide": OTHER},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT.values(), ids=KEPT.keys())
def test_what_is_needed_stays(tmp_path: Path, case: Any) -> None:
    nodes, weights, more = case
    source = model(tmp_path / "m.onnx", nodes, weights, **more)
    outputs(source)
    with pytest.raises(UselessChangeError, match="held twice"):
        merged(source)
    assert {*tmp_path.iterdir()} == {source, tmp_path / "merged"}
    assert not [*(tmp_path / "merged").iterdir()]


def test_weights_that_are_inputs_of_an_old_model_are_merged(tmp_path: Path) -> None:
    """Before IR 4 all weights are inputs, and no caller can replace them."""
    weights = {"table": ONE, "copy": ONE.copy()}
    source = model(
        tmp_path / "m.onnx", add_twice(), weights, ir_version=3, inputs=("table", "copy")
    )
    target = merged(source)
    assert [each.name for each in graph_of(target).input] == ["ids", "table"]
    np.testing.assert_array_equal(outputs(source)[0], outputs(target)[0])


def test_weights_in_another_file_are_merged(tmp_path: Path) -> None:
    weights = {"table": ONE, "head": ONE.T.copy()}
    inside = model(tmp_path / "m.onnx", products("head"), weights)
    source = tmp_path / "outside" / "m.onnx"
    source.parent.mkdir()
    rewrite_model(inside, source, "external-data", isa="aarch64", plan=InputPlan(inputs=()))
    target = merged(source)
    assert data_bytes(source) == 2 * data_bytes(target)
    np.testing.assert_array_equal(outputs(inside)[0], outputs(target)[0])


def test_a_fused_product_packs_its_weight_as_a_plain_one_does(tmp_path: Path) -> None:
    """The embedding stays for the rows, so both models hold two tables after loading."""
    source = model(tmp_path / "m.onnx", products("head"), {"table": ONE, "head": ONE.T.copy()})
    before, after = (
        inspect_model(path).modelled_memory[0].weight_bytes for path in (source, merged(source))
    )
    # The table itself is mapped.
    assert after == before - TABLE_BYTES
