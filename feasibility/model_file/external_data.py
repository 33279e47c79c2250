"""Which external data files does a model need, and may they be read?

A model is untrusted input, so a location must pass the checks of ONNX Runtime 1.31 (found by
running it): it is a relative path, and its real path is in the model's folder or in the folder
that the model's own link points to. The second rule is needed for a Hugging Face cache, where
model and data are both links into one folder of blobs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from feasibility.errors import ModelError
from feasibility.model_file.open_model import FileIdentity, open_regular
from feasibility.model_file.tensors import ExternalData, TensorInfo
from feasibility.records.facts import ExternalFile
from feasibility.text import safe_text

# Smaller weights stay in the model file: the runtime reads shapes from them while loading.
LEAST_EXTERNAL_BYTES: Final = 1024
_MAX_LOCATION_CHARACTERS: Final = 4096
# Memory of the process that made the model; meaningless in a file.
_MEMORY_LOCATION: Final = "*/_ORT_MEM_ADDR_/*"
_EXPORT_AGAIN: Final = "the file was damaged or written wrongly; export the model again"


@dataclass(frozen=True, slots=True)
class ResolvedFile:
    """An external data file that may be read and is long enough."""

    path: Path
    identity: FileIdentity
    facts: ExternalFile


def resolve_external(
    model_path: Path, tensors: Iterable[TensorInfo], what: str
) -> dict[str, ResolvedFile]:
    """The external data files by their location in the model, all checked.

    The links of `model_path`, as the user gave it, decide which folders are allowed.
    """
    by_location: dict[str, list[tuple[str, ExternalData]]] = {}
    for tensor in tensors:
        if tensor.external is not None:
            by_location.setdefault(tensor.external.location, []).append(
                (tensor.name, tensor.external)
            )
    if not by_location:
        return {}
    folders = (Path(os.path.realpath(model_path.parent)), Path(os.path.realpath(model_path)).parent)
    return {
        location: _resolved(model_path.parent / location, folders, users, what)
        for location, users in by_location.items()
        if _require_relative(location, users[0][0], what)
    }


def external_file_facts(files: Mapping[str, ResolvedFile]) -> tuple[ExternalFile, ...]:
    """Facts of the files; a file with several locations has one entry."""
    merged: dict[FileIdentity, ExternalFile] = {}
    for file in files.values():
        known = merged.get(file.identity)
        if known is None:
            merged[file.identity] = file.facts
            continue
        merged[file.identity] = replace(
            known,
            used_bytes=min(known.used_bytes + file.facts.used_bytes, known.file_bytes),
            initializer_count=known.initializer_count + file.facts.initializer_count,
        )
    return tuple(merged.values())


def _require_relative(location: str, tensor: str, what: str) -> bool:
    shown = f"external data of '{safe_text(tensor)}'"
    if "\0" in location or len(location) > _MAX_LOCATION_CHARACTERS:
        fault = "holds a NUL character" if "\0" in location else "is longer than any path"
        raise ModelError(what, f"the path of the {shown} {fault}", _EXPORT_AGAIN)
    if location == _MEMORY_LOCATION:
        raise ModelError(
            what, f"the {shown} refers to the memory of a process", "save the model again"
        )
    if location.startswith("/"):
        raise ModelError(
            what,
            f"the {shown} has the absolute path '{safe_text(location)}', which runtimes refuse",
            "save the model again with its data beside it and a relative location",
        )
    return True


def _resolved(
    path: Path, folders: tuple[Path, ...], users: Sequence[tuple[str, ExternalData]], what: str
) -> ResolvedFile:
    tensor, external = users[0]
    data_what = f"{what} because of its external data '{safe_text(external.location)}'"
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(folder) for folder in folders):
        raise ModelError(
            data_what,
            f"for '{safe_text(tensor)}' it is outside the model's folder, at "
            f"'{safe_text(str(real))}', which runtimes refuse",
            "put the data into the model's folder; links to other folders are refused",
        )
    identity = _identity(path, data_what, tensor, users)
    furthest, needed = max(users, key=lambda user: user[1].end)
    if needed.end > identity.size_bytes:
        raise ModelError(
            data_what,
            f"'{safe_text(furthest)}' needs the bytes {needed.offset:,} to {needed.end:,}, and "
            f"the file has {identity.size_bytes:,}",
            "the data is truncated or belongs to another model; download or export both again",
        )
    facts = ExternalFile(
        location=external.location,
        file_bytes=identity.size_bytes,
        used_bytes=_covered_bytes((data.offset, data.end) for _, data in users),
        initializer_count=len(users),
    )
    return ResolvedFile(real, identity, facts)


def _identity(
    path: Path, what: str, tensor: str, users: Sequence[tuple[str, ExternalData]]
) -> FileIdentity:
    try:
        # By the path as written, so that the message can name a broken link.
        descriptor = open_regular(path, what)
    except ModelError as error:
        others = f" and {len(users) - 1} more" if len(users) > 1 else ""
        denied = isinstance(error.__cause__, PermissionError)
        raise ModelError(
            what,
            f"{error.why} (needed by '{safe_text(tensor)}'{others})",
            error.hint
            if denied
            else "put the data file beside the model, as it was exported; both belong together",
        ) from error
    try:
        return FileIdentity.of(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _covered_bytes(ranges: Iterable[tuple[int, int]]) -> int:
    """Bytes that are in at least one of the ranges."""
    covered = position = 0
    for start, end in sorted(ranges):
        covered += max(0, end - max(start, position))
        position = max(position, end)
    return covered
