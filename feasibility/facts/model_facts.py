"""Which facts does a model file have? Collected in the reader process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from feasibility import __version__
from feasibility.facts.node_work import with_work
from feasibility.facts.operator_counts import (
    DEFAULT_DOMAIN,
    OperatorCounts,
    domain_name,
    operator_types,
)
from feasibility.facts.ort_format import ort_facts
from feasibility.facts.refused_by_runtime import model_faults
from feasibility.facts.tflite_format import tflite_reading, tflite_weights
from feasibility.facts.weight_facts import external_locations, initializer_sizes, with_weights
from feasibility.graph.declared_inputs import declared_inputs, declared_outputs, open_axes
from feasibility.graph.inputs.dim_sizes import open_dims
from feasibility.graph.inputs.input_plans import choose_sizes, plan_inputs
from feasibility.model_file.external_data import resolve_external
from feasibility.model_file.skeleton import Skeleton, skeleton_of
from feasibility.ort_memory.modelled_memory import MemoryModel
from feasibility.ort_memory.version import other_version_installed
from feasibility.records.changes import ALL_CHANGES, USUAL_CHANGES
from feasibility.records.facts import ModelFacts
from feasibility.records.model_reading import ModelReading
from feasibility.records.shared_fields import Notice
from feasibility.text import limited, safe_text, shorten
from feasibility.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from feasibility.graph.typed_graph import TypedGraph
    from feasibility.model_file.open_model import ModelFile
    from feasibility.records.changes import Changes
    from feasibility.records.workload import InputPlan

_MAX_PRODUCER_CHARACTERS: Final = 100
_MAX_NAMED: Final = 5
# Domain of the operators that onnxruntime-extensions brings.
_EXTENSION_DOMAINS: Final = frozenset({"ai.onnx.contrib", "com.microsoft.extensions"})


def reading_of(
    file: ModelFile,
    dims: Mapping[str, int],
    *,
    with_plans: bool,
    files: Mapping[str, Path],
    archive: Path | None,
    all_changes: bool = False,
) -> ModelReading:
    """What an open model file says; `feasibility.facts.read_model` explains the arguments."""
    if file.format == "ort":
        facts, model = ort_facts(file)
        plans = plan_inputs(choose_sizes(model, dims, files, archive)) if with_plans else ()
        return ModelReading(facts=facts, plans=plans)
    if file.format == "tflite":
        return tflite_reading(file, dims, with_plans=with_plans, files=files, archive=archive)
    skeleton = skeleton_of(file)
    sizes = choose_sizes(skeleton.model, dims, files, archive)
    return ModelReading(
        facts=facts_of(skeleton, *sizes.likeliest, ALL_CHANGES if all_changes else USUAL_CHANGES),
        plans=plan_inputs(sizes) if with_plans else (),
        dim_roles={dim.key: dim.role for dim in open_dims(sizes.inputs)},
        initializers=initializer_sizes(skeleton.tensors),
        external_locations=external_locations(skeleton.tensors),
    )


def locations_of(file: ModelFile, *, must_exist: bool) -> tuple[str, ...]:
    """Names of the external data files of an open model, sorted."""
    if file.format == "ort":
        return ()
    tensors = tflite_weights(file) if file.format == "tflite" else skeleton_of(file).tensors
    if must_exist:
        resolve_external(file.path, tensors, f"Cannot read model '{safe_text(str(file.path))}'")
    return external_locations(tensors)


def facts_of(
    skeleton: Skeleton, binding: InputPlan, graph: TypedGraph, changes: tuple[Changes, ...]
) -> ModelFacts:
    """Facts of a model that was read without its weights; memory also after `changes`."""
    model = skeleton.model
    producer = f"{model.producer_name} {model.producer_version}".strip()
    weights = skeleton.initializers
    counts = OperatorCounts(model, weights)
    opsets = {domain_name(opset.domain): max(opset.version, 0) for opset in model.opset_import}
    inputs = declared_inputs(model.graph)
    memory = MemoryModel(
        graph,
        frozenset(tensor.name for tensor in weights if tensor.external is not None),
        open_axes(model.graph),
    )
    modelled = memory.with_changes()
    facts = ModelFacts(
        tool_version=__version__,
        name="",
        path="",
        format="onnx",
        file_bytes=skeleton.identity.size_bytes,
        producer=shorten(producer, _MAX_PRODUCER_CHARACTERS),
        ir_version=model.ir_version,
        opset=opsets.get(DEFAULT_DOMAIN),
        opsets=opsets,
        inputs=inputs,
        outputs=declared_outputs(model.graph),
        node_count=counts.node_counts.total(),
        subgraph_count=counts.subgraph_count,
        function_count=len(model.functions),
        custom_operators=tuple(f"{domain}:{op}" for domain, op in sorted(counts.custom_operators)),
        dims=dict(binding.dims),
        assumptions=binding.assumptions,
        modelled_memory=modelled,
        changed_memory=tuple(each for change in changes for each in memory.with_changes(change)),
        warnings=(
            *_notices(skeleton, counts),
            *(other_version_installed() if modelled else ()),
        ),
    )
    facts = with_weights(facts, skeleton.tensors, skeleton.path, skeleton.identity, skeleton.what)
    facts = with_work(facts, graph)
    operators = operator_types(counts.node_counts, counts.weight_bytes, facts.nodes)
    return replace(facts, operators=operators)


def _notices(skeleton: Skeleton, counts: OperatorCounts) -> Iterator[Notice]:
    yield from model_faults(skeleton.model, skeleton.identity.size_bytes)
    if counts.custom_operators:
        yield _custom_operators(counts)
    list_bytes = sum(payload.size_bytes for payload in skeleton.payloads if payload.is_list)
    if list_bytes:
        yield Notice(
            code="weights-in-attributes",
            message=f"{format_bytes(list_bytes)} of lists in attributes (trees, vocabularies) "
            "are not counted as parameters",
        )


def _custom_operators(counts: OperatorCounts) -> Notice:
    names = [safe_text(f"{domain}:{name}", 60) for domain, name in sorted(counts.custom_operators)]
    return Notice(
        code="custom-operators",
        message=f"no standard build of ONNX Runtime has the operators {limited(names, _MAX_NAMED)}",
        hint=_custom_hint({domain for domain, _ in counts.custom_operators}),
    )


def _custom_hint(domains: set[str]) -> str:
    if domains <= _EXTENSION_DOMAINS:
        return "they come with onnxruntime-extensions; nothing is loaded because a model asks"
    if domains == {DEFAULT_DOMAIN}:
        return "export for another operator set, or check how the model was made"
    return "the runtime must be built with them; nothing is loaded because a model asks"
