"""Which bytes of which files make a model with its weights beside it?"""

from __future__ import annotations

from dataclasses import dataclass, field

from feasibility.model_file.open_model import FileIdentity


@dataclass(frozen=True, slots=True)
class MovedBytes:
    """A part of a file that goes into the data file.

    Args:
        file: Index in `WeightsPlan.files`; None for the model itself.
        start: First position in that file.
        end: Position after the last byte.
        offset: Position in the data file.
    """

    file: int | None
    start: int
    end: int
    offset: int


@dataclass(frozen=True, slots=True)
class DataFile:
    """An external data file of the source, as it was when it was checked."""

    path: bytes
    identity: FileIdentity


@dataclass(slots=True)
class WeightsPlan:
    """The model file and the data file, as parts of the source.

    Args:
        parts: The model file in order: new bytes, or (start, end) positions in the source.
        moved: The weights in the data file.
        files: External data files of the source.
    """

    parts: list[bytes | tuple[int, int]] = field(default_factory=list)
    moved: list[MovedBytes] = field(default_factory=list)
    files: list[DataFile] = field(default_factory=list)
