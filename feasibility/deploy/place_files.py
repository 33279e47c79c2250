"""How are the files of a folder replaced, all of them or none?

They are written into a hidden folder on the same file system and moved at the end. In a folder
that exists, only files that an earlier run wrote are replaced; its session_options.json names
them. The new session_options.json is moved last, so that the folder always names what is in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from feasibility.errors import DocumentError
from feasibility.json_documents import read_document
from feasibility.records.session_options import SessionOptions
from feasibility.text import safe_text
from feasibility.write_atomically import unfinished_path

OPTIONS_NAME: Final = "session_options.json"
_ANOTHER: Final = "choose another folder with -o"


def without_detours(folder: Path) -> Path:
    """The path without `..`, which the system cannot follow out of a folder that is missing."""
    return folder.resolve() if ".." in folder.parts else folder


def require_free_folder(folder: Path, names: Sequence[str], *, force: bool) -> tuple[str, ...]:
    """The files of an earlier run that files of these names replace.

    Raises:
        DocumentError: The path is a file, or a folder that may not be replaced, or a file of
            one of these names is there that no earlier run wrote.
    """
    old = _replaceable(folder, force=force)
    for name in names:
        _require_own_place(folder, name, is_old=name in old)
    return old


@contextlib.contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """An empty folder on the file system of `folder`, removed when the block ends.

    Raises:
        DocumentError: It cannot be written, or an `OSError` ended the block.
    """
    # A folder that exists can be a file system of its own.
    place = folder.resolve()
    staged = unfinished_path(place / "deploy" if folder.is_dir() else place)
    missing = [parent for parent in staged.parents if not parent.exists()]
    try:
        staged.mkdir(parents=True)
        yield staged
    except OSError as error:
        raise _cannot_write(folder, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        for parent in missing:
            with contextlib.suppress(OSError):  # it is not empty
                parent.rmdir()


def move_into_place(staged: Path, folder: Path, names: Sequence[str], *, force: bool) -> None:
    """Moves the files from the staged folder; after an error, the folder is as it was.

    Raises:
        DocumentError: A file of the same name is there that no earlier run wrote.
        OSError: A file cannot be moved.
    """
    if not os.path.lexists(folder):
        staged.rename(folder)
        return
    old = require_free_folder(folder, names, force=force)
    order = [*(name for name in old if name not in names), *names]
    order.sort(key=lambda name: name == OPTIONS_NAME)
    moved: list[tuple[Path, Path]] = []
    try:
        for name in order:
            if os.path.lexists(folder / name):
                _move(folder / name, staged / ".old" / name, moved)
            if name in names:
                _move(staged / name, folder / name, moved)
    except BaseException:
        for source, target in reversed(moved):
            target.rename(source)
        raise


def _move(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    moved.append((source, target))


def _replaceable(folder: Path, *, force: bool) -> tuple[str, ...]:
    """Names of the files that an earlier run wrote into the folder."""
    what = f"Cannot write the folder {safe_text(str(folder))!r}"
    if not os.path.lexists(folder):
        return ()
    if not folder.is_dir():
        raise DocumentError(what, "it exists and is not a folder", _ANOTHER)
    if not force:
        raise DocumentError(what, "it exists", f"{_ANOTHER}, or replace its files with --force")
    if not os.path.lexists(folder / OPTIONS_NAME):
        return ()
    try:
        old = read_document(folder / OPTIONS_NAME, SessionOptions)
    except DocumentError as error:
        raise DocumentError(
            what,
            f"its {OPTIONS_NAME} lists the files to replace, but cannot be read: {error.why}",
            _ANOTHER,
        ) from error
    return tuple(name for name in dict.fromkeys(old.files) if _is_replaceable(folder, name))


def _is_replaceable(folder: Path, name: str) -> bool:
    """Whether a name of an untrusted document is a file inside the folder."""
    path = folder / name
    with contextlib.suppress(OSError):  # for example, the name is too long
        return (path.is_symlink() or path.is_file()) and _is_inside(path, folder)
    return False


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a file is in the folder or below. It may be a link; the way to it may not leave."""
    return path.parent.resolve().is_relative_to(folder.resolve())


def _require_own_place(folder: Path, name: str, *, is_old: bool) -> None:
    what = f"Cannot write the folder {safe_text(str(folder))!r}"
    path = folder / name
    if os.path.lexists(path) and not is_old:
        raise DocumentError(
            what,
            f"its file {safe_text(name)!r} was not written by feasibility",
            f"move that file elsewhere, or {_ANOTHER}",
        )
    if not _is_inside(path, folder):
        raise DocumentError(
            what, f"a link in it leads outside the folder: {safe_text(name)!r}", _ANOTHER
        )


def _cannot_write(folder: Path, error: OSError) -> DocumentError:
    what = f"Cannot write the folder {safe_text(str(folder))!r}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DocumentError(
            what,
            "the disk is full; nothing was written",
            f"free some space, or {_ANOTHER}",
        )
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return DocumentError(what, "a part of the path is a file, not a folder", _ANOTHER)
    why = (error.strerror or str(error)).lower()
    return DocumentError(what, why, f"check the path and its permissions, or {_ANOTHER}")
