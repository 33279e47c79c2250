"""TensorFlow Lite files: their facts against hand-checked figures, and damage that is an error."""

from __future__ import annotations

import contextlib
import random
import struct
from dataclasses import replace
from math import prod
from pathlib import Path

import msgspec
import pytest

from feasibility.errors import ChangeError, FeasibilityError, InputError, ModelError
from feasibility.facts.model_facts import reading_of
from feasibility.facts.read_model import external_locations, facts_for, inspect_model, read_model
from feasibility.facts.tflite_format import tflite_weights
from feasibility.fit.fit_model import FitOptions, fit_model
from feasibility.graph.cost.operator_class import _CLASSES
from feasibility.graph.tflite_graph import _BODIES, _OPERATORS
from feasibility.graph.tflite_shapes import _RULES
from feasibility.json_documents import decode, encode
from feasibility.measure.measure_options import MeasureOptions
from feasibility.measure.profiled_model import profiled_model
from feasibility.model_file.open_model import open_model
from feasibility.model_file.tflite_file import OPERATOR_NAMES
from feasibility.predict.latency.model_work import work_of_model
from feasibility.predict.projected_latency import project_latency
from feasibility.records.changes import ChangeCode
from feasibility.records.facts import ModelFacts, NodeFacts
from feasibility.records.fit import FitTargets
from feasibility.records.workload import InputPlan
from feasibility.render.reports.inspect import inspect_report
from feasibility.rewrite.rewrite_model import rewrite_model
from tests.projection_samples import board, latency, resnet101
from tests.tflite_bytes import (
    FLOAT16,
    INT8,
    INT32,
    Item,
    Operator,
    Scalar,
    Subgraph,
    Tensor,
    flatbuffer,
    tflite_bytes,
    weight,
)

CORPUS = Path(__file__).parents[2] / "shared" / "models"
NEEDS_CORPUS = pytest.mark.skipif(not CORPUS.is_dir(), reason="the folder of real models is absent")
KWS = "mlperf_tiny/kws_ref_model.tflite"
VWW = "mlperf_tiny/vww_96_int8.tflite"
RESNET = "mlperf_tiny/pretrainedResnet.tflite"
EMBEDDING = "openwakeword/embedding_model.tflite"
DTLN = "dtln/model_quant_2.tflite"
ULTRAFACE = "ultraface/version-RFB-320_without_postprocessing.tflite"


def keyword_spotter_macs() -> int:
    """A 10x4 convolution of stride two, four separable layers of 64 channels on 25x5, 12 words."""
    area = 25 * 5
    return 64 * 10 * 4 * area + 4 * (9 * 64 + 64 * 64) * area + 64 * 12


def mobilenet_macs() -> int:
    """MobileNet v1 of width 0.25 at 96x96 for two classes."""
    side, channels = 48, 8
    total = 27 * channels * side**2
    layers = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2))
    for outputs, stride in (*layers, (256, 1)):
        side //= stride
        total += (9 * channels + channels * outputs) * side**2
        channels = outputs
    return total + channels * 2


def resnet8_macs() -> int:
    """ResNet-8 at 32x32: three stages of 16, 32 and 64 channels, ten classes."""
    total = 27 * 16 * 32**2 + 2 * 9 * 16 * 16 * 32**2
    for inputs, outputs, side in ((16, 32, 16), (32, 64, 8)):
        total += (9 * inputs * outputs + 9 * outputs**2 + inputs * outputs) * side**2
    return total + 64 * 10


@NEEDS_CORPUS
@pytest.mark.parametrize(
    ("name", "macs", "parameters", "nodes", "peak_bytes"),
    [
        # MLPerf Tiny states 2.7, 7.5 and 12.5 million.
        (KWS, keyword_spotter_macs(), 22_606, 13, 2 * 25 * 5 * 64),
        (VWW, mobilenet_macs(), 210_852, 31, 48 * 48 * (8 + 16)),
        (RESNET, resnet8_macs(), 77_708, 16, 3 * 4 * 32 * 32 * 16),
        # All sizes of the filters and outputs as LiteRT 2.3 has them after a run.
        (EMBEDDING, 41_955_840, 328_233, 64, 2 * 4 * 74 * 32 * 24),
        (ULTRAFACE, 100_418_560, 273_964, 115, 4 * 32 * (120 * 160 + 122 * 162)),
        # Every weight of int8 is used once.
        (DTLN, 622_592, 625_209, 60, 10_240),
    ],
)
def test_real_files_have_the_figures_that_are_known_of_them(
    name: str, macs: int, parameters: int, nodes: int, peak_bytes: int
) -> None:
    facts = inspect_model(CORPUS / name)
    assert facts.format == "tflite"
    assert facts.macs == macs
    assert facts.parameter_count == facts.unique_parameter_count == parameters
    assert facts.node_count == len(facts.nodes) == nodes
    assert facts.unknown_node_count == 0
    assert facts.activation_peak is not None
    assert facts.activation_peak.peak_bytes == peak_bytes
    assert facts.activation_peak.unknown_tensor_count == 0
    assert facts.warnings == ()
    assert facts.modelled_memory == ()
    assert (facts.opset, facts.ir_version) == (None, None)
    assert facts.producer.startswith("MLIR Converted, runtime 1.")


@NEEDS_CORPUS
def test_operators_have_the_names_of_the_file() -> None:
    facts = inspect_model(CORPUS / KWS)
    assert {(kind.domain, kind.op_type): kind.node_count for kind in facts.operators} == {
        ("tflite", "CONV_2D"): 5,
        ("tflite", "DEPTHWISE_CONV_2D"): 4,
        ("tflite", "AVERAGE_POOL_2D"): 1,
        ("tflite", "FULLY_CONNECTED"): 1,
        ("tflite", "SOFTMAX"): 1,
        ("tflite", "RESHAPE"): 1,
    }
    assert facts.activation_peak is not None
    assert facts.activation_peak.op_type == "DEPTHWISE_CONV_2D"
    assert [node.op_class for node in facts.nodes[:3]] == [
        "conv", "depthwise_conv", "pointwise_conv"
    ]  # fmt: skip
    assert sum(kind.weight_bytes for kind in facts.operators) == facts.initializer_bytes
    assert facts.initializer_bytes_by_dtype == {"int8": 22_016, "int32": 2360}


@NEEDS_CORPUS
def test_a_quantized_input_takes_every_value_and_a_batch_of_one_comes_first() -> None:
    reading = read_model(CORPUS / KWS, with_plans=True)
    assert reading.facts.inputs[0].shape == (None, 49, 10, 1)
    first, second = reading.plans
    assert first.dims == reading.facts.dims == {"input_1.0": 1}
    [spec] = first.inputs
    assert (spec.name, spec.dtype, spec.shape) == ("input_1", "int8", (1, 49, 10, 1))
    assert (spec.fill.kind, spec.fill.low, spec.fill.high) == ("integers", -128, 127)
    assert second.inputs[0].shape == (2, 49, 10, 1)
    assert facts_for(second, reading).macs == 2 * (reading.facts.macs or 0)


@NEEDS_CORPUS
def test_another_batch_multiplies_the_work_behind_changed_layouts_too() -> None:
    """This file folds its images into a batch of 25 and back; its placeholders say one."""
    facts = inspect_model(CORPUS / ULTRAFACE, dims={"input_1.0": 3})
    assert facts.macs == 3 * 100_418_560
    shapes = {node.name: node.output_shape for node in facts.nodes}
    assert (shapes["Identity"], shapes["Identity_1"]) == ((3, 4420, 4), (3, 4420, 2))
    with pytest.raises(InputError, match=r"open dims are input_1\.0"):
        inspect_model(CORPUS / ULTRAFACE, dims={"batch": 3})


@NEEDS_CORPUS
def test_a_truncated_file_is_a_clear_error() -> None:
    with pytest.raises(ModelError) as caught:
        inspect_model(CORPUS / "nasty" / "truncated.tflite")
    assert "it has the file identifier of TensorFlow Lite, but 4 bytes at byte" in caught.value.why
    assert "outside the file" in caught.value.why
    assert "download" in caught.value.hint


@NEEDS_CORPUS
@pytest.mark.parametrize("count", [50, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [KWS, VWW, RESNET, EMBEDDING, DTLN, ULTRAFACE])
def test_changed_bytes_end_in_facts_or_an_error(tmp_path: Path, name: str, count: int) -> None:
    """Damaged files. Bytes of weights are not changed, because they do not affect the facts."""
    content = (CORPUS / name).read_bytes()
    with open_model(CORPUS / name) as file:
        weights = [extent for each in tflite_weights(file) for extent in each.extents]
    is_weight = bytearray(len(content))
    for start, end in weights:
        is_weight[start:end] = b"\1" * (end - start)
    places = [place for place in range(8, len(content)) if not is_weight[place]]
    chance = random.Random(name)
    path = tmp_path / "model.tflite"
    read_count = 0
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            changed[chance.choice(places)] = chance.choice((0, 1, 127, 128, 255))
        if chance.random() < 0.1:
            del changed[chance.randrange(8, len(changed)) :]
        path.write_bytes(changed)
        # Not in the process that `read_model` starts: forks take longer.
        with contextlib.suppress(FeasibilityError), open_model(path) as file:
            msgspec.msgpack.encode(reading_of(file, {}, with_plans=True, files={}, archive=None))
            read_count += 1
    assert 0 < read_count < count


def read(
    path: Path,
    *subgraphs: Subgraph,
    extra: dict[int, Scalar | Item] | None = None,
    dims: dict[str, int] | None = None,
) -> ModelFacts:
    path.write_bytes(tflite_bytes(*subgraphs, extra=extra))
    return inspect_model(path, dims=dims)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.tflite"


def lstm(name: str, tensors: int) -> Operator:
    """Input, weights of four gates, recurrent weights, biases, states; all 16 wide from 8."""
    gates = (1, 1, 1, 1, 2, 2, 2, 2, -1, -1, -1, 3, 3, 3, 3, -1, -1, 4, 5)
    return Operator(name, (0, *gates), (tensors,))


RECURRENT = [weight("w", 16, 8), weight("r", 16, 16), weight("b", 16)]
STATES = [Tensor("h", (2, 16)), Tensor("c", (2, 16))]
# name, tensors with the input first and the output last, operator, class, MACs by hand
PRODUCTS: list[tuple[str, list[Tensor], Operator, str, int]] = [
    (
        "convolution in two groups",
        [Tensor("x", (1, 8, 8, 4)), weight("w", 6, 3, 3, 2), Tensor("y", (1, 8, 8, 6))],
        Operator("CONV_2D", (0, 1, -1), (2,)),
        "conv",
        6 * 8 * 8 * 3 * 3 * 2,
    ),
    (
        "1x1 in int8",
        [
            Tensor("x", (1, 5, 5, 8), INT8),
            weight("w", 16, 1, 1, 8, kind=INT8),
            Tensor("y", (1, 5, 5, 16), INT8),
        ],
        Operator("CONV_2D", (0, 1), (2,)),
        "pointwise_conv",
        16 * 25 * 8,
    ),
    (
        "two filters per channel",
        [Tensor("x", (1, 5, 5, 8)), weight("w", 1, 3, 3, 16), Tensor("y", (1, 5, 5, 16))],
        Operator("DEPTHWISE_CONV_2D", (0, 1), (2,)),
        "depthwise_conv",
        16 * 25 * 9,
    ),
    (
        "transposed, its output's shape as first input",
        [
            weight("shape", 4, kind=INT32),
            weight("w", 6, 2, 2, 4),
            Tensor("x", (1, 5, 5, 4)),
            Tensor("y", (1, 10, 10, 6)),
        ],
        Operator("TRANSPOSE_CONV", (0, 1, 2), (3,)),
        "conv",
        4 * 25 * 6 * 2 * 2,
    ),
    (
        "dense layer on an image",
        [Tensor("x", (1, 2, 2, 8)), weight("w", 10, 32), Tensor("y", (1, 10))],
        Operator("FULLY_CONNECTED", (0, 1, -1), (2,)),
        "matmul",
        10 * 32,
    ),
    (
        "dense layer that keeps its axes",
        [Tensor("x", (2, 7, 8)), weight("w", 10, 8), Tensor("y", (2, 7, 10))],
        Operator("FULLY_CONNECTED", (0, 1), (2,)),
        "matmul",
        2 * 7 * 10 * 8,
    ),
    (
        "product with its first operand transposed",
        [Tensor("x", (3, 7, 4)), Tensor("w", (3, 7, 5)), Tensor("y", (3, 4, 5))],
        Operator("BATCH_MATMUL", (0, 1), (2,), {0: Scalar("b", 1)}),
        "matmul",
        3 * 4 * 5 * 7,
    ),
    (
        "ten steps of an LSTM",
        [Tensor("x", (2, 10, 8)), *RECURRENT, *STATES, Tensor("y", (2, 10, 16))],
        lstm("UNIDIRECTIONAL_SEQUENCE_LSTM", 6),
        "recurrent",
        2 * 10 * 4 * 16 * (8 + 16),
    ),
    (
        "one step of an LSTM",
        [Tensor("x", (2, 8)), *RECURRENT, *STATES, Tensor("y", (2, 16))],
        lstm("LSTM", 6),
        "recurrent",
        2 * 4 * 16 * (8 + 16),
    ),
    (
        "steps of a plain recurrence",
        [Tensor("x", (2, 10, 8)), *RECURRENT, STATES[0], Tensor("y", (2, 10, 16))],
        Operator("UNIDIRECTIONAL_SEQUENCE_RNN", (0, 1, 2, 3, 4), (5,)),
        "recurrent",
        2 * 10 * 16 * (8 + 16),
    ),
]  # fmt: skip


def only(path: Path, tensors: list[Tensor], operator: Operator) -> NodeFacts:
    """Facts of a model's single node."""
    given = tuple(at for at in operator.inputs if at >= 0 and not tensors[at].data)
    [node] = read(path, Subgraph(tensors, [operator], given, operator.outputs)).nodes
    return node


@pytest.mark.parametrize("case", PRODUCTS, ids=[case[0] for case in PRODUCTS])
def test_products_take_the_work_worked_out_by_hand(
    path: Path, case: tuple[str, list[Tensor], Operator, str, int]
) -> None:
    _, tensors, operator, op_class, macs = case
    node = only(path, tensors, operator)
    assert (node.op_class, node.macs, node.flops) == (op_class, macs, 2 * macs)
    assert (node.op_type, node.domain) == (operator.name, "tflite")
    used = [tensors[at] for at in (*operator.inputs, *operator.outputs) if at >= 0]
    assert node.weight_bytes == sum(len(tensor.data) for tensor in used)
    width = 1 if tensors[-1].kind == INT8 else 4
    assert node.moved_bytes == sum(width * prod(tensor.shape) for tensor in used)


def test_a_pooling_reads_its_window(path: Path) -> None:
    tensors = [Tensor("x", (1, 8, 8, 4)), Tensor("y", (1, 4, 4, 4))]
    options: dict[int, Scalar | Item] = {3: Scalar("i", 2), 4: Scalar("i", 3)}
    node = only(path, tensors, Operator("MAX_POOL_2D", (0,), (1,), options))
    assert (node.op_class, node.flops) == ("reduction", 4 * 4 * 4 * 2 * 3)


def test_a_reshape_moves_nothing_and_shares_memory(path: Path) -> None:
    tensors = [Tensor("x", (1, 100)), Tensor("y", (10, 10)), Tensor("z", (10, 10))]
    graph = Subgraph(
        tensors, [Operator("RESHAPE", (0,), (1,)), Operator("RELU", (1,), (2,))], (0,), (2,)
    )
    facts = read(path, graph)
    assert [node.moved_bytes for node in facts.nodes] == [0, 800]
    assert facts.activation_peak is not None
    assert facts.activation_peak.peak_bytes == 800


def test_what_is_not_in_the_table_keeps_its_name_and_has_unknown_work(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), weight("w", 16, 8), Tensor("y", (1, 8)), Tensor("z", (1, 8))]
    operators = [Operator("SVDF", (0, 1), (2,)), Operator("FlexRoll", (2,), (3,))]
    facts = read(path, Subgraph(tensors, operators, (0,), (3,)))
    assert [(node.op_type, node.op_class, node.flops) for node in facts.nodes] == [
        ("SVDF", "other", None), ("FlexRoll", "other", None)
    ]  # fmt: skip
    assert facts.nodes[0].moved_bytes == 4 * (8 + 16 * 8 + 8)
    assert facts.custom_operators == ("tflite:FlexRoll",)
    custom, unknown = facts.warnings
    assert custom.message == "no standard build of LiteRT has the operators FlexRoll"
    assert unknown.message == "the work of FlexRoll, SVDF is not known and does not count"


def test_the_report_shows_the_format_and_the_operators_as_the_file_names_them(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), weight("w", 8, 8), Tensor("y", (1, 8)), Tensor("z", (1, 8))]
    operators = [Operator("FULLY_CONNECTED", (0, 1), (2,)), Operator("FlexRoll", (2,), (3,))]
    facts = read(path, Subgraph(tensors, operators, (0,), (3,)))
    head, table = inspect_report(facts)
    assert head is not None
    rows = {row.label: row.text for row in head.rows}
    assert rows["file"].endswith("on disk, TensorFlow Lite format, from made by hand")
    assert rows["work"].endswith("1 node of unknown work not counted")
    assert rows["custom"] == "tflite:FlexRoll; missing in standard builds of LiteRT"
    assert table is not None
    assert table.grid is not None
    assert [row[0] for row in table.grid.rows] == ["FULLY_CONNECTED", "FlexRoll"]


def test_custom_operators_of_all_builds_are_not_missing(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), Tensor("y", (1, 8))]
    facts = read(path, Subgraph(tensors, [Operator("Mfcc", (0,), (1,))], (0,), (1,)))
    assert facts.custom_operators == ()
    assert [notice.code for notice in facts.warnings] == ["unknown-work"]


def test_a_custom_operator_with_the_name_of_a_builtin_is_a_custom_one(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), wide((-1, 8))]
    facts = read(path, Subgraph(tensors, [Operator("CUSTOM:ADD", (0,), (1,))], (0,), (1,)))
    [node] = facts.nodes
    assert (node.op_type, node.flops, node.output_shape) == ("ADD", None, None)
    assert facts.custom_operators == ("tflite:ADD",)


def test_weights_widened_once_take_no_work_in_a_run(path: Path) -> None:
    tensors = [
        Tensor("x", (1, 8)),
        weight("half", 10, 8, kind=FLOAT16),
        Tensor("w", (10, 8)),
        Tensor("y", (1, 10)),
    ]
    operators = [
        Operator("DEQUANTIZE", (1,), (2,)),
        Operator("FULLY_CONNECTED", (0, 2, -1), (3,)),
    ]
    facts = read(path, Subgraph(tensors, operators, (0,), (3,)))
    assert [node.repeat_count for node in facts.nodes] == [0, 1]
    assert facts.macs == 80
    assert facts.initializer_bytes == 160
    assert facts.generated_bytes == 320 - 160
    assert facts.activation_peak is not None
    assert facts.activation_peak.peak_bytes == 4 * (8 + 10)


def layers(count: int) -> Subgraph:
    """A subgraph of dense layers, with weights of their own."""
    tensors = [Tensor(f"a{at}", (1, 8)) for at in range(count + 1)]
    tensors += [weight(f"w{count}.{at}", 8, 8) for at in range(count)]
    operators = [
        Operator("FULLY_CONNECTED", (at, count + 1 + at), (at + 1,)) for at in range(count)
    ]
    return Subgraph(tensors, operators, (0,), (count,))


def test_the_dearer_branch_counts_and_a_loop_counts_once(path: Path) -> None:
    tensors = [Tensor("yes", ()), Tensor("x", (1, 8)), Tensor("y", (1, 8)), Tensor("z", (1, 8))]
    branches: dict[int, Scalar | Item] = {0: Scalar("i", 1), 1: Scalar("i", 2)}
    loop: dict[int, Scalar | Item] = {0: Scalar("i", 1), 1: Scalar("i", 2)}
    operators = [Operator("IF", (0, 1), (2,), branches), Operator("WHILE", (2,), (3,), loop)]
    facts = read(path, Subgraph(tensors, operators, (0, 1), (3,)), layers(1), layers(2))
    assert facts.macs == 2 * 64 + 2 * 64
    assert facts.per_iteration
    assert facts.subgraph_count == 2
    assert facts.parameter_count == 3 * 64
    runs = {node.scope: node.repeat_count for node in facts.nodes if node.scope}
    assert runs == {"y/subgraph 1": 0, "y/subgraph 2": 1, "z/subgraph 2": None}


def test_subgraphs_that_call_each_other_end(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), Tensor("y", (1, 8))]
    itself = Operator("CALL", (0,), (1,), {0: Scalar("I", 0)})
    facts = read(path, Subgraph(tensors, [itself] * 2, (0,), (1,)))
    assert facts.node_count == 2
    assert facts.unknown_node_count > 2


def test_data_that_tensors_share_counts_once(path: Path) -> None:
    tensors = [
        Tensor("x", (1, 8)),
        weight("w", 8, 8),
        Tensor("again", (8, 8), buffer=1),
        Tensor("y", (1, 8)),
        Tensor("z", (1, 8)),
    ]
    operators = [
        Operator("FULLY_CONNECTED", (0, 1), (3,)),
        Operator("FULLY_CONNECTED", (3, 2), (4,)),
    ]
    facts = read(path, Subgraph(tensors, operators, (0,), (4,)))
    assert (facts.parameter_count, facts.initializer_bytes, facts.initializer_count) == (64, 256, 1)
    assert facts.macs == 128
    assert facts.operators[0].weight_bytes == 256


DENSE = Subgraph(
    [Tensor("x", (1, 8)), Tensor("w", (8, 8), buffer=1), Tensor("y", (1, 8))],
    [Operator("FULLY_CONNECTED", (0, 1), (2,))],
    (0,),
    (2,),
)


def behind(path: Path, size_bytes: int, offset: int | None = None) -> ModelFacts:
    """A file whose weights lie behind its flatbuffer, as in files above 2 GiB."""
    buffers: dict[int, Scalar | Item] = {}
    for _ in range(2):  # the size of the file does not depend on where its weights are
        place = len(tflite_bytes(DENSE, extra=buffers)) if offset is None else offset
        buffers = {4: [{}, {1: Scalar("Q", place), 2: Scalar("Q", size_bytes)}]}
    path.write_bytes(tflite_bytes(DENSE, extra=buffers) + b"\1" * 256)
    return inspect_model(path)


def test_weights_behind_the_flatbuffer_are_found(path: Path) -> None:
    facts = behind(path, 256)
    assert (facts.parameter_count, facts.macs) == (64, 64)
    with pytest.raises(ModelError, match="256 bytes at byte 9,000,000 are outside the file"):
        behind(path, 256, 9_000_000)
    with pytest.raises(ModelError, match="'w' needs 256 bytes, and its data has 255"):
        behind(path, 255)


def test_weights_in_another_file_are_checked(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), Tensor("w", (8, 8), external=7), Tensor("y", (1, 8))]
    graph = replace(DENSE, tensors=tensors)
    place: dict[int, Scalar | Item] = {
        0: Scalar("I", 7), 1: Scalar("I", 0), 2: Scalar("Q", 64), 3: Scalar("Q", 256)
    }  # fmt: skip
    extra: dict[int, Scalar | Item] = {8: [{0: "weights.bin"}], 9: [place]}
    with pytest.raises(ModelError, match=r"weights\.bin.*no such file"):
        read(path, graph, extra=extra)
    (path.parent / "weights.bin").write_bytes(bytes(400))
    facts = read(path, graph, extra=extra)
    assert (facts.parameter_count, facts.external_bytes) == (64, 400)
    assert external_locations(path) == ("weights.bin",)
    with pytest.raises(ModelError, match="names external buffer 7, which is missing"):
        read(path, graph)


def test_sizes_are_carried_through_open_dims(path: Path) -> None:
    """The placeholders behind the input are all 1, and wrong for two of three sides."""
    tensors = [
        Tensor("x", (1, 1, 1, 3), signature=(-1, -1, -1, 3)),
        weight("w", 8, 3, 3, 3),
        Tensor("c", (1, 1, 1, 8), signature=(-1, -1, -1, 8)),
        Tensor("axes", (2,), INT32, struct.pack("<2i", 1, 2)),
        Tensor("m", (1, 8), signature=(-1, 8)),
        Tensor("y", (1, 8), signature=(-1, 8)),
    ]
    valid: dict[int, Scalar | Item] = {0: Scalar("b", 1), 1: Scalar("i", 2), 2: Scalar("i", 1)}
    operators = [
        Operator("CONV_2D", (0, 1), (2,), valid),
        Operator("MEAN", (2, 3), (4,)),
        Operator("SOFTMAX", (4,), (5,)),
    ]
    graph = Subgraph(tensors, operators, (0,), (5,))
    facts = read(path, graph, dims={"x.0": 2, "x.1": 20, "x.2": 31})
    assert [node.output_shape for node in facts.nodes] == [(2, 18, 15, 8), (2, 8), (2, 8)]
    assert facts.macs == 2 * 18 * 15 * 8 * 27
    # What the user does not give is assumed as for ONNX: one picture of a usual size.
    assert read(path, graph).dims == {"x.0": 1, "x.1": 224, "x.2": 224}


def ints(*values: int) -> Tensor:
    """A constant of axes or sizes."""
    return Tensor("ints", (len(values),), INT32, struct.pack(f"<{len(values)}i", *values))


def wide(shape: tuple[int, ...], *signature: int) -> Tensor:
    """A tensor with open dims, the placeholder 1 for each."""
    return Tensor("", tuple(max(size, 1) for size in shape), signature=signature or shape)


def options(*values: int) -> dict[int, Scalar | Item]:
    return {index: Scalar("i", value) for index, value in enumerate(values)}


X = wide((-1, 6, -1, 8))
# operator, inputs after an x of 2x6x10x8 whose first and third dim are open, options, its output
SIZED: list[tuple[str, list[Tensor], dict[int, Scalar | Item], tuple[int, ...]]] = [
    ("ADD", [Tensor("", (10, 1))], {}, (2, 6, 10, 8)),
    ("MAXIMUM", [Tensor("", (5, 1, 1, 1, 1))], {}, (5, 2, 6, 10, 8)),
    ("TRANSPOSE", [ints(2, 0, 3, 1)], {}, (10, 2, 8, 6)),
    ("TILE", [ints(3, 1, 2, 1)], {}, (6, 6, 20, 8)),
    ("PAD", [ints(0, 1, 0, 0, 2, 3, 0, 0)], {}, (3, 6, 15, 8)),
    ("SLICE", [ints(0, 0, 4, 0), ints(-1, 6, -1, 8)], {}, (2, 6, 6, 8)),
    ("STRIDED_SLICE", [ints(0, 1), ints(0, 3), ints(1, 1)], options(1, 1), (2, -2, 10, 8)),
    ("CONCATENATION", [Tensor("", (2, 6, 3, 8))], options(-2), (2, 6, 13, 8)),
    ("PACK", [X], options(0, -1), (2, 6, 10, 8, 2)),
    ("UNPACK", [], options(6, 1), (2, 10, 8)),
    ("SPLIT_V", [ints(2, 4), ints(1)], {}, (2, -2, 10, 8)),
    ("MEAN", [ints(0, -1)], {0: Scalar("b", 1)}, (1, 6, 10, 1)),
    ("SUM", [ints(1, -1)], {}, (2, 10)),
    ("ARG_MAX", [ints(3)], {}, (2, 6, 10)),
    ("TOPK_V2", [ints(4)], {}, (2, 6, 10, -4)),
    ("GATHER", [Tensor("", (5, 4), INT32)], options(3), (2, 6, 10, 5, 4)),
    ("EMBEDDING_LOOKUP", [Tensor("", (99, 7))], {}, (2, 6, 10, 8, 7)),
    ("BATCH_MATMUL", [Tensor("", (8, 5))], {}, (2, 6, 10, -5)),
    ("FULLY_CONNECTED", [Tensor("", (5, 8))], {}, (2, 6, 10, -5)),
    ("FULLY_CONNECTED", [Tensor("", (5, 48))], {}, (20, -5)),
    ("RESHAPE", [ints(-1, 16)], {}, (60, -16)),
    ("RESHAPE", [ints(-1, -1, 4)], {}, (2, 120, -4)),
    ("SPACE_TO_BATCH_ND", [ints(2, 5)], {}, (20, -3, -2, -8)),
    ("RESIZE_BILINEAR", [ints(12, 20)], {}, (2, -12, -20, -8)),
    ("CONV_2D", [Tensor("", (7, 3, 3, 8))], options(0, 4, 3), (2, 2, 3, -7)),
    ("CONV_2D", [Tensor("", (7, 3, 4, 8))], {0: Scalar("b", 1), 4: Scalar("i", 2)}, (2, 4, 4, -7)),
    ("DEPTHWISE_CONV_2D", [Tensor("", (1, 3, 3, 8))], options(1, 1, 1), (2, 4, 8, -8)),
    ("MAX_POOL_2D", [], options(1, 2, 3, 4, 3), (2, 2, 4, -8)),
]  # fmt: skip


@pytest.mark.parametrize("case", SIZED, ids=[f"{case[0]} {case[3]}" for case in SIZED])
def test_open_dims_get_the_size_that_their_operator_gives_them(
    path: Path, case: tuple[str, list[Tensor], dict[int, Scalar | Item], tuple[int, ...]]
) -> None:
    """A size below zero is one that the file has; the others are open."""
    name, others, parameters, shape = case
    signature = [max(-size, -1) for size in shape]
    inputs = tuple(range(1 + len(others)))
    given = (0, *(at for at in inputs[1:] if not others[at - 1].data))
    tensors = [replace(X, name="x"), *others, wide(tuple(signature))]
    graph = Subgraph(tensors, [Operator(name, inputs, (len(inputs),), parameters)], given, ())
    dims = {"x.0": 2, "x.2": 10}
    for at in given[1:]:
        dims |= {f"tensor#{at}.{axis}": dims[f"x.{axis}"] for axis in (0, 2) if others[at - 1] is X}
    [node] = read(path, graph, dims=dims).nodes
    assert node.output_shape == tuple(map(abs, shape))


def test_a_size_that_depends_on_data_is_unknown_and_said(path: Path) -> None:
    tensors = [
        Tensor("x", (10,)),
        Tensor("found", (1, 1), INT32, signature=(-1, 1)),
        Tensor("y", (1, 1), signature=(-1, 1)),
    ]
    operators = [Operator("WHERE", (0,), (1,)), Operator("NEG", (1,), (2,))]
    facts = read(path, Subgraph(tensors, operators, (0,), (2,)))
    assert facts.nodes[1].flops is None
    assert [notice.code for notice in facts.warnings] == ["unknown-shapes"]


def test_names_that_are_missing_or_repeated_are_told_apart(path: Path) -> None:
    tensors = [Tensor("x", (1, 8)), Tensor("", (1, 8)), Tensor("x", (1, 8))]
    operators = [Operator("RELU", (0,), (1,)), Operator("ABS", (1,), (2,))]
    facts = read(path, Subgraph(tensors, operators, (0,), (2,)))
    assert [node.name for node in facts.nodes] == ["tensor#1", "x#2"]
    assert facts.inputs[0].name == "x"


def test_further_signatures_and_other_versions_are_said(path: Path) -> None:
    extra: dict[int, Scalar | Item] = {0: Scalar("I", 4), 7: [{4: Scalar("I", 1)}]}
    facts = read(path, layers(1), layers(2), extra=extra)
    assert [notice.code for notice in facts.warnings] == [
        "schema-version-unknown", "other-signatures"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (flatbuffer({0: Scalar("I", 3)}), "it holds no graph"),
        (b"\x1c\0\0\0TFL3" + bytes(40), "it holds no graph"),
        (
            tflite_bytes(Subgraph([Tensor("x", (1,))], [Operator("ABS", (0,), (5,))])),
            "ABS refers to tensor 5, but only 1 exist",
        ),
        (tflite_bytes(Subgraph([], [])), "it refers to tensor 0, but only 0 exist"),
        (
            tflite_bytes(Subgraph([Tensor("x", (1,) * 100)], [])),
            "a tensor has 100 dims",
        ),
        (
            tflite_bytes(Subgraph([Tensor("x", (2**31 - 1,) * 4, data=b"1234")], [])),
            "needs",
        ),
    ],
)
def test_what_cannot_be_is_refused(path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        inspect_model(path)
    assert "it has the file identifier of TensorFlow Lite, but" in caught.value.why
    assert why in caught.value.why


def test_the_tables_name_operators_that_exist() -> None:
    names = set(OPERATOR_NAMES)
    assert len(OPERATOR_NAMES) == len(names) == 210
    assert names > set(_OPERATORS) > set(_RULES)
    assert names > set(_BODIES)
    assert {work.op_type for work in _OPERATORS.values()} <= set(_CLASSES)


def test_models_that_are_not_onnx_are_not_changed(path: Path) -> None:
    path.write_bytes(tflite_bytes(layers(1)))
    changes: tuple[ChangeCode, ...] = ("external-data", "int8-dynamic")
    for change in changes:
        with pytest.raises(ChangeError, match="it is a TensorFlow Lite model") as caught:
            rewrite_model(
                path, path.with_suffix(".onnx"), change, isa="x86_64", plan=InputPlan(inputs=())
            )
        assert "tf2onnx" in caught.value.hint
    wanted = FitOptions(targets=FitTargets(memory_bytes=1), max_time_s=1.0)
    with (
        pytest.raises(ChangeError, match=r"Cannot fit 'model\.tflite': it is a TensorFlow Lite"),
        fit_model(path, MeasureOptions(), wanted, lambda *_: None),
    ):
        pass


def test_dense_layers_and_tables_count_for_latency_as_in_onnx(path: Path) -> None:
    """One row of a product streams its weights; of a table, a run reads a few rows only."""
    tensors = [
        Tensor("ids", (1,), INT32),
        weight("table", 1000, 64),
        Tensor("row", (1, 64)),
        weight("w", 32, 64),
        Tensor("y", (1, 32)),
    ]
    operators = [Operator("GATHER", (1, 0), (2,)), Operator("FULLY_CONNECTED", (2, 3), (4,))]
    facts = read(path, Subgraph(tensors, operators, (0,), (4,)))
    work = work_of_model(profiled_model(facts))
    assert work is not None
    assert work.vector_weight_count == 32 * 64
    assert work.weight_count == 0
    [plan] = read_model(path, with_plans=True).plans
    assert plan.inputs[0].fill.high == 999


@NEEDS_CORPUS
def test_latency_is_projected() -> None:
    facts = inspect_model(CORPUS / VWW)
    profile = msgspec.structs.replace(
        resnet101(), model=profiled_model(facts), latency=latency(400_000)
    )
    found = project_latency(profile, board(), runtime="tflite")
    assert found.low_ns is not None
    assert found.likely_ns is not None
    # 15 MFLOP on a Raspberry Pi 4.
    assert 100_000 < found.low_ns < found.likely_ns < 20_000_000


@NEEDS_CORPUS
def test_the_document_is_valid() -> None:
    facts = inspect_model(CORPUS / DTLN)
    assert decode(encode(facts), ModelFacts, "facts") == facts
