"""Which emulator is installed, and can it be used?

One folder holds the emulator, and a C library, Python and onnxruntime of its instruction set.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
from pathlib import Path
from typing import Final

import msgspec

from feasibility.errors import HostError
from feasibility.paths import data_dir
from feasibility.prepared_types import prepared

ISA: Final = "aarch64"
FORMAT: Final = 1
MANIFEST: Final = "root.json"
INSTALL_HINT: Final = f"run `feasibility runner install {ISA}`"

_PARTS: Final = (
    "root/lib/ld-linux-aarch64.so.1",
    "site/onnxruntime/__init__.py",
    "site/numpy/__init__.py",
)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Programs of the folder, as relative paths, and their versions.

    Args:
        format: Layout of the folder.
        python_version: For example `3.11`.
    """

    format: int
    emulator: str
    emulator_version: str
    python: str
    python_version: str
    onnxruntime: str


def emulator_folder() -> Path:
    """The folder of this user; it may not exist."""
    return data_dir() / "runners" / ISA


def usable_emulator(folder: Path) -> Manifest:
    """Contents of a folder whose ONNX Runtime has the version of this machine's.

    Raises:
        HostError: The folder or a part of it is missing, or the version differs.
    """
    what = f"Cannot emulate {ISA}"
    if not folder.exists():
        raise HostError(what, "the emulator is not installed", INSTALL_HINT)
    if not (folder / MANIFEST).exists():
        raise incomplete_emulator(what, f"{MANIFEST} is missing")
    manifest = None
    with contextlib.suppress(OSError, msgspec.DecodeError):
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=prepared(Manifest))
    if manifest is None or manifest.format != FORMAT:
        raise HostError(
            what, "the emulator was installed by another version of feasibility", INSTALL_HINT
        )
    parts = (manifest.emulator, manifest.python, *_PARTS)
    missing = [part for part in parts if not (folder / part).exists()]
    if missing:
        raise incomplete_emulator(what, f"{missing[0]} is missing")
    here = importlib.metadata.version("onnxruntime")
    if manifest.onnxruntime != here:
        raise HostError(
            what,
            f"the emulator has ONNX Runtime {manifest.onnxruntime}, this machine has {here}",
            INSTALL_HINT,
        )
    return manifest


def incomplete_emulator(what: str, why: str) -> HostError:
    """The error if a part is missing or does not work."""
    return HostError(what, f"the emulator is incomplete: {why}", INSTALL_HINT)
