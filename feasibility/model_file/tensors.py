"""Which tensors does a model hold, and does their data match their type and dims?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from onnx import SparseTensorProto, TensorProto

from feasibility.errors import ModelError
from feasibility.model_file.cut_weights import MARK, Payload
from feasibility.model_file.element_types import ELEMENT_TYPES, ElementType
from feasibility.text import safe_text

# A Constant node's tensor is a `constant`; the runtime turns it into an initializer.
Role: TypeAlias = Literal["initializer", "constant", "attribute"]

_MAX_ELEMENT_COUNT: Final = 2**63 - 1
_MAX_OFFSET: Final = 2**63 - 1
_EXTERNAL: Final = 1
_RAW_DATA_FIELD: Final = 9
_STRING_DATA_FIELD: Final = 6
_DATA_FIELDS: Final = {
    4: "float_data",
    5: "int32_data",
    6: "string_data",
    7: "int64_data",
    9: "raw_data",
    10: "double_data",
    11: "uint64_data",
}


@dataclass(frozen=True, slots=True)
class ExternalData:
    """Position of one tensor's data in another file; the location is relative to the model."""

    location: str
    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Position after the last byte."""
        return self.offset + self.size_bytes


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of the model: an initializer, or the value of a node's attribute.

    Args:
        name: Its name, or that of the attribute.
        element_count: Stored elements; of a sparse tensor those that are not zero.
        size_bytes: Bytes in memory, where sparse tensors are dense. For strings, the bytes of
            their characters.
        scope: Path of the subgraph or function; empty in the main graph.
        encoding: Protobuf fields that hold its data.
        extents: Its (start, end) positions in the model file; empty if the data was kept.
        kept: Its encoded data, if it was small enough to keep.
    """

    name: str
    dtype: str
    dims: tuple[int, ...]
    element_count: int
    size_bytes: int
    role: Role = "initializer"
    scope: str = ""
    is_sparse: bool = False
    encoding: frozenset[int] = frozenset()
    extents: tuple[tuple[int, int], ...] = ()
    kept: bytes = b""
    external: ExternalData | None = None


class TensorReader:
    """Turns the tensors of a skeleton's model into `TensorInfo`."""

    def __init__(self, payloads: Sequence[Payload], what: str) -> None:
        self._payloads = payloads
        self._what = what

    def dense(self, tensor: TensorProto, role: Role, scope: str, name: str) -> TensorInfo:
        """Facts of a dense tensor.

        `name` is used if the tensor has none.
        """
        shown = safe_text(tensor.name or name)
        noun = f"{role} '{shown}'" if role != "attribute" else f"the tensor '{shown}'"
        element_type = self._element_type(tensor, noun)
        dims = tuple(tensor.dims)
        element_count = self._element_count(dims, noun)
        common = (tensor.name or name, element_type.name, dims, element_count)
        if tensor.data_location == _EXTERNAL:
            size_bytes = element_type.size_bytes(element_count)
            if size_bytes is None:
                raise self._error(f"{noun} keeps strings in external data")
            external = self._external(tensor, size_bytes, noun)
            return TensorInfo(*common, size_bytes, role, scope, external=external)
        payload, kept = self._payload(tensor)
        size_bytes = self._checked_size(payload, element_type, dims, element_count, noun)
        return TensorInfo(
            *common,
            size_bytes,
            role,
            scope,
            encoding=payload.fields,
            extents=payload.extents,
            kept=kept,
        )

    def sparse(self, tensor: SparseTensorProto, role: Role, scope: str, name: str) -> TensorInfo:
        """Facts of a sparse tensor: its stored elements, and the bytes of its dense form."""
        values = self.dense(tensor.values, role, scope, name)
        self.dense(tensor.indices, role, scope, name)
        dims = tuple(tensor.dims)
        noun = f"sparse {role} '{safe_text(values.name)}'"
        dense_count = self._element_count(dims, noun)
        element_type = self._element_type(tensor.values, noun)
        return TensorInfo(
            values.name,
            values.dtype,
            dims,
            values.element_count,
            element_type.size_bytes(dense_count) or values.size_bytes,
            role,
            scope,
            is_sparse=True,
        )

    def _external(self, tensor: TensorProto, size_bytes: int, noun: str) -> ExternalData:
        """Where the data of a tensor of this size lies, as its entries say."""
        values: dict[str, str] = {}
        for entry in tensor.external_data:
            if entry.key in values and entry.key == "location":
                raise self._error(f"{noun} names two external data files")
            values[entry.key] = entry.value
        location = values.get("location", "")
        if not location:
            raise self._error(f"{noun} is external and names no file")
        offset = self._number(values.get("offset", "0"), "offset", noun)
        length = self._number(values.get("length", "0"), "length", noun)
        # For the runtime a length of 0 means that none was given.
        if length not in (0, size_bytes):
            raise self._error(
                f"{noun} needs {size_bytes:,} bytes, but its external data has {length:,}"
            )
        return ExternalData(location, offset, size_bytes)

    def _number(self, text: str, key: str, noun: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if not 0 <= value <= _MAX_OFFSET:
            raise self._error(
                f"the external data {key} of {noun} is not a valid number: '{safe_text(text, 40)}'"
            )
        return value

    def _element_type(self, tensor: TensorProto, noun: str) -> ElementType:
        element_type = ELEMENT_TYPES.get(tensor.data_type)
        if element_type is None:
            raise self._error(
                f"{noun} has the element type {tensor.data_type}, which ONNX does not define"
            )
        return element_type

    def _element_count(self, dims: tuple[int, ...], noun: str) -> int:
        shown = safe_text(str(list(dims[:16])), 80)
        if any(dim < 0 for dim in dims):
            raise self._error(f"{noun} has a negative size: {shown}")
        count = 0 if 0 in dims else 1
        for dim in dims:
            count *= dim
            if count > _MAX_ELEMENT_COUNT:
                raise self._error(f"{noun} has more elements than 64 bits can count: {shown}")
        return count

    def _payload(self, tensor: TensorProto) -> tuple[Payload, bytes]:
        """The tensor's data, and its bytes if they were kept."""
        index = payload_mark(tensor)
        if index is not None:
            return self._payloads[index], b""
        if tensor.HasField("raw_data"):
            raw = tensor.raw_data
            fields = frozenset({_RAW_DATA_FIELD})
            return Payload(fields=fields, size_bytes=len(raw), entry_count=len(raw)), raw
        for number, field in _DATA_FIELDS.items():
            if number != _RAW_DATA_FIELD and (entries := getattr(tensor, field)):
                size_bytes = sum(map(len, entries)) if number == _STRING_DATA_FIELD else 0
                fields, count = frozenset({number}), len(entries)
                kept = repr(list(entries)).encode()
                return Payload(fields=fields, size_bytes=size_bytes, entry_count=count), kept
        return Payload(), b""

    def _checked_size(
        self,
        payload: Payload,
        element_type: ElementType,
        dims: tuple[int, ...],
        element_count: int,
        noun: str,
    ) -> int:
        """Bytes in memory, after checking that the data matches the dims."""
        size_bytes = element_type.size_bytes(element_count)
        if payload.fields == {_RAW_DATA_FIELD} and size_bytes is not None:
            expected, unit = size_bytes, "bytes"
        else:
            expected, unit = element_type.data_field_count(element_count), "values"
        fields = {_DATA_FIELDS[number] for number in payload.fields}
        fitting = {element_type.data_field} | ({"raw_data"} if size_bytes is not None else set())
        if expected != payload.entry_count or len(fields) > 1 or not fields <= fitting:
            shown = safe_text(str(list(dims)), 80)
            held = " and ".join(sorted(fields)) or "no data field"
            raise self._error(
                f"{noun} is {element_type.name} {shown}, which needs {expected:,} {unit}, "
                f"but holds {payload.entry_count:,} in {held}"
            )
        return payload.size_bytes if size_bytes is None else size_bytes

    def _error(self, why: str) -> ModelError:
        hint = "the file was damaged or written wrongly; export the model again"
        return ModelError(self._what, why, hint)


def payload_mark(tensor: TensorProto) -> int | None:
    """Number of the payload that was cut out of a skeleton's tensor; None if it has its data."""
    for entry in tensor.metadata_props:
        if entry.key == MARK:
            return int(entry.value)
    return None
