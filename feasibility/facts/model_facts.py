"""Everything that can be known of a model file without running it, put together."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from feasibility import __version__
from feasibility.facts.operator_counts import DEFAULT_DOMAIN, Census, domain_name, take_census
from feasibility.facts.ort_format import ort_facts
from feasibility.facts.refused_by_runtime import model_faults
from feasibility.facts.unique_parameters import (
    FULL_COMPARISON_BYTES,
    UniqueParameters,
    unique_parameters,
)
from feasibility.facts.work import Analysis, analyse
from feasibility.graph.declared import declared_inputs, declared_outputs
from feasibility.model_file.external_data import external_file_facts, resolve_external
from feasibility.model_file.open_model import open_model
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.ort_memory.modelled_memory import modelled_memory
from feasibility.records.base import Notice
from feasibility.records.facts import ModelFacts, OperatorType
from feasibility.text import safe_text, shorten
from feasibility.units import MIB, format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from onnx import ModelProto

    from feasibility.model_file.open_model import ModelFile

# Reading a gigabyte for its digest takes longer than everything else together.
HASHED_BYTES: Final = 64 * MIB
_CHUNK_BYTES: Final = 256 * 1024
_MAX_PRODUCER_CHARACTERS: Final = 100
_MAX_NAMED: Final = 5
# Domain of the operators that onnxruntime-extensions brings.
_EXTENSION_DOMAINS: Final = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})


def inspect_model(
    path: Path, *, dims: Mapping[str, int] | None = None, hash_file: bool | None = None
) -> ModelFacts:
    """Facts of a model file, its weights not loaded.

    Args:
        path: An .onnx or .ort file.
        dims: Sizes of symbolic dims by name; the others are assumed.
        hash_file: Whether to read the whole file for its digest; None does so for files up
            to `HASHED_BYTES`.

    Raises:
        ModelError: The file or its external data cannot be read, or is no model.
        InputError: A dim was given that the model does not have.
    """
    with open_model(path) as file:
        wanted = file.size_bytes <= HASHED_BYTES if hash_file is None else hash_file
        if file.format == "ort":
            return ort_facts(file, digest(file) if wanted else None)
        skeleton = skeleton_of(file)
        sha256 = digest(file) if wanted else None
    return facts_of(skeleton, dims=dims, sha256=sha256)


def facts_of(
    skeleton: Skeleton, *, dims: Mapping[str, int] | None = None, sha256: str | None = None
) -> ModelFacts:
    """Facts of a model that was read without its weights.

    Args:
        skeleton: The model.
        dims: Sizes of symbolic dims by name; the others are assumed.
        sha256: Digest of the file, where it is known.

    Raises:
        ModelError: External data cannot be read or belongs to another model.
        InputError: A dim was given that the model does not have.
    """
    model = skeleton.model
    weights = skeleton.initializers
    files = resolve_external(skeleton.path, skeleton.tensors, skeleton.what)
    external = external_file_facts(files)
    analysis = analyse(model, dims or {})
    census = take_census(model, weights)
    unique = unique_parameters(weights, skeleton.path, skeleton.identity, files)
    bytes_by_dtype: Counter[str] = Counter()
    for tensor in weights:
        bytes_by_dtype[tensor.dtype] += tensor.size_bytes
    opsets = {domain_name(opset.domain): max(opset.version, 0) for opset in model.opset_import}
    return ModelFacts(
        tool_version=__version__,
        name=skeleton.path.name,
        path=str(skeleton.path),
        format="onnx",
        sha256=sha256,
        file_bytes=skeleton.identity.size_bytes,
        external_bytes=sum(file.file_bytes for file in external),
        external_files=external,
        producer=_producer(model),
        ir_version=model.ir_version,
        opset=opsets.get(DEFAULT_DOMAIN),
        opsets=opsets,
        inputs=declared_inputs(model.graph),
        outputs=declared_outputs(model.graph),
        parameter_count=sum(tensor.element_count for tensor in weights),
        unique_parameter_count=unique.parameter_count,
        initializer_count=len(weights),
        sparse_initializer_count=sum(tensor.is_sparse for tensor in weights),
        initializer_bytes=bytes_by_dtype.total(),
        initializer_bytes_by_dtype=dict(bytes_by_dtype.most_common()),
        largest_initializer_bytes=max((tensor.size_bytes for tensor in weights), default=0),
        generated_bytes=analysis.generated_bytes,
        node_count=census.node_count,
        subgraph_count=census.subgraph_count,
        function_count=len(model.functions),
        operators=_operators(census, analysis),
        custom_operators=tuple(f"{domain}:{op}" for domain, op in sorted(census.custom_operators)),
        dims=dict(analysis.dims),
        assumptions=analysis.assumptions,
        flops=analysis.flops,
        macs=analysis.macs,
        moved_bytes=analysis.moved_bytes,
        unknown_node_count=analysis.unknown_node_count,
        per_iteration=analysis.per_iteration,
        nodes=analysis.nodes,
        activation_peak=analysis.activation_peak,
        modelled_memory=modelled_memory(
            analysis.graph,
            frozenset(tensor.name for tensor in weights if tensor.external is not None),
            {
                spec.name: frozenset(
                    axis for axis, dim in enumerate(spec.shape or ()) if not isinstance(dim, int)
                )
                for spec in analysis.inputs
            },
        ),
        warnings=tuple(_notices(skeleton, census, unique)),
    )


def digest(file: ModelFile) -> str:
    """SHA-256 of the whole file, in hexadecimal."""
    hashed = hashlib.sha256()
    position = 0
    while chunk := os.pread(file.descriptor, _CHUNK_BYTES, position):
        hashed.update(chunk)
        position += len(chunk)
    return hashed.hexdigest()


def _producer(model: ModelProto) -> str:
    text = f"{model.producer_name} {model.producer_version}".strip()
    return shorten(text, _MAX_PRODUCER_CHARACTERS)


def _operators(census: Census, analysis: Analysis) -> tuple[OperatorType, ...]:
    """Operator types, most work first; work that is not known for all nodes of one is None."""
    flops: defaultdict[tuple[str, str], int | None] = defaultdict(int)
    for node in analysis.nodes:
        operator = (node.domain, node.op_type)
        known = flops[operator]
        runs = node.repeat_count or 1
        flops[operator] = None if known is None or node.flops is None else known + node.flops * runs
    types = [
        OperatorType(
            op_type=op_type,
            domain=domain,
            node_count=count,
            flops=flops.get((domain, op_type)),
            weight_bytes=census.weight_bytes[domain, op_type],
        )
        for (domain, op_type), count in census.node_counts.items()
    ]
    return tuple(sorted(types, key=lambda kind: (-(kind.flops or 0), -kind.node_count)))


def _notices(skeleton: Skeleton, census: Census, unique: UniqueParameters) -> Iterator[Notice]:
    yield from model_faults(skeleton.model, skeleton.identity.size_bytes)
    if census.custom_operators:
        yield _custom_operators(census)
    list_bytes = sum(payload.size_bytes for payload in skeleton.payloads if payload.is_list)
    if list_bytes:
        yield Notice(
            code="weights-in-attributes",
            message=f"{format_bytes(list_bytes)} of lists in attributes (trees, vocabularies) "
            "are not counted as parameters",
        )
    if unique.sampled_bytes:
        yield Notice(
            code="duplicates-sampled",
            message=f"{format_bytes(unique.sampled_bytes)} of weights count as repeated because "
            "samples of them are equal; comparing all of them would read more than "
            f"{format_bytes(FULL_COMPARISON_BYTES)}",
        )


def _custom_operators(census: Census) -> Notice:
    names = [f"{domain}:{op_type}" for domain, op_type in sorted(census.custom_operators)]
    shown = ", ".join(safe_text(name, 60) for name in names[:_MAX_NAMED])
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return Notice(
        code="custom-operators",
        message=f"no standard build of ONNX Runtime has the operators {shown}{more}",
        hint=_custom_hint({domain for domain, _ in census.custom_operators}),
    )


def _custom_hint(domains: set[str]) -> str:
    if domains <= _EXTENSION_DOMAINS:
        return "they come with onnxruntime-extensions; nothing is loaded because a model asks"
    if domains == {DEFAULT_DOMAIN}:
        return "export for another operator set, or check how the model was made"
    return "the runtime must be built with them; nothing is loaded because a model asks"
