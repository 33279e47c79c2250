from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from feasibility.errors import InputError
from feasibility.records.workload import InputPlan
from tests.analysed import plan_inputs
from tests.analysis_models import FLOAT, INT64, model, node


def plans_of(
    made: onnx.ModelProto,
    *,
    dims: dict[str, int] | None = None,
    files: dict[str, Path] | None = None,
    archive: Path | None = None,
) -> tuple[InputPlan, ...]:
    return plan_inputs(made, dims=dims or {}, files=files or {}, archive=archive)


def identity(**inputs: tuple[int, list[int | str | None]]) -> onnx.ModelProto:
    nodes = [node("Identity", name, f"{name}_out") for name in inputs]
    return model(nodes, inputs, [f"{name}_out" for name in inputs])


def npy(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def test_a_given_array_binds_the_dims_that_it_has(tmp_path: Path) -> None:
    made = identity(x=(FLOAT, ["n", 3]), z=(FLOAT, ["n"]))
    path = npy(tmp_path / "x.npy", np.zeros((7, 3), np.float32))
    plans = plans_of(made, files={"x": path})
    assert plans[0].dims == {"n": 7}
    x, z = plans[0].inputs
    assert (x.shape, x.fill.kind, x.fill.path, z.shape) == ((7, 3), "file", str(path), (7,))
    assert not plans[0].assumptions
    assert len(plans) == 1


def test_an_archive_holds_one_array_per_input(tmp_path: Path) -> None:
    made = identity(x=(FLOAT, ["n", 3]), ids=(INT64, ["n"]))
    path = tmp_path / "inputs.npz"
    np.savez(path, x=np.zeros((2, 3), np.float32), ids=np.zeros(2, np.int64))
    x, ids = plans_of(made, archive=path)[0].inputs
    assert (x.fill.path, x.fill.member, ids.fill.member) == (str(path), "x", "ids")
    single = npy(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    assert plans_of(made, archive=path, files={"x": single})[0].inputs[0].fill.path == str(single)


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros((2, 3), np.float64), "the file holds float64, the model takes float32"),
        (np.zeros((2, 4), np.float32), "the file holds shape [2, 4], the model takes [n, 3]"),
        (np.zeros(3, np.float32), "the file holds shape [3], the model takes [n, 3]"),
        (np.array(["a"]), "the file holds string, the model takes float32"),
        (np.zeros((2, 3), ">f4"), "it has another byte order"),
    ],
)
def test_an_array_that_does_not_match_is_refused_naming_both_sides(
    tmp_path: Path, array: Any, why: str
) -> None:
    path = npy(tmp_path / "x.npy", array)
    with pytest.raises(InputError) as caught:
        plans_of(identity(x=(FLOAT, ["n", 3])), files={"x": path})
    assert caught.value.why == why


def test_an_array_for_no_input_is_refused_with_the_inputs_there_are(tmp_path: Path) -> None:
    path = npy(tmp_path / "x.npy", np.zeros(1, np.float32))
    with pytest.raises(InputError, match="the model's inputs are x, ids"):
        plans_of(identity(x=(FLOAT, [1]), ids=(INT64, [1])), files={"y": path})
    archive = tmp_path / "a.npz"
    np.savez(archive, nonsense=np.zeros(1))
    with pytest.raises(InputError, match="'nonsense'"):
        plans_of(identity(x=(FLOAT, [1])), archive=archive)


def test_sizes_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    made = identity(x=(FLOAT, ["n"]), z=(FLOAT, ["n"]))
    x = npy(tmp_path / "x.npy", np.zeros(2, np.float32))
    z = npy(tmp_path / "z.npy", np.zeros(3, np.float32))
    with pytest.raises(InputError, match="gives it 2, the one for 'z' gives it 3"):
        plans_of(made, files={"x": x, "z": z})
    with pytest.raises(InputError, match="the array that was given has 2 there"):
        plans_of(made, files={"x": x}, dims={"n": 5})


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00xx", b"no array at all"])
def test_files_that_are_no_arrays_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    for options in ({"files": {"x": path}}, {"archive": path}):
        with pytest.raises(InputError) as caught:
            plans_of(identity(x=(FLOAT, [1])), **options)  # type: ignore[arg-type]
        assert "x.npy" in caught.value.what


MAGIC = b"\x93NUMPY\x01\x00"
HEADERS = {
    "tokens": b"(",
    "keys": b"{1: 2, 'a': 3}",
    "negative": b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 3)}",
    "nested": b"-" * 5000 + b"1",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_damaged_header_is_refused(tmp_path: Path, header: bytes) -> None:
    """numpy reports such headers with exceptions of several kinds."""
    path = tmp_path / "x.npy"
    path.write_bytes(MAGIC + struct.pack("<H", len(header)) + header)
    with pytest.raises(InputError, match=r"Cannot read the array '.*x\.npy'"):
        plans_of(identity(x=(FLOAT, ["n", 3])), files={"x": path})


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=str
)
def test_a_damaged_archive_is_refused(tmp_path: Path, compression: int) -> None:
    """Each decompressor has its own exception."""
    path, name = tmp_path / "a.npz", "x.npy"
    array = npy(tmp_path / "x", np.zeros((7, 3), np.float32)).with_suffix(".npy").read_bytes()
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, array)
    content = bytearray(path.read_bytes())
    start = 30 + len(name)  # of the compressed data
    content[start : start + 9] = b"\xff" * 9
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Cannot read the archive '.*a\.npz'"):
        plans_of(identity(x=(FLOAT, ["n", 3])), archive=path)


def test_an_archive_that_ends_early_is_refused(tmp_path: Path) -> None:
    """Its directory says that the array has a megabyte."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", MAGIC + b"\xff\xff")
    content = bytearray(path.read_bytes())
    struct.pack_into("<II", content, content.index(b"PK\x01\x02") + 20, 10**6, 10**6)
    path.write_bytes(content)
    with pytest.raises(InputError, match="EOFError"):
        plans_of(identity(x=(FLOAT, ["n", 3])), archive=path)


def test_arrays_of_python_objects_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects"):
        plans_of(identity(x=(FLOAT, [1])), files={"x": path})
    with pytest.raises(InputError, match="there is no such file"):
        plans_of(identity(x=(FLOAT, [1])), files={"x": tmp_path / "absent.npy"})
    with pytest.raises(InputError, match="not a regular file"):
        plans_of(identity(x=(FLOAT, [1])), files={"x": tmp_path})
