"""Which files does a user deploy? The model, its options, loading code, a card and the profile."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec.structs import replace

from feasibility.deploy.loading_code import LANGUAGES, loading_code
from feasibility.deploy.model_card import model_card
from feasibility.deploy.place_files import (
    OPTIONS_NAME,
    move_into_place,
    require_free_folder,
    staged_folder,
    without_detours,
)
from feasibility.deploy.unset_options import unset_in_swift
from feasibility.errors import DocumentError
from feasibility.facts.read_model import external_locations
from feasibility.json_documents import encode
from feasibility.measure.passes import WITHOUT_PREPACKING
from feasibility.records.fit import Fit, FitCandidate
from feasibility.records.profile import Profile
from feasibility.records.session_options import SessionOptions
from feasibility.text import safe_text

_CARD_NAME: Final = "MODELCARD.md"
_PROFILE_NAME: Final = "profile.json"
_OWN_NAMES: Final = (*LANGUAGES, _CARD_NAME, _PROFILE_NAME, OPTIONS_NAME)
# What a hard link cannot do, and a copy can.
_NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK)


def refuse_existing(folder: Path, model_name: str, *, force: bool) -> None:
    """Fails if the folder cannot or may not be written, before any work is done.

    Raises:
        DocumentError: The path is a file, a folder that may not be replaced, a folder with files
            of others that have the same names, or a place where nothing can be written.
    """
    folder = without_detours(folder)
    require_free_folder(folder, (*_OWN_NAMES, model_name), force=force)
    with staged_folder(folder):
        pass


def write_deployment(
    folder: Path, model: Path, result: Fit, profile: Profile, *, force: bool
) -> tuple[str, ...]:
    """Writes all files into the folder, or none, and returns their names.

    Args:
        folder: The folder; it must not exist, unless `force` is set.
        model: The changed model, in a folder of its own with its external data.
        result: The answer that chose the changes.
        profile: Profile of the changed model.
        force: True if files of an earlier run in the folder may be replaced.

    Raises:
        DocumentError: The folder cannot or may not be written; it is as it was before.
        ModelError: The model cannot be read.
    """
    chosen = result.chosen
    if chosen is None:
        raise ValueError("no candidate was chosen, so there is nothing to deploy")
    folder = without_detours(folder)
    sources = _sources(model)
    options = session_options(tuple(sources), result, profile)
    require_free_folder(folder, options.files, force=force)
    with staged_folder(folder) as staged:
        new = staged / "new"
        new.mkdir()
        for name, text in _texts(options, result, chosen, profile):
            (new / name).write_bytes(text)
        is_ours = not _is_same_folder(model, Path(result.model.path))
        for name, source in sources.items():
            _put(source, new / name, may_link=is_ours)
        move_into_place(new, folder, options.files, force=force)
    return options.files


def session_options(names: tuple[str, ...], result: Fit, profile: Profile) -> SessionOptions:
    """The options of the measurement; `names` are those of the model and its data."""
    return SessionOptions(
        tool_version=result.tool_version,
        model=names[0],
        data_files=names[1:],
        settings=result.settings,
        threads=profile.workload.threads,
        config_entries={} if result.settings.prepacking else WITHOUT_PREPACKING,
        inputs=profile.model.inputs,
        outputs=profile.model.outputs,
        runtime_version=profile.host.libraries.get("onnxruntime", ""),
        isa=profile.host.arch,
        loads_on=result.loads_on,
        files=(*names, *_OWN_NAMES),
    )


def _texts(
    options: SessionOptions, result: Fit, chosen: FitCandidate, profile: Profile
) -> Iterator[tuple[str, bytes]]:
    """All files but the model's, with their names."""
    unset = unset_in_swift(result, chosen)
    for name in LANGUAGES:
        yield name, loading_code(name, options, profile.workload.inputs, unset).encode()
    yield _CARD_NAME, model_card(result, chosen, options, profile, unset).encode()
    # The file was measured in another folder, which does not exist any more.
    moved = replace(profile, model=replace(profile.model, path=options.model))
    yield _PROFILE_NAME, encode(moved)
    yield OPTIONS_NAME, encode(options)


def _sources(model: Path) -> dict[str, Path]:
    """The model's file and its data, by their names in the new folder; the model is first."""
    what = f"Cannot deploy {safe_text(model.name)!r}"
    sources: dict[str, Path] = {}
    for location in (model.name, *external_locations(model)):
        name = PurePosixPath(location).as_posix()  # without `./`
        if ".." in PurePosixPath(name).parts:
            raise DocumentError(
                what,
                f"the path of its external data contains '..': {safe_text(name)!r}",
                "save the model again with its data beside it",
            )
        if name in _OWN_NAMES:
            raise DocumentError(
                what,
                f"one of its files has the name {safe_text(name)!r}, which feasibility uses too",
                "rename the file and export the model again",
            )
        if not _is_utf8(name):
            raise DocumentError(
                what, "its name is not valid UTF-8", "rename the model and export it again"
            )
        sources[name] = model.parent / location
    return sources


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_same_folder(first: Path, second: Path) -> bool:
    return first.parent.resolve() == second.parent.resolve()


def _put(source: Path, target: Path, *, may_link: bool) -> None:
    """Links the file where that is safe and possible, else copies it; both without reading it.

    A link needs no time and no space. A file of the user stays separate from its copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    status = source.lstat()
    if may_link and status.st_nlink == 1 and not source.is_symlink():
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
        else:
            return
    shutil.copyfile(source, target)
