"""What is a file that is not an ONNX model: a Git LFS pointer, a PyTorch file, a web page?

The first bytes answer for most formats. Other protobuf messages are recognised by the fields
at their top.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice
from typing import Final, NamedTuple

from feasibility.model_file.protobuf_wire import LENGTH, VARINT, WireFile
from feasibility.text import safe_text

_TORCH: Final = "export it to ONNX with `torch.onnx.export(model, inputs, 'model.onnx')`"
_KERAS: Final = "load it with Keras and export it with `model.export('model.onnx', format='onnx')`"
_WEIGHTS: Final = "it holds weights without a graph; export the model to ONNX"
_UNPACK: Final = "unpack it and give the .onnx file inside"


class OtherFormat(NamedTuple):
    """What a file is instead of an ONNX model, as part of an error message, and what to do."""

    why: str
    hint: str


# (offset, signature, what it is, what to do)
_SIGNATURES: Final = (
    (
        0,
        b"version https://git-lfs.github.com/spec/v",
        "it is a Git LFS pointer, a text file that stands for the model",
        "fetch the model itself: run `git lfs pull` in its repository, or download the file again",
    ),
    (4, b"ET12", "it is an ExecuTorch program, not ONNX", _TORCH),
    (0, b"\x89HDF\r\n\x1a\n", "it is an HDF5 file, the older Keras format", _KERAS),
    (0, b"GGUF", "it is a GGUF model (llama.cpp), not ONNX", "export the original model to ONNX"),
    (0, b"\x93NUMPY", "it is a numpy array", "give the model; arrays go to `--input NAME=FILE`"),
    (0, b"\x1f\x8b", "it is compressed with gzip", "decompress it first, with `gunzip FILE`"),
    (0, b"BZh", "it is compressed with bzip2", "decompress it first, with `bunzip2 FILE`"),
    (0, b"\xfd7zXZ\x00", "it is compressed with xz", "decompress it first, with `unxz FILE`"),
    (0, b"\x28\xb5\x2f\xfd", "it is compressed with zstd", "decompress it with `unzstd FILE`"),
    (0, b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "it is a RAR archive", _UNPACK),
    (257, b"ustar", "it is a tar archive", _UNPACK),
    (0, b"ptrt", "it is a TensorRT engine, built for one kind of GPU", "give the ONNX model"),
    (0, b"ftrt", "it is a TensorRT engine, built for one kind of GPU", "give the ONNX model"),
    (0, b"RKNN", "it is an RKNN model, compiled for Rockchip NPUs", "give the ONNX model"),
    (0, b"7767517\n", "it is an ncnn model", "give the ONNX model it was made from"),
    (0, b"\x7fELF", "it is a program or library", "give the path of a model file"),
    (0, b"%PDF-", "it is a PDF document", "give the path of a model file"),
    (0, b"\x89PNG\r\n", "it is a PNG picture", "give the path of a model file"),
    (0, b"\xff\xd8\xff", "it is a JPEG picture", "give the path of a model file"),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_PICKLE: Final = re.compile(rb"\x80[\x02-\x05]")
_LEGACY_TORCH_MAGIC: Final = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
_RAW_ADDRESS: Final = (
    "download it again, signed in if need be, and from the file's raw address "
    "(on GitHub /raw/ for /blob/, on Hugging Face /resolve/)"
)
_DOWNLOAD_AGAIN: Final = "the download failed; look at the file and download it again"
# Of the fields at the top of a protobuf message, this many are looked at.
_TOP_FIELDS: Final = 64
_GRAPH: Final = (7, LENGTH)
_OPSET_IMPORT: Final = (8, LENGTH)
# The highest field number of an ONNX model is 26; Core ML puts the kind of network here.
_FIRST_CORE_ML_FIELD: Final = 200
# In an ONNX model this field is the name of a program.
_LONGEST_PRODUCER_BYTES: Final = 1000


def format_of_bytes(head: bytes, size_bytes: int, name: str) -> OtherFormat | None:
    """The other format that a file's first bytes show; None if it may be an ONNX model.

    `head` is at least 512 bytes if the file is that long. Only the hint depends on `name`.
    """
    if not head:
        return OtherFormat("it is empty", "download or export it again")
    for offset, signature, why, hint in _SIGNATURES:
        if head.startswith(signature, offset):
            return OtherFormat(why, hint)
    if head.startswith(_ZIP):
        return _zip_format(head)
    if _PICKLE.match(head):
        return _pickle_format(head)
    if _is_safetensors(head, size_bytes):
        return OtherFormat("it is a safetensors file", _WEIGHTS)
    return _text_format(head, name)


def _zip_format(head: bytes) -> OtherFormat:
    # The first entry's name follows its 30-byte header; PyTorch and numpy give themselves away.
    first_name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if b"data.pkl" in head or b"/version" in first_name or first_name.startswith(b"archive/"):
        return OtherFormat("it is a PyTorch file (a zip archive with a pickle)", _TORCH)
    if first_name.endswith(b".npy"):
        return OtherFormat(
            "it is a numpy .npz archive", "give the model; arrays go to `--inputs FILE`"
        )
    if first_name in (b"metadata.json", b"config.json") and b"keras" in head:
        return OtherFormat("it is a Keras model (a zip archive)", _KERAS)
    readable = first_name.isascii() and first_name.decode("ascii").isprintable()
    shown = safe_text(first_name.decode("ascii"), 60) if readable else ""
    content = f", whose first entry is '{shown}'" if shown else ""
    return OtherFormat(f"it is a zip archive{content}", _UNPACK)


def _pickle_format(head: bytes) -> OtherFormat | None:
    if _LEGACY_TORCH_MAGIC in head[:32] or b"torch" in head:
        return OtherFormat("it is a pickled PyTorch object", _TORCH)
    if b"sklearn" in head:
        return OtherFormat(
            "it is a pickled scikit-learn model", "convert it with `skl2onnx.to_onnx`"
        )
    return OtherFormat(
        "it looks like a Python pickle", "load it with the library that wrote it, export to ONNX"
    )


def _is_safetensors(head: bytes, size_bytes: int) -> bool:
    header_bytes = int.from_bytes(head[:8], "little")
    return head[8:10] == b'{"' and 2 <= header_bytes <= size_bytes - 8


def _text_format(head: bytes, name: str) -> OtherFormat | None:
    text = _as_text(head)
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n")
    lower = start[:1000].lower()
    quote = safe_text(" ".join(start.split())[:200], 60)
    if lower.startswith(("<!doctype html", "<html", "<head", "<body")):
        return OtherFormat("it is an HTML page, as servers send in place of a file", _RAW_ADDRESS)
    if lower.startswith("<"):
        if "<net" in lower:
            return OtherFormat("it is an OpenVINO model", "give the ONNX model it was made from")
        return OtherFormat(f"it is an XML document: {quote}", _DOWNLOAD_AGAIN)
    if lower.startswith(("{", "[")):
        return OtherFormat(f"it is JSON text: {quote}", _DOWNLOAD_AGAIN)
    if name.lower().endswith((".onnx", ".ort", ".tflite")):
        return OtherFormat(f"it is plain text: {quote}", _DOWNLOAD_AGAIN)
    return OtherFormat(
        f"it is plain text: {quote}", "give the path of an .onnx, .ort or .tflite file"
    )


def _as_text(head: bytes) -> str | None:
    """The bytes as text if they hold nothing that text would not; None otherwise."""
    try:
        # A character may be cut by the end of what was read, but not by the end of the file.
        text = codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < 512)
    except UnicodeDecodeError:
        return None
    printable = all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
    return text if printable else None


def format_of_message(wire: WireFile) -> OtherFormat | None:
    """The other format that a file's first protobuf fields show; None if it may be a model."""
    sizes = {
        (field.number, field.wire_type): field.size_bytes
        for field in islice(wire.fields(0, wire.size_bytes), _TOP_FIELDS)
    }
    if (1, LENGTH) in sizes:
        return OtherFormat(
            "it is a protobuf message, but not an ONNX model; frozen TensorFlow graphs, Caffe and "
            "PaddlePaddle models begin like this",
            "convert it to ONNX; for a TensorFlow graph there is "
            "`python -m tf2onnx.convert --graphdef FILE --output model.onnx`",
        )
    if (2, VARINT) in sizes:
        return OtherFormat(
            "it looks like a single ONNX tensor, as test data comes with models",
            "give the model itself",
        )
    if _GRAPH in sizes or _OPSET_IMPORT in sizes:
        return None
    if any(number >= _FIRST_CORE_ML_FIELD for number, _ in sizes):
        return OtherFormat(
            "it looks like a Core ML model", "give the ONNX model, or export the original to ONNX"
        )
    if sizes.get((2, LENGTH), 0) > _LONGEST_PRODUCER_BYTES:
        return OtherFormat(
            "it looks like the file of a TensorFlow SavedModel",
            "convert it with `python -m tf2onnx.convert --saved-model FOLDER --output model.onnx`",
        )
    return None
