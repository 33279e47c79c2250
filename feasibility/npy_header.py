"""What does the header of a .npy file say? Its data is not read.

The files are untrusted: each fault of one is an error that names it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from feasibility.errors import FeasibilityError, InputError
from feasibility.text import safe_text

ARCHIVE_HINT: Final = "write it with numpy.savez(path, name=array)"
_MAX_CAUSE_CHARACTERS: Final = 160
# Element types that numpy does not have, and the integers that carry their bits.
_CARRIERS: Final = {"bfloat16": "uint16"}


class NpyHeader(NamedTuple):
    """What stands before the data.

    Attributes:
        dtype: Element type in numpy's words; "string" for strings of a fixed width.
        is_by_columns: True if the first index changes fastest.
        kind: The type as numpy has it.
    """

    dtype: str
    shape: tuple[int, ...]
    is_by_columns: bool
    kind: Any


def read_header(stream: IO[bytes], what: str, array: str) -> NpyHeader:
    """The header; the stream is at the data then.

    Args:
        stream: The file, at its start.
        what: First part of the messages of errors.
        array: The array in these messages, for example "it".

    Raises:
        InputError: The array holds Python objects, or has another byte order.
        Exception: The header is not valid; see `explained`.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"its format version {version[0]}.{version[1]} is not known")
    shape, is_by_columns, kind = readers[version](stream)
    if any(size < 0 for size in shape):
        raise ValueError("one of its sizes is negative")
    if kind.hasobject or not kind.isnative:
        why = "holds Python objects" if kind.hasobject else "has another byte order"
        raise InputError(what, f"{array} {why}", "save numbers or fixed-width strings")
    dtype = "string" if kind.kind in "US" else str(kind)
    return NpyHeader(dtype, shape, is_by_columns, kind)


def dtype_on_disk(dtype: str) -> str:
    """The element type of an array for an input of this type."""
    return _CARRIERS.get(dtype, "uint8" if "float8" in dtype else dtype)


def require_regular_file(path: Path, what: str, suffix: str) -> None:
    """Fails for what is not a file; opening a pipe would wait for its other end.

    Raises:
        InputError: The path is not a regular file.
    """
    if not path.is_file():
        why = "it is not a regular file" if path.exists() else "there is no such file"
        raise InputError(what, why, f"give the path of a {suffix} file")


@contextlib.contextmanager
def explained(what: str, hint: str) -> Iterator[None]:
    """Makes an error with the cause of any fault of a file.

    Raises:
        InputError: The block raised an exception.
    """
    try:
        yield
    except (FeasibilityError, MemoryError):
        raise
    except Exception as error:
        # numpy, its tokenizer, the zip reader and its decompressors each have their own kinds.
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        cause = text.splitlines()[0] if text else type(error).__name__
        raise InputError(what, safe_text(cause, _MAX_CAUSE_CHARACTERS), hint) from error
