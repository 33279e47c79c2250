from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.analysed import analyse
from tests.analysis_models import FLOAT, constant, dropped, model, node

MODELS = Path(__file__).parents[2] / "shared" / "models"
FLOAT16 = 10
INPUT = {"x": (FLOAT, [4, 256])}


def generated(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> int:
    return analyse(model(nodes, INPUT, ["y"], weights), {}).generated_bytes


def test_weights_filled_in_by_the_graph_are_counted_where_they_are_read() -> None:
    nodes = [node("ConstantOfShape", "size", "w"), node("MatMul", "x w", "y")]
    assert generated(nodes, [constant("size", [256, 128])]) == 256 * 128 * 4 - 16


def test_steps_on_the_way_are_not_counted() -> None:
    nodes = [
        node("ConstantOfShape", "size", "a"),
        node("Tanh", "a", "b"),
        node("Tanh", "b", "w"),
        node("MatMul", "x w", "y"),
    ]
    assert generated(nodes, [constant("size", [256, 128])]) == 256 * 128 * 4 - 16


def test_widened_weights_count_beyond_what_they_replace() -> None:
    nodes = [node("Cast", "half", "w", to=FLOAT), node("MatMul", "x w", "y")]
    half = dropped("half", 256, 128, elem_type=FLOAT16)
    assert generated(nodes, [half]) == 256 * 128 * 2


def test_a_weight_that_is_read_as_well_is_not_replaced() -> None:
    nodes = [
        node("Transpose", "w", "t"),
        node("MatMul", "x w", "h"),
        node("MatMul", "h t", "y"),
    ]
    assert generated(nodes, [dropped("w", 256, 128)]) == 256 * 128 * 4


def test_reordered_weights_take_the_place_of_the_others() -> None:
    nodes = [node("Transpose", "w", "t"), node("MatMul", "x t", "y")]
    assert generated(nodes, [dropped("w", 128, 256)]) == 0


def test_quantised_weights_are_not_unpacked_while_loading() -> None:
    """ONNX Runtime keeps DequantizeLinear beside the operators that it quantises."""
    nodes = [node("DequantizeLinear", "q scale", "w"), node("MatMul", "x w", "y")]
    weights = [dropped("q", 256, 128, elem_type=3), constant("scale", 0.1, np.float32)]
    assert generated(nodes, weights) == 0


def test_random_weights_are_made_in_every_run() -> None:
    nodes = [node("RandomNormal", "", "w", shape=[256, 128]), node("MatMul", "x w", "y")]
    found = analyse(model(nodes, INPUT, ["y"]), {})
    assert found.generated_bytes == 0
    assert found.activation_peak is not None
    assert found.activation_peak.peak_bytes >= 256 * 128 * 4


def test_a_small_file_may_hold_a_hundred_megabytes() -> None:
    path = MODELS / "light" / "light_resnet50.onnx"
    if not path.exists():
        pytest.skip("the model collection is not here")
    found = analyse(onnx.ModelProto.FromString(path.read_bytes()), {})
    assert found.generated_bytes == pytest.approx(97.7 * 2**20, rel=0.01)
