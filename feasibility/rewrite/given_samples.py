"""Which real inputs does the user give? Checked, and written as one array per input and sample.

A file holds one sample, or several along a leading axis: `[N, 3, 224, 224]` for an input of
`[1, 3, 224, 224]`. Arrays are read row by row, so that a large file is never held.
"""

from __future__ import annotations

import contextlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple

from msgspec.structs import replace

from feasibility.errors import InputError
from feasibility.npy_header import (
    ARCHIVE_HINT,
    NpyHeader,
    dtype_on_disk,
    explained,
    read_header,
    require_regular_file,
)
from feasibility.records.workload import Fill, InputPlan, InputSpec
from feasibility.text import safe_text

# Calibration and drift hardly change with more, and each costs a run.
MAX_SAMPLES: Final = 32
_MAX_FILES: Final = 10_000


class _Array(NamedTuple):
    """One array on disk."""

    path: Path
    member: str | None
    header: NpyHeader
    sample_bytes: int
    sample_count: int


_Sample = dict[str, _Array]


def sample_plans(path: Path, plan: InputPlan, folder: Path) -> tuple[InputPlan, ...]:
    """The samples of a .npz or .npy file, or of a folder of such files, as choices of inputs.

    Of more than `MAX_SAMPLES`, that number is taken at equal distances.

    Args:
        path: File or folder. In a .npz file arrays have the names of inputs; a .npy file is for
            a model with one input.
        plan: Inputs with the sizes that the samples must have.
        folder: Where arrays are written, which the plans refer to.

    Raises:
        InputError: There are no samples, one cannot be read, an input is missing, or a type or
            shape is not that of the input.
    """
    inputs = [each for each in plan.inputs if each.fill.kind != "absent"]
    if not inputs:
        what = f"Cannot use the samples '{safe_text(str(path))}'"
        raise InputError(what, "the model runs without inputs", "leave out --samples")
    sources = [_source(each, inputs) for each in _files(path)]
    counts = [max(array.sample_count for array in source.values()) for source in sources]
    total = sum(counts)
    count = min(total, MAX_SAMPLES)
    wanted = [number * total // count for number in range(count)]
    target = folder / "samples"
    target.mkdir(exist_ok=True)
    plans: list[InputPlan] = []
    start = 0
    for source, own in zip(sources, counts, strict=True):
        indices = [each - start for each in wanted if start <= each < start + own]
        plans.extend(_written(source, indices, plan, target, len(plans)))
        start += own
    return tuple(plans)


def _files(path: Path) -> Sequence[Path]:
    what = f"Cannot use the samples '{safe_text(str(path))}'"
    with explained(what, ARCHIVE_HINT):
        if not path.exists():
            raise InputError(what, "there is no such file or folder", "check the path")
        if not path.is_dir():
            return (path,)
        found = sorted(each for each in islice(path.iterdir(), _MAX_FILES) if each.is_file())
    arrays = [each for each in found if each.suffix in {".npz", ".npy"}]
    if not arrays:
        raise InputError(what, "the folder has no .npz or .npy file", ARCHIVE_HINT)
    return arrays


def _source(path: Path, inputs: Sequence[InputSpec]) -> _Sample:
    """The arrays of one file by input."""
    what = f"Cannot use the samples '{safe_text(str(path))}'"
    with explained(what, ARCHIVE_HINT):
        require_regular_file(path, what, ".npz or .npy")
        if path.suffix == ".npy":
            if len(inputs) != 1:
                names = ", ".join(safe_text(each.name, 40) for each in inputs)
                why = f"a .npy file is for models with one input, and this one has {names}"
                raise InputError(what, why, ARCHIVE_HINT)
            members: dict[str, str | None] = {inputs[0].name: None}
        else:
            with zipfile.ZipFile(path) as archive:
                members = {each.removesuffix(".npy"): each for each in archive.namelist()}
        for each in inputs:
            if each.name not in members:
                found = ", ".join(safe_text(name, 40) for name in islice(members, 8)) or "nothing"
                raise InputError(
                    what,
                    f"it has no array for the input '{safe_text(each.name)}'; its arrays: {found}",
                    "give each array the name of its input",
                )
        arrays = {each.name: _checked(path, members[each.name], each, what) for each in inputs}
    counts = {array.sample_count for array in arrays.values()} - {1}
    if len(counts) > 1:
        numbers = ", ".join(
            f"{array.sample_count} of '{safe_text(name)}'" for name, array in arrays.items()
        )
        raise InputError(
            what, f"the number of samples differs between its arrays: {numbers}", "use one number"
        )
    return arrays


def _checked(path: Path, member: str | None, spec: InputSpec, what: str) -> _Array:
    name = f"the array of the input '{safe_text(spec.name)}'"
    if spec.kind != "tensor":
        why = f"{name}: the input is a {spec.kind}, which no array can hold"
        raise InputError(what, why, "leave out --samples")
    with _stream(path, member) as stream:
        header = read_header(stream, what, name)
    expected = dtype_on_disk(spec.dtype)
    if header.dtype != expected:
        raise InputError(
            what,
            f"{name} is {header.dtype}, expected {expected}",
            f"convert it: array.astype('{expected}')",
        )
    shape = header.shape
    count = _sample_count(shape, spec.shape)
    if not count:
        one, several = _shown(spec.shape), _shown(("N", *spec.shape))
        raise InputError(
            what,
            f"{name} has the shape {_shown(shape)}, expected {one}, or {several} for N samples",
            "pad or crop the array, or set the sizes of open dims with --dim NAME=SIZE",
        )
    if header.is_by_columns and count > 1:
        raise InputError(
            what, f"{name} is stored by columns", "save numpy.ascontiguousarray(array)"
        )
    sample_bytes = math.prod(spec.shape) * header.kind.itemsize
    return _Array(path, member, header, sample_bytes, count)


def _shown(shape: Sequence[int | str]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _sample_count(shape: tuple[int, ...], expected: tuple[int, ...]) -> int:
    """Samples in an array; 0 if its shape is not that of the input, with or without more."""
    if shape == expected:
        return 1
    if shape[1:] == expected:
        return shape[0]
    same = len(shape) == len(expected) and shape[1:] == expected[1:]
    if same and expected[0] and shape[0] % expected[0] == 0:
        return shape[0] // expected[0]
    return 0


def _written(
    source: _Sample, indices: Sequence[int], plan: InputPlan, folder: Path, first: int
) -> list[InputPlan]:
    """The samples with these indices, whose arrays are written to the folder."""
    paths = {
        name: _written_array(array, indices, plan, name, folder, first)
        for name, array in source.items()
    }
    return [
        replace(
            plan,
            inputs=tuple(
                replace(each, fill=Fill(kind="file", path=str(paths[each.name][number])))
                if each.name in paths
                else each
                for each in plan.inputs
            ),
        )
        for number in range(len(indices))
    ]


def _written_array(
    array: _Array, indices: Sequence[int], plan: InputPlan, name: str, folder: Path, first: int
) -> list[Path]:
    import numpy as np

    position, shape = next(
        (position, each.shape) for position, each in enumerate(plan.inputs) if each.name == name
    )
    what = f"Cannot use the samples '{safe_text(str(array.path))}'"
    paths: list[Path] = []
    order: Literal["F", "C"] = "F" if array.header.is_by_columns else "C"
    with explained(what, ARCHIVE_HINT), _stream(array.path, array.member) as stream:
        read_header(stream, what, "it")
        at = -1
        for number, index in enumerate(indices):
            if array.sample_count == 1 and paths:
                paths.append(paths[0])
                continue
            while at < min(index, array.sample_count - 1):
                content = stream.read(array.sample_bytes)
                if len(content) != array.sample_bytes:
                    raise InputError(what, "it is truncated", ARCHIVE_HINT)
                at += 1
            values = np.frombuffer(content, array.header.kind)
            paths.append(folder / f"{first + number}-{position}.npy")
            np.save(paths[-1], values.reshape(shape, order=order))
    return paths


@contextlib.contextmanager
def _stream(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        with path.open("rb") as stream:
            yield stream
    else:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            yield stream
