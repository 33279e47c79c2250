"""Protobuf messages of other kinds, told from an ONNX model by the fields at their top."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from feasibility.model_file.other_formats import TF2ONNX, ForeignFormat
from feasibility.model_file.protobuf_wire import LENGTH, VARINT

if TYPE_CHECKING:
    from feasibility.model_file.protobuf_wire import WireFile

_LOOKED_AT: Final = 64
_GRAPH: Final = (7, LENGTH)
_OPSET_IMPORT: Final = (8, LENGTH)
# An ONNX model has none above 26; Core ML puts the kind of network there.
_FIRST_CORE_ML_FIELD: Final = 200
# What stands there in an ONNX model is the name of a program.
_LONGEST_PRODUCER_BYTES: Final = 1000


def foreign_message(wire: WireFile) -> ForeignFormat | None:
    """What the file is if its first fields show that it is no ONNX model; None if it may be one.

    Raises:
        ModelError: The first fields are no protobuf at all, or are cut short.
    """
    sizes = {
        (field.number, field.wire_type): field.size_bytes
        for field in islice(wire.fields(0, wire.size_bytes), _LOOKED_AT)
    }
    if (1, LENGTH) in sizes:
        return ForeignFormat(
            "it is a protobuf message, but no ONNX model; frozen TensorFlow graphs, Caffe and "
            "PaddlePaddle models begin like this",
            "convert it to ONNX; for a TensorFlow graph there is "
            "`python -m tf2onnx.convert --graphdef FILE --output model.onnx`",
        )
    if (2, VARINT) in sizes:
        return ForeignFormat(
            "it looks like a single ONNX tensor, as test data comes with models",
            "give the model itself",
        )
    if _GRAPH in sizes or _OPSET_IMPORT in sizes:
        return None
    if any(number >= _FIRST_CORE_ML_FIELD for number, _ in sizes):
        return ForeignFormat(
            "it looks like a Core ML model", "give the ONNX model, or export the original to ONNX"
        )
    if sizes.get((2, LENGTH), 0) > _LONGEST_PRODUCER_BYTES:
        return ForeignFormat(
            "it looks like the file of a TensorFlow SavedModel",
            TF2ONNX.format(option="--saved-model FOLDER"),
        )
    return None
