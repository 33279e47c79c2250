"""Where does a result go? The report or JSON document to stdout, the document and HTML to files."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from feasibility.errors import DocumentError, UsageError
from feasibility.text import safe_text
from feasibility.write_atomically import unfinished_path

if TYPE_CHECKING:
    import msgspec
    from rich.console import Console

    from feasibility.render.reports.sections import Report


_STDOUT_HINT: Final = "--json prints the document on stdout"


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


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files of one command.

    Args:
        document: File of the JSON document; None without --output.
        page: File of the HTML page; None without --html.
    """

    document: OutputFile | None = None
    page: OutputFile | None = None


@contextlib.contextmanager
def open_outputs(document: Path | None, page: Path | None, *, force: bool) -> Iterator[Outputs]:
    """The files of --output and --html, opened before any work is done."""
    if document is not None and page is not None and document.resolve() == page.resolve():
        raise UsageError(
            f"Cannot write {safe_text(str(page))}",
            "--output and --html name the same file",
            "give two names",
        )
    with (
        open_output(document, force=force) as document_file,
        open_output(page, force=force, is_page=True) as page_file,
    ):
        yield Outputs(document_file, page_file)


@contextlib.contextmanager
def open_output(
    path: Path | None, *, force: bool, is_page: bool = False
) -> Iterator[OutputFile | None]:
    """The output file, opened before any work is done, so that a bad path fails at once.

    The temporary file is removed if the document is not written.
    """
    if path is None:
        yield None
        return
    target = path.resolve()
    _refuse_what_is_there(path, target, force=force, is_page=is_page)
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


def _refuse_what_is_there(path: Path, target: Path, *, force: bool, is_page: bool) -> None:
    what = f"Cannot write {safe_text(str(path))}"
    option = "--html" if is_page else "--output"
    hint = "write for example --html report.html" if is_page else _STDOUT_HINT
    if str(path) == "-":
        raise DocumentError(what, f"{option} needs the name of a file", hint)
    if target.exists() and not target.is_file():
        raise DocumentError(what, "it exists and is not a regular file", hint)
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
    output: Outputs | None = None,
) -> None:
    """Write the files, then print the document or the report on stdout."""
    files, document = output or Outputs(), b""
    if files.document is not None or as_json:
        from feasibility.json_documents import encode

        document = encode(record)
    if files.document is not None:
        files.document.write(document)
    if files.page is not None:
        from feasibility.render.html.page import render_page

        files.page.write(render_page([record]))
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
