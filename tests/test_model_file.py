"""Reading a model without its weights: what is kept, what is cut, and what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from feasibility.errors import ModelError
from feasibility.model_file.cut_weights import KEPT_LIST_BYTES, KEPT_PAYLOAD_BYTES
from feasibility.model_file.open_model import open_model
from feasibility.model_file.protobuf_wire import WireFile
from feasibility.model_file.skeleton import Skeleton
from feasibility.model_file.tensors import TensorInfo
from tests.skeletons import payload_dropped, read_skeleton
from tests.tiny_models import mlp, save, value
from tests.wire_bytes import message, model, number, tensor, varint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FLOAT = TensorProto.FLOAT
BIG = 4096


def read_bytes(path: Path, content: bytes) -> Skeleton:
    path.write_bytes(content)
    return read_skeleton(path)


def refusal(path: Path, content: bytes) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read_bytes(path, content)
    return caught.value


def only_tensor(path: Path, *tensors: bytes) -> TensorInfo:
    """Facts of the one initializer whose encoded messages are given."""
    [info] = read_bytes(path, model(*(message(5, each) for each in tensors))).tensors
    return info


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def test_large_payloads_go_and_everything_else_stays(path: Path) -> None:
    mlp(path, width=64)
    skeleton = read_skeleton(path)
    whole = onnx.load_from_string(path.read_bytes())
    assert all(payload_dropped(weight) for weight in skeleton.model.graph.initializer)
    for weight in whole.graph.initializer:
        weight.ClearField("raw_data")
    for weight in skeleton.model.graph.initializer:
        weight.ClearField("metadata_props")
    assert skeleton.model == whole


def test_a_payload_at_the_limit_stays_and_one_above_goes(path: Path) -> None:
    at_limit = np.zeros(KEPT_PAYLOAD_BYTES, np.uint8)
    above = np.zeros(KEPT_PAYLOAD_BYTES + 1, np.uint8)
    weights = [numpy_helper.from_array(at_limit, "kept"), numpy_helper.from_array(above, "cut")]
    save(path, helper.make_graph([], "g", [], [], weights))
    kept, cut = read_skeleton(path).model.graph.initializer
    assert kept.raw_data == at_limit.tobytes()
    assert not payload_dropped(kept)
    assert cut.raw_data == b""
    assert payload_dropped(cut)


def test_extents_lead_to_the_payload(path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((40, 30), np.float32)
    save(path, helper.make_graph([], "g", [], [], [numpy_helper.from_array(weight, "w")]))
    [info] = read_skeleton(path).tensors
    [(start, end)] = info.extents
    assert path.read_bytes()[start:end] == weight.tobytes()


def nested_model() -> onnx.GraphProto:
    """Weights in a Constant, in branches two levels deep and in a list of tensors."""
    weight = numpy_helper.from_array(np.ones(BIG, np.float32), "w")
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], name="const", value=weight)],
        "inner",
        [],
        [value("c", FLOAT, [BIG])],
        [numpy_helper.from_array(np.ones(BIG, np.float16), "inner_w")],
    )
    nested_if = helper.make_node(
        "If", ["cond"], ["i"], name="inner_if", then_branch=inner, else_branch=inner
    )
    outer = helper.make_graph([nested_if], "outer", [], [value("i", FLOAT, [BIG])])
    top = helper.make_node("If", ["cond"], ["y"], name="if", then_branch=outer, else_branch=outer)
    custom = helper.make_node("Odd", [], ["odd"], domain="x", tensors=[weight, weight])
    return helper.make_graph(
        [top, custom], "g", [value("cond", TensorProto.BOOL, [])], [value("y", FLOAT, [BIG])]
    )


def test_weights_in_subgraphs_are_found_with_their_place(path: Path) -> None:
    save(path, nested_model())
    skeleton = read_skeleton(path)
    branches = [
        f"if/{first}/inner_if/{second}"
        for first in ("else_branch", "then_branch")
        for second in ("else_branch", "then_branch")
    ]
    places = sorted((info.scope, info.role, info.name) for info in skeleton.tensors)
    expected = [(scope, "initializer", "inner_w") for scope in branches]
    expected += [(scope, "constant", "c") for scope in branches]
    expected += [("", "attribute", "odd")] * 2
    assert places == sorted((s, r, "w" if r != "initializer" else n) for s, r, n in expected)
    assert skeleton.model.ByteSize() < 2048
    assert sum(info.element_count for info in skeleton.initializers) == 8 * BIG


def test_weights_in_functions_and_training_info(path: Path) -> None:
    weight = numpy_helper.from_array(np.ones(BIG, np.float32), "w")
    body = [helper.make_node("Constant", [], ["y"], value=weight)]
    function = helper.make_function("local", "F", [], ["y"], body, [helper.make_opsetid("", 17)])
    graph = helper.make_graph([helper.make_node("F", [], ["y"], domain="local")], "g", [], [])
    whole = helper.make_model(graph, functions=[function], ir_version=8)
    whole.training_info.add().initialization.initializer.append(weight)
    skeleton = read_bytes(path, whole.SerializeToString())
    assert [(info.scope, info.role) for info in skeleton.tensors] == [("local:F", "constant")]
    assert not skeleton.model.training_info
    assert len(skeleton.model.functions) == 1


def test_sparse_initializers_count_what_they_store_and_weigh_what_they_become(path: Path) -> None:
    values = numpy_helper.from_array(np.ones(500, np.float32), "s")
    indices = numpy_helper.from_array(np.arange(500, dtype=np.int64), "")
    sparse = helper.make_sparse_tensor(values, indices, [100, 100])
    graph = helper.make_graph([], "g", [], [], sparse_initializer=[sparse])
    save(path, graph)
    [info] = read_skeleton(path).tensors
    assert (info.name, info.dims, info.is_sparse) == ("s", (100, 100), True)
    assert info.element_count == 500
    assert info.size_bytes == 40_000


def test_long_lists_in_attributes_go_with_their_count(path: Path) -> None:
    count = KEPT_LIST_BYTES
    words = [b"word"] * count
    node = helper.make_node(
        "Trees",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        floats=[0.5] * count,
        ints=[2**40] * count,
        words=words,
        text=b"t" * (KEPT_LIST_BYTES + 1),
        short=[1, 2, 3],
    )
    skeleton = read_bytes(path, model(message(1, node.SerializeToString())))
    attributes = {each.name: each for each in skeleton.model.graph.node[0].attribute}
    marked = [name for name, each in attributes.items() if each.doc_string]
    counts = [payload.entry_count for payload in skeleton.payloads]
    assert dict(zip(marked, counts, strict=True)) == {
        "floats": count, "ints": count, "words": count, "text": count + 1
    }  # fmt: skip
    assert list(attributes["short"].ints) == [1, 2, 3]
    sizes = {payload.size_bytes for payload in skeleton.payloads}
    assert sizes == {4 * count, 6 * count, count + 1}


def test_long_documentation_and_metadata_go(path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name="n", doc_string="d" * 10_000)
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="t" * 10_000)
    graph = helper.make_graph([node], "g", [], [], doc_string="d" * 10_000)
    whole = helper.make_model(graph, ir_version=8, doc_string="d" * 10_000)
    whole.metadata_props.add(key="names", value="{0: 'person'}")
    whole.metadata_props.add(key="huge", value="m" * 10_000)
    skeleton = read_bytes(path, whole.SerializeToString())
    assert skeleton.model.ByteSize() < 300
    assert skeleton.model.graph.node[0].name == "n"
    assert [entry.key for entry in skeleton.model.metadata_props] == ["names"]


def test_a_mark_that_the_file_brings_along_is_not_believed(path: Path) -> None:
    mark = message(16, message(1, b"feasibility.payload"), message(2, b"99"))
    small = tensor("small", FLOAT, [1], message(9, bytes(4)), mark)
    large = tensor("large", FLOAT, [BIG], mark, message(9, bytes(4 * BIG)))
    skeleton = read_bytes(path, model(message(5, small), message(5, large)))
    assert [payload_dropped(each) for each in skeleton.model.graph.initializer] == [False, True]
    assert [info.element_count for info in skeleton.tensors] == [1, BIG]
    listed = message(13, b"feasibility.payload:99")
    node = message(1, message(5, message(1, b"a"), listed, number(20, 7)))
    attribute = read_bytes(path, model(node)).model.graph.node[0].attribute[0]
    assert attribute.doc_string == ""


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("count", [4, 200, 30_000])
def test_typed_data_is_counted_packed_and_unpacked(path: Path, count: int, *, packed: bool) -> None:
    sizes = [7 * index * index for index in range(count)]
    numbers = [varint(size) for size in sizes]
    data = message(7, *numbers) if packed else b"".join(number(7, size) for size in sizes)
    info = only_tensor(path, tensor("w", TensorProto.INT64, [count], data))
    assert (info.element_count, info.size_bytes) == (count, 8 * count)
    [weight] = read_skeleton(path).model.graph.initializer
    kept = list(weight.int64_data)
    assert kept == (sizes if not payload_dropped(weight) else [])
    halves = number(7, 5) + data if packed else data + message(7, b"\x05")
    info = only_tensor(path, tensor("w", TensorProto.INT64, [count + 1], halves))
    assert info.element_count == count + 1


@pytest.mark.parametrize("packed", [True, False])
def test_typed_floats_are_counted_packed_and_unpacked(path: Path, *, packed: bool) -> None:
    count = 20_000
    # Values whose bytes look like the field's own tag must not confuse the count.
    values = np.full(count, np.frombuffer(b"\x25\x25\x25\x25", np.float32)[0])
    one = values[:1].tobytes()
    data = message(4, values.tobytes()) if packed else (varint(4 << 3 | 5) + one) * count
    info = only_tensor(path, tensor("w", FLOAT, [count], data))
    assert (info.element_count, info.size_bytes) == (count, 4 * count)


def test_negative_numbers_take_ten_bytes_each(path: Path) -> None:
    count = 500
    data = message(5, varint(-1) * count)
    info = only_tensor(path, tensor("w", TensorProto.INT8, [count], data))
    assert (info.element_count, info.size_bytes) == (count, count)


@pytest.mark.parametrize(
    ("data_type", "field", "entries", "size_bytes"),
    [
        (TensorProto.BOOL, 5, 6001, 6001),
        (TensorProto.FLOAT16, 5, 6001, 12002),
        (TensorProto.BFLOAT16, 5, 6001, 12002),
        (TensorProto.FLOAT8E4M3FN, 5, 6001, 6001),
        (TensorProto.INT4, 5, 3001, 3001),
        (TensorProto.UINT4, 5, 3001, 3001),
        (TensorProto.FLOAT4E2M1, 5, 3001, 3001),
        (TensorProto.UINT32, 11, 6001, 24004),
    ],
)
def test_narrow_types_weigh_what_they_take_in_memory(
    path: Path, data_type: int, field: int, entries: int, size_bytes: int
) -> None:
    typed = only_tensor(path, tensor("w", data_type, [6001], message(field, b"\x01" * entries)))
    assert (typed.element_count, typed.size_bytes) == (6001, size_bytes)
    raw = only_tensor(path, tensor("w", data_type, [6001], message(9, bytes(size_bytes))))
    assert (raw.element_count, raw.size_bytes) == (6001, size_bytes)
    error = refusal(
        path, model(message(5, tensor("w", data_type, [6001], message(9, bytes(size_bytes + 1)))))
    )
    assert f"needs {size_bytes:,} bytes, but holds {size_bytes + 1:,} in raw_data" in error.why


def test_complex_numbers_take_two_entries(path: Path) -> None:
    info = only_tensor(path, tensor("w", TensorProto.COMPLEX64, [1000], message(4, bytes(8000))))
    assert (info.element_count, info.size_bytes) == (1000, 8000)


def test_strings_weigh_their_characters(path: Path) -> None:
    words = [b"alpha", b"", b"be"] * 1000
    data = b"".join(message(6, word) for word in words)
    info = only_tensor(path, tensor("w", TensorProto.STRING, [3, 1000], data))
    assert (info.element_count, info.size_bytes) == (3000, 7000)
    few = only_tensor(path, tensor("w", TensorProto.STRING, [2], message(6, b"ab"), message(6)))
    assert (few.element_count, few.size_bytes) == (2, 2)


def test_a_tensor_without_elements(path: Path) -> None:
    assert only_tensor(path, tensor("w", FLOAT, [0])).size_bytes == 0
    assert only_tensor(path, tensor("w", FLOAT, [2**62, 2**62, 0])).element_count == 0
    assert only_tensor(path, tensor("w", FLOAT, [0], message(9))).element_count == 0


def test_a_singular_message_given_in_pieces_is_merged(path: Path) -> None:
    """Protobuf merges a message field that occurs twice, so a tensor may be spread over two."""
    first = message(5, number(1, BIG), number(2, FLOAT))
    second = message(5, message(9, bytes(4 * BIG)))
    node = message(1, message(2, b"c"), message(4, b"Constant"),
                   message(5, message(1, b"value"), number(20, 4), first, second))  # fmt: skip
    [info] = read_bytes(path, model(node)).tensors
    assert (info.element_count, info.size_bytes) == (BIG, 4 * BIG)


def test_a_graph_given_in_pieces_is_merged(path: Path) -> None:
    pieces = [message(7, message(1, message(4, op))) for op in (b"Relu", b"Abs")]
    skeleton = read_bytes(path, number(1, 8) + b"".join(pieces))
    assert [node.op_type for node in skeleton.model.graph.node] == ["Relu", "Abs"]


@pytest.mark.parametrize(
    ("data_type", "dims", "data", "why"),
    [
        (FLOAT, [3], message(9, bytes(8)), "float32 [3], which needs 12 bytes, but holds 8"),
        (FLOAT, [3], message(4, bytes(8)), "needs 3 values, but holds 2 in float_data"),
        (FLOAT, [3], b"", "needs 3 values, but holds 0 in no data field"),
        (FLOAT, [BIG], message(9, bytes(BIG)), "needs 16,384 bytes, but holds 4,096"),
        (FLOAT, [1], message(10, bytes(8)), "holds 1 in double_data"),
        (FLOAT, [-1], message(9, bytes(4)), "negative size: [-1]"),
        (FLOAT, [2**40, 2**40], b"", "more elements than 64 bits can count"),
        (0, [1], message(9, bytes(4)), "the element type 0"),
        (99, [1], message(9, bytes(4)), "the element type 99"),
        (TensorProto.STRING, [4], message(9, bytes(4)), "string [4]"),
    ],
)
def test_tensors_that_contradict_themselves(
    path: Path, data_type: int, dims: Sequence[int], data: bytes, why: str
) -> None:
    error = refusal(path, model(message(5, tensor("w\x1b", data_type, list(dims), data))))
    assert why in error.why
    assert "'w\\x1b'" in error.why
    assert error.hint


def test_truncation_anywhere_is_told_with_the_place(path: Path) -> None:
    whole = mlp(path, width=64).read_bytes()
    for size in range(1, len(whole), 97):
        error = refusal(path, whole[:size])
        assert "truncated" in error.why or "no graph" in error.why, size


def test_truncation_says_how_much_is_missing(path: Path) -> None:
    whole = model(message(5, tensor("w", FLOAT, [BIG], message(9, bytes(4 * BIG)))))
    error = refusal(path, whole[:-1000])
    assert "the file ends at byte 15,410; at byte 6" in error.why
    assert "needs 16,400 bytes, 15,400 are left" in error.why


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (number(1, 8) + b"\x00\x01", "there is no valid field"),
        (number(1, 8) + varint(7 << 3 | 3), "field 7 has wire type 3"),
        (number(1, 8) + varint(7 << 3 | 6), "field 7 has wire type 6"),
        (number(1, 8) + number(7, 5), "field 7 should hold a message"),
        (b"\x08" + b"\x80" * 11 + b"\x00", "longer than ten bytes"),
        (b"\xff" * 9 + b"\x01", "no valid field"),
        (b"\x3a" + b"\xff" * 9 + b"\x01", "are left"),
        (number(1, 8), "it holds no graph"),
    ],
)
def test_bytes_that_are_no_model(path: Path, content: bytes, why: str) -> None:
    assert why in refusal(path, content).why


def test_a_fault_inside_a_small_message_is_found(path: Path) -> None:
    """Small messages are copied unseen; the fault is looked for when the parser refuses."""
    broken = message(1, message(5, message(6, varint(1 << 3 | 2) + varint(100))))
    error = refusal(path, model(broken) + message(2, b"producer"))
    assert "100 bytes, 0 are left in its message" in error.why


def test_nesting_too_deep_is_refused(path: Path) -> None:
    graph = message(10, b"d" * 2000)
    for _ in range(60):
        graph = message(1, message(5, message(6, graph)))
    assert "nests more than 100 messages" in refusal(path, model(graph)).why
    shallow = message(10, b"innermost")
    for _ in range(40):
        shallow = message(1, message(5, message(6, shallow)))
    assert refusal(path, model(shallow)).hint


def test_a_graph_too_large_is_refused(path: Path) -> None:
    name = message(2, b"n" * (40 * 1024 * 1024))
    assert "more than 64 MiB" in refusal(path, model(name, name)).why


def test_more_fields_than_any_graph_has_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feasibility.model_file.protobuf_wire._MAX_FIELD_COUNT", 1000)
    read_bytes(path, model(message(2, b"g" * 2000), b"\x0a\x00" * 990))
    assert "more than 1,000 fields" in refusal(path, model(b"\x0a\x00" * 1000)).why


@pytest.mark.parametrize(
    "part",
    [
        message(1, message(1, b"\xff\xfe"), message(4, b"Relu")),
        message(1, message(5, message(1, b"\xff\xfe"))),
        message(1, message(5, message(1, b"value"), message(5, message(8, b"\xff\xfe")))),
        message(5, message(8, b"\xff\xfe")),
        message(15, message(2, message(8, b"\xff\xfe"))),
        message(11, message(1, b"\xff\xfe")),
    ],
)
def test_a_name_that_is_no_text_is_refused(path: Path, part: bytes) -> None:
    error = refusal(path, model(part))
    assert error.why == "it holds a name that is not UTF-8 text: '\\xff\\xfe'"


def test_a_file_that_shrinks_while_it_is_read(path: Path) -> None:
    path.write_bytes(bytes(200_000))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        wire = WireFile(descriptor, 200_000, "Cannot read model 'm'")
        os.truncate(path, 1000)
        with pytest.raises(ModelError, match="became shorter while it was read"):
            wire.read(100_000, 150_000)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(("mark", "found"), [(b"ORTM", "ort"), (b"TFL3", "tflite")])
def test_flatbuffers_are_told_apart(path: Path, mark: bytes, found: str) -> None:
    path.write_bytes(b"\x30\x00\x00\x00" + mark + bytes(40))
    with open_model(path) as file:
        assert file.format == found


@given(st.integers(0, 2**64 - 1))
def test_varints_are_read_as_they_are_written(value: int) -> None:
    descriptor = os.memfd_create("varint")
    try:
        encoded = varint(value)
        os.write(descriptor, encoded + b"\xff")
        wire = WireFile(descriptor, len(encoded) + 1, "Cannot read model 'm'")
        assert wire.varint(0, len(encoded)) == (value, len(encoded))
    finally:
        os.close(descriptor)
