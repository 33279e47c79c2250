"""Weights moved beside the model: nothing else changes, and nothing is left half done."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import load_external_data_for_model

from feasibility.errors import ChangeError, ModelError
from feasibility.model_file.open_model import open_model
from feasibility.rewrite import external_weights
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.external_weights import move_weights
from tests.tiny_models import RUNTIME_VERSION, mlp, value

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)


def random(name: str, *dims: int) -> TensorProto:
    seeded = np.random.default_rng(len(name)).standard_normal(dims, dtype=np.float32)
    return numpy_helper.from_array(seeded, name)


def many_kinds() -> onnx.ModelProto:
    """Weights in all places and encodings, and much that is not a weight."""
    body = helper.make_graph(
        [helper.make_node("MatMul", ["x", "inner"], ["b"])],
        "body",
        [],
        [value("b", TensorProto.FLOAT, None)],
        [random("inner", 64, 64)],
    )
    packed = helper.make_tensor("packed", TensorProto.FLOAT, [64, 64], [0.5] * 4096)
    kept = helper.make_tensor("kept", TensorProto.INT64, [300], list(range(300)))
    function = helper.make_function(
        "local",
        "Scale",
        ["a"],
        ["s"],
        [
            helper.make_node("Constant", [], ["c"], value=random("c", 64)),
            helper.make_node("Constant", [], ["d"], value=random("dd", 1, 512)),
            helper.make_node("ReduceSum", ["d"], ["e"], keepdims=0),
            helper.make_node("Mul", ["a", "c"], ["f"]),
            helper.make_node("Add", ["f", "e"], ["s"]),
        ],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("If", ["yes"], ["i"], then_branch=body, else_branch=body),
        helper.make_node("MatMul", ["i", "packed"], ["m"], doc_string="d" * 9000),
        helper.make_node("Scale", ["m"], ["s"], domain="local"),
        helper.make_node("MatMul", ["s", "raw"], ["y"]),
        helper.make_node("ReduceSum", ["kept"], ["z"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 64])],
        [value("y", TensorProto.FLOAT, [1, 64]), value("z", TensorProto.INT64, [])],
        [random("raw", 64, 64), packed, kept, numpy_helper.from_array(np.array(True), "yes")],
    )
    model = helper.make_model(
        graph,
        functions=[function],
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("local", 1)],
        ir_version=8,
    )
    model.metadata_props.add(key="names", value="n" * 9000)
    return model


def read(path: Path) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(path.read_bytes())


def saved(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def move(source: Path, target: Path) -> None:
    with open_model(source) as file:
        move_weights(file, target)


def outputs(path: Path) -> list[bytes]:
    session = onnxruntime.InferenceSession(path)
    return [np.asarray(each).tobytes() for each in session.run(None, {"x": X})]


def without_data(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the encoding of its weights made alike."""
    graphs = [model.graph, *(a.g for n in model.graph.node for a in n.attribute if a.HasField("g"))]
    constants = [n.attribute[0].t for f in model.functions for n in f.node[:2]]
    for tensor in [*(t for graph in graphs for t in graph.initializer), *constants]:
        array = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model


# A model with all kinds of weights, before it is changed.
loads_all_kinds = pytest.mark.skipif(
    RUNTIME_VERSION < (1, 31), reason="ONNX Runtime 1.24 does not load constants of functions"
)


@loads_all_kinds
def test_all_weights_move_and_nothing_else_changes(tmp_path: Path) -> None:
    source, target = saved(tmp_path / "a.onnx", many_kinds()), tmp_path / "new" / "b.onnx"
    move(source, target)
    assert outputs(target) == outputs(source)
    moved = read(target)
    inline = {t.name for t in moved.graph.initializer if t.data_location != TensorProto.EXTERNAL}
    assert inline == {"kept", "yes"}
    load_external_data_for_model(moved, str(target.parent))
    assert without_data(moved) == without_data(many_kinds())
    # raw, packed, two bodies and the long constant of the function, each at a cache line.
    assert data_path(target).stat().st_size == 4 * 64 * 64 * 4 + 512 * 4


@loads_all_kinds
def test_external_data_is_gathered_in_one_file(tmp_path: Path) -> None:
    """Several data files, unused bytes in them and shared weights; one weight is inside."""
    model = many_kinds()
    model.graph.initializer.append(random("raw", 64, 64))
    model.graph.initializer[-1].name = "again"
    model.graph.node.append(helper.make_node("MatMul", ["x", "again"], ["w"]))
    model.graph.output.append(value("w", TensorProto.FLOAT, [1, 64]))
    folder = tmp_path / "from"
    folder.mkdir()
    raw, again = model.graph.initializer[0], model.graph.initializer[-1]
    (folder / "sub").mkdir()
    (folder / "sub" / "weights.bin").write_bytes(b"\0" * 4096 + raw.raw_data + b"\0" * 4096)
    before = outputs(saved(folder / "inside.onnx", model))
    for tensor in (raw, again):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in {"location": "sub/weights.bin", "offset": "4096"}.items():
            tensor.external_data.add(key=key, value=text)
    source = saved(folder / "a.onnx", model)
    target = tmp_path / "to" / "a.onnx"
    move(source, target)
    assert sorted(each.name for each in target.parent.iterdir()) == ["a.onnx", "a.onnx.data"]
    assert outputs(target) == before
    assert data_path(target).stat().st_size == 4 * 64 * 64 * 4 + 512 * 4
    move(target, target)  # in place
    assert outputs(target) == before


def test_large_weights_begin_at_a_page(tmp_path: Path) -> None:
    source = mlp(tmp_path / "a.onnx", width=512)
    move(source, tmp_path / "b.onnx")
    moved = read(tmp_path / "b.onnx")
    offsets = [
        int(entry.value)
        for tensor in moved.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert offsets == [0, 1024 * 1024]


def test_a_model_without_weights_to_move_is_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "a.onnx", helper.make_model(helper.make_graph([], "g", [], [])))
    with pytest.raises(ChangeError, match="no weight of 1 KiB or more can be moved") as caught:
        move(source, tmp_path / "b.onnx")
    assert caught.value.hint == "try another change"
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]


@pytest.mark.parametrize("limit_bytes", [16 * 1024, 2048])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_bytes: int
) -> None:
    """The system refuses to make a file longer, in the data and in the model."""
    source = saved(tmp_path / "a.onnx", many_kinds())
    target = tmp_path / "to" / "b.onnx"
    target.parent.mkdir()
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(ChangeError, match=r"Cannot write .*: File too large") as caught:
            move(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.hint == "free space on the disk, or choose another folder"
    assert [(each.name, each.read_bytes()) for each in target.parent.iterdir()] == [
        ("b.onnx", b"old")
    ]


def test_a_target_in_a_file_is_refused(tmp_path: Path) -> None:
    source = mlp(tmp_path / "a.onnx")
    with pytest.raises(ChangeError, match=r"Cannot write .*: .*(File exists|Not a directory)"):
        move(source, source / "b.onnx")


def test_a_source_that_shrinks_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = mlp(tmp_path / "a.onnx")
    plan = external_weights._plan

    def then_cut(*arguments: object) -> object:
        found = plan(*arguments)  # type: ignore[arg-type]
        os.truncate(source, 100)
        return found

    monkeypatch.setattr(external_weights, "_plan", then_cut)
    with pytest.raises(ModelError, match=r"became shorter: byte 1?\d\d is missing"):
        move(source, tmp_path / "b.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]


def test_data_that_is_replaced_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.onnx"
    move(mlp(tmp_path / "first.onnx"), source)
    plan = external_weights._plan

    def then_replace(*arguments: object) -> object:
        found = plan(*arguments)  # type: ignore[arg-type]
        data = data_path(source)
        data.with_suffix(".new").write_bytes(data.read_bytes())
        data.with_suffix(".new").replace(data)
        return found

    monkeypatch.setattr(external_weights, "_plan", then_replace)
    with pytest.raises(ModelError, match="it was changed or replaced meanwhile"):
        move(source, tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_damaged_model_is_an_error_about_the_model(tmp_path: Path, cut: float) -> None:
    source = mlp(tmp_path / "a.onnx")
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * cut)])
    with pytest.raises(ModelError, match="it is truncated"):
        move(source, tmp_path / "b.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]
