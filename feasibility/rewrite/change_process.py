"""How are libraries run that change a model? In a process that can be ended, beside the target."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Final

from feasibility.errors import ChangeError, FeasibilityError
from feasibility.facts.reader_process import in_reader_process
from feasibility.text import safe_text
from feasibility.write_atomically import unfinished_path

TIMEOUT_S: Final = 600.0
_MAX_CAUSE_CHARACTERS: Final = 300
_HINT: Final = "try another change"


def data_path(model: Path) -> Path:
    """The file with the weights of a model that this room writes."""
    return model.with_name(f"{model.name}.data")


def write_changed(target: Path, change: Callable[[Path], None], what: str) -> None:
    """Runs a function that writes a model and its data file, and moves both into place.

    After an error, or Ctrl-C, nothing is left.

    Args:
        target: The changed model.
        change: Writes the model to the path that it gets, in a process of its own. Temporary
            files of libraries go into the same folder.
        what: First part of the messages of errors.

    Raises:
        ModelError: The model cannot be read, or the libraries crash on it.
        ChangeError: The change does not apply, or the target cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = unfinished_path(target)
        folder.mkdir()
        try:
            _run(lambda: _changed(change, folder / target.name, what), what)
            written = folder / target.name
            if data_path(written).exists():
                # Copied by the kernel, the page cache holds small pieces of it. What libraries
                # write is cached in large ones, of which a mapping shows more than it reads.
                shutil.copyfile(data_path(written), folder / "copy")
                (folder / "copy").replace(data_path(target))
            written.replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise ChangeError(
            what,
            f"the system reports: {error.strerror or type(error).__name__}",
            "free space on the disk, or choose another folder",
        ) from error


def _run(change: Callable[[], None], what: str) -> None:
    in_reader_process(
        change,
        NoneType,
        what,
        timeout_s=TIMEOUT_S,
        # The libraries hold a model several times: as a message, as arrays and in the runtime.
        memory_bytes=sys.maxsize,
        doing="changing",
        hint="try another change, or a machine with more memory",
    )


def _changed(change: Callable[[Path], None], path: Path, what: str) -> None:
    tempfile.tempdir = str(path.parent)
    with library_errors(what, _HINT):
        change(path)


@contextlib.contextmanager
def library_errors(what: str, hint: str) -> Iterator[None]:
    """Makes an error about the model of any exception of a library."""
    try:
        yield
    except (FeasibilityError, OSError, MemoryError):
        raise
    except Exception as error:
        cause = safe_text(f"{type(error).__name__}: {error}", _MAX_CAUSE_CHARACTERS)
        raise ChangeError(what, f"the tools of ONNX Runtime report: {cause}", hint) from error
