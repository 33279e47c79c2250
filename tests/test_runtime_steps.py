"""Which steps the runtime executes for a graph, in which order, with which buffers."""

from __future__ import annotations

import numpy as np
import pytest

from feasibility.ort_memory.channel_blocks import Blocks
from feasibility.ort_memory.known_shapes import KnownShapes
from feasibility.ort_memory.runtime_order import in_runtime_order
from feasibility.ort_memory.steps import Stage, Step
from tests.analysis_models import constant, dropped, node
from tests.memory_graphs import convolution, graph_of, reads, steps_of

IMAGE = reads(1, 16, 8, 8)
FILTERS = dropped("w", 16, 16, 3, 3)


def test_the_newest_input_of_a_step_is_computed_first() -> None:
    """The runtime walks from the results back, so a branch runs when it is needed."""
    old, new = Step("Old", ("x",), ("a",)), Step("New", ("x",), ("b",), age=(Stage.MERGED, 0))
    join = Step("Join", ("a", "b"), ("y",))
    assert [step.op_type for step in in_runtime_order([old, new, join])] == ["New", "Old", "Join"]
    later = Step("Later", ("x",), ("c",))
    both = [old._replace(age=(Stage.READ, at)) for at in range(2)]
    both[1] = both[1]._replace(op_type="Second", writes=("b",))
    order = in_runtime_order([*both, later, join])
    assert [step.op_type for step in order] == ["Second", "Old", "Join", "Later"]


def test_steps_of_a_cycle_come_last() -> None:
    steps = [Step("A", ("b",), ("a",)), Step("B", ("a",), ("b",)), Step("C", ("x",), ("y",))]
    assert [step.op_type for step in in_runtime_order(steps)] == ["C", "A", "B"]


@pytest.mark.parametrize(
    ("mode", "grid", "rounding", "is_blocked"),
    [
        ("nearest", "asymmetric", "floor", True),
        ("nearest", "half_pixel", "floor", False),
        ("nearest", "asymmetric", "round_prefer_floor", False),
        ("linear", "half_pixel", "floor", True),
        ("linear", "align_corners", "floor", True),
        ("linear", "pytorch_half_pixel", "floor", False),
        ("cubic", "half_pixel", "floor", False),
    ],
)
def test_which_scalings_work_on_blocks(
    mode: str, grid: str, rounding: str, *, is_blocked: bool
) -> None:
    scaling = node(
        "Resize",
        "a _ s",
        "b",
        mode=mode,
        coordinate_transformation_mode=grid,
        nearest_mode=rounding,
    )
    nodes = [convolution("x", "a"), scaling, convolution("b", "y")]
    scales = constant("s", [1, 1, 2, 2], np.float32)
    steps = steps_of(graph_of(nodes, IMAGE, weights=[FILTERS, scales]), Blocks())
    around = [] if is_blocked else ["ReorderOutput"]
    assert steps[2:-2] == [*around, "Resize", *(["ReorderInput"] if around else [])]


@pytest.mark.parametrize(
    ("op_type", "is_blocked"),
    [("Relu", True), ("HardSigmoid", True), ("Elu", False), ("LeakyRelu", False)],
)
def test_which_activations_work_on_blocks(op_type: str, *, is_blocked: bool) -> None:
    """The activation is a step of its own, because the sum reads its input too."""
    nodes = [
        *(convolution("x", "a"), convolution("a", "b"), node(op_type, "b", "c")),
        *(node("Add", "b c", "d"), convolution("d", "y")),
    ]
    steps = steps_of(graph_of(nodes, IMAGE, weights=[FILTERS]), Blocks())
    assert steps.count("ReorderOutput") == (1 if is_blocked else 2)


def test_names_of_open_axes_survive_until_a_window_or_a_join() -> None:
    """Time is axis 1 of the input; after the transposition a window slides over it."""
    nodes = [
        node("Transpose", "x", "a", perm=[0, 2, 1, 3]),
        node("Relu", "a", "b"),
        convolution("b", "c"),
        node("Concat", "b b", "y", axis=2),
    ]
    graph = graph_of(nodes, IMAGE, weights=[dropped("w", 16, 8, 3, 3)])
    shapes = KnownShapes({"x": {1: "t"}}, lambda name: name == "w")
    for each in graph.nodes:
        shapes.note(each)
    assert [shapes.knows(name) for name in "abcy"] == [True, True, False, False]
    batch = KnownShapes({"x": {0: "n"}}, lambda name: name == "w")
    for each in graph.nodes:
        batch.note(each)
    assert all(map(batch.knows, "abcy"))


def test_joined_axes_are_open_if_one_of_them_is() -> None:
    nodes = [
        node("Unsqueeze", "x two", "a"),
        node("Reshape", "a flat", "y"),
    ]
    weights = [constant("two", [2]), constant("flat", [1, -1, 8])]
    graph = graph_of(nodes, IMAGE, weights=weights)
    shapes = KnownShapes({"x": {2: "t"}}, lambda _: True)
    for each in graph.nodes:
        shapes.note(each)
    assert shapes._open_axes["a"] == {3}
    assert shapes._open_axes["y"] == {1}


def test_a_size_that_follows_from_the_inputs_replaces_a_declared_name() -> None:
    """A file may give a name to the axis of a result although its size follows from the inputs."""
    nodes = [node("Relu", "x", "a"), node("Transpose", "a", "y", perm=[0, 1, 3, 2])]
    graph = graph_of(nodes, IMAGE)
    shapes = KnownShapes({"x": {3: "wide"}, "y": {1: "c", 2: "t"}}, lambda _: False)
    for each in graph.nodes:
        shapes.note(each)
    assert shapes.named("y", (1, 16, 8, 8)) == (1, 16, "t", 8)
    assert not shapes.is_fixed("y", graph.types["y"])
    fixed = KnownShapes({"x": {}, "y": {1: "c", 2: "t"}}, lambda _: False)
    for each in graph.nodes:
        fixed.note(each)
    assert fixed.is_fixed("y", graph.types["y"])
