"""Other forms of an exported file: half precision, 8 bits, weights beside the model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx


def write_external(source: Path, target: Path) -> None:
    """Weights in one file of their own, in a folder of their own."""
    target.parent.mkdir(exist_ok=True)
    (target.parent / f"{target.name}.data").unlink(missing_ok=True)
    onnx.save_model(
        loaded(source),
        target,
        save_as_external_data=True,
        location=f"{target.name}.data",
        size_threshold=1024,
    )


def write_float16(source: Path, target: Path) -> None:
    """Weights and arithmetic in float16, inputs and outputs too."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save_model(convert_float_to_float16(loaded(source), keep_io_types=False), target)


def write_dynamic_int8(source: Path, target: Path) -> None:
    """Weights in 8 bits, activations quantised while running."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8)


def write_static_int8(source: Path, target: Path) -> None:
    """Weights and activations in 8 bits, in the form of QuantizeLinear pairs."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class TwoImages(CalibrationDataReader):
        def __init__(self) -> None:
            generator = np.random.default_rng(0)
            shape = (1, 3, 224, 224)
            self._images: Iterator[dict[str, np.ndarray]] = iter(
                [{"image": generator.random(shape, dtype=np.float32)} for _ in range(2)]
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._images, None)

    quantize_static(source, target, TwoImages())


def loaded(path: Path) -> onnx.ModelProto:
    return onnx.load(path)  # noqa: TID251 (what the tool may not do is right for a converter)


VARIANTS = (  # exported file, writer, written file
    ("bert_base.torchscript.onnx", write_external, "bert_base_external/model.onnx"),
    ("mobilenet_v2.torchscript.onnx", write_external, "mobilenet_v2_external/model.onnx"),
    ("resnet18.torchscript.onnx", write_float16, "resnet18.float16.onnx"),
    ("minilm_real.torchscript.onnx", write_float16, "minilm_real.float16.onnx"),
    ("minilm_real.torchscript.onnx", write_dynamic_int8, "minilm_real.int8.onnx"),
    ("lstm_tagger.torchscript.onnx", write_dynamic_int8, "lstm_tagger.int8.onnx"),
    ("mobilenet_v2.torchscript.onnx", write_dynamic_int8, "mobilenet_v2.int8.onnx"),
    ("mobilenet_v2.torchscript.onnx", write_static_int8, "mobilenet_v2.qdq.onnx"),
)
