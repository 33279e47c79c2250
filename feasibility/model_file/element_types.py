"""Which element types do ONNX tensors have, and how large is an element?

The codes of `TensorProto.DataType` never change. This table saves an import of onnx.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ElementType:
    """One element type.

    Args:
        name: Name in numpy or ml_dtypes, for example float32 or bfloat16.
        bit_count: Size of one element; elements below 8 bits are packed. None for strings.
        data_field: The typed field of a TensorProto for such elements, if not in raw_data.
    """

    name: str
    bit_count: int | None
    data_field: str

    def size_bytes(self, element_count: int) -> int | None:
        """Bytes of a number of elements in memory and in raw_data; None for strings."""
        return None if self.bit_count is None else (element_count * self.bit_count + 7) // 8

    def data_field_count(self, element_count: int) -> int:
        """Entries in the typed field for a number of elements.

        A complex number takes two entries. Elements of 2 and 4 bits share an entry as they
        share a byte; elements of 6 bits do not.
        """
        if self.name.startswith("complex"):
            return 2 * element_count
        if self.bit_count in (2, 4):
            return (element_count * self.bit_count + 7) // 8
        return element_count


# Source: the comments on TensorProto in onnx.proto.
ELEMENT_TYPES: Final[dict[int, ElementType]] = {
    1: ElementType("float32", 32, "float_data"),
    2: ElementType("uint8", 8, "int32_data"),
    3: ElementType("int8", 8, "int32_data"),
    4: ElementType("uint16", 16, "int32_data"),
    5: ElementType("int16", 16, "int32_data"),
    6: ElementType("int32", 32, "int32_data"),
    7: ElementType("int64", 64, "int64_data"),
    8: ElementType("string", None, "string_data"),
    9: ElementType("bool", 8, "int32_data"),
    10: ElementType("float16", 16, "int32_data"),
    11: ElementType("float64", 64, "double_data"),
    12: ElementType("uint32", 32, "uint64_data"),
    13: ElementType("uint64", 64, "uint64_data"),
    14: ElementType("complex64", 64, "float_data"),
    15: ElementType("complex128", 128, "double_data"),
    16: ElementType("bfloat16", 16, "int32_data"),
    17: ElementType("float8_e4m3fn", 8, "int32_data"),
    18: ElementType("float8_e4m3fnuz", 8, "int32_data"),
    19: ElementType("float8_e5m2", 8, "int32_data"),
    20: ElementType("float8_e5m2fnuz", 8, "int32_data"),
    21: ElementType("uint4", 4, "int32_data"),
    22: ElementType("int4", 4, "int32_data"),
    23: ElementType("float4_e2m1fn", 4, "int32_data"),
    24: ElementType("float8_e8m0fnu", 8, "int32_data"),
    25: ElementType("uint2", 2, "int32_data"),
    26: ElementType("int2", 2, "int32_data"),
    27: ElementType("float6_e2m3fn", 6, "int32_data"),
    28: ElementType("float6_e3m2fn", 6, "int32_data"),
}


def dtype_name(code: int) -> str:
    """Name of an element type; `undefined` or `type 99` if the code is unknown."""
    known = ELEMENT_TYPES.get(code)
    if known is not None:
        return known.name
    return "undefined" if code == 0 else f"type {code}"
