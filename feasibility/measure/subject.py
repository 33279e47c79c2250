"""The model that is to be measured: its facts, and inputs that it may accept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feasibility.measure.explain import explain
from feasibility.measure.options import MeasureOptions
from feasibility.measure.passes import Passes
from feasibility.probe.wire import Described
from feasibility.records.base import Dim, TensorSpec
from feasibility.records.facts import ModelFacts
from feasibility.records.workload import InputPlan

# The runtime writes types as tensor(float), seq(tensor(int64)), map(int64,tensor(float)).
_TENSOR: Final = re.compile(r"tensor\((\w+)\)")
_NUMPY_WORDS: Final = {"float": "float32", "double": "float64"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known before anything runs.

    Args:
        path: The model as it was given.
        facts: What the file says.
        plans: Complete choices of inputs, the likeliest first; never empty.
    """

    path: Path
    facts: ModelFacts
    plans: tuple[InputPlan, ...]


def read_subject(path: Path, options: MeasureOptions, passes: Passes) -> Subject:
    """Facts and input plans of a model.

    A format that only the runtime can read is opened in a child for its inputs.

    Raises:
        ModelError: The file is no model, or the runtime refuses it.
        InputError: The dims or inputs that were given do not match it.
    """
    from feasibility.graph import inputs, inspect
    from feasibility.graph.skeleton import read_skeleton

    wanted = {
        "dims": options.dims,
        "files": options.input_files,
        "archive": options.inputs_archive,
        "seed": options.seed,
    }
    facts = inspect.inspect_model(path, dims=options.dims, hash_file=True)
    if facts.format == "onnx":
        return Subject(path, facts, inputs.plan_inputs(read_skeleton(path).model, **wanted))
    result = passes.describe()
    described = result.event(Described)
    if described is None:
        raise explain(result, path.name, passes.ceiling_bytes)
    specs = tuple(_spec(*declared) for declared in described.inputs)
    return Subject(path, facts, inputs.plan_inputs_from_specs(specs, **wanted))


def _spec(name: str, type_text: str, shape: tuple[object, ...]) -> TensorSpec:
    """An input as the runtime describes it."""
    word = _TENSOR.search(type_text)
    dtype = word[1] if word else "float"
    dims: tuple[Dim, ...] = tuple(dim if isinstance(dim, (int, str)) else None for dim in shape)
    return TensorSpec(
        name=name,
        dtype=_NUMPY_WORDS.get(dtype, dtype),
        shape=dims,
        kind="sequence" if type_text.startswith("seq(") else "tensor",
        type_text=type_text,
    )
