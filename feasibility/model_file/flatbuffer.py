"""How is a flatbuffer (.ort and .tflite files) read from an untrusted file?

With checks of all bounds. Source: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from feasibility.errors import ModelError
from feasibility.model_file.open_model import ModelFile
from feasibility.system_differences import read_at
from feasibility.text import safe_text

# Far above real counts; a damaged length must not cause billions of steps.
_MAX_ENTRY_COUNT: Final = 1_000_000
_MAX_STRING_BYTES: Final = 1_000_000


class FlatbufferError(Exception):
    """An offset or length that is outside the file, or a value that cannot be."""


@contextmanager
def flatbuffer_of(file: ModelFile, mark: str) -> Iterator[Flatbuffer]:
    """The flatbuffer in an open model file; what is wrong with it becomes a `ModelError`.

    `mark` is the format that the first bytes show, for the error.
    """
    try:
        yield Flatbuffer(file.descriptor, file.size_bytes)
    except FlatbufferError as error:
        raise ModelError(
            f"Cannot read model '{safe_text(str(file.path))}'",
            f"it has the file identifier of {mark}, but {error}",
            "it is damaged or cut short; download or convert it again",
        ) from error


@dataclass(frozen=True, slots=True)
class Flatbuffer:
    """A flatbuffer in an open file."""

    descriptor: int
    size_bytes: int

    def root(self) -> Table:
        """The root table."""
        return Table(self, self.number("<I", 0))

    def number(self, form: str, position: int) -> int:
        """The integer of a `struct` format at a position."""
        value: int = struct.unpack(form, self.read(position, struct.calcsize(form)))[0]
        return value

    def extent(self, position: int, length: int) -> tuple[int, int]:
        """Start and end of that many bytes, which must lie in the file."""
        if not 0 <= position <= self.size_bytes - length:
            raise FlatbufferError(f"{length:,} bytes at byte {position:,} are outside the file")
        return position, position + length

    def read(self, position: int, length: int) -> bytes:
        """Exactly that many bytes."""
        self.extent(position, length)
        data = read_at(self.descriptor, length, position)
        if len(data) != length:
            raise FlatbufferError(f"byte {position + len(data):,} is gone")
        return data


@dataclass(slots=True, eq=False)
class Table:
    """One table; its fields are named by their index in the schema."""

    buffer: Flatbuffer
    position: int
    _offsets: tuple[int, ...] | None = None

    def integer(self, index: int, form: str = "<q") -> int:
        """A scalar field; 0 if it is absent."""
        place = self._place(index)
        return 0 if place is None else self.buffer.number(form, place)

    def integers(self, index: int) -> tuple[int, ...]:
        """A field that holds a vector of 32-bit integers."""
        start, count = self._vector(index, 4)
        return struct.unpack(f"<{count}i", self.buffer.read(start, 4 * count)) if count else ()

    def extent(self, index: int) -> tuple[int, int]:
        """Where the bytes of a vector of bytes lie: start and end in the file."""
        place = self._place(index)
        if place is None:
            return (0, 0)
        start = self._followed(place)
        return self.buffer.extent(start + 4, self.buffer.number("<I", start))

    def table(self, index: int) -> Table | None:
        """A field that holds a table."""
        place = self._place(index)
        return None if place is None else Table(self.buffer, self._followed(place))

    def required_table(self, index: int, name: str) -> Table:
        """A table that must be there."""
        table = self.table(index)
        if table is None:
            raise FlatbufferError(f"it holds no {name}")
        return table

    def text(self, index: int) -> str:
        """A field that holds a string; empty if it is absent."""
        place = self._place(index)
        return "" if place is None else self._text(self._followed(place))

    def tables(self, index: int) -> tuple[Table, ...]:
        """A field that holds a vector of tables."""
        return tuple(Table(self.buffer, self._followed(place)) for place in self._entries(index))

    def texts(self, index: int) -> tuple[str, ...]:
        """A field that holds a vector of strings."""
        return tuple(self._text(self._followed(place)) for place in self._entries(index))

    def _entries(self, index: int) -> range:
        start, count = self._vector(index, 4)
        return range(start, start + 4 * count, 4)

    def _vector(self, index: int, entry_bytes: int) -> tuple[int, int]:
        """Start and number of the entries of a vector."""
        place = self._place(index)
        if place is None:
            return 0, 0
        start = self._followed(place)
        count = self.buffer.number("<I", start)
        if count > min(_MAX_ENTRY_COUNT, self.buffer.size_bytes // entry_bytes):
            raise FlatbufferError(f"a list at byte {start:,} claims {count:,} entries")
        return start + 4, count

    def _followed(self, place: int) -> int:
        return place + self.buffer.number("<I", place)

    def _text(self, position: int) -> str:
        length = self.buffer.number("<I", position)
        if length > _MAX_STRING_BYTES:
            raise FlatbufferError(f"a text at byte {position:,} claims {length:,} bytes")
        return self.buffer.read(position + 4, length).decode("utf-8", "replace")

    def _place(self, index: int) -> int | None:
        if self._offsets is None:
            self._offsets = self._layout()
        offset = self._offsets[index] if index < len(self._offsets) else 0
        return self.position + offset if offset else None

    def _layout(self) -> tuple[int, ...]:
        """Where the fields lie in the table; 0 for those that are absent."""
        layout = self.position - self.buffer.number("<i", self.position)
        count = max(self.buffer.number("<H", layout) - 4, 0) // 2
        return struct.unpack(f"<{count}H", self.buffer.read(layout + 4, 2 * count))
