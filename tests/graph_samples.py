"""Models and tensors for the tests of reading and inspecting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.tiny_models import mlp, value

FLOAT = TensorProto.FLOAT


def weight(name: str, *dims: int, seed: int = 0, dtype: str = "float32") -> TensorProto:
    """A seeded initializer; equal seeds and dims make equal ones."""
    random = np.random.default_rng(seed).integers(0, 100, dims)
    return numpy_helper.from_array(random.astype(dtype), name)


def ort_file(path: Path, dims: list[int | str]) -> Path:
    """The tiny network in ONNX Runtime's format, written by the runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.optimized_model_filepath = str(path)
    source = mlp(path.with_suffix(".source"), batch=dims[0])
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return path


def seed_model() -> bytes:
    """One of everything: weights inline and external, bodies, lists, a function."""
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=weight("c", 4))],
        "b",
        [],
        [value("c", FLOAT, [4])],
    )
    typed = helper.make_tensor("typed", TensorProto.INT64, [3], [1, 2, 3])
    nodes = [
        helper.make_node("If", ["cond"], ["i"], then_branch=branch, else_branch=branch),
        helper.make_node("Add", ["x", "i"], ["a"], name="add"),
        helper.make_node("F", ["a"], ["f"], domain="local"),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
        helper.make_node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", scale=[1.0] * 4),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", FLOAT, ["n", 4]), value("cond", TensorProto.BOOL, [])],
        [value("y", FLOAT, ["n", 40])],
        [weight("w", 4, 400), typed],
    )
    function = helper.make_function(
        "local", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    opsets = [helper.make_opsetid(*pair) for pair in (("", 17), ("local", 1), ("ai.onnx.ml", 3))]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8)
    return model.SerializeToString()
