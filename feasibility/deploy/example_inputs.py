"""Which code makes an input of the right type and shape, in each language?

All elements have one value, which is inside the range of the measurement.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from string import Template
from typing import Final, TypeAlias

from feasibility.records.workload import InputSpec

_LARGEST_HALF: Final = 65504.0
# Code of one input by element type. $bits are those of a half-precision value.
Elements: TypeAlias = Mapping[str, str]

PYTHON: Final[Elements] = {
    **{
        dtype: f'np.full([$shape], $value, dtype="{dtype}")'
        for dtype in (
            "float16", "float32", "float64", "int8", "int16", "int32", "int64",
            "uint8", "uint16", "uint32", "uint64", "bool",
        )
    },
    "string": 'np.full([$shape], "", dtype=object)',
}  # fmt: skip
CPP: Final[Elements] = {
    **{
        dtype: f"filled<{name}>({{$shape}}, $value)"
        for dtype, name in {
            "float32": "float", "float64": "double",
            "int8": "int8_t", "int16": "int16_t", "int32": "int32_t", "int64": "int64_t",
            "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t", "uint64": "uint64_t",
            "bool": "bool",
        }.items()
    },
    "float16": "filled({$shape}, Ort::Float16_t::FromBits($bits))",
    "string": "empty_strings({$shape})",
}  # fmt: skip
# Java has no unsigned types beside bytes.
KOTLIN: Final[Elements] = {
    dtype: f"OnnxTensor.createTensor(env, {elements}, longArrayOf($shape){type_argument})"
    for dtype, elements, type_argument in (
        ("float16", "ShortBuffer.wrap(ShortArray($count) { $bits })", ", OnnxJavaType.FLOAT16"),
        ("float32", "FloatBuffer.wrap(FloatArray($count) { ${value}f })", ""),
        ("float64", "DoubleBuffer.wrap(DoubleArray($count) { $value })", ""),
        ("int8", "ByteBuffer.wrap(ByteArray($count) { $value })", ", OnnxJavaType.INT8"),
        ("int16", "ShortBuffer.wrap(ShortArray($count) { $value })", ""),
        ("int32", "IntBuffer.wrap(IntArray($count) { $value })", ""),
        ("int64", "LongBuffer.wrap(LongArray($count) { $value })", ""),
        ("uint8", "ByteBuffer.wrap(ByteArray($count) { $value.toByte() })", ", OnnxJavaType.UINT8"),
        ("bool", "ByteBuffer.wrap(ByteArray($count) { $value })", ", OnnxJavaType.BOOL"),
        ("string", 'Array($count) { "" }', ""),
    )
}
# The element types of ORTTensorElementDataType.
SWIFT: Final[Elements] = {
    "float32": "filled(Float($value), .float, [$shape])",
    "int8": "filled(Int8($value), .int8, [$shape])",
    "int32": "filled(Int32($value), .int32, [$shape])",
    "int64": "filled(Int64($value), .int64, [$shape])",
    "uint8": "filled(UInt8($value), .uInt8, [$shape])",
    "uint32": "filled(UInt32($value), .uInt32, [$shape])",
    "uint64": "filled(UInt64($value), .uInt64, [$shape])",
    "string": "emptyStrings([$shape])",
}
JAVASCRIPT: Final[Elements] = {
    dtype: f'new ort.Tensor("{dtype}", new {array}($count).fill({element}), [$shape])'
    for dtype, array, element in (
        ("float16", "Uint16Array", "$bits"),
        ("float32", "Float32Array", "$value"),
        ("float64", "Float64Array", "$value"),
        ("int8", "Int8Array", "$value"),
        ("int16", "Int16Array", "$value"),
        ("int32", "Int32Array", "$value"),
        ("int64", "BigInt64Array", "${value}n"),
        ("uint8", "Uint8Array", "$value"),
        ("uint16", "Uint16Array", "$value"),
        ("uint32", "Uint32Array", "$value"),
        ("uint64", "BigUint64Array", "${value}n"),
        ("bool", "Uint8Array", "$value"),
        ("string", "Array", '""'),
    )
}


def example_code(spec: InputSpec, elements: Elements) -> str | None:
    """An expression that makes the input; None if the language has no such type."""
    code = elements.get(spec.dtype)
    if code is None or spec.kind != "tensor":
        return None
    value = _value(spec)
    return Template(code).substitute(
        value=value,
        bits=_half_bits(value),
        count=math.prod(spec.shape),
        shape=", ".join(map(str, spec.shape)),
    )


def _value(spec: InputSpec) -> float | int:
    """The middle of a range of floats, else the lowest value; zero in place of a file."""
    fill = spec.fill
    low = fill.low if fill.kind in ("uniform", "integers", "constant") else 0.0
    if not spec.dtype.startswith("float"):
        return int(low)
    return float((low + fill.high) / 2 if fill.kind == "uniform" else low)


def _half_bits(value: float) -> int:
    """Bits of the value in half precision, as a signed integer."""
    nearest = max(-_LARGEST_HALF, min(value, _LARGEST_HALF))
    bits: int = struct.unpack("<h", struct.pack("<e", nearest))[0]
    return bits
