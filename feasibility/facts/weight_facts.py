"""Which weights does a model have? Their number, their bytes, and the files that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from feasibility.facts.unique_parameters import unique_parameters
from feasibility.model_file.external_data import external_file_facts, resolve_external
from feasibility.model_file.open_model import FileIdentity
from feasibility.model_file.tensors import TensorInfo
from feasibility.records.budget import InitializerSize
from feasibility.records.facts import ModelFacts


def with_weights(
    facts: ModelFacts, tensors: Sequence[TensorInfo], path: Path, identity: FileIdentity, what: str
) -> ModelFacts:
    """The facts with those of the weights, which are all tensors but values of attributes.

    `what` is the first part of error messages.
    """
    files = resolve_external(path, tensors, what)
    external = external_file_facts(files)
    weights = [tensor for tensor in tensors if tensor.role != "attribute"]
    unique = unique_parameters(weights, path, identity, files)
    bytes_by_dtype: Counter[str] = Counter()
    for tensor in weights:
        bytes_by_dtype[tensor.dtype] += tensor.size_bytes
    return replace(
        facts,
        external_bytes=sum(file.file_bytes for file in external),
        external_files=external,
        parameter_count=sum(tensor.element_count for tensor in weights),
        unique_parameter_count=unique.parameter_count,
        initializer_count=len(weights),
        sparse_initializer_count=sum(tensor.is_sparse for tensor in weights),
        initializer_bytes=bytes_by_dtype.total(),
        initializer_bytes_by_dtype=dict(bytes_by_dtype.most_common()),
        largest_initializer_bytes=max((tensor.size_bytes for tensor in weights), default=0),
        warnings=(*facts.warnings, *unique.notices()),
    )


def initializer_sizes(tensors: Iterable[TensorInfo]) -> tuple[InitializerSize, ...]:
    """The weights by name."""
    return tuple(
        InitializerSize(name=tensor.name, dtype=tensor.dtype, size_bytes=tensor.size_bytes)
        for tensor in tensors
        if tensor.role != "attribute"
    )


def external_locations(tensors: Iterable[TensorInfo]) -> tuple[str, ...]:
    """Names of the external data files, sorted."""
    return tuple(sorted({tensor.external.location for tensor in tensors if tensor.external}))
