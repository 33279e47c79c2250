"""Graphs that ONNX Runtime optimised and wrote: same outputs, and right for the target."""

from __future__ import annotations

import os
import platform
import resource
import signal
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from feasibility.errors import ChangeError, ModelError
from feasibility.records.changes import ChangeCode
from feasibility.records.workload import InputPlan
from feasibility.rewrite import change_process
from feasibility.rewrite.change_process import write_changed
from feasibility.rewrite.data_path import data_path
from feasibility.rewrite.forked import optimise as forked_optimise
from feasibility.rewrite.rewrite_model import rewrite_model
from tests.tiny_models import mlp, save, value

ISA = platform.machine()
OTHER_ISA = "aarch64" if ISA == "x86_64" else "x86_64"
PLAN = InputPlan(inputs=())


def convolutions(path: Path, ir_version: int = 8) -> Path:
    """Two convolutions with a channel count that blocked layouts take, in IR 3 as inputs too."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape, dtype=np.float32), name)
        for name, shape in {"w0": (16, 3, 3, 3), "w1": (16, 16, 3, 3), "scale": (16,)}.items()
    ]
    zero = numpy_helper.from_array(np.zeros(16, np.float32), "zero")
    one = numpy_helper.from_array(np.ones(16, np.float32), "one")
    inputs = [value("x", TensorProto.FLOAT, ["n", 3, 8, 8])]
    if ir_version == 3:
        inputs += [value(w.name, TensorProto.FLOAT, list(w.dims)) for w in (*weights, zero, one)]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["c0"], "conv0"),
        helper.make_node("BatchNormalization", ["c0", "scale", "zero", "zero", "one"], ["b"], "bn"),
        helper.make_node("Relu", ["b"], ["r"], "relu"),
        helper.make_node("Conv", ["r", "w1"], ["y"], "conv1"),
    ]
    outputs = [value("y", TensorProto.FLOAT, ["n", 16, 4, 4])]
    graph = helper.make_graph(nodes, "convolutions", inputs, outputs, [*weights, zero, one])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=ir_version
    )
    path.write_bytes(model.SerializeToString())
    return path


def session(path: Path, *, optimise: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options)


def domains(path: Path) -> set[str]:
    return {node.domain for node in onnx.ModelProto.FromString(path.read_bytes()).graph.node}


def optimise(source: Path, target: Path, isa: str = ISA) -> None:
    rewrite_model(source, target, "optimised-offline", isa=isa, plan=PLAN)


@pytest.mark.parametrize("ir_version", [3, 8])
def test_outputs_are_the_same_without_optimising_again(tmp_path: Path, ir_version: int) -> None:
    source, target = convolutions(tmp_path / "a.onnx", ir_version), tmp_path / "to" / "b.onnx"
    optimise(source, target)
    assert sorted(each.name for each in target.parent.iterdir()) == ["b.onnx", "b.onnx.data"]
    assert target.stat().st_size < data_path(target).stat().st_size
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 8), dtype=np.float32)
    before, after = session(source, optimise=True), session(target, optimise=False)
    assert [each.name for each in after.get_inputs()] == ["x"]
    assert after.get_inputs()[0].shape == ["n", 3, 8, 8]
    assert before.run(None, {"x": x})[0].tobytes() == after.run(None, {"x": x})[0].tobytes()


def test_another_instruction_set_gets_no_operators_of_this_one(tmp_path: Path) -> None:
    source = convolutions(tmp_path / "a.onnx")
    optimise(source, tmp_path / "here.onnx")
    optimise(source, tmp_path / "there.onnx", OTHER_ISA)
    assert ("com.microsoft.nchwc" in domains(tmp_path / "here.onnx")) == (ISA == "x86_64")
    assert domains(tmp_path / "there.onnx") == {"", "com.microsoft"}
    written = onnx.ModelProto.FromString((tmp_path / "there.onnx").read_bytes())
    assert {each.domain: each.version for each in written.opset_import} == {
        "": 14,
        "com.microsoft": 1,
    }


@pytest.mark.skipif(ISA != "x86_64", reason="blocked convolutions are of x86-64")
def test_a_graph_that_has_such_operators_is_refused(tmp_path: Path) -> None:
    """Also if somebody else optimised it."""
    optimise(convolutions(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    with pytest.raises(ChangeError, match="operators that exist only on this instruction set"):
        optimise(tmp_path / "b.onnx", tmp_path / "c.onnx", OTHER_ISA)
    assert not (tmp_path / "c.onnx").exists()


def test_a_model_that_the_runtime_refuses_is_an_error(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Secret", ["x"], ["y"], domain="com.acme")],
        "g",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
    )
    source = save(tmp_path / "a.onnx", graph)
    with pytest.raises(
        ChangeError, match=r"the tools of ONNX Runtime report: .*com\.acme"
    ) as caught:
        optimise(source, tmp_path / "to" / "b.onnx")
    assert caught.value.what == f"Cannot apply optimised-offline to '{source}'"
    assert caught.value.hint == "try another change"
    assert list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("change", ["external-data", "optimised-offline", "int8-weights"])
def test_a_model_in_ort_format_is_refused(tmp_path: Path, change: ChangeCode) -> None:
    source = tmp_path / "a.ort"
    source.write_bytes(b"\x08\0\0\0ORTM" + b"\0" * 64)
    with pytest.raises(ChangeError, match="it is in ONNX Runtime format") as caught:
        rewrite_model(source, tmp_path / "b.onnx", change, isa=ISA, plan=PLAN)
    assert caught.value.hint == "use the ONNX model that it was made from"


@pytest.mark.parametrize("limit_bytes", [40 * 1024, 512])
def test_a_full_disk_leaves_nothing(tmp_path: Path, limit_bytes: int) -> None:
    source, target = mlp(tmp_path / "a.onnx", width=128), tmp_path / "to" / "b.onnx"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(ChangeError, match="write external initializers to file"):
            optimise(source, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("change", ["optimised-offline", "int8-weights"])
def test_data_that_the_runtime_cut_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: ChangeCode
) -> None:
    write = forked_optimise._write

    def and_cut(source: Path, target: Path, level: str, *, packs: bool) -> None:
        write(source, target, level, packs=packs)
        os.truncate(data_path(target), 1000)

    monkeypatch.setattr(forked_optimise, "_write", and_cut)
    source = mlp(tmp_path / "a.onnx", width=128)
    with pytest.raises(ModelError, match="and the file has 1,000"):
        rewrite_model(source, tmp_path / "b.onnx", change, isa=ISA, plan=PLAN)
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]


def test_weights_are_moved_into_place_and_not_copied(tmp_path: Path) -> None:
    def change(path: Path) -> None:
        path.write_bytes(b"model")
        data_path(path).write_bytes(b"weights")
        (tmp_path / "inode").write_text(str(data_path(path).stat().st_ino))

    write_changed(tmp_path / "b.onnx", change, "Cannot")
    assert data_path(tmp_path / "b.onnx").stat().st_ino == int((tmp_path / "inode").read_text())


def test_an_endless_change_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_process, "_TIMEOUT_S", 0.2)
    with pytest.raises(ModelError, match=r"changing took more than 0\.2 s and was stopped"):
        write_changed(tmp_path / "b.onnx", lambda _: threading.Event().wait(60), "Cannot")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    def change(path: Path) -> None:
        path.write_bytes(b"half")
        (tmp_path / "started").touch()
        threading.Event().wait(60)

    def interrupt() -> None:
        while not (tmp_path / "started").exists():
            threading.Event().wait(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        write_changed(tmp_path / "b.onnx", change, "Cannot")
    watcher.join()
    assert [each.name for each in tmp_path.iterdir()] == ["started"]


def test_a_target_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    source = mlp(tmp_path / "a.onnx")
    with pytest.raises(ChangeError, match="the system reports: ") as caught:
        optimise(source, source / "b.onnx")
    assert caught.value.hint == "free space on the disk, or choose another folder"
