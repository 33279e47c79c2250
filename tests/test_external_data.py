"""External data: accepted where ONNX Runtime accepts it, else refused with a reason."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from feasibility.errors import ModelError
from feasibility.model_file.external_data import external_file_facts, resolve_external
from tests.skeletons import read_skeleton
from tests.tiny_models import RUNTIME_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from feasibility.model_file.external_data import ResolvedFile
    from feasibility.records.facts import ExternalFile

ELEMENTS = 256
DATA = np.arange(ELEMENTS, dtype=np.float32).tobytes()


def external_tensor(name: str, entries: dict[str, object]) -> TensorProto:
    tensor = TensorProto(
        name=name,
        data_type=TensorProto.FLOAT,
        dims=[ELEMENTS],
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def model_bytes(*entries: dict[str, object]) -> bytes:
    """A chain of Add nodes, one for each external initializer."""
    weights = [external_tensor(f"w{index}", each) for index, each in enumerate(entries)]
    nodes = [
        helper.make_node(
            "Add", ["x" if index == 0 else f"y{index - 1}", f"w{index}"], [f"y{index}"]
        )
        for index in range(len(entries))
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ELEMENTS])],
        [helper.make_tensor_value_info(f"y{len(entries) - 1}", TensorProto.FLOAT, [ELEMENTS])],
        weights,
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def model_at(path: Path, location: str, **entries: object) -> Path:
    return write(path, model_bytes({"location": location, **entries}))


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))
    return path


def resolved(path: Path) -> dict[str, ResolvedFile]:
    skeleton = read_skeleton(path)
    return resolve_external(path, skeleton.tensors, skeleton.what)


def files_of(path: Path) -> tuple[ExternalFile, ...]:
    return external_file_facts(resolved(path))


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        resolved(path)
    return caught.value


def runtime_accepts(path: Path) -> bool:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    try:
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - the runtime's errors have no common base
        return False
    return True


def same_folder(root: Path) -> Path:
    write(root / "w.bin", DATA)
    return model_at(root / "m.onnx", "w.bin")


def sub_folder(root: Path) -> Path:
    write(root / "s/w.bin", DATA)
    return model_at(root / "m.onnx", "s/w.bin")


def out_and_in_again(root: Path) -> Path:
    write(root / "in/w.bin", DATA)
    return model_at(root / "in/m.onnx", "../in/w.bin")


def link_inside(root: Path) -> Path:
    link(root / "w.bin", write(root / "real/w.bin", DATA))
    return model_at(root / "m.onnx", "w.bin")


def linked_folder(root: Path) -> Path:
    same_folder(root / "real")
    return link(root / "alias", root / "real") / "m.onnx"


def hugging_face_cache(root: Path) -> Path:
    blob = write(root / "blobs/1f2e", model_bytes({"location": "model.onnx_data"}))
    link(root / "snapshots/main/model.onnx_data", write(root / "blobs/ab34", DATA))
    return link(root / "snapshots/main/model.onnx", blob)


def hugging_face_sub_folder(root: Path) -> Path:
    blob = write(root / "blobs/1f2e", model_bytes({"location": "onnx/data"}))
    link(root / "snapshots/main/onnx/data", write(root / "blobs/ab34", DATA))
    return link(root / "snapshots/main/model.onnx", blob)


def data_beside_the_models_link(root: Path) -> Path:
    write(root / "here/w.bin", DATA)
    return link(root / "here/m.onnx", model_at(root / "there/m.onnx", "w.bin"))


def length_of_zero(root: Path) -> Path:
    write(root / "w.bin", DATA)
    return model_at(root / "m.onnx", "w.bin", offset=0, length=0)


def unaligned_offset(root: Path) -> Path:
    write(root / "w.bin", b"abc" + DATA)
    return model_at(root / "m.onnx", "w.bin", offset=3, length=len(DATA))


ACCEPTED = [
    same_folder,
    sub_folder,
    out_and_in_again,
    link_inside,
    linked_folder,
    hugging_face_cache,
    hugging_face_sub_folder,
    data_beside_the_models_link,
    length_of_zero,
    unaligned_offset,
]


# ONNX Runtime 1.24 refuses data behind links that leave the model's folder.
ACCEPTED_SINCE_1_25 = {hugging_face_cache, hugging_face_sub_folder}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_the_runtime_accepts(tmp_path: Path, case: Callable[[Path], Path]) -> None:
    path = case(tmp_path)
    assert runtime_accepts(path) == (case not in ACCEPTED_SINCE_1_25 or RUNTIME_VERSION >= (1, 25))
    assert [file.used_bytes for file in files_of(path)] == [len(DATA)]


def dot_dot(root: Path) -> Path:
    write(root / "w.bin", DATA)
    return model_at(root / "in/m.onnx", "../w.bin")


def absolute(root: Path) -> Path:
    return model_at(root / "m.onnx", str(write(root / "w.bin", DATA)))


def link_outside(root: Path) -> Path:
    link(root / "in/w.bin", write(root / "out/w.bin", DATA))
    return model_at(root / "in/m.onnx", "w.bin")


def folder_link_outside(root: Path) -> Path:
    write(root / "out/w.bin", DATA)
    link(root / "in/s", root / "out")
    return model_at(root / "in/m.onnx", "s/w.bin")


def third_folder(root: Path) -> Path:
    link(root / "here/w.bin", write(root / "elsewhere/w.bin", DATA))
    return link(root / "here/m.onnx", model_at(root / "there/m.onnx", "w.bin"))


def data_beside_the_target_only(root: Path) -> Path:
    write(root / "there/w.bin", DATA)
    return link(root / "here/m.onnx", model_at(root / "there/m.onnx", "w.bin"))


def missing(root: Path) -> Path:
    return model_at(root / "m.onnx", "w.bin")


def dangling_link(root: Path) -> Path:
    link(root / "w.bin", root / "gone.bin")
    return model_at(root / "m.onnx", "w.bin")


def directory(root: Path) -> Path:
    (root / "w.bin").mkdir()
    return model_at(root / "m.onnx", "w.bin")


def dot(root: Path) -> Path:
    return model_at(root / "m.onnx", ".")


def offset_past_the_end(root: Path) -> Path:
    write(root / "w.bin", DATA)
    return model_at(root / "m.onnx", "w.bin", offset=4)


def huge_offset(root: Path) -> Path:
    write(root / "w.bin", DATA)
    return model_at(root / "m.onnx", "w.bin", offset=2**63 - 1)


REFUSED = {
    dot_dot: ("outside the model's folder", "link"),
    absolute: ("absolute path", "relative"),
    link_outside: ("outside the model's folder", "link"),
    folder_link_outside: ("outside the model's folder", "link"),
    third_folder: ("outside the model's folder", "link"),
    data_beside_the_target_only: ("there is no such file", "beside the model"),
    missing: ("there is no such file (needed by 'w0')", "beside the model"),
    dangling_link: ("symbolic link to 'gone.bin'", "beside the model"),
    directory: ("it is a directory", "put the data file"),
    dot: ("it is a directory", "put the data file"),
    offset_past_the_end: ("bytes 4 to 1,028, and the file has 1,024", "truncated"),
    huge_offset: ("the file has 1,024", "truncated"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_runtime_refuses(tmp_path: Path, case: Callable[[Path], Path]) -> None:
    path = case(tmp_path)
    why, hint = REFUSED[case]
    error = refusal(path)
    assert not runtime_accepts(path)
    assert why in error.why
    assert "w0" in error.why
    assert hint in error.hint


def test_a_fifo_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.bin")
    assert "FIFO" in refusal(model_at(tmp_path / "m.onnx", "w.bin")).why


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ({}, "names no file"),
        ({"location": ""}, "names no file"),
        ({"location": "w.bin", "length": 1020}, "needs 1,024 bytes"),
        ({"location": "w.bin", "length": 1028}, "needs 1,024 bytes"),
        (
            {"location": "w.bin", "length": -1},
            "length of initializer 'w0' is not a valid number: '-1'",
        ),
        (
            {"location": "w.bin", "offset": -4},
            "offset of initializer 'w0' is not a valid number: '-4'",
        ),
        ({"location": "w.bin", "offset": "0x10"}, "not a valid number: '0x10'"),
        ({"location": "w.bin", "offset": "+16"}, "not a valid number"),
        ({"location": "w.bin", "offset": " 16"}, "not a valid number"),
        ({"location": "w.bin", "offset": "١٦"}, "not a valid number"),
        ({"location": "w.bin", "offset": 2**64}, "not a valid number"),
        ({"location": "w.bin", "offset": "9" * 5000}, "not a valid number"),
    ],
)
def test_entries_that_mean_nothing(tmp_path: Path, entries: dict[str, object], why: str) -> None:
    write(tmp_path / "w.bin", 2 * DATA)
    path = write(tmp_path / "m.onnx", model_bytes(entries))
    assert not runtime_accepts(path)
    assert why in refusal(path).why


def test_two_locations_for_one_tensor(tmp_path: Path) -> None:
    write(tmp_path / "w.bin", DATA)
    model = onnx.load_from_string(model_bytes({"location": "w.bin"}))
    model.graph.initializer[0].external_data.add(key="location", value="other.bin")
    path = write(tmp_path / "m.onnx", model.SerializeToString())
    assert not runtime_accepts(path)
    assert "two external data files" in refusal(path).why


@pytest.mark.parametrize("location", ["w\0.bin", "a" * 5000, "b" * 300, "*/_ORT_MEM_ADDR_/*"])
def test_locations_that_no_file_has(tmp_path: Path, location: str) -> None:
    error = refusal(model_at(tmp_path / "m.onnx", location))
    assert error.hint
    assert len(str(error)) < 1000


def test_control_characters_in_a_location_are_made_safe(tmp_path: Path) -> None:
    assert "\x1b" not in str(refusal(model_at(tmp_path / "m.onnx", "\x1b[2J.bin")))


def test_one_file_of_many_tensors_is_counted_once(tmp_path: Path) -> None:
    """Overlapping ranges count once, what no tensor uses does not count as used."""
    write(tmp_path / "w.bin", bytes(4096))
    size = len(DATA)
    path = write(
        tmp_path / "m.onnx",
        model_bytes(
            {"location": "w.bin", "offset": 0},
            {"location": "w.bin", "offset": size // 2},
            {"location": "./w.bin", "offset": 3072},
        ),
    )
    assert runtime_accepts(path)
    [file] = files_of(path)
    assert file.location == "w.bin"
    assert file.file_bytes == 4096
    assert file.used_bytes == size + size // 2 + size
    assert file.initializer_count == 3


def test_the_message_names_the_tensor_that_reaches_furthest(tmp_path: Path) -> None:
    write(tmp_path / "w.bin", DATA)
    path = write(
        tmp_path / "m.onnx",
        model_bytes({"location": "w.bin"}, {"location": "w.bin", "offset": 100}),
    )
    assert "'w1' needs the bytes 100 to 1,124" in refusal(path).why
