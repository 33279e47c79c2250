"""Which operators outside the standard have the same shapes as a standard one?

Source: the schemas of ONNX Runtime 1.31 (docs/ContribOperators.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Alias:
    """A standard operator with the same shapes.

    Args:
        inputs: Positions of the inputs that the standard operator gets.
        elem_type_of: Input whose element type the output has.
    """

    op_type: str
    inputs: tuple[int, ...]
    channels_last: bool = False
    elem_type_of: int = 0


ALIASES: Final[dict[tuple[str, str], Alias]] = {
    ("com.microsoft", "FusedConv"): Alias("Conv", (0, 1, 2)),
    ("com.microsoft", "FusedGemm"): Alias("Gemm", (0, 1, 2)),
    ("com.microsoft", "QGemm"): Alias("Gemm", (0, 3)),
    ("com.microsoft", "NhwcConv"): Alias("Conv", (0, 1, 2), channels_last=True),
    ("com.microsoft", "NhwcFusedConv"): Alias("Conv", (0, 1, 2), channels_last=True),
    ("com.microsoft", "NhwcMaxPool"): Alias("MaxPool", (0,), channels_last=True),
    ("com.microsoft", "QLinearConv"): Alias("Conv", (0, 3)),
    ("com.microsoft", "QLinearAveragePool"): Alias("AveragePool", (0,)),
    ("com.microsoft", "QLinearGlobalAveragePool"): Alias("GlobalAveragePool", (0,)),
    ("com.microsoft", "QLinearReduceMean"): Alias("ReduceMean", (0,)),
    ("com.microsoft", "QLinearAdd"): Alias("Add", (0, 3)),
    ("com.microsoft", "QLinearMul"): Alias("Mul", (0, 3)),
    ("com.microsoft", "QLinearWhere"): Alias("Where", (0, 1, 4), elem_type_of=1),
    ("com.microsoft", "MulInteger"): Alias("Mul", (0, 2)),
    ("com.microsoft", "ComplexMul"): Alias("Mul", (0, 1)),
    ("com.microsoft", "ComplexMulConj"): Alias("Mul", (0, 1)),
    ("com.microsoft", "Pad"): Alias("Pad", (0, 1, 2)),
    ("com.microsoft", "GatherND"): Alias("GatherND", (0, 1)),
    ("com.microsoft", "Range"): Alias("Range", (0, 1, 2)),
    ("com.microsoft", "GridSample"): Alias("GridSample", (0, 1)),
    ("com.microsoft", "Trilu"): Alias("Trilu", (0, 1)),
    ("com.microsoft", "DynamicQuantizeMatMul"): Alias("MatMul", (0, 1)),
    ("com.microsoft", "MatMulIntegerToFloat"): Alias("MatMul", (0, 1), elem_type_of=2),
    ("com.microsoft", "MatMulInteger16"): Alias("MatMul", (0, 1)),
    ("com.microsoft", "GatherBlockQuantized"): Alias("Gather", (0, 1), elem_type_of=2),
    ("com.microsoft.nchwc", "Conv"): Alias("Conv", (0, 1, 2)),
    ("com.microsoft.nchwc", "MaxPool"): Alias("MaxPool", (0,)),
    ("com.microsoft.nchwc", "AveragePool"): Alias("AveragePool", (0,)),
    ("com.microsoft.nchwc", "GlobalMaxPool"): Alias("GlobalMaxPool", (0,)),
    ("com.microsoft.nchwc", "GlobalAveragePool"): Alias("GlobalAveragePool", (0,)),
    ("com.ms.internal.nhwc", "Conv"): Alias("Conv", (0, 1, 2), channels_last=True),
    ("com.ms.internal.nhwc", "MaxPool"): Alias("MaxPool", (0,), channels_last=True),
    ("com.ms.internal.nhwc", "AveragePool"): Alias("AveragePool", (0,), channels_last=True),
    ("com.ms.internal.nhwc", "QLinearConv"): Alias("Conv", (0, 3), channels_last=True),
}
