"""How are the weights cut out of a model's bytes?

Messages that can hold weights are copied field by field, other messages as a whole. A message
smaller than the smallest payload that is cut is copied without being parsed, so a graph of a
thousand nodes takes milliseconds. The copy has a mark in place of each payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from feasibility.model_file.protobuf_wire import LENGTH, Field, WireFile

# A tensor's data up to this size stays in the skeleton: shapes, axes and scalars, which shape
# inference needs.
KEPT_PAYLOAD_BYTES: Final = 1024
# A list attribute (a tree ensemble, a vocabulary) up to this size stays.
KEPT_LIST_BYTES: Final = 64 * 1024
# Longer documentation and metadata are dropped; PyTorch puts stack traces there.
_KEPT_TEXT_BYTES: Final = 4096
_MAX_SKELETON_BYTES: Final = 64 * 1024 * 1024
# The default limit of protobuf readers, also in the runtime.
_MAX_DEPTH: Final = 100

# Key of the mark; such a key in a file is removed.
MARK: Final = "feasibility.payload"
_MARK_BYTES: Final = MARK.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """Data of one tensor, or data that was cut out of one attribute.

    Args:
        is_list: True for an attribute's list or string, False for a tensor's data.
        fields: Numbers of the protobuf fields that held it.
        extents: Its (start, end) positions in the file if it was cut out. Unpacked lists include
            their tags.
        size_bytes: Bytes of the encoded values, without tags and lengths.
        entry_count: Entries of a list, or number of raw bytes.
    """

    is_list: bool = False
    fields: frozenset[int] = frozenset()
    extents: tuple[tuple[int, int], ...] = ()
    size_bytes: int = 0
    entry_count: int = 0


Message = Enum("Message", "MODEL GRAPH NODE ATTRIBUTE FUNCTION TENSOR SPARSE_TENSOR")
# Fields of a message that hold messages in which there can be weights.
ENTERED: Final[dict[Message, dict[int, Message]]] = {
    Message.MODEL: {7: Message.GRAPH, 25: Message.FUNCTION},
    Message.GRAPH: {1: Message.NODE, 5: Message.TENSOR, 15: Message.SPARSE_TENSOR},
    Message.NODE: {5: Message.ATTRIBUTE},
    Message.ATTRIBUTE: {
        **dict.fromkeys((5, 10), Message.TENSOR),
        **dict.fromkeys((6, 11), Message.GRAPH),
        **dict.fromkeys((22, 23), Message.SPARSE_TENSOR),
    },
    Message.FUNCTION: {7: Message.NODE, 11: Message.ATTRIBUTE},
    Message.TENSOR: {},
    Message.SPARSE_TENSOR: {1: Message.TENSOR, 2: Message.TENSOR},
}
# doc_string, metadata_props and the like: dropped where they are long.
_TEXT: Final[dict[Message, frozenset[int]]] = {
    Message.MODEL: frozenset({6, 14}),
    Message.GRAPH: frozenset({10, 16}),
    Message.NODE: frozenset({6, 9}),
    Message.ATTRIBUTE: frozenset({13}),
    Message.FUNCTION: frozenset({8, 14}),
    Message.TENSOR: frozenset({12, 16}),
    Message.SPARSE_TENSOR: frozenset(),
}
# training_info, which ONNX Runtime does not read for inference.
_IGNORED: Final = {Message.MODEL: frozenset({20})}
PAYLOAD: Final[dict[Message, frozenset[int]]] = {
    Message.ATTRIBUTE: frozenset({4, 7, 8, 9}),  # s, floats, ints, strings
    Message.TENSOR: frozenset({4, 5, 6, 7, 9, 10, 11}),  # the typed fields and raw_data
}
_LIMITS: Final = {Message.ATTRIBUTE: KEPT_LIST_BYTES, Message.TENSOR: KEPT_PAYLOAD_BYTES}
# Lists of numbers with the bytes of one entry, 0 for varints.
_ENTRY_BYTES: Final[dict[Message, dict[int, int]]] = {
    Message.ATTRIBUTE: {7: 4, 8: 0},
    Message.TENSOR: {4: 4, 5: 0, 7: 0, 10: 8, 11: 0},
}
# Repeated scalar fields, which may be millions of neighbours.
RUNS: Final = {
    kind: frozenset(numbers) | ({1} if kind is Message.TENSOR else frozenset())  # and dims
    for kind, numbers in _ENTRY_BYTES.items()
}
_RAW: Final = {Message.ATTRIBUTE: 4, Message.TENSOR: 9}
_NO_FIELDS: Final[frozenset[int]] = frozenset()


class Cutter:
    """Copies one model without its weights.

    Args:
        kept_whole_bytes: Messages up to this size are copied without being parsed. 0 parses
            all of them, to find the position of an error.
    """

    def __init__(self, file: WireFile, kept_whole_bytes: int = KEPT_PAYLOAD_BYTES) -> None:
        self.payloads: list[Payload] = []
        self._file = file
        self._kept_whole_bytes = kept_whole_bytes
        self._copied_bytes = 0

    def model(self) -> bytes:
        """The model as bytes of a `ModelProto`, with marks in place of the payloads."""
        return self._message(Message.MODEL, 0, self._file.size_bytes, 1)

    def _message(self, kind: Message, start: int, end: int, depth: int) -> bytes:
        if depth > _MAX_DEPTH:
            raise self._file.error(
                f"it nests more than {_MAX_DEPTH} messages at byte {start:,}",
                "runtimes refuse such depth; flatten the If and Loop bodies",
            )
        entered = ENTERED[kind]
        text = _TEXT[kind]
        ignored = _IGNORED.get(kind, _NO_FIELDS)
        payload_numbers = PAYLOAD.get(kind, _NO_FIELDS)
        parts: list[bytes] = []
        payload = _Collected(kind, self._file)
        for field in self._file.fields(start, end, RUNS.get(kind, _NO_FIELDS)):
            number = field.number
            child = entered.get(number)
            if child is not None:
                parts.append(self._child(child, field, depth))
            elif number in payload_numbers:
                payload.add(field)
            elif number in ignored or (number in text and self._is_long_or_marked(field)):
                continue
            else:
                parts.append(self._copy(field.start, field.end))
        if payload.is_cut:
            parts.append(self._marked(kind, payload.result()))
        else:
            parts.extend(self._copy(field.start, field.end) for field in payload.kept)
        return b"".join(parts)

    def _child(self, kind: Message, field: Field, depth: int) -> bytes:
        if field.wire_type != LENGTH:
            raise self._file.corrupt(
                field.start, f"field {field.number} should hold a message and holds a number"
            )
        if field.end - field.start <= self._kept_whole_bytes:
            whole = self._copy(field.start, field.end)
            if _MARK_BYTES not in whole:
                return whole
        body = self._message(kind, field.value_start, field.end, depth + 1)
        return encode_field(field.number, body)

    def _marked(self, kind: Message, payload: Payload) -> bytes:
        """The field that marks a cut payload."""
        mark = str(len(self.payloads)).encode()
        self.payloads.append(payload)
        if kind is Message.ATTRIBUTE:
            return encode_field(13, b":".join([_MARK_BYTES, mark, b"%d" % payload.entry_count]))
        return encode_field(16, encode_field(1, _MARK_BYTES) + encode_field(2, mark))

    def _is_long_or_marked(self, field: Field) -> bool:
        is_long = field.end - field.start > _KEPT_TEXT_BYTES
        return is_long or _MARK_BYTES in self._file.read(field.start, field.end)

    def _copy(self, start: int, end: int) -> bytes:
        self._copied_bytes += end - start
        if self._copied_bytes > _MAX_SKELETON_BYTES:
            limit = _MAX_SKELETON_BYTES // 1024**2
            raise self._file.error(
                f"its graph takes more than {limit} MiB without its weights",
                "this is far more than real models have; check where the file comes from",
            )
        return self._file.read(start, end)


class _Collected:
    """The payload fields of one message: kept while they are small, otherwise only counted."""

    def __init__(self, kind: Message, file: WireFile) -> None:
        self.kept: list[Field] = []
        self.is_cut = False
        self._kind = kind
        self._file = file
        self._numbers: set[int] = set()
        self._extents: list[tuple[int, int]] = []
        self._size_bytes = 0
        self._entry_count = 0

    def add(self, field: Field) -> None:
        self._numbers.add(field.number)
        self._extend(field)
        width = _ENTRY_BYTES[self._kind].get(field.number)
        if width is None:
            self._size_bytes += field.size_bytes
            self._entry_count += field.size_bytes if field.number == _RAW[self._kind] else 1
        elif field.wire_type == LENGTH:
            self._size_bytes += field.size_bytes
            self._entry_count += self._packed_count(field, width)
        else:
            self._size_bytes += field.end - field.start - field.run_count
            self._entry_count += field.run_count
        self.is_cut = self.is_cut or self._size_bytes > _LIMITS[self._kind]
        if self.is_cut:
            self.kept.clear()
        else:
            self.kept.append(field)

    def result(self) -> Payload:
        return Payload(
            is_list=self._kind is Message.ATTRIBUTE,
            fields=frozenset(self._numbers),
            extents=tuple(self._extents),
            size_bytes=self._size_bytes,
            entry_count=self._entry_count,
        )

    def _extend(self, field: Field) -> None:
        # A packed list or raw bytes without the tag; unpacked entries with their tags.
        start = field.value_start if field.wire_type == LENGTH else field.start
        if self._extents and self._extents[-1][1] == field.start:
            self._extents[-1] = (self._extents[-1][0], field.end)
        else:
            self._extents.append((start, field.end))

    def _packed_count(self, field: Field, width: int) -> int:
        if width == 0:
            return self._file.varint_count(field.value_start, field.end)
        if field.size_bytes % width:
            raise self._file.corrupt(
                field.start, f"a list of {width}-byte numbers takes {field.size_bytes:,} bytes"
            )
        return field.size_bytes // width


def encode_field(number: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return encode_varint(number << 3 | LENGTH) + encode_varint(len(body)) + body


def encode_varint(value: int) -> bytes:
    """An unsigned varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
