"""How is a model file opened safely? Regular files only, and other formats are refused.

Opening a FIFO or a device can hang or have side effects. The open file is checked again, in case
the path was replaced in between.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from feasibility.errors import ModelError
from feasibility.model_file.not_a_model import format_of_bytes
from feasibility.records.facts import ModelFormat
from feasibility.system_differences import READ_FLAGS, read_at
from feasibility.text import safe_text

HEAD_BYTES: Final = 4096
_SIGNATURES: Final[dict[bytes, ModelFormat]] = {b"ORTM": "ort", b"TFL3": "tflite"}


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Shows whether a path still leads to the same unchanged file."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        """Identity from the result of a stat call."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file open for reading, until `open_model` is left."""

    path: Path
    descriptor: int
    identity: FileIdentity
    format: ModelFormat

    @property
    def size_bytes(self) -> int:
        """Size of the file when it was opened."""
        return self.identity.size_bytes


def format_of_file(path: Path) -> ModelFormat:
    """Format of a file by its signature; `onnx` for every file without one."""
    try:
        descriptor = os.open(path, READ_FLAGS)
    except (OSError, ValueError):
        return "onnx"
    try:
        return _SIGNATURES.get(read_at(descriptor, 8, 0)[4:], "onnx")
    except OSError:
        return "onnx"
    finally:
        os.close(descriptor)


@contextmanager
def open_model(path: Path) -> Iterator[ModelFile]:
    """The model file, open for reading.

    Protobuf has no signature, so `format` is `onnx` for every file whose format is not known;
    reading it decides.
    """
    what = f"Cannot read model '{safe_text(str(path))}'"
    descriptor = open_regular(path, what)
    try:
        identity = FileIdentity.of(os.fstat(descriptor))
        head = read_at(descriptor, HEAD_BYTES, 0)
        other = format_of_bytes(head, identity.size_bytes, path.name)
        if other is not None:
            raise ModelError(what, other.why, other.hint)
        yield ModelFile(path, descriptor, identity, _SIGNATURES.get(head[4:8], "onnx"))
    except OSError as error:
        raise ModelError(what, _reason(error), "check the disk or network that holds it") from error
    finally:
        os.close(descriptor)


def open_regular(path: Path, what: str) -> int:
    """Descriptor of a regular file, opened for reading without waiting.

    Args:
        path: The file; symbolic links are followed.
        what: First part of error messages, for example "Cannot read model 'a.onnx'".

    Raises:
        ModelError: There is no such file, it may not be read, or it is not a regular file.
    """
    try:
        _require_regular(path.stat(), path, what)
        # If it was replaced: do not wait for a FIFO's writer, do not become a terminal's owner.
        descriptor = os.open(path, READ_FLAGS)
    except (OSError, ValueError) as error:
        raise ModelError(what, *_open_cause(error, path)) from error
    try:
        _require_regular(os.fstat(descriptor), path, what)
    except ModelError:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(status: os.stat_result, path: Path, what: str) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise ModelError(what, "it is a directory", _directory_hint(path))
    kinds = (
        (stat.S_ISFIFO, "a FIFO (named pipe)"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    )
    kind = next((name for test, name in kinds if test(mode)), "not a regular file")
    raise ModelError(what, f"it is {kind}, not a file", "give the path of a file on disk")


def _directory_hint(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in islice(path.iterdir(), 1000))
    except OSError:
        return "give the path of a model file"
    if "saved_model.pb" in names:
        return (
            "it is a TensorFlow SavedModel; convert it with "
            "`python -m tf2onnx.convert --saved-model DIR --output model.onnx`"
        )
    inside = next((name for name in names if name.endswith((".onnx", ".ort", ".tflite"))), None)
    if inside is not None:
        return f"give the path of a model file, for example '{safe_text(str(path / inside))}'"
    return "give the path of a model file"


def _open_cause(error: OSError | ValueError, path: Path) -> tuple[str, str]:
    """Why a file cannot be opened, and what to do."""
    if isinstance(error, ValueError):
        return "its path holds a NUL character", "give a path without it"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if path.is_symlink():
            return (
                f"it is a symbolic link to '{safe_text(str(path.readlink()))}', which does not "
                "exist",
                "restore the file that the link leads to, or download the model again",
            )
        return "there is no such file", "check the path"
    if isinstance(error, PermissionError):
        return "this user may not read it", "allow reading, for example with `chmod u+r FILE`"
    if error.errno == errno.ELOOP:
        return "its symbolic links lead in a circle", "repair the links"
    if error.errno == errno.ENAMETOOLONG:
        return "its path is longer than the system allows", "check the path"
    return _reason(error), "check the path and the disk that holds it"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
