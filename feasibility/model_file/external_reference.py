"""What a model says about one tensor whose data is in another file."""

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
    """Where one tensor's data lies outside the model file.

    Args:
        location: Path relative to the model, as the model says.
        offset: First byte.
        size_bytes: Number of bytes.
        checksum: SHA-1 that the model states, which neither the runtime nor this tool checks.
    """

    location: str
    offset: int
    size_bytes: int
    checksum: str = ""

    @property
    def end(self) -> int:
        """Position after the last byte."""
        return self.offset + self.size_bytes


def external_data(
    entries: Sequence[tuple[str, str]], size_bytes: int, noun: str, what: str
) -> ExternalData:
    """The entries of a tensor's `external_data`, checked for form.

    Args:
        entries: Keys and values; unknown keys are ignored.
        size_bytes: Bytes that the tensor's type and dims take.
        noun: The tensor, for messages.
        what: First part of the messages of errors.

    Raises:
        ModelError: The location is missing or given twice, a number is none, or the length
            is not that of the tensor.
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
    # The runtime takes a length of 0 for one that was not given.
    if length not in (0, size_bytes):
        raise ModelError(
            what,
            f"{noun} takes {size_bytes:,} bytes, but its external data is said to have {length:,}",
            _EXPORT_AGAIN,
        )
    return ExternalData(location, offset, size_bytes, values.get("checksum", ""))


def _number(text: str | None, key: str, noun: str, what: str) -> int:
    if text is None:
        return 0
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= value <= _MAX_OFFSET:
        raise ModelError(
            what,
            f"{noun} has an external data {key} that is no valid number: '{safe_text(text, 40)}'",
            _EXPORT_AGAIN,
        )
    return value
