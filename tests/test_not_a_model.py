"""What a path leads to is told before anything is parsed, and nothing but files is opened."""

from __future__ import annotations

import gzip
import io
import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import pytest

from feasibility.errors import ModelError
from feasibility.model_file.open_model import open_model
from tests.skeletons import read_skeleton
from tests.wire_bytes import message, number


def refusal(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        read_skeleton(path)
    return caught.value


def zip_with(name: str, content: bytes = b"x") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def numpy_file() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def numpy_archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, first=np.zeros(3))
    return buffer.getvalue()


FOREIGN = {
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
        "Git LFS pointer",
        "git lfs pull",
    ),
    "html": (b"\n <!DOCTYPE html>\n<html><body>404</body></html>", "HTML page", "/raw/"),
    "json": (b'{"error":"Entry not found"}', 'JSON text: {"error":"Entry not found"}', "download"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML", "download"),
    "openvino": (b'<?xml version="1.0"?>\n<net name="x" version="11">', "OpenVINO", "ONNX"),
    "text": (b"Not found\n", "plain text: Not found", "download"),
    "utf-8 text": ("żółw\n".encode() * 2000, "plain text: żółw", "download"),
    "executorch": (b"\x1c\x00\x00\x00ET12" + bytes(40), "ExecuTorch", "torch.onnx.export"),
    "torch": (zip_with("archive/data.pkl"), "PyTorch", "torch.onnx.export"),
    "keras": (zip_with("metadata.json", b'{"keras_version": "3"}'), "Keras", "model.export"),
    "npz": (numpy_archive(), "numpy .npz", "--inputs"),
    "zip": (zip_with("inside/model.onnx"), "first entry is 'inside/model.onnx'", "unpack"),
    "gzip": (gzip.compress(b"model"), "gzip", "gunzip"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5", "Keras"),
    "gguf": (b"GGUF\x03\x00\x00\x00", "GGUF", "ONNX"),
    "numpy": (numpy_file(), "numpy array", "--input"),
    "safetensors": (b"\x0c" + bytes(7) + b'{"a":{}}    ', "safetensors", "weights without a graph"),
    "pickle": (b"\x80\x04\x95\x00\x00sklearn.tree", "scikit-learn", "skl2onnx"),
    "legacy torch": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "PyTorch", "torch.onnx.export"),
    "tensorrt": (b"ptrt" + bytes(20), "TensorRT", "ONNX"),
    "picture": (b"\x89PNG\r\n\x1a\n", "PNG picture", "model file"),
    "tensorflow graph": (
        message(1, message(1, b"x"), message(2, b"Placeholder")) + message(4, number(1, 1)),
        "frozen TensorFlow graphs",
        "tf2onnx.convert --graphdef",
    ),
    "saved model": (
        number(1, 1) + message(2, message(2, bytes(2000))),
        "TensorFlow SavedModel",
        "tf2onnx.convert --saved-model",
    ),
    "core ml": (
        number(1, 4) + message(2, message(1, b"image")) + message(500, bytes(10)),
        "Core ML",
        "ONNX",
    ),
    "tensor": (
        number(1, 3) + number(2, 1) + message(9, bytes(12)),
        "single ONNX tensor",
        "model itself",
    ),
    "empty": (b"", "it is empty", "download"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    content, kind, hint = FOREIGN[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    error = refusal(path)
    assert kind in error.why
    assert hint in error.hint
    assert error.what == f"Cannot read model '{path}'"


def test_names_inside_a_foreign_file_are_made_safe(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(zip_with("\x1b[2Jevil"))
    assert "\x1b" not in str(refusal(path))


def test_random_bytes_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(np.random.default_rng(1).bytes(4096))
    assert "not an ONNX model" in refusal(path).why


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.onnx").why == "there is no such file"


def test_a_dangling_link_names_its_target(tmp_path: Path) -> None:
    link = tmp_path / "model.onnx"
    link.symlink_to("gone.onnx")
    assert refusal(link).why == "it is a symbolic link to 'gone.onnx', which does not exist"


def test_links_in_a_circle(tmp_path: Path) -> None:
    link = tmp_path / "model.onnx"
    link.symlink_to(link)
    assert "circle" in refusal(link).why


def test_a_directory_names_the_model_inside(tmp_path: Path) -> None:
    folder = tmp_path / "model.onnx"
    folder.mkdir()
    (folder / "decoder.onnx").touch()
    error = refusal(folder)
    assert error.why == "it is a directory"
    assert str(folder / "decoder.onnx") in error.hint


def test_a_saved_model_directory_names_the_converter(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    assert "tf2onnx.convert --saved-model" in refusal(tmp_path).hint


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    os.mkfifo(path)
    assert "FIFO" in refusal(path).why


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("model.onnx")
        assert "socket" in refusal(tmp_path / "model.onnx").why


def test_a_device_is_refused() -> None:
    assert "character device" in refusal(Path("/dev/zero")).why


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")
    path.chmod(0)
    error = refusal(path)
    assert error.why == "this user may not read it"
    assert "chmod" in error.hint


def test_permission_denied_by_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")

    def denied(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert refusal(path).why == "this user may not read it"


@pytest.mark.parametrize("name", ["a" * 300, "nul\0inside", "model.onnx/below"])
def test_impossible_paths(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert refusal(tmp_path / name).hint


def test_a_path_swapped_for_a_fifo_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    real_open = os.open
    monkeypatch.setattr(os, "open", lambda _, flags: real_open(fifo, flags))
    assert "FIFO" in refusal(path).why


def test_the_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x08")
    with open_model(path) as file:
        descriptor = file.descriptor
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
