"""What does a TensorFlow Lite file say? Weights, work, and inputs that it may run with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from onnx import GraphProto, ModelProto, ValueInfoProto

from feasibility import __version__
from feasibility.facts.node_work import with_work
from feasibility.facts.operator_counts import Operator, operator_types
from feasibility.facts.weight_facts import external_locations, initializer_sizes, with_weights
from feasibility.graph.declared_inputs import declared_inputs, declared_outputs
from feasibility.graph.inputs.dim_sizes import bind_inputs
from feasibility.graph.inputs.input_plans import LikelySizes, choose_sizes, plan_inputs
from feasibility.graph.tflite_graph import DOMAIN, declared_type, tflite_graph
from feasibility.graph.value_types import Shape, type_proto
from feasibility.model_file.flatbuffer import flatbuffer_of
from feasibility.model_file.open_model import ModelFile
from feasibility.model_file.tensors import TensorInfo
from feasibility.model_file.tflite_file import (
    SCHEMA_VERSION,
    TfliteModel,
    TfliteTensor,
    tflite_model,
)
from feasibility.records.facts import ModelFacts, NodeFacts
from feasibility.records.model_reading import ModelReading
from feasibility.records.shared_fields import Notice
from feasibility.records.workload import InputPlan
from feasibility.text import limited, safe_text, shorten

_MARK: Final = "TensorFlow Lite"
_MAX_PRODUCER_CHARACTERS: Final = 100
_MAX_NAMED: Final = 5
# Custom operators that every build has.
# Source: tflite/core/kernels/register.cc of google-ai-edge/LiteRT.
_STANDARD_CUSTOM: Final = frozenset(
    {
        "AudioSpectrogram", "Mfcc", "NumericVerify", "TFLite_Detection_PostProcess",
        "aeq.hadamard_rotation",
    }
)  # fmt: skip


def tflite_reading(
    file: ModelFile,
    dims: Mapping[str, int],
    *,
    with_plans: bool,
    files: Mapping[str, Path],
    archive: Path | None,
) -> ModelReading:
    """What an open file says; `feasibility.facts.read_model` explains the arguments."""
    with flatbuffer_of(file, _MARK) as buffer:
        model = tflite_model(buffer)
        sizes = choose_sizes(ModelProto(graph=_declared(model)), dims, files, archive)
        graphs = [
            (binding, tflite_graph(model, _bound(sizes, binding)))
            for binding, _ in sizes.choices[: None if with_plans else 1]
        ]
    sizes = LikelySizes(sizes.model, sizes.inputs, sizes.arrays, graphs)
    return ModelReading(
        facts=_facts(file, model, sizes),
        plans=plan_inputs(sizes) if with_plans else (),
        initializers=initializer_sizes(model.weights),
        external_locations=external_locations(model.weights),
    )


def tflite_weights(file: ModelFile) -> tuple[TensorInfo, ...]:
    """The weights of an open file."""
    with flatbuffer_of(file, _MARK) as buffer:
        return tflite_model(buffer).weights


def _facts(file: ModelFile, model: TfliteModel, sizes: LikelySizes) -> ModelFacts:
    binding, graph = sizes.likeliest
    operators = [each for subgraph in model.subgraphs for each in subgraph.operators]
    custom = {each.name for each in operators if each.is_custom} - _STANDARD_CUSTOM
    facts = ModelFacts(
        tool_version=__version__,
        name="",
        path="",
        format="tflite",
        file_bytes=file.size_bytes,
        producer=shorten(_producer(model), _MAX_PRODUCER_CHARACTERS),
        inputs=declared_inputs(sizes.model.graph),
        outputs=declared_outputs(sizes.model.graph),
        node_count=len(operators),
        subgraph_count=len(model.subgraphs) - 1,
        custom_operators=tuple(f"{DOMAIN}:{name}" for name in sorted(custom)),
        dims=dict(binding.dims),
        assumptions=binding.assumptions,
    )
    what = f"Cannot read model '{safe_text(str(file.path))}'"
    facts = with_weights(facts, model.weights, file.path, file.identity, what)
    facts = with_work(facts, graph)
    return replace(
        facts,
        operators=operator_types(
            Counter((DOMAIN, each.name) for each in operators),
            _weight_bytes(model),
            facts.nodes,
        ),
        warnings=(*_notices(model, custom, facts.nodes), *facts.warnings),
    )


def _producer(model: TfliteModel) -> str:
    """The description of the file, in which converters write their name."""
    version = f"runtime {model.runtime_version} or newer" if model.runtime_version else ""
    return ", ".join(filter(None, (model.description.rstrip("."), version)))


def _weight_bytes(model: TfliteModel) -> Counter[Operator]:
    """Bytes of the weights that operators read first."""
    found: Counter[Operator] = Counter()
    read: set[TensorInfo] = set()
    for subgraph in model.subgraphs:
        for operator in subgraph.operators:
            for position in operator.inputs:
                data = subgraph.tensors[position].data if position >= 0 else None
                if data is not None and data not in read:
                    read.add(data)
                    found[DOMAIN, operator.name] += data.size_bytes
    return found


def _declared(model: TfliteModel) -> GraphProto:
    """The main graph's inputs and outputs as onnx declares them."""
    main = model.subgraphs[0]
    return GraphProto(
        input=[_value(main.tensors[position]) for position in main.inputs],
        output=[_value(main.tensors[position]) for position in main.outputs],
    )


def _value(tensor: TfliteTensor) -> ValueInfoProto:
    return ValueInfoProto(name=tensor.name, type=type_proto(declared_type(tensor)))


def _bound(sizes: LikelySizes, binding: InputPlan) -> list[Shape]:
    """Shapes of the inputs, in the order of the file."""
    types = bind_inputs(sizes.inputs, binding.dims)
    return [types[each.name].shape or () for each in sizes.model.graph.input]


def _notices(
    model: TfliteModel, custom: Collection[str], nodes: Sequence[NodeFacts]
) -> Iterator[Notice]:
    if model.version != SCHEMA_VERSION:
        yield Notice(
            code="schema-version-unknown",
            message=f"the file has version {model.version} of the schema; runtimes read version "
            f"{SCHEMA_VERSION}",
            hint="convert the model again",
        )
    if custom:
        yield Notice(
            code="custom-operators",
            message=f"no standard build of LiteRT has the operators {_named(custom)}",
            hint="operators that begin with Flex need a runtime with TensorFlow's operators, "
            "other operators need a runtime that contains them; feasibility does not load "
            "operator libraries for a model",
        )
    others = model.signature_graphs - {0}
    if others:
        yield Notice(
            code="other-signatures",
            message=f"the file has {len(others)} more graphs with signatures of their own; "
            "work and inputs are those of the first graph",
        )
    unknown = [node for node in nodes if node.flops is None]
    operators = {node.op_type for node in unknown if node.op_class == "other"}
    if operators:
        yield Notice(
            code="unknown-work",
            message=f"the work of {_named(operators)} is not known and does not count",
        )
    if any(node.op_class != "other" for node in unknown):
        yield Notice(
            code="unknown-shapes",
            message="some sizes depend on data, or on operators without a "
            "rule, so the work of some nodes is not known",
        )


def _named(names: Collection[str]) -> str:
    return limited([safe_text(name, 60) for name in sorted(names)], _MAX_NAMED)
