"""Which emulator is installed, and can it be used?

One folder holds the emulator, and a C library, Python and onnxruntime of its instruction set.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Final

import msgspec

from feasibility.errors import HostError
from feasibility.paths import data_dir

ISA: Final = "aarch64"
FORMAT: Final = 1
MANIFEST: Final = "root.json"
INSTALL_HINT: Final = f"run `feasibility runner install {ISA}`"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Contents of the folder.

    Args:
        format: Layout of the folder.
        emulator: The emulator, relative to the folder.
        emulator_version: Its version.
        python: The Python program, relative to the folder.
        python_version: Its version, for example `3.11`.
        onnxruntime: Version of ONNX Runtime.
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


def read_manifest(folder: Path) -> Manifest | None:
    """Contents of a folder; None if this version of the tool cannot read it."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None
    return manifest if manifest.format == FORMAT else None


def usable_emulator(folder: Path) -> Manifest:
    """Contents of a folder whose ONNX Runtime has the version of this machine's.

    Raises:
        HostError: The folder or a part of it is missing, or the version differs.
    """
    what = f"Cannot emulate {ISA}"
    if not folder.exists():
        raise HostError(what, "the emulator is not installed", INSTALL_HINT)
    manifest = read_manifest(folder)
    if not (folder / MANIFEST).exists():
        raise incomplete_emulator(what, f"{MANIFEST} is missing")
    if manifest is None:
        raise HostError(
            what, "the emulator was installed by another version of feasibility", INSTALL_HINT
        )
    missing = [part for part in _parts(manifest) if not (folder / part).exists()]
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


def _parts(manifest: Manifest) -> tuple[str, ...]:
    loader = "root/lib/ld-linux-aarch64.so.1"
    libraries = ("site/onnxruntime/__init__.py", "site/numpy/__init__.py")
    return (manifest.emulator, manifest.python, loader, *libraries)
