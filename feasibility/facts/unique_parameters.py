"""How many parameters does a model have if equal initializers count once?

Most initializers differ in shape, and most of equal shape differ in a few sampled bytes. The
others are compared in full, up to a limit: comparing embeddings of a gigabyte would take longer
than everything else together.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from feasibility.errors import ModelError
from feasibility.model_file.open_model import FileIdentity, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
    from pathlib import Path

    from feasibility.model_file.external_data import ResolvedFile
    from feasibility.model_file.tensors import TensorInfo

FULL_COMPARISON_BYTES: Final = 64 * 1024 * 1024
_SAMPLE_BYTES: Final = 64
_SAMPLE_COUNT: Final = 16
# For what is too large to compare in full: the same digest over far more of it.
_WIDE_SAMPLE_BYTES: Final = 4096
_WIDE_SAMPLE_COUNT: Final = 64
_CHUNK_BYTES: Final = 256 * 1024

_Groups: TypeAlias = "list[list[TensorInfo]]"


@dataclass(frozen=True, slots=True)
class UniqueParameters:
    """Parameters with equal initializers counted once.

    Args:
        sampled_bytes: Bytes of initializers of which only samples were compared, because
            comparing all bytes would have read too much; 0 if every equality is certain.
    """

    parameter_count: int
    sampled_bytes: int = 0


def unique_parameters(
    tensors: Sequence[TensorInfo],
    path: Path,
    identity: FileIdentity,
    files: Mapping[str, ResolvedFile],
    *,
    limit_bytes: int | None = FULL_COMPARISON_BYTES,
) -> UniqueParameters:
    """Elements of all initializers, those equal in type, shape and bytes counted once.

    Equal values that are encoded differently (raw and typed) count as different.

    `limit_bytes` may be read to compare in full; None for no limit.
    """
    groups = _split([list(tensors)], _form)
    if not groups:
        return UniqueParameters(sum(tensor.element_count for tensor in tensors))
    repeated = 0
    sampled_bytes = 0
    with _Sources(path, identity, files) as sources:
        groups = _split(groups, lambda tensor: sources.sample(tensor, _SAMPLE_BYTES, _SAMPLE_COUNT))
        budget = limit_bytes
        # Small ones first: many certain answers for the same reading.
        for group in sorted(groups, key=lambda group: group[0].size_bytes):
            needed = sum(tensor.size_bytes for tensor in group)
            if budget is None or needed <= budget:
                budget = None if budget is None else budget - needed
                equal = _split([group], sources.digest)
            else:
                equal = _split(
                    [group],
                    lambda tensor: sources.sample(tensor, _WIDE_SAMPLE_BYTES, _WIDE_SAMPLE_COUNT),
                )
                sampled_bytes += sum(tensor.size_bytes for same in equal for tensor in same)
            repeated += sum(tensor.element_count for same in equal for tensor in same[1:])
    total = sum(tensor.element_count for tensor in tensors)
    return UniqueParameters(total - repeated, sampled_bytes)


def _form(tensor: TensorInfo) -> Hashable:
    extents = sum(end - start for start, end in tensor.extents)
    kept = tensor.kept if not tensor.extents else b""
    if tensor.is_sparse or not tensor.element_count:
        return id(tensor)
    return tensor.dtype, tensor.dims, tensor.encoding, extents, kept


def _split(groups: _Groups, key: Callable[[TensorInfo], Hashable]) -> _Groups:
    """The groups divided by a key; what is then alone is left out."""
    result: _Groups = []
    for group in groups:
        parts: defaultdict[Hashable, list[TensorInfo]] = defaultdict(list)
        for tensor in group:
            parts[key(tensor)].append(tensor)
        result.extend(part for part in parts.values() if len(part) > 1)
    return result


class _Sources:
    """Reads payloads out of the model file and its external data files."""

    def __init__(
        self, path: Path, identity: FileIdentity, files: Mapping[str, ResolvedFile]
    ) -> None:
        self._paths: dict[str | None, tuple[Path, FileIdentity]] = {None: (path, identity)}
        for location, file in files.items():
            self._paths[location] = (file.path, file.identity)
        self._descriptors: dict[str | None, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def sample(self, tensor: TensorInfo, sample_bytes: int, count: int) -> bytes:
        """Digest of a few places spread evenly over the payload, its ends among them."""
        hashed = hashlib.blake2b(digest_size=16)
        descriptor, extents = self._place(tensor)
        for start, end in extents:
            last = max(end - sample_bytes, start)
            places = {start + (last - start) * step // (count - 1) for step in range(count)}
            for place in sorted(places):
                hashed.update(os.pread(descriptor, min(sample_bytes, end - place), place))
        hashed.update(tensor.kept)
        return hashed.digest()

    def digest(self, tensor: TensorInfo) -> bytes:
        """Digest of the whole payload."""
        hashed = hashlib.sha256()
        descriptor, extents = self._place(tensor)
        for start, end in extents:
            for position in range(start, end, _CHUNK_BYTES):
                hashed.update(os.pread(descriptor, min(_CHUNK_BYTES, end - position), position))
        hashed.update(tensor.kept)
        return hashed.digest()

    def _place(self, tensor: TensorInfo) -> tuple[int, Iterable[tuple[int, int]]]:
        if tensor.external is not None:
            external = tensor.external
            return self._descriptor(external.location), ((external.offset, external.end),)
        return (self._descriptor(None), tensor.extents) if tensor.extents else (-1, ())

    def _descriptor(self, location: str | None) -> int:
        known = self._descriptors.get(location)
        if known is not None:
            return known
        path, identity = self._paths[location]
        what = f"Cannot compare the weights in '{path.name}'"
        descriptor = self._descriptors[location] = open_regular(path, what)
        if FileIdentity.of(os.fstat(descriptor)) != identity:
            raise ModelError(
                what,
                "the file was changed or replaced while it was read",
                "wait until it is written completely, then try again",
            )
        return descriptor
