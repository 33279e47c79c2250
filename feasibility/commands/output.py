"""Where results go: a report or one JSON document on stdout, a document in a file."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from feasibility.errors import DocumentError
from feasibility.text import safe_text

if TYPE_CHECKING:
    import msgspec
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that will hold a document, whole or not at all.

    Args:
        path: Where the document goes, links followed.
        unfinished: The file beside it that is written first.
        replace: True if an existing document may be replaced.
    """

    path: Path
    unfinished: Path
    replace: bool

    def write(self, data: bytes) -> None:
        """Write the document and put it in place at once.

        Raises:
            DocumentError: There is no room, or a file has appeared there meanwhile.
        """
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
    """A file made ready before any work is done, so that a bad path fails at once.

    Nothing is left behind unless the document was written.

    Raises:
        DocumentError: There is a file already, or none can be made there.
    """
    if path is None:
        yield None
        return
    target = path.resolve()
    _refuse_what_is_there(path, target, force=force)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}")
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
        raise DocumentError(what, "--output names a file", "--json prints the document on stdout")
    if target.exists() and not target.is_file():
        raise DocumentError(
            what, "it is there and is no ordinary file", "--json prints the document on stdout"
        )
    if target.exists() and not force:
        raise DocumentError(
            what, "it is there already", "give another name, or --force to replace it"
        )


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Move the file without replacing one that has appeared meanwhile."""
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
        "check the folder, its permissions and the room in it",
    )


def print_result(
    record: msgspec.Struct,
    render: Callable[[Console], None],
    *,
    as_json: bool,
    output: OutputFile | None,
) -> None:
    """Hand over a result: the document into its file, then it or the report on stdout.

    Raises:
        DocumentError: The file cannot be written.
    """
    if output is not None or as_json:
        from feasibility.render.json_ import render_json

        document = render_json(record)
        if output is not None:
            output.write(document)
        if as_json:
            write_bytes(document)
            return
    render(stdout_console())


def stdout_console() -> Console:
    """The console that reports are printed on."""
    from feasibility.render.terminal.text_lines import make_console

    return make_console(sys.stdout)


def write_bytes(data: bytes, stream: IO[str] | None = None) -> None:
    """Write UTF-8 bytes to stdout, whatever its encoding is."""
    stream = stream or sys.stdout
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(data.decode())
    else:
        buffer.write(data)
    stream.flush()
