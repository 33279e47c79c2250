"""How are libraries run that change a model? In a process that can be ended."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Final, TypeVar

from feasibility.errors import ChangeError, FeasibilityError
from feasibility.facts.reader_process import in_reader_process
from feasibility.rewrite.data_path import data_path
from feasibility.text import safe_text
from feasibility.write_atomically import unfinished_path

RecordT = TypeVar("RecordT")

_TIMEOUT_S: Final = 600.0
_MAX_CAUSE_CHARACTERS: Final = 300


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
    with write_errors(what):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = unfinished_path(target)
        folder.mkdir()
        try:
            written = folder / target.name
            run_libraries(
                partial(_change_inside, folder, change, written),
                NoneType,
                what,
                doing="changing",
                hint="try another change",
            )
            if data_path(written).exists():
                data_path(written).replace(data_path(target))
            written.replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def write_errors(what: str) -> Iterator[None]:
    """Makes an error with a remedy of a system error while files are written."""
    try:
        yield
    except OSError as error:
        raise ChangeError(
            what,
            f"the system reports: {error.strerror or type(error).__name__}",
            "free space on the disk, or choose another folder",
        ) from error


def _change_inside(folder: Path, change: Callable[[Path], None], path: Path) -> None:
    tempfile.tempdir = str(folder)
    change(path)


def run_libraries(
    run: Callable[[], RecordT], kind: type[RecordT], what: str, *, doing: str, hint: str
) -> RecordT:
    """What a function returns that uses the libraries, run in a process of its own.

    Args:
        run: The function; anything that it changes in memory is lost.
        kind: Type of its result.
        what: First part of the messages of errors.
        doing: What the process does with the model, in messages of its end.
        hint: What to do after an error.

    Raises:
        ModelError: A model cannot be read, or the libraries crash on it.
        ChangeError: A library raised an exception.
    """

    def with_causes() -> RecordT:
        try:
            return run()
        except (FeasibilityError, OSError, MemoryError):
            raise
        except Exception as error:
            cause = safe_text(f"{type(error).__name__}: {error}".strip(), _MAX_CAUSE_CHARACTERS)
            raise ChangeError(what, f"the tools of ONNX Runtime report: {cause}", hint) from error

    # The libraries hold a model several times: as a message, as arrays and in the runtime.
    return in_reader_process(
        with_causes,
        kind,
        what,
        timeout_s=_TIMEOUT_S,
        memory_bytes=sys.maxsize,
        doing=doing,
        hint=hint,
    )
