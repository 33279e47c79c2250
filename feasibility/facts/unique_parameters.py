"""How many parameters does a model have if equal initializers count once?

Most initializers differ in shape, and most of equal shape differ in a few sampled bytes. The
others are compared in full, up to a limit: comparing embeddings of a gigabyte would take longer
than everything else together.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeAlias

from feasibility.errors import ModelError
from feasibility.model_file.external_data import ResolvedFile
from feasibility.model_file.open_model import FileIdentity, open_regular
from feasibility.model_file.tensors import TensorInfo
from feasibility.records.shared_fields import Notice
from feasibility.system_differences import read_at
from feasibility.units import format_bytes

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

    def notices(self) -> Iterator[Notice]:
        """A warning if only samples were compared."""
        if self.sampled_bytes:
            yield Notice(
                code="duplicates-sampled",
                message=f"{format_bytes(self.sampled_bytes)} of weights count as repeated because "
                "samples of them are equal; comparing all of them would read more than "
                f"{format_bytes(FULL_COMPARISON_BYTES)}",
            )


def unique_parameters(
    tensors: Sequence[TensorInfo],
    path: Path,
    identity: FileIdentity,
    files: Mapping[str, ResolvedFile],
    *,
    limit_bytes: int = FULL_COMPARISON_BYTES,
) -> UniqueParameters:
    """Elements of all initializers, those equal in type, shape and bytes counted once.

    Equal values that are encoded differently (raw and typed) count as different. `limit_bytes` may
    be read to compare in full.
    """
    groups = _split([list(tensors)], _form)
    total = sum(tensor.element_count for tensor in tensors)
    repeated = sampled_bytes = 0
    with _Sources(path, identity, files) as sources:
        groups = _split(groups, lambda tensor: sources.sample(tensor, _SAMPLE_BYTES, _SAMPLE_COUNT))
        # Small ones first: many certain answers for the same reading.
        for group in sorted(groups, key=lambda group: group[0].size_bytes):
            needed = sum(tensor.size_bytes for tensor in group)
            if needed <= limit_bytes:
                limit_bytes -= needed
                equal = _split([group], sources.digest)
            else:
                equal = _split(
                    [group],
                    lambda tensor: sources.sample(tensor, _WIDE_SAMPLE_BYTES, _WIDE_SAMPLE_COUNT),
                )
                sampled_bytes += sum(tensor.size_bytes for same in equal for tensor in same)
            repeated += sum(tensor.element_count for same in equal for tensor in same[1:])
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

        def places(start: int, end: int) -> Iterable[int]:
            last = max(end - sample_bytes, start)
            return sorted({start + (last - start) * step // (count - 1) for step in range(count)})

        return self._digest(tensor, sample_bytes, places)

    def digest(self, tensor: TensorInfo) -> bytes:
        """Digest of the whole payload."""
        return self._digest(
            tensor, _CHUNK_BYTES, lambda start, end: range(start, end, _CHUNK_BYTES)
        )

    def _digest(
        self, tensor: TensorInfo, size_bytes: int, places: Callable[[int, int], Iterable[int]]
    ) -> bytes:
        """Digest of the payload's bytes from each place on, at most `size_bytes` of them."""
        hashed = hashlib.sha256(tensor.kept)
        location, extents = None, tensor.extents
        if tensor.external is not None:
            location = tensor.external.location
            extents = ((tensor.external.offset, tensor.external.end),)
        for start, end in extents:
            for place in places(start, end):
                size = min(size_bytes, end - place)
                hashed.update(read_at(self._descriptor(location), size, place))
        return hashed.digest()

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
