"""The model of the runtime's memory: its parts one by one, and the whole against measurements."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from feasibility.facts.read_model import inspect_model
from feasibility.ort_memory import modelled_memory
from feasibility.ort_memory.buffer_reuse import Event, plan
from feasibility.ort_memory.called_functions import without_calls
from feasibility.ort_memory.channel_blocks import Blocks
from feasibility.ort_memory.foreign_operators import with_full_names
from feasibility.ort_memory.load_stages import BASE_BYTES, BODY_BYTES, NODE_BYTES, loading
from feasibility.ort_memory.memory_pattern import pattern_bytes
from feasibility.ort_memory.merges import Fusions
from feasibility.ort_memory.modelled_memory import MemoryModel, simulate
from feasibility.ort_memory.simulated_arena import Arena
from feasibility.ort_memory.steps import Program, Step, Value
from feasibility.ort_memory.weight_reads import WeightReads
from feasibility.paths import profiles_dir
from feasibility.units import KIB, MIB
from feasibility.zoo import architectures as zoo
from tests.analysed import typed
from tests.analysis_models import BOOL, FLOAT, constant, dropped, model, node, weight
from tests.analysis_models import graph as subgraph
from tests.memory_graphs import branch, convolution, graph_of, program_of, steps_of

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

    from feasibility.ort_memory.load_stages import Loading

IMAGE = (FLOAT, [1, 32, 64, 64])
NEGATE = node("Neg", "b", "y")
IMAGE_BYTES = 32 * 64 * 64 * 4


def chain(*sizes: int, shape: tuple[int, ...] = (1,)) -> Program:
    """Steps of which each reads the value of the one before."""
    names = [f"v{at}" for at in range(len(sizes))]
    values = {
        name: Value(size, (*shape, size), is_known=True)
        for name, size in zip(names, sizes, strict=True)
    }
    steps = [Step("Op", (read,), (name,)) for read, name in itertools.pairwise(names)]
    return Program(values, tuple(steps), (names[0],), (names[-1],))


def test_the_first_region_is_a_mebibyte_and_later_ones_are_twice_the_last() -> None:
    arena = Arena()
    for at in range(4):
        arena.take(str(at), MIB)
    assert arena.held_bytes == (1 + 2 + 4) * MIB
    assert arena.touched_bytes == 4 * MIB
    assert arena.resident_bytes == 4 * MIB + 7 * MIB // 32


def test_a_request_beyond_the_next_region_gets_the_power_of_two_above_it() -> None:
    arena = Arena()
    arena.take("a", 5 * MIB)
    assert (arena.held_bytes, arena.touched_bytes) == (8 * MIB, 5 * MIB)


def test_a_chunk_is_cut_only_where_the_rest_is_as_large_as_the_request() -> None:
    """Two tensors of 5 MiB do not share a region of 8; two of 4 do."""
    tight, loose = Arena(), Arena()
    for name in ("a", "b"):
        tight.take(name, 5 * MIB)
        loose.take(name, 4 * MIB if name == "b" else 8 * MIB)
    assert tight.held_bytes == 16 * MIB
    assert loose.held_bytes == 16 * MIB
    loose.take("c", 4 * MIB)
    assert loose.held_bytes == 16 * MIB


def test_what_was_given_back_is_taken_again_and_neighbours_become_one() -> None:
    arena = Arena()
    arena.take("whole", 8 * MIB)
    arena.give_back("whole")
    arena.take("a", 2 * MIB)
    arena.take("b", 2 * MIB)
    arena.give_back("a")
    arena.give_back("b")
    arena.give_back("never taken")
    arena.take("again", 8 * MIB)
    assert (arena.held_bytes, arena.touched_bytes) == (8 * MIB, 8 * MIB)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3 * MIB)), min_size=1, max_size=40))
def test_the_arena_never_hands_out_one_byte_twice(requests: list[tuple[int, int]]) -> None:
    """It holds all that is in use, and touches no more than it holds."""
    arena = Arena()
    in_use: dict[str, int] = {}
    most = 0
    for slot, size in requests:
        name = str(slot)
        arena.give_back(name)
        in_use.pop(name, None)
        if size:
            arena.take(name, size)
            in_use[name] = size
        most = max(most, sum(in_use.values()))
        chunks = arena._places.values()
        spans = sorted((item.region, item.start, item.start + item.size) for item in chunks)
        for (region, _, end), (other, start, _) in itertools.pairwise(spans):
            assert region != other or end <= start
    assert most <= arena.held_bytes
    assert arena.touched_bytes <= arena.held_bytes


def events(*lifetimes: tuple[int, int, int]) -> list[Event]:
    """Events of values by (first step, last step, size)."""
    count = max(last for _, last, _ in lifetimes) + 1
    return [
        Event(
            taken=tuple(
                (str(at), size) for at, (first, _, size) in enumerate(lifetimes) if first == step
            ),
            kept=frozenset(),
            unplanned=frozenset(),
            workspace=(),
            later_workspace=(),
            released=tuple(str(at) for at, (_, last, _) in enumerate(lifetimes) if last == step),
        )
        for step in range(count)
    ]


def test_the_pattern_fills_the_smallest_gap() -> None:
    """The third value takes the place of the first, which is gone."""
    assert pattern_bytes(events((0, 0, 640), (0, 3, 64), (1, 3, 640))) == 704


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4096)),
        min_size=1,
        max_size=20,
    )
)
def test_the_pattern_is_that_of_the_planner(spans: list[tuple[int, int, int]]) -> None:
    """The planner looks at every value alive; the gaps that are kept must be what it finds."""
    history = events(*((min(span[:2]), max(span[:2]), span[2]) for span in spans))
    assert pattern_bytes(history) == planned_bytes(history)


def planned_bytes(history: list[Event]) -> int:
    alive: list[tuple[int, int, str]] = []
    size = 0
    for event in history:
        for name, size_bytes in event.taken:
            needed = -(-size_bytes // 64) * 64
            ends = [0, *itertools.accumulate((end for _, end, _ in sorted(alive)), max)]
            starts = [start for start, _, _ in sorted(alive)]
            gaps = [
                (start - end, end)
                for end, start in zip(ends, starts, strict=False)
                if start - end >= needed
            ]
            at = min(gaps)[1] if gaps else ends[-1]
            alive.append((at, at + needed, name))
            size = max(size, at + needed)
        alive = [block for block in alive if block[2] not in event.released]
    return size


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 4096)),
        min_size=1,
        max_size=20,
    )
)
def test_the_pattern_holds_what_is_alive(spans: list[tuple[int, int, int]]) -> None:
    lifetimes = [(min(span[:2]), max(span[:2]), span[2]) for span in spans]
    size = pattern_bytes(events(*lifetimes))
    alive = [
        sum(-(-size // 64) * 64 for first, last, size in lifetimes if first <= step <= last)
        for step in range(10)
    ]
    assert max(alive) <= size <= sum(-(-size // 64) * 64 for _, _, size in lifetimes)


def test_a_value_takes_over_the_memory_of_one_of_its_shape() -> None:
    """a -> b -> c -> d of one shape: c lies where a was, if a is not the caller's."""
    program = chain(64, 64, 64, 64, 64)
    taken = [[name for name, _ in event.taken] for event in plan(program)]
    assert taken == [["v1"], ["v2"], [], ["v4"]]


def test_memory_that_another_takes_over_stays_taken_in_between() -> None:
    """The runtime plans ahead: a buffer with a later use is not given back for others."""
    values = {
        name: Value(size, (size,), is_known=True)
        for name, size in (("x", 8), ("a", 64), ("b", 32), ("c", 16), ("d", 64), ("y", 8))
    }
    names = ["x", "a", "b", "c", "d", "y"]
    steps = tuple(Step("Op", (r,), (w,)) for r, w in itertools.pairwise(names))
    found = plan(Program(values, steps, ("x",), ("y",)))
    assert [event.released for event in found] == [(), (), ("b",), ("c",), ("a",)]


def test_a_shape_that_the_runtime_does_not_know_takes_over_nothing() -> None:
    program = chain(64, 64, 64, 64, 64)
    unknown = {
        name: Value(value.size_bytes, value.shape, is_known=False)
        for name, value in program.values.items()
    }
    blind = Program(unknown, program.steps, program.inputs, program.outputs)
    assert [len(event.taken) for event in plan(blind)] == [1, 1, 1, 1]


def test_views_and_kernels_in_place_take_their_input_s_memory() -> None:
    values = {
        "x": Value(64, (16,), is_known=True),
        "a": Value(64, (16,), is_known=True),
        "flat": Value(64, (4, 4), is_known=True),
        "b": Value(64, (4, 4), is_known=True),
        "y": Value(8, (2,), is_known=True),
    }
    steps = (
        Step("Op", ("x",), ("a",), in_place=0),
        Step("Reshape", ("a",), ("flat",), is_view=True),
        Step("Relu", ("flat",), ("b",), in_place=0),
        Step("Op", ("b",), ("y",)),
    )
    found = plan(Program(values, steps, ("x",), ("y",)))
    assert [event.taken for event in found] == [(("a", 64),), (), (), (("y", 8),)]
    assert found[-1].released == ("a",)
    assert found[-1].kept == {"y"}


def test_later_runs_lay_all_activations_out_in_one_block() -> None:
    """Each run without a block uses two regions; the block fits neither of their rests."""
    program = chain(8, 3 * MIB, 3 * MIB + 4, 8)
    without = simulate(program, has_pattern=False)
    assert without.later_runs_bytes == pytest.approx(6 * MIB + 8 * MIB // 32, abs=80 * KIB)
    found = simulate(program)
    assert found.later_runs_bytes == pytest.approx(12 * MIB + 16 * MIB // 32, abs=96 * KIB)
    assert found.input_bytes == 8


def test_convolutions_stay_in_blocks_between_each_other() -> None:
    graph = graph_of(
        [convolution("x", "a"), convolution("a", "y")],
        {"x": IMAGE},
        ["y"],
        [dropped("w", 32, 32, 3, 3)],
    )
    assert steps_of(graph, Blocks()) == ["ReorderInput", "Conv", "Conv", "ReorderOutput"]
    assert steps_of(graph) == ["Conv", "Conv"]


def test_few_channels_are_padded_to_whole_blocks() -> None:
    graph = graph_of(
        [convolution("x", "a"), convolution("a", "y", "v")],
        {"x": (FLOAT, [1, 3, 64, 64])},
        ["y"],
        [dropped("w", 20, 3, 3, 3), dropped("v", 3, 20, 3, 3)],
    )
    program = program_of(graph, Blocks())
    assert program.values["blocked:a"].size_bytes == 32 * 64 * 64 * 4
    # Three channels are read as they are.
    assert program.steps[0].reads == ("x",)
    assert program_of(graph, Blocks(8)).values["blocked:a"].size_bytes == (24 * 64 * 64 * 4)


@pytest.mark.parametrize(
    ("shape", "group", "is_blocked"),
    [
        ((32, 32, 3, 3), 1, True),
        ((32, 30, 3, 3), 1, False),
        ((32, 1, 3, 3), 32, True),
        ((30, 1, 3, 3), 30, False),
        ((32, 16, 3, 3), 2, True),
        ((32, 8, 3, 3), 4, False),
    ],
)
def test_which_convolutions_are_blocked(
    shape: tuple[int, ...], group: int, is_blocked: bool
) -> None:
    graph = graph_of(
        [convolution("x", "y", group=group)],
        {"x": (FLOAT, [1, shape[1] * group, 8, 8])},
        ["y"],
        [dropped("w", *shape)],
    )
    assert ("ReorderOutput" in steps_of(graph, Blocks())) == is_blocked


@pytest.mark.parametrize("blocks", [Blocks(), None])
def test_a_shortcut_is_added_by_the_convolution_itself(blocks: Blocks | None) -> None:
    nodes = [
        convolution("x", "a"),
        node("Relu", "a", "b"),
        convolution("b", "m"),
        convolution("m", "c"),
        node("Add", "c b", "d"),
        node("Relu", "d", "e"),
        convolution("e", "y"),
    ]
    graph = graph_of(nodes, {"x": IMAGE}, ["y"], [dropped("w", 32, 32, 3, 3)])
    program = program_of(graph, blocks)
    assert [step.op_type for step in program.steps].count("Conv") == 4
    assert not {"Add", "Relu"} & {step.op_type for step in program.steps}
    added = next(step for step in program.steps if step.in_place == 1)
    assert len(added.reads) == 2
    own = [name for event in plan(program) for name, _ in event.taken]
    assert added.writes[0] not in own


def test_gelu_and_layer_normalisation_are_one_kernel_each() -> None:
    nodes = [
        node("ReduceMean", "x", "mean", axes=[-1]),
        node("Sub", "x mean", "centre"),
        node("Pow", "centre two", "square"),
        node("ReduceMean", "square", "variance", axes=[-1]),
        node("Add", "variance tiny", "shifted"),
        node("Sqrt", "shifted", "deviation"),
        node("Div", "centre deviation", "unit"),
        node("Mul", "unit scale", "scaled"),
        node("Add", "scaled bias", "normal"),
        node("Div", "normal root", "inner"),
        node("Erf", "inner", "erf"),
        node("Add", "erf one", "plus"),
        node("Mul", "normal plus", "gated"),
        node("Mul", "gated half", "y"),
    ]
    numbers = [constant(name, [1.0], "float32") for name in ("two", "tiny", "root", "one", "half")]
    weights = [*numbers, dropped("scale", 8), dropped("bias", 8)]
    graph = graph_of(nodes, {"x": (FLOAT, [4, 8])}, ["y"], weights)
    program = program_of(graph)
    assert [(step.reads, step.writes) for step in program.steps] == [
        (("x",), ("normal",)),
        (("normal",), ("y",)),
    ]


@pytest.mark.parametrize(
    ("nodes", "left"),
    [
        ([node("Mul", "x s", "a"), node("MatMul", "a w", "y")], ["MatMul"]),
        ([node("MatMul", "x x", "a"), node("Div", "a s", "b"), NEGATE], ["MatMul", "Neg"]),
        ([node("MatMul", "x w", "a"), node("Add", "bias a", "b"), NEGATE],
         ["MatMul", "Neg"]),
        ([node("Transpose", "x", "a", perm=[1, 0]), node("MatMul", "x a", "y")], ["MatMul"]),
        ([node("Sigmoid", "x", "a"), node("Mul", "x a", "b"), NEGATE], ["QuickGelu", "Neg"]),
        ([node("Identity", "x", "a"), node("Dropout", "a", "b"), NEGATE], ["Neg"]),
        ([node("Mul", "x v", "a"), node("MatMul", "a a", "y")], ["Mul", "MatMul"]),
    ],
)  # fmt: skip
def test_what_matrix_products_and_neighbours_take_over(
    nodes: list[NodeProto], left: list[str]
) -> None:
    weights = [
        constant("s", [0.5], "float32"),
        constant("v", [[0.5]] * 8, "float32"),
        dropped("w", 8, 8),
        dropped("bias", 8),
    ]
    assert steps_of(graph_of(nodes, {"x": (FLOAT, [8, 8])}, ["y"], weights)) == left


def test_a_product_with_a_bias_is_made_as_a_matrix() -> None:
    """So it takes over no memory of values with the shape that it is viewed as."""
    nodes = [
        node("Neg", "x", "a"),
        node("Abs", "a", "c"),
        node("MatMul", "c w", "m"),
        node("Add", "m bias", "b"),
        NEGATE,
    ]
    weights = [dropped("w", 8, 8), dropped("bias", 8)]
    graph = graph_of(nodes, {"x": (FLOAT, [2, 4, 8])}, ["y"], weights)
    program = program_of(graph)
    assert [step.op_type for step in program.steps] == ["Neg", "Abs", "MatMul", "Reshape", "Neg"]
    assert program.values[program.steps[2].writes[0]].shape == (8, 8)
    assert program.values["m"].shape == (2, 4, 8)


def test_a_plain_image_is_laid_out_in_blocks_for_a_pooling() -> None:
    graph = graph_of([node("MaxPool", "x", "y", kernel_shape=[2, 2])], {"x": IMAGE}, ["y"])
    assert steps_of(graph, Blocks()) == ["ReorderInput", "MaxPool", "ReorderOutput"]
    assert steps_of(graph) == ["MaxPool"]


def test_windows_over_an_open_image_make_shapes_that_the_runtime_does_not_know() -> None:
    graph = graph_of([convolution("x", "y")], {"x": IMAGE}, ["y"], [dropped("w", 32, 32, 3, 3)])
    for axes, is_known in ((set[int](), True), ({0}, True), ({2, 3}, False)):
        program = program_of(graph, None, {"x": dict.fromkeys(axes, "n")})
        assert program.values["y"].is_known == is_known


def test_quantized_operators_work_on_quantized_values() -> None:
    """Between QuantizeLinear and DequantizeLinear a value takes a quarter."""
    nodes = [
        node("QuantizeLinear", "x scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "d"),
        convolution("d", "a"),
        node("Relu", "a", "r"),
        node("QuantizeLinear", "r scale zero", "p"),
        node("DequantizeLinear", "p scale zero", "y"),
    ]
    weights = [
        dropped("w", 32, 32, 3, 3),
        constant("scale", 0.5, "float32"),
        constant("zero", 0, "uint8"),
    ]
    graph = graph_of(nodes, {"x": IMAGE}, ["y"], weights)
    program = program_of(graph, Blocks())
    made = [(step.reads, program.values[step.writes[0]].size_bytes) for step in program.steps]
    assert made == [
        (("x",), IMAGE_BYTES // 4),
        (("q",), IMAGE_BYTES // 4),
        (("p",), IMAGE_BYTES),
    ]


def test_bodies_beside_each_other_may_use_one_name_for_two_weights() -> None:
    both = {"then_branch": branch("then", "c"), "else_branch": branch("otherwise", "c")}
    choice = node("If", "condition", "y", **both)
    graph = graph_of([choice], {"x": (FLOAT, [1024]), "condition": (BOOL, [])}, ["y"])
    own = BASE_BYTES + 3 * NODE_BYTES + 2 * BODY_BYTES
    # The node of the If keeps a copy of both.
    assert loading(WeightReads(graph), frozenset(), None).resident_bytes == own + 4 * 4096


def test_weights_in_a_body_are_held_as_read_as_stored_and_as_packed() -> None:
    """The parser has a third copy for each body around a weight, and one of Constant nodes."""
    size = 16 * MIB

    def found(weights: list[TensorProto], nodes: list[NodeProto]) -> Loading:
        product = node("MatMul", "x w", "o")
        body = subgraph([*nodes, product], [], [onnx.ValueInfoProto(name="o")], weights)
        choice = node("If", "c", "y", then_branch=body, else_branch=body)
        graph = graph_of([choice], {"x": (FLOAT, [1, 2048]), "c": (BOOL, [])})
        return loading(WeightReads(graph), frozenset(), None)

    stored = found([dropped("w", 2048, 2048)], [])
    own = BASE_BYTES + 3 * NODE_BYTES + 2 * BODY_BYTES
    assert stored.resident_bytes == stored.peak_bytes == own + 2 * 3 * size
    constant_node = node("Constant", "", "w", value=dropped("w", 2048, 2048))
    assert found([], [constant_node]).peak_bytes == MIB + (2 * 3 + 1) * size


def test_a_weight_that_a_body_packs_is_freed_after_all_nodes() -> None:
    nodes = [node("MatMul", "h w", "m"), node("MatMul", "m v", "o")]
    body = subgraph(nodes, named("at", "go", "h"), named("go", "o"))
    loop = node("Loop", "n c x", "y", body=body)
    weights = [dropped("w", 512, 512), dropped("v", 512, 512)]
    inputs = {"x": (FLOAT, [1, 512]), "n": (7, [1]), "c": (BOOL, [1])}
    found = loading(WeightReads(graph_of([loop], inputs, weights=weights)), frozenset(), None)
    own = BASE_BYTES + 3 * NODE_BYTES + BODY_BYTES
    assert found.resident_bytes == own + 2 * MIB
    assert found.peak_bytes == own + 4 * MIB


def test_weights_that_a_loop_carries_are_copied_to_infer_shapes() -> None:
    names = ("at", "go", "h", "u", "v")
    nodes = [node("Add", "h u", "s"), node("Add", "s v", "o")]
    body = subgraph(nodes, named(*names), named("go", "o", "u", "v"))
    loop = node("Loop", "n c x w1 w2", "y u2 v2", body=body)
    weights = [dropped("w1", 512, 512), dropped("w2", 512, 512)]
    inputs = {"x": (FLOAT, [512]), "n": (7, [1]), "c": (BOOL, [1])}
    found = loading(WeightReads(graph_of([loop], inputs, weights=weights)), frozenset(), None)
    assert found.peak_bytes == found.resident_bytes + 2 * MIB


@pytest.mark.parametrize(("second", "copies"), [("MatMul", 1), ("Gemm", 2)])
def test_equal_operators_share_a_packed_weight(second: str, copies: int) -> None:
    """The second one packs it too before it finds the first copy."""
    nodes = [node("MatMul", "x w", "a"), node(second, "a w", "y")]
    graph = graph_of(nodes, {"x": (FLOAT, [1, 512])}, weights=[dropped("w", 512, 512)])
    found = loading(WeightReads(graph), frozenset(), None)
    own = BASE_BYTES + 2 * NODE_BYTES
    assert found.resident_bytes == own + copies * MIB
    assert found.peak_bytes == own + 3 * MIB


def test_a_stored_weight_is_copied_while_it_is_parsed() -> None:
    """The inline weights, and a second copy of the largest."""
    graph = graph_of(
        [node("Gather", "table x", "a"), node("MatMul", "a w", "y")],
        {"x": (7, [4])},
        ["y"],
        [dropped("table", 4096, 1024), dropped("w", 1024, 256)],
    )
    found = loading(WeightReads(graph), frozenset(), None)
    own = BASE_BYTES + 2 * NODE_BYTES
    assert found.peak_bytes == own + 16 * MIB + MIB + 16 * MIB
    assert found.resident_bytes == own + 17 * MIB
    assert found.mapped_bytes == 0


def test_external_weights_are_mapped_unless_they_are_laid_out_anew() -> None:
    """Four rows are looked up; the matrix is packed."""
    graph = graph_of(
        [node("Gather", "table x", "a"), node("MatMul", "a w", "y")],
        {"x": (7, [4])},
        ["y"],
        [dropped("table", 4096, 1024), dropped("w", 1024, 250)],
    )
    found = loading(WeightReads(graph), frozenset({"table", "w"}), None)
    own = BASE_BYTES + 2 * NODE_BYTES
    packed = 1024 * 256 * 4
    assert found.resident_bytes == own + packed
    assert found.peak_bytes == own + packed + 1024 * 250 * 4
    assert found.mapped_bytes == 4 * 64 * KIB


def test_only_blocks_need_convolution_weights_twice() -> None:
    graph = graph_of(
        [convolution("x", "a"), convolution("a", "y", "v")],
        {"x": (FLOAT, [1, 256, 8, 8])},
        ["y"],
        [dropped("w", 256, 256, 3, 3), dropped("v", 256, 256, 3, 3)],
    )
    one = 256 * 256 * 9 * 4
    own = BASE_BYTES + 2 * NODE_BYTES
    assert (
        loading(WeightReads(graph), frozenset(), Blocks()).peak_bytes
        == own + 2 * one + 2 * one + 3 * one
    )
    assert loading(WeightReads(graph), frozenset(), None).peak_bytes == own + 3 * one
    assert loading(WeightReads(graph), frozenset(), Blocks()).resident_bytes == own + 2 * one


def test_every_convolution_takes_in_its_normalisation_with_weights_of_its_own() -> None:
    """Two convolutions share what the graph computes once, until normalisations are folded in."""
    nodes = [
        node("ConstantOfShape", "size", "w1"),
        node("ConstantOfShape", "same", "w2"),
        node("Conv", "x w1", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s s s s", "b"),
        node("Conv", "b w2", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c s s s s", "y"),
    ]
    weights = [
        constant("size", [256, 256, 3, 3]),
        constant("same", [256, 256, 3, 3]),
        dropped("s", 256),
    ]
    graph = graph_of(nodes, {"x": (FLOAT, [1, 256, 8, 8])}, ["y"], weights)
    one, small = 256 * 256 * 9 * 4, KIB
    own = BASE_BYTES + 6 * NODE_BYTES
    arm = loading(WeightReads(graph), frozenset(), None)
    assert arm.resident_bytes == own + 2 * one + small
    assert arm.peak_bytes == own + one + small + 2 * one + 2 * one
    blocked = loading(WeightReads(graph), frozenset(), Blocks())
    assert blocked.resident_bytes == own + 2 * one + small
    assert blocked.peak_bytes == own + 2 * one + small + 2 * one + 3 * one


def test_computed_weights_replace_what_they_are_made_of() -> None:
    """Both transposes are the same computation, which both products pack."""
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("Transpose", "w", "u", perm=[1, 0]),
        node("MatMul", "x t", "a"),
        node("MatMul", "a u", "y"),
    ]
    graph = graph_of(nodes, {"x": (FLOAT, [1, 512])}, ["y"], [dropped("w", 512, 512)])
    found = loading(WeightReads(graph), frozenset(), None)
    own = BASE_BYTES + 4 * NODE_BYTES
    assert found.resident_bytes == own + MIB
    assert found.peak_bytes == own + 3 * MIB


def test_the_parts_add_up() -> None:
    graph = graph_of(
        [convolution("x", "a"), node("Relu", "a", "y")],
        {"x": IMAGE},
        ["y"],
        [dropped("w", 32, 32, 3, 3)],
    )
    found = MemoryModel(graph, frozenset(), {}).with_changes()
    assert [memory.isa for memory in found] == ["x86_64", "aarch64"]
    for memory in found:
        parts = (
            memory.weight_bytes
            + memory.own_bytes
            + memory.activation_bytes
            + memory.input_bytes
            + memory.mapped_bytes
        )
        assert memory.inference_peak_bytes == parts
        assert memory.input_bytes == IMAGE_BYTES


def test_a_graph_without_nodes_is_not_modelled() -> None:
    graph = graph_of([], {"x": IMAGE}, ["x"])
    assert MemoryModel(graph, frozenset(), {}).with_changes() == ()


def test_a_graph_with_too_many_nodes_is_left_out_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(modelled_memory, "MAX_NODES", 1)
    monkeypatch.setattr(modelled_memory, "fold_fixed_shapes", work)
    graph = graph_of([node("Neg", "x", "b"), NEGATE], {"x": IMAGE})
    assert MemoryModel(graph, frozenset(), {}).with_changes() == ()


NAMES = st.sampled_from(["x", "w", "k", "a", "b", "c", "d", "_"])
OPERATORS = st.sampled_from(
    [
        *("Identity", "Relu", "Neg", "Erf", "Sigmoid", "Tanh", "ReduceMean", "Cast", "Dropout"),
        *("Add", "Mul", "Div", "Sub", "Pow", "MatMul", "Conv", "Concat", "Reshape", "Einsum"),
        *("QuantizeLinear", "DequantizeLinear", "MaxPool", "BatchNormalization", "Transpose"),
        *("Constant", "ConvTranspose", "If", "Split"),
    ]
)


@given(
    st.lists(
        st.tuples(OPERATORS, st.lists(NAMES, max_size=5), st.lists(NAMES, max_size=2)),
        min_size=1,
        max_size=15,
    ),
    NAMES,
    st.sets(st.integers(0, 3)),
)
def test_no_graph_is_too_broken(
    nodes: list[tuple[str, list[str], list[str]]], output: str, open_axes: set[int]
) -> None:
    """Names that are made twice, read before they are made, by what makes them, or left out."""
    made = [node(op_type, " ".join(reads), " ".join(writes)) for op_type, reads, writes in nodes]
    graph = graph_of(
        made, {"x": IMAGE}, [output], [dropped("w", 32, 32, 3, 3), constant("k", [1, -1])]
    )
    model_ = MemoryModel(graph, frozenset({"w"}), {"x": dict.fromkeys(open_axes, "n")})
    for memory in model_.with_changes():
        assert memory.inference_peak_bytes >= memory.resident_bytes >= memory.own_bytes - MIB


def named(*names: str) -> list[onnx.ValueInfoProto]:
    return [onnx.ValueInfoProto(name=name) for name in names]


SMALL_IMAGE = (FLOAT, [1, 32, 8, 8])


def normalisation(read: str, write: str) -> NodeProto:
    return node("BatchNormalization", f"{read} b b b b", write)


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param(
            [convolution("x", "a", "w"), normalisation("a", "b1"), normalisation("b1", "a")],
            id="a normalisation that leads back into the convolution",
        ),
        pytest.param(
            [
                node("Div", "x k", "a"),
                node("Erf", "a", "c"),
                node("Add", "c k", "d"),
                node("Mul", "d k", "e"),
                node("Mul", "e k", "d"),
            ],
            id="products that lead back into each other",
        ),
        pytest.param(
            [node("Neg", "k", "a"), node("Neg", "k", "c d"), node("Add", "a c", "e")],
            id="one computation with and without a second output",
        ),
        pytest.param(
            [node("Constant", "", "a c", value=constant("", [1.0], np.float32))],
            id="more outputs than the operator has",
        ),
        pytest.param(
            [
                node("DequantizeLinear", "x", "a"),
                node("DequantizeLinear", "", "c"),
                node("Add", "a c", "d"),
                node("QuantizeLinear", "d k", "e"),
            ],
            id="a dequantization of nothing",
        ),
        pytest.param([convolution("k4", "a", "w x")], id="a convolution of a constant"),
        pytest.param([convolution("_", "a", "w")], id="a convolution of nothing"),
        pytest.param([node("ConvTranspose", "x k", "a")], id="weights without channels"),
        pytest.param(
            [
                node(
                    *("If", "", "a"),
                    then_branch=subgraph(
                        [node("Relu", "x", "o")], [], [onnx.ValueInfoProto(name="o")]
                    ),
                )
            ],
            id="a branch without a condition",
        ),
    ],
)
def test_broken_graphs_are_modelled(nodes: list[NodeProto]) -> None:
    weights = [
        *(weight("w", 32, 32, 3, 3), weight("k4", 1, 32, 8, 8), weight("b", 32)),
        constant("k", [1.0], np.float32),
    ]
    graph = graph_of(nodes, {"x": SMALL_IMAGE}, ["unmade"], weights)
    found = MemoryModel(graph, frozenset(), {}).with_changes()
    assert [memory.isa for memory in found] == ["x86_64", "aarch64"]


def test_names_that_stand_for_others_are_looked_up_in_one_step_from_then_on() -> None:
    """Each of 15,000 identities would else be followed from every other one."""
    fusions = Fusions()
    fusions.renamed.update({"d": "c", "c": "b", "b": "a"})
    assert fusions.resolve("d") == "a"
    assert fusions.renamed == {"d": "a", "c": "a", "b": "a"}


RECORDED = sorted((profiles_dir() / "zoo").glob("*.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_the_memory_of_recorded_profiles_is_modelled_within_two_percent(
    path: Path, zoo_folder: Path
) -> None:
    """The graph is modelled now; the profile has what was measured, loading and running."""
    profile = json.loads(path.read_text())
    model = zoo.build(path.stem, folder=zoo_folder)
    facts = inspect_model(model, dims=profile["workload"]["dims"], hash_file=False)
    found = facts.modelled_memory
    modelled = next(memory for memory in found if memory.isa == profile["host"]["arch"])
    measured = profile["memory"]
    assert modelled.load_peak_bytes == pytest.approx(measured["load_peak_bytes"], rel=0.02)
    assert modelled.inference_peak_bytes == pytest.approx(
        measured["inference_peak_bytes"], rel=0.02
    )


def test_there_are_recorded_profiles() -> None:
    assert len(RECORDED) >= 4


def test_calls_of_functions_are_modelled_as_their_nodes() -> None:
    """Functions that call each other, and a branch that reads a value of its function."""
    inner = helper.make_function(
        *("local", "Inner", ["v", "m"], ["r"]),
        [node("MatMul", "v m", "p"), node("Relu", "p", "r")],
        [helper.make_opsetid("", 17)],
    )
    branches = {
        name: subgraph([node(op_type, "p", "o")], [], [onnx.ValueInfoProto(name="o")])
        for name, op_type in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    outer = helper.make_function(
        *("local", "Outer", ["x", "w", "c"], ["y"]),
        [
            node("Inner", "x w", "p", domain="local"),
            node("If", "c", "q", **branches),
            node("Add", "q x", "y"),
        ],
        [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)],
    )
    inputs = {"x": (FLOAT, [256, 256]), "c": (BOOL, [])}
    weights = [dropped("w", 256, 256)]
    called = [node("Outer", f"{x} w c", y, domain="local") for x, y in (("x", "a"), ("a", "y"))]
    flat = [
        each
        for x, y in (("x", "a"), ("a", "y"))
        for each in (
            *(node("MatMul", f"{x} w", f"{y}m"), node("Relu", f"{y}m", f"{y}p")),
            node("If", "c", f"{y}q", **{
                name: subgraph(
                    [node(body.node[0].op_type, f"{y}p", "o")], [], list(body.output)
                )
                for name, body in branches.items()
            }),
            node("Add", f"{y}q {x}", y),
        )
    ]  # fmt: skip
    with_calls, without = (
        MemoryModel(typed(made, {}), frozenset(), {}).with_changes(("external-data",))
        for made in (
            model(called, inputs, ["y"], weights, functions=[inner, outer]),
            model(flat, inputs, ["y"], weights),
        )
    )
    assert with_calls == without


def test_a_function_that_returns_its_input_stays_a_node() -> None:
    same = helper.make_function("local", "Same", ["v"], ["v"], [], [helper.make_opsetid("", 17)])
    nodes = [node("Same", "x", "a", domain="local"), node("Neg", "a", "y")]
    graph = typed(model(nodes, {"x": IMAGE}, ["y"], functions=[same]), {})
    assert [made.op_type for made in without_calls(graph).nodes] == ["Same", "Neg"]


def test_an_operator_of_another_domain_is_not_the_one_of_onnx() -> None:
    """No merge, no buffer and no layout for a convolution or a sum that is called the same."""
    nodes = [
        node("Conv", "x w", "a", domain="custom", kernel_shape=[3, 3]),
        node("BatchNormalization", "a s s s s", "b", domain="custom"),
        node("Relu", "b", "y", domain="custom"),
    ]
    hints = {"a": IMAGE, "b": IMAGE, "y": IMAGE}
    proto = model(nodes, {"x": IMAGE}, ["y"], [dropped("w", 32, 32, 3, 3), dropped("s", 32)])
    proto.graph.value_info.extend(helper.make_tensor_value_info(n, *t) for n, t in hints.items())
    graph = with_full_names(typed(proto, {}))
    assert steps_of(graph, Blocks()) == ["custom:Conv", "custom:BatchNormalization", "custom:Relu"]
    found = loading(WeightReads(graph), frozenset(), Blocks())
    assert found.resident_bytes == BASE_BYTES + 3 * NODE_BYTES + 32 * 32 * 9 * 4 + 128


def test_weights_of_a_branch_that_does_not_run_can_move_too() -> None:
    branches = {
        "then_branch": branch("then", "w", 4096),
        "else_branch": branch("otherwise", "v", 4096),
    }
    choice = node("If", "condition", "y", **branches)
    known = constant("condition", True, np.bool_)
    graph = graph_of([choice], {"x": (FLOAT, [4096])}, weights=[known])
    assert len(graph.nodes[0].bodies) == 1
    assert WeightReads(graph).movable == {"w", "v"}


@pytest.mark.parametrize(
    ("open_input", "left"), [("mask", ["MatMul", "Neg"]), ("x", ["MatMul", "Add", "Neg"])]
)
def test_a_bias_is_added_by_a_product_whose_rows_are_known(
    open_input: str, left: list[str]
) -> None:
    """An open axis of another input does not matter."""
    nodes = [node("MatMul", "x w", "a"), node("Add", "a bias", "b"), NEGATE]
    inputs = {"x": (FLOAT, [8, 8]), "mask": (FLOAT, [8])}
    graph = graph_of(nodes, inputs, weights=[dropped("w", 8, 8), dropped("bias", 8)])
    assert steps_of(graph, None, {open_input: {0: "n"}}) == left


def test_results_of_bodies_are_not_in_the_block_of_later_runs() -> None:
    """A body allocates them itself. A branch has a block of its own from the second run on."""
    values = {name: Value(64, (16,), is_known=True) for name in "xaby"}
    steps = (
        Step("If", ("x",), ("a",), workspace=(128, 64)),
        Step("Loop", ("a",), ("b",), workspace=(128, 64)),
        Step("Op", ("b",), ("y",)),
    )
    found = plan(Program(values, steps, ("x",), ("y",)))
    assert [event.unplanned for event in found] == [{"a"}, {"b"}, {"y"}]
    assert [event.later_workspace for event in found] == [(192,), (128, 64), ()]
    assert pattern_bytes(found) == 0


def test_pages_of_a_shared_mapped_weight_are_resident_until_its_last_reader() -> None:
    """Two weights that two products each pack; with the file's copies, kernels keep none."""
    nodes = [
        node("MatMul", f"{read} {weight_}", write)
        for read, weight_, write in (
            ("x", "w", "a"),
            ("a", "v", "b"),
            ("b", "w", "c"),
            ("c", "v", "y"),
        )
    ]
    weights = [dropped("w", 512, 512), dropped("v", 512, 512)]
    reads_ = WeightReads(graph_of(nodes, {"x": (FLOAT, [1, 512])}, weights=weights))
    found = loading(reads_, frozenset({"w", "v"}), None)
    assert found.peak_bytes - found.resident_bytes == 3 * MIB
    stored = ("optimised-offline", "external-data", "prepacked-offline")
    found = loading(reads_, frozenset({"w", "v"}), None, stored, step_count=4)
    assert found.peak_bytes - found.resident_bytes == 3 * MIB


def test_a_computed_weight_is_held_twice_while_it_becomes_a_weight() -> None:
    nodes = [node("Neg", "w", "v"), node("Exp", "v", "u"), node("Add", "x u", "y")]
    graph = graph_of(nodes, {"x": (FLOAT, [512, 512])}, weights=[dropped("w", 512, 512)])
    found = loading(WeightReads(graph), frozenset(), None)
    own = BASE_BYTES + 3 * NODE_BYTES
    assert found.resident_bytes == own + MIB
    assert found.peak_bytes == own + 4 * MIB
