"""What does a model say about one tensor whose data is in another file?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from feasibility.errors import ModelError
from feasibility.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_OFFSET: Final = 2**63 - 1
_EXPORT_AGAIN: Final = "the file was damaged or written wrongly; export the model again"


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


def external_data(
    entries: Sequence[tuple[str, str]], size_bytes: int, noun: str, what: str
) -> ExternalData:
    """The entries of a tensor's `external_data`, checked.

    `size_bytes` is what the tensor's type and dims need; `noun` names it in messages.
    """
    values: dict[str, str] = {}
    for key, value in entries:
        if key in values and key == "location":
            raise ModelError(what, f"{noun} names two external data files", _EXPORT_AGAIN)
        values[key] = value
    location = values.get("location", "")
    if not location:
        raise ModelError(what, f"{noun} is external and names no file", _EXPORT_AGAIN)
    offset = _number(values.get("offset"), "offset", noun, what)
    length = _number(values.get("length"), "length", noun, what)
    # For the runtime a length of 0 means that none was given.
    if length not in (0, size_bytes):
        raise ModelError(
            what,
            f"{noun} needs {size_bytes:,} bytes, but its external data has {length:,}",
            _EXPORT_AGAIN,
        )
    return ExternalData(location, offset, size_bytes)


def _number(text: str | None, key: str, noun: str, what: str) -> int:
    if text is None:
        return 0
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= value <= _MAX_OFFSET:
        raise ModelError(
            what,
            f"the external data {key} of {noun} is not a valid number: '{safe_text(text, 40)}'",
            _EXPORT_AGAIN,
        )
    return value
