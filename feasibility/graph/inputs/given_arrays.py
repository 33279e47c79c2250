"""Which arrays does the user give as inputs? Reads their headers and checks them.

Only the header of a .npy file is read; its data goes to the child process that
runs the model. Files that need Python objects are refused.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.errors import InputError
from feasibility.graph.inputs.dim_roles import OpenInput
from feasibility.model_file.element_types import dtype_name
from feasibility.npy_header import (
    ARCHIVE_HINT,
    dtype_on_disk,
    explained,
    read_header,
    require_regular_file,
)
from feasibility.text import safe_text

_HINT: Final = "write it with numpy.save(path, array)"


@dataclass(frozen=True, slots=True)
class GivenArray:
    """One array on disk.

    Args:
        member: Name of the array in the .npz file.
        dtype: Element type in numpy's words.
    """

    path: Path
    member: str | None
    dtype: str
    shape: tuple[int, ...]


def given_arrays(
    inputs: tuple[OpenInput, ...], files: Mapping[str, Path], archive: Path | None
) -> dict[str, GivenArray]:
    """The arrays given for a model's inputs by name; single files go before the archive."""
    arrays = _archive_headers(archive) if archive is not None else {}
    by_name = {given.name: given for given in inputs}
    for name in (*files, *arrays):
        if name not in by_name:
            names = ", ".join(safe_text(known, 40) for known in by_name)
            raise InputError(
                f"Cannot use the array '{safe_text(name, 60)}'",
                f"the model's inputs are {names}" if names else "the model has no inputs",
                "name the arrays after the model's inputs",
            )
    arrays |= {name: _file_header(path) for name, path in files.items()}
    for name, array in arrays.items():
        _require_match(by_name[name], array)
    return arrays


def sizes_of(inputs: tuple[OpenInput, ...], arrays: Mapping[str, GivenArray]) -> dict[str, int]:
    """Sizes that the arrays give to open dims."""
    sizes: dict[str, int] = {}
    sources: dict[str, str] = {}
    for given in inputs:
        array = arrays.get(given.name)
        if array is None or not given.has_rank:
            continue
        for key, size in zip(given.keys, array.shape, strict=True):
            if key is None:
                continue
            if sizes.setdefault(key, size) != size:
                raise InputError(
                    f"Cannot bind the dim '{safe_text(key, 60)}'",
                    f"the array for '{safe_text(sources[key], 40)}' gives it {sizes[key]}, "
                    f"the one for '{safe_text(given.name, 40)}' gives it {size}",
                    "give arrays whose shapes agree",
                )
            sources.setdefault(key, given.name)
    return sizes


def _require_match(given: OpenInput, array: GivenArray) -> None:
    declared = dtype_name(given.elem_type)
    wanted_dtype = dtype_on_disk(declared)
    where = f"Cannot use {_where(array)} for the input '{safe_text(given.name, 60)}'"
    if given.kind == "map":
        raise InputError(where, "the input is a map, which no array can hold", "")
    if array.dtype != wanted_dtype:
        raise InputError(
            where,
            f"the file holds {array.dtype}, the model takes {declared}",
            f"convert it: array.astype('{wanted_dtype}')",
        )
    fits = not given.has_rank or (
        len(array.shape) == len(given.shape)
        and all(
            size is None or size == own for size, own in zip(given.shape, array.shape, strict=True)
        )
    )
    if not fits:
        wanted = ", ".join(
            str(size) if size is not None else safe_text(key or "?", 40)
            for size, key in zip(given.shape, given.keys, strict=True)
        )
        own = ", ".join(map(str, array.shape))
        raise InputError(
            where, f"the file holds shape [{own}], the model takes [{wanted}]", "reshape the array"
        )


def _where(array: GivenArray) -> str:
    name = f"'{safe_text(str(array.path), 80)}'"
    return name if array.member is None else f"'{safe_text(array.member, 60)}' of {name}"


def _file_header(path: Path) -> GivenArray:
    what = f"Cannot read the array '{safe_text(str(path), 80)}'"
    with explained(what, _HINT):
        require_regular_file(path, what, ".npy")
        with path.open("rb") as stream:
            header = read_header(stream, what, "it")
    return GivenArray(path, None, header.dtype, header.shape)


def _archive_headers(path: Path) -> dict[str, GivenArray]:
    what = f"Cannot read the archive '{safe_text(str(path), 80)}'"
    arrays = {}
    with explained(what, ARCHIVE_HINT):
        require_regular_file(path, what, ".npz")
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = member.removesuffix(".npy")
                with archive.open(member) as stream:
                    header = read_header(stream, what, f"its array '{safe_text(name, 60)}'")
                arrays[name] = GivenArray(path, name, header.dtype, header.shape)
    return arrays
