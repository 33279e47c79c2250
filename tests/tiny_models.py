"""Tiny ONNX models for tests, each written by one function."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from feasibility.records.workload import InputSpec

# Major and minor release of the runtime that tests run.
RUNTIME_VERSION = tuple(int(part) for part in metadata.version("onnxruntime").split(".")[:2])


def save(path: Path, graph: onnx.GraphProto, opset: int = 17) -> Path:
    """Writes the graph as a model and returns the path."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def value(name: str, dtype: int, shape: list[int | str] | None) -> onnx.ValueInfoProto:
    """A graph input or output."""
    return helper.make_tensor_value_info(name, dtype, shape)


def mlp(path: Path, width: int = 64, layers: int = 2, batch: int | str = 1) -> Path:
    """`layers` square MatMuls, each followed by a Relu."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for index in range(layers):
        weight = rng.standard_normal((width, width), dtype=np.float32) / np.float32(width)
        weights.append(numpy_helper.from_array(weight, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{index}"], [f"m{index}"], f"mm{index}"))
        nodes.append(helper.make_node("Relu", [f"m{index}"], [f"r{index}"], f"relu{index}"))
        last = f"r{index}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [value("x", TensorProto.FLOAT, [batch, width])],
        [value(last, TensorProto.FLOAT, [batch, width])],
        weights,
    )
    return save(path, graph)


def endless_loop(path: Path) -> Path:
    """A Loop whose condition stays true for ever."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["cond_in"], ["cond_out"]),
            helper.make_node("Add", ["state", "state"], ["state_out"]),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("cond_in", TensorProto.BOOL, []),
            value("state", TensorProto.FLOAT, [1]),
        ],
        [value("cond_out", TensorProto.BOOL, []), value("state_out", TensorProto.FLOAT, [1])],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "always", "x"], ["y"], "forever", body=body)],
        "endless",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array(True), "always")],
    )
    return save(path, graph)


def huge_allocation(path: Path, elements: int) -> Path:
    """A model that makes `elements` floats out of one number."""
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["x", "shape"], ["wide"], "expand"),
            helper.make_node("Neg", ["wide"], ["y"], "neg"),
        ],
        "huge",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([elements], dtype=np.int64), "shape")],
    )
    return save(path, graph)


def multiple_of_160(path: Path, width: int | str = "width") -> Path:
    """A graph that only runs if its open dim can be divided by 160.

    Only a run shows it: the number is in a tensor of more than a kilobyte, which is not read.
    """
    numbers = np.full(1000, 160, dtype=np.int64)
    numbers[0] = -1
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["numbers", "first_two"], ["rows"], "rows"),
            helper.make_node("Reshape", ["x", "rows"], ["folded"], "fold"),
            helper.make_node("ReduceSum", ["folded"], ["y"], "sum", keepdims=0),
        ],
        "picky",
        [value("x", TensorProto.FLOAT, [1, width])],
        [value("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(numbers, "numbers"),
            numpy_helper.from_array(np.array([0, 1], dtype=np.int64), "first_two"),
        ],
    )
    return save(path, graph)


def never_runs(path: Path) -> Path:
    """A graph with an open dim of which no usual size is right."""
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "rows"], ["folded"], "fold"),
            helper.make_node("ReduceSum", ["folded"], ["y"], "sum", keepdims=0),
        ],
        "stubborn",
        [value("x", TensorProto.FLOAT, [1, "strange_size"])],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array([-1, 7919], dtype=np.int64), "rows")],
    )
    return save(path, graph)


def identity(path: Path, spec: InputSpec) -> Path:
    """A model whose output is its input, of whatever type."""
    dtype = {"bfloat16": TensorProto.BFLOAT16, "string": TensorProto.STRING}.get(spec.dtype)
    if dtype is None:
        dtype = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    type_proto = helper.make_tensor_type_proto(dtype, spec.shape)
    if spec.kind == "sequence":
        type_proto = helper.make_sequence_type_proto(type_proto)
    if spec.kind == "optional":
        type_proto = helper.make_optional_type_proto(type_proto)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_value_info("x", type_proto)],
        [helper.make_value_info("y", type_proto)],
    )
    return save(path, graph)
