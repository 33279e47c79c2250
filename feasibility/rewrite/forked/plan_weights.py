"""Where do the weights of a model go, and what stands in the model in their place?

The model is not written from a parsed copy, which would hold all weights, but as a list of parts
of the source. So everything that is not a weight is kept byte by byte.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from feasibility.model_file.cut_weights import (
    ENTERED,
    PAYLOAD,
    RUNS,
    Message,
    encode_field,
    encode_varint,
)
from feasibility.model_file.external_data import LEAST_EXTERNAL_BYTES, resolve_external
from feasibility.model_file.protobuf_wire import LENGTH, WireFile
from feasibility.model_file.skeleton import Skeleton
from feasibility.model_file.tensors import TensorInfo, TensorReader
from feasibility.rewrite.write_planned import DataFile, MovedBytes, WeightsPlan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from feasibility.model_file.open_model import ModelFile
    from feasibility.model_file.protobuf_wire import Field

# As ONNX Runtime's own writer: large weights begin at a page, the others at a cache line.
_PAGE_BYTES: Final = 4096
_LINE_BYTES: Final = 64
_LEAST_PAGED_BYTES: Final = 1024 * 1024
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_EXTERNAL: Final = 1
# Fields whose packed numbers have the bytes of the weights themselves.
_SAME_BYTES: Final = (
    (9, None),
    (4, frozenset({"float32", "complex64"})),
    (10, frozenset({"float64", "complex128"})),
)


def plan_weights(file: ModelFile, skeleton: Skeleton, location: str) -> WeightsPlan:
    """The model with its weights in one data file, with that relative path.

    Raises:
        ModelError: The file or its external data cannot be read.
    """
    writer = _Planner(file, skeleton, location)
    model = writer.message(Message.MODEL, 0, file.size_bytes)
    writer.plan.parts.extend(model.parts)
    return writer.plan


@dataclass(slots=True)
class _Parts:
    """A message as parts of the source and new bytes."""

    size_bytes: int = 0
    parts: list[bytes | tuple[int, int]] = field(default_factory=list)

    def copy(self, start: int, end: int) -> None:
        self.size_bytes += end - start
        last = self.parts[-1] if self.parts else b""
        if isinstance(last, tuple) and last[1] == start:
            self.parts[-1] = (last[0], end)
        else:
            self.parts.append((start, end))

    def write(self, content: bytes) -> None:
        self.size_bytes += len(content)
        self.parts.append(content)

    def add(self, number: int, message: _Parts) -> None:
        self.write(encode_varint(number << 3 | LENGTH) + encode_varint(message.size_bytes))
        self.size_bytes += message.size_bytes
        self.parts.extend(message.parts)


class _Planner:
    """Plans one model."""

    def __init__(self, file: ModelFile, skeleton: Skeleton, location: str) -> None:
        self.plan = WeightsPlan()
        self._location = location
        self._wire = WireFile(file.descriptor, file.size_bytes, skeleton.what)
        self._reader = TensorReader((), skeleton.what)
        self._end = 0
        self._inline = {
            tensor.extents[0]: self._moved(None, *tensor.extents[0])
            for tensor in skeleton.tensors
            if is_movable(tensor)
        }
        resolved = resolve_external(file.path, skeleton.tensors, skeleton.what)
        self.plan.files.extend(
            DataFile(os.fsencode(each.path), each.identity) for each in resolved.values()
        )
        self._files = {location: index for index, location in enumerate(resolved)}
        self._external: dict[tuple[int, int, int], MovedBytes] = {}
        self._whole_bytes = 0 if resolved else LEAST_EXTERNAL_BYTES

    def message(self, kind: Message, start: int, end: int) -> _Parts:
        """The message between two positions. Its nesting was checked with the skeleton."""
        parts = _Parts()
        for each in self._wire.fields(start, end, RUNS.get(kind, frozenset())):
            child = ENTERED[kind].get(each.number)
            if child is None or each.end - each.start <= self._whole_bytes:
                parts.copy(each.start, each.end)
            elif child is Message.TENSOR:
                parts.add(each.number, self._tensor(each.value_start, each.end))
            else:
                parts.add(each.number, self.message(child, each.value_start, each.end))
        return parts

    def _tensor(self, start: int, end: int) -> _Parts:
        fields = list(self._wire.fields(start, end, RUNS[Message.TENSOR]))
        parts = _Parts()
        moved = self._moved_of(fields)
        if moved is None:
            parts.copy(start, end)
            return parts
        for each in fields:
            if each.number not in {_EXTERNAL_DATA, _DATA_LOCATION, *PAYLOAD[Message.TENSOR]}:
                parts.copy(each.start, each.end)
        entries = (
            ("location", self._location),
            ("offset", str(moved.offset)),
            ("length", str(moved.end - moved.start)),
        )
        for key, value in entries:
            entry = encode_field(1, key.encode()) + encode_field(2, value.encode())
            parts.write(encode_field(_EXTERNAL_DATA, entry))
        parts.write(encode_varint(_DATA_LOCATION << 3) + encode_varint(_EXTERNAL))
        return parts

    def _moved_of(self, fields: Iterable[Field]) -> MovedBytes | None:
        """Where a tensor's data goes; None if it stays."""
        for each in fields:
            moved = self._inline.get((each.value_start, each.end))
            if moved is not None and each.wire_type == LENGTH:
                return moved
        if not self._files:
            return None
        from onnx import TensorProto

        header = b"".join(
            self._wire.read(each.start, each.end)
            for each in fields
            if each.number not in PAYLOAD[Message.TENSOR]
        )
        tensor = TensorProto.FromString(header)
        if tensor.data_location != _EXTERNAL:
            return None
        data = self._reader.dense(tensor, "initializer", "", "").external
        assert data is not None
        key = (self._files[data.location], data.offset, data.end)
        if key not in self._external:
            self._external[key] = self._moved(*key)
        return self._external[key]

    def _moved(self, file: int | None, start: int, end: int) -> MovedBytes:
        unit = _PAGE_BYTES if end - start >= _LEAST_PAGED_BYTES else _LINE_BYTES
        offset = -(-self._end // unit) * unit
        self._end = offset + end - start
        moved = MovedBytes(file, start, end, offset)
        self.plan.moved.append(moved)
        return moved


def is_movable(tensor: TensorInfo) -> bool:
    """Whether the bytes in the file are those of the weights, and many enough."""
    return (
        tensor.role in {"initializer", "constant"}
        and not tensor.is_sparse
        and tensor.size_bytes >= LEAST_EXTERNAL_BYTES
        and len(tensor.extents) == 1
        and tensor.extents[0][1] - tensor.extents[0][0] == tensor.size_bytes
        and any(
            tensor.encoding == {number} and (dtypes is None or tensor.dtype in dtypes)
            for number, dtypes in _SAME_BYTES
        )
    )
