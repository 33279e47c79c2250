"""Facts of whole models: made here, damaged at random, and from a folder of real ones."""

from __future__ import annotations

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from feasibility.errors import FeasibilityError, ModelError
from feasibility.facts import read_model, weight_facts
from feasibility.facts.model_facts import facts_of
from feasibility.facts.read_model import inspect_model
from feasibility.graph.inputs.input_plans import choose_sizes
from feasibility.ort_memory import version
from feasibility.records.facts import ModelFacts
from feasibility.units import MIB
from tests.graph_samples import ort_file, weight
from tests.skeletons import read_skeleton
from tests.tiny_models import endless_loop, mlp, save, value
from tests.wire_bytes import message, number, varint

FLOAT = TensorProto.FLOAT
CORPUS = Path(__file__).parents[2] / "shared" / "models"


def codes(facts: ModelFacts) -> list[str]:
    return [notice.code for notice in facts.warnings]


@pytest.fixture(autouse=True)
def modelled_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version of the runtime adds is tested in test_modelled_version.py."""
    monkeypatch.setattr(version, "_installed_version", lambda: version.MODELLED_VERSION)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def test_facts_of_a_small_network(path: Path) -> None:
    facts = inspect_model(mlp(path, width=64, layers=3, batch="batch"), dims={"batch": 2})
    content = path.read_bytes()
    assert facts.name == "model.onnx"
    assert facts.format == "onnx"
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert facts.file_bytes == len(content)
    assert (facts.ir_version, facts.opset, facts.opsets) == (8, 17, {"ai.onnx": 17})
    assert facts.parameter_count == facts.unique_parameter_count == 3 * 64 * 64
    assert facts.initializer_bytes_by_dtype == {"float32": 3 * 64 * 64 * 4}
    assert facts.largest_initializer_bytes == 64 * 64 * 4
    assert (facts.node_count, facts.initializer_count) == (6, 3)
    assert [(spec.name, spec.shape) for spec in facts.inputs] == [("x", ("batch", 64))]
    assert [(spec.name, spec.dtype) for spec in facts.outputs] == [("r2", "float32")]
    assert facts.dims == {"batch": 2}
    matmul = facts.operators[0]
    assert (matmul.op_type, matmul.domain, matmul.node_count) == ("MatMul", "ai.onnx", 3)
    assert matmul.weight_bytes == 3 * 64 * 64 * 4
    assert matmul.flops == 3 * 2 * 2 * 64 * 64
    assert facts.warnings == ()


def test_only_small_files_are_hashed_unasked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlp(path)
    monkeypatch.setattr(read_model, "HASHED_BYTES", 100)
    assert inspect_model(path).sha256 is None
    assert inspect_model(path, hash_file=False).sha256 is None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert inspect_model(path, hash_file=True).sha256 == digest


def test_initializers_that_old_files_list_as_inputs_are_none(path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [value("x", FLOAT, [4]), value("w", FLOAT, [4])],
        [value("y", FLOAT, [4])],
        [weight("w", 4)],
    )
    for ir_version in (3, 8):
        model = helper.make_model(graph, ir_version=ir_version)
        path.write_bytes(model.SerializeToString())
        assert [spec.name for spec in inspect_model(path).inputs] == ["x"]


def test_a_weight_counts_for_the_operator_that_reads_it_first(path: Path) -> None:
    """Also through a Constant node, inside a body that sees the outer graph, and only once."""
    body = helper.make_graph(
        [helper.make_node("Mul", ["x", "outer"], ["b"])], "b", [], [value("b", FLOAT, [8])]
    )
    other = helper.make_graph(
        [helper.make_node("Sub", ["x", "outer"], ["o"])], "o", [], [value("o", FLOAT, [8])]
    )
    nodes = [
        helper.make_node("Constant", [], ["c"], value=weight("c", 8)),
        helper.make_node("Add", ["x", "c"], ["a"]),
        helper.make_node("Div", ["a", "c"], ["d"]),
        helper.make_node("If", ["cond"], ["i"], then_branch=body, else_branch=other),
        helper.make_node("Max", ["d", "i"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", FLOAT, [8]), value("cond", TensorProto.BOOL, [])],
        [value("y", FLOAT, [8])],
        [weight("outer", 8, seed=1)],
    )
    facts = inspect_model(save(path, graph))
    weights = {kind.op_type: kind.weight_bytes for kind in facts.operators if kind.weight_bytes}
    first_body = "Sub"  # attributes are written in the order of their names
    assert weights == {"Add": 32, first_body: 32}
    assert facts.subgraph_count == 2
    assert facts.parameter_count == 16
    assert facts.node_count == 7


def test_functions_are_counted_by_their_bodies_and_are_not_custom(path: Path) -> None:
    opset = helper.make_opsetid("", 17)
    inner = helper.make_function(
        "f", "Inner", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], [opset]
    )
    outer = helper.make_function(
        "f",
        "Outer",
        ["x"],
        ["y"],
        [
            helper.make_node("Inner", ["x"], ["t"], domain="f"),
            helper.make_node("Abs", ["t"], ["y"]),
        ],
        [opset, helper.make_opsetid("f", 1)],
    )
    unused = helper.make_function(
        "f", "Unused", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])], [opset]
    )
    graph = helper.make_graph(
        [helper.make_node("Outer", ["x"], ["y"], domain="f")],
        "g",
        [value("x", FLOAT, [4])],
        [value("y", FLOAT, [4])],
    )
    model = helper.make_model(
        graph,
        functions=[inner, outer, unused],
        opset_imports=[opset, helper.make_opsetid("f", 1)],
        ir_version=8,
    )
    path.write_bytes(model.SerializeToString())
    facts = inspect_model(path)
    assert {kind.op_type: kind.node_count for kind in facts.operators} == {"Abs": 1, "Relu": 1}
    assert facts.function_count == 3
    assert facts.custom_operators == ()


def one_node(path: Path, op_type: str, domain: str = "", opset: int = 13) -> ModelFacts:
    graph = helper.make_graph(
        [helper.make_node(op_type, ["x"], ["y"], domain=domain)],
        "g",
        [value("x", FLOAT, [4])],
        [value("y", FLOAT, [4])],
    )
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return inspect_model(path)


@pytest.mark.parametrize(
    ("op_type", "domain", "opset"),
    [
        ("Relu", "", 13),
        ("LayerNormalization", "", 13),
        ("FastGelu", "com.microsoft", 13),
        ("Scaler", "ai.onnx.ml", 13),
    ],
)
def test_operators_of_standard_builds(path: Path, op_type: str, domain: str, opset: int) -> None:
    assert one_node(path, op_type, domain, opset).custom_operators == ()


@pytest.mark.parametrize(
    ("op_type", "domain", "opset", "hint"),
    [
        ("NoSuchOp", "", 13, "another operator set"),
        ("Gelu", "", 13, "another operator set"),  # came with operator set 20
        ("NoSuchOp", "ai.onnx.ml", 13, "built with them"),
        ("Relu", "com.acme", 13, "built with them"),
        ("StringUpper", "ai.onnx.contrib", 13, "onnxruntime-extensions"),
    ],
)
def test_custom_operators(path: Path, op_type: str, domain: str, opset: int, hint: str) -> None:
    facts = one_node(path, op_type, domain, opset)
    assert facts.custom_operators == (f"{domain or 'ai.onnx'}:{op_type}",)
    [notice] = [each for each in facts.warnings if each.code == "custom-operators"]
    assert hint in notice.hint


def with_nodes(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(
        list(nodes), "g", [value("x", FLOAT, [4])], [value("y", FLOAT, [4])], [weight("w", 4)]
    )


FAULTS = {
    "dangling-input": with_nodes(helper.make_node("Add", ["x", "nothing"], ["y"])),
    "duplicate-tensor": with_nodes(
        helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["y"])
    ),
    "duplicate-node": with_nodes(
        helper.make_node("Relu", ["x"], ["t"], name="n"),
        helper.make_node("Abs", ["t"], ["y"], name="n"),
    ),
}


@pytest.mark.parametrize("code", FAULTS)
def test_faults_that_the_runtime_refuses_are_warnings(path: Path, code: str) -> None:
    assert codes(inspect_model(save(path, FAULTS[code]))) == [code]
    assert not runtime_accepts(path)


SOUND = {
    "unsorted": with_nodes(
        helper.make_node("Relu", ["t"], ["y"]), helper.make_node("Abs", ["x"], ["t"])
    ),
    "two constants of one name": with_nodes(
        helper.make_node("Constant", [], ["c"], value=weight("c", 4)),
        helper.make_node("Constant", [], ["c"], value=weight("c", 4)),
        helper.make_node("Add", ["x", "c"], ["y"]),
    ),
    "optional input left out": with_nodes(helper.make_node("Clip", ["x", "", ""], ["y"])),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_the_runtime_accepts_is_no_fault(path: Path, name: str) -> None:
    assert codes(inspect_model(save(path, SOUND[name]))) == []
    assert runtime_accepts(path)


def runtime_accepts(path: Path) -> bool:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    try:
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - the runtime's errors have no common base
        return False
    return True


@pytest.mark.parametrize(
    ("ir_version", "opsets", "expected"),
    [
        (99, {"": 17}, ["ir-version-unknown"]),
        (8, {"": 99}, ["opset-unknown"]),
        (8, {"": 17, "ai.onnx.ml": 99}, ["opset-unknown"]),
        (8, {}, ["no-opset-import"]),
    ],
)
def test_versions_that_nobody_knows(
    path: Path, ir_version: int, opsets: dict[str, int], expected: list[str]
) -> None:
    model = onnx.ModelProto(ir_version=ir_version)
    model.graph.CopyFrom(with_nodes(helper.make_node("Relu", ["x"], ["y"])))
    model.opset_import.extend(helper.make_opsetid(*pair) for pair in opsets.items())
    path.write_bytes(model.SerializeToString())
    assert codes(inspect_model(path)) == expected


def test_long_lists_in_attributes_are_told(path: Path) -> None:
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml",
                            nodes_values=[0.5] * 20_000)  # fmt: skip
    facts = inspect_model(save(path, with_nodes(node)))
    [notice] = [each for each in facts.warnings if each.code == "weights-in-attributes"]
    assert "78.1 KiB" in notice.message


def test_the_producer_is_cut_to_a_line(path: Path) -> None:
    mlp(path)
    path.write_bytes(path.read_bytes() + message(2, b"p" * 5000))
    assert len(inspect_model(path).producer) == 100


def test_equal_initializers_count_once(path: Path) -> None:
    weights = [
        weight("a", 100, 50, seed=1),
        weight("same", 100, 50, seed=1),
        weight("other", 100, 50, seed=2),
        weight("reshaped", 50, 100, seed=1),
        weight("retyped", 100, 50, seed=1, dtype="int32"),
        weight("small", 4, seed=3),
        weight("small_same", 4, seed=3),
    ]
    facts = inspect_model(save(path, helper.make_graph([], "g", [], [], weights)))
    assert facts.parameter_count == 5 * 5000 + 8
    assert facts.unique_parameter_count == 4 * 5000 + 4


def test_one_different_byte_makes_a_difference(path: Path) -> None:
    """Samples agree, so only the full comparison tells."""
    first = np.zeros(100_000, np.float32)
    second = first.copy()
    second[12_345] = 1
    weights = [numpy_helper.from_array(first, "a"), numpy_helper.from_array(second, "b")]
    facts = inspect_model(save(path, helper.make_graph([], "g", [], [], weights)))
    assert facts.unique_parameter_count == 200_000


def test_what_is_too_large_to_compare_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = np.zeros(100_000, np.float32)
    weights = [numpy_helper.from_array(zeros, name) for name in "ab"]
    save(path, helper.make_graph([], "g", [], [], weights))
    assert codes(inspect_model(path)) == []
    skeleton = read_skeleton(path)
    limited = weight_facts.unique_parameters(
        skeleton.initializers, path, skeleton.identity, {}, limit_bytes=1000
    )
    assert limited.parameter_count == 100_000
    assert limited.sampled_bytes == 800_000
    monkeypatch.setattr(weight_facts, "unique_parameters", lambda *_: limited)
    assert codes(inspect_model(path)) == ["duplicates-sampled"]


def test_equal_initializers_in_external_data_count_once(path: Path) -> None:
    mlp(path, width=32, layers=2)
    model = onnx.load_from_string(path.read_bytes())
    data = bytes(32 * 32 * 4)
    (path.parent / "w.data").write_bytes(2 * data)
    for index, tensor in enumerate(model.graph.initializer):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.data")
        tensor.external_data.add(key="offset", value=str(index * len(data)))
    path.write_bytes(model.SerializeToString())
    facts = inspect_model(path)
    assert (facts.parameter_count, facts.unique_parameter_count) == (2048, 1024)
    assert facts.external_bytes == 8192
    assert facts.external_files[0].used_bytes == 8192
    assert facts.initializer_bytes == 8192


def test_a_file_replaced_meanwhile_is_noticed(path: Path) -> None:
    zeros = np.zeros(1000, np.float32)
    weights = [numpy_helper.from_array(zeros, name) for name in "ab"]
    save(path, helper.make_graph([], "g", [], [], weights))
    skeleton = read_skeleton(path)
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match="changed or replaced"):
        facts_of(skeleton, *choose_sizes(skeleton.model, {}).likeliest, ())


def test_loops_are_entered(path: Path) -> None:
    facts = inspect_model(endless_loop(path))
    assert facts.subgraph_count == 1
    assert "Loop" in {kind.op_type for kind in facts.operators}


@pytest.mark.parametrize("batch", [3, "batch"])
def test_an_ort_file_says_what_it_can(path: Path, batch: int | str) -> None:
    facts = inspect_model(ort_file(path, [batch]))
    assert facts.format == "ort"
    assert (facts.ir_version, facts.opset) == (8, 17)
    assert [(spec.name, spec.dtype, spec.shape) for spec in facts.inputs] == [
        ("x", "float32", (batch, 64))
    ]
    assert [spec.name for spec in facts.outputs] == ["r1"]
    assert facts.parameter_count is None
    assert facts.node_count is None
    [notice] = facts.warnings
    assert "measure it" in notice.hint


def test_a_damaged_ort_file_is_an_error(path: Path) -> None:
    content = ort_file(path, [1]).read_bytes()
    path.write_bytes(content[:100])
    with pytest.raises(ModelError, match="ONNX Runtime's format"):
        inspect_model(path)


def corpus_rows() -> list[dict[str, str]]:
    index = CORPUS / "index.csv"
    if not index.is_file():
        return []
    return list(csv.DictReader(index.read_text("utf-8").splitlines()))


def opset_text(facts: ModelFacts, domains: set[str]) -> set[str]:
    return {f"{domain}={version}" for domain, version in facts.opsets.items() if domain in domains}


@pytest.mark.slow
@pytest.mark.skipif(not corpus_rows(), reason="the folder of real models is not there")
def test_real_models_agree_with_what_is_known_of_them() -> None:
    outcomes: Counter[str] = Counter()
    for row in corpus_rows():
        path = CORPUS / row["path"]
        try:
            facts = inspect_model(path)
        except FeasibilityError:
            outcomes["error"] += 1
            # Whatever loads in the runtime must be readable here.
            assert row["loads_ok"] != "True", row["path"]
            continue
        outcomes["facts"] += 1
        assert facts.sha256 == row["sha256"], row["path"]
        assert len(facts.inputs) == len([each for each in row["inputs"].split(";") if each])
        if facts.format != "onnx":
            continue
        assert str(facts.ir_version) == row["ir_version"], row["path"]
        known = {part for part in row["opset"].split(";") if part}
        assert opset_text(facts, {part.partition("=")[0] for part in known}) == known
        if facts.sparse_initializer_count == 0:
            assert str(facts.parameter_count) == row["params_count"], row["path"]
    assert outcomes["facts"] > 70
    assert sum(outcomes.values()) == len(corpus_rows())


PEAK_OF_CHILD = """
import resource, sys
from pathlib import Path
from feasibility.facts.read_model import inspect_model
facts = inspect_model(Path(sys.argv[1]))
own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
reader = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(facts.parameter_count, max(int(own), reader) * 1024)
"""


def test_a_gigabyte_of_weights_is_not_read_into_memory(path: Path) -> None:
    """The file is a hole between its first and last bytes; equal halves are compared too."""
    elements = 2**27
    header = number(1, elements) + number(2, FLOAT) + message(8, b"w0")
    raw = varint(9 << 3 | 2) + varint(4 * elements)
    size = len(header) + len(raw) + 4 * elements
    pieces = [
        varint(5 << 3 | 2) + varint(size) + header.replace(b"w0", name) + raw
        for name in (b"w0", b"w1")
    ]
    graph_bytes = sum(map(len, pieces)) + 2 * 4 * elements
    with path.open("wb") as file:
        file.write(number(1, 8) + message(8, number(2, 17)) + varint(7 << 3 | 2))
        file.write(varint(graph_bytes))
        for piece in pieces:
            file.write(piece)
            file.seek(4 * elements, os.SEEK_CUR)
        file.truncate()
    result = subprocess.run(
        [sys.executable, "-c", PEAK_OF_CHILD, path], check=True, capture_output=True, text=True
    )
    parameter_count, peak_bytes = map(int, result.stdout.split())
    assert parameter_count == 2 * elements
    assert peak_bytes < 75 * MIB
