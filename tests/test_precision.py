"""Models with fewer bits: they load, their outputs stay near, and what cannot be is said."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from feasibility.errors import ChangeError
from feasibility.output_drift import drift_between
from feasibility.records.fit import ChangeCode
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.rewrite import rewrite_model as module
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.forked.quantize_blocks import blocks_of
from feasibility.rewrite.given_samples import sample_plans
from feasibility.rewrite.rewrite_model import rewrite_model
from tests.tiny_models import RUNTIME_VERSION, identity, save, value

IDS = InputPlan(
    inputs=(
        InputSpec(
            name="ids", dtype="int64", shape=(2, 8), fill=Fill(kind="integers", low=0, high=99)
        ),
    )
)
IMAGE = InputPlan(inputs=(InputSpec(name="x", dtype="float32", shape=(1, 3, 16, 16)),))
CHANGES: tuple[ChangeCode, ...] = (
    "fp16",
    "int8-dynamic",
    "int8-static",
    "int8-weights",
    "int4-weights",
)

NOTHING_TO_CHANGE: tuple[tuple[ChangeCode, str], ...] = (
    ("fp16", "it has no float32 weights of 1 KiB or more"),
    ("int8-dynamic", "it has no operator that can be quantized this way"),
    ("int8-static", "it has no operator that can be quantized this way"),
    ("int8-weights", "no MatMul, Gemm or Gather has constant float32 weights"),
    ("int4-weights", "no MatMul, Gemm or Gather has constant float32 weights"),
)


def random(name: str, *dims: int) -> TensorProto:
    values = np.random.default_rng(len(name)).standard_normal(dims, dtype=np.float32)
    return numpy_helper.from_array(values / np.float32(np.sqrt(dims[-1])), name)


def encoder(path: Path, opset: int = 17) -> Path:
    """Embeddings, a matrix in a body, one in a Constant node, and a layer with a bias."""
    bodies = [
        helper.make_graph(
            [helper.make_node("MatMul", ["e", f"inner_{name}"], [f"b_{name}"], name)],
            name,
            [],
            [value(f"b_{name}", TensorProto.FLOAT, None)],
            [random(f"inner_{name}", 96, 96)],
        )
        for name in ("then", "else")
    ]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], "embed"),
        helper.make_node("ReduceMin", ["ids"], ["least"], "least", keepdims=0),
        helper.make_node("GreaterOrEqual", ["least", "zero"], ["yes"], "compare"),
        helper.make_node("If", ["yes"], ["i"], "if", then_branch=bodies[0], else_branch=bodies[1]),
        helper.make_node("Constant", [], ["matrix"], "constant", value=random("c", 96, 80)),
        helper.make_node("MatMul", ["i", "matrix"], ["m"], "project"),
        helper.make_node("Reshape", ["m", "rows"], ["r"], "flatten"),
        helper.make_node("Gemm", ["r", "head", "bias"], ["y"], "head", transB=1),
    ]
    weights = [
        random("table", 100, 96),
        random("head", 64, 80),
        random("bias", 64),
        numpy_helper.from_array(np.array([-1, 80]), "rows"),
        numpy_helper.from_array(np.array(0), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "encoder",
        [value("ids", TensorProto.INT64, ["n", "s"])],
        [value("y", TensorProto.FLOAT, ["rows", 64])],
        weights,
    )
    return save(path, graph, opset)


def classifier(path: Path, opset: int = 17) -> Path:
    """Convolutions with batch normalisation; almost all weights are in them."""
    ones = numpy_helper.from_array(np.full(16, 0.9, np.float32), "ones")
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c0"], "conv0"),
        helper.make_node("BatchNormalization", ["c0", *["ones"] * 4], ["b"], "bn"),
        helper.make_node("Relu", ["b"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w1"], ["c1"], "conv1"),
        helper.make_node("GlobalAveragePool", ["c1"], ["y"], "pool"),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [value("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [value("y", TensorProto.FLOAT, [1, 16, 1, 1])],
        [random("w0", 16, 3, 3, 3), random("w1", 16, 16, 3, 3), ones],
    )
    return save(path, graph, opset)


def changed(source: Path, target: Path, change: ChangeCode, plan: InputPlan, **more: Any) -> Path:
    rewrite_model(source, target, change, isa=platform.machine(), plan=plan, **more)
    return target


def require_tools_for_bodies(change: ChangeCode) -> None:
    if RUNTIME_VERSION < (1, 31) and change in {"fp16", "int8-static"}:
        pytest.skip("tools of ONNX Runtime 1.24 fail on bodies of nodes")


def graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    """The graph and the bodies of its nodes."""
    bodies = [each.g for node in model.graph.node for each in node.attribute if each.HasField("g")]
    return [model.graph, *bodies]


def operators(path: Path) -> set[str]:
    model = onnx.ModelProto.FromString(path.read_bytes())
    return {node.op_type for graph in graphs(model) for node in graph.node}


def float_weights(path: Path) -> set[tuple[int, ...]]:
    """Sorted dims of the float32 matrices and kernels."""
    model = onnx.ModelProto.FromString(path.read_bytes())
    return {
        tuple(sorted(each.dims))
        for graph in graphs(model)
        for each in graph.initializer
        if each.data_type == TensorProto.FLOAT and len(each.dims) > 1 and "scale" not in each.name
    }


def outputs(path: Path, feeds: dict[str, Any]) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options)
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def cosine(source: Path, target: Path, feeds: dict[str, Any]) -> float:
    drift = drift_between([outputs(source, feeds)], [outputs(target, feeds)])
    assert not drift.is_identical
    assert drift.outputs[0].cosine is not None
    return drift.outputs[0].cosine


def size(path: Path) -> int:
    return path.stat().st_size + data_path(path).stat().st_size


@pytest.mark.parametrize(
    ("change", "wanted", "least_cosine", "most_bytes"),
    [
        ("fp16", {"Cast"}, 0.99999, 0.55),
        ("int8-dynamic", {"DynamicQuantizeLinear", "MatMulInteger"}, 0.999, 0.45),
        ("int8-static", {"QuantizeLinear", "DequantizeLinear"}, 0.99, 0.7),
        ("int8-weights", {"MatMulNBits", "GatherBlockQuantized"}, 0.999, 0.4),
        ("int4-weights", {"MatMulNBits", "GatherBlockQuantized"}, 0.98, 0.3),
    ],
)
def test_a_network_of_matrices(
    tmp_path: Path, change: ChangeCode, wanted: set[str], least_cosine: float, most_bytes: float
) -> None:
    """Matrices in bodies and in Constant nodes, embeddings and layers with bias are changed."""
    require_tools_for_bodies(change)
    source = encoder(tmp_path / "a.onnx")
    target = changed(source, tmp_path / "to" / "b.onnx", change, IDS)
    assert sorted(each.name for each in target.parent.iterdir()) == ["b.onnx", "b.onnx.data"]
    assert wanted <= operators(target)
    ids = np.random.default_rng(5).integers(0, 100, (3, 5))
    assert cosine(source, target, {"ids": ids}) > least_cosine
    assert size(target) < most_bytes * source.stat().st_size


@pytest.mark.parametrize(
    ("change", "operator", "dtype"),
    [
        ("fp16", "Conv", TensorProto.FLOAT16),
        ("int8-dynamic", "ConvInteger", TensorProto.INT8),
        ("int8-static", "Conv", TensorProto.INT8),
    ],
)
@pytest.mark.parametrize("opset", [11, 17])
def test_a_network_of_convolutions(
    tmp_path: Path, change: ChangeCode, operator: str, dtype: int, opset: int
) -> None:
    """Batch normalisation is folded first; old operator sets have no weights per channel."""
    source = classifier(tmp_path / "a.onnx", opset)
    target = changed(source, tmp_path / "b.onnx", change, IMAGE)
    graph = onnx.ModelProto.FromString(target.read_bytes()).graph
    kernels = [each.data_type for each in graph.initializer if len(each.dims) == 4]
    assert kernels == [dtype, dtype]
    assert [node.op_type for node in graph.node if "Conv" in node.op_type] == [operator] * 2
    assert "BatchNormalization" not in operators(target)
    if change == "int8-static":
        makers = {name: node.op_type for node in graph.node for name in node.output}
        read = [
            makers[name] for node in graph.node if node.op_type == "Conv" for name in node.input
        ]
        assert set(read) == {"DequantizeLinear"}
    x = np.random.default_rng(5).random((1, 3, 16, 16), np.float32)
    assert cosine(source, target, {"x": x}) > 0.99


def unnamed(path: Path) -> Path:
    """The same model, whose nodes have no names."""
    model = onnx.ModelProto.FromString(path.read_bytes())
    for graph in graphs(model):
        for node in graph.node:
            node.name = ""
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_named", [True, False])
def test_nodes_can_stay_in_float(tmp_path: Path, change: ChangeCode, *, is_named: bool) -> None:
    """A node without a name has the name of its output. All other nodes change."""
    require_tools_for_bodies(change)
    source = encoder(tmp_path / "a.onnx")
    names = ("project", "head")
    if not is_named:
        source, names = unnamed(source), ("m", "y")
    target = changed(source, tmp_path / "b.onnx", change, IDS, keep_float=names)
    in_bodies = {(96, 96)} if change == "int8-static" else set()  # the tools leave them
    assert float_weights(target) == {(80, 96), (64, 80)} | in_bodies
    ids = np.random.default_rng(5).integers(0, 100, (3, 5))
    assert cosine(source, target, {"ids": ids}) > 0.98


@pytest.mark.parametrize("change", ["fp16", "int8-dynamic", "int8-static"])
def test_a_node_that_is_fused_stays_in_float(tmp_path: Path, change: ChangeCode) -> None:
    """Batch normalisation is folded into the convolution before it, which has another name."""
    source = classifier(tmp_path / "a.onnx")
    target = changed(source, tmp_path / "b.onnx", change, IMAGE, keep_float=("bn",))
    assert float_weights(target) == {(3, 3, 3, 16)}


@pytest.mark.parametrize(
    ("change", "why"), [(change, why) for change, why in NOTHING_TO_CHANGE if change != "fp16"]
)
def test_a_model_whose_nodes_all_stay_is_refused(
    tmp_path: Path, change: ChangeCode, why: str
) -> None:
    require_tools_for_bodies(change)
    source = encoder(tmp_path / "a.onnx")
    names = ("embed", "project", "head", "then", "else")
    with pytest.raises(ChangeError, match=why):
        changed(source, tmp_path / "b.onnx", change, IDS, keep_float=names)


def test_static_ranges_come_from_the_samples(tmp_path: Path) -> None:
    """What lies outside of the samples' range is cut off."""
    source = classifier(tmp_path / "a.onnx")
    x = np.random.default_rng(5).random((1, 3, 16, 16), np.float32)
    found = []
    for number, factor in enumerate((0.1, 1.0)):
        np.save(tmp_path / "s.npy", factor * x)
        samples = sample_plans(tmp_path / "s.npy", IMAGE, tmp_path)
        target = tmp_path / f"{number}.onnx"
        changed(source, target, "int8-static", IMAGE, samples=samples)
        found.append(np.abs(outputs(target, {"x": x})["y"] - outputs(source, {"x": x})["y"]).max())
    assert found[0] > 10 * found[1]


@pytest.mark.parametrize(
    ("isa", "features", "here", "bits"),
    [
        ("x86_64", None, False, 7),
        ("x86_64", None, True, 8),
        ("x86_64", ("avx2", "fma"), True, 7),
        ("x86_64", ("avx512", "vnni"), False, 8),
        ("x86_64", (), True, 7),
        ("aarch64", ("dotprod",), False, 8),
    ],
)
def test_a_cpu_whose_sums_overflow_gets_seven_bits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    isa: str,
    features: tuple[str, ...] | None,
    *,
    here: bool,
    bits: int,
) -> None:
    """The processor of the target decides, not that of this machine."""
    monkeypatch.setattr(module, "_has_vnni", lambda: here)
    source = encoder(tmp_path / "a.onnx")
    target = tmp_path / "b.onnx"
    rewrite_model(source, target, "int8-dynamic", isa=isa, features=features, plan=IDS)
    model = onnx.ModelProto.FromString(target.read_bytes())
    matrix = next(each for each in model.graph.initializer if each.name == "matrix_quantized")
    largest = np.abs(numpy_helper.to_array(matrix, str(tmp_path)).astype(int)).max()
    assert 2 ** (bits - 1) - 4 <= largest <= 2 ** (bits - 1)


@pytest.mark.parametrize("change", CHANGES)
def test_a_quantized_model_is_refused(tmp_path: Path, change: ChangeCode) -> None:
    target = changed(encoder(tmp_path / "a.onnx"), tmp_path / "b.onnx", "int4-weights", IDS)
    with pytest.raises(ChangeError, match="it is quantized already") as caught:
        changed(target, tmp_path / "c.onnx", change, IDS)
    assert caught.value.hint == "use the float model that it was made from"


@pytest.mark.parametrize(("change", "why"), NOTHING_TO_CHANGE)
def test_a_change_that_does_not_apply_is_an_error(
    tmp_path: Path, change: ChangeCode, why: str
) -> None:
    spec = InputSpec(name="x", dtype="float32", shape=(4,))
    source = identity(tmp_path / "a.onnx", spec)
    with pytest.raises(ChangeError, match=why) as caught:
        changed(source, tmp_path / "b.onnx", change, InputPlan(inputs=(spec,)))
    assert caught.value.what == f"Cannot apply {change} to '{source}'"
    assert caught.value.hint == "try another change"
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("change", ["int8-weights", "int4-weights"])
def test_a_weight_that_bodies_share_is_written_once(tmp_path: Path, change: ChangeCode) -> None:
    """Into the graph that has it; a weight of a body stays in that body."""
    own = numpy_helper.to_array(random("own", 96, 96))
    then, otherwise = (
        helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "shared"], [f"s_{name}"]),
                helper.make_node("MatMul", [f"s_{name}", "own"], [f"b_{name}"]),
            ],
            name,
            [],
            [value(f"b_{name}", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, "own")],
        )
        for name, array in (("then", own), ("else", -own))
    )
    graph = helper.make_graph(
        [
            helper.make_node("If", ["yes"], ["i"], then_branch=then, else_branch=otherwise),
            helper.make_node("MatMul", ["i", "shared"], ["y"]),
        ],
        "g",
        [value("x", TensorProto.FLOAT, [2, 96]), value("yes", TensorProto.BOOL, [])],
        [value("y", TensorProto.FLOAT, [2, 96])],
        [random("shared", 96, 96)],
    )
    source = save(tmp_path / "a.onnx", graph)
    plan = InputPlan(
        inputs=(
            InputSpec(name="x", dtype="float32", shape=(2, 96)),
            InputSpec(name="yes", dtype="bool", shape=()),
        )
    )
    target = changed(source, tmp_path / "b.onnx", change, plan)
    model = onnx.ModelProto.FromString(target.read_bytes())
    held = [[each.name.split(".")[0] for each in each.initializer] for each in graphs(model)]
    assert held == [["shared"] * 3, ["own"] * 3, ["own"] * 3]
    x = np.random.default_rng(5).standard_normal((2, 96), dtype=np.float32)
    for yes in (True, False):
        # Three products in a row; with another weight it would be near 0.
        assert cosine(source, target, {"x": x, "yes": np.array(yes)}) > 0.95


@pytest.mark.parametrize(("bits", "block"), [(8, 64), (4, 32)])
def test_weights_in_blocks_are_within_half_a_step(bits: int, block: int) -> None:
    rows = np.random.default_rng(0).standard_normal((5000, 150), dtype=np.float32)
    rows[7] = 0
    rows[8] = 3
    integers, scales, zeros = blocks_of(rows, bits, block)
    count = -(-150 // block)
    assert (integers.shape, zeros.shape) == ((5000, count, block), (5000, count))
    read = (integers.astype(np.float32) - zeros[..., None]) * scales[..., None]
    error = np.abs(read.reshape(5000, -1)[:, :150] - rows)
    assert np.all(error <= np.repeat(scales, block, 1)[:, :150] * 1.001)
    assert error.mean() < 0.3 * scales.mean()
    assert not read[7].any()
