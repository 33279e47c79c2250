"""Where does a result go? The report or JSON document to stdout, the document to a file."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from feasibility.errors import DocumentError
from feasibility.text import safe_text
from feasibility.write_atomically import unfinished_path

if TYPE_CHECKING:
    import msgspec
    from rich.console import Console

    from feasibility.render.reports.sections import Report


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that will hold the whole document or will not exist.

    Args:
        path: Path of the document, links followed.
        unfinished: Temporary file in the same folder, written first.
        replace: True if an existing document may be replaced.
    """

    path: Path
    unfinished: Path
    replace: bool

    def write(self, data: bytes) -> None:
        """Write the document to the temporary file and rename it."""
        try:
            with self.unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if self.replace:
                self.unfinished.replace(self.path)
            else:
                _put_in_place(self.unfinished, self.path)
        except OSError as error:
            raise _cannot_write(self.path, error) from error


@contextlib.contextmanager
def open_output(path: Path | None, *, force: bool) -> Iterator[OutputFile | None]:
    """The output file, opened before any work is done, so that a bad path fails at once.

    The temporary file is removed if the document is not written.
    """
    if path is None:
        yield None
        return
    target = path.resolve()
    _refuse_what_is_there(path, target, force=force)
    unfinished = unfinished_path(target)
    try:
        # 0o666 leaves the permissions to the user's umask, as for any file they make.
        os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield OutputFile(target, unfinished, replace=force)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _refuse_what_is_there(path: Path, target: Path, *, force: bool) -> None:
    what = f"Cannot write {safe_text(str(path))}"
    if str(path) == "-":
        raise DocumentError(
            what, "--output needs the name of a file", "--json prints the document on stdout"
        )
    if target.exists() and not target.is_file():
        raise DocumentError(
            what, "it exists and is not a regular file", "--json prints the document on stdout"
        )
    if target.exists() and not force:
        raise DocumentError(
            what, "the file exists", "choose another name, or replace it with --force"
        )


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Move the file; fail if the path exists."""
    try:
        os.link(unfinished, path)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise
        unfinished.replace(path)  # a file system without hard links


def _cannot_write(path: Path, error: OSError) -> DocumentError:
    return DocumentError(
        f"Cannot write {safe_text(str(path))}",
        (error.strerror or str(error)).lower(),
        "check the folder, its permissions and the free space",
    )


def print_result(
    record: msgspec.Struct,
    report: Callable[[], Report],
    *,
    as_json: bool = False,
    output: OutputFile | None = None,
) -> None:
    """Write the document into its file, then print the document or the report on stdout."""
    if output is not None or as_json:
        from feasibility.json_documents import encode

        document = encode(record)
        if output is not None:
            output.write(document)
        if as_json:
            write_bytes(document)
            return
    from feasibility.render.terminal.layout import print_report

    print_report(stdout_console(), report())


def stdout_console() -> Console:
    """The console that reports are printed on."""
    from feasibility.render.terminal.text_lines import make_console

    return make_console(sys.stdout)


def write_bytes(data: bytes, stream: IO[str] | None = None) -> None:
    """Write UTF-8 bytes to a stream, stdout by default, without its own encoding."""
    stream = stream or sys.stdout
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(data.decode())
    else:
        buffer.write(data)
    stream.flush()
