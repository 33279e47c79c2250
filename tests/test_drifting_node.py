"""The node at which a changed model leaves the original."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from feasibility.errors import ChangeError, ModelError
from feasibility.records.workload import InputPlan, InputSpec
from feasibility.rewrite.drifting_node import DriftingNode, first_drifting_node
from feasibility.rewrite.rewrite_model import rewrite_model
from tests.tiny_models import save, value

PLAN = InputPlan(inputs=(InputSpec(name="x", dtype="float32", shape=(1, 64)),))
LAYERS = 12


def layers(path: Path, factors: dict[int, float] | None = None, *, absorbed: bool = False) -> Path:
    """Pairs of MatMul and Relu; the weights of some layers are multiplied."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for index in range(LAYERS):
        weight = rng.standard_normal((64, 64), dtype=np.float32) / np.float32(8)
        weight *= np.float32((factors or {}).get(index, 1.0))
        weights.append(numpy_helper.from_array(weight, f"w{index}"))
        names = ("", f"r{index}") if absorbed else (f"m{index}", f"r{index}")
        if absorbed:
            nodes.append(helper.make_node("MatMul", [last, f"w{index}"], [names[1]], f"mm{index}"))
        else:
            nodes.append(helper.make_node("MatMul", [last, f"w{index}"], [names[0]], f"mm{index}"))
            nodes.append(helper.make_node("Relu", [names[0]], [names[1]], f"relu{index}"))
        last = f"r{index}"
    graph = helper.make_graph(
        nodes,
        "layers",
        [value("x", TensorProto.FLOAT, ["n", 64])],
        [value(last, TensorProto.FLOAT, ["n", 64])],
        weights,
    )
    return save(path, graph)


@pytest.mark.parametrize("layer", [0, 7, 11])
def test_the_first_node_is_found_in_any_batch(tmp_path: Path, layer: int) -> None:
    original = layers(tmp_path / "a.onnx")
    changed = layers(tmp_path / "b.onnx", {layer: 1.25, 11: 1.25})
    found = first_drifting_node(original, changed, PLAN, 0, threshold_ratio=0.1)
    assert found == DriftingNode(f"mm{layer}", pytest.approx(0.25))
    assert first_drifting_node(original, changed, PLAN, 0, threshold_ratio=0.6) is None
    assert first_drifting_node(original, original, PLAN, 0, threshold_ratio=0.0) is None


def test_a_value_that_is_not_finite_is_a_drift(tmp_path: Path) -> None:
    original = layers(tmp_path / "a.onnx")
    changed = layers(tmp_path / "b.onnx", {3: float("inf")})
    found = first_drifting_node(original, changed, PLAN, 0, threshold_ratio=0.1)
    assert found == DriftingNode("mm3", sys.float_info.max)


def test_values_before_an_absorbed_activation_are_not_compared(tmp_path: Path) -> None:
    original = layers(tmp_path / "a.onnx")
    changed = layers(tmp_path / "b.onnx", absorbed=True)
    assert first_drifting_node(original, changed, PLAN, 0, threshold_ratio=0.0) is None


@pytest.mark.parametrize("names", [("mm0", "mm1"), ("m0", "m1")], ids=["named", "unnamed"])
def test_a_node_kept_in_float_moves_the_drift(tmp_path: Path, names: tuple[str, str]) -> None:
    """What the answer is for. A node without a name has that of its output."""
    original = layers(tmp_path / "a.onnx")
    if names[0] == "m0":
        model = onnx.ModelProto.FromString(original.read_bytes())
        for each in model.graph.node:
            each.name = ""
        original.write_bytes(model.SerializeToString())
    found: list[str] = []
    for number in range(2):
        target = tmp_path / f"{number}.onnx"
        rewrite_model(
            original, target, "int4-weights", isa="aarch64", plan=PLAN, keep_float=tuple(found)
        )
        node = first_drifting_node(original, target, PLAN, 0, threshold_ratio=0.01)
        assert node is not None
        found.append(node.name)
    assert tuple(found) == names


def test_a_model_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    original = layers(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(original.read_bytes()[:5000])
    with pytest.raises(ModelError, match="it is truncated"):
        first_drifting_node(original, tmp_path / "b.onnx", PLAN, 0, threshold_ratio=0.1)


def test_a_model_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    original = layers(tmp_path / "a.onnx")
    model = onnx.ModelProto.FromString(original.read_bytes())
    model.graph.node[4].op_type = "Secret"
    (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ChangeError, match=r"the tools of ONNX Runtime report: .*Secret") as caught:
        first_drifting_node(original, tmp_path / "b.onnx", PLAN, 0, threshold_ratio=0.1)
    assert caught.value.what.startswith("Cannot compare ")
    assert caught.value.hint == "compare the outputs only"
