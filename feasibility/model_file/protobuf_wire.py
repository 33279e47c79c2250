"""How are protobuf fields found in a file without reading the weights between them?

The file is read in small parts with pread. It is not mapped, because a mapped file that another
process truncates ends the reader with SIGBUS. Both ways take the same time.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from feasibility.errors import ModelError
from feasibility.system_differences import read_at

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5

_WINDOW_BYTES: Final = 64 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_MAX_VARINT_BYTES: Final = 10
_MAX_TAG: Final = 2**32 - 1
# Far above any real graph; stops a file made of millions of two-byte fields.
_MAX_FIELD_COUNT: Final = 2_000_000
_FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}
_CONTINUED_BYTES: Final = bytes(range(0x80, 0x100))


class Field(NamedTuple):
    """Positions of one field in the file, or of a run of equal scalar fields.

    Args:
        value_start: Position of the value, after its length if it has one.
    """

    number: int
    wire_type: int
    start: int
    value_start: int
    end: int
    run_count: int = 1

    @property
    def size_bytes(self) -> int:
        """Bytes of the value."""
        return self.end - self.value_start


class WireFile:
    """Bounds-checked access to the protobuf fields of an open file."""

    def __init__(self, descriptor: int, size_bytes: int, what: str) -> None:
        self.size_bytes = size_bytes
        self._descriptor = descriptor
        self._what = what
        self._window = b""
        self._window_start = 0
        self._field_count = 0

    def fields(self, start: int, end: int, runs: frozenset[int] = frozenset()) -> Iterator[Field]:
        """The fields between two positions within the file.

        `runs` are numbers of repeated scalar fields; neighbours of them are yielded as one.
        """
        position = start
        while position < end:
            self._field_count += 1
            if self._field_count > _MAX_FIELD_COUNT:
                raise self.error(
                    f"its graph has more than {_MAX_FIELD_COUNT:,} fields",
                    "real models have far fewer; check where the file comes from",
                )
            field = self._field(position, end)
            if field.number in runs and field.wire_type != LENGTH:
                field = self._extended(field, end)
            yield field
            position = field.end

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """An unsigned varint and the position after it."""
        offset = position - self._window_start
        if not 0 <= offset <= len(self._window) - _MAX_VARINT_BYTES:
            self._load(position)
            offset = 0
        value = shift = 0
        for byte in self._window[offset : offset + min(end - position, _MAX_VARINT_BYTES)]:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + shift // 7
        if end - position < _MAX_VARINT_BYTES:
            raise self._truncated(position, end, "a number there is not complete")
        raise self.corrupt(position, "a number there is longer than ten bytes")

    def read(self, start: int, end: int) -> bytes:
        """The bytes between two positions within the file."""
        offset = start - self._window_start
        if offset >= 0 and end - self._window_start <= len(self._window):
            return self._window[offset : end - self._window_start]
        if end - start <= _WINDOW_BYTES // 2:
            self._load(start)
            return self._window[: end - start]
        return self._pread(start, end)

    def varint_count(self, start: int, end: int) -> int:
        """Number of varints between two positions."""
        count = 0
        for chunk_start in range(start, end, _CHUNK_BYTES):
            chunk = self._pread(chunk_start, min(chunk_start + _CHUNK_BYTES, end))
            count += len(chunk.translate(None, _CONTINUED_BYTES))
        return count

    def error(self, why: str, hint: str) -> ModelError:
        """Error about this file."""
        return ModelError(self._what, why, hint)

    def corrupt(self, position: int, why: str) -> ModelError:
        """Error about bytes that are not valid."""
        return self.error(
            f"it is not an ONNX model or is damaged: at byte {position:,}, {why}",
            "check that it is ONNX, or download or export it again",
        )

    def _field(self, position: int, end: int) -> Field:
        tag, value_start = self.varint(position, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0 or tag > _MAX_TAG:
            raise self.corrupt(position, "there is no valid field")
        if wire_type == VARINT:
            _, stop = self.varint(value_start, end)
        elif wire_type == LENGTH:
            length, value_start = self.varint(value_start, end)
            stop = value_start + length
        elif wire_type in _FIXED_BYTES:
            stop = value_start + _FIXED_BYTES[wire_type]
        else:
            raise self.corrupt(position, f"field {number} has wire type {wire_type}")
        if stop > end:
            raise self._truncated(
                position,
                end,
                f"field {number} there needs {stop - value_start:,} bytes, "
                f"{max(end - value_start, 0):,} are left",
            )
        return Field(number, wire_type, position, value_start, stop)

    def _extended(self, field: Field, end: int) -> Field:
        """The field and the equal ones that follow it in the window."""
        if field.value_start - field.start != 1:
            return field
        self.read(field.start, field.end)
        offset = field.start - self._window_start
        pattern = _run_pattern(field.number << 3 | field.wire_type)
        match = pattern.match(
            self._window, offset, min(len(self._window), offset + end - field.start)
        )
        if match is None:
            return field
        length = match.end() - offset
        if field.wire_type == VARINT:
            # All bytes except tags and last bytes have their high bit set.
            count = len(match[0].translate(None, _CONTINUED_BYTES)) // 2
        else:
            count = length // (1 + _FIXED_BYTES[field.wire_type])
        return field._replace(end=field.start + length, run_count=count)

    def _truncated(self, position: int, end: int, why: str) -> ModelError:
        if end < self.size_bytes:
            return self.corrupt(position, f"{why} in its message")
        return self.error(
            f"it is truncated, or not an ONNX model: the file ends at byte {self.size_bytes:,}; "
            f"at byte {position:,}, {why}",
            "download or copy it again and compare its size with the original's",
        )

    def _load(self, position: int) -> None:
        stop = min(position + _WINDOW_BYTES, self.size_bytes)
        self._window = self._pread(position, stop)
        self._window_start = position

    def _pread(self, start: int, end: int) -> bytes:
        parts: list[bytes] = []
        position = start
        while position < end:
            # One call returns at most about 2 GiB.
            part = read_at(self._descriptor, end - position, position)
            if not part:
                raise self.error(
                    f"it became shorter while it was read: byte {position:,} is missing",
                    "wait until the file is complete, then try again",
                )
            parts.append(part)
            position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@cache
def _run_pattern(tag: int) -> re.Pattern[bytes]:
    """Matches neighbouring fields with the same one-byte tag."""
    wire_type = tag & 7
    value = (
        rb"[\x80-\xff]{0,9}[\x00-\x7f]"
        if wire_type == VARINT
        else rb".{%d}" % _FIXED_BYTES[wire_type]
    )
    # Possessive, so that hostile bytes cannot cause backtracking.
    return re.compile(rb"(?:%s%s)++" % (re.escape(bytes([tag])), value), re.DOTALL)
