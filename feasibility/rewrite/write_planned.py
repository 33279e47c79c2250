"""Which parts of which files make a model with its weights beside it, and how are they copied?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from feasibility.errors import ModelError
from feasibility.model_file.open_model import FileIdentity, ModelFile, open_regular
from feasibility.rewrite.change_process import write_errors
from feasibility.rewrite.data_path import data_path
from feasibility.text import safe_text
from feasibility.write_atomically import whole_file

# One call copies this much, so that Ctrl-C ends it soon.
_CHUNK_BYTES: Final = 32 * 1024 * 1024


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


def write_planned(file: ModelFile, plan: WeightsPlan, target: Path) -> None:
    """Writes the model and its data file, completely or not at all.

    Raises:
        ModelError: A file of the source became shorter, or is another one now.
        ChangeError: The target cannot be written.
    """
    what = f"Cannot write '{safe_text(str(target))}'"
    with write_errors(what), contextlib.ExitStack() as stack:
        others = [stack.enter_context(_reopened(each)) for each in plan.files]
        # The model is put in place last, when its data is there.
        model = stack.enter_context(whole_file(target))
        if plan.moved:
            data = stack.enter_context(whole_file(data_path(target)))
        for moved in plan.moved:
            os.lseek(data.fileno(), moved.offset, os.SEEK_SET)
            origin = file.descriptor if moved.file is None else others[moved.file]
            _copy(origin, moved.start, moved.end, data.fileno(), what)
        _write_model(file.descriptor, plan.parts, model.fileno(), what)


def _write_model(
    source: int, parts: Sequence[bytes | tuple[int, int]], target: int, what: str
) -> None:
    for part in parts:
        if isinstance(part, bytes):
            view = memoryview(part)
            while view:
                view = view[os.write(target, view) :]
        else:
            _copy(source, *part, target, what)


def _copy(source: int, start: int, end: int, target: int, what: str) -> None:
    """Copies a part of a file to the current position of another one, inside the kernel."""
    while start < end:
        copied = os.sendfile(target, source, start, min(end - start, _CHUNK_BYTES))
        if not copied:
            raise ModelError(
                what,
                f"the model or its data became shorter: byte {start:,} is missing",
                "wait until the files are complete, then try again",
            )
        start += copied


@contextlib.contextmanager
def _reopened(data: DataFile) -> Iterator[int]:
    """A descriptor of an external data file that is still the one that was checked."""
    path = Path(os.fsdecode(data.path))
    what = f"Cannot read external data '{safe_text(str(path))}'"
    descriptor = open_regular(path, what)
    try:
        if FileIdentity.of(os.fstat(descriptor)) != data.identity:
            raise ModelError(
                what,
                "it was changed or replaced meanwhile",
                "run the command again when nothing writes the file",
            )
        yield descriptor
    finally:
        os.close(descriptor)
