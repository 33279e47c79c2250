"""Can a model be changed? Only ONNX models can; models in other formats are refused here."""

from __future__ import annotations

from typing import Final

from feasibility.errors import ChangeError
from feasibility.records.facts import ModelFormat

# What the model is, and what to do.
_REFUSED: Final[dict[ModelFormat, tuple[str, str]]] = {
    "ort": ("it is in ONNX Runtime format", "use the ONNX model that it was made from"),
    "tflite": (
        "it is a TensorFlow Lite model, and only ONNX models can be changed",
        "convert it with `python -m tf2onnx.convert --tflite FILE.tflite --output model.onnx`",
    ),
}


def require_onnx(found: ModelFormat, what: str, *, or_else: ModelFormat = "onnx") -> None:
    """Refuses a model that is neither ONNX nor in the format `or_else`.

    `what` is the first part of the error message.
    """
    if found not in ("onnx", or_else):
        raise ChangeError(what, *_REFUSED[found])
