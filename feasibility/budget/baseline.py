"""Baselines that a repository keeps: one small file per model, beside each other in one folder."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from feasibility.errors import DocumentError
from feasibility.records.budget import InitializerSize, Snapshot
from feasibility.schema import encode, read_document
from feasibility.text import safe_text

# Enough to name what grew; all initializers of a large model would make a large file.
KEPT_INITIALIZER_COUNT: Final = 24
_CONFLICT_MARKER: Final = b"<<<<<<< "


def baseline_path(folder: Path, name: str) -> Path:
    """The file that holds a model's baseline: the model's own path with `.json` after it."""
    return folder / f"{name}.json"


def read_baseline(folder: Path, name: str) -> Snapshot | None:
    """The baseline of a model, or None if none was recorded.

    Raises:
        DocumentError: The file is damaged, holds a conflict, or is of a newer version.
    """
    path = baseline_path(folder, name)
    if not path.exists():
        return None
    try:
        return read_document(path, Snapshot)
    except DocumentError as error:
        if _has_conflict(path):
            raise DocumentError(
                f"Cannot read baseline {safe_text(str(path))}",
                "git left conflict markers in it",
                "take either side, then `feasibility budget update` if the model changed too",
            ) from error
        raise DocumentError(
            error.what, error.why, f"{error.hint}; `feasibility budget update` writes it anew"
        ) from error


def write_baseline(folder: Path, snapshot: Snapshot) -> Path:
    """Writes a model's baseline, whole or not at all, and returns its path.

    Raises:
        DocumentError: The file cannot be written.
    """
    path = baseline_path(folder, snapshot.model)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(encode(_committed(snapshot)))
        unfinished.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise DocumentError(
            f"Cannot write baseline {safe_text(str(path))}",
            error.strerror or str(error),
            "check the folder, its permissions and the room in it",
        ) from error
    return path


def _committed(snapshot: Snapshot) -> Snapshot:
    """The snapshot as a repository keeps it: the largest initializers, nothing of inputs."""
    largest = sorted(snapshot.initializers, key=_largest_first)[:KEPT_INITIALIZER_COUNT]
    return msgspec.structs.replace(
        snapshot,
        inputs=(),
        initializers=tuple(sorted(largest, key=lambda size: size.name)),
        are_initializers_cut=len(largest) < len(snapshot.initializers),
    )


def _largest_first(size: InitializerSize) -> tuple[int, str]:
    return -size.size_bytes, size.name


def _has_conflict(path: Path) -> bool:
    try:
        return any(line.startswith(_CONFLICT_MARKER) for line in path.read_bytes().splitlines())
    except OSError:
        return False
